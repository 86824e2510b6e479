// test-futures.js — SPDX-License-Identifier: LGPL-2.1-or-later

import Gio from 'gi://Gio';
import System from 'system';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, run, test, until} from './harness.js';

const square = Mp.register('square', x => x * x);
const fail = Mp.register('fail', () => {
    throw new RangeError('too far');
});
// Comes back when its end of the connection is spoken to.
const waitAtGate = Mp.register('waitAtGate', gate => {
    gate.send('here');
    return gate.recv();
});
const large = Mp.register('large', bytes => bytes.length);
Mp.init();

const {CANCELLED, FAILED, QUEUED, RUNNING, SUCCEEDED} = Mp.FutureState;

class Gate {
    constructor() {
        [this.near, this.far] = Mp.pipe_new();
    }

    async opened() {
        assertEqual(await this.near.recv_async(), 'here');
    }

    open(value = 'open') {
        this.near.send(value);
    }
}

function emitted(object, signal) {
    return new Promise(resolve => {
        const id = object.connect(signal, (...args) => {
            object.disconnect(id);
            resolve(args);
        });
    });
}

test('state, cancel, and the signal done', async () => {
    const pool = Mp.Pool.new(1);
    const gate = new Gate();
    const waits = pool.submit(waitAtGate, [gate.far]);
    const next = pool.submit(square, [3]);
    const fails = pool.submit(fail);
    await gate.opened();
    assertEqual(waits.state, RUNNING);
    assertEqual(next.get_state(), QUEUED);
    assertEqual(next.function, 'square');

    const done = emitted(next, 'done');
    assertEqual(next.cancel(), true);
    assertEqual(next.cancel(), false);
    await done;
    assertEqual(next.state, CANCELLED);
    const error = await catchFrom(() => next.get_async());
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));

    const ended = Promise.all([emitted(waits, 'done'), emitted(fails, 'notify::state')]);
    gate.open(5);
    await ended;
    assertEqual(waits.state, SUCCEEDED);
    assertEqual(waits.get(), 5);
    assertEqual(fails.state, FAILED);
    assertMatches(catchNow(() => fails.get()).message, /too far/);
    pool.terminate();
    pool.join();
});

test('whoever listens need not keep the future', async () => {
    const pool = Mp.Pool.new(2);
    const sum = await new Promise(resolve => {
        let n = 0, total = 0;
        for (let i = 0; i < 200; i++) {
            pool.submit(square, [i]).connect('done', future => {
                total += future.get();
                if (++n === 200)
                    resolve(total);
            });
        }
        System.gc();
    });
    assertEqual(sum, 2646700);
    pool.terminate();
    pool.join();
});

test('several at once', async () => {
    const pools = [Mp.Pool.new(1), Mp.Pool.new(1)];
    const gate = new Gate();
    const waits = pools[0].submit(waitAtGate, [gate.far]);
    const other = pools[1].submit(square, [3]);
    assert(await Mp.Future.wait_any_async([waits, other]) === other);
    assert(Mp.Future.wait_any([waits, other]) === other);
    await gate.opened();
    const error = catchNow(() => Mp.Future.wait_all([waits, other], 1000));
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT));
    const cancellable = new Gio.Cancellable();
    const cancelled = catchFrom(() => Mp.Future.wait_all_async([waits], cancellable));
    cancellable.cancel();
    assert((await cancelled).matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));
    const all = Mp.Future.wait_all_async([waits, other]);
    gate.open();
    assertEqual(await all, true);
    assertEqual(Mp.Future.wait_all([]), true);
    assert(catchNow(() => Mp.Future.wait_any([])).matches(Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT));
    for (const pool of pools) {
        pool.terminate();
        pool.join();
    }
});

test('as they end', async () => {
    const pool = Mp.Pool.new(2);
    const gate = new Gate();
    const waits = pool.submit(waitAtGate, [gate.far]);
    const futures = [waits, ...[1, 2, 3].map(x => pool.submit(square, [x])), pool.submit_map(square, [1, 2, 3])];
    const list = Mp.as_completed(futures);
    System.gc();
    const results = [];
    for await (const future of list) {
        results.push(future.get());
        if (results.length === 4)
            gate.open('last');
    }
    assertEqual(results.pop(), 'last');
    assertEqual(results.map(String).sort(), ['1', '1,4,9', '4', '9']);
    assertEqual([...list].length, 5);
    assertEqual(list.n_done, 5);
    assertEqual(list.fraction, 1);
    assert(list.next_done() === null);
    pool.terminate();
    pool.join();
});

test('a list of futures', async () => {
    const pool = Mp.Pool.new(1);
    const list = new Mp.FutureList();
    const changes = [];
    list.connect('items-changed', (_list, ...change) => changes.push(change));
    const notified = emitted(list, 'notify::fraction');
    const [first, second] = [pool.submit(square, [2]), pool.submit(square, [3])];
    list.add(first);
    list.add(second);
    await notified;
    assertEqual(await list.wait_all_async(), true);
    assert(list instanceof Gio.ListModel);
    assertEqual(list.get_item_type(), Mp.Future.$gtype);
    assert(list.get_item(1) === second);
    assertEqual(list.remove(first), true);
    assertEqual(changes, [[0, 0, 1], [1, 0, 1], [0, 1, 0]]);
    assertEqual(list.get_n_done(), 1);
    assertEqual(list.cancel(), 0);
    pool.terminate();
    pool.join();
});

test('room in the queue', async () => {
    const pool = new Mp.Pool({n_workers: 1, max_queued: 2});
    const gate = new Gate();
    const waits = pool.submit(waitAtGate, [gate.far]);
    await gate.opened();
    const bytes = new Uint8Array(1200 * 1000);
    const futures = [];
    const full = catchNow(() => {
        for (;;)
            futures.push(pool.try_submit(large, [bytes]));
    });
    assert(full.matches(Mp.Error, Mp.Error.FULL));
    assert(futures.length >= 2 && futures.length < 20);
    assertEqual(pool.needs_drain, true);

    const cancellable = new Gio.Cancellable();
    const refused = catchFrom(() => pool.submit_async(square, [1], null, cancellable));
    const pending = pool.submit_async(square, [4], {name: 'four'});
    cancellable.cancel();
    assert((await refused).matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));
    const drained = emitted(pool, 'notify::needs-drain');
    gate.open();
    const future = await pending;
    assertEqual(future.name, 'four');
    assertEqual(await future.get_async(), 16);
    assertEqual(await waits.get_async(), 'open');
    await drained;
    await until(() => !pool.needs_drain);
    pool.terminate();
    pool.join();
});

test('a cancellable calls a task off', async () => {
    const pool = Mp.Pool.new(1);
    const gate = new Gate();
    const waits = pool.submit(waitAtGate, [gate.far]);
    const cancellable = new Gio.Cancellable();
    const next = pool.submit_with(square, [3], {cancellable, name: 'doomed'});
    await gate.opened();
    cancellable.cancel();
    assertMatches((await catchFrom(() => next.get_async())).message, /doomed.*cancelled/);
    assertEqual(next.state, CANCELLED);
    gate.open();
    assertEqual(await waits.get_async(), 'open');
    assertMatches(catchNow(() => pool.submit_with(square, [3], 5)).message, /options/);
    pool.terminate();
    pool.join();
});

test('terminate in a handler of an error', async () => {
    const pool = Mp.Pool.new(1);
    const gate = new Gate();
    const fails = pool.submit(fail);
    const behind = [pool.submit(waitAtGate, [gate.far]), pool.submit(square, [1])];
    fails.connect('done', () => {
        pool.terminate();
        pool.join();
    });
    await Mp.Future.wait_all_async([fails, ...behind]);
    assertEqual(behind.map(future => future.state), [CANCELLED, CANCELLED]);
});

await run();
