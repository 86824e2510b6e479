// test-process.js — SPDX-License-Identifier: LGPL-2.1-or-later

import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';
import System from 'system';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, findBeside, getPid, isRunning, run, show, signal, test,
    until} from './harness.js';

const talk = Mp.register(function talk(connection, ...words) {
    connection.send({words, pid: getPid(), name: Mp.Process.get_current().get_name()});
});
const answer = Mp.register(function answer(connection) {
    for (;;) {
        const question = connection.recv();
        if (question === null)
            return;
        connection.send(question.a + question.b);
    }
});
const end = Mp.register(function end(how) {
    switch (how) {
    case 'well':
        return undefined;
    case 'exit 7':
        return System.exit(7);
    case 'kill':
        return signal(getPid(), 'KILL');
    case 'throw':
        throw new RangeError('thrown');
    case 'reject':
        return Promise.reject(new RangeError('rejected'));
    default:
        return how;
    }
});
// Deaf to everything but a signal: a script has no pause().
const hang = Mp.register(function hang() {
    for (;;)
        GLib.usleep(1000);
});
const speak = Mp.register(function speak() {
    print('to stdout');
    printerr('to stderr');
});
const parent = Mp.register(function parent(connection) {
    const owner = Mp.Process.get_parent();
    connection.send([owner.get_pid(), owner.is_alive(), Mp.is_worker()]);
});

const mark = Mp.register(function mark() {
    return globalThis.mpMark ?? 'not loaded';
});

const Greeter = GObject.registerClass({
    GTypeName: 'MpTestGreeter',
    Properties: {
        'word': GObject.ParamSpec.string('word', null, null, GObject.ParamFlags.READWRITE, 'nothing'),
        'count': GObject.ParamSpec.int('count', null, null, GObject.ParamFlags.READWRITE, 0, 100, 0),
        'connection': GObject.ParamSpec.object('connection', null, null, GObject.ParamFlags.READWRITE,
            Mp.Connection.$gtype),
    },
}, class Greeter extends Mp.Process {
    vfunc_run() {
        this.connection.send(`${this.word} × ${this.count}, ${show(this.args)} from ${this.constructor.name}`);
    }
});
const Failer = GObject.registerClass(class Failer extends Mp.Process {
    async vfunc_run() {
        await null;
        throw new TypeError('run failed');
    }
});

Mp.init();

test('a function in a process', async () => {
    const [ours, theirs] = Mp.pipe_new();
    const process = new Mp.Process({function: talk, args: [theirs, 'a', -0], name: 'talker'});
    assertEqual(process.args.slice(1), ['a', -0]);
    assert(!process.is_alive());
    await process.start_async();
    const message = await ours.recv_async();
    assertEqual([message.words, message.name, message.pid], [['a', -0], 'talker', process.get_pid()]);
    await process.join_async();
    assertEqual([process.get_exit_status(), process.is_alive()], [0, false]);
});

test('without a main loop', () => {
    const [ours, theirs] = Mp.pipe_new(true);
    const process = Mp.Process.new('answer', [theirs]);
    process.start();
    assert(process.is_alive());
    ours.send({a: 'x', b: 'y'});
    assertEqual(ours.recv(), 'xy');
    ours.send({a: 1, b: NaN});
    assertEqual(ours.recv(), NaN);
    ours.send(null);
    process.join();
    assertEqual(process.get_exit_status(), 0);
});

test('how a process ends', async () => {
    for (const [how, status] of [['well', 0], ['exit 7', 7], ['kill', -9], ['throw', 1], ['reject', 1]]) {
        const process = new Mp.Process({function: end, args: [how]});
        process.captureOutput = true;
        await process.start_async();
        await process.join_async();
        assertEqual(process.get_exit_status(), status, how);
    }
    const process = new Mp.Process({function: end, args: ['throw'], capture_output: true});
    process.start();
    process.join();
    const error = process.dup_error();
    assert(error instanceof RangeError, show(error));
    assertMatches(error.remoteStack, /^end@/);
});

test('subclasses', async () => {
    const [ours, theirs] = Mp.pipe_new();
    const process = new Greeter({word: 'hello', count: 3, connection: theirs, args: [1, new Map()]});
    await process.start_async();
    assertEqual(await ours.recv_async(), 'hello × 3, [1, Map[]] from Greeter');
    await process.join_async();
    assertEqual(process.get_exit_status(), 0);

    const failer = new Failer({captureOutput: true});
    failer.start();
    failer.join();
    assertEqual(failer.get_exit_status(), 1);
    assert(failer.dup_error() instanceof TypeError);
});

test('terminate, kill and signals', async () => {
    for (const [name, status] of [['terminate', -15], ['kill', -9], ['interrupt', -2]]) {
        const process = Mp.Process.new(hang);
        const seen = [];
        process.connect('started', () => seen.push('started'));
        process.connect('exited', (_process, exitStatus) => seen.push(exitStatus));
        await process.start_async();
        const pid = process.get_pid();
        assert(isRunning(pid));
        process[name]();
        await process.join_async();
        await until(() => seen.length === 2, 'exited');
        assertEqual([process.get_exit_status(), seen], [status, ['started', status]], name);
        assert(!isRunning(pid));
    }
});

test('join with a timeout, and cancelled', async () => {
    const process = Mp.Process.new(hang);
    process.start();
    let error = catchNow(() => process.join(1000));
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT), show(error));
    const cancellable = new Gio.Cancellable();
    const joined = process.join_async(cancellable);
    cancellable.cancel();
    error = await catchFrom(() => joined);
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED), show(error));
    process.kill();
    process.join();
});

test('captured output', async () => {
    const process = new Mp.Process({function: speak, capture_output: true});
    const lines = [];
    process.connect('line', (_process, stream, text) => lines.push([stream, text]));
    await process.start_async();
    await process.join_async();
    await until(() => lines.length >= 2, 'the lines');
    assertEqual(lines.sort(), [['stderr', 'to stderr'], ['stdout', 'to stdout']]);
});

test('current, parent and children', async () => {
    assertEqual([Mp.Process.get_current().get_name(), Mp.Process.get_parent(), Mp.is_worker()],
        ['MainProcess', null, false]);
    const [ours, theirs] = Mp.pipe_new();
    const process = Mp.Process.new(parent, [theirs]);
    const children = Mp.get_active_children();
    const before = children.get_n_items();
    await process.start_async();
    assertEqual(await ours.recv_async(), [getPid(), true, true]);
    await process.join_async();
    await until(() => Mp.get_active_children().get_n_items() === before, 'the end of the child');
});

test('an unknown function', async () => {
    const process = new Mp.Process({function: 'nowhere', capture_output: true});
    await process.start_async();
    await process.join_async();
    assert(process.get_exit_status() !== 0);
    assert(catchNow(() => Mp.Process.new(() => 1)) instanceof TypeError);
});

test('connections', async () => {
    const [first, second] = Mp.pipe_new();
    await first.send_async([undefined, 1n]);
    assert(second.poll(-1));
    assertEqual(second.recv(), [undefined, 1n]);
    first.send(new GLib.Variant('(is)', [1, 'x']));
    assertEqual(show(second.recv()), 'Variant (1, \'x\')');
    first.send_bytes(new GLib.Bytes(new Uint8Array([1, 2])));
    assertEqual(second.recv_bytes(), new GLib.Bytes(new Uint8Array([1, 2])));
    assertEqual(second.poll(), false);
    const received = second.recv_async();
    first.send('late');
    assertEqual(await received, 'late');
    let message = null;
    second.connect('message', (_connection, variant) => (message = Mp.unpack(variant)));
    second.start();
    first.send({a: 1});
    await until(() => message !== null, 'the message');
    assertEqual(message, {a: 1});
    first.close();
    assertEqual(first.is_closed(), true);
    const error = catchNow(() => first.send(1));
    assert(error instanceof GLib.Error, show(error));
});

test('fork is refused, the default is spawn', async () => {
    const fork = catchNow(() => Mp.Context.new(Mp.StartMethod.FORK));
    assert(fork.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED), show(fork));
    assertMatches(fork.message, /threads/);
    const context = Mp.Context.new(Mp.StartMethod.FORKSERVER);
    for (const make of [() => new Mp.Pool({context}), () => new Mp.Process({context, function: end})]) {
        const error = catchNow(make);
        assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED), show(error));
        assertMatches(error.message, /use spawn/);
    }
    assertEqual(Mp.Context.get_default().get_start_method(), Mp.StartMethod.SPAWN);
    assertEqual(Mp.Context.new().get_start_method(), Mp.StartMethod.SPAWN);
    assertEqual(new Mp.Context().get_start_method(), Mp.StartMethod.SPAWN);
    assertEqual(Mp.Context.list_start_methods(), [Mp.StartMethod.SPAWN]);
});

test('preload', async () => {
    const path = findBeside(import.meta.url, 'module-mark.js');
    const context = new Mp.Context({preload: [path, 'gi://Gio', 'system']});
    const pool = new Mp.Pool({n_workers: 1, context});
    assertEqual(await pool.apply_async(mark), 'loaded');
    assertEqual(context.dup_preloaded(), [GLib.filename_to_uri(path, null), 'gi://Gio', 'system']);
    pool.terminate();

    context.set_preload(['gi://NoSuchNamespace']);
    const failing = new Mp.Pool({n_workers: 1, context});
    const error = await catchFrom(() => failing.apply_async(mark));
    assert(error.matches(Mp.Error, Mp.Error.WORKER_START), show(error));
    assertMatches(error.message, /cannot preload “gi:\/\/NoSuchNamespace”/);
    failing.terminate();
});

await run();
