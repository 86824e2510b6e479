#!/usr/bin/env -S gjs -m
// lock-hello.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Only one process at a time prints.

import Mp from 'gi://Mp?version=1';

const f = Mp.register(function f(lock, i) {
    lock.acquire();
    try {
        print(`hello world ${i}`);
    } finally {
        lock.release();
    }
});
Mp.init();

const lock = new Mp.Lock();
const processes = Array.from({length: 10}, (_, i) => Mp.Process.new(f, [lock, i]));
processes.forEach(process => process.start());
processes.forEach(process => process.join());
