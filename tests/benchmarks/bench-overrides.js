// bench-overrides.js — SPDX-License-Identifier: LGPL-2.1-or-later
// mp-glib through its JavaScript overrides: the same map, with a JavaScript function.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const N_WORKERS = 2;
const N = 1000000;
const REPEATS = 3;

const square = Mp.register(function square(x) {
    return x * x;
});
Mp.init();

const items = Array.from({length: N}, (_, i) => i);
const pool = Mp.Pool.new(N_WORKERS);
for (let i = 0; i <= REPEATS; i++) {
    const start = GLib.get_monotonic_time();
    const result = pool.map(square, items);
    const end = GLib.get_monotonic_time();
    if (i > 0)
        print(`RESULT items/s ${N * 1e6 / (end - start)}`);
    if (result.length !== N || result.some((value, index) => value !== index * index))
        throw new Error('wrong result');
}
pool.terminate();
