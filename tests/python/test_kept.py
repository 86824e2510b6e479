#!/usr/bin/env python3
# test_kept.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What was taken for a call that a signal's handler ends by an exception is for the next call."""

import collections
import ctypes
import functools
import os
import pickle
import signal
import threading
import unittest

from gi.repository import GLib
from gi.repository import Mp

from gi.overrides import _mp_connection, _mp_listener, _mp_queue

import support

_raise = ctypes.CDLL(None)['raise']


class Left(Exception):
    pass


def leave(*_args):
    raise Left


def signalled(function):
    """@function, at whose end there is a signal: its handler runs when Python has the result."""
    def call(*args):
        result = function(*args)
        # No instruction of Python's looks for signals between this one and the return.
        collections.defaultdict(functools.partial(_raise, signal.SIGUSR1))[0]
        return result
    return call


class Signals:
    """A value; when it is unpickled for the first time there is a signal."""

    n_made = 0

    def __reduce__(self):
        return make, ()


def make():
    Signals.n_made += 1
    if Signals.n_made == 1:
        _raise(signal.SIGUSR1)
    return 'made'


def fail():
    raise ValueError('of its own')


class Fails:
    def __reduce__(self):
        return fail, ()


class KeptTest(unittest.TestCase):
    def setUp(self):
        self.first, self.second = Mp.Pipe()
        self.addCleanup(self.first.close)
        self.addCleanup(self.second.close)
        self.handle(leave)

    def handle(self, handler):
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handler))

    def left(self, module, name, call):
        """@call is left by the signal that there is at the end of @module's @name."""
        real = getattr(module, name)
        setattr(module, name, signalled(real))
        try:
            with self.assertRaises(Left):
                call()
        finally:
            setattr(module, name, real)

    def test_messages(self):
        for receive in (self.first.recv, lambda: self.first.recv(timeout=0)):
            self.second.send('a value')
            self.second.send('next')
            self.left(_mp_connection, '_recv_blob', receive)
            self.assertIs(self.first.poll(), True)
            self.assertEqual(self.first.recv(), 'a value')
            self.assertEqual(self.first.recv(), 'next')
        target = bytearray(5)
        for receive in (self.first.recv_bytes, lambda: self.first.recv_bytes(timeout=0),
                        lambda: self.first.recv_bytes_into(target)):
            self.second.send_bytes(b'bytes')
            self.left(_mp_connection, '_recv_blob', receive)
            self.assertEqual(self.first.recv_bytes(), b'bytes')
        self.second.send_bytes(b'bytes')
        self.left(_mp_connection, '_recv_bytes_full', lambda: self.first.recv_bytes(5, timeout=0))
        self.assertEqual(self.first.recv_bytes_into(target), 5)
        self.assertIs(self.first.poll(), False)

    def test_no_message(self):
        """One that has not come is not kept."""
        self.left(_mp_connection, '_recv_blob', lambda: self.first.recv(timeout=0))
        self.assertIs(self.first.poll(), False)
        self.left(_mp_connection, '_recv_blob', lambda: self.first._take(_mp_connection._recv_blob, 1, '', timeout=0))
        self.assertIs(self.first.poll(), False)
        with self.assertRaises(Mp.TimeoutError):
            self.first.recv(timeout=0)

    def test_while_a_value_is_made(self):
        queue = Mp.Queue()
        for put, get in (self.second.send, self.first.recv), (queue.put, queue.get):
            put(Signals())
            put('next')
            Signals.n_made = 0
            with self.assertRaises(Left):
                get()
            self.assertEqual(get(), 'made')
            self.assertEqual(Signals.n_made, 2)
            self.assertEqual(get(), 'next')

    def test_handlers(self):
        """Those that are methods, parts of others, and objects."""
        class Object:
            def __call__(self, *_args):
                raise Left

            method = __call__

        for handler in Object(), Object().method, functools.partial(leave, 1):
            self.handle(handler)
            self.second.send('a value')
            self.left(_mp_connection, '_recv_blob', self.first.recv)
            self.assertEqual(self.first.recv(), 'a value')
        self.handle(signal.default_int_handler)
        self.second.send('a value')
        with self.assertRaises(KeyboardInterrupt):
            self.left(_mp_connection, '_recv_blob', self.first.recv)
        self.assertEqual(self.first.recv(), 'a value')

    def test_error_of_its_own(self):
        """A value that cannot be made does not come again."""
        queue = Mp.Queue()
        for put, get in (self.second.send, self.first.recv), (queue.put, queue.get):
            put(Fails())
            put('next')
            with self.assertRaisesRegex(ValueError, 'of its own'):
                get()
            self.assertEqual(get(), 'next')

    def test_order(self):
        self.second.send(1)
        self.second.send(2)
        self.left(_mp_connection, '_recv_blob', self.first.recv)
        with self.assertRaises(TypeError):
            self.first.recv_bytes()
        self.assertEqual([self.first.recv(), self.first.recv()], [1, 2])

    def test_sent_away(self):
        """Where a message is kept, there the connection stays."""
        third, fourth = Mp.Pipe()
        self.second.send(1)
        self.left(_mp_connection, '_recv_blob', self.first.recv)
        with self.assertRaisesRegex(OSError, 'is here'):
            third.send(self.first)
        self.assertEqual(self.first.recv(), 1)
        self.second.send(2)
        third.send(self.first)
        self.assertEqual(fourth.recv().recv(), 2)

    def test_items(self):
        for klass in (Mp.Queue, Mp.SimpleQueue, Mp.JoinableQueue):
            queue = klass()
            for get in (queue.get, queue.get) if klass is Mp.SimpleQueue else (queue.get, queue.get_nowait):
                queue.put('item')
                queue.put(b'next')
                self.left(_mp_queue, '_get_tagged', get)
                self.assertIs(queue.empty(), False)
                self.assertEqual(queue.get(), 'item')
                self.assertEqual(queue.get(), b'next')
            self.assertIs(queue.empty(), True)

    def test_while_an_error_is_made(self):
        """It is the handler's that comes out."""
        real = GLib.Error.__init__

        def init(*args):
            _raise(signal.SIGUSR1)
            real(*args)

        self.addCleanup(setattr, GLib.Error, '__init__', real)
        GLib.Error.__init__ = init
        for call in (self.first.recv, self.first.recv_bytes, Mp.Listener().accept, Mp.Queue().get):
            with self.assertRaises(Left):
                call(timeout=0.01)

    def test_clients(self):
        listener = Mp.Listener()
        self.addCleanup(listener.close)
        for timeout in support.TIMEOUT, 0:
            client = threading.Thread(target=lambda: Mp.Client(listener.address).send('hello'))
            client.start()
            self.assertEqual(Mp.wait([listener], support.TIMEOUT), [listener])
            self.left(_mp_listener, '_accept', lambda: listener.accept(timeout))
            connection = listener.accept(timeout=0)
            self.assertEqual(connection.recv(), 'hello')
            client.join()

    def test_closed(self):
        """A client that nobody comes for sees the end."""
        listener = Mp.Listener()
        client = Mp.Client(listener.address)
        self.left(_mp_listener, '_accept', listener.accept)
        listener.close()
        with self.assertRaises(EOFError):
            client.recv(timeout=support.TIMEOUT)

    def test_fork(self):
        """The child gets nothing that is its parent's."""
        queue = Mp.Queue()
        queue.put('item')
        self.second.send('message')
        self.left(_mp_queue, '_get_tagged', queue.get)
        self.left(_mp_connection, '_recv_blob', self.first.recv)
        pid = os.fork()
        if pid == 0:
            os._exit(queue.qsize() + 2 * self.first.poll())
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual((queue.get(), self.first.recv()), ('item', 'message'))

    def test_threads(self):
        """What is kept goes to one of them."""
        n = 200
        got = []

        def receive():
            for _ in range(n // 4):
                got.append(self.first.recv(timeout=support.TIMEOUT))

        for i in range(n):
            self.first._keep((pickle.dumps(i), _mp_connection._BLOB, None))
        threads = [threading.Thread(target=receive) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(got), list(range(n)))


if __name__ == '__main__':
    support.main()
