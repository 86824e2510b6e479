#!/usr/bin/env python3
# pool-chunk-sums.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Larger pieces of work for each call: ranges of numbers."""

import os

from gi.repository import Mp


def process_chunk(data_chunk):
    return sum(x ** 2 for x in data_chunk), os.getpid()


if __name__ == '__main__':
    dataset = [range(i, i + 1000) for i in range(0, 10000, 1000)]
    pids = set()
    with Mp.Pool(processes=4) as pool:
        for result, pid in pool.map(process_chunk, dataset):
            print(f'sum: {result}')
            pids.add(pid)
    print('by other processes:', 'yes' if os.getpid() not in pids and len(pids) <= 4 else 'no')
