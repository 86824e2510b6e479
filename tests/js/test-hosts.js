// test-hosts.js — SPDX-License-Identifier: LGPL-2.1-or-later
// No surprise for the host program, and none by it. Each habit in a process of its own: see program-host.js.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {BUILT, assert, assertEqual, catchFrom, findBeside, getDescendants, getParent, isRunning, run, runProgram, show,
    signal, test, until} from './harness.js';

const PROGRAM = ['gjs', '-m', findBeside(import.meta.url, 'program-host.js')];
const HELPER = `${BUILT}/helper-languages`;

const square = Mp.register('square', x => x * x);
const length = Mp.register('length', bytes => bytes.length);
const zeros = Mp.register('zeros', n => new Uint8Array(n));

Mp.init();

async function expectNothing(argv) {
    const {stdout, stderr, status} = await runProgram(argv);
    assertEqual([stdout, stderr, status], ['', '', 0]);
}

test('signals, umask, environment and directory are as they were', async () => {
    await expectNothing([...PROGRAM, 'particular']);
    // Also where they are not as they usually are.
    await expectNothing(['sh', '-c', 'trap "" USR1 PIPE; umask 027; cd /; exec "$@"', 'sh', ...PROGRAM, 'particular']);
});

test('a host that ignores SIGCHLD', async () => {
    await expectNothing(['env', '--ignore-signal=CHLD', ...PROGRAM, 'ignore']);
});

test('no descriptors are left', async () => {
    await expectNothing(['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', ...PROGRAM, 'poor']);
});

// Starts a map in a process that leads a group of its own, and interrupts it, or the group as Ctrl-C does.
async function interrupt(habit, toGroup) {
    const program = Gio.Subprocess.new(['setsid', ...PROGRAM, habit],
        Gio.SubprocessFlags.STDOUT_PIPE | Gio.SubprocessFlags.STDERR_PIPE);
    const stdout = Gio.DataInputStream.new(program.get_stdout_pipe());
    const stderr = Gio.DataInputStream.new(program.get_stderr_pipe());
    const readLine = stream => new Promise((resolve, reject) => {
        stream.read_line_async(GLib.PRIORITY_DEFAULT, null, (_stream, result) => {
            try {
                resolve(stream.read_line_finish_utf8(result)[0]);
            } catch (error) {
                reject(error);
            }
        });
    });
    const pids = [await readLine(stdout), await readLine(stdout)].map(line => Number(line.replace('busy ', '')));
    const owner = Number(program.get_identifier());
    const descendants = getDescendants(owner);
    assertEqual(pids.every(pid => pid > 0 && descendants.includes(pid)), true, show([pids, descendants]));

    // By itself none of them ends.
    assert(signal(toGroup ? `-- -${owner}` : owner, 'INT'));
    const rest = [await readLine(stdout), await readLine(stderr)];
    await new Promise(resolve => program.wait_async(null, resolve));
    for (const pid of descendants)
        await until(() => !isRunning(pid), `the end of ${pid}`);
    return [program.get_if_exited() ? program.get_exit_status() : -program.get_term_sig(), ...rest];
}

for (const toGroup of [true, false]) {
    const whom = toGroup ? 'a group' : 'an owner';
    test(`${whom} is interrupted during a map`, async () => {
        assertEqual(await interrupt('blocked', toGroup), [-2, null, null]);
        assertEqual(await interrupt('waiting', toGroup), [-2, null, null]);
    });
    test(`${whom} that handles the interrupt during a map`, async () => {
        assertEqual(await interrupt('prepared', toGroup), [5, 'interrupted', null]);
    });
}

// What is in JavaScript cannot be forked: the fork server is one in C.
test('a fork server is killed', async () => {
    const context = new Mp.Context({worker_argv: [HELPER], start_method: Mp.StartMethod.FORKSERVER});
    const pids = [];
    const makePool = () => {
        const pool = new Mp.Pool({n_workers: 1, context});
        pool.connect('worker-started', (_pool, _number, pid) => pids.push(pid));
        return pool;
    };
    const squares = async pool =>
        (await pool.map_async('square', new GLib.Variant('ax', [1, 2, 3]))).deepUnpack().map(Number);

    const pool = makePool();
    assertEqual(await squares(pool), [1, 4, 9]);
    await until(() => pids.length > 0, 'the first worker');
    const server = getParent(pids[0]);
    assert(server !== getParent('self') && server !== Number(GLib.file_read_link('/proc/self')), 'no server');
    signal(server, 'KILL');
    await until(() => !isRunning(server), 'the end of the server');
    assertEqual(await squares(pool), [1, 4, 9]);
    pool.terminate();
    await pool.join_async();

    const other = makePool();
    const n = pids.length;
    assertEqual(await squares(other), [1, 4, 9]);
    await until(() => pids.length > n, 'the next worker');
    const next = getParent(pids.at(-1));
    assert(next !== server && next !== Number(GLib.file_read_link('/proc/self')), 'no new server');
    other.terminate();
    await other.join_async();
});

test('300 MiB as an argument and as a result', async () => {
    const size = 300 << 20;
    const pool = Mp.Pool.new(1);
    const bytes = new Uint8Array(size);
    assertEqual(await pool.apply_async(length, [bytes]), size);
    assertEqual((await pool.apply_async(zeros, [size])).length, size);
    const error = await catchFrom(() => pool.apply_async('no such function', [bytes]));
    assert(error.matches(Mp.Error, Mp.Error.NO_SUCH_FUNCTION), show(error));
    pool.terminate();
});

// In chunks of ten and by themselves: a call from C costs GJS about 30 µs.
test('a million tiny tasks', async () => {
    const pool = Mp.Pool.new(2);
    const items = Array.from({length: 1000000}, (_, i) => i);
    const check = results => {
        assertEqual(results.length, items.length);
        assert(results.every((result, i) => result === i * i));
    };
    check(await pool.map_async(square, items));
    check(pool.map(square, items, 10));
    pool.terminate();
});

// More than it takes for garbage to be collected in the midst of them: GJS then refuses calls from C.
test('very many single calls', () => {
    const pool = Mp.Pool.new(1);
    const n = 350000;
    let sum = 0;

    for (const result of pool.imap(square, Array.from({length: n}, (_, i) => i % 1000), 1))
        sum += result;
    assertEqual(sum, n / 1000 * 332833500);
    pool.terminate();
});

await run();
