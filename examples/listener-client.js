#!/usr/bin/env -S gjs -m
// listener-client.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A server that lets in who knows its key, and a client of it.

import Mp from 'gi://Mp?version=1';

const authkey = 'secret password';

const client = Mp.register(function client(address) {
    const connection = Mp.client_connect(address, {authkey});
    const [half, nothing, text, number] = connection.recv();
    print(`[${half}, ${nothing ?? 'None'}, '${text}', ${number}]`);
    print(new TextDecoder().decode(connection.recv_bytes().toArray()));
    const numbers = new Int32Array(5);
    print(connection.recv_bytes_into(numbers));
    print(`[${numbers.join(', ')}]`);
    connection.close();
});
Mp.init();

const listener = new Mp.Listener({address: ['localhost', 0], authkey});
const process = Mp.Process.new(client, [listener.address]);
process.start();
const connection = listener.accept();
print('connection accepted from', listener.last_accepted.get_address().to_string());
connection.send([2.25, null, 'junk', 42]);
connection.send_bytes(new TextEncoder().encode('hello'));
connection.send_bytes(Int32Array.of(42, 1729));
connection.close();
process.join();
listener.close();
