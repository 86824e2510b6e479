// test-languages.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Programs in C, Python and JavaScript as each other's workers; this file is the one in JavaScript.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {BUILT, assert, assertEqual, assertMatches, catchFrom, run, runProgram, show, test} from './harness.js';

const HELPER = `${BUILT}/helper-languages`;

Mp.register('square', variant => new GLib.Variant('x', variant.unpack() ** 2));
Mp.register('describe', variant => {
    const [name, numbers] = variant.recursiveUnpack();
    return new GLib.Variant('s', `${name}: ${numbers.length}`);
});
Mp.register(function fail(variant) {
    throw new RangeError(variant.unpack());
});
Mp.register('later', async variant => {
    await null;
    return new GLib.Variant('x', variant.unpack() + 1);
});

Mp.init();

const PYTHON = `
from gi.repository import Mp

@Mp.function
def square(x):
    return x * x

@Mp.function
def fail(text):
    raise ValueError(text)

Mp.init()
`;

test('workers in C', async () => {
    const context = new Mp.Context({worker_argv: [HELPER]});
    const pool = new Mp.Pool({n_workers: 2, context});
    assertEqual(show(await pool.map_async('square', new GLib.Variant('ax', [1, 2, 3]))), 'Variant [int64 1, 4, 9]');
    assertEqual(show(await pool.apply_async('square', new GLib.Variant('x', 9))), 'Variant int64 81');
    assertEqual(show(await pool.apply_async('describe', new GLib.Variant('(sax)', ['numbers', [1, 2]]))),
        'Variant \'numbers: 2\'');
    const error = await catchFrom(() => pool.apply_async('fail', new GLib.Variant('s', '')));
    assert(error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_MOUNTED), show(error));
    assertEqual(error.message, 'failed in C');
    assertMatches(error.worker, /./);
    const results = [];
    for await (const result of pool.imap('square', new GLib.Variant('ax', [4, 5])))
        results.push(result.unpack());
    assertEqual(results, [16, 25]);
    pool.terminate();
});

test('workers in C by a fork server', async () => {
    const context = new Mp.Context({worker_argv: [HELPER], start_method: Mp.StartMethod.FORKSERVER});
    const pool = new Mp.Pool({n_workers: 2, context});
    assertEqual(show(await pool.map_async('square', new GLib.Variant('ax', [1, 2, 3]))), 'Variant [int64 1, 4, 9]');
    pool.terminate();
    await pool.join_async();
});

test('plain values are nothing for a function in C', async () => {
    const pool = new Mp.Pool({n_workers: 1, context: new Mp.Context({worker_argv: [HELPER]})});
    const error = await catchFrom(() => pool.apply_async('square', [5]));
    assert(error instanceof GLib.Error && error.matches(Mp.Error, Mp.Error.INVALID_TYPE), show(error));
    pool.terminate();
});

test('a process in C', async () => {
    const context = new Mp.Context({worker_argv: [HELPER]});
    const process = new Mp.Process({function: 'describe', args: new GLib.Variant('(sax)', ['x', [1]]), context});
    await process.start_async();
    await process.join_async();
    assertEqual(process.get_exit_status(), 0);
});

test('workers in Python', async () => {
    const context = new Mp.Context({worker_argv: ['/usr/bin/python3', '-c', PYTHON]});
    const pool = new Mp.Pool({n_workers: 2, context});
    const squares = await pool.map_async('square', new GLib.Variant('ax', [1, 2, 3]));
    assertEqual(squares.recursiveUnpack().map(Number), [1, 4, 9]);
    const error = await catchFrom(() => pool.apply_async('fail', new GLib.Variant('s', 'on purpose')));
    assertMatches(error.message, /on purpose/);
    assertEqual(error.details.type.replace(/^.*\./, ''), 'ValueError');
    assertMatches(error.remoteStack, /in fail/);
    pool.terminate();
});

test('an owner in C', async () => {
    const script = Gio.File.new_for_uri(import.meta.url).get_path();
    const {stdout, stderr, status} = await runProgram([HELPER, 'gjs', '-m', script]);
    assertEqual([stdout, status], ['square: [int64 1, 4, 9, 16, 25]\ndescribe: \'numbers: 2\'\nlater: int64 21\n' +
        'fail: mp-error-quark 5: RangeError: on purpose\ndetails: RangeError, traceback of fail\nprocess: 0\n', 0],
    stderr);
});

await run();
