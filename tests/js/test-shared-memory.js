// test-shared-memory.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Shared memory as typed arrays, and lists of plain values in it.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchNow, matches, run, show, test} from './harness.js';

const back = Mp.register(function back(value) {
    return value;
});
const double = Mp.register(function double(memory) {
    const numbers = memory.toTypedArray(Float64Array);
    numbers.forEach((x, i) => (numbers[i] = 2 * x));
    return numbers.length;
});
const change = Mp.register(function change(list, index, value) {
    const old = list.get_item(index);
    list.set_item(index, value);
    return old;
});

Mp.init();

const encode = text => new TextEncoder().encode(text);

test('memory', () => {
    const memory = Mp.SharedMemory.new(100);
    assertEqual([memory.get_size(), memory.size, memory.get_name(), memory.get_isolated()], [100, 100, null, true]);
    assertEqual(memory.write(95, encode('hello')), true);
    assertEqual(memory.read(94), new Uint8Array([0, ...encode('hello')]));
    assertEqual(memory.read(96, 2), encode('el'));
    assertEqual(memory.read(100), new Uint8Array());
    memory.write(0, new Uint16Array([0x0201]));
    memory.write(2, new Uint8Array([3]).buffer);
    memory.write(3, new GLib.Bytes(new Uint8Array([4])));
    memory.write(10, new Uint8Array([9, 9, 5, 9]).subarray(2, 3));
    assertEqual([...memory.read(0, 12)], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 0]);
});

test('a typed array is the memory itself', () => {
    const memory = Mp.SharedMemory.new(80);
    const numbers = memory.toTypedArray(Float64Array);
    const bytes = memory.toTypedArray();
    assertEqual([numbers.length, bytes.length, bytes.constructor.name], [10, 80, 'Uint8Array']);
    numbers[9] = 0.5;
    assertEqual([...memory.read(72)], [0, 0, 0, 0, 0, 0, 0xe0, 0x3f]);
    memory.write(0, new Float64Array([2.5]));
    assertEqual([numbers[0], bytes[6], bytes[7]], [2.5, 4, 64]);
    // It stays when the memory is closed.
    memory.close();
    assertEqual([memory.is_closed(), numbers[9]], [true, 0.5]);
});

test('what is no type of an array, and no list', () => {
    for (const memory of [Mp.SharedMemory.new(80), Mp.Array.new('d', 10)]) {
        for (const [type, shown] of [[Array, 'the function Array'], [DataView, 'the function DataView'], [8, '8'],
            [null, 'null']]) {
            const error = catchNow(() => memory.toTypedArray(type));
            assert(error instanceof TypeError, error);
            assertMatches(error.message, new RegExp(`a type as Float64Array, not ${shown}$`));
        }
    }
    for (const values of [5, null, undefined, {}])
        assertMatches(catchNow(() => Mp.ShareableList.new(values)).message, /^A list is made from what can be iterated, not /);
});

test('what grows and is sealed', () => {
    const memory = Mp.SharedMemory.new(8);
    let array = memory.toTypedArray();
    array[0] = 7;
    assertEqual([memory.grow(5000), memory.toTypedArray().length, memory.toTypedArray()[0]], [true, 5000, 7]);
    matches(catchNow(() => memory.grow(100)), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    const other = Mp.SharedMemory.new(8);
    other.write(0, encode('x'));
    assert(other.seal(Mp.SealFlags.GROW | Mp.SealFlags.WRITE));
    matches(catchNow(() => other.write(0, encode('y'))), Gio.IOErrorEnum, Gio.IOErrorEnum.READ_ONLY);
    array = other.toTypedArray();
    array[0] = 0;
    assertEqual(other.read(0, 1), encode('x'));
});

test('names', () => {
    const memory = Mp.SharedMemory.new_named(null, 10);
    assertMatches(memory.name, /^psm_/);
    const same = Mp.SharedMemory.attach(memory.name);
    same.write(0, encode('x'));
    assertEqual(memory.read(0, 1), encode('x'));
    matches(catchNow(() => Mp.SharedMemory.new_named(memory.name, 10)), Gio.IOErrorEnum, Gio.IOErrorEnum.EXISTS);
    memory.unlink();
    matches(catchNow(() => Mp.SharedMemory.attach(memory.name)), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND);
});

test('what memory does not take', () => {
    matches(catchNow(() => Mp.SharedMemory.new(0)), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    matches(catchNow(() => Mp.SharedMemory.new(2 ** 50)), Mp.Error, Mp.Error.TOO_LARGE);
    assert(catchNow(() => Mp.SharedMemory.new('5')) instanceof TypeError);
    assert(catchNow(() => Mp.SharedMemory.new(1.5)) instanceof TypeError);
    assert(catchNow(() => Mp.SharedMemory.new(-1)) instanceof RangeError);
    const memory = Mp.SharedMemory.new(10);
    matches(catchNow(() => memory.read(5, 6)), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    matches(catchNow(() => memory.write(10, encode('x'))), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    assert(catchNow(() => memory.read(-1)) instanceof RangeError);
    for (const [wrong, text] of [['text', '"text"'], [null, 'null'], [undefined, 'undefined'], [{}, 'an object Object']]) {
        const error = catchNow(() => memory.write(0, wrong));
        assert(error instanceof TypeError, show(error));
        assertMatches(error.message, new RegExp(`write\\(\\) takes .*, not ${text}`));
    }
    memory.close();
    matches(catchNow(() => memory.read(0, 1)), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
    matches(catchNow(() => memory.toTypedArray()), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
});

test('a list', () => {
    const values = [1, -0.5, 'größe', '', true, false, null, encode('bytes'), new Uint8Array(), 2n ** 63n - 1n,
        -(2 ** 53)];
    const list = Mp.ShareableList.new(values);
    assertEqual([list.get_length(), list.length], [11, 11]);
    assertEqual([...list], values);
    assertEqual(list.dup_values(), [...list]);
    assertEqual([list.dup_format(0), list.dup_format(2), list.dup_format(6)], ['q', '8s', 'xxxxxx?x']);
    assertEqual([list.set_item(0, 'eins'), list.get_item(0)], [true, 'eins']);
    list.set_item(0, undefined);
    list.set_item(2, new GLib.Variant('d', 2));
    assertEqual([list.get_item(0), list.get_item(2), list.dup_format(2)], [null, 2, 'd']);
    assertEqual([list.count(null), list.count(true), list.count('zwei')], [2, 1, 0]);
    assertEqual([list.index(2), list.indexOf(2), list.indexOf(3)], [2, 2, -1]);
    matches(catchNow(() => list.index('zwei')), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND);
    assertEqual([...Mp.ShareableList.new([])], []);
    assertEqual([...Mp.ShareableList.new(new GLib.Variant('(xs)', [5, 'x']))], [5, 'x']);
});

test('numbers of a list', () => {
    const numbers = [0, -0, NaN, Infinity, 2 ** 53, 1e300, -(2n ** 63n), 2n ** 53n + 1n, 5n];
    assertEqual([...Mp.ShareableList.new(numbers)], [...numbers.slice(0, -1), 5]);
});

test('what a list does not take', () => {
    const list = Mp.ShareableList.new(['eins', 2]);
    for (const value of [[1], {}, Symbol('x'), () => 1, new Date()])
        assert(catchNow(() => list.set_item(0, value)) instanceof TypeError, show(typeof value));
    assert(catchNow(() => list.set_item(0, 'a\0b')) instanceof RangeError);
    assert(catchNow(() => list.set_item(0, 2n ** 63n)) instanceof RangeError);
    assert(catchNow(() => Mp.ShareableList.new([1, {}])) instanceof TypeError);
    matches(catchNow(() => list.set_item(0, '123456789')), Mp.Error, Mp.Error.TOO_LARGE);
    matches(catchNow(() => list.set_item(0, new Uint8Array([0]))), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);
    for (const index of [2, -1])
        assert(catchNow(() => list.get_item(index)) instanceof RangeError);
    for (const index of ['0', 0.5, null])
        assert(catchNow(() => list.set_item(index, 1)) instanceof TypeError);
    assertEqual([...list], ['eins', 2]);
    list.get_memory().write(56, encode('9s'));
    matches(catchNow(() => list.get_item(1)), Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_DATA);
    list.get_memory().write(0, new Uint8Array([255]));
    matches(catchNow(() => Mp.ShareableList.new_for_memory(list.get_memory())),
        Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_DATA);
});

test('a list with a name', () => {
    const list = Mp.ShareableList.new_named([1, 'x'], `mp-js-${GLib.uuid_string_random()}`);
    const same = Mp.ShareableList.attach(list.memory.name);
    same.set_item(1, 'y');
    assertEqual([...list], [1, 'y']);
    list.memory.unlink();
    matches(catchNow(() => Mp.ShareableList.attach(list.memory.name)), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND);
});

test('through arguments and results', async () => {
    const memory = Mp.SharedMemory.new(800);
    memory.toTypedArray(Float64Array).fill(1.25);
    const list = Mp.ShareableList.new([1, 'text']);
    const pool = Mp.Pool.new(1);
    assertEqual(await pool.apply_async(double, [memory]), 100);
    assertEqual(memory.toTypedArray(Float64Array)[99], 2.5);
    assertEqual(await pool.apply_async(change, [list, 1, 'new']), 'text');
    assertEqual([...list], [1, 'new']);
    const [same, sameMemory] = await pool.apply_async(back, [[list, memory]]);
    same.set_item(0, 5);
    sameMemory.write(0, new Float64Array([-1]));
    assertEqual([list.get_item(0), memory.toTypedArray(Float64Array)[0]], [5, -1]);
    pool.terminate();
});

test('a manager', () => {
    const manager = Mp.SharedMemoryManager.new();
    const memory = manager.create(10);
    const named = manager.create_named(null, 10);
    const list = Mp.ShareableList.new_named([1]);
    manager.add(list.memory);
    const own = manager.create_list([1, 'two', null]);
    assertEqual([...own], [1, 'two', null]);
    const names = [named.name, list.memory.name];
    manager.shutdown();
    assertEqual([memory, named, own.memory].map(one => one.is_closed()), [true, true, true]);
    for (const name of names)
        matches(catchNow(() => Mp.SharedMemory.attach(name)), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND);
    matches(catchNow(() => manager.create(10)), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
});

await run();
