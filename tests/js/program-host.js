// program-host.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A host program with habits of its own: program-host.js HABIT. It prints what it finds changed; nothing, and status 0,
// is what is expected.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import System from 'system';

const before = takeStock();
// Not imported as the others are: what the library does when it is loaded counts too.
const {Mp} = imports.gi;

const square = Mp.register('square', x => x * x);
const nothing = Mp.register('nothing', () => undefined);
// Deaf to everything but a signal: a script has no pause().
const hang = Mp.register('hang', () => {
    print(`busy ${new Gio.Credentials().get_unix_pid()}`);
    for (;;)
        GLib.usleep(1000);
});

Mp.init();

// What of a process anybody could disturb.
function takeStock() {
    const [, status] = GLib.file_get_contents('/proc/self/status');
    const lines = new TextDecoder().decode(status).split('\n').filter(line => /^(Sig(Blk|Ign|Cgt)|Umask):/.test(line));
    return [...lines, `cwd ${GLib.get_current_dir()}`, ...GLib.get_environ()].join('\n');
}

function compareStock(when) {
    const after = takeStock();
    if (after !== before)
        print(`${when}\n--- before\n${before}\n--- after\n${after}`);
}

function expect(what, value, expected) {
    if (JSON.stringify(value) !== JSON.stringify(expected))
        print(`${what}: ${JSON.stringify(value)}`);
}

function useProcess(statuses = [0]) {
    const process = Mp.Process.new(nothing);
    process.start();
    process.join();
    if (process.is_alive() || !statuses.includes(process.get_exit_status()))
        print(`process: ${process.is_alive()}, ${process.get_exit_status()}`);
}

function usePool() {
    const pool = Mp.Pool.new(2);
    expect('map', pool.map(square, [1, 2, 3]), [1, 4, 9]);
    expect('apply', pool.apply(square, [4]), 16);
    compareStock('while the pool is open');
    pool.close();
    pool.join();
}

async function useLater() {
    const process = Mp.Process.new(nothing);
    await process.start_async();
    await process.join_async();
    const pool = Mp.Pool.new(2);
    expect('map_async', await pool.map_async(square, [1, 2, 3]), [1, 4, 9]);
    pool.terminate();
    await pool.join_async();
}

const habits = {
    // Everything is as it was before.
    async particular() {
        compareStock('after Mp.init()');
        useProcess();
        compareStock('after a process');
        usePool();
        compareStock('after a pool');
        await useLater();
        compareStock('after the same with a main loop');
    },

    // Its children reap themselves: they end all the same, only how may be not known.
    ignore() {
        const [, ignored] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(before);
        if (!(BigInt(`0x${ignored}`) >> 16n & 1n))
            print('SIGCHLD is not ignored');
        for (let i = 0; i < 5; i++)
            useProcess([0, Mp.EXIT_STATUS_UNKNOWN]);
        usePool();
        compareStock('at the end');
    },

    // No descriptor is left: a pool goes on, a start is an error, and with descriptors all is well again.
    poor() {
        const pool = Mp.Pool.new(1);
        expect('with descriptors', pool.apply(square, [2]), 4);
        const streams = [];
        try {
            for (;;)
                streams.push(Gio.File.new_for_path('/dev/null').read(null));
        } catch (error) {
            if (!error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TOO_MANY_OPEN_FILES))
                print(`the last stream: ${error}`);
        }
        expect('without', pool.apply(square, [3]), 9);
        for (const use of [() => Mp.Pool.new(1).apply(square, [1]), () => Mp.Process.new(nothing).start(),
            () => Mp.pipe_new()]) {
            try {
                use();
                print(`${use}: done`);
            } catch (error) {
                if (!(error instanceof GLib.Error && /Too many open files/.test(error.message)))
                    print(`${use}: ${error}`);
            }
        }
        streams.forEach(stream => stream.close(null));
        expect('the old pool', pool.apply(square, [4]), 16);
        useProcess();
        usePool();
    },

    // In a map when something comes.
    blocked() {
        Mp.Pool.new(2).map(hang, [1, 2], 1);
        print('the end of the map');
    },

    async waiting() {
        await Mp.Pool.new(2).map_async(hang, [1, 2], 1);
        print('the end of the map');
    },

    // In a map too, but it sees to the signal.
    async prepared() {
        const pool = Mp.Pool.new(2);
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, 2, () => {
            pool.terminate();
            return GLib.SOURCE_REMOVE;
        });
        try {
            await pool.map_async(hang, [1, 2], 1);
        } catch (error) {
            await pool.join_async();
            print('interrupted');
            System.exit(5);
        }
    },
};

await habits[ARGV[0]]();
