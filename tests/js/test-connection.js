// test-connection.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Pipes of plain values, of bytes and of GVariants; loops over messages; descriptors.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, catchFrom, catchNow, matches, run, show, test} from './harness.js';

const sendAll = Mp.register(function sendAll(connection, items) {
    items.forEach(item => connection.send(item));
    connection.close();
});
const doubleAll = Mp.register(async function doubleAll(connection) {
    let n = 0;
    for await (const x of connection) {
        await connection.send_async(2 * x);
        n++;
    }
    return n;
});
const writeTo = Mp.register(function writeTo(descriptor, text) {
    const stream = new Gio.UnixOutputStream({fd: descriptor.steal_fd(), close_fd: true});
    stream.write_all(new TextEncoder().encode(text), null);
    stream.close(null);
});

const sendErrors = Mp.register(function sendErrors(connection) {
    // Domains that the owner does not have, so that those that both have are other numbers here.
    for (let i = 0; i < 50; i++)
        GLib.quark_from_string(`mp-test-${i}-quark`);
    connection.send([new GLib.Error(Gio.ResolverError, Gio.ResolverError.NOT_FOUND, 'not there')]);
});

Mp.init();

const text = bytes => new TextDecoder().decode(bytes.toArray());
const plain = [null, undefined, -0, 1.5, 'grüße', [1, [2]], {a: true}, new Map([[1, 2]]), 12345678901234567890n];

test('values', async () => {
    const [first, second] = Mp.pipe_new();
    for (const value of plain) {
        assertEqual(first.send(value), true);
        assertEqual(second.recv(), value);
        await second.send_async(value);
        assertEqual(await first.recv_async(), value);
    }
});

test('bytes', async () => {
    const [first, second] = Mp.pipe_new();
    const buffer = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer;
    for (const [bytes, expected] of [
        [new Uint8Array(buffer), [1, 2, 3, 4, 5, 6, 7, 8]],
        [new Uint8Array(buffer, 2, 3), [3, 4, 5]],
        [new Uint16Array(buffer, 2, 1), [3, 4]],
        [new DataView(buffer, 6), [7, 8]],
        [buffer, [1, 2, 3, 4, 5, 6, 7, 8]],
        [new GLib.Bytes(new Uint8Array([9])), [9]],
        [new Uint8Array(), []],
    ]) {
        first.send_bytes(bytes);
        assertEqual([...second.recv_bytes().toArray()], expected);
        await first.send_bytes_async(bytes);
        assertEqual([...(await second.recv_bytes_async()).toArray()], expected);
    }
    for (const wrong of ['text', [1, 2], null, 5, {}]) {
        assert(catchNow(() => first.send_bytes(wrong)) instanceof TypeError, show(wrong));
        assert(await catchFrom(() => first.send_bytes_async(wrong)) instanceof TypeError, show(wrong));
    }
});

test('bytes into an array', async () => {
    const [first, second] = Mp.pipe_new();
    const numbers = new Int32Array(5);
    first.send_bytes(new Int32Array([42, 1729]));
    assertEqual(second.recv_bytes_into(numbers), 8);
    assertEqual(numbers, new Int32Array([42, 1729, 0, 0, 0]));
    first.send_bytes(new Int32Array([7]));
    assertEqual(await second.recv_bytes_into_async(numbers, 12), 4);
    assertEqual(numbers, new Int32Array([42, 1729, 0, 7, 0]));
    first.send_bytes(new Uint8Array([1, 2, 3]));
    assertEqual(second.recv_bytes_into(numbers.buffer, 17), 3);
    assertEqual([...new Uint8Array(numbers.buffer, 16)], [0, 1, 2, 3]);

    // What does not fit comes with the error, as a whole, and nothing is written.
    const small = new Uint8Array(2);
    for (const receive of [() => second.recv_bytes_into(small), () => second.recv_bytes_into_async(small)]) {
        first.send_bytes(new Uint8Array([1, 2, 3]));
        const error = await catchFrom(receive);
        matches(error, Mp.Error, Mp.Error.BUFFER_TOO_SHORT);
        assertEqual([...error.bytes.toArray()], [1, 2, 3]);
    }
    assertEqual(small, new Uint8Array(2));
    assertEqual(second.poll(), false);

    for (const wrong of [[1, 2], 'text', new GLib.Bytes(new Uint8Array(5)), null])
        assert(catchNow(() => second.recv_bytes_into(wrong)) instanceof TypeError, show(wrong));
    for (const wrong of [-1, 3, 1.5])
        assert(catchNow(() => second.recv_bytes_into(small, wrong)) instanceof RangeError, show(wrong));
});

test('what is not asked for stays', async () => {
    const [first, second] = Mp.pipe_new();
    first.send_bytes(new Uint8Array([65]));
    first.send('value');
    matches(catchNow(() => second.recv()), Mp.Error, Mp.Error.INVALID_TYPE);
    assertEqual(text(second.recv_bytes()), 'A');
    matches(await catchFrom(() => second.recv_bytes_async()), Mp.Error, Mp.Error.INVALID_TYPE);
    assertEqual(second.recv(), 'value');
});

test('parts, and lengths', async () => {
    const [first, second] = Mp.pipe_new();
    const bytes = new TextEncoder().encode('0123456789');
    first.send_bytes_full(bytes, 3);
    first.send_bytes_full(bytes, 3, 4);
    await first.send_bytes_full_async(new GLib.Bytes(bytes), 8);
    await first.send_bytes_full_async(bytes, 10, 0);
    // What is too long stays.
    matches(catchNow(() => second.recv_bytes_full(6)), Mp.Error, Mp.Error.TOO_LARGE);
    matches(await catchFrom(() => second.recv_bytes_full_async(6)), Mp.Error, Mp.Error.TOO_LARGE);
    assertEqual(text(second.recv_bytes_full(7)), '3456789');
    assertEqual(text(await second.recv_bytes_full_async(100)), '3456');
    assertEqual(text(second.recv_bytes()), '89');
    assertEqual(text(second.recv_bytes_full(0)), '');
    for (const [offset, size] of [[11], [0, 11], [5, 6]]) {
        matches(catchNow(() => first.send_bytes_full(bytes, offset, size)), Gio.IOErrorEnum,
            Gio.IOErrorEnum.INVALID_ARGUMENT);
    }
    for (const [offset, size] of [[-1], [1.5], [0, -2], [0, NaN]])
        assert(catchNow(() => first.send_bytes_full(bytes, offset, size)) instanceof RangeError, show([offset, size]));
    assert(catchNow(() => second.recv_bytes_full()) instanceof TypeError);
    assert(catchNow(() => second.recv_bytes_full(-1)) instanceof RangeError);
});

test('polls', async () => {
    const [first, second] = Mp.pipe_new();
    assertEqual(second.poll(), false);
    const polled = second.poll_async();
    first.send(1);
    assertEqual(await polled, true);
    assertEqual(second.poll(-1), true);
    assertEqual(second.recv(), 1);
    first.close();
    assertEqual(await second.poll_async(), true);
});

test('one way', () => {
    const [reader, writer] = Mp.pipe_new(false);
    writer.send(1);
    assertEqual(reader.recv(), 1);
    assertEqual([reader.readable, reader.writable, writer.readable, writer.writable], [true, false, false, true]);
    matches(catchNow(() => reader.send(1)), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED);
});

test('times, and what ends a wait', async () => {
    const [first] = Mp.pipe_new();
    matches(catchNow(() => first.recv(0)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    matches(catchNow(() => first.recv_bytes(1000)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    const cancelled = new Gio.Cancellable();
    const waiting = first.recv_async(cancelled);
    cancelled.cancel();
    matches(await catchFrom(() => waiting), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    matches(catchNow(() => first.recv(-1, cancelled)), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    for (const wrong of ['1', NaN, null, {}])
        assert(catchNow(() => first.recv(wrong)) instanceof TypeError, show(wrong));
    assert(catchNow(() => first.recv(-2)) instanceof RangeError);
    assert(catchNow(() => first.recv(0, 'cancellable')) instanceof TypeError);
    assert(await catchFrom(() => first.recv_async({})) instanceof TypeError);
});

test('a loop', async () => {
    const [ours, theirs] = Mp.pipe_new();
    const process = Mp.Process.new(sendAll, [theirs, plain]);
    await process.start_async();
    theirs.close();
    const items = [];
    for await (const item of ours)
        items.push(item);
    assertEqual(items, plain);
    assertEqual(ours.is_closed(), true);
    await process.join_async();
    // It has ended, and does so again.
    for await (const item of ours)
        assert(false, show(item));
});

test('a loop over values and bytes', async () => {
    const [first, second] = Mp.pipe_new();
    first.send('value');
    first.send_bytes(new Uint8Array([65]));
    first.send(new GLib.Variant('i', 5));
    first.close();
    const items = [];
    for await (const item of second)
        items.push(item);
    assertEqual(items, ['value', new GLib.Bytes(new Uint8Array([65])), new GLib.Variant('i', 5)]);
});

test('a loop that is left', async () => {
    const [first, second] = Mp.pipe_new();
    first.send(1);
    first.send(2);
    for await (const item of second) {
        assertEqual(item, 1);
        break;
    }
    assertEqual(second.recv(), 2);
    second.close();
    const error = await catchFrom(() => first.send_async(3));
    matches(error, Gio.IOErrorEnum, Gio.IOErrorEnum.BROKEN_PIPE);
});

test('a loop that this end closes', async () => {
    const [first, second] = Mp.pipe_new();
    const loop = (async () => {
        let n = 0;
        for await (const item of second) {
            assertEqual(item, n++);
            if (n === 2)
                second.close();
        }
        return n;
    })();
    [0, 1, 2].forEach(n => first.send(n));
    assertEqual(await loop, 2);
});

test('a loop in a worker', async () => {
    const [ours, theirs] = Mp.pipe_new();
    const pool = new Mp.Pool({n_workers: 1});
    const future = pool.submit(doubleAll, [theirs]);
    for (let i = 0; i < 5; i++) {
        await ours.send_async(i);
        assertEqual(await ours.recv_async(), 2 * i);
    }
    theirs.close();
    ours.close();
    assertEqual(await future.get_async(), 5);
    pool.terminate();
});

test('descriptors', async () => {
    const [reading, writing] = Mp.pipe_new(false);
    const descriptor = Mp.Descriptor.new(writing.get_fd());
    assert(descriptor.get_fd() !== writing.get_fd());
    writing.close();
    descriptor.close();
    assertEqual([descriptor.is_closed(), descriptor.get_fd(), descriptor.steal_fd()], [true, -1, -1]);
    matches(await catchFrom(() => reading.recv_async()), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
    matches(catchNow(() => Mp.Descriptor.new(-1)), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    for (const wrong of ['x', undefined, null, 1.5, NaN, 2 ** 32])
        for (const make of [Mp.Descriptor.new, Mp.Connection.new_from_fd])
            assert(catchNow(() => make(wrong)) instanceof TypeError, `${wrong}`);

    const [file, stream] = Gio.File.new_tmp('mp-js-XXXXXX');
    const path = file.get_path();
    const shared = Mp.Descriptor.new(stream.get_output_stream().get_fd());
    const process = Mp.Process.new(writeTo, [shared, 'from there']);
    await process.start_async();
    await process.join_async();
    assertEqual(new TextDecoder().decode(GLib.file_get_contents(path)[1]), 'from there');

    // The position is common to all.
    const [first, second] = Mp.pipe_new();
    first.send({where: [shared]});
    writeTo(second.recv().where[0], ', and here');
    assertEqual(new TextDecoder().decode(GLib.file_get_contents(path)[1]), 'from there, and here');
    stream.close(null);
    file.delete(null);
});

test('an error of GLib has the same domain in another process', async () => {
    assert(new GLib.Error(Gio.ResolverError, 0, '').domain > 0);
    const [ours, theirs] = Mp.pipe_new();
    const process = Mp.Process.new(sendErrors, [theirs]);
    await process.start_async();
    const [error] = await ours.recv_async();
    matches(error, Gio.ResolverError, Gio.ResolverError.NOT_FOUND);
    await process.join_async();
});

await run();
