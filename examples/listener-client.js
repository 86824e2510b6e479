#!/usr/bin/env -S gjs -m
// listener-client.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A server that lets in who knows its key, and a client of it.

import GLib from 'gi://GLib';
import Mp from 'gi://Mp?version=1';

const authkey = 'secret password';
// A type goes as its GVariant type; here is what it is called.
const types = {d: "<class 'float'>"};

const client = Mp.register(function client(address) {
    const connection = Mp.client_connect(address, {authkey});
    const [half, nothing, text, type] = connection.recv();
    print(`[${half}, ${nothing ?? 'None'}, '${text}', ${types[type.unpack()]}]`);
    print(`b'${new TextDecoder().decode(connection.recv_bytes().toArray())}'`);
    const numbers = new Int32Array(5);
    print(connection.recv_bytes_into(numbers));
    print(`array('i', [${numbers.join(', ')}])`);
    connection.close();
});
Mp.init();

const listener = new Mp.Listener({address: ['localhost', 0], authkey});
const process = Mp.Process.new(client, [listener.address]);
process.start();
const connection = listener.accept();
print('connection accepted from', listener.last_accepted.get_address().to_string());
connection.send([2.25, null, 'junk', new GLib.Variant('g', 'd')]);
connection.send_bytes(new TextEncoder().encode('hello'));
connection.send_bytes(Int32Array.of(42, 1729));
connection.close();
process.join();
listener.close();
