#!/usr/bin/env python3
# event-start.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Three processes get ready, and begin together."""

from gi.repository import Mp


def run(ready, start, number):
    ready.release()
    start.wait()
    print(f'runner {number} runs')


if __name__ == '__main__':
    ready = Mp.Semaphore(0)
    start = Mp.Event()
    runners = [Mp.Process(target=run, args=(ready, start, i)) for i in range(3)]
    for runner in runners:
        runner.start()
    for _ in runners:
        ready.acquire()
    print('all are ready', flush=True)
    start.set()
    for runner in runners:
        runner.join()
