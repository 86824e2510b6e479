#!/usr/bin/env python3
# pool-callbacks.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Each result is handed to a callback as it comes. Waiting for the pool runs its callbacks."""

from gi.repository import Mp


def f(x):
    return x * x


def callback_func(result):
    print(f'Task result: {result}')


if __name__ == '__main__':
    pool = Mp.Pool(processes=4)
    for i in range(10):
        pool.apply_async(f, args=(i,), callback=callback_func)
    pool.close()
    pool.join()
