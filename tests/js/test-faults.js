// test-faults.js — SPDX-License-Identifier: LGPL-2.1-or-later
// What goes wrong: workers that die, pools that are left, programs that are not as they should be.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';
import System from 'system';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, findBeside, getPid, isRunning, makeDirectory, run,
    runProgram, show, signal, test, until} from './harness.js';

const square = Mp.register('square', x => x * x);
const where = Mp.register(function where() {
    return getPid();
});
const die = Mp.register(function die(how) {
    switch (how) {
    case 'KILL':
    case 'ABRT':
        printerr(`about to get ${how}`);
        signal(getPid(), how);
        break;
    case 'exit':
        System.exit(0);
        break;
    default:
        return how;
    }
    return undefined;
});
// Deaf to everything but a signal: a script has no pause().
const hang = Mp.register(function hang(path) {
    GLib.file_set_contents(path, String(getPid()));
    for (;;)
        GLib.usleep(1000);
});
const nest = Mp.register(function nest(x) {
    const pool = Mp.Pool.new(2);
    const result = pool.map(square, [x, x + 1]);
    pool.terminate();
    return result;
});
const nestLater = Mp.register(async function nestLater(x) {
    const pool = Mp.Pool.new(1);
    const result = await pool.apply_async(square, [x]);
    pool.terminate();
    await pool.join_async();
    return result;
});
const echo = Mp.register(function echo(value) {
    return value;
});
const waitOrDie = Mp.register(function waitOrDie(what) {
    if (what === 'KILL')
        signal(getPid(), what);
    while (typeof what === 'string' && !GLib.file_test(what, GLib.FileTest.EXISTS))
        GLib.usleep(1000);
    return what;
});
const echoLater = Mp.register(async function echoLater(value) {
    return value;
});
const collect = Mp.register(function collect(n) {
    const kept = [];
    for (let i = 0; i < n; i++) {
        kept.push(new Array(100).fill({i}));
        if (i % 20 === 0)
            System.gc();
    }
    return kept.length;
});

Mp.init();

const directory = makeDirectory();

async function startHanging(pool, name) {
    const path = `${directory}/${name}`;
    const promise = pool.apply_async(hang, [path]);
    promise.catch(() => {});
    await until(() => GLib.file_test(path, GLib.FileTest.EXISTS), 'the call');
    const [, contents] = GLib.file_get_contents(path);
    return [promise, Number(new TextDecoder().decode(contents))];
}

test('a worker that dies fails its task and no other', async () => {
    const pool = Mp.Pool.new(2);
    for (const [how, pattern] of [['KILL', /signal 9/], ['ABRT', /signal 6/], ['exit', /status 0/]]) {
        const others = Array.from({length: 20}, (_, i) => pool.apply_async(square, [i]));
        const error = await catchFrom(() => pool.apply_async(die, [how]));
        assert(error instanceof GLib.Error && error.matches(Mp.Error, Mp.Error.WORKER_DIED), show(error));
        assertMatches(error.message, pattern);
        assertMatches(error.worker, /./);
        assert(error.details.pid > 0);
        assertEqual(await Promise.all(others), others.map((_, i) => i * i));
    }
    assertEqual(await pool.apply_async(die, ['well']), 'well');
    pool.terminate();
});

test('each item of a chunk whose worker died has the error', async () => {
    const pool = Mp.Pool.new(1);
    const iter = pool.imap(die, [0, 1, 'KILL', 3, 4, 5, 6, 'KILL', 8], 4);
    const seen = [];
    for (let i = 0; i < 9; i++) {
        seen.push(await iter.next_async().then(({value}) => value,
            error => error.matches(Mp.Error, Mp.Error.WORKER_DIED)));
    }
    assertEqual(seen, [true, true, true, true, true, true, true, true, 8]);
    assert((await iter.next_async()).done);
    pool.terminate();
});

// All that an iterator has, as soon as it has it; each outcome opens the gate.
async function collectOutcomes(take, gate) {
    const outcomes = [];
    for (;;) {
        try {
            const {value, done} = await take();
            if (done)
                return outcomes;
            outcomes.push(value);
        } catch (error) {
            outcomes.push(error.matches?.(Mp.Error, Mp.Error.WORKER_DIED) ? 'died' : error.message);
        }
        GLib.file_set_contents(gate, '');
    }
}

test('a short chunk whose worker died has an error for each of its items', async () => {
    const directory = GLib.Dir.make_tmp('mp-XXXXXX');
    const gate = GLib.build_filenamev([directory, 'gate']);
    const pool = Mp.Pool.new(2);
    const lists = [items => items, function* (items) {
        yield* items;
    }];
    const takes = [iter => iter.next(), iter => iter.next_async(), iter => new Promise((resolve, reject) => {
        iter.next_async(null, (_source, result) => {
            try {
                resolve(iter.next_finish(result));
            } catch (error) {
                reject(error);
            }
        });
    })];
    for (const list of lists) {
        for (const take of takes) {
            const iter = pool.imap_unordered(waitOrDie, list([gate, 1, 2, 'KILL']), 3);
            assertEqual(await collectOutcomes(() => take(iter), gate), ['died', gate, 1, 2]);
            GLib.unlink(gate);
        }
        const batches = pool.imap_unordered(waitOrDie, list([gate, 1, 2, 'KILL']), 3);
        assertEqual(batches.next_batch().map(({index}) => index), [3]);
        GLib.file_set_contents(gate, '');
        assertEqual(batches.next_batch().map(({index}) => index), [0, 1, 2]);
        assertEqual(batches.next_batch(), null);
        GLib.unlink(gate);
    }

    function* failing() {
        yield* [1, 2, 3, 'KILL'];
        throw new RangeError('enough');
    }
    const iter = pool.imap(waitOrDie, failing(), 3);
    assertEqual(await collectOutcomes(() => iter.next(), gate), [1, 2, 3, 'died', 'enough']);

    // All that is left has one error.
    const hanging = pool.imap(hang, [`${gate}1`, 'never', 'never', 'never'], 3);
    await until(() => GLib.file_test(`${gate}1`, GLib.FileTest.EXISTS), 'the first one');
    pool.terminate();
    assertEqual((await collectOutcomes(() => hanging.next_async(), gate)).length, 1);
    GLib.unlink(gate);
    GLib.unlink(`${gate}1`);
    GLib.rmdir(directory);
});

test('a busy worker is killed', async () => {
    const pool = Mp.Pool.new(1);
    const [promise, pid] = await startHanging(pool, 'busy');
    const queued = pool.apply_async(square, [3]);
    signal(pid, 'KILL');
    const error = await catchFrom(() => promise);
    assert(error.matches(Mp.Error, Mp.Error.WORKER_DIED), show(error));
    assertEqual(error.details.signal, 9);
    assertEqual(await queued, 9, 'what stood behind it');
    pool.terminate();
});

test('an idle worker is killed', async () => {
    const pool = Mp.Pool.new(1);
    const pid = await pool.apply_async(where);
    signal(pid, 'KILL');
    await until(() => !isRunning(pid));
    assert(await pool.apply_async(where) !== pid);
    pool.terminate();
});

test('ten thousand calls are queued and the pool is terminated', async () => {
    const pool = Mp.Pool.new(2);
    const [, pid] = await startHanging(pool, 'queued');
    const promises = Array.from({length: 10000}, (_, i) => pool.apply_async(square, [i]));
    const settled = Promise.allSettled(promises);
    pool.terminate();
    await pool.join_async();
    const outcomes = await settled;
    for (const {status, value, reason} of outcomes)
        assert(status === 'fulfilled' ? Number.isInteger(value) : reason instanceof GLib.Error, show(value));
    assert(outcomes.some(({status}) => status === 'rejected'));
    await until(() => !isRunning(pid), 'the end of the busy worker');
});

test('pools within pools', async () => {
    const pool = Mp.Pool.new(2);
    assertEqual(await pool.map_async(nest, [1, 3]), [[1, 4], [9, 16]]);
    assertEqual(await pool.map_async(nestLater, [5, 6]), [25, 36]);
    pool.terminate();
});

test('a pool that is dropped', async () => {
    let pool = Mp.Pool.new(1);
    const pid = await pool.apply_async(where);
    assert(isRunning(pid));
    pool = null;
    System.gc();
    await until(() => {
        System.gc();
        return !isRunning(pid);
    }, 'the end of the worker');
});

test('the collector runs while calls are pending', async () => {
    const results = Array.from({length: 50}, (_, i) => Mp.Pool.new(1 + i % 2).apply_async(echo, [{i}]).then(result => {
        System.gc();
        return result;
    })).slice(0, 50);
    const pool = Mp.Pool.new(2);
    const work = pool.map_async(collect, [100, 200, 300], 1);
    const iter = pool.imap(echo, Array.from({length: 100}, (_, i) => ({i})));
    let n = 0;
    for await (const {i} of iter) {
        assertEqual(i, n++);
        if (i % 10 === 0)
            System.gc();
    }
    assertEqual(await work, [100, 200, 300]);
    System.gc();
    assertEqual(await Promise.all(results), results.map((_, i) => ({i})));
    pool.terminate();
});

test('many large values do not pile up', async () => {
    const pool = Mp.Pool.new(1);
    const bytes = new Uint8Array(8 << 20).fill(7);
    const getSize = () => {
        const [, text] = GLib.file_get_contents('/proc/self/statm');
        return Number(new TextDecoder().decode(text).split(' ')[1]) * 4096;
    };
    assertEqual((await pool.apply_async(echo, [bytes])).length, bytes.length);
    const before = getSize();
    for (let i = 0; i < 40; i++)
        await pool.apply_async(echo, [bytes]);
    assert(getSize() - before < 200 << 20, `${(getSize() - before) >> 20} MiB more`);
    pool.terminate();
});

async function catchNowOrLater(func) {
    try {
        await func();
        return null;
    } catch (error) {
        return error;
    }
}

test('what is no value of JavaScript', async () => {
    const pool = Mp.Pool.new(1);
    const worker = await pool.apply_async(where, []);
    const tags = ['js', 'js-call', 'js-items', 'js-results', 'js-tries', 'js-outcomes', 'js-nothing'];
    const texts = ['', '{', '5', 'null', '"text"', '{"length": 3}', '{"\\u0001": []}', '[{"\\u0001": ["v", 7]}]',
        '[{"\\u0001": ["h", 0]}]', '[{"\\u0001": ["b", "Uint8Array", 1000, 1000]}]', '[{"\\u0001": ["e", null]}]'];
    for (const tag of tags) {
        for (const text of texts) {
            for (const func of [echo, echoLater]) {
                // It fails, or is a value by chance.
                const error = await catchNowOrLater(() => pool.apply_async(func, Mp.blob_new(tag, text, null, null)));
                assert(!error?.matches?.(Mp.Error, Mp.Error.WORKER_DIED), `${tag} ${text}: ${show(error)}`);
            }
        }
    }
    for (const text of ['5', '()', '("js", 5)', '("js", "5", @ay [], [<5>])', '@(ssayav) ("js", "{", [], [])', 'b"js"']) {
        const error = await catchNowOrLater(() => pool.apply_async(echo, GLib.Variant.parse(null, text, null, null)));
        assert(!error?.matches?.(Mp.Error, Mp.Error.WORKER_DIED), `${text}: ${show(error)}`);
    }
    assertEqual(await pool.apply_async(where, []), worker);
    pool.terminate();
});

test('a worker program that does not start', async () => {
    for (const [argv, pattern] of [[['/nonexistent/program'], /no such program|No such file/], [['false'], /status 1/],
        [['gjs', '-c', 'printerr("on purpose"); imports.system.exit(3)'], /status 3[^]*on purpose/]]) {
        const pool = new Mp.Pool({n_workers: 2, context: new Mp.Context({worker_argv: argv})});
        const error = await catchFrom(() => pool.apply_async('square', new GLib.Variant('x', 1)));
        assert(error instanceof GLib.Error && error.matches(Mp.Error, Mp.Error.WORKER_START), show(error));
        assertMatches(error.message, pattern);
        pool.terminate();
    }
});

test('a program without Mp.init() starts nothing', async () => {
    const {stdout, stderr, status} = await runProgram(['gjs', '-m', findBeside(import.meta.url, 'program-no-init.js')]);
    assertMatches(stdout, /^NOT_INITIALIZED .*init/);
    assertEqual([stdout.split('\n').length, status], [2, 0], stderr);
});

test('a timeout in a blocking call', async () => {
    const pool = Mp.Pool.new(1);
    await startHanging(pool, 'timeout');
    const error = catchNow(() => pool.apply(square, [1], 20000));
    assertMatches(error.message, /time/i);
    pool.terminate();
    pool.join();
});

await run();
