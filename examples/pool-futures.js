#!/usr/bin/env -S gjs -m
// pool-futures.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Calls whose results are taken as they come to their end, which need not be the order in which they were made.

import Mp from 'gi://Mp?version=1';

const heavyComputation = Mp.register(function heavyComputation(n) {
    if (n < 0)
        throw new RangeError('nothing to add up');
    let sum = 0n;
    for (let i = 0; i < n; i++)
        sum += BigInt(i * i);
    return sum;
});
Mp.init();

const pool = Mp.Pool.new(4);
const inputs = new Map();
for (const n of [100000, 200000, -1, 300000, 400000])
    inputs.set(pool.submit(heavyComputation, [n]), n);

for await (const future of Mp.as_completed(inputs.keys())) {
    const n = inputs.get(future);
    try {
        print(`Input ${n}: result = ${future.get()}`);
    } catch (error) {
        print(`Input ${n} failed: ${error.message}`);
    }
}
