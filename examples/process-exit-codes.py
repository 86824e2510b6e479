#!/usr/bin/env python3
# process-exit-codes.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The exit codes of processes that end in different ways."""

import os
import signal
import sys

from gi.repository import Mp


def end_somehow(how):
    if how == 'fail':
        raise ValueError('this does not work')
    if how == 'exit':
        sys.exit(3)
    if how == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
    # The traceback of the failing process is not wanted here.
    context = Mp.Context(stderr=Mp.Stderr.CAPTURE)
    for how in ('return', 'fail', 'exit', 'kill'):
        p = context.Process(target=end_somehow, args=(how,))
        p.start()
        p.join()
        print(f'{how}: {p.exitcode}')
