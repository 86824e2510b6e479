// test-control.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Tasks that are called off while they run, bounds in time, urgent ones, and how far they are.

import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, getPid, run, test} from './harness.js';

const pid = Mp.register('pid', () => getPid());
const spin = Mp.register('spin', gate => {
    gate?.send('here');
    for (;;)
        ;
});
const ask = Mp.register('ask', gate => {
    const call = Mp.Invocation.get_current();

    gate.send('here');
    while (!call.is_cancelled())
        ;
    assert(call.get_cancellable().is_cancelled());
    gate.send('told');
    return getPid();
});
const wait = Mp.register('wait', async gate => {
    const cancellable = Mp.Invocation.get_current().get_cancellable();

    gate.send('here');
    // Its own connect() is g_cancellable_connect().
    await new Promise(resolve => GObject.Object.prototype.connect.call(cancellable, 'cancelled', resolve));
    gate.send('told');
    return getPid();
});
const waitAtGate = Mp.register('waitAtGate', gate => {
    gate.send('here');
    return gate.recv();
});
const report = Mp.register('report', n => {
    const call = Mp.Invocation.get_current();

    for (let i = 1; i <= n; i++)
        call.report(i / n, new GLib.Variant('(is)', [i, 'steps']));
    return n;
});
const reportHalf = Mp.register('reportHalf', value => {
    const call = Mp.Invocation.get_current();

    if (value === undefined)
        call.report(0.5);
    else
        call.report(0.5, value);
});
let n = 0;
const count = Mp.register('count', () => n++);
Mp.init();

const {CANCELLED, FAILED} = Mp.FutureState;

function makePool(grace = 1000) {
    const pool = Mp.Pool.new(1);

    pool.cancel_grace_us = grace;
    pool.terminate_grace_us = grace;
    return pool;
}

function end(pool) {
    pool.terminate();
    pool.join();
}

test('a task that runs is stopped', async () => {
    const pool = makePool();
    const [near, far] = Mp.pipe_new();

    for (const way of ['cancel', 'options', 'async']) {
        const before = await pool.apply_async(pid);
        const cancellable = new Gio.Cancellable();
        let future = null, failed = null;

        if (way === 'async')
            failed = catchFrom(() => pool.apply_async(spin, [far], cancellable));
        else
            future = pool.submit_with(spin, [far], {cancellable});
        assertEqual(await near.recv_async(), 'here');
        if (way === 'cancel')
            assertEqual(future.cancel(), true);
        else
            cancellable.cancel();
        if (future !== null)
            assertEqual(future.state, CANCELLED);
        else
            assert((await failed).matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));
        assert(await pool.apply_async(pid) !== before);
    }
    end(pool);
});

test('a task is told, and costs no worker', async () => {
    const pool = makePool(60000000);
    const [near, far] = Mp.pipe_new();
    const before = await pool.apply_async(pid);

    for (const func of [ask, wait]) {
        const future = pool.submit(func, [far]);

        assertEqual(await near.recv_async(), 'here');
        assertEqual(future.cancel(), true);
        assertEqual(await near.recv_async(), 'told');
        assertEqual(await pool.apply_async(pid), before);
    }
    end(pool);
});

test('bounds in time', async () => {
    const pool = makePool();
    const [near, far] = Mp.pipe_new();
    const running = pool.submit_with(spin, [null], {run_timeout_us: 50000});

    assertMatches((await catchFrom(() => running.get_async())).message, /task “spin” ran/);
    assertEqual(running.state, FAILED);

    const busy = pool.submit(waitAtGate, [far]);
    assertEqual(await near.recv_async(), 'here');
    const late = pool.submit_with(pid, [], {queue_timeout_us: 20000, name: 'late'});
    const error = await catchFrom(() => late.get_async());
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT));
    assertMatches(error.message, /task “late” waited/);
    near.send('go');
    assertEqual(await busy.get_async(), 'go');
    end(pool);
});

test('the more urgent first', async () => {
    const pool = makePool();
    const [near, far] = Mp.pipe_new();
    const busy = pool.submit(waitAtGate, [far]);

    assertEqual(await near.recv_async(), 'here');
    const futures = [0, -1, 7].map(priority => pool.submit_with(count, [], {priority}));
    near.send('go');
    await busy.get_async();
    assertEqual(await Promise.all(futures.map(future => future.get_async())), [1, 2, 0]);
    end(pool);
});

test('how far a task is', async () => {
    const pool = makePool();
    const future = pool.submit(report, [3000]);
    const seen = [];

    future.connect('progress', (self, fraction, value) => seen.push([fraction, value.recursiveUnpack()]));
    await new Promise(resolve => future.connect('done', resolve));
    assertEqual(seen.at(-1), [1, [3000, 'steps']]);
    assertEqual(future.fraction, 1);
    assertEqual(future.get(), 3000);

    for (const value of [undefined, {plain: [1, 'two']}]) {
        const half = pool.submit(reportHalf, value === undefined ? [] : [value]);
        let seenValue = 'nothing';

        half.connect('progress', (self, fraction, variant) => {
            seenValue = variant === null ? null : Mp.unpack(variant);
        });
        await new Promise(resolve => half.connect('done', resolve));
        assertEqual(half.get(), undefined);
        assertEqual(seenValue, value === undefined ? null : value);
    }
    end(pool);
});

await run();
