#!/usr/bin/env python3
# pool-crash.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that crashes fails the one item that it was at; another worker takes its place."""

import os
import signal

from gi.repository import Mp


def crash_at_three(x):
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 10


if __name__ == '__main__':
    with Mp.Pool(2) as pool:
        results = pool.imap(crash_at_three, [1, 2, 3, 4, 5])
        for x in [1, 2, 3, 4, 5]:
            try:
                print(f'{x}: {next(results)}')
            except Mp.WorkerDiedError:
                print(f'{x}: its worker died')
