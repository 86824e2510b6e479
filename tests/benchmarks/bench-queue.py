# bench-queue.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Queues from Python, by mp-glib and by multiprocessing: bench-queue.py mp|multiprocessing [REPEATS].

A process puts, the other gets: items/s of small ones, of many producers, and of 1 MiB."""

import os
import sys
import time

if sys.argv[1] == 'mp':
    import gi
    gi.require_version('Mp', '1')
    from gi.repository import Mp as mp
else:
    import multiprocessing as mp

CPUS = sorted(os.sched_getaffinity(0))


def pin(index):
    os.sched_setaffinity(0, {CPUS[index % len(CPUS)]})


def produce(q, here, go, index, n, item):
    pin(index)
    here.release()
    go.wait()
    for _ in range(n):
        q.put(item)
    # What is on its way in a thread of multiprocessing's must leave first.
    q.close()
    q.join_thread()


def consume(q, here, go, index, n, done):
    pin(index)
    here.release()
    go.wait()
    for _ in range(n):
        q.get()
    done.put(time.perf_counter())


def run(name, n_producers, n_consumers, n, item, maxsize=0):
    context = mp.get_context('spawn')
    q, done, here, go = context.Queue(maxsize), context.Queue(), context.Semaphore(0), context.Event()
    processes = [context.Process(target=produce, args=(q, here, go, i, n // n_producers, item))
                 for i in range(n_producers)]
    processes += [context.Process(target=consume, args=(q, here, go, i + 1, n // n_consumers, done))
                  for i in range(n_consumers)]
    for process in processes:
        process.start()
    for _ in processes:
        here.acquire()
    start = time.perf_counter()
    go.set()
    end = max(done.get() for _ in range(n_consumers))
    for process in processes:
        process.join()
    print(f'RESULT {name}/s {n / (end - start):.1f}', flush=True)


if __name__ == '__main__':
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        run('small', 1, 1, 200000, (1, 2))
        run('bytes32', 1, 1, 200000, b'x' * 32)
        run('2to2', 2, 2, 200000, b'x' * 32)
        run('1MiB', 1, 1, 500, b'x' * (1 << 20), maxsize=4)
