// test-barrier.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Barriers: by promises, between processes, with actions, and broken ones.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, getPid, matches, run, signal, start, test, until} from
    './harness.js';

const back = Mp.register(function back(value) {
    return value;
});
const pass = Mp.register(function pass(barrier) {
    return barrier.wait();
});
const passLater = Mp.register(function passLater(barrier) {
    return barrier.wait_async();
});
const waitAndStay = Mp.register(function waitAndStay(barrier, connection) {
    connection.send(getPid());
    try {
        connection.send(barrier.wait());
    } catch (error) {
        connection.send(error.message);
    }
    connection.recv();
});

Mp.init();

function isBroken(error) {
    matches(error, Mp.Error, Mp.Error.BROKEN_BARRIER);
}

test('numbers', () => {
    const barrier = Mp.Barrier.new(1);
    assertEqual([barrier.parties, barrier.n_waiting, barrier.broken], [1, 0, false]);
    assertEqual([barrier.wait(), barrier.wait(0), barrier.wait(Infinity)], [0, 0, 0]);
    assertEqual(new Mp.Barrier({parties: 7}).get_parties(), 7);
});

test('promises', async () => {
    const barrier = new Mp.Barrier({parties: 4});
    for (let i = 0; i < 3; i++) {
        const all = Array.from({length: 4}, () => barrier.wait_async());
        assertEqual((await Promise.all(all)).sort(), [0, 1, 2, 3]);
    }
    const all = Array.from({length: 3}, () => barrier.wait_async());
    assertEqual([barrier.n_waiting, barrier.wait()], [3, 3]);
    assertEqual((await Promise.all(all)).sort(), [0, 1, 2]);
});

test('a callback instead of a promise', async () => {
    const barrier = new Mp.Barrier({parties: 1});
    let seen = null;
    barrier.wait_async(null, (source, result) => (seen = [source === barrier, barrier.wait_finish(result)]));
    await until(() => seen !== null);
    assertEqual(seen, [true, 0]);
});

test('time-outs, abort, reset', async () => {
    const barrier = new Mp.Barrier({parties: 2});
    for (const timeout of [0, 1, 1000]) {
        matches(catchNow(() => barrier.wait(timeout)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
        assertEqual(barrier.broken, true);
        isBroken(catchNow(() => barrier.wait()));
        isBroken(await catchFrom(() => barrier.wait_async()));
        assertEqual([barrier.reset(), barrier.is_broken()], [true, false]);
    }
    let waiting = barrier.wait_async();
    assertEqual(barrier.abort(), true);
    isBroken(await catchFrom(() => waiting));
    barrier.reset();
    waiting = barrier.wait_async();
    barrier.reset();
    isBroken(await catchFrom(() => waiting));
    assertEqual(barrier.broken, false);
});

test('cancelled', async () => {
    const barrier = new Mp.Barrier({parties: 3});
    const cancellable = new Gio.Cancellable();
    const [first, second] = [barrier.wait_async(cancellable), barrier.wait_async()];
    cancellable.cancel();
    matches(await catchFrom(() => first), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    isBroken(await catchFrom(() => second));
});

test('what it cannot be given', async () => {
    const barrier = new Mp.Barrier();
    assert(catchNow(() => barrier.wait('soon')) instanceof TypeError);
    assert(catchNow(() => barrier.wait(-2)) instanceof RangeError);
    assert(await catchFrom(() => barrier.wait_async(5)) instanceof TypeError);
    assert(catchNow(() => barrier.set_action('function')) instanceof TypeError);
    for (const parties of [0, -1, 16384])
        assert(catchNow(() => new Mp.Barrier({parties})) instanceof Error, `${parties}`);
});

test('actions', async () => {
    const barrier = new Mp.Barrier({parties: 2});
    const seen = [];
    barrier.set_action(same => seen.push([same === barrier, barrier.n_waiting]));
    await Promise.all([barrier.wait_async(), barrier.wait_async()]);
    assertEqual(seen, [[true, 2]]);

    barrier.set_action(() => {
        throw new Error('no room');
    });
    let [first, second] = [barrier.wait_async(), barrier.wait_async()];
    isBroken(await catchFrom(() => first));
    assertMatches((await catchFrom(() => second)).message, /^no room$/);
    barrier.reset();
    first = barrier.wait_async();
    assertMatches(catchNow(() => barrier.wait()).message, /^no room$/);
    isBroken(await catchFrom(() => first));

    barrier.reset();
    barrier.set_action(null);
    [first, second] = [barrier.wait_async(), barrier.wait_async()];
    assertEqual([await first, await second], [0, 1]);
});

test('between processes', async () => {
    const barrier = new Mp.Barrier({parties: 3});
    const pool = Mp.Pool.new(2);
    for (let i = 0; i < 3; i++) {
        const all = [pool.apply_async(pass, [barrier]), pool.apply_async(passLater, [barrier]), barrier.wait_async()];
        assertEqual((await Promise.all(all)).sort(), [0, 1, 2]);
    }
    assert(await pool.apply_async(back, [barrier]) instanceof Mp.Barrier);
    pool.close();
    await pool.join_async();
    assertEqual(barrier.broken, false);
});

test('one that waits is killed', async () => {
    const barrier = new Mp.Barrier({parties: 4});
    const waiting = [await start(waitAndStay, barrier), await start(waitAndStay, barrier)];
    await until(() => barrier.n_waiting === 2);
    const own = barrier.wait_async();
    signal(waiting[0][2], 'KILL');
    isBroken(await catchFrom(() => own));
    assertMatches(await waiting[1][1].recv_async(), /broken: a process that had it has ended/);
    waiting[1][1].send(null);
    for (const [process] of waiting)
        await process.join_async();
});

test('too few', async () => {
    const barrier = new Mp.Barrier({parties: 2});
    const error = await catchFrom(() => barrier.wait_async());
    isBroken(error);
    assertMatches(error.message, /are too few/);
});

await run();
