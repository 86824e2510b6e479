// test-blocking.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A script without a main loop: nothing in this file awaits anything, and only the calls themselves dispatch anything.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';
import System from 'system';

import {assert, assertEqual, catchNow, show} from './harness.js';

const square = Mp.register('square', x => x * x);
const later = Mp.register(async function later(x) {
    await null;
    return x + 1;
});
// Deaf to everything but a signal: a script has no pause().
const hang = Mp.register(function hang() {
    for (;;)
        GLib.usleep(1000);
});
const greet = Mp.register(function greet(connection) {
    connection.send('hello');
});

Mp.init();

const tests = {
    'map and apply'() {
        const pool = Mp.Pool.new(2);
        assertEqual(pool.map(square, [1, 2, 3]), [1, 4, 9]);
        assertEqual(pool.apply(square, [5]), 25);
        assertEqual(pool.apply(later, [5]), 6);
        pool.close();
        pool.join();
    },

    'futures and iterators'() {
        const pool = Mp.Pool.new(2);
        const futures = Array.from({length: 100}, (_, i) => pool.submit(square, [i]));
        assertEqual(futures.map(future => future.get()), futures.map((_, i) => i * i));
        const results = [];
        for (const result of pool.imap(square, [1, 2, 3]))
            results.push(result);
        assertEqual(results, [1, 4, 9]);
        pool.terminate();
        pool.join();
    },

    'a timeout'() {
        const pool = Mp.Pool.new(1);
        // Stays queued or runs, however fast the worker boots: a call that timed out before would be dropped.
        const hanging = pool.submit(hang, []);
        for (const wait of [() => hanging.get(20000), () => pool.apply(square, [1], 20000), () => pool.submit(square, [1]).get(20000),
            () => pool.map(square, [1], 0, 20000), () => pool.imap(square, [1]).next(20000), () => pool.join(20000)]) {
            const error = catchNow(wait);
            assert(error instanceof GLib.Error, show(error));
            if (wait.toString().includes('join'))
                assert(!error.matches(Mp.Error, Mp.Error.WORKER_DIED));
            else
                assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT), show(error));
        }
        pool.terminate();
        pool.join();
    },

    'signals and callbacks come during the calls'() {
        const pool = Mp.Pool.new(1);
        const seen = [];
        pool.connect('worker-started', () => seen.push('started'));
        pool.connect('worker-exited', () => seen.push('exited'));
        let result = null;
        pool.apply_async(square, [3], null, (_pool, task) => (result = pool.apply_finish(task)));
        assertEqual(pool.apply(square, [2]), 4);
        pool.close();
        pool.join();
        assertEqual([result, seen], [9, ['started', 'exited']]);
    },

    'a process'() {
        const [ours, theirs] = Mp.pipe_new();
        const process = Mp.Process.new(greet, [theirs]);
        process.start();
        assertEqual(ours.recv(), 'hello');
        process.join();
        assertEqual(process.get_exit_status(), 0);
    },
};

let failed = 0;
print(`1..${Object.keys(tests).length}`);
for (const [index, [name, func]] of Object.entries(tests).entries()) {
    try {
        func();
        print(`ok ${index + 1} ${name}`);
    } catch (error) {
        failed++;
        print(`not ok ${index + 1} ${name}\n# ${error}\n${error.stack}`.replaceAll('\n', '\n# '));
    }
}
System.exit(failed > 0 ? 1 : 0);
