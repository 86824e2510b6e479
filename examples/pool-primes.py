#!/usr/bin/env python3
# pool-primes.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool of as many processes as there are usable CPUs, and a function that keeps them busy."""

import math

from gi.repository import Mp


def is_prime(n: int) -> bool:
    if n < 2:
        return False
    if n % 2 == 0 and n != 2:
        return False
    for i in range(3, int(math.sqrt(n)) + 1, 2):
        if n % i == 0:
            return False
    return True


if __name__ == '__main__':
    numbers = [10_000_019, 10_000_033, 10_000_079, 10_000_081]
    with Mp.Pool() as pool:
        results = pool.map(is_prime, numbers)
    for n, r in zip(numbers, results):
        print(n, 'prime?', 'yes' if r else 'no')
