// test-pool.js — SPDX-License-Identifier: LGPL-2.1-or-later

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, getPid, run, show, test, until} from './harness.js';

class Refused extends Error {
    constructor(reason) {
        super(`refused: ${reason}`);
        this.name = 'Refused';
        this.reason = reason;
    }
}

class Unknown extends RangeError {
    constructor(message) {
        super(message);
        this.name = 'Unknown';
    }
}

let greeting = 'nothing';

const square = Mp.register('square', x => x * x);
const add = Mp.register(function add(a, b, ...rest) {
    return a + b + rest.length;
});
const where = Mp.register(function where() {
    return getPid();
});
const setUp = Mp.register(function setUp(word, mark) {
    if (word === null)
        throw new RangeError('no word');
    greeting = word + mark;
});
const greet = Mp.register(function greet(name) {
    return `${greeting}, ${name}`;
});
const raise = Mp.register(function raise(what) {
    switch (what) {
    case 'TypeError':
        return null.x;
    case 'RangeError':
        throw new RangeError('too far');
    case 'Refused':
        throw new Refused('because');
    case 'Unknown':
        throw new Unknown('who');
    case 'string':
        throw 'only text';
    case 'undefined':
        throw undefined;
    case 'object':
        throw {code: 5};
    case 'cause':
        throw new Error('outer', {cause: new SyntaxError('inner')});
    case 'GLib':
        throw new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND, 'not there');
    case 'zero':
        throw new Error('with \0 in it');
    case 'bytes':
        throw Object.assign(new Error('has bytes'), {bytes: new Uint8Array([1])});
    default:
        return what;
    }
});
const oddFails = Mp.register(function oddFails(x) {
    if (x % 2 === 1)
        throw new RangeError(`odd: ${x}`);
    return x * 10;
});
const unsendable = Mp.register(function unsendable(x) {
    return x === 1 ? () => 1 : x;
});
const twice = Mp.register(function twice(variant) {
    return new GLib.Variant('i', variant.unpack() * 2);
});
const kind = Mp.register(function kind(value) {
    return show(value);
});
const workerNumber = Mp.register(function workerNumber() {
    const invocation = Mp.Invocation.get_current();
    return [invocation.get_function(), invocation.get_worker_number()];
});
Mp.function_register('registered under C\'s name', x => -x);
Mp.register('Refused', Refused);

Mp.init();

test('map', async () => {
    const pool = Mp.Pool.new(2);
    assertEqual(pool.get_n_workers(), 2);
    assertEqual(await pool.map_async(square, [1, 2, 3]), [1, 4, 9]);
    assertEqual(await pool.map_async('square', [1, 2, 3], 2), [1, 4, 9]);
    assertEqual(await pool.map_async(square, []), []);
    assertEqual(await pool.map_async(square, new Set([4, 5])), [16, 25]);
    assertEqual(await pool.map_async(square, function* () {
        yield 6;
    }(), 1, null), [36]);
    assertEqual(await pool.map_async('registered under C\'s name', [1, 2]), [-1, -2]);
    const many = Array.from({length: 10001}, (_, i) => i);
    assertEqual(await pool.map_async(square, many), many.map(x => x * x));
    assertEqual(await pool.map_async(square, many, 7), many.map(x => x * x));
    pool.terminate();
    await pool.join_async();
});

test('apply', async () => {
    const pool = Mp.Pool.new(1);
    assertEqual(await pool.apply_async(add, [1, 2]), 3);
    assertEqual(await pool.apply_async(add, ['a', 'b', 0, 0]), 'ab2');
    assertEqual(await pool.apply_async(kind, []), 'undefined');
    assertEqual(await pool.apply_async(kind), 'undefined');
    assertEqual(await pool.apply_async(kind, [[1, 2]]), '[1, 2]');
    assert(await pool.apply_async(where) !== getPid());
    assertEqual(await pool.apply_async(workerNumber), ['workerNumber', 0]);
    pool.terminate();
});

test('with a callback nothing is a promise', async () => {
    const pool = Mp.Pool.new(1);
    let map = null, apply = null, error = null;
    assertEqual(pool.map_async(square, [2, 3], 0, null, (source, result) => {
        map = [source === pool, source.map_finish(result)];
    }), undefined);
    assertEqual(pool.apply_async(add, [1, 2], null, (source, result) => {
        apply = source.apply_finish(result);
    }), undefined);
    pool.apply_async(raise, ['RangeError'], null, (source, result) => {
        error = catchNow(() => source.apply_finish(result));
    });
    await until(() => map && apply && error);
    assertEqual([map, apply], [[true, [4, 9]], 3]);
    assert(error instanceof RangeError);
    pool.terminate();
});

test('GLib.Variant travels as itself', async () => {
    const pool = Mp.Pool.new(2);
    const items = new GLib.Variant('ai', [1, 2, 3]);
    assertEqual(show(await pool.map_async(twice, items)), 'Variant [2, 4, 6]');
    assertEqual(show(await pool.apply_async(twice, new GLib.Variant('i', 4))), 'Variant 8');
    assertEqual(await pool.map_async(kind, items, 2), ['Variant 1', 'Variant 2', 'Variant 3']);
    assertEqual(await pool.apply_async(kind, [new GLib.Variant('s', 'x'), 1]), 'Variant \'x\'');
    assertEqual(show(await pool.map_async(twice, [new GLib.Variant('i', 1), new GLib.Variant('i', 2)])),
        '[Variant 2, Variant 4]');
    pool.terminate();
});

test('exceptions come out as what they were', async () => {
    const pool = Mp.Pool.new(1);
    const get = what => catchFrom(() => pool.apply_async(raise, [what]));

    let error = await get('TypeError');
    assert(error instanceof TypeError && error.constructor === TypeError);
    assertMatches(error.message, /null/);
    assertMatches(error.remoteStack, /^raise@.*test-pool\.js/);
    assertMatches(error.stack, /In the worker/);
    assertMatches(error.stack, /Promise created here/);
    assertMatches(error.worker, /\d/);
    assertEqual(error.details.type, 'TypeError');

    error = await get('RangeError');
    assert(error instanceof RangeError);
    assertEqual([error.name, error.message], ['RangeError', 'too far']);

    error = await get('Refused');
    assert(error instanceof Refused, 'a registered class');
    assertEqual([error.name, error.message, error.reason], ['Refused', 'refused: because', 'because']);

    error = await get('Unknown');
    assert(error instanceof Error && !(error instanceof Unknown), 'a class that is not registered');
    assertEqual([error.name, error.message], ['Unknown', 'who']);

    error = await get('cause');
    assert(error.cause instanceof SyntaxError);
    assertEqual(error.cause.message, 'inner');

    assertEqual(await get('string'), 'only text');
    assertEqual(await get('undefined'), undefined);
    assertEqual((await get('object')).code, 5);
    assertEqual((await get('zero')).message, 'with \0 in it');
    assertEqual((await get('bytes')).message, 'has bytes');

    error = await get('GLib');
    assert(error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_FOUND));
    assertEqual(error.message, 'not there');

    assert(catchNow(() => pool.apply(raise, ['RangeError'])) instanceof RangeError, 'in a blocking call');
    assert(await catchFrom(() => pool.map_async(raise, [1, 'RangeError', 2])) instanceof RangeError, 'in a map');
    assertEqual(await pool.apply_async(raise, ['well']), 'well', 'the worker goes on');
    pool.terminate();
});

test('functions unknown here and there', async () => {
    const pool = Mp.Pool.new(1);
    function nobody() {}
    let error = await catchFrom(() => pool.apply_async(nobody, []));
    assert(error instanceof TypeError);
    assertMatches(error.message, /nobody is not registered/);
    error = catchNow(() => pool.submit(() => 1, []));
    assertMatches(error.message, /without a name is not registered/);

    error = await catchFrom(() => pool.apply_async('nowhere', []));
    assert(error instanceof GLib.Error && error.matches(Mp.Error, Mp.Error.NO_SUCH_FUNCTION), show(error));
    assertMatches(error.message, /nowhere/);
    Mp.register('too late', () => 1);
    error = await catchFrom(() => pool.apply_async('too late', []));
    assert(error.matches(Mp.Error, Mp.Error.NO_SUCH_FUNCTION), show(error));
    assertEqual(await pool.apply_async(square, [3]), 9);
    pool.terminate();
});

test('what cannot be registered', () => {
    assertMatches(catchNow(() => Mp.register(() => 1)).message, /needs a name/);
    assertMatches(catchNow(() => Mp.register('x', 5)).message, /is no function/);
    assertMatches(catchNow(() => Mp.register(5)).message, /needs a name|no function/);
    assertMatches(catchNow(() => Mp.function_register('square', () => 1)).message, /registered already/);
});

test('submit gives a future', async () => {
    const pool = Mp.Pool.new(2);
    const future = pool.submit(square, [7]);
    assertEqual(await future.get_async(), 49);
    assert(future.is_ready() && future.is_successful());
    assertEqual(future.get(), 49, 'again');
    await future.wait_async();

    const failing = pool.submit(raise, ['RangeError']);
    await failing.wait_async();
    assert(failing.is_ready() && !failing.is_successful());
    assert(await catchFrom(() => failing.get_async()) instanceof RangeError);
    assert(catchNow(() => failing.get(0)) instanceof RangeError);

    const map = pool.submit_map(square, [1, 2, 3], 2);
    assertEqual(await map.get_async(), [1, 4, 9]);
    const futures = Array.from({length: 1000}, (_, i) => pool.submit(square, [i]));
    const results = await Promise.all(futures.map(each => each.get_async()));
    assertEqual(results, futures.map((_, i) => i * i));
    pool.terminate();
});

test('imap in order', async () => {
    const pool = Mp.Pool.new(2);
    const items = Array.from({length: 50}, (_, i) => i);
    for (const chunkSize of [1, 7, 100]) {
        const results = [];
        const iter = pool.imap(square, items, chunkSize);
        assertEqual(Number(iter.get_n_items()), 50);
        for await (const result of iter)
            results.push(result);
        assertEqual(results, items.map(x => x * x), `for await, ${chunkSize}`);
        assertEqual([...pool.imap(square, items, chunkSize)], items.map(x => x * x), `blocking, ${chunkSize}`);
    }
    assertEqual([...pool.imap(square, [])], []);
    assertEqual(show([...pool.imap(twice, new GLib.Variant('ai', [1, 2]))]), '[Variant 2, Variant 4]');
    const iter = pool.imap(square, [2]);
    assertEqual(await iter.next_async(), {value: 4, done: false});
    assertEqual(await iter.next_async(), {value: undefined, done: true});
    assertEqual(iter.next(), {value: undefined, done: true});
    pool.terminate();
});

test('imap in any order', async () => {
    const pool = Mp.Pool.new(2);
    const items = Array.from({length: 50}, (_, i) => i);
    for (const chunkSize of [1, 7]) {
        const results = [];
        for await (const result of pool.imap_unordered(square, items, chunkSize))
            results.push(result);
        assertEqual(results.sort((a, b) => a - b), items.map(x => x * x));
    }
    pool.terminate();
});

test('items and sizes of chunks that are none', async () => {
    const pool = Mp.Pool.new(1);
    for (const size of [-1, 0.5, NaN, 'x']) {
        assert(await catchFrom(() => pool.map_async(square, [1, 2], size)) instanceof RangeError, `map_async, ${size}`);
        for (const method of ['map', 'submit_map', 'imap', 'imap_unordered'])
            assert(catchNow(() => pool[method](square, [1, 2], size)) instanceof RangeError, `${method}, ${size}`);
    }
    for (const items of [5, undefined, null, {}]) {
        assert(await catchFrom(() => pool.map_async(square, items)) instanceof TypeError, `map_async, ${items}`);
        assert(catchNow(() => pool.imap(square, items)) instanceof TypeError, `imap, ${items}`);
    }
    assertEqual(await pool.map_async(square, new Set([1, 2]), 1), [1, 4]);
    pool.terminate();
});

test('functions, arguments and numbers that are none', async () => {
    const pool = Mp.Pool.new(1);
    for (const func of [undefined, null, 5, {}, '']) {
        const what = `${func}`;
        for (const method of ['apply_async', 'map_async']) {
            const error = await catchFrom(() => pool[method](func, [1]));
            assert(error instanceof TypeError, `${method}, ${what}: ${show(error)}`);
            assertMatches(error.message, /is a function or the name of one, not /);
        }
        for (const method of ['apply', 'submit', 'map', 'submit_map', 'imap', 'imap_unordered'])
            assert(catchNow(() => pool[method](func, [1])) instanceof TypeError, `${method}, ${what}`);
        assert(catchNow(() => Mp.Process.new(func, [1])) instanceof TypeError, `Process, ${what}`);
    }
    assertMatches(catchNow(() => pool.apply(undefined, [])).message, /, not undefined$/);
    for (const initializer of [5, {}, ''])
        assert(catchNow(() => Mp.Pool.new_full(1, initializer)) instanceof TypeError, `initializer, ${initializer}`);

    for (const args of [5, 0, 'text', {}, new Set([1]), true, false, '']) {
        const error = await catchFrom(() => pool.apply_async(square, args));
        assert(error instanceof TypeError, `${args}: ${show(error)}`);
        assertMatches(error.message, /^The arguments of a call are an array or a GLib.Variant, not /);
        for (const method of ['apply', 'submit'])
            assert(catchNow(() => pool[method](square, args)) instanceof TypeError, `${method}, ${args}`);
        assert(catchNow(() => Mp.Process.new(square, args)) instanceof TypeError, `Process, ${args}`);
        assert(catchNow(() => new Mp.Process({args})) instanceof TypeError, `args, ${args}`);
        assert(catchNow(() => Mp.Pool.new_full(1, setUp, args)) instanceof TypeError, `initializer, ${args}`);
    }
    pool.terminate();

    for (const count of ['x', '2', {}, true, [1]]) {
        assert(catchNow(() => Mp.Pool.new(count)) instanceof TypeError, `new, ${count}`);
        assert(catchNow(() => new Mp.Pool({nWorkers: count})) instanceof TypeError, `nWorkers, ${count}`);
        assert(catchNow(() => Mp.Pool.new_full(1, null, null, count)) instanceof TypeError, `tasks, ${count}`);
    }
    for (const count of [-1, 0.5, NaN, Infinity, 2 ** 32]) {
        assert(catchNow(() => Mp.Pool.new(count)) instanceof RangeError, `new, ${count}`);
        assert(catchNow(() => Mp.Pool.new_full(1, null, null, count)) instanceof RangeError, `tasks, ${count}`);
    }
    for (const value of [5, 'x', [], true, () => 1]) {
        for (const klass of [Mp.Pool, Mp.Process, Mp.Context]) {
            const error = catchNow(() => new klass(value));
            assert(error instanceof TypeError, show(error));
            assertMatches(error.message, /takes an object of properties, as new Mp/);
        }
    }
    for (const count of [undefined, null, 0])
        assert(Mp.Pool.new(count).get_n_workers() > 0);
});

test('an item of imap fails for itself', async () => {
    const pool = Mp.Pool.new(2);
    for (const chunkSize of [1, 2, 3]) {
        const iter = pool.imap(oddFails, [0, 1, 2, 3, 4], chunkSize);
        const seen = [];
        for (let i = 0; i < 5; i++) {
            try {
                seen.push((await iter.next_async()).value);
            } catch (error) {
                assert(error instanceof RangeError, show(error));
                seen.push(error.message);
            }
        }
        assertEqual(seen, [0, 'odd: 1', 20, 'odd: 3', 40], `chunks of ${chunkSize}`);
        assert((await iter.next_async()).done);
    }
    const all = pool.imap(oddFails, [0, 1, 2, 3, 4], 2);
    const results = await Promise.allSettled(Array.from({length: 6}, () => all.next_async()));
    assertEqual(results.map(({value, reason}) => reason?.message ?? value.value ?? value.done),
        [0, 'odd: 1', 20, 'odd: 3', 40, true], 'all at once');
    const sent = pool.imap(unsendable, [0, 1, 2], 3);
    assertEqual((await sent.next_async()).value, 0);
    assert((await catchFrom(() => sent.next_async())) instanceof TypeError);
    assertEqual((await sent.next_async()).value, 2);
    const iter = pool.imap(oddFails, [0, 1, 2]);
    assertEqual(iter.next().value, 0);
    assert(catchNow(() => iter.next()) instanceof RangeError);
    assertEqual(iter.next().value, 20);
    pool.terminate();
});

test('initializer', async () => {
    const pool = new Mp.Pool({n_workers: 2, initializer: setUp, initializer_args: ['hello', '!']});
    assertEqual(await pool.map_async(greet, ['a', 'b']), ['hello!, a', 'hello!, b']);
    pool.terminate();
    const full = Mp.Pool.new_full(1, 'setUp', ['bye', '?']);
    assertEqual(await full.apply_async(greet, ['c']), 'bye?, c');
    full.terminate();
});

test('an initializer that fails ends the pool with its error', async () => {
    const pool = new Mp.Pool({nWorkers: 2, initializer: setUp, initializerArgs: [null]});
    const error = await catchFrom(() => pool.apply_async(greet, ['a']));
    assertMatches(error.message, /no word/);
    pool.terminate();
    await pool.join_async();
});

test('tasks per worker', async () => {
    const pool = new Mp.Pool({n_workers: 1, tasks_per_worker: 1});
    const pids = new Set();
    for (let i = 0; i < 3; i++)
        pids.add(await pool.apply_async(where));
    assertEqual(pids.size, 3);
    pool.close();
    await pool.join_async();
});

test('close and join', async () => {
    const pool = Mp.Pool.new(2);
    const result = pool.map_async(square, [1, 2, 3]);
    pool.close();
    const error = await catchFrom(() => pool.apply_async(square, [1]));
    assert(error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED), show(error));
    await pool.join_async();
    assertEqual(await result, [1, 4, 9]);
});

test('signals', async () => {
    const pool = Mp.Pool.new(1);
    const seen = [];
    pool.connect('worker-started', (_pool, number, pid) => seen.push(['started', number, pid > 0]));
    pool.connect('worker-exited', (_pool, number) => seen.push(['exited', number]));
    pool.connect('task-failed', (_pool, name, error) => seen.push(['failed', name, error.message]));
    await catchFrom(() => pool.apply_async(raise, ['RangeError']));
    pool.close();
    await pool.join_async();
    await until(() => seen.length === 3, 'the last signal');
    assertEqual(seen, [['started', 0, true], ['failed', 'raise', 'RangeError: too far'], ['exited', 0]]);
});

test('cancelling', async () => {
    const pool = Mp.Pool.new(1);
    const cancellable = new Gio.Cancellable();
    const promise = pool.apply_async(square, [1], cancellable);
    cancellable.cancel();
    const error = await catchFrom(() => promise);
    assert(error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED), show(error));
    assertEqual(await pool.apply_async(square, [2]), 4);
    pool.terminate();
});

await run();
