// test-condition.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Conditions.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, getPid, matches, run, signal, start, test, until} from
    './harness.js';

const waitAndSay = Mp.register(function waitAndSay(condition, connection) {
    condition.acquire();
    connection.send(getPid());
    const result = condition.wait();
    condition.release();
    connection.send(result);
});
const notify = Mp.register(function notify(condition, n) {
    condition.acquire();
    condition.notify(n);
    condition.release();
});
const look = Mp.register(function look(condition) {
    return [condition instanceof Mp.Condition, condition.lock instanceof Mp.Lock, condition.try_acquire()];
});
const keepLock = Mp.register(function keepLock(condition, connection) {
    condition.acquire();
    connection.send(getPid());
    connection.recv();
});

Mp.init();

test('the lock', () => {
    const lock = new Mp.Lock();
    const own = new Mp.Condition();
    const given = new Mp.Condition({lock});
    assert(own.lock instanceof Mp.RLock && given.lock === lock && Mp.Condition.new(lock).get_lock() === lock);
    assertEqual([given.acquire(), lock.is_locked(), given.try_acquire(), given.release()], [true, true, false, true]);
    for (const condition of [own, given]) {
        for (const name of ['wait', 'notify', 'notify_all'])
            matches(catchNow(() => condition[name]()), Mp.Error, Mp.Error.NOT_OWNER);
    }
    assert(catchNow(() => new Mp.Condition(lock)) instanceof TypeError);
    assert(Mp.Condition.new(null).lock instanceof Mp.RLock && Mp.Condition.new().lock instanceof Mp.RLock);
    for (const wrong of [new Mp.Semaphore(), 3, 'lock', {}]) {
        for (const make of [() => Mp.Condition.new(wrong), () => new Mp.Condition({lock: wrong})])
            assert(catchNow(make) instanceof TypeError);
    }
    assert(catchNow(() => own.notify(-1)) instanceof TypeError);
    assert(catchNow(() => own.notify('all')) instanceof TypeError);
});

test('times', () => {
    const condition = new Mp.Condition();
    condition.acquire();
    for (const timeout of [0, 1000])
        matches(catchNow(() => condition.wait(timeout)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    assert(catchNow(() => condition.wait(-2)) instanceof RangeError);
    assert(catchNow(() => condition.wait('soon')) instanceof TypeError);
    assertEqual([condition.notify(), condition.notify(0), condition.notify_all()], [true, true, true]);
    assertEqual([condition.lock.get_depth(), condition.release(), condition.get_n_waiting()], [1, true, 0]);
});

test('wait_for', async () => {
    const condition = new Mp.Condition({lock: new Mp.Lock()});
    let number = 0;
    condition.acquire();
    assertEqual(condition.wait_for(() => 'so'), 'so');
    matches(catchNow(() => condition.wait_for(() => ++number > 5, 1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    assertEqual(number, 2);
    assertEqual(condition.wait_for(() => ++number > 3, 1000), true);
    assertMatches(catchNow(() => condition.wait_for(() => {
        throw new Error('in it');
    })).message, /in it/);
    assert(catchNow(() => condition.wait_for(5)) instanceof TypeError);
    condition.release();

    number = 0;
    const waiting = condition.with(() => condition.wait_for_async(() => number >= 3 && number));
    for (let i = 0; i < 3; i++) {
        await condition.with(() => {
            number++;
            condition.notify();
        });
    }
    assertEqual([await waiting, condition.lock.is_locked()], [3, false]);
    assert(await catchFrom(() => condition.wait_for_async()) instanceof TypeError);
});

test('promises', async () => {
    const condition = new Mp.Condition({lock: new Mp.Lock()});
    const order = [];
    const wait = i => condition.with(async () => {
        assertEqual(await condition.wait_async(), true);
        order.push(i);
    });
    const all = [0, 1, 2, 3].map(wait);
    await until(() => condition.get_n_waiting() === 4);
    await condition.with(() => condition.notify(2));
    await Promise.all(all.slice(0, 2));
    assertEqual([order, condition.get_n_waiting()], [[0, 1], 2]);
    await condition.with(() => condition.notify_all());
    await Promise.all(all);
    assertEqual([order, condition.lock.is_locked()], [[0, 1, 2, 3], false]);
});

test('cancelled', async () => {
    const condition = new Mp.Condition();
    const cancellable = new Gio.Cancellable();
    await condition.acquire_async();
    const waiting = condition.wait_async(cancellable);
    assertEqual([condition.lock.is_locked(), condition.get_n_waiting()], [false, 1]);
    cancellable.cancel();
    matches(await catchFrom(() => waiting), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    assertEqual([condition.lock.get_depth(), condition.get_n_waiting(), condition.release()], [1, 0, true]);
    matches(await catchFrom(() => condition.wait_async()), Mp.Error, Mp.Error.NOT_OWNER);
});

test('in other processes', async () => {
    const condition = new Mp.Condition({lock: new Mp.Lock()});
    const pool = Mp.Pool.new(1);
    condition.acquire();
    assertEqual(await pool.apply_async(look, [condition]), [true, true, false]);
    condition.release();
    const waiting = [await start(waitAndSay, condition), await start(waitAndSay, condition)];
    await until(() => condition.get_n_waiting() === 2);
    for (let n = 1; n >= 0; n--) {
        await pool.apply_async(notify, [condition, 1]);
        assertEqual(condition.get_n_waiting(), n);
    }
    for (const [process, connection] of waiting) {
        assertEqual(await connection.recv_async(), true);
        await process.join_async();
    }
    pool.terminate();
});

test('somebody is killed', async () => {
    const condition = new Mp.Condition();
    for (const victim of [waitAndSay, keepLock]) {
        const [waiting, connection] = await start(waitAndSay, condition);
        await until(() => condition.get_n_waiting() === 1);
        const [process, , pid] = await start(victim, condition);
        if (victim === waitAndSay)
            await until(() => condition.get_n_waiting() === 2);
        signal(pid, 'KILL');
        assertEqual(await connection.recv_async(), true);
        await process.join_async();
        await waiting.join_async();
    }
    assert(condition.lock.is_abandoned());
});

await run();
