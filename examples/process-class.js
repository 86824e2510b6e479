#!/usr/bin/env -S gjs -m
// process-class.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A class of processes: what run does, it does in the process, with the properties that the object was given.

import GObject from 'gi://GObject';
import Mp from 'gi://Mp?version=1';

const Greeter = GObject.registerClass({
    GTypeName: 'Greeter',
    Properties: {
        'connection': GObject.ParamSpec.object('connection', null, null, GObject.ParamFlags.READWRITE,
            Mp.Connection.$gtype),
    },
}, class Greeter extends Mp.Process {
    vfunc_run() {
        this.connection.send(`${this.name} says hello`);
    }
});
Mp.init();

const [ours, theirs] = Mp.pipe_new();
for (const name of ['Alice', 'Bob']) {
    const greeter = new Greeter({name, connection: theirs});
    await greeter.start_async();
    print(await ours.recv_async());
    await greeter.join_async();
    print(`${greeter.name} ended with ${greeter.get_exit_status()}`);
}
