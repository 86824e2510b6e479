#!/usr/bin/env python3
# pool-errors.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""An exception in a worker is raised where the result is asked for. With imap() it is that of one item."""

from gi.repository import Mp


def risky_function(x):
    if x == 3:
        raise ValueError(f'Cannot process value {x}')
    return x * 10


if __name__ == '__main__':
    with Mp.Pool(2) as pool:
        try:
            results = pool.map(risky_function, [1, 2, 3, 4])
        except ValueError as e:
            print(f'Caught worker exception: {e}')

        results = pool.imap(risky_function, [1, 2, 3, 4])
        for x in [1, 2, 3, 4]:
            try:
                print(f'{x}: {next(results)}')
            except ValueError as e:
                print(f'{x}: {e}')
