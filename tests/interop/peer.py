#!/usr/bin/env python3
# peer.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that has CPython's own multiprocessing and nothing of this library.

Carries out each line of standard input, an expression or a statement of Python, and answers with one line: what repr()
makes of the value; "-" for None and for a statement; or "!" and the exception."""

import hashlib  # noqa: F401: for what comes
import hmac
import mmap  # noqa: F401
import multiprocessing
import os
import struct  # noqa: F401
import sys

from multiprocessing import connection, resource_tracker, shared_memory
from multiprocessing.connection import Client, Listener  # noqa: F401
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


def announced(conn):
    """How many bytes CPython's own code goes on to read, time after time, for the message that comes next."""
    sizes = []
    read = conn._recv
    conn._recv = lambda size: sizes.append(size) or read(min(size, 12))
    conn._recv_bytes()
    return sizes


def deliver(conn, key, digest):
    """CPython's deliver_challenge() of other versions than this one; digest: '' for 3.11 and before."""
    challenge = b'{%s}' % digest.encode() + os.urandom(40) if digest else os.urandom(20)
    conn.send_bytes(b'#CHALLENGE#' + challenge)
    right = conn.recv_bytes(256) == answer(key, challenge, digest)
    conn.send_bytes(b'#WELCOME#' if right else b'#FAILURE#')
    if not right:
        raise multiprocessing.AuthenticationError('wrong')


def answer_to(conn, key, digest):
    """The same for answer_challenge()."""
    message = conn.recv_bytes(256)
    conn.send_bytes(answer(key, message[len(b'#CHALLENGE#'):], digest))
    if conn.recv_bytes(256) != b'#WELCOME#':
        raise multiprocessing.AuthenticationError('rejected')


def answer(key, challenge, digest):
    prefix = b'{%s}' % digest.encode() if digest else b''
    return prefix + hmac.new(key, challenge, digest or 'md5').digest()


def is_real(digest):
    return (digest == 'sha256') == (sys.version_info >= (3, 12))


def as_client(conn, key, digest):
    """CPython's own functions when this is the version that has the form, else those above."""
    if is_real(digest):
        connection.answer_challenge(conn, key)
        connection.deliver_challenge(conn, key)
    else:
        answer_to(conn, key, digest)
        deliver(conn, key, digest)


def as_listener(conn, key, digest):
    if is_real(digest):
        connection.deliver_challenge(conn, key)
        connection.answer_challenge(conn, key)
    else:
        deliver(conn, key, digest)
        answer_to(conn, key, digest)


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
