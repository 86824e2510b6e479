#!/usr/bin/env python3
# pool-executor.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""An executor of concurrent.futures: its futures work with the functions of that module."""

from concurrent.futures import as_completed

from gi.repository import Mp


def heavy_computation(n):
    return sum(i * i for i in range(n))


if __name__ == '__main__':
    inputs = [100_000, 200_000, 300_000, 400_000]

    with Mp.ProcessPoolExecutor(max_workers=4) as executor:
        futures = {executor.submit(heavy_computation, n): n for n in inputs}
        for future in as_completed(futures):
            n = futures[future]
            try:
                result = future.result()
                print(f'Input {n}: result = {result}')
            except Exception as e:
                print(f'Input {n} raised an exception: {e}')
