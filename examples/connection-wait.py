#!/usr/bin/env python3
# connection-wait.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Receives from several processes whatever comes first."""

from gi.repository import Mp


def count(w):
    for i in range(3):
        w.send((i, Mp.current_process().name))
    w.close()


if __name__ == '__main__':
    readers = []
    for i in range(4):
        r, w = Mp.Pipe(duplex=False)
        readers.append(r)
        p = Mp.Process(target=count, args=(w,), name=f'process {i}')
        p.start()
        # This end is the other process's now; or its end would never be seen.
        w.close()

    while readers:
        for r in Mp.connection.wait(readers):
            try:
                msg = r.recv()
            except EOFError:
                readers.remove(r)
            else:
                print(*msg)
