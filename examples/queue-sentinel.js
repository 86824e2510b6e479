#!/usr/bin/env -S gjs -m
// queue-sentinel.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A producer and a consumer; null says that there is no more.

import Mp from 'gi://Mp?version=1';

const producer = Mp.register(function producer(queue) {
    for (let i = 0; i < 5; i++)
        queue.put(i);
    queue.put(null);
});
const consumer = Mp.register(function consumer(queue) {
    for (let item = queue.get(); item !== null; item = queue.get())
        print(`Received: ${item}`);
});
Mp.init();

const queue = new Mp.Queue();
const processes = [producer, consumer].map(func => Mp.Process.new(func, [queue]));
processes.forEach(process => process.start());
processes.forEach(process => process.join());
