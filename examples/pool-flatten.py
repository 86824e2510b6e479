#!/usr/bin/env python3
# pool-flatten.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Data cut into chunks, mapped chunk by chunk, and the results put together again."""

from gi.repository import Mp


def square(x):
    return x * x


def process_chunk(chunk):
    return [square(x) for x in chunk]


if __name__ == '__main__':
    data = list(range(10000))

    with Mp.Pool(processes=4) as pool:
        # Process data in chunks of 100
        results = pool.map(process_chunk, [data[i:i + 100] for i in range(0, len(data), 100)])

        # Flatten the results
        flattened = [item for sublist in results for item in sublist]
        print(f'{len(results)} chunks, {len(flattened)} items, the last is {flattened[-1]}')

        # The pool does both by itself
        same = pool.map(square, data, chunksize=100) == flattened
        print(f'the same by a map with chunks: {"yes" if same else "no"}')
