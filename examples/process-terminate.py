#!/usr/bin/env python3
# process-terminate.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A process is ended before it has done its work."""

import signal
import time

from gi.repository import Mp


def yes_or_no(value):
    return 'yes' if value else 'no'


if __name__ == '__main__':
    context = Mp.get_context('spawn')
    p = context.Process(target=time.sleep, args=(1000,))
    print('new: alive', yes_or_no(p.is_alive()))
    p.start()
    print('started: alive', yes_or_no(p.is_alive()))
    p.terminate()
    p.join()
    print('joined: alive', yes_or_no(p.is_alive()))
    print('ended by SIGTERM:', yes_or_no(p.exitcode == -signal.SIGTERM))
