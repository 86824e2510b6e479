#!/usr/bin/env -S gjs -m
// pool-crash.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A worker that crashes fails the one item that it was at; another worker takes its place.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

const crashAtThree = Mp.register(function crashAtThree(x) {
    if (x === 3)
        GLib.spawn_command_line_sync(`kill -KILL ${new Gio.Credentials().get_unix_pid()}`);
    return x * 10;
});
Mp.init();

const pool = Mp.Pool.new(2);
const results = pool.imap(crashAtThree, [1, 2, 3, 4, 5]);
for (const x of [1, 2, 3, 4, 5]) {
    try {
        const {value} = await results.next_async();
        print(`${x}: ${value}`);
    } catch (error) {
        if (!error.matches(Mp.Error, Mp.Error.WORKER_DIED))
            throw error;
        print(`${x}: its worker died`);
    }
}
