#!/usr/bin/env -S gjs -m
// process-exit-codes.js — SPDX-License-Identifier: LGPL-2.1-or-later
// The exit codes of processes that end in different ways.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';
import System from 'system';

const endSomehow = Mp.register(function endSomehow(how) {
    if (how === 'fail')
        throw new Error('this does not work');
    if (how === 'exit')
        System.exit(3);
    if (how === 'kill')
        GLib.spawn_command_line_sync(`kill -KILL ${new Gio.Credentials().get_unix_pid()}`);
});
Mp.init();

// The message of the failing process is not wanted here.
const context = new Mp.Context({stderr: Mp.Stderr.CAPTURE});
for (const how of ['return', 'fail', 'exit', 'kill']) {
    const process = new Mp.Process({function: endSomehow, args: [how], context});
    process.start();
    process.join();
    print(`${how}: ${process.get_exit_status()}`);
}
