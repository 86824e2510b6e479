#!/usr/bin/env -S gjs -m
// pipe-cubes.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Two processes exchange values over a pipe.

import Mp from 'gi://Mp?version=1';

const worker = Mp.register(function worker(connection) {
    const data = connection.recv();
    connection.send(data.map(x => x ** 3));
    connection.close();
});
Mp.init();

const [ours, theirs] = Mp.pipe_new();
const process = new Mp.Process({function: worker, args: [theirs]});
process.start();
ours.send([1, 2, 3, 4, 5]);
const result = ours.recv();
process.join();
print(`Cubed values: [${result.join(', ')}]`);
