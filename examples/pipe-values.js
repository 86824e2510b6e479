#!/usr/bin/env -S gjs -m
// pipe-values.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A process sends values of several kinds through a pipe.

import Mp from 'gi://Mp?version=1';

const f = Mp.register(function f(connection) {
    connection.send([42, null, 'hello']);
    connection.close();
});
Mp.init();

const [ours, theirs] = Mp.pipe_new();
const process = Mp.Process.new(f, [theirs]);
process.start();
const [number, nothing, text] = ours.recv();
print(`[${number}, ${nothing ?? 'None'}, '${text}']`);
process.join();
