#!/usr/bin/env -S gjs -m
// pool-await.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Results are awaited, and the main loop does other things meanwhile.

import Mp from 'gi://Mp?version=1';

const square = Mp.register('square', x => x * x);
Mp.init();

const pool = Mp.Pool.new(2);
const [one, many] = await Promise.all([
    pool.apply_async(square, [7]),
    pool.map_async(square, [0, 1, 2, 3, 4]),
]);
print(`one: ${one}`);
print(`many: [${many.join(', ')}]`);
for await (const result of pool.imap(square, [0, 1, 2]))
    print(`next: ${result}`);
