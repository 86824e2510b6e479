#!/usr/bin/env -S gjs -m
// pool-primes.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A pool of as many processes as there are usable CPUs, and a function that keeps them busy.

import Mp from 'gi://Mp?version=1';

const isPrime = Mp.register(function isPrime(n) {
    if (n < 2 || (n % 2 === 0 && n !== 2))
        return false;
    for (let i = 3; i * i <= n; i += 2) {
        if (n % i === 0)
            return false;
    }
    return true;
});
Mp.init();

const numbers = [10000019, 10000033, 10000079, 10000081];
const pool = Mp.Pool.new();
const results = await pool.map_async(isPrime, numbers);
for (const [i, n] of numbers.entries())
    print(`${n} prime? ${results[i] ? 'yes' : 'no'}`);
