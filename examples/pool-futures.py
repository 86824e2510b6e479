#!/usr/bin/env python3
# pool-futures.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls whose results are taken as they come to their end, which need not be the order in which they were made."""

from gi.repository import Mp


def heavy_computation(n):
    if n < 0:
        raise ValueError('nothing to add up')
    return sum(i * i for i in range(n))


if __name__ == '__main__':
    inputs = [100_000, 200_000, -1, 300_000, 400_000]

    with Mp.Pool(processes=4) as pool:
        results = {pool.apply_async(heavy_computation, (n,)): n for n in inputs}
        for result in Mp.as_completed(results):
            n = results[result]
            try:
                print(f'Input {n}: result = {result.get()}')
            except Exception as e:
                print(f'Input {n} failed: {e}')
