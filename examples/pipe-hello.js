#!/usr/bin/env -S gjs -m
// pipe-hello.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A process sends a text through a pipe.

import Mp from 'gi://Mp?version=1';

const f = Mp.register(function f(connection) {
    connection.send('hello');
    connection.close();
});
Mp.init();

const [ours, theirs] = Mp.pipe_new();
const process = Mp.Process.new(f, [theirs]);
process.start();
print(ours.recv());
process.join();
