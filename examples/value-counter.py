#!/usr/bin/env python3
# value-counter.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Four processes count in a value that they share: under its own lock, under another one, and in one step each."""

from gi.repository import Mp


def worker(counter):
    for _ in range(1000):
        with counter.get_lock():
            counter.value += 1


def increment_counter(counter, lock, iterations):
    for _ in range(iterations):
        with lock:
            counter.value += 1


def add(counter):
    for _ in range(1000):
        counter.add(1)


def count(target, counter, *args):
    processes = [Mp.Process(target=target, args=(counter, *args)) for _ in range(4)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    return counter.value


if __name__ == '__main__':
    print(count(worker, Mp.Value('i', 0)))
    print(f'Final counter value: {count(increment_counter, Mp.Value("i", 0), Mp.Lock(), 1000)}')
    print(f'Without a lock: {count(add, Mp.Value("i", 0))}')
