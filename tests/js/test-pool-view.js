// test-pool-view.js — SPDX-License-Identifier: LGPL-2.1-or-later
// What a pool shows of itself to a user interface.

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, catchFrom, getPid, run, test, until} from './harness.js';

const square = Mp.register('square', x => x * x);
const raise = Mp.register('raise', () => {
    throw new RangeError('too far');
});
const waitFor = Mp.register('waitFor', path => {
    while (!GLib.file_test(path, GLib.FileTest.EXISTS))
        GLib.usleep(1000);
    return getPid();
});

Mp.init();

function makeGate() {
    const directory = GLib.dir_make_tmp('mp-view-XXXXXX');
    const path = GLib.build_filenamev([directory, 'gate']);
    return {
        path,
        open: () => GLib.file_set_contents(path, ''),
        remove: () => {
            GLib.unlink(path);
            GLib.rmdir(directory);
        },
    };
}

test('counts', async () => {
    const pool = Mp.Pool.new(1);
    const gate = makeGate();
    const told = [];
    pool.connect('notify::fraction', () => told.push(pool.fraction));
    const waiting = pool.apply_async(waitFor, [gate.path]);
    const others = pool.map_async(square, [1, 2, 3, 4], 1);
    assertEqual(pool.n_queued + pool.n_running, 5);
    await until(() => pool.n_running === 1, 'a task that runs');
    assertEqual([pool.n_queued, pool.n_done, pool.n_failed, pool.fraction], [4, 0, 0, 0]);
    gate.open();
    await waiting;
    assertEqual(await others, [1, 4, 9, 16]);
    assertEqual([pool.n_queued, pool.n_running, pool.n_done], [0, 0, 5]);
    await until(() => told.at(-1) === 1, 'the last of the fractions');
    assertEqual(told, [...told].sort((a, b) => a - b));
    await catchFrom(() => pool.apply_async(raise, []));
    assertEqual(pool.n_failed, 1);
    gate.remove();
    pool.terminate();
});

test('statistics', async () => {
    const pool = Mp.Pool.new(2);
    await pool.map_async(square, Array.from({length: 100}, (_, i) => i), 1);
    const statistics = pool.dup_statistics();
    assertEqual([statistics['n-done'], statistics['n-queued'], statistics['fraction']], [100, 0, 1]);
    assert(statistics['run-time-median'] <= statistics['run-time-p99']);
    assert(statistics['waiting-time-p99'] <= statistics['age']);
    assert(statistics['utilisation'] >= 0 && statistics['utilisation'] <= 1);
    pool.terminate();
});

test('workers', async () => {
    const pool = Mp.Pool.new(2);
    const gate = makeGate();
    const workers = pool.get_workers();
    assert(workers instanceof Gio.ListModel);
    assertEqual([...workers].map(worker => worker.number), [0, 1]);
    const waiting = pool.apply_async(waitFor, [gate.path]);
    const isBusy = worker => worker.state === Mp.WorkerState.RUNNING;
    await until(() => [...workers].some(isBusy), 'one at work');
    const busy = [...workers].find(isBusy);
    assertEqual(busy.current_task, 'waitFor');
    assert(busy.task_start_time >= busy.start_time);
    gate.open();
    assertEqual(await waiting, busy.pid);
    await until(() => busy.n_tasks_done === 1, 'the end of its task');
    assertEqual(busy.current_task, null);
    gate.remove();
    pool.terminate();
    await pool.join_async();
    await until(() => workers.get_n_items() === 0, 'the end of the workers');
    assertEqual(busy.state, Mp.WorkerState.ENDED);
});

test('tasks', async () => {
    const pool = new Mp.Pool({n_workers: 1});
    pool.list_tasks = true;
    const gate = makeGate();
    const tasks = pool.get_tasks();
    let n = 0, isConsistent = true;
    tasks.connect('items-changed', (_tasks, _position, removed, added) => {
        n += added - removed;
        isConsistent &&= n === tasks.get_n_items();
    });
    const future = pool.submit(waitFor, [gate.path]);
    const waiting = pool.apply_async(square, [3]);
    await until(() => tasks.get_n_items() === 2, 'two tasks');
    assert(tasks.get_item(0) === future, 'the future that the call returned is in the list');
    assertEqual([0, 1].map(i => tasks.get_item(i).name), ['waitFor', 'square']);
    gate.open();
    assertEqual(await waiting, 9);
    await until(() => tasks.get_n_items() === 0, 'their end');
    assert(isConsistent);
    gate.remove();
    pool.terminate();
});

await run();
