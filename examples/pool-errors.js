#!/usr/bin/env -S gjs -m
// pool-errors.js — SPDX-License-Identifier: LGPL-2.1-or-later
// An exception in a worker is thrown where the result is asked for. With imap() it is that of one item.

import Mp from 'gi://Mp?version=1';

const riskyFunction = Mp.register(function riskyFunction(x) {
    if (x === 3)
        throw new RangeError(`Cannot process value ${x}`);
    return x * 10;
});
Mp.init();

const pool = Mp.Pool.new(2);
try {
    await pool.map_async(riskyFunction, [1, 2, 3, 4]);
} catch (error) {
    if (error instanceof RangeError)
        print(`Caught worker exception: ${error.message}`);
}

const results = pool.imap(riskyFunction, [1, 2, 3, 4]);
for (const x of [1, 2, 3, 4]) {
    try {
        const {value} = await results.next_async();
        print(`${x}: ${value}`);
    } catch (error) {
        print(`${x}: ${error.message}`);
    }
}
