#!/usr/bin/env -S gjs -m
// memory-squares.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Four processes fill one piece of memory, each a part of it; nothing is copied. Then one finds it by its name.

import Mp from 'gi://Mp?version=1';

const N_NUMBERS = 16;
const N_PROCESSES = 4;

const square = Mp.register(function square(memory, first, n) {
    const numbers = memory.toTypedArray(BigInt64Array);
    for (let i = first; i < first + n; i++)
        numbers[i] = BigInt(i * i);
});
const last = Mp.register(function last(name) {
    const numbers = Mp.SharedMemory.attach(name).toTypedArray(BigInt64Array);
    print(`The last one: ${numbers[numbers.length - 1]}`);
});
Mp.init();

const memory = Mp.SharedMemory.new_named(null, N_NUMBERS * 8);
const n = N_NUMBERS / N_PROCESSES;
const processes = Array.from({length: N_PROCESSES}, (_, i) => Mp.Process.new(square, [memory, i * n, n]));
processes.forEach(process => process.start());
processes.forEach(process => process.join());
print(`Squares: ${[...memory.toTypedArray(BigInt64Array)].join(' ')}`);

const process = Mp.Process.new(last, [memory.name]);
process.start();
process.join();
