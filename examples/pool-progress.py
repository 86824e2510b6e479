#!/usr/bin/env python3
# pool-progress.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A bar shows how far a pool is, and a long piece of work is called off. The main loop is free all the time: in a window
the bar is a widget, and a button cancels."""

from concurrent.futures import CancelledError

from gi.repository import GLib, Mp


def count_primes(block):
    """In a block of a thousand numbers."""
    n = 0
    for x in range(max(1000 * block, 2), 1000 * block + 1000):
        divisor = 2
        while divisor * divisor <= x and x % divisor:
            divisor += 1
        n += divisor * divisor > x
    return n


def count(pool, n_blocks, enough=None):
    loop = GLib.MainLoop()
    drawn = 0

    def draw(*_args):
        nonlocal drawn
        while drawn < int(10 * pool.fraction) and drawn != enough:
            drawn += 1
            print(f'[{"#" * drawn:.<10}] {10 * drawn:3} %')
            if drawn == enough:   # the user loses patience
                result.cancel()

    def counted(outcome):
        draw()
        if isinstance(outcome, CancelledError):
            print('cancelled')
        elif isinstance(outcome, Exception):
            print(f'failed: {outcome}')
        else:
            print(f'{sum(outcome)} primes')
        loop.quit()

    handler = pool.connect('notify::fraction', draw)
    result = pool.map_async(count_primes, range(n_blocks), chunksize=1, callback=counted, error_callback=counted)
    loop.run()
    pool.disconnect(handler)


if __name__ == '__main__':
    with Mp.Pool(2) as pool:
        count(pool, 100)
        count(pool, 5000, enough=1)
