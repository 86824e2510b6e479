#!/usr/bin/env python3
# queue-sentinel.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A producer and a consumer; None says that there is no more."""

from gi.repository import Mp


def producer(queue):
    for i in range(5):
        queue.put(i)
    queue.put(None)


def consumer(queue):
    while True:
        item = queue.get()
        if item is None:
            break
        print(f'Received: {item}')


if __name__ == '__main__':
    q = Mp.Queue()
    p1 = Mp.Process(target=producer, args=(q,))
    p2 = Mp.Process(target=consumer, args=(q,))
    p1.start()
    p2.start()
    p1.join()
    p2.join()
