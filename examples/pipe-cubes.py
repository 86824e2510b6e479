#!/usr/bin/env python3
# pipe-cubes.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Two processes exchange values over a pipe."""

from gi.repository import Mp


def worker(conn):
    data = conn.recv()
    conn.send([x ** 3 for x in data])
    conn.close()


if __name__ == '__main__':
    parent_conn, child_conn = Mp.Pipe()
    p = Mp.Process(target=worker, args=(child_conn,))
    p.start()
    parent_conn.send([1, 2, 3, 4, 5])
    result = parent_conn.recv()
    p.join()
    print(f'Cubed values: {result}')
