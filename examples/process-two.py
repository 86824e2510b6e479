#!/usr/bin/env python3
# process-two.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Two processes run side by side; each knows its own name."""

import time

from gi.repository import Mp


def worker(delay):
    name = Mp.current_process().name
    print(f'[{name}] starting work')
    time.sleep(delay)
    print(f'[{name}] finished after {delay} seconds')


if __name__ == '__main__':
    p1 = Mp.Process(target=worker, name='First', args=(0.2,))
    p2 = Mp.Process(target=worker, name='Second', args=(0.3,))

    p1.start()
    p2.start()

    p1.join()
    p2.join()

    print('All processes completed')
