#!/usr/bin/env -S gjs -m
// connection-wait.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Receives from several processes whatever comes first.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

const count = Mp.register(function count(writer) {
    for (let i = 0; i < 3; i++)
        writer.send([i, Mp.Process.get_current().name]);
    writer.close();
});
Mp.init();

const readers = [];
const processes = [];
for (let i = 0; i < 4; i++) {
    const [reader, writer] = Mp.pipe_new(false);
    const process = new Mp.Process({function: count, args: [writer], name: `process ${i}`});
    process.start();
    // This end is the other process's now; or its end would never be seen.
    writer.close();
    readers.push(reader);
    processes.push(process);
}

while (readers.length > 0) {
    for (const reader of Mp.wait(readers)) {
        try {
            print(...reader.recv());
        } catch (error) {
            if (!error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED))
                throw error;
            readers.splice(readers.indexOf(reader), 1);
        }
    }
}
processes.forEach(process => process.join());
