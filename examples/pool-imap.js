#!/usr/bin/env -S gjs -m
// pool-imap.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Results one by one: in the order of the input, and as they are ready.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const slowSquare = Mp.register(function slowSquare(x) {
    GLib.usleep(20000);
    return x * x;
});
Mp.init();

const pool = Mp.Pool.new(2);
for await (const result of pool.imap(slowSquare, [0, 1, 2, 3, 4]))
    print(`next: ${result}`);
for await (const result of pool.imap_unordered(slowSquare, [0, 1, 2, 3, 4]))
    print(`got: ${result}`);
