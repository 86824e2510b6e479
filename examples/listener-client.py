#!/usr/bin/env python3
# listener-client.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that lets in who knows its key, and a client of it."""

from array import array

from gi.repository import Mp


def client(address):
    with Mp.Client(address, authkey=b'secret password') as conn:
        print(conn.recv())
        print(conn.recv_bytes())            # b'hello'
        arr = array('i', [0, 0, 0, 0, 0])
        print(conn.recv_bytes_into(arr))    # 8
        print(arr)                          # array('i', [42, 1729, 0, 0, 0])


if __name__ == '__main__':
    with Mp.Listener(('localhost', 0), authkey=b'secret password') as listener:
        p = Mp.Process(target=client, args=(listener.address,))
        p.start()
        with listener.accept() as conn:
            print('connection accepted from', listener.last_accepted[0], flush=True)
            conn.send([2.25, None, 'junk', float])
            conn.send_bytes(b'hello')
            conn.send_bytes(array('i', [42, 1729]))
        p.join()
