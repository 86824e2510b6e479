#!/usr/bin/env python3
# memory-squares.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Four processes fill one piece of memory, each a part of it; nothing is copied. Then one finds it by its name."""

from gi.repository import Mp

N_NUMBERS = 16
N_PROCESSES = 4


def square(memory, first, n):
    with memory.buf.cast('q') as numbers:
        for i in range(first, first + n):
            numbers[i] = i * i


def last(name):
    memory = Mp.shared_memory.SharedMemory(name=name)
    with memory.buf.cast('q') as numbers:
        print('The last one:', numbers[-1])


if __name__ == '__main__':
    memory = Mp.shared_memory.SharedMemory(create=True, size=N_NUMBERS * 8)
    n = N_NUMBERS // N_PROCESSES
    processes = [Mp.Process(target=square, args=(memory, i * n, n)) for i in range(N_PROCESSES)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    with memory.buf.cast('q') as numbers:
        print('Squares:', *numbers, flush=True)

    p = Mp.Process(target=last, args=(memory.name,))
    p.start()
    p.join()

    memory.close()
    memory.unlink()
