#!/usr/bin/env python3
# queue-joinable.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The program waits until all work is finished, also that of a worker that died."""

import os
import signal

from gi.repository import Mp


def worker(queue):
    while True:
        item = queue.get()
        print(f'Working on {item}', flush=True)
        queue.task_done()


def unlucky(queue):
    queue.get()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
    q = Mp.JoinableQueue()
    for item in range(10):
        q.put(item)

    p = Mp.Process(target=unlucky, args=(q,))
    p.start()
    p.join()

    p = Mp.Process(target=worker, args=(q,), daemon=True)
    p.start()
    try:
        q.join()
    except Mp.WorkerDiedError:
        print(f'Abandoned: {q.put_back_abandoned()}', flush=True)
        q.join()
    print('All work completed')
