#!/usr/bin/env -S gjs -m
// pool-flatten.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Data cut into chunks, mapped chunk by chunk, and the results put together again.

import Mp from 'gi://Mp?version=1';

const square = Mp.register('square', x => x * x);
const processChunk = Mp.register('processChunk', chunk => chunk.map(x => x * x));
Mp.init();

const data = Array.from({length: 10000}, (_, i) => i);
const chunks = [];
for (let i = 0; i < data.length; i += 100)
    chunks.push(data.slice(i, i + 100));

const pool = Mp.Pool.new(4);
const results = await pool.map_async(processChunk, chunks);
const flattened = results.flat();
print(`${results.length} chunks, ${flattened.length} items, the last is ${flattened.at(-1)}`);

// The pool does both by itself.
const same = (await pool.map_async(square, data, 100)).join() === flattened.join();
print(`the same by a map with chunks: ${same ? 'yes' : 'no'}`);
