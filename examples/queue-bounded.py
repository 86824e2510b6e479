#!/usr/bin/env python3
# queue-bounded.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A producer that waits when the consumer is slow."""

import time

from gi.repository import Mp


def producer(queue, items):
    for item in items:
        queue.put(item)
        print(f'[Producer] Enqueued: {item}')
        time.sleep(0.01)
    queue.put(None)


def consumer(queue):
    while True:
        item = queue.get()
        if item is None:
            print('[Consumer] Received sentinel, shutting down.')
            break
        print(f'[Consumer] Processing: {item}')


if __name__ == '__main__':
    q = Mp.Queue(maxsize=10)
    p = Mp.Process(target=producer, args=(q, list(range(20))))
    c = Mp.Process(target=consumer, args=(q,))
    p.start()
    c.start()
    p.join()
    c.join()
