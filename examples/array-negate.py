#!/usr/bin/env python3
# array-negate.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A process changes an array and a value of its parent's."""

from gi.repository import Mp


def negate(arr):
    for i in range(len(arr)):
        arr[i] = -arr[i]


def f(n, a):
    n.value = 3.1415927
    for i in range(len(a)):
        a[i] = -a[i]


if __name__ == '__main__':
    arr = Mp.Array('i', [1, 2, 3, 4, 5])
    print(arr[:])
    p = Mp.Process(target=negate, args=(arr,))
    p.start()
    p.join()
    print(arr[:])

    num = Mp.Value('d', 0.0)
    arr = Mp.Array('i', range(10))
    p = Mp.Process(target=f, args=(num, arr))
    p.start()
    p.join()
    print(num.value)
    print(arr[:])
