// test-lock.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Locks between processes.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, getPid, matches, run, show, signal, test, until} from
    './harness.js';

// Adds to a number in a file, which two processes at a time would get wrong.
const count = Mp.register(function count(lock, path, times) {
    for (let i = 0; i < times; i++) {
        lock.acquire();
        const [, text] = GLib.file_get_contents(path);
        GLib.file_set_contents(path, `${Number(new TextDecoder().decode(text)) + 1}`);
        lock.release();
    }
});
const back = Mp.register(function back(value) {
    return value;
});
const tryIt = Mp.register(function tryIt({locks: [lock]}) {
    return [lock.is_locked(), lock.try_acquire()];
});
const hold = Mp.register(function hold(lock, connection) {
    lock.acquire();
    connection.send(getPid());
    connection.recv();
});
// Three of these wait in one worker at the same time: the items of one chunk.
const queueUp = Mp.register(async function queueUp({lock, connection, number}) {
    const held = lock.acquire_async();
    connection.send(number);
    await held;
    connection.send(-number);
    lock.release();
});

Mp.init();

test('acquired and released', () => {
    const lock = new Mp.Lock();
    assertEqual([lock.is_locked(), lock.acquire(), lock.is_locked()], [false, true, true]);
    assertEqual([lock.try_acquire(), lock.release(), lock.is_locked()], [false, true, false]);
    assertEqual([lock.acquire(0), lock.release(), lock.acquire(1000000), lock.release()], [true, true, true, true]);
    const error = catchNow(() => lock.release());
    matches(error, Mp.Error, Mp.Error.NOT_OWNER);
    assertMatches(error.message, /not locked/);
});

test('constructors', () => {
    const locks = [new Mp.Lock(), Mp.Lock.new(), new Mp.Lock({isolated: true}), Mp.Lock.new_isolated()];
    assertEqual(locks.map(lock => lock.isolated), [false, false, true, true]);
    assert(locks.every(lock => lock instanceof Mp.Lock && lock.try_acquire()));
});

test('what cannot be waited with', async () => {
    const lock = new Mp.Lock();
    const cancellable = new Gio.Cancellable();
    for (const [wrong, text] of [['soon', 'soon'], [NaN, 'NaN'], [cancellable, 'Cancellable'], [null, 'null']]) {
        const error = catchNow(() => lock.acquire(wrong));
        assert(error instanceof TypeError, show(error));
        assertMatches(error.message, new RegExp(`microseconds, not .*${text}`));
    }
    assert(catchNow(() => lock.acquire(-2)) instanceof RangeError);
    for (const call of [() => lock.acquire(0, 'x'), () => lock.acquire_async('x'), () => lock.acquire_async(5)]) {
        const error = await catchFrom(call);
        assert(error instanceof TypeError, show(error));
        assertMatches(error.message, /Gio\.Cancellable or null, not ("x"|5)/);
    }
    assert(!lock.is_locked());
    assert(lock.acquire(Infinity));
});

test('timeout and cancellable', async () => {
    const lock = new Mp.Lock();
    const cancellable = new Gio.Cancellable();
    lock.acquire();
    for (const timeout of [0, 1, 20000])
        matches(catchNow(() => lock.acquire(timeout)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    const waiting = lock.acquire_async(cancellable);
    cancellable.cancel();
    matches(await catchFrom(() => waiting), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    matches(catchNow(() => lock.acquire(-1, cancellable)), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    lock.release();
    assert(!lock.is_locked());
});

test('promises come in their order', async () => {
    const lock = new Mp.Lock();
    const order = [];
    await lock.acquire_async();
    const all = Array.from({length: 20}, async (_, i) => {
        await lock.acquire_async();
        order.push(i);
        lock.release();
    });
    assertEqual(order, []);
    lock.release();
    await Promise.all(all);
    assertEqual(order, Array.from({length: 20}, (_, i) => i));
});

test('a callback instead of a promise', async () => {
    const lock = new Mp.Lock();
    lock.acquire();
    let seen = null;
    lock.acquire_async(null, (source, result) => (seen = [source === lock, lock.acquire_finish(result)]));
    lock.release();
    await until(() => seen !== null);
    assertEqual(seen, [true, true]);
    assert(lock.is_locked());
});

test('counting in four processes', async () => {
    const [file] = Gio.File.new_tmp('mp-lock-XXXXXX');
    const path = file.get_path();
    const lock = new Mp.Lock();
    const pool = Mp.Pool.new(4);
    GLib.file_set_contents(path, '0');
    await Promise.all(Array.from({length: 4}, () => pool.apply_async(count, [lock, path, 50])));
    pool.terminate();
    const [, text] = GLib.file_get_contents(path);
    file.delete(null);
    assertEqual(new TextDecoder().decode(text), '200');
});

test('through arguments, results and pipes', async () => {
    const lock = new Mp.Lock();
    const pool = Mp.Pool.new(1);
    lock.acquire();
    assertEqual(await pool.apply_async(tryIt, [{locks: [lock]}]), [true, false]);
    const [same] = await pool.map_async(back, [lock]);
    assert(same instanceof Mp.Lock && same.is_locked());
    same.release();
    assert(!lock.is_locked());

    const [first, second] = Mp.pipe_new();
    first.send({lock});
    const {lock: received} = second.recv();
    received.acquire();
    assert(lock.is_locked());

    assert((await catchFrom(() => pool.apply_async(back, [Mp.Lock]))) instanceof TypeError);
    pool.terminate();
});

test('the owner is killed', async () => {
    const lock = new Mp.Lock();
    const [ours, theirs] = Mp.pipe_new();
    const process = Mp.Process.new(hold, [lock, theirs]);
    process.start();
    const pid = await ours.recv_async();
    const waiting = lock.acquire_async();
    assert(lock.is_locked() && !lock.is_abandoned());
    signal(pid, 'KILL');
    assertEqual([await waiting, lock.is_abandoned()], [true, true]);
    lock.release();
    assertEqual([lock.acquire(), lock.is_abandoned(), lock.mark_consistent()], [true, true, true]);
    assert(!lock.is_abandoned());
    lock.release();
    matches(catchNow(() => lock.mark_consistent()), Mp.Error, Mp.Error.NOT_OWNER);
    await process.join_async();
});

test('waiting in several processes', async () => {
    const lock = new Mp.Lock();
    const [ours, theirs] = Mp.pipe_new();
    const pool = Mp.Pool.new(3);
    lock.acquire();
    const items = Array.from({length: 9}, (_, i) => ({lock, connection: theirs, number: i + 1}));
    const all = pool.map_async(queueUp, items, 3);
    const seen = [];
    for (let i = 0; i < 9; i++)
        seen.push(await ours.recv_async());
    assertEqual(seen.sort(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert(!ours.poll());
    lock.release();
    for (let i = 0; i < 9; i++)
        assert(seen.includes(-await ours.recv_async()));
    await all;
    await until(() => !lock.is_locked());
    pool.terminate();
});

await run();
