// test-async.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Functions in a worker that take their time without keeping it busy.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, findBeside, run, runProgram, test} from './harness.js';

let running = 0;
let most = 0;
let waiting = [];

// What a function waits for that takes its time.
function elapse(milliseconds) {
    return new Promise(resolve => {
        GLib.timeout_add(GLib.PRIORITY_DEFAULT, milliseconds, () => {
            resolve();
            return GLib.SOURCE_REMOVE;
        });
    });
}

// Ends when so many calls of it are running at the same time.
const meet = Mp.register(async function meet(n) {
    running++;
    most = Math.max(most, running);
    await new Promise(resolve => {
        waiting.push(resolve);
        if (waiting.length === n) {
            waiting.forEach(each => each());
            waiting = [];
        }
    });
    running--;
    return most;
});
const later = Mp.register(async function later(x) {
    await elapse(1);
    return x * 2;
});
const fail = Mp.register(async function fail(what) {
    await null;
    if (what === 'GLib')
        throw new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND, 'not there');
    throw new RangeError(what);
});
const failFirst = Mp.register(async function failFirst(x) {
    if (x === 1)
        throw new RangeError('one');
    await elapse(1);
    return x;
});
// Not an async function, but one that gives a promise.
const promise = Mp.register(function promise(x) {
    return x === null ? Promise.reject(new RangeError('null')) : elapse(1).then(() => x + 1);
});
const thenable = Mp.register(function thenable(x) {
    return {then: resolve => resolve(x)};
});
const lines = Mp.register(async function lines(path) {
    Gio._promisify(Gio.File.prototype, 'load_contents_async', 'load_contents_finish');
    const [contents] = await Gio.File.new_for_path(path).load_contents_async(null);
    return new TextDecoder().decode(contents).split('\n')[0];
});
const module = Mp.register(async function module() {
    const {show} = await import('./harness.js');
    return show(-0);
});
const variant = Mp.register(async function variant(value) {
    await null;
    return new GLib.Variant('i', value.unpack() + 1);
});
const plain = Mp.register(function plain(x) {
    return -x;
});

Mp.init();

test('the items of one chunk run at the same time', async () => {
    const pool = Mp.Pool.new(1);
    assertEqual(await pool.map_async(meet, new Array(20).fill(20), 20), new Array(20).fill(20));
    pool.terminate();
});

test('map, imap and submit', async () => {
    const pool = Mp.Pool.new(2);
    const items = Array.from({length: 300}, (_, i) => i);
    const expected = items.map(x => x * 2);
    assertEqual(await pool.map_async(later, items), expected);
    for (const chunkSize of [1, 50]) {
        const results = [];
        for await (const result of pool.imap(later, items, chunkSize))
            results.push(result);
        assertEqual(results, expected);
    }
    assertEqual(await pool.submit(later, [4]).get_async(), 8);
    assertEqual(pool.map(later, [1, 2, 3]), [2, 4, 6], 'a blocking call');
    pool.terminate();
});

test('rejections', async () => {
    const pool = Mp.Pool.new(1);
    const error = await catchFrom(() => pool.apply_async(fail, ['far']));
    assert(error instanceof RangeError);
    assertEqual(error.message, 'far');
    assertMatches(error.remoteStack, /test-async\.js/);
    assert((await catchFrom(() => pool.apply_async(fail, ['GLib']))) instanceof GLib.Error);
    assert((await catchFrom(() => pool.map_async(failFirst, [0, 1, 2], 3))) instanceof RangeError);

    const iter = pool.imap(failFirst, [0, 1, 2], 3);
    assertEqual((await iter.next_async()).value, 0);
    assertEqual((await catchFrom(() => iter.next_async())).message, 'one');
    assertEqual((await iter.next_async()).value, 2);
    pool.terminate();
});

test('functions that give a promise', async () => {
    const pool = Mp.Pool.new(1);
    assertEqual(await pool.apply_async(promise, [1]), 2);
    assertEqual(await pool.map_async(promise, [1, 2, 3]), [2, 3, 4]);
    assert((await catchFrom(() => pool.apply_async(promise, [null]))) instanceof RangeError);
    assertEqual(await pool.apply_async(thenable, [5]), 5);
    pool.terminate();
});

test('what a worker may await', async () => {
    const pool = Mp.Pool.new(1);
    const path = findBeside(import.meta.url, 'test-async.js');
    assertMatches(await pool.apply_async(lines, [path]), /^\/\/ test-async\.js/);
    assertEqual(await pool.apply_async(module), '-0');
    assertEqual((await pool.apply_async(variant, new GLib.Variant('i', 4))).unpack(), 5);
    pool.terminate();
});

test('asynchronous and other functions in one worker', async () => {
    const pool = Mp.Pool.new(1);
    const results = await Promise.all(Array.from({length: 100}, (_, i) =>
        pool.apply_async(i % 2 === 0 ? later : plain, [i])));
    assertEqual(results, Array.from({length: 100}, (_, i) => i % 2 === 0 ? i * 2 : -i));
    pool.terminate();
});

test('Mp.init() behind an await is refused', async () => {
    const {stdout, stderr, status} = await runProgram(['gjs', '-m', findBeside(import.meta.url, 'program-late.js')]);
    assertEqual([stdout, status], ['', 1]);
    assertMatches(stderr, /mp_init\(\) must be called near the top of main: it was called from a main loop/);
});

await run();
