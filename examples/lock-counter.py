#!/usr/bin/env python3
# lock-counter.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Four processes count in one file, which without a lock would miss some."""

import os
import tempfile

from gi.repository import Mp


def increment_counter(path, lock, iterations):
    for _ in range(iterations):
        with lock:
            with open(path, 'r+') as stream:
                value = int(stream.read())
                stream.seek(0)
                stream.write(str(value + 1))


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'counter')
        with open(path, 'w') as stream:
            stream.write('0')

        lock = Mp.Lock()
        processes = [Mp.Process(target=increment_counter, args=(path, lock, 1000)) for _ in range(4)]
        for p in processes:
            p.start()
        for p in processes:
            p.join()

        with open(path) as stream:
            print(f'Final counter value: {stream.read()}')
