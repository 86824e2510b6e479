# bench-calls.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A call for each task in Python, by mp-glib's overrides and by CPython's own modules: `bench-calls.py SYSTEM MODE`."""

import sys
import time

N_WORKERS = 2
N = 20000
REPEATS = 4


def square(x):
    return x * x


def executor_map(executor):
    return list(executor.map(square, range(N)))


def executor_submit(executor):
    return [future.result() for future in [executor.submit(square, x) for x in range(N)]]


def pool_imap(pool):
    return list(pool.imap(square, range(N)))


def pool_apply_async(pool):
    return [result.get() for result in [pool.apply_async(square, (x,)) for x in range(N)]]


WORKS = {'executor-map': executor_map, 'executor-submit': executor_submit, 'imap': pool_imap,
         'apply-async': pool_apply_async}


def main(system, mode):
    if system == 'mp':
        import gi
        gi.require_version('Mp', '1')
        from gi.repository.Mp import Pool, ProcessPoolExecutor
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import Pool
    work = WORKS[mode]
    with (ProcessPoolExecutor if mode.startswith('executor') else Pool)(N_WORKERS) as workers:
        for i in range(REPEATS):
            start = time.perf_counter()
            results = work(workers)
            end = time.perf_counter()
            if i > 0:
                print(f'RESULT tasks/s {N / (end - start):.6f}', flush=True)
            assert results == [x * x for x in range(N)]


if __name__ == '__main__':
    main(*sys.argv[1:])
