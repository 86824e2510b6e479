#!/usr/bin/env -S gjs -m
// queue-squares.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A worker's results come through a queue as it finds them; the end of the worker is the end of the queue.

import Mp from 'gi://Mp?version=1';

const squareWorker = Mp.register(function squareWorker(numbers, queue) {
    for (const n of numbers)
        queue.put([n, n * n]);
});
Mp.init();

const queue = new Mp.Queue();
const process = Mp.Process.new(squareWorker, [[1, 2, 3, 4, 5], queue]);
process.start();
for await (const [n, square] of queue)
    print(`${n} squared is ${square}`);
process.join();
print('Done reading from queue');
