// test-sync.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Semaphores, events, and locks that their owner can acquire again.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, getPid, matches, run, show, signal, start, test,
    until} from './harness.js';

const back = Mp.register(function back(value) {
    return value;
});
const look = Mp.register(function look({all: [semaphore, rlock, event]}) {
    return [semaphore.get_value(), rlock.is_locked(), rlock.try_acquire(), event.is_set()];
});
const hold = Mp.register(function hold(what, connection) {
    what.acquire();
    what.acquire();
    connection.send(getPid());
    connection.recv();
});
const waitFor = Mp.register(function waitFor(event, connection) {
    connection.send(getPid());
    connection.send(event.wait());
});
const setIt = Mp.register(function setIt(event) {
    event.set();
});

Mp.init();

test('units of a semaphore', () => {
    const semaphore = new Mp.Semaphore({value: 2});
    assertEqual([semaphore.value, semaphore.acquire(), semaphore.try_acquire(), semaphore.try_acquire()],
        [2, true, true, false]);
    matches(catchNow(() => semaphore.acquire(1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    assertEqual([semaphore.get_n_held(), semaphore.release(), semaphore.release(), semaphore.get_value()],
        [2, true, true, 2]);
    assertEqual([new Mp.Semaphore().value, Mp.Semaphore.new(5).value], [1, 5]);
    assertEqual([semaphore.returns_units, semaphore.release(), semaphore.returns_units], [true, true, false]);
    assert(catchNow(() => new Mp.Semaphore(3)) instanceof TypeError);
    for (const klass of [Mp.Semaphore, Mp.BoundedSemaphore]) {
        assertEqual([klass.new(0).value, klass.new(2 ** 31 - 1).value], [0, 2 ** 31 - 1]);
        for (const value of [-1, 1.5, 'x', 2 ** 31, NaN, null]) {
            for (const make of [() => klass.new(value), () => new klass({value})]) {
                const error = catchNow(make);
                assert(error instanceof RangeError && error.message.endsWith(`units, not ${value}`), show(error));
            }
        }
    }
});

test('bounds of a semaphore', () => {
    const bounded = new Mp.BoundedSemaphore({value: 1});
    assert(bounded instanceof Mp.Semaphore);
    assertEqual([bounded.get_maximum(), bounded.acquire(0), bounded.release()], [1, true, true]);
    matches(catchNow(() => bounded.release()), Mp.Error, Mp.Error.NOT_OWNER);
});

test('depth of an rlock', () => {
    const rlock = new Mp.RLock();
    assertEqual([rlock.acquire(), rlock.try_acquire(), rlock.acquire(0), rlock.get_depth()], [true, true, true, 3]);
    assertEqual([rlock.release(), rlock.release(), rlock.release(), rlock.is_locked()], [true, true, true, false]);
    matches(catchNow(() => rlock.release()), Mp.Error, Mp.Error.NOT_OWNER);
});

test('flag of an event', () => {
    const event = new Mp.Event();
    assertEqual(event.is_set(), false);
    matches(catchNow(() => event.wait(1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    assertEqual([event.set(), event.is_set(), event.wait(), event.clear(), event.is_set()],
        [true, true, true, true, false]);
});

test('what cannot be waited with', async () => {
    for (const what of [new Mp.Semaphore(), new Mp.RLock()]) {
        assert(catchNow(() => what.acquire('soon')) instanceof TypeError);
        assert(catchNow(() => what.acquire(-2)) instanceof RangeError);
        assert(await catchFrom(() => what.acquire_async(5)) instanceof TypeError);
        const error = await catchFrom(() => what.with('function'));
        assert(error instanceof TypeError, show(error));
        assertMatches(error.message, /with\(\) takes a function, not "function"/);
        assert(what.acquire(Infinity));
    }
    assert(catchNow(() => new Mp.Event().wait({})) instanceof TypeError);
    assert(await catchFrom(() => new Mp.Event().wait_async('x')) instanceof TypeError);
});

test('scopes', async () => {
    for (const what of [new Mp.Lock(), new Mp.Semaphore(), new Mp.BoundedSemaphore({value: 1})]) {
        let inside = 0, most = 0;
        const all = Array.from({length: 10}, (_, i) => what.with(async same => {
            assert(same === what);
            most = Math.max(most, ++inside);
            await Promise.resolve();
            inside--;
            return i;
        }));
        assertEqual([await Promise.all(all), most], [Array.from({length: 10}, (_, i) => i), 1]);
        assertMatches((await catchFrom(() => what.with(() => {
            throw new Error('in it');
        }))).message, /in it/);
        assert(what.try_acquire());
    }
    const rlock = new Mp.RLock();
    assertEqual(await rlock.with(() => rlock.with(() => rlock.get_depth())), 2);
    assertEqual(rlock.is_locked(), false);
});

test('cancelled', async () => {
    for (const [what, name] of [[new Mp.Semaphore({value: 0}), 'acquire_async'], [new Mp.Event(), 'wait_async']]) {
        const cancellable = new Gio.Cancellable();
        const waiting = what[name](cancellable);
        cancellable.cancel();
        matches(await catchFrom(() => waiting), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    }
});

test('promises of an event', async () => {
    const event = new Mp.Event();
    const all = Array.from({length: 5}, () => event.wait_async());
    event.set();
    event.clear();
    assertEqual(await Promise.all(all), [true, true, true, true, true]);
});

test('a callback instead of a promise', async () => {
    const semaphore = new Mp.Semaphore({value: 0});
    let seen = null;
    semaphore.acquire_async(null, (source, result) => (seen = [source === semaphore, semaphore.acquire_finish(result)]));
    semaphore.release();
    await until(() => seen !== null);
    assertEqual(seen, [true, true]);
});

test('through arguments, results and pipes', async () => {
    const [semaphore, rlock, event] = [new Mp.BoundedSemaphore({value: 3}), new Mp.RLock(), new Mp.Event()];
    const pool = Mp.Pool.new(1);
    semaphore.acquire();
    rlock.acquire();
    event.set();
    assertEqual(await pool.apply_async(look, [{all: [semaphore, rlock, event]}]), [2, true, false, true]);
    for (const [what, klass] of [[semaphore, Mp.BoundedSemaphore], [rlock, Mp.RLock], [event, Mp.Event]])
        assert(await pool.apply_async(back, [what]) instanceof klass);
    pool.terminate();
});

test('the holder is killed', async () => {
    const semaphore = new Mp.Semaphore({value: 2});
    const rlock = new Mp.RLock();
    for (const what of [semaphore, rlock]) {
        const [process, , pid] = await start(hold, what);
        assert(!what.try_acquire());
        const waiting = what.acquire_async();
        signal(pid, 'KILL');
        assert(await waiting);
        await process.join_async();
    }
    assertEqual([semaphore.acquire(), semaphore.try_acquire()], [true, false]);
    assert(rlock.is_abandoned() && rlock.mark_consistent() && !rlock.is_abandoned());
});

test('one that waits for an event is killed', async () => {
    const event = new Mp.Event();
    const waiting = [await start(waitFor, event), await start(waitFor, event)];
    const pool = Mp.Pool.new(1);
    signal(waiting[0][2], 'KILL');
    await pool.apply_async(setIt, [event]);
    assertEqual(await waiting[1][1].recv_async(), true);
    for (const [process] of waiting)
        await process.join_async();
    pool.terminate();
});

await run();
