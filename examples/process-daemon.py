#!/usr/bin/env python3
# process-daemon.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon is terminated when the program ends, not waited for."""

import time

from gi.repository import Mp


def background_worker(connection):
    while True:
        connection.send('Working...')
        time.sleep(5)


if __name__ == '__main__':
    ours, theirs = Mp.Pipe()
    p = Mp.Process(target=background_worker, args=(theirs,), daemon=True)
    p.start()
    print(ours.recv())
    print('Main process ends')
