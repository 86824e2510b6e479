#!/usr/bin/env -S gjs -m
// connection-bytes.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Values, bytes, and bytes into memory that is there already, from one end of a pipe to the other.

import Mp from 'gi://Mp?version=1';

Mp.init();

const [a, b] = Mp.pipe_new();
a.send([1, 'hello', null]);
const [number, text, nothing] = b.recv();
print(`[${number}, '${text}', ${nothing ?? 'None'}]`);

b.send_bytes(new TextEncoder().encode('thank you'));
print(new TextDecoder().decode(a.recv_bytes().toArray()));

const sent = Int32Array.of(0, 1, 2, 3, 4);
const received = new Int32Array(10);
a.send_bytes(sent);
print(b.recv_bytes_into(received), `[${received.join(', ')}]`);
