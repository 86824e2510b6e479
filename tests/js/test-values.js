// test-values.js — SPDX-License-Identifier: LGPL-2.1-or-later
// What JavaScript's values are after a way to another process and back.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, run, show, test} from './harness.js';

class Point {
    constructor(x, y) {
        this.x = x;
        this.y = y;
    }
}

const echo = Mp.register(function echo(value) {
    return value;
});
const describe = Mp.register(function describe(value) {
    return show(value);
});
const give = Mp.register(function give(what) {
    switch (what) {
    case 'nothing':
        return undefined;
    case 'function':
        return () => 5;
    case 'symbol':
        return Symbol('s');
    case 'cycle': {
        const cycle = {};
        cycle.self = [cycle];
        return cycle;
    }
    default:
        throw new Error(`nothing is known of ${what}`);
    }
});

Mp.init();

const pool = Mp.Pool.new(1);

const values = [
    null, undefined, true, false, 0, -0, NaN, Infinity, -Infinity, 1.5, 2 ** 53, 5e-324, -1.7976931348623157e308,
    '', 'text', 'with \0 and \u0001 and \ud83d\ude00', '\ud800 alone', '"\\u0001"',
    0n, -12345678901234567890123n,
    [], [undefined, null, -0], [[[]]], {}, {a: 1, b: [NaN], c: {d: undefined}}, {'': 1, 'a b': 2},
    {'\u0001': 'the mark'}, {'\u0001': ['u'], x: undefined}, JSON.parse('{"__proto__": {"a": 1}, "b": null}'),
    new Date(86400000), new Date(NaN), /a\/b\n/giu,
    new Map([[{key: 1}, new Set([1, 'x', -1n])], [NaN, undefined]]), new Set([[1], new Map()]),
    new Uint8Array([0, 1, 255]), new Uint8Array(0), new Int16Array([-1, 300]), new Float64Array([NaN, -0, 1]),
    new BigInt64Array([-1n]), new ArrayBuffer(5), new DataView(new ArrayBuffer(3)),
    [new Uint8Array([1]), {a: new Float32Array([1.5])}, new Uint8Array([2, 3])],
    Array.from({length: 100}, (_, i) => i / 7), Array.from({length: 100}, (_, i) => i === 50 ? -0 : NaN),
    Array.from({length: 100}, (_, i) => i === 50 ? 'x' : i),
    new Error('plain'), new TypeError('wrong'), Object.assign(new RangeError('far'), {limit: 5}),
    new Error('outer', {cause: new SyntaxError('inner')}), new AggregateError([new Error('one')], 'all'),
    new GLib.Variant('(sai)', ['x', [1, 2]]), [1, {variant: new GLib.Variant('d', 1.5)}],
    new GLib.Bytes(new Uint8Array([7, 8])),
];

test('every kind of value comes back as it went', async () => {
    for (const value of values)
        assertEqual(await pool.apply_async(echo, [value]), value, 'apply');
    assertEqual(await pool.map_async(echo, values), values, 'map');
    assertEqual(await pool.map_async(echo, values, 1), values, 'map with chunks of 1');
});

test('the worker sees what the owner sees', async () => {
    assertEqual(await pool.map_async(describe, values), values.map(show));
});

test('objects of a class become plain ones', async () => {
    const result = await pool.apply_async(echo, [new Point(1, -0)]);
    assertEqual(Object.getPrototypeOf(result), Object.prototype);
    assertEqual(result, {x: 1, y: -0});
    assertEqual(await pool.apply_async(echo, [[Object(5), Object('x')]]), [5, 'x']);
});

test('typed arrays have memory of their own, and no toString of another class', async () => {
    const [a, b] = await pool.apply_async(echo, [[new Uint8Array([1, 2]), new Uint16Array([3])]]);
    assertEqual([a.buffer.byteLength, b.buffer.byteLength], [2, 2]);
    assertEqual(String(await pool.apply_async(echo, [new Uint8Array([1, 2])])), '1,2');
});

test('a part of an array is sent, not all of its memory', async () => {
    const result = await pool.apply_async(echo, [new Uint8Array([1, 2, 3, 4]).subarray(1, 3)]);
    assertEqual(result, new Uint8Array([2, 3]));
});

test('a million numbers', async () => {
    const numbers = Array.from({length: 1000000}, (_, i) => i);
    const result = await pool.apply_async(echo, [numbers]);
    assertEqual(result.length, numbers.length);
    assert(result.every((value, i) => value === i));
});

test('50 MiB of bytes', async () => {
    const bytes = new Uint8Array(50 << 20);
    for (let i = 0; i < bytes.length; i += 4096)
        bytes[i] = i / 4096;
    const result = await pool.apply_async(echo, [bytes]);
    assertEqual([result.constructor, result.length], [Uint8Array, bytes.length]);
    for (let i = 0; i < bytes.length; i += 1024)
        assert(result[i] === bytes[i], `byte ${i} is wrong`);
});

test('deep nesting', async () => {
    let deep = [];
    for (let i = 0; i < 500; i++)
        deep = i % 2 === 0 ? [deep] : {deep};
    assertEqual(await pool.apply_async(echo, [deep]), deep);
});

test('the same object twice is no cycle', async () => {
    const one = {a: 1};
    let deep = [one, one];
    for (let i = 0; i < 200; i++)
        deep = [deep, one, one];
    assertEqual(await pool.apply_async(echo, [deep]), deep);
});

test('what cannot be sent is refused at once', async () => {
    const cycle = [];
    cycle.push({cycle});
    for (const [value, pattern] of [
        [() => 1, /A function cannot be sent/], [{a: Symbol('x')}, /A symbol/], [Promise.resolve(1), /await it first/],
        [new WeakMap(), /WeakMap/], [cycle, /contains itself/], [Gio.File.new_for_path('/'), /An object of type GLocalFile cannot/],
        [GLib.MainContext.default(), /cannot be sent/]]) {
        const error = await catchFrom(() => pool.apply_async(echo, [value]));
        assert(error instanceof TypeError, show(error));
        assertMatches(error.message, pattern);
    }
});

test('what a function returns and cannot be sent is its error', async () => {
    assertEqual(await pool.apply_async(give, ['nothing']), undefined);
    for (const [what, pattern] of [['function', /A function cannot/], ['symbol', /A symbol/], ['cycle', /itself/]]) {
        const error = await catchFrom(() => pool.apply_async(give, [what]));
        assert(error instanceof TypeError, show(error));
        assertMatches(error.message, pattern);
    }
});

test('pack and unpack', () => {
    const packed = Mp.pack({a: [1, -0]});
    assert(packed instanceof GLib.Variant);
    assertEqual(Mp.unpack(packed), {a: [1, -0]});
    const variant = new GLib.Variant('i', 5);
    assertEqual(Mp.pack(variant), variant);
    assertEqual(Mp.unpack(variant), variant);
});

test('bytes', () => {
    const value = Mp.blob_new_bytes(new Uint8Array([0, 1, 255]));
    assertEqual(value.get_type_string(), 'ay');
    assertEqual([...Mp.blob_get_bytes(value)], [0, 1, 255]);
});

test('malformed values are errors', async () => {
    for (const text of ['{', '{"\\u0001":["nothing"]}', '{"\\u0001":["v",3]}', '{"\\u0001":["b","Map",0,0]}',
        '{"\\u0001":5}', '{"\\u0001":["i","x"]}']) {
        const error = await catchFrom(() => Mp.unpack(Mp.blob_new('js', text, null, null)));
        assert(error instanceof Error, show(error));
    }
});

await run();
