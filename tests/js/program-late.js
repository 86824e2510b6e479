// program-late.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A program that awaits something before Mp.init(): what follows is called from the main loop.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const square = Mp.register('square', x => x * x);

await new Promise(resolve => GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => {
    resolve();
    return GLib.SOURCE_REMOVE;
}));
Mp.init();

const pool = Mp.Pool.new(1);
print(await pool.apply_async(square, [5]));
pool.terminate();
