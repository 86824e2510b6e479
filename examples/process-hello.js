#!/usr/bin/env -S gjs -m
// process-hello.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A function runs in a process of its own.

import Mp from 'gi://Mp?version=1';

const f = Mp.register(function f(name) {
    print(`hello ${name}`);
});
Mp.init();

const process = new Mp.Process({function: f, args: ['bob']});
process.start();
process.join();
