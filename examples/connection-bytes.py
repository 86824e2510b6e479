#!/usr/bin/env python3
# connection-bytes.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Values, bytes, and bytes into memory that is there already, from one end of a pipe to the other."""

import array

from gi.repository import Mp

if __name__ == '__main__':
    a, b = Mp.Pipe()
    a.send([1, 'hello', None])
    print(b.recv())
    b.send_bytes(b'thank you')
    print(a.recv_bytes().decode())
    arr1 = array.array('i', range(5))
    arr2 = array.array('i', [0] * 10)
    a.send_bytes(arr1)
    count = b.recv_bytes_into(arr2)
    assert count == len(arr1) * arr1.itemsize
    print(count, arr2.tolist())
