#!/usr/bin/env -S gjs -m
// pool-callbacks.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Each result is handed to a callback as it comes. No main loop is needed: waiting for the pool runs its callbacks.

import Mp from 'gi://Mp?version=1';

const square = Mp.register(function square(x) {
    return x * x;
});
Mp.init();

const pool = Mp.Pool.new(4);
for (let i = 0; i < 10; i++) {
    pool.apply_async(square, [i], null, (_pool, result) => {
        print(`Task result: ${pool.apply_finish(result)}`);
    });
}
pool.close();
pool.join();
