#!/usr/bin/env python3
# pipe-values.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A process sends values of several kinds through a pipe."""

from gi.repository import Mp


def f(conn):
    conn.send([42, None, 'hello'])
    conn.close()


if __name__ == '__main__':
    parent_conn, child_conn = Mp.Pipe()
    p = Mp.Process(target=f, args=(child_conn,))
    p.start()
    print(parent_conn.recv())
    p.join()
