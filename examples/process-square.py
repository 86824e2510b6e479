#!/usr/bin/env python3
# process-square.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""How a process ended is known once it has been joined."""

from gi.repository import Mp


def compute_square(n):
    result = n ** 2
    print(f'Square of {n} is {result}')


if __name__ == '__main__':
    process = Mp.Process(target=compute_square, args=(7,))
    process.start()
    process.join()
    print(f'Process exit code: {process.exitcode}')
