// test-listener.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Listeners and clients: in one program, in several, and with CPython at the other end.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, matches, run, runProgram, show, test, until} from
    './harness.js';

const greet = Mp.register(function greet(address, authkey, name) {
    const connection = Mp.client_connect(address, {authkey});
    connection.send(`hello from ${name}`);
    const answer = connection.recv();
    connection.close();
    return answer;
});
const tellKey = Mp.register(function tellKey() {
    return Mp.get_authkey();
});
const sendKey = Mp.register(function sendKey(connection) {
    connection.send(Mp.get_authkey());
});

Mp.init();

const KEY = 'secret password';

async function connectPair(address, options = {}) {
    const listener = new Mp.Listener({address, ...options});
    const accepted = listener.accept_async();
    const client = await Mp.client_connect_async(listener.address, options);
    return [await accepted, client, listener];
}

const plain = [null, undefined, -0, 1.5, 'grüße', [1, [2]], {a: true}, new Map([[1, 2]]), new Uint8Array([1, 2])];

test('addresses', async () => {
    const directory = GLib.dir_make_tmp('mp-js-XXXXXX');
    const path = `${directory}/socket`;
    for (const [address, pattern] of [
        [null, /^unix:\/.*/],
        [path, /^unix:\/.*\/socket$/],
        [`unix:${path}`, /^unix:\/.*\/socket$/],
        ['tcp:127.0.0.1:0', /^tcp:127\.0\.0\.1:[1-9]/],
        [['127.0.0.1', 0], /^tcp:127\.0\.0\.1:[1-9]/],
        [Gio.InetSocketAddress.new_from_string('127.0.0.1', 0), /127\.0\.0\.1:[1-9]/],
        [Gio.UnixSocketAddress.new(path), /socket$/],
    ]) {
        const listener = new Mp.Listener({address});
        assertMatches(listener.get_address(), pattern);
        for (const where of [listener.get_socket_address(), ...address instanceof Gio.SocketAddress ? []
            : [listener.address]]) {
            const accepted = listener.accept_async();
            const client = await Mp.client_connect_async(where);
            const connection = await accepted;
            connection.send('here');
            assertEqual(await client.recv_async(), 'here');
        }
        assertEqual(listener.is_closed(), false);
        listener.close();
        assertEqual(listener.closed, true);
    }
    GLib.rmdir(directory);

    for (const wrong of [5, ['localhost'], ['localhost', '0'], [0, 'localhost'], {}, new Gio.Cancellable()]) {
        assert(catchNow(() => new Mp.Listener({address: wrong})) instanceof TypeError, show(wrong));
        assert(await catchFrom(() => Mp.client_connect_async(wrong)) instanceof TypeError, show(wrong));
        assert(catchNow(() => Mp.client_connect(wrong)) instanceof TypeError, show(wrong));
    }
    for (const wrong of ['unix:/tmp/a\0b', '/tmp/a\0b', ['127.0.0.1\0x', 0]]) {
        for (const make of [Mp.Listener.new, address => new Mp.Listener({address}), Mp.client_connect])
            assert(catchNow(() => make(wrong)) instanceof TypeError, show(wrong));
    }
    assert(catchNow(() => new Mp.Listener({address: 'nonsense'})) instanceof GLib.Error);
    assert(catchNow(() => Mp.client_connect('nonsense')) instanceof GLib.Error);
    assert(catchNow(() => new Mp.Listener('tcp:localhost:0')) instanceof TypeError);
});

test('numbers that are none, or too large', () => {
    for (const name of ['backlog', 'max_pending', 'handshake_timeout_us', 'max_message_size']) {
        for (const wrong of [-1, 1.5, NaN, 2 ** 63, 'x']) {
            for (const form of [name, name.replaceAll('_', '-'), name.replace(/_./g, part => part[1].toUpperCase())]) {
                const error = catchNow(() => new Mp.Listener({[form]: wrong}));
                assert(error instanceof RangeError && error.message.includes(name), `${form} ${wrong}`);
            }
        }
        new Mp.Listener({[name]: 5}).close();
    }
    assert(catchNow(() => new Mp.ClientOptions({max_message_size: -1})) instanceof RangeError);
});

test('the ways to make and to connect', async () => {
    const listener = Mp.Listener.new('tcp:127.0.0.1:0', KEY);
    const options = new Mp.ClientOptions({authkey: KEY});
    const other = new Mp.ClientOptions();
    other.set_authkey(new TextEncoder().encode(KEY));
    for (const connect of [
        () => Mp.client_connect_async(listener.address, options),
        () => Mp.client_connect_to_async(listener.address, other),
        () => Mp.client_connect_async(listener.get_socket_address(), {authkey: GLib.Bytes.new(KEY)}),
    ]) {
        const accepted = listener.accept_async();
        const client = await connect();
        client.send(7);
        assertEqual((await accepted).recv(), 7);
    }
    assert(catchNow(() => Mp.set_authkey('')) instanceof RangeError);
    for (const wrong of [5, ['s'], {}]) {
        assert(catchNow(() => Mp.Listener.new('tcp:127.0.0.1:0', wrong)) instanceof TypeError, show(wrong));
        assert(await catchFrom(() => Mp.client_connect_async(listener.address, {authkey: wrong})) instanceof TypeError);
    }
    assert(await catchFrom(() => Mp.client_connect_async(listener.address, 'key')) instanceof TypeError);
    assert(catchNow(() => Mp.client_connect(listener.address, null, 'soon')) instanceof TypeError);
    listener.close();
});

test('values and bytes', async () => {
    for (const address of [null, 'tcp:127.0.0.1:0']) {
        const [server, client, listener] = await connectPair(address, {authkey: KEY});
        for (const value of plain) {
            server.send(value);
            assertEqual(client.recv(), value);
            await client.send_async(value);
            assertEqual(await server.recv_async(), value);
        }
        server.send_bytes(new Int32Array([42, 1729]));
        const numbers = new Int32Array(3);
        assertEqual(client.recv_bytes_into(numbers), 8);
        assertEqual(numbers, new Int32Array([42, 1729, 0]));
        server.send('value');
        server.send_bytes(new Uint8Array([65]));
        server.close();
        const messages = [];
        for await (const message of client)
            messages.push(message);
        assertEqual(messages, ['value', new GLib.Bytes(new Uint8Array([65]))]);
        listener.close();
    }
});

test('a few bytes that are many objects', async () => {
    const [accepted, client] = await connectPair(null, {max_message_size: 2 << 20});
    const refuse = async (blob, pattern) => {
        const sent = client.send_async(blob);
        const failure = await catchFrom(() => accepted.recv_async());
        await sent;
        assertMatches(failure.message, pattern);
    };
    const bytes = new Uint8Array(100000);
    const twice = '{"\\u0001":["b","Uint8Array",0,60000]},{"\\u0001":["b","Uint8Array",0,60000]}';
    await refuse(Mp.blob_new('js', `[${twice}]`, bytes, null), /more bytes than there are/);
    await refuse(Mp.blob_new('js', '{"\\u0001":["b","Uint8Array",0,-1]}', bytes, null), /more bytes than there are/);
    const sets = '{"\\u0001":["s"]},'.repeat(65000);
    await refuse(Mp.blob_new('js', `[${sets}0]`, null, null), /64 MiB .* max-message-size/);
    await refuse(Mp.blob_new('js', '0', null, new Array(70000).fill(new GLib.Variant('i', 5))), /64 MiB/);
    await refuse(Mp.blob_new('js', `${'['.repeat(100000)}${']'.repeat(100000)}`, null, null), /64 MiB/);
    const pattern = `"[${'\\\\p{L}'.repeat(10000)}]"`;
    await refuse(Mp.blob_new('js', `{"\\u0001":["r",${pattern},"u"]}`, null, null), /64 MiB/);
    for (const value of ['[{,:"\\'.repeat(200000), new Array(200000).fill(1.5).concat('x'),
        new Array(50000).fill('one'),
        [bytes, bytes.slice(7)], new Array(20000).fill({a: 1, b: [2]})]) {
        const sent = client.send_async(value);
        assertEqual(JSON.stringify(await accepted.recv_async()), JSON.stringify(value));
        await sent;
    }
});

test('a large BigInt takes no time', async () => {
    const [accepted, client] = await connectPair(null);
    const before = GLib.get_monotonic_time();
    for (const value of [(1n << 1000000n) - 7n, -(1n << 999999n), 3n << 64n]) {
        const sent = client.send_async(value);
        assert(await accepted.recv_async() === value, 'it is the same');
        await sent;
    }
    assert(GLib.get_monotonic_time() - before < 15000000, 'it takes no time');
    const sent = client.send_async(Mp.blob_new('js', '{"\\u0001":["i","1x"]}', null, null));
    assertMatches((await catchFrom(() => accepted.recv_async())).message, /other digits/);
    await sent;
});

test('objects that travel, and those that do not', async () => {
    const [server, client] = await connectPair(null);
    const lock = new Mp.Lock({isolated: true});
    server.send({lock, file: Mp.Descriptor.new(0)});
    const {lock: same, file} = client.recv();
    same.acquire();
    assertEqual(lock.is_locked(), true);
    same.release();
    assert(file.get_fd() > 2);
    matches(catchNow(() => server.send(new Mp.Lock())), Gio.IOErrorEnum, Gio.IOErrorEnum.PERMISSION_DENIED);
    server.send('still there');
    assertEqual(client.recv(), 'still there');

    const [server2, client2] = await connectPair('tcp:127.0.0.1:0');
    matches(catchNow(() => server2.send(lock)), Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED);
    server2.send('still there');
    assertEqual(client2.recv(), 'still there');
});

test('keys', async () => {
    const listener = new Mp.Listener({address: 'tcp:127.0.0.1:0', authkey: KEY});
    const failed = [];
    listener.connect('client-failed', (_listener, error) => failed.push(error));
    const accepted = listener.accept_async();
    for (const options of [{authkey: 'another'}, {authkey: 'secret'}]) {
        const error = await catchFrom(() => Mp.client_connect_async(listener.address, options));
        matches(error, Mp.Error, Mp.Error.AUTHENTICATION);
        assert(!error.message.includes(KEY) && !error.message.includes('another'), error.message);
    }
    // The listener goes on.
    const client = await Mp.client_connect_async(listener.address, {authkey: KEY});
    client.send('good');
    assertEqual((await accepted).recv(), 'good');
    await until(() => failed.length === 2, 'two that failed');
    failed.forEach(error => matches(error, Mp.Error, Mp.Error.AUTHENTICATION));
    listener.close();
});

test('challenges', async () => {
    const challenge = (first, second, key1, key2) => Promise.allSettled([Mp.deliver_challenge_async(first, key1),
        Mp.answer_challenge_async(second, key2)]);
    const [first, second] = await connectPair(null);
    for (const result of await challenge(first, second, 'one key', new TextEncoder().encode('one key')))
        assertEqual([result.status, result.value], ['fulfilled', true]);
    first.send('good');
    assertEqual(second.recv(), 'good');
    for (const result of await challenge(first, second, 'one key', 'another'))
        matches(result.reason, Mp.Error, Mp.Error.AUTHENTICATION);
    assert(await catchFrom(() => Mp.deliver_challenge_async(first, 5)) instanceof TypeError);
    const [third] = await connectPair(null);
    matches(catchNow(() => Mp.deliver_challenge(third, 'key', false, 1000)), Gio.IOErrorEnum,
        Gio.IOErrorEnum.TIMED_OUT);
});

test('the key of a process', async () => {
    const key = Mp.get_authkey();
    assert(key instanceof GLib.Bytes && key.get_size() === 32);
    assertEqual(Mp.get_authkey(), key);
    const pool = new Mp.Pool({n_workers: 1});
    assertEqual(await pool.apply_async(tellKey), key);
    pool.terminate();

    const [ours, theirs] = Mp.pipe_new();
    const process = new Mp.Process({function: sendKey, args: [theirs], authkey: 'of its own'});
    process.start();
    assertEqual(ours.recv(), GLib.Bytes.new('of its own'));
    process.join();
    const other = Mp.Process.new(sendKey, [theirs]);
    other.set_authkey('set later');
    other.start();
    assertEqual(ours.recv(), GLib.Bytes.new('set later'));
    other.join();
    assert(catchNow(() => new Mp.Process({function: sendKey, authkey: 5})) instanceof TypeError);

    Mp.set_authkey('a text');
    assertEqual(Mp.get_authkey(), GLib.Bytes.new('a text'));
    Mp.set_authkey(key);
    assert(catchNow(() => Mp.set_authkey({})) instanceof TypeError);
});

test('a loop over clients', async () => {
    const listener = new Mp.Listener({authkey: KEY});
    const pool = new Mp.Pool({n_workers: 3});
    const names = ['a', 'b', 'c', 'd', 'e'];
    const heard = [];
    const futures = names.map(name => pool.submit(greet, [listener.address, KEY, name]));
    for await (const connection of listener) {
        heard.push(await connection.recv_async().catch(error => error));
        connection.send('welcome');
        connection.close();
        if (heard.length === names.length)
            listener.close();
    }
    for (const future of futures)
        assertEqual(await future.get_async(), 'welcome');
    assertEqual(heard.sort(), names.map(name => `hello from ${name}`));
    pool.terminate();
});

test('signals', async () => {
    const listener = new Mp.Listener({address: ['127.0.0.1', 0]});
    const connections = [];
    listener.connect('connection', (_listener, connection) => connections.push(connection));
    listener.start();
    const clients = [];
    for (let i = 0; i < 3; i++)
        clients.push(await Mp.client_connect_async(listener.address));
    await until(() => connections.length === 3, 'three connections');
    connections.forEach(connection => connection.send('here'));
    for (const client of clients)
        assertEqual(await client.recv_async(), 'here');
    assert(listener.get_last_accepted() instanceof Gio.InetSocketAddress);
    listener.stop();
    listener.close();
});

test('times, and what ends a wait', async () => {
    const listener = new Mp.Listener({authkey: KEY});
    matches(catchNow(() => listener.accept(0)), Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT);
    assert(catchNow(() => listener.accept('1')) instanceof TypeError);
    assert(catchNow(() => listener.accept(-2)) instanceof RangeError);
    const cancellable = new Gio.Cancellable();
    const accepting = listener.accept_async(cancellable);
    cancellable.cancel();
    matches(await catchFrom(() => accepting), Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    matches(await catchFrom(() => Mp.client_connect_async(listener.address, {authkey: KEY}, cancellable)),
        Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
    // Nobody answers, for nobody accepts.
    matches(catchNow(() => Mp.client_connect(listener.address, {authkey: KEY}, 50000)), Gio.IOErrorEnum,
        Gio.IOErrorEnum.TIMED_OUT);
    const waiting = listener.accept_async();
    listener.close();
    matches(await catchFrom(() => waiting), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
    matches(catchNow(() => listener.accept()), Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
});

const PYTHON_CLIENT = `
import sys
from multiprocessing.connection import Client
address = sys.argv[1][len('unix:'):]
with Client(address) as connection:
    connection.send_bytes(connection.recv_bytes().upper())
`;
const PYTHON_LISTENER = `
import sys
from multiprocessing.connection import Listener
with Listener(('127.0.0.1', 0)) as listener:
    print(listener.address[1], flush=True)
    with listener.accept() as connection:
        connection.send_bytes(connection.recv_bytes().upper())
        connection.send_bytes(b'bye')
`;

test('a client in CPython', async () => {
    const python = GLib.find_program_in_path('python3');
    if (python === null)
        return;
    const listener = new Mp.Listener();
    const program = runProgram([python, '-c', PYTHON_CLIENT, listener.address]);
    const connection = await listener.accept_async();
    connection.send_bytes(new TextEncoder().encode('from javascript'));
    const answer = await connection.recv_bytes_async();
    assertEqual(new TextDecoder().decode(answer.toArray()), 'FROM JAVASCRIPT');
    const {status, stderr} = await program;
    assertEqual(status, 0, stderr);
    listener.close();
});

test('a listener in CPython', async () => {
    const python = GLib.find_program_in_path('python3');
    if (python === null)
        return;
    const program = Gio.Subprocess.new([python, '-c', PYTHON_LISTENER], Gio.SubprocessFlags.STDOUT_PIPE);
    const output = Gio.DataInputStream.new(program.get_stdout_pipe());
    const [port] = output.read_line_utf8(null);
    const connection = await Mp.client_connect_async(['127.0.0.1', Number(port)]);
    connection.send_bytes(new TextEncoder().encode('from javascript'));
    const messages = [];
    for await (const message of connection)
        messages.push(new TextDecoder().decode(message.toArray()));
    assertEqual(messages, ['FROM JAVASCRIPT', 'bye']);
    assertEqual(program.wait_check(null), true);
});

await run();
