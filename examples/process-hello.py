#!/usr/bin/env python3
# process-hello.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A function runs in a process of its own."""

from gi.repository import Mp


def f(name):
    print('hello', name)


if __name__ == '__main__':
    p = Mp.Process(target=f, args=('bob',))
    p.start()
    p.join()
