#!/usr/bin/env python3
# peer.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that has CPython's own multiprocessing and nothing of this library.

Carries out each line of standard input, an expression or a statement of Python, and answers with one line: what repr()
makes of the value; "-" for None and for a statement; or "!" and the exception."""

import multiprocessing  # noqa: F401: for what comes
import struct  # noqa: F401
import sys

from multiprocessing import resource_tracker, shared_memory
from multiprocessing.shared_memory import ShareableList, SharedMemory  # noqa: F401


def forget(memory):
    """What a process of CPython has only attached would be unlinked at its end."""
    resource_tracker.unregister(memory._name, 'shared_memory')
    return memory


def attach(name):
    return forget(shared_memory.SharedMemory(name))


def attach_list(name):
    attached = shared_memory.ShareableList(name=name)
    forget(attached.shm)
    return attached


def carry_out(line, names):
    try:
        try:
            code = compile(line, '<peer>', 'eval')
        except SyntaxError:
            exec(line, names)
            return '-'
        value = eval(code, names)
        return '-' if value is None else repr(value)
    except Exception as exc:
        return '!%s: %s' % (type(exc).__name__, exc)


def main():
    for line in sys.stdin:
        print(carry_out(line.strip(), globals()), flush=True)


if __name__ == '__main__':
    main()
