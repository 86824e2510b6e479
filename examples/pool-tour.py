#!/usr/bin/env python3
# pool-tour.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What a pool can do, as the documentation of multiprocessing shows it."""

import os
import time

from gi.repository import Mp


def f(x):
    return x * x


if __name__ == '__main__':
    with Mp.Pool(processes=4) as pool:
        print('in order:', pool.map(f, range(10)))
        print('in any order, their sum:', sum(pool.imap_unordered(f, range(10))))

        # evaluate "f(20)" asynchronously, in one process only
        res = pool.apply_async(f, (20,))
        print('submitted:', res.get(timeout=60))

        # several evaluations may use more processes
        multiple_results = [pool.apply_async(os.getpid, ()) for i in range(4)]
        n_others = sum(res.get(timeout=60) != os.getpid() for res in multiple_results)
        print(f'{n_others} of 4 were run elsewhere')

        # make a single worker sleep for 10 seconds
        res = pool.apply_async(time.sleep, (10,))
        try:
            print(res.get(timeout=0.2))
        except Mp.TimeoutError:
            print('We lacked patience and got a timeout')
        print('For the moment, the pool remains available for more work')

    # exiting the 'with'-block has stopped the pool
    try:
        pool.apply_async(os.getpid, ())
    except ValueError:
        print('Now the pool is closed and no longer available')
