#!/usr/bin/env -S gjs -m
// value-counter.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Four processes count in a value that they share: under its own lock, under another one, and in one step each.

import Mp from 'gi://Mp?version=1';

const incrementCounter = Mp.register(function incrementCounter(counter, lock, iterations) {
    for (let i = 0; i < iterations; i++) {
        lock.acquire();
        try {
            counter.value += 1;
        } finally {
            lock.release();
        }
    }
});
const worker = Mp.register(function worker(counter) {
    incrementCounter(counter, counter.lock, 1000);
});
const add = Mp.register(function add(counter) {
    for (let i = 0; i < 1000; i++)
        counter.add(1);
});
Mp.init();

function count(target, counter, ...args) {
    const processes = Array.from({length: 4}, () => Mp.Process.new(target, [counter, ...args]));
    processes.forEach(process => process.start());
    processes.forEach(process => process.join());
    return counter.value;
}

print(count(worker, Mp.Value.new('i', 0)));
print(`Final counter value: ${count(incrementCounter, Mp.Value.new('i', 0), new Mp.Lock(), 1000)}`);
print(`Without a lock: ${count(add, Mp.Value.new('i', 0))}`);
