#!/usr/bin/env python3
# lock-hello.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Only one process at a time prints."""

from gi.repository import Mp


def f(l, i):
    l.acquire()
    try:
        print('hello world', i)
    finally:
        l.release()


if __name__ == '__main__':
    lock = Mp.Lock()

    for num in range(10):
        Mp.Process(target=f, args=(lock, num)).start()
