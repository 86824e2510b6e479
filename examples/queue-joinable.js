#!/usr/bin/env -S gjs -m
// queue-joinable.js — SPDX-License-Identifier: LGPL-2.1-or-later
// The program waits until all work is finished, also that of a worker that died.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const worker = Mp.register(async function worker(queue) {
    for await (const item of queue) {
        print(`Working on ${item}`);
        queue.task_done();
    }
});
const unlucky = Mp.register(function unlucky(queue) {
    queue.get();
    GLib.spawn_command_line_sync(`sh -c 'kill -KILL $PPID'`);
});
Mp.init();

const queue = new Mp.JoinableQueue();
for (let item = 0; item < 10; item++)
    queue.put(item);

const first = Mp.Process.new(unlucky, [queue]);
first.start();
first.join();

const second = Mp.Process.new(worker, [queue]);
second.start();
try {
    await queue.join_async();
} catch (error) {
    if (!error.matches(Mp.Error, Mp.Error.WORKER_DIED))
        throw error;
    print(`Abandoned: ${queue.put_back_abandoned()}`);
    await queue.join_async();
}
second.terminate();
print('All work completed');
