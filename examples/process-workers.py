#!/usr/bin/env python3
# process-workers.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Five processes at once, each with an argument of its own."""

from gi.repository import Mp


def worker(num):
    print(f'Worker: {num}')


if __name__ == '__main__':
    processes = []
    for i in range(5):
        p = Mp.Process(target=worker, args=(i,))
        processes.append(p)
        p.start()

    for p in processes:
        p.join()
