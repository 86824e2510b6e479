# bench-overrides-sync.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Single calls in Python, by mp-glib's overrides and by CPython's own modules: `bench-overrides-sync.py SYSTEM MODE`.

`call` is what an introspected call that does nothing costs, for mp-glib alone."""

import itertools
import sys
import time

N = 100000
REPEATS = 5


def acquire_lock(mp):
    lock = mp.Lock()
    acquire, release = lock.acquire, lock.release

    def work(n):
        for _ in itertools.repeat(None, n):
            acquire()
            release()
    return work


def count_value(mp):
    counter = mp.Value('i', 0)

    def work(n):
        for _ in itertools.repeat(None, n):
            with counter.get_lock():
                counter.value += 1
    return work


def read_value(mp):
    counter = mp.Value('i', 0)

    def work(n):
        for _ in itertools.repeat(None, n):
            counter.value
    return work


def call_introspected(mp):
    event = mp.Event()
    call = super(mp.Event, event).is_set

    def work(n):
        for _ in itertools.repeat(None, n):
            call()
    return work


WORKS = {'lock': acquire_lock, 'counter': count_value, 'value': read_value, 'call': call_introspected}


def main(system, mode):
    if system == 'mp':
        import gi
        gi.require_version('Mp', '1')
        from gi.repository import Mp as mp
    else:
        import multiprocessing as mp
    work = WORKS[mode](mp)
    for i in range(REPEATS + 1):
        start = time.perf_counter()
        work(N)
        end = time.perf_counter()
        if i > 0:
            print(f'RESULT calls/s {N / (end - start):.6f}', flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
