# bench-overrides.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""mp-glib through its Python overrides: the very program of bench-cpython.py's "python" work."""

import time

import gi
gi.require_version('Mp', '1')
from gi.repository import Mp  # noqa: E402

N_WORKERS = 2


def square(x):
    return x * x


def bench_map(n, repeats):
    items = list(range(n))
    expected = [x * x for x in items]
    with Mp.Pool(N_WORKERS) as pool:
        for i in range(repeats + 1):
            start = time.perf_counter()
            result = pool.map(square, items)
            end = time.perf_counter()
            if i > 0:
                print(f'RESULT items/s {n / (end - start):.6f}', flush=True)
            assert result == expected


if __name__ == '__main__':
    bench_map(1000000, 3)
