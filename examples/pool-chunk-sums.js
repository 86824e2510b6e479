#!/usr/bin/env -S gjs -m
// pool-chunk-sums.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Larger pieces of work for each call: ranges of numbers.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

const getPid = () => new Gio.Credentials().get_unix_pid();

const processChunk = Mp.register(function processChunk([first, end]) {
    let sum = 0;
    for (let x = first; x < end; x++)
        sum += x * x;
    return [sum, getPid()];
});
Mp.init();

const dataset = [];
for (let i = 0; i < 10000; i += 1000)
    dataset.push([i, i + 1000]);

const pids = new Set();
const pool = Mp.Pool.new(4);
for (const [sum, pid] of await pool.map_async(processChunk, dataset)) {
    print(`sum: ${sum}`);
    pids.add(pid);
}
print(`by other processes: ${!pids.has(getPid()) && pids.size <= 4 ? 'yes' : 'no'}`);
