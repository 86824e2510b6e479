// test-queue.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Queues of plain values, of bytes and of GVariants.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, catchFrom, catchNow, getPid, matches, run, show, signal, test} from './harness.js';

const back = Mp.register(function back(value) {
    return value;
});
const putAll = Mp.register(function putAll(queue, items) {
    items.forEach(item => queue.put(item));
});
const putAndDie = Mp.register(function putAndDie(queue, items) {
    items.forEach(item => queue.put(item));
    signal(getPid(), 'KILL');
});
const getAndWait = Mp.register(function getAndWait(queue, n, connection) {
    const items = [];
    while (items.length < n)
        items.push(queue.get());
    connection.send(getPid());
    connection.recv();
});
const squareAll = Mp.register(async function squareAll(source, sink) {
    for await (const n of source) {
        if (n === null)
            return;
        await sink.put_async([n, n * n]);
    }
});
const workOff = Mp.register(function workOff(queue) {
    for (let item = queue.get(); item !== null; item = queue.get())
        queue.task_done();
    queue.task_done();
});

Mp.init();

function start(func, args) {
    const process = Mp.Process.new(func, args);
    process.start();
    return process;
}

async function startAndHear(func, args) {
    const [ours, theirs] = Mp.pipe_new();
    const process = start(func, [...args, theirs]);
    return [process, await ours.recv_async(), ours];
}

const plain = [null, 1.5, 'text', [1, [2]], {a: true}, new Uint8Array([1, 2, 3]), new Date(5), 12345678901234567890n];

test('values', async () => {
    const queue = new Mp.Queue();
    for (const value of plain)
        assertEqual(queue.put(value), true);
    assertEqual(queue.get_length(), plain.length);
    for (const value of plain)
        assertEqual(show(queue.get()), show(value));
    for (const value of plain)
        await queue.put_async(value);
    for (const value of plain)
        assertEqual(show(await queue.get_async()), show(value));
    const variant = new GLib.Variant('(sv)', ['x', new GLib.Variant('i', 5)]);
    assertEqual(queue.try_put(variant), true);
    assertEqual(queue.try_get().print(true), variant.print(true));
    assertEqual([queue.is_empty(), queue.is_full()], [true, false]);
});

test('bounds', async () => {
    const queue = new Mp.Queue({max_items: 2});
    matches(catchNow(() => queue.try_get()), Mp.Error, Mp.Error.EMPTY);
    matches(catchNow(() => queue.get(1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    queue.put(1);
    queue.put(2, 0);
    matches(catchNow(() => queue.try_put(3)), Mp.Error, Mp.Error.FULL);
    matches(catchNow(() => queue.put(3, 1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    const third = queue.put_async(3);
    assertEqual([await queue.get_async(), await third, queue.get(), queue.get()], [1, true, 2, 3]);

    const small = new Mp.Queue({maxBytes: 100});
    matches(catchNow(() => small.put_bytes(new Uint8Array(101))), Mp.Error, Mp.Error.TOO_LARGE);
    assertEqual([small.put_bytes(new Uint8Array(60)), small.get_n_bytes()], [true, 60]);
    matches(catchNow(() => small.put_bytes(new Uint8Array(41), 0)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
});

test('bytes', () => {
    const queue = new Mp.Queue();
    queue.put_bytes(new Uint8Array([1, 2, 3]));
    queue.put_bytes(new GLib.Bytes([4]));
    queue.put_bytes(new Uint8Array(0));
    queue.put('no bytes');
    assertEqual([1, 2, 3].map(() => [...queue.get_bytes().toArray()]), [[1, 2, 3], [4], []]);
    matches(catchNow(() => queue.get_bytes()), Mp.Error, Mp.Error.INVALID_TYPE);
    assertEqual(queue.get(), 'no bytes');
});

test('what cannot be asked for', async () => {
    for (const bad of [-1, 1.5, 2 ** 33])
        assert(catchNow(() => new Mp.Queue({max_items: bad})) instanceof RangeError);
    assert(catchNow(() => new Mp.Queue({max_items: '1'})) instanceof TypeError);
    assert(catchNow(() => new Mp.Queue(5)) instanceof TypeError);
    const queue = new Mp.Queue();
    assert(catchNow(() => queue.get('soon')) instanceof TypeError);
    assert(catchNow(() => queue.get(-2)) instanceof RangeError);
    assert(catchNow(() => queue.put(1, NaN)) instanceof TypeError);
    assert(catchNow(() => queue.put_bytes('text')) instanceof TypeError);
    assert(await catchFrom(() => queue.get_async(5)) instanceof TypeError);
    matches(catchNow(() => queue.put(new Mp.Lock())), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED);
    assert(queue.is_empty());
});

test('promises in their order', async () => {
    const queue = new Mp.Queue({max_items: 3});
    const got = Array.from({length: 50}, () => queue.get_async());
    const put = Array.from({length: 50}, (_, i) => queue.put_async(i));
    assertEqual(await Promise.all(put), new Array(50).fill(true));
    assertEqual(await Promise.all(got), Array.from({length: 50}, (_, i) => i));
});

test('cancelled', async () => {
    const queue = new Mp.Queue();
    const cancellable = new Gio.Cancellable();
    const waiting = queue.get_async(cancellable);
    const next = queue.get_async();
    cancellable.cancel();
    matches(await catchFrom(() => waiting), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    queue.put('for the next one');
    assertEqual(await next, 'for the next one');
});

test('through processes', async () => {
    const [source, sink] = [new Mp.Queue({max_items: 2}), new Mp.Queue()];
    const processes = [1, 2].map(() => start(squareAll, [source, sink]));
    for (let n = 0; n < 50; n++)
        await source.put_async(n);
    for (const {} of processes)
        source.put(null);
    const squares = [];
    for await (const [n, square] of sink)
        squares[n] = square;
    assertEqual(squares, Array.from({length: 50}, (_, n) => n * n));
    for (const process of processes)
        await process.join_async();
});

test('travels', async () => {
    const pool = Mp.Pool.new(1);
    for (const klass of [Mp.Queue, Mp.SimpleQueue, Mp.JoinableQueue]) {
        const queue = new klass();
        queue.put(klass.name);
        const same = await pool.apply_async(back, [{queue}]);
        assert(same.queue instanceof klass);
        assertEqual(same.queue.get(), klass.name);
    }
    pool.terminate();
});

test('a producer is killed', async () => {
    const queue = new Mp.Queue();
    const process = start(putAndDie, [queue, plain]);
    const got = [];
    for await (const item of queue)
        got.push(item);
    assertEqual(show(got), show(plain));
    await process.join_async();
});

test('closed', async () => {
    const queue = new Mp.Queue();
    queue.put('still there');
    assertEqual(queue.close(), true);
    matches(catchNow(() => queue.put('more')), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
    assertEqual(queue.get(), 'still there');
    matches(await catchFrom(() => queue.get_async()), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
});

test('a queue without bounds', () => {
    const queue = new Mp.SimpleQueue();
    for (let i = 0; i < 1000; i++)
        queue.put(i);
    for (let i = 0; i < 1000; i++)
        assertEqual(queue.get(), i);
    assert(queue.is_empty());
});

test('worked off', async () => {
    const queue = new Mp.JoinableQueue();
    assertEqual(await queue.join_async(), true);
    matches(catchNow(() => queue.task_done()), Mp.Error, Mp.Error.NOT_OWNER);
    const processes = [1, 2].map(() => start(workOff, [queue]));
    putAll(queue, Array.from({length: 20}, (_, i) => i));
    assertEqual(await queue.join_async(), true);
    putAll(queue, [null, null]);
    assertEqual([queue.join(), queue.n_unfinished], [true, 0]);
    for (const process of processes)
        await process.join_async();
});

test('abandoned', async () => {
    const queue = new Mp.JoinableQueue();
    putAll(queue, ['a', 'b', 'c']);
    const [process, pid] = await startAndHear(getAndWait, [queue, 2]);
    matches(catchNow(() => queue.join(1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    const joined = queue.join_async();
    signal(pid, 'KILL');
    matches(await catchFrom(() => joined), Mp.Error, Mp.Error.WORKER_DIED);
    await process.join_async();
    assertEqual([queue.get_n_abandoned(), queue.n_unfinished, queue.put_back_abandoned()], [2, 3, 2]);
    assertEqual([queue.get(), queue.get(), queue.get()], ['a', 'b', 'c']);
    for (let i = 0; i < 3; i++)
        queue.task_done();
    assertEqual(queue.join(), true);
});

await run();
