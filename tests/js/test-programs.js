// test-programs.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Whole programs: how they are started, and how they end.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assertEqual, findBeside, isRunning, makeDirectory, run, runProgram, signal, test, until} from './harness.js';

const PROGRAM = `
    import Mp from 'gi://Mp?version=1';
    const square = Mp.register('square', x => x * x);
    Mp.init();
    print(await Mp.Pool.new(2).map_async(square, [1, 2, 3]));
`;
const LEGACY = `
    const {GLib, Mp} = imports.gi;
    const square = Mp.register('square', x => x * x);
    Mp.init();
    print(Mp.Pool.new(2).map(square, [1, 2, 3]));
`;
const BUSY = `
    import GLib from 'gi://GLib';
    import Gio from 'gi://Gio';
    import Mp from 'gi://Mp?version=1';
    Mp.register('hang', path => {
        GLib.file_set_contents(path, String(new Gio.Credentials().get_unix_pid()));
        for (;;)
            GLib.usleep(1000);
    });
    Mp.init();
    const pool = Mp.Pool.new(1);
    pool.apply_async('hang', [ARGV[0]]).catch(() => {});
    GLib.MainLoop.new(null, false).run();
`;

const directory = makeDirectory();

function write(name, text) {
    const path = `${directory}/${name}`;
    GLib.file_set_contents(path, text);
    return path;
}

async function expect(argv, stdout) {
    const result = await runProgram(argv);
    assertEqual([result.stdout, result.status, result.stderr], [stdout, 0, '']);
}

test('a script with imports and a main loop', async () => {
    await expect(['gjs', findBeside(import.meta.url, 'program-legacy.js')],
        '1,4,9\n16,25\n-6,-7\n64\n81\n100\nthe end\n');
});

test('every way to start a script', async () => {
    const module = write('module.js', PROGRAM);
    const executable = write('executable', `#!/usr/bin/env -S gjs -m\n${PROGRAM}`);
    Gio.File.new_for_path(executable).set_attribute_uint32('unix::mode', 0o755, Gio.FileQueryInfoFlags.NONE, null);
    for (const argv of [['gjs', '-m', module], ['gjs-console', '-m', module], [executable], ['gjs', '-c', LEGACY],
        ['sh', '-c', 'cd "$0" && gjs -m module.js', directory], ['sh', '-c', 'cd "$0" && ./executable', directory]])
        await expect(argv, '1,4,9\n');
});

test('an owner that is killed takes its busy workers with it', async () => {
    const path = `${directory}/pid`;
    const owner = Gio.Subprocess.new(['gjs', '-m', write('busy.js', BUSY), path], Gio.SubprocessFlags.NONE);
    await until(() => GLib.file_test(path, GLib.FileTest.EXISTS), 'the call');
    const [, contents] = GLib.file_get_contents(path);
    const pid = Number(new TextDecoder().decode(contents));
    signal(owner.get_identifier(), 'KILL');
    await until(() => !isRunning(pid), 'the end of the worker', 5);
});

test('a worker knows that it is one', async () => {
    const program = write('is-worker.js', `
        import Mp from 'gi://Mp?version=1';
        const isWorker = Mp.is_worker();
        const ask = Mp.register('ask', () => [isWorker, Mp.is_worker(), new Error().stack.length > 0]);
        Mp.init();
        if (Mp.is_worker())
            print('this is not reached in a worker');
        print(Mp.is_worker(), JSON.stringify(await Mp.Pool.new(1).apply_async(ask)));
    `);
    await expect(['gjs', '-m', program], 'false [true,true,true]\n');
});

test('what GJS prints of an uncaught error shows both sides', async () => {
    for (const [call, end] of [['await pool.map_async', ''], ['pool.map', ''], ['await again(await pool.submit', ')']]) {
        const program = write('uncaught.js', `
            import Mp from 'gi://Mp?version=1';
            const touch = Mp.register(function touch(x) {
                return x.nothing.more;
            });
            Mp.init();
            const again = future => future.get_async();
            const pool = Mp.Pool.new(1);
            ${call}(touch, [1])${end};  // line 9
        `);
        const result = await runProgram(['gjs', '-m', program]);
        assertEqual(result.status, 1, result.stderr);
        for (const part of ['TypeError: x.nothing is undefined', 'Caused by: In the worker:', 'touch@', 'uncaught.js:4:', 'uncaught.js:9:']) {
            if (!result.stderr.includes(part))
                throw new Error(`no ${part} in ${result.stderr}`);
        }
    }
});

test('a pool left as it is does not keep the program', async () => {
    const pidPath = `${directory}/left`;
    const program = write('left.js', BUSY.replace('GLib.MainLoop.new(null, false).run();',
        `while (!GLib.file_test(ARGV[0], GLib.FileTest.EXISTS))
            GLib.MainContext.default().iteration(true);
        print("left");`));
    const result = await runProgram(['gjs', '-m', program, pidPath]);
    assertEqual([result.stdout, result.status], ['left\n', 0], result.stderr);
    const [, contents] = GLib.file_get_contents(pidPath);
    await until(() => !isRunning(Number(new TextDecoder().decode(contents))), 'the end of the worker', 5);
});

Mp.init();
await run();
