#!/usr/bin/env python3
# queue-hello.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A process puts something into a queue."""

from gi.repository import Mp


def f(q):
    q.put([42, None, 'hello'])


if __name__ == '__main__':
    q = Mp.Queue()
    p = Mp.Process(target=f, args=(q,))
    p.start()
    print(q.get())
    p.join()
