#!/usr/bin/env -S gjs -m
// pool-map.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A function, applied to each item of a list by four processes.

import Mp from 'gi://Mp?version=1';

const square = Mp.register(function square(x) {
    return x * x;
});
Mp.init();

const pool = Mp.Pool.new(4);
const squares = await pool.map_async(square, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
print(JSON.stringify(squares).replaceAll(',', ', '));
