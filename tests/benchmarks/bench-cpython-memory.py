# bench-cpython-memory.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""CPython's multiprocessing at the works of bench-queue.c and bench-memory.c:
`bench-cpython-memory.py variants|bytes|large PAIRS|counter [HOW] one/two|elements [HOW]|copy`."""

import itertools
import multiprocessing
import os
import sys
import time

N_REPEATS = 5


def report(metric, value):
    print(f'RESULT {metric} {value:.6f}', flush=True)


def put(queue, size, n):
    item = bytes(size)
    for _ in range(n):
        queue.put(item)


def get(queue, size, n):
    for _ in range(n):
        assert len(queue.get()) == size


def run_pinned(cpu, meeting, function, *arguments):
    os.sched_setaffinity(0, {cpu})
    meeting.wait()
    function(*arguments)


def measure_together(jobs):
    """How long it takes until each of [(CPU, function, argument, …)] is done, in a process of its own."""
    meeting = multiprocessing.Barrier(len(jobs) + 1)
    processes = [multiprocessing.Process(target=run_pinned, args=(job[0], meeting, *job[1:])) for job in jobs]
    for process in processes:
        process.start()
    meeting.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def bench_queue(size, bound, n, pairs):
    queue = multiprocessing.Queue(bound)
    jobs = [((i // 2 + i) % 2, (put, get)[i % 2], queue, size, n // pairs) for i in range(2 * pairs)]
    for i in range(N_REPEATS + 1):
        elapsed = measure_together(jobs)
        if i > 0:
            report('items/s', n / elapsed)


def count(counter, n):
    for _ in itertools.repeat(None, n):
        with counter.get_lock():
            counter.value += 1


def bench_counter(n_processes):
    n = 300000
    counter = multiprocessing.Value('i', 0)
    for i in range(N_REPEATS + 1):
        elapsed = measure_together([(cpu, count, counter, n) for cpu in range(n_processes)])
        if i > 0:
            report('adds/s', n_processes * n / elapsed)


def bench_elements():
    n = 200000
    array = multiprocessing.Array('i', n)
    for i in range(N_REPEATS + 1):
        start = time.perf_counter()
        for k in range(n):
            array[k] = k
        total = 0
        for k in range(n):
            total += array[k]
        if i > 0:
            report('elements/s', 2 * n / (time.perf_counter() - start))


def bench_copy():
    array = multiprocessing.Array('i', 1 << 20)
    for i in range(N_REPEATS + 1):
        start = time.perf_counter()
        array[:]
        if i > 0:
            report('copies/s', 1 / (time.perf_counter() - start))


def main(mode='', *arguments):
    argument = arguments[-1] if arguments else None
    if mode in ('bytes', 'variants'):
        bench_queue(32, 1024, 100000, int(argument))
    elif mode == 'large':
        bench_queue(1 << 20, 16, 400, int(argument))
    elif mode == 'counter':
        bench_counter(2 if argument == 'two' else 1)
    elif mode == 'elements':
        bench_elements()
    elif mode == 'copy':
        bench_copy()
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(*sys.argv[1:])
