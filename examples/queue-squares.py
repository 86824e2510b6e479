#!/usr/bin/env python3
# queue-squares.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker's results come through a queue as it finds them."""

from gi.repository import Mp


def square_worker(numbers, queue):
    for n in numbers:
        queue.put((n, n * n))
    queue.put(None)


if __name__ == '__main__':
    q = Mp.Queue()
    p = Mp.Process(target=square_worker, args=([1, 2, 3, 4, 5], q))
    p.start()
    while True:
        item = q.get()
        if item is None:
            break
        n, sq = item
        print(f'{n} squared is {sq}')
    p.join()
    print('Done reading from queue')
