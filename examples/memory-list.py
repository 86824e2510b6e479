#!/usr/bin/env python3
# memory-list.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A list of plain values that another process changes."""

from gi.repository import Mp


def change(items):
    items[0] += 1
    items[1] = 'smaller'
    items[2], items[3] = items[3], items[2]


if __name__ == '__main__':
    with Mp.managers.SharedMemoryManager() as manager:
        items = manager.ShareableList([41, 'greater', True, None, 0.5])
        print('Before:', *items, flush=True)

        p = Mp.Process(target=change, args=(items,))
        p.start()
        p.join()
        print('After:', *items)

        try:
            items[1] = 'longer than its place'
        except ValueError:
            print('Too long; it is still', items[1])
