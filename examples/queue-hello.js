#!/usr/bin/env -S gjs -m
// queue-hello.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A process puts something into a queue.

import Mp from 'gi://Mp?version=1';

const f = Mp.register(function f(queue) {
    queue.put([42, null, 'hello']);
});
Mp.init();

const queue = new Mp.Queue();
const process = Mp.Process.new(f, [queue]);
process.start();
const [number, nothing, text] = await queue.get_async();
print(`[${number}, ${nothing === null ? 'None' : nothing}, '${text}']`);
process.join();
