#!/usr/bin/env -S gjs -m
// event-start.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Three processes get ready, and begin together.

import Mp from 'gi://Mp?version=1';

const run = Mp.register(function run(ready, start, number) {
    ready.release();
    start.wait();
    print(`runner ${number} runs`);
});
Mp.init();

const ready = new Mp.Semaphore({value: 0});
const start = new Mp.Event();
const runners = Array.from({length: 3}, (_, i) => Mp.Process.new(run, [ready, start, i]));
runners.forEach(runner => runner.start());
for (const _ of runners)
    await ready.acquire_async();
print('all are ready');
start.set();
await Promise.all(runners.map(runner => runner.join_async()));
