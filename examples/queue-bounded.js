#!/usr/bin/env -S gjs -m
// queue-bounded.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A producer that waits when the consumer is slow.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const producer = Mp.register(function producer(queue, items) {
    for (const item of items) {
        queue.put(item);
        print(`[Producer] Enqueued: ${item}`);
        GLib.usleep(10000);
    }
    queue.put(null);
});
const consumer = Mp.register(function consumer(queue) {
    for (let item = queue.get(); item !== null; item = queue.get())
        print(`[Consumer] Processing: ${item}`);
    print('[Consumer] Received sentinel, shutting down.');
});
Mp.init();

const queue = new Mp.Queue({max_items: 10});
const items = Array.from({length: 20}, (_, i) => i);
const processes = [Mp.Process.new(producer, [queue, items]), Mp.Process.new(consumer, [queue])];
processes.forEach(process => process.start());
processes.forEach(process => process.join());
