// test-value.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Values and arrays in shared memory.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, catchNow, matches, run, test} from './harness.js';

const addMany = Mp.register(function addMany(value, n) {
    for (let i = 0; i < n; i++)
        value.add(1);
});
const addLocked = Mp.register(async function addLocked(value, n) {
    for (let i = 0; i < n; i++)
        await value.lock.with(() => value.set(value.get() + 1));
});
const double = Mp.register(function double(array) {
    const numbers = array.toTypedArray();
    numbers.forEach((x, i) => (numbers[i] = 2 * x));
    return [array.get_length(), array.lock !== null];
});
const back = Mp.register(function back(value) {
    return value;
});

Mp.init();

const invalid = error => matches(error, Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT);

test('a value of a type that has no fixed size', () => {
    assertEqual(catchNow(() => Mp.Value.new('s', 'x')).message,
        'The type is one of numbers, booleans and tuples of them, not "s"');
});

test('a value of each type', () => {
    for (const [type, ...values] of [['y', 0, 255], ['n', -32768, 32767], ['q', 65535], ['i', -2147483648, 2147483647],
        ['u', 4294967295], ['x', -5, -(2n ** 63n), 2n ** 63n - 1n], ['t', 7, 2n ** 64n - 1n], ['d', 0.5, -1e300],
        ['b', true, false], ['(id)', [3, 0.5]], ['(y(bx))', [1, [true, -5]]], ['()', []]]) {
        const value = Mp.Value.new(type);
        for (const content of values) {
            assertEqual(value.set(content), true);
            assertEqual(value.get(), content);
            assertEqual(Mp.Value.new(type, content).value, content);
        }
        assertEqual(value.type_string, type);
    }
    const value = Mp.Value.new(new GLib.VariantType('i'), new GLib.Variant('i', 3));
    value.value += 4;
    assertEqual(value.value, 7);
});

test('in one step', () => {
    const value = Mp.Value.new('i', 5);
    assertEqual([value.add(3), value.get()], [5, 8]);
    assertEqual([value.exchange(1), value.get()], [8, 1]);
    assertEqual([value.compare_exchange(2, 9), value.compare_exchange(1, 9), value.get()], [false, true, 9]);
    const array = Mp.Array.new('d', [0.5, 1.5]);
    assertEqual([array.add(1, 0.25), array.get_item(1)], [1.5, 1.75]);
    assertEqual([array.exchange(0, -1), array.compare_exchange(0, -1, 2), array.get_item(0)], [0.5, true, 2]);
    const large = Mp.Value.new('t', 2n ** 64n - 1n);
    assertEqual([large.add(1), large.get()], [2 ** 64, 0]);
});

test('beyond the exact numbers', () => {
    const value = Mp.Value.new('x', 2n ** 62n + 1n);
    assertEqual([value.add(2n), value.get()], [2n ** 62n + 1n, 2n ** 62n + 3n]);
    value.value = -1n;
    assertEqual([value.add(2n), value.get()], [-1n, 1]);
    value.value = 2n ** 63n - 1n;
    assertEqual([value.add(1n), value.get()], [2n ** 63n - 1n, -(2n ** 63n)]);
    const array = Mp.Array.new('t', [0, 2n ** 64n - 1n]);
    assertEqual([array.add(1, 1n), array.add(1, -1n), array.get_item(1)], [2n ** 64n - 1n, 0n, 2n ** 64n - 1n]);
});

test('arrays', () => {
    const array = Mp.Array.new('i', [1, 2, 3, 4]);
    assertEqual([array.get_length(), array.get_item(3), [...array]], [4, 4, [1, 2, 3, 4]]);
    assertEqual(array.length, 4);
    assertEqual(array.get_slice(1, 2), new Int32Array([2, 3]));
    array.set_slice(2, new Int32Array([7, 8]));
    array.set_slice(0, [-1]);
    assertEqual(array.get_slice(), new Int32Array([-1, 2, 7, 8]));
    assertEqual(array.get_slice(4), new Int32Array());
    const tuples = Mp.Array.new('(id)', [[1, 0.5], [2, 0.25]]);
    tuples.set_item(0, [9, 9.5]);
    assertEqual([[...tuples], tuples.get_slice(1)], [[[9, 9.5], [2, 0.25]], [[2, 0.25]]]);
    assertEqual([...Mp.Array.new('b', [true, false])], [true, false]);
    assertEqual([...Mp.Array.new_from_variant(new GLib.Variant('an', [1, -2]))], [1, -2]);
    assertEqual([...Mp.Array.new('y', 3)], [0, 0, 0]);
});

test('a typed array is the memory itself', () => {
    let array = Mp.Array.new('n', 100);
    const numbers = array.toTypedArray();
    assertEqual([numbers.constructor.name, numbers.length], ['Int16Array', 100]);
    numbers[99] = -7;
    assertEqual(array.get_item(99), -7);
    array.set_item(0, 5);
    assertEqual(numbers[0], 5);
    assertEqual(array.toTypedArray(Uint8Array).length, 200);
    array = null;
    imports.system.gc();
    numbers.fill(3);
    assertEqual(numbers.reduce((a, b) => a + b), 300);
    const value = Mp.Value.new('x', 2n ** 60n);
    const [number] = value.toTypedArray();
    assertEqual(number, 2n ** 60n);
});

test('bad', () => {
    const value = Mp.Value.new('q', 1);
    const array = Mp.Array.new('i', 3);
    for (const wrong of [-1, 65536, 0.5, NaN])
        assert(catchNow(() => value.set(wrong)) instanceof RangeError);
    for (const wrong of ['1', null, undefined, {}, true])
        assert(catchNow(() => value.set(wrong)) instanceof TypeError);
    invalid(catchNow(() => value.set(new GLib.Variant('s', 'text'))));
    assertEqual(value.get(), 1);
    for (const index of [-1, 3, 0.5, 2 ** 60])
        assert(catchNow(() => array.get_item(index)) instanceof RangeError);
    assert(catchNow(() => array.set_item('0', 1)) instanceof TypeError);
    assert(catchNow(() => array.add(3, 1)) instanceof RangeError);
    invalid(catchNow(() => array.get_slice(2, 2)));
    invalid(catchNow(() => array.set_slice(2, [1, 2])));
    assert(catchNow(() => array.set_slice(0, ['a'])) instanceof TypeError);
    assert(catchNow(() => Mp.Value.new('nonsense')) instanceof TypeError);
    invalid(catchNow(() => Mp.Value.new('s')));
    invalid(catchNow(() => Mp.Array.new('i', 0)));
    invalid(catchNow(() => Mp.Value.new('(id)').exchange([1, 2])));
    matches(catchNow(() => Mp.Array.new('d', 2 ** 50)), Mp.Error, Mp.Error.TOO_LARGE);
    assert(catchNow(() => Mp.Array.new('d', -1)) instanceof RangeError);
    assert(catchNow(() => Mp.Value.new_full('i', 1, Mp.Event.new())) instanceof TypeError);
    assert(catchNow(() => Mp.Value.new('i').add(0.5)) instanceof TypeError);
    for (const delta of ['1', null, undefined, true, 1n, []]) {
        const double = Mp.Value.new('d', 1.5);

        assert(catchNow(() => double.add(delta)) instanceof TypeError, `add(${delta})`);
        assertEqual(double.get(), 1.5);
    }
    // What is beyond 64 bits begins anew, whatever the type.
    for (const [delta, after] of [[2n ** 64n, 7], [2n ** 64n + 1n, 8], [2 ** 70, 7], [-(2n ** 63n) - 1n, 6]]) {
        const number = Mp.Value.new('i', 7);

        assertEqual([number.add(delta), number.get()], [7, after]);
    }
    assert(catchNow(() => Mp.Value.new('(id)', [1])) instanceof RangeError);
});

test('locks', async () => {
    const lock = Mp.Lock.new();
    const value = Mp.Value.new_full('i', 1, lock);
    const array = Mp.Array.new_full('i', 2, lock);
    assertEqual([value.get_lock() === lock, array.lock === lock, Mp.Value.new_full('i').lock], [true, true, null]);
    assert(Mp.Value.new('i').lock instanceof Mp.RLock);
    await value.lock.acquire_async();
    assertEqual(lock.is_locked(), true);
    lock.release();
    assertEqual([value.get_isolated(), Mp.Value.new_full('i', 1, null, true).get_isolated()], [false, true]);
});

test('in workers', async () => {
    const pool = new Mp.Pool({n_workers: 2});
    const value = Mp.Value.new('i', 0);
    await Promise.all([1, 2, 3].map(() => pool.submit(addMany, [value, 200]).get_async()));
    assertEqual(value.get(), 600);
    await Promise.all([1, 2, 3].map(() => pool.submit(addLocked, [value, 50]).get_async()));
    assertEqual(value.get(), 750);
    const array = Mp.Array.new('d', [1, 2, 3.5]);
    assertEqual(pool.apply(double, [array], -1, null), [3, true]);
    assertEqual(array.get_slice(), new Float64Array([2, 4, 7]));
    const same = pool.apply(back, [array], -1, null);
    same.set_item(0, -1);
    assertEqual(array.get_item(0), -1);
    pool.close();
    await pool.join_async(null);
});

await run();
