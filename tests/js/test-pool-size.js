// test-pool-size.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A pool that grows and shrinks, and workers that are replaced.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, getPid, makeDirectory, run, test, until} from './harness.js';

const square = Mp.register('square', x => x * x);
const where = Mp.register(function where() {
    return getPid();
});
const hold = Mp.register(function hold(path) {
    GLib.file_set_contents(`${path}.begun`, '');
    while (!GLib.file_test(path, GLib.FileTest.EXISTS))
        GLib.usleep(2000);
    return getPid();
});
const kept = [];
const grow = Mp.register(function grow(mebibytes) {
    kept.push(new Uint8Array(mebibytes << 20).fill(1));
    return getPid();
});
const nested = Mp.register(function nested() {
    return Mp.Pool.new().n_workers;
});

GLib.setenv('MP_CPU_COUNT', '6', true);
Mp.init();

const directory = makeDirectory();
let nPaths = 0;

function watch(pool) {
    const seen = {started: 0, reasons: []};
    pool.connect('worker-started', () => seen.started++);
    pool.connect('worker-exited', (_pool, _number, _pid, _status, reason) => seen.reasons.push(reason));
    return seen;
}

// So many at the same time.
async function atWork(pool, n) {
    const paths = Array.from({length: n}, () => `${directory}/${nPaths++}`);
    const promises = paths.map(path => pool.apply_async(hold, [path]));
    await until(() => paths.every(path => GLib.file_test(`${path}.begun`, GLib.FileTest.EXISTS)), `${n} at work`);
    paths.forEach(path => GLib.file_set_contents(path, ''));
    return new Set(await Promise.all(promises)).size;
}

test('a pool grows and shrinks while it works', async () => {
    const pool = new Mp.Pool({n_workers: 1});
    const seen = watch(pool);
    const told = [];
    pool.connect('notify::n-workers', () => told.push(pool.n_workers));
    assertEqual(await atWork(pool, 1), 1);
    pool.n_workers = 3;
    assertEqual(await atWork(pool, 3), 3);
    const items = Array.from({length: 500}, (_, i) => i);
    const squares = pool.map_async(square, items, 3);
    pool.set_n_workers(1);
    assertEqual(await squares, items.map(i => i * i));
    await until(() => seen.reasons.length === 2, 'two exits');
    assertEqual(seen, {started: 3, reasons: ['shrunk', 'shrunk']});
    assertEqual(told, [3, 1]);
    pool.terminate();
});

test('idle workers end, and come again with the work', async () => {
    const pool = new Mp.Pool({n_workers: 2, idle_timeout_us: 10000});
    const seen = watch(pool);
    const first = await pool.apply_async(where);
    await until(() => seen.reasons.length === 1, 'the first exit');
    assert(await pool.apply_async(where) !== first);
    await until(() => seen.reasons.length === 2, 'the second exit');
    assertEqual(seen, {started: 2, reasons: ['idle', 'idle']});
    pool.min_workers = 2;
    await until(() => seen.started === 4, 'two that stay');
    pool.terminate();
});

test('workers that are too large or too old are replaced', async () => {
    const pool = new Mp.Pool({n_workers: 1, worker_max_growth: 32 << 20});
    const seen = watch(pool);
    const first = await pool.apply_async(where);
    assertEqual(await pool.apply_async(grow, [1]), first);
    assertEqual(await pool.apply_async(grow, [64]), first);
    await until(() => seen.reasons.length === 1, 'the first exit');
    assert(await pool.apply_async(where) !== first);
    pool.worker_max_growth = 0;
    pool.worker_max_age_us = 1000;
    await until(() => seen.reasons.length >= 2, 'the second exit');
    assertEqual(seen.reasons.slice(0, 2), ['too large', 'too old']);
    pool.terminate();
});

test('starts are spread over time', async () => {
    const pool = new Mp.Pool({n_workers: 1, tasks_per_worker: 1, max_start_rate: 500});
    assertEqual(pool.max_start_rate, 500);
    const pids = await pool.map_async(where, [0, 1, 2], 1);
    assertEqual(new Set(pids).size, 3);
    pool.terminate();
});

test('a pool in a worker has its share of the CPUs', async () => {
    const pool = new Mp.Pool({n_workers: 2});
    assertEqual(await pool.apply_async(nested), 3);
    pool.n_workers = 3;
    assertEqual(await pool.apply_async(nested), 2);
    pool.terminate();
});

await run();
