#!/usr/bin/env python3
# pool-map.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A function, applied to each item of a list by four processes."""

from gi.repository import Mp


def square(x):
    return x * x


if __name__ == '__main__':
    with Mp.Pool(processes=4) as pool:
        print(pool.map(square, range(10)))
