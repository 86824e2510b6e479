#!/usr/bin/env python3
# pool-imap.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Results one by one: in the order of the input, and as they are ready."""

import time

from gi.repository import Mp


def slow_square(x):
    time.sleep(0.02)
    return x * x


if __name__ == '__main__':
    with Mp.Pool(2) as pool:
        for result in pool.imap(slow_square, range(5)):
            print(f'next: {result}')
        for result in pool.imap_unordered(slow_square, range(5)):
            print(f'got: {result}')
