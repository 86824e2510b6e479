// test-backends.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Pools that run their tasks in the program itself; and no threads.

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, getPid, run, test, until} from './harness.js';

const {INLINE, THREADS, PROCESSES} = Mp.Backend;

let log = [];

const square = Mp.register('square', x => x * x);
const where = Mp.register('where', () => getPid());
const note = Mp.register('note', x => {
    log.push(x);
    return x;
});
const later = Mp.register('later', async x => {
    await new Promise(resolve => GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => {
        resolve();
        return GLib.SOURCE_REMOVE;
    }));
    return -x;
});
const refuse = Mp.register('refuse', x => {
    throw new RangeError(`not ${x}`);
});
const workerNumber = Mp.register('workerNumber', () => Mp.Invocation.get_current().get_worker_number());
let setUps = 0;
const setUp = Mp.register('setUp', n => {
    setUps += n;
});

Mp.init();

test('threads are refused', async () => {
    const pool = Mp.Pool.new_for_backend(THREADS, 2);
    assertEqual(pool.get_backend(), THREADS);
    const error = await catchFrom(() => pool.apply_async(square, [2]));
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED));
    assertMatches(error.message, /JavaScript/);
});

test('processes by that name', async () => {
    const pool = Mp.Pool.new_for_backend(PROCESSES, 1);
    assert(await pool.apply_async(where) !== getPid());
    pool.terminate();
});

test('calls that wait', () => {
    const pool = Mp.Pool.new_for_backend(INLINE, 2);
    assertEqual(pool.apply(square, [3]), 9);
    assertEqual(pool.apply(where), getPid());
    assertEqual(pool.map(square, [1, 2, 3]), [1, 4, 9]);
    assertEqual([...pool.imap(square, [1, 2, 3], 2)], [1, 4, 9]);
    const number = pool.apply(workerNumber);
    assert(number === 0 || number === 1);
    // GJS runs no promises within one: such a call has its time, and no more.
    const error = catchNow(() => pool.apply(later, [4], 10000));
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT));
    assert(catchNow(() => pool.apply(refuse, [1])) instanceof RangeError);
    pool.close();
    assert(pool.join());
});

test('calls that do not', async () => {
    const pool = new Mp.Pool({backend: INLINE, n_workers: 2, initializer: setUp, initializer_args: [1]});
    log = [];
    const promises = [1, 2, 3].map(x => pool.apply_async(note, [x]));
    assertEqual(log, []);
    assertEqual(await Promise.all(promises), [1, 2, 3]);
    assertEqual([...log].sort(), [1, 2, 3]);
    assertEqual(setUps, 2);
    assertEqual(await pool.map_async(later, [1, 2, 3]), [-1, -2, -3]);
    const values = [];
    for await (const value of pool.imap(square, [1, 2, 3]))
        values.push(value);
    assertEqual(values, [1, 4, 9]);
    assertMatches((await catchFrom(() => pool.apply_async(refuse, [5]))).message, /not 5/);
    pool.close();
    await pool.join_async();
});

async function tell(seed) {
    const pool = new Mp.Pool({backend: INLINE, n_workers: 3, inline_seed: seed, inline_death_rate: 0.2,
        inline_max_delay_us: 500});
    const ends = [];
    const exits = [];
    log = [];
    pool.connect('worker-exited', (_pool, number, _pid, _status, reason) => exits.push(`${number} ${reason}`));
    await Promise.all(Array.from({length: 40}, (_, i) => pool.apply_async(note, [i]).then(
        value => assertEqual(value, i),
        error => ends.push([i, error.matches(Mp.Error, Mp.Error.WORKER_DIED)]))));
    pool.close();
    await pool.join_async();
    return [log, ends, exits];
}

test('the same seed, the same events', async () => {
    const first = await tell(1);
    assertEqual(await tell(1), first);
    assert(JSON.stringify(await tell(2)) !== JSON.stringify(first));
    assert(first[1].length > 0 && first[1].every(([_i, died]) => died));
});

test('cancelled before its turn', async () => {
    const pool = Mp.Pool.new_for_backend(INLINE, 1);
    const cancellable = new Gio.Cancellable();
    log = [];
    let failure = null;
    const first = pool.apply_async(note, [1]).then(() => cancellable.cancel());
    pool.apply_async(note, [2], cancellable).catch(error => (failure = error));
    cancellable.cancel();
    await first;
    await until(() => failure !== null);
    assert(failure.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));
    assertEqual(log, [1]);
    pool.terminate();
});

await run();
