// test-items.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Input that is asked for as there is room, and results many at once.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import GObject from 'gi://GObject';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, catchFrom, catchNow, getPid, run, test} from './harness.js';

class Refused extends Error {
    constructor(reason) {
        super(`refused: ${reason}`);
        this.name = 'Refused';
        this.reason = reason;
    }
}
Mp.register(Refused);

const square = Mp.register('square', x => x * x);
const oddFails = Mp.register(function oddFails(x) {
    if (x % 2 === 1)
        throw new RangeError(`odd: ${x}`);
    return x * 10;
});
const dieAtFive = Mp.register(function dieAtFive(x) {
    if (x === 5)
        Gio.Subprocess.new(['kill', '-KILL', `${getPid()}`], Gio.SubprocessFlags.NONE).wait(null);
    return x;
});
const asyncSquare = Mp.register('asyncSquare', async x => x * x);
const greet = Mp.register(function greet(connection) {
    connection.send('hello');
    return true;
});
const shout = Mp.register(function shout(value) {
    return value instanceof GLib.Variant ? value.deepUnpack() + 1 : `${value}!`;
});

const Item = GObject.registerClass({
    Properties: {'string': GObject.ParamSpec.string('string', '', '', GObject.ParamFlags.READWRITE, '')},
}, class Item extends GObject.Object {});

const Number_ = GObject.registerClass(class Number_ extends GObject.Object {
    constructor(number) {
        super();
        this.number = number;
    }
});

Mp.init();

const pool = new Mp.Pool({n_workers: 2});

// Counts what is asked of it.
function* count(end, state = {}) {
    state.asked = 0;
    for (let i = 0; i < end; i++) {
        state.asked++;
        yield i;
    }
}

function squares(n) {
    return Array.from({length: n}, (_, i) => i * i);
}

test('imap of a generator', () => {
    for (const chunkSize of [1, 3, 100])
        assertEqual([...pool.imap(square, count(1000), chunkSize)], squares(1000));
    assertEqual([...pool.imap(square, count(0))], []);
});

test('for await over an endless generator', async () => {
    const state = {};
    const results = [];
    const iter = pool.imap(square, count(Infinity, state));
    assertEqual(iter.get_n_items(), Infinity);
    for await (const result of iter) {
        results.push(result);
        if (results.length === 500)
            break;
    }
    assertEqual(results, squares(500));
    assert(state.asked < 1000, `${state.asked} asked for`);
    assertEqual((await iter.next_async()).done, true);
});

test('unordered', async () => {
    const results = [];
    for await (const result of pool.imap_unordered(square, count(300), 7))
        results.push(result);
    assertEqual(results.sort((a, b) => a - b), squares(300));
});

test('map of a generator', async () => {
    assertEqual(pool.map(square, count(100)), squares(100));
    assertEqual(await pool.map_async(square, count(100), 3), squares(100));
    assertEqual(pool.submit_map(square, count(100), 7).get(), squares(100));
    assertEqual(pool.map(square, count(0)), []);
    assertEqual(pool.map(square, count(1)), [0]);
    assertEqual(await pool.map_with_async(asyncSquare, count(50), 5, {name: 'squares', priority: 2}), squares(50));
    assertEqual(pool.submit_map_with(square, count(50), 5, {priority: 1}).get(), squares(50));
});

test('what has a length is taken at once', () => {
    assertEqual(pool.map(square, new Set([3, 4])), [9, 16]);
    assertEqual([...pool.imap(square, new Float64Array([3, 4]))], [9, 16]);
    assertEqual(pool.imap(square, [1, 2, 3]).get_n_items(), 3);
});

test('an error of the generator stands at its place', () => {
    function* failing() {
        yield* [1, 2, 3];
        throw new Refused('enough');
    }

    for (const chunkSize of [1, 2, 3, 4]) {
        const iter = pool.imap(square, failing(), chunkSize);
        assertEqual([iter.next().value, iter.next().value, iter.next().value], [1, 4, 9]);
        const error = catchNow(() => iter.next());
        assert(error instanceof Refused, `${error}`);
        assertEqual(error.reason, 'enough');
        assertEqual(iter.next().done, true);
        assertEqual(iter.get_n_items(), 4);
        const batches = pool.imap(square, failing(), chunkSize);
        const all = [];
        for (let batch = batches.next_batch(); batch !== null; batch = batches.next_batch())
            all.push(...batch);
        assertEqual(all.map(({index, value, error: failure}) => [index, value ?? failure.reason]),
            [[0, 1], [1, 4], [2, 9], [3, 'enough']]);
    }
    assert(catchNow(() => pool.map(square, failing())) instanceof Refused);
});

test('errors of calls stand at theirs', async () => {
    const error = await catchFrom(() => pool.map_async(oddFails, count(10)));
    assert(error instanceof RangeError, `${error}`);
    const iter = pool.imap(oddFails, count(4), 2);
    assertEqual(iter.next().value, 0);
    assertEqual(catchNow(() => iter.next()).message, 'odd: 1');
    assertEqual(iter.next().value, 20);
    assertEqual(catchNow(() => iter.next()).message, 'odd: 3');
    assertEqual(iter.next().done, true);
});

test('a function that gives items', () => {
    let n = 0;
    const items = Mp.Items.new_for_func(() => n < 5 ? n++ : null);
    assertEqual([...pool.imap(square, items)], squares(5));
    const again = catchNow(() => pool.imap(square, items));
    assert(again.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT), `${again}`);
    assertEqual(pool.map(shout, Mp.Items.from(['a', 'b'])), ['a!', 'b!']);
    assertEqual(pool.map(shout, Mp.Items.from([null, undefined])), ['null!', 'undefined!']);
});

test('lists', () => {
    const store = Gio.ListStore.new(Item.$gtype);
    for (const string of ['one', 'two', 'three'])
        store.append(new Item({string}));
    assertEqual(pool.map(shout, store), ['one!', 'two!', 'three!']);
    assertEqual([...pool.imap(shout, store, 2)], ['one!', 'two!', 'three!']);

    const numbers = Gio.ListStore.new(Number_.$gtype);
    for (let i = 0; i < 20; i++)
        numbers.append(new Number_(i));
    assertEqual(pool.map(square, Mp.Items.new_for_model(numbers, item => item.number), 3), squares(20));
    assertEqual(pool.map(shout, Mp.Items.new_for_model(numbers, item => new GLib.Variant('i', item.number))).slice(0, 3),
        [1, 2, 3]);
});

test('objects of a list travel', () => {
    const store = Gio.ListStore.new(Mp.Connection.$gtype);
    const ends = [0, 1, 2].map(() => Mp.pipe_new());
    ends.forEach(([near]) => store.append(near));
    assertEqual(pool.map(greet, store), [true, true, true]);
    assertEqual(ends.map(([, far]) => far.recv()), ['hello', 'hello', 'hello']);
});

test('batches', async () => {
    for (const chunkSize of [1, 4, 30]) {
        for (const items of [count(50), Array.from(count(50))]) {
            const iter = pool.imap(oddFails, items, chunkSize);
            const all = [];
            for (let batch = iter.next_batch(7); batch !== null; batch = await iter.next_batch_async()) {
                assert(batch.length > 0);
                all.push(...batch);
            }
            assertEqual(all.map(({index}) => index), Array.from(count(50)));
            all.forEach(({index, value, error}) => {
                if (index % 2 === 0)
                    assertEqual(value, index * 10);
                else
                    assertEqual([error instanceof RangeError, error.message], [true, `odd: ${index}`]);
            });
        }
    }
    assertEqual(pool.imap(square, []).next_batch(), null);
});

test('a death costs its chunk', () => {
    for (const chunkSize of [1, 2, 3]) {
        const outcomes = [];
        const iter = pool.imap(dieAtFive, count(8), chunkSize);
        for (;;) {
            try {
                const {value, done} = iter.next();
                if (done)
                    break;
                outcomes.push(value);
            } catch (error) {
                assert(error.matches(Mp.Error, Mp.Error.WORKER_DIED), `${error}`);
                outcomes.push('died');
            }
        }
        const lost = Math.trunc(5 / chunkSize);
        assertEqual(outcomes, Array.from(count(8)).map(x => Math.trunc(x / chunkSize) === lost ? 'died' : x));
    }
});

test('a reader that stops stops the input', async () => {
    const state = {};
    const iter = pool.imap(square, count(Infinity, state), 5);
    for (let i = 0; i < 10; i++)
        iter.next();
    let asked;
    do {
        ({asked} = state);
        for (let i = 0; i < 5; i++)
            await pool.apply_async(square, [1]);
    } while (asked !== state.asked);
    assert(asked < 10 + 2 * 65 * 5, `${asked} asked for`);
    assertEqual(iter.next().value, 100);
    iter.close();
    assertEqual(iter.next().done, true);
    assertEqual(iter.next_batch(), null);
});

test('GJS refuses calls while it collects, and no item is lost', () => {
    let n = 0;
    for (const result of pool.imap(square, count(20000))) {
        if (result !== n * n)
            assertEqual(result, n * n);
        n++;
    }
    assertEqual(n, 20000);
});

test('the end', () => {
    pool.close();
    pool.join();
});

await run();
