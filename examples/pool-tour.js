#!/usr/bin/env -S gjs -m
// pool-tour.js — SPDX-License-Identifier: LGPL-2.1-or-later
// The ways to give work to a pool, and to wait for it.

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const getPid = () => new Gio.Credentials().get_unix_pid();

const square = Mp.register('square', x => x * x);
const whoRuns = Mp.register('whoRuns', getPid);
const sleep = Mp.register('sleep', seconds => GLib.usleep(seconds * 1e6));
Mp.init();

const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const pool = Mp.Pool.new(4);
print(`in order: [${(await pool.map_async(square, numbers)).join(', ')}]`);
let sum = 0;
for await (const result of pool.imap_unordered(square, numbers))
    sum += result;
print(`in any order, their sum: ${sum}`);

// One call; several may use more processes.
print(`submitted: ${await pool.submit(square, [20]).get_async()}`);
const pids = await Promise.all([1, 2, 3, 4].map(() => pool.apply_async(whoRuns)));
print(`${pids.filter(pid => pid !== getPid()).length} of 4 were run elsewhere`);

// A single worker sleeps for ten seconds.
try {
    pool.submit(sleep, [10]).get(200000);
} catch (error) {
    if (error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT))
        print('We lacked patience and got a timeout');
}
print('For the moment, the pool remains available for more work');

pool.terminate();
pool.join();
try {
    pool.submit(whoRuns);
} catch {
    print('Now the pool is closed and no longer available');
}
