#!/usr/bin/env python3
# test_listener.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Listener and Client: what multiprocessing's do, and that strangers can do no harm."""

import array
import asyncio
import errno
import os
import pickle
import random
import select
import signal
import socket
import stat
import struct
import tempfile
import threading
import unittest

from multiprocessing import connection as theirs

from gi.repository import Gio, GLib
from gi.repository import Mp

from gi.overrides import _mp_listener

import support

KEY = b'secret password'


class InThread:
    """A call in a thread of its own; what it gives, or raises."""

    def __init__(self, function, *args, **kwargs):
        self.value = self.exc = None
        self.thread = threading.Thread(target=self.run, args=(function, args, kwargs))
        self.thread.start()

    def run(self, function, args, kwargs):
        try:
            self.value = function(*args, **kwargs)
        except BaseException as exc:
            self.exc = exc

    def get(self):
        self.thread.join(support.TIMEOUT)
        if self.exc is not None:
            raise self.exc
        return self.value


def make_pair(listener, **client_arguments):
    """Both ends of a connection."""
    client = InThread(Mp.Client, listener.address, timeout=support.TIMEOUT, **client_arguments)
    accepted = listener.accept(timeout=support.TIMEOUT)
    return accepted, client.get()


def serve_one(connection):
    """In a process that a connection was handed on to."""
    with connection:
        connection.send([connection.recv(), connection.allow_pickle])


def connect_with_own_key(address):
    with Mp.Client(address, authkey=Mp.current_process().authkey) as connection:
        connection.send('let in')


def tell_key(connection):
    import multiprocessing
    connection.send_bytes(bytes(Mp.current_process().authkey) +
                          bytes(multiprocessing.current_process().authkey == Mp.current_process().authkey))


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'socket')

    def listen(self, *args, **kwargs):
        listener = Mp.Listener(*args, **kwargs)
        self.addCleanup(listener.close)
        return listener

    def pair(self, listener=None, **client_arguments):
        accepted, connected = make_pair(listener or self.listen(), **client_arguments)
        self.addCleanup(accepted.close)
        self.addCleanup(connected.close)
        return accepted, connected


class AddressTest(Base):
    def check(self, listener):
        accepted, connected = self.pair(listener)
        connected.send('hello')
        self.assertEqual(accepted.recv(), 'hello')
        accepted.close()
        with self.assertRaises(EOFError):
            connected.recv()

    def test_default(self):
        self.assertTrue(os.path.exists(self.listen('').address))
        listener = self.listen()
        self.assertIs(type(listener.address), str)
        self.assertIsNone(listener.last_accepted)
        status = os.stat(listener.address)
        self.assertTrue(stat.S_ISSOCK(status.st_mode))
        self.check(listener)
        self.assertEqual(listener.last_accepted, '')
        path = listener.address
        listener.close()
        listener.close()
        self.assertTrue(listener.closed)
        self.assertEqual(listener.address, path)
        self.assertFalse(os.path.exists(path))
        self.assertFalse(os.path.exists(os.path.dirname(path)))

    def test_path(self):
        for address in (self.path, os.fsencode(self.path)):
            with self.listen(address) as listener:
                self.assertEqual(listener.address, self.path)
                self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
                self.check(listener)
                with self.assertRaises(OSError) as caught:
                    Mp.Listener(self.path)
                self.assertEqual(caught.exception.errno, 98)
            self.assertFalse(os.path.exists(self.path))

    def test_tcp(self):
        for address, family in ((('localhost', 0), None), (('127.0.0.1', 0), 'AF_INET'), (('', 0), None),
                                (None, 'AF_INET')):
            with self.listen(address, family) as listener:
                host, port = listener.address
                self.assertIn(host, ('127.0.0.1', '0.0.0.0'))
                self.assertGreater(port, 0)
                self.check(listener)
                self.assertEqual(listener.last_accepted[0], '127.0.0.1')

    @unittest.skipUnless(os.path.exists('/proc/net/if_inet6'), 'there is no IPv6 here')
    def test_ipv6(self):
        with self.listen(('::1', 0)) as listener:
            self.assertEqual(listener.address[0], '::1')
            self.check(listener)
            self.assertEqual(listener.last_accepted[0], '::1')
        # As sockets, and so multiprocessing's listeners, have them.
        with self.listen(('::1', 0, 0, 0), 'AF_INET6') as listener:
            client = InThread(Mp.Client, (*listener.address, 0, 0))
            listener.accept(timeout=support.TIMEOUT).send('four')
            self.assertEqual(client.get().recv(), 'four')
        for address in (('localhost', 0, 0, 0), ('::1', 0, 0, 'x'), ('::1', 0, 0, -1), ('::1', 0, 0)):
            with self.assertRaises(TypeError):
                Mp.Listener(address)

    def test_text_and_objects(self):
        for text in ('unix:' + self.path, 'tcp:127.0.0.1:0', 'tcp:localhost:0'):
            with self.listen(text) as listener:
                self.check(listener)
        with self.listen(Gio.InetSocketAddress.new_from_string('127.0.0.1', 0)) as listener:
            client = InThread(Mp.Client, Gio.NetworkAddress.new('localhost', listener.address[1]))
            listener.accept(timeout=support.TIMEOUT).send(1)
            self.assertEqual(client.get().recv(), 1)

    def test_names(self):
        """What multiprocessing.connection has for those who look at addresses themselves."""
        self.assertLessEqual(set(theirs.families), set(Mp.connection.families))
        self.assertEqual(Mp.connection.default_family, theirs.default_family)
        for address in ('localhost', 0), self.path, 'name':
            self.assertEqual(Mp.connection.address_type(address), theirs.address_type(address))
        self.assertEqual(Mp.connection.address_type(('::1', 0)), 'AF_INET6')
        for wrong in None, 5, ('a',):
            with self.assertRaises(TypeError):
                Mp.connection.address_type(wrong)
        for family in 'AF_INET', 'AF_UNIX':
            address = Mp.connection.arbitrary_address(family)
            self.assertEqual(Mp.connection.address_type(address), family)
            self.check(self.listen(address))
        self.assertEqual(Mp.connection.arbitrary_address('AF_INET6'), ('::1', 0))
        with self.assertRaises(ValueError):
            Mp.connection.arbitrary_address('AF_PIPE')
        for name in theirs.__all__ + ['AuthenticationError', 'BufferTooShort', 'answer_challenge', 'deliver_challenge']:
            self.assertTrue(hasattr(Mp.connection, name), name)

    def test_abstract(self):
        name = '\0mp-glib-test-%d' % os.getpid()
        with self.assertRaises(PermissionError):
            Mp.Listener(name)
        with self.assertRaises(PermissionError):
            Mp.Client(name)
        listener = self.listen(name, allow_abstract=True)
        self.assertEqual(listener.address, name)
        self.pair(listener, allow_abstract=True)

    def test_wrong(self):
        # The exceptions are those of multiprocessing.
        for address, family, error in ((5, None, TypeError), (('localhost',), None, TypeError),
                                       (('a', 1, 2), None, TypeError), ((1, 'a'), None, TypeError),
                                       (self.path, 'AF_INET', TypeError), (('localhost', 0), 'AF_UNIX', TypeError),
                                       (None, 'AF_PIPE', ValueError), (self.path, 'AF_PIPE', ValueError),
                                       ('x' * 200, None, OSError)):
            with self.assertRaises(error):
                Mp.Listener(address, family)
            if address is not None:
                with self.assertRaises(error):
                    Mp.Client(address, family)
        # Which the library would take for something shorter, or not at all.
        for address in (self.path + '\0x', 'unix:' + self.path + '\0x', ('127.0.0.1\0', 1), '\0a\0b', self.path + '\udcff',
                        'tcp:127.0.0.1\0:1:1'):
            for make in (Mp.Listener, Mp.Client):
                with self.assertRaises(ValueError, msg=repr(address)):
                    make(address, allow_abstract=True)
        self.assertFalse(os.path.exists(self.path))
        for port in (-1, 70000, 'http'):
            with self.assertRaises((OverflowError, ValueError, TypeError, OSError)):
                Mp.Listener(('127.0.0.1', port))
            with self.assertRaises((OverflowError, ValueError, TypeError, OSError)):
                Mp.Client(('127.0.0.1', port))
        for key in ('text', 5, bytearray(b'x')):
            with self.assertRaises(TypeError):
                Mp.Listener(authkey=key)
            with self.assertRaises(TypeError):
                Mp.Client(self.path, authkey=key)
        with self.assertRaisesRegex(TypeError, 'no_such_thing'):
            Mp.Listener(no_such_thing=1)
        with self.assertRaisesRegex(TypeError, 'no_such_thing'):
            Mp.Client(self.path, no_such_thing=1)
        with self.assertRaises(ValueError):
            Mp.Listener(max_pending=0)
        with self.assertRaisesRegex(ValueError, 'backlog'):
            Mp.Listener(backlog=1 << 40)
        with self.assertRaisesRegex(TypeError, 'handshake_timeout'):
            Mp.Listener(handshake_timeout='x')
        with self.assertRaisesRegex(ValueError, 'handshake_timeout must be .* not -1'):
            Mp.Listener(handshake_timeout=-1)
        # An address of documentation, which is nobody's.
        with self.assertRaises(OSError) as caught:
            Mp.Listener(('192.0.2.1', 0))
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    def test_nobody_there(self):
        with self.assertRaises(FileNotFoundError):
            Mp.Client(self.path)
        with self.assertRaises(FileNotFoundError):
            Mp.Listener(os.path.join(self.path, 'not', 'there'))
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path)
            with self.assertRaises(ConnectionRefusedError):
                Mp.Client(self.path)
        with socket.socket() as server:
            server.bind(('127.0.0.1', 0))
            with self.assertRaises(ConnectionRefusedError):
                Mp.Client(server.getsockname())
        # What nobody listens to any more is taken over.
        self.check(self.listen(self.path))
        with self.assertRaises(socket.gaierror):
            Mp.Client(('no-such-host.invalid', 1))
        with self.assertRaisesRegex(socket.gaierror, 'listener: cannot listen at no-such-host.invalid:'):
            Mp.Listener('tcp:no-such-host.invalid:0')


class AcceptTest(Base):
    def test_timeout(self):
        listener = self.listen()
        with self.assertRaises(Mp.TimeoutError):
            listener.accept(timeout=0)
        with self.assertRaises(Mp.TimeoutError):
            listener.accept(timeout=0.01)

    def test_closed(self):
        listener = self.listen()
        listener.close()
        for call in (listener.accept, listener.fileno):
            with self.assertRaisesRegex(OSError, 'listener is closed'):
                call()

    def test_fileno(self):
        listener = self.listen()
        self.assertEqual(select.select([listener], [], [], 0)[0], [])
        client = InThread(Mp.Client, listener.address)
        self.assertEqual(select.select([listener], [], [], support.TIMEOUT)[0], [listener])
        listener.accept(timeout=0)
        client.get()

    def test_signal(self):
        listener = self.listen(allow_pickle=True)
        loop, found = GLib.MainLoop(), []

        def accepted(_listener, connection):
            found.append(connection)
            loop.quit()

        listener.connect('connection', accepted)
        listener.start()
        client = InThread(Mp.Client, listener.address, allow_pickle=True)
        loop.run()
        connection = client.get()
        self.assertIsInstance(found[0], Mp.Connection)
        self.assertIs(found[0].allow_pickle, True)
        found[0].send({object})
        self.assertEqual(connection.recv(), {object})

    def test_made_by_the_library(self):
        listener = Mp.Listener.new('unix:' + self.path, None)
        accepted, connected = self.pair(listener)
        self.assertEqual(listener.address, self.path)
        self.assertIs(accepted.allow_pickle, False)

    def test_garbage_collected(self):
        """A listener that nobody has is closed, and its file gone."""
        address = Mp.Listener().address
        import gc
        gc.collect()
        self.assertFalse(os.path.exists(address))


class SignalTest(Base):
    """Handlers of signals run while something is waited for, and what they raise comes out of it."""

    def setUp(self):
        super().setUp()
        self.n_calls = 0
        self.addCleanup(signal.signal, signal.SIGALRM, signal.getsignal(signal.SIGALRM))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)

    def stop(self, *_args):
        raise InterruptedError

    def count(self, *_args):
        self.n_calls += 1

    def test_raises(self):
        silent = socket.socket(socket.AF_UNIX)
        self.addCleanup(silent.close)
        silent.bind(self.path)
        silent.listen()
        first, _second = Mp.Pipe()
        signal.signal(signal.SIGALRM, self.stop)
        for call in (self.listen().accept, lambda: Mp.Client(self.path, authkey=KEY),
                     lambda: Mp.connection.deliver_challenge(first, KEY), first.recv, first.recv_bytes,
                     lambda: first.send_bytes(bytes(10000000))):
            with self.assertRaises(InterruptedError):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                call()

    def test_returns(self):
        listener = self.listen(authkey=KEY)
        signal.signal(signal.SIGALRM, self.count)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

        def connect():
            support.wait_until(lambda: self.n_calls > 3)
            return Mp.Client(listener.address, authkey=KEY)

        client = InThread(connect)
        accepted = listener.accept()
        n_before = self.n_calls
        connected = client.get()

        def send():
            support.wait_until(lambda: self.n_calls > n_before + 3)
            connected.send(1)

        sending = InThread(send)
        self.assertEqual(accepted.recv(), 1)
        sending.get()


class KeyTest(Base):
    def test_right(self):
        for address in (None, ('localhost', 0)):
            listener = self.listen(address, authkey=KEY)
            accepted, connected = self.pair(listener, authkey=KEY)
            accepted.send('in')
            self.assertEqual(connected.recv(), 'in')

    def test_wrong(self):
        """Who has no key gets nothing, and accept() goes on with others."""
        listener = self.listen(authkey=KEY)
        accepting = InThread(listener.accept, timeout=support.TIMEOUT)
        with self.assertRaises(Mp.AuthenticationError):
            Mp.Client(listener.address, authkey=b'another')
        with socket.socket(socket.AF_UNIX) as rubbish:
            rubbish.connect(listener.address)
            rubbish.sendall(b'GET / HTTP/1.1\r\n\r\n')
            with socket.socket(socket.AF_UNIX) as silent:
                silent.connect(listener.address)
                with Mp.Client(listener.address, authkey=KEY, timeout=support.TIMEOUT) as client:
                    client.send('the right one')
                    self.assertEqual(accepting.get().recv(), 'the right one')

    def test_listener_is_wrong(self):
        """A client finds out a listener that has not its key."""
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path)
            server.listen()
            client = InThread(Mp.Client, self.path, authkey=KEY, timeout=support.TIMEOUT)
            peer = server.accept()[0]
            peer.sendall(struct.pack('!i', 5) + b'hello')
            with self.assertRaises(Mp.ProcessError):
                client.get()
            peer.close()

    def test_silent_listener(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path)
            server.listen()
            with self.assertRaises(Mp.TimeoutError):
                Mp.Client(self.path, authkey=KEY, timeout=0.05)

    def test_challenges(self):
        first, second = Mp.Pipe()
        answering = InThread(Mp.connection.answer_challenge, second, KEY)
        Mp.connection.deliver_challenge(first, KEY)
        answering.get()
        answering = InThread(Mp.connection.answer_challenge, second, b'another')
        with self.assertRaises(Mp.AuthenticationError):
            Mp.connection.deliver_challenge(first, KEY)
        with self.assertRaises(Mp.AuthenticationError):
            answering.get()
        for call in (Mp.connection.deliver_challenge, Mp.connection.answer_challenge):
            with self.assertRaises(ValueError):
                call(first, 'text')
            with self.assertRaises(TypeError):
                call(socket, KEY)
        with self.assertRaises(Mp.TimeoutError):
            Mp.connection.deliver_challenge(first, KEY, timeout=0.01)

    def test_key_of_the_process(self):
        key = Mp.current_process().authkey
        self.assertIsInstance(key, bytes)
        self.assertGreaterEqual(len(key), 32)
        with self.assertRaises(TypeError):
            pickle.dumps(key)
        self.assertEqual(Mp.current_process().authkey, key)
        listener = self.listen(authkey=key)
        for method in ('spawn', 'forkserver'):
            process = Mp.get_context(method).Process(target=connect_with_own_key, args=(listener.address,))
            process.start()
            self.assertEqual(listener.accept(timeout=support.TIMEOUT).recv(), 'let in')
            process.join()
            self.assertEqual(process.exitcode, 0)

    def test_key_of_one_process(self):
        first, second = Mp.Pipe()
        process = Mp.Process(target=tell_key, args=(second,))
        self.assertEqual(process.authkey, Mp.current_process().authkey)
        process.authkey = b'its own'
        self.assertEqual(process.authkey, b'its own')
        self.assertNotIn(b'its own', pickle.dumps(repr(process)))
        process.start()
        self.assertEqual(first.recv_bytes(), b'its own\x00')
        process.join()

    def test_set(self):
        old = Mp.current_process().authkey
        try:
            Mp.current_process().authkey = b'a new one'
            self.assertEqual(Mp.current_process().authkey, b'a new one')
            first, second = Mp.Pipe()
            process = Mp.Process(target=tell_key, args=(second,))
            process.start()
            self.assertEqual(first.recv_bytes(), b'a new one\x00')
            process.join()
        finally:
            Mp.current_process().authkey = old


class ValueTest(Base):
    def test_plain(self):
        accepted, connected = self.pair()
        self.assertIs(accepted.allow_pickle, False)
        self.assertIs(connected.allow_pickle, False)
        for value in ([2.25, None, 'junk', float], 2 ** 200, {'a': (1, b'x', {3})}, GLib.Variant('(is)', (1, 'a')),
                      bytes(3000000), 'x' * 100000):
            sending = InThread(accepted.send, value)
            received = connected.recv()
            self.assertEqual(received, value)
            self.assertIs(type(received), type(value))
            sending.get()
        with self.assertRaisesRegex(TypeError, 'allow_pickle'):
            accepted.send(object())

    def test_bytes(self):
        accepted, connected = self.pair(self.listen(('localhost', 0)))
        accepted.send_bytes(b'hello')
        accepted.send_bytes(array.array('i', [42, 1729]))
        self.assertEqual(connected.recv_bytes(), b'hello')
        numbers = array.array('i', [0, 0, 0, 0, 0])
        self.assertEqual(connected.recv_bytes_into(numbers), 8)
        self.assertEqual(numbers, array.array('i', [42, 1729, 0, 0, 0]))
        connected.send_bytes(b'x' * 100)
        with self.assertRaises(OSError):
            accepted.recv_bytes(99)
        self.assertEqual(accepted.recv_bytes(100), b'x' * 100)

    def test_pickles(self):
        listener = self.listen(allow_pickle=True)
        accepted, connected = self.pair(listener, allow_pickle=True)
        for value in (1 + 2j, [InThread], {'a': Base}, GLib.Variant('i', 3)):
            accepted.send(value)
            self.assertEqual(connected.recv(), value)
        # As multiprocessing does it: a pickle is a message of bytes.
        accepted.send([InThread])
        self.assertEqual(pickle.loads(connected.recv_bytes()), [InThread])
        connected.send_bytes(pickle.dumps({'by': 'hand'}))
        self.assertEqual(accepted.recv(), {'by': 'hand'})
        # With objects in them.
        queue = Mp.Queue(isolated=True)
        accepted.send([InThread, queue])
        received = connected.recv()
        queue.put(5)
        self.assertEqual(received[1].get(timeout=support.TIMEOUT), 5)

    def test_pickles_unasked(self):
        listener = self.listen(allow_pickle=True)
        accepted, connected = self.pair(listener)
        accepted.send([1, 2])
        for _ in range(2):
            with self.assertRaisesRegex(TypeError, 'recv_bytes.*allow_pickle=True'):
                connected.recv()
        self.assertEqual(pickle.loads(connected.recv_bytes()), [1, 2])
        connected.send([3])   # a plain value
        self.assertEqual(accepted.recv(), [3])
        # One in the form that pipes have is refused, too.
        accepted.send(GLib.Variant('(ssayav)', ('pickle', '', pickle.dumps('x'), [])))
        with self.assertRaisesRegex(Mp.ProcessError, 'not allowed'):
            connected.recv()
        accepted.send(GLib.Variant('i', 4))
        self.assertEqual(connected.recv(), GLib.Variant('i', 4))

    def test_objects(self):
        accepted, connected = self.pair()
        queue = Mp.Queue(isolated=True)
        accepted.send({'queue': queue, 'n': 1})
        received = connected.recv()
        received['queue'].put('through it')
        self.assertEqual(queue.get(timeout=support.TIMEOUT), 'through it')
        with self.assertRaisesRegex(PermissionError, 'isolated'):
            accepted.send([Mp.Queue()])
        for shared in Mp.Value('i', 3, isolated=True), Mp.Array('i', 3, isolated=True):
            accepted.send(shared)
            connected.recv().get_obj()
            self.assertTrue(shared.get_lock().isolated)
        accepted.send('goes on')
        self.assertEqual(connected.recv(), 'goes on')
        # Not to another machine.
        accepted, connected = self.pair(self.listen(('localhost', 0)))
        with self.assertRaises(OSError):
            accepted.send([queue])
        accepted.send('goes on')
        self.assertEqual(connected.recv(), 'goes on')

    def test_client_with_a_signal(self):
        """A client that has come when a signal's handler raises is for the next call."""
        def handler(*_args):
            raise InterruptedError

        def accept(*args):
            connection = real(*args)
            signal.raise_signal(signal.SIGUSR1)
            return connection

        real = _mp_listener._accept
        listener = self.listen()
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handler))
        client = InThread(Mp.Client, listener.address)
        _mp_listener._accept = accept
        try:
            with self.assertRaises(InterruptedError):
                listener.accept(timeout=support.TIMEOUT)
        finally:
            _mp_listener._accept = real
        self.assertEqual(Mp.connection.wait([listener], 0), [listener])
        with listener.accept(timeout=0) as accepted, client.get() as connected:
            accepted.send('here')
            self.assertEqual(connected.recv(timeout=support.TIMEOUT), 'here')
        self.assertEqual(Mp.connection.wait([listener], 0), [])

    def test_queue_through_it(self):
        """A queue that came from a stranger, or goes to one, has no pickles: they would be read here."""
        accepted, connected = self.pair()
        queue = Mp.Queue(isolated=True)
        accepted.send(queue)
        received = connected.recv()
        self.assertEqual((queue.allow_pickle, received.allow_pickle, Mp.Queue().allow_pickle), (False, False, True))
        for value in ([1, {'a': None}], b'bytes', GLib.Variant('i', 3)):
            received.put(value)
            self.assertEqual(queue.get(timeout=support.TIMEOUT), value)
        with self.assertRaisesRegex(TypeError, 'allow_pickle'):
            queue.put(object())
        received.allow_pickle = True
        received.put([InThread])
        with self.assertRaisesRegex(Mp.ProcessError, 'pickle'):
            queue.get(timeout=support.TIMEOUT)
        received.put([InThread])
        queue.allow_pickle = True
        self.assertEqual(queue.get(timeout=support.TIMEOUT), [InThread])

    def test_pipe_through_it(self):
        """A pipe's end that came from a stranger leads to one."""
        accepted, connected = self.pair()
        first, second = Mp.Pipe()
        accepted.send(second)
        received = connected.recv()
        self.assertIs(received.allow_pickle, False)
        received.send([1])
        self.assertEqual(first.recv(), [1])
        first.send('a pickle')
        with self.assertRaisesRegex(Mp.ProcessError, 'not allowed'):
            received.recv()

    def test_handed_on(self):
        """What was said of a connection holds in the process that it is handed on to."""
        for allow in (False, True):
            accepted, connected = self.pair(self.listen(allow_pickle=allow), allow_pickle=allow)
            process = Mp.Process(target=serve_one, args=(accepted,))
            process.start()
            accepted.close()
            connected.send(['to another process'])
            self.assertEqual(connected.recv(), [['to another process'], allow])
            process.join()
            self.assertEqual(process.exitcode, 0)

    def test_too_large(self):
        listener = self.listen(max_message_size=1000)
        accepted, connected = self.pair(listener)
        connected.send_bytes(bytes(1001))
        with self.assertRaises(ValueError):
            accepted.recv_bytes()
        with self.assertRaises(ValueError):
            self.pair(listener)[0].send_bytes(bytes(1001))

    def test_hostile(self):
        """Bytes that are no values are errors, and the connection stays."""
        accepted, connected = self.pair()
        for blob in (b'', b'l\xff\xff\xff\xff\x7f', b'h\0', b'x'):
            connected.send(GLib.Variant('(ssayav)', ('python', '', blob, [])))
            with self.assertRaises(Mp.ProcessError):
                accepted.recv()
        connected.send(1)
        self.assertEqual(accepted.recv(), 1)


class HostileTest(Base):
    def test_many_objects(self):
        """A few bytes are a large object: there is room for as many as max_message_size stands for."""
        accepted, connected = self.pair(self.listen(('localhost', 0), max_message_size=1 << 20))
        value = [set()] * 300000
        sending = InThread(connected.send, value)
        with self.assertRaisesRegex(Mp.ProcessError, '64 MiB .* max_message_size'):
            accepted.recv(timeout=support.TIMEOUT)
        sending.get()
        accepted.props.max_message_size = 8 << 20
        sending = InThread(connected.send, value)
        self.assertEqual(accepted.recv(timeout=support.TIMEOUT), value)
        sending.get()

    def test_changed_on_the_way(self):
        """Messages in which bytes are changed, left out or put in: values, or errors that this can have."""
        with self.listen() as listener:
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(listener.address)
                with listener.accept(timeout=support.TIMEOUT) as accepted:
                    accepted.send({'text': ['ä', b'\0' * 20, {1.5, None}, (2 ** 70, GLib.Variant('(is)', (1, 'x')))]})
                message = raw.recv(100000)
            seed = random.randrange(1 << 32)
            chance = random.Random(seed)
            n_values = 0
            for _ in range(400):
                data = bytearray(message[4:])
                for _ in range(chance.randrange(3)):
                    at = chance.randrange(8, len(data))
                    data[at:at + chance.randrange(2)] = bytes(chance.randrange(256) for _ in range(chance.randrange(3)))
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.connect(listener.address)
                    with listener.accept(timeout=support.TIMEOUT) as accepted:
                        raw.sendall(struct.pack('!i', len(data)) + data)
                        try:
                            accepted.recv(timeout=support.TIMEOUT)
                            n_values += 1
                        except (Mp.ProcessError, TypeError) as exc:
                            self.assertNotIsInstance(exc, Mp.TimeoutError)
                        except Exception as exc:
                            raise AssertionError('%r (seed %d)' % (bytes(data), seed)) from exc
            self.assertGreater(n_values, 50)


class AsyncioTest(Base):
    def test_both_ends(self):
        listener = self.listen(('localhost', 0), authkey=KEY)

        async def serve():
            async for connection in listener:
                with connection:
                    async for value in connection:
                        await connection.send_async([value, value])
                listener.close()

        async def talk():
            serving = asyncio.ensure_future(serve())
            with await Mp.client_async(listener.address, authkey=KEY) as connection:
                for value in (1, 'a' * 200000):
                    await connection.send_async(value)
                    self.assertEqual(await connection.recv_async(), [value, value])
            await serving
            with self.assertRaises(ConnectionRefusedError):
                await Mp.client_async(listener.address)

        asyncio.run(asyncio.wait_for(talk(), support.TIMEOUT))

    def test_closed_meanwhile(self):
        """Who awaits something of what is closed here learns of it, whichever thread does that."""
        async def talk(close):
            listener = self.listen()
            accepting = asyncio.ensure_future(listener.accept_async())
            connection = await Mp.client_async(listener.address)
            _accepted = await accepting
            accepting = asyncio.ensure_future(listener.accept_async())
            receiving = [asyncio.ensure_future(connection.recv_async()) for _ in range(3)]
            await asyncio.sleep(0)
            await close(listener)
            await close(connection)
            for waiting in (accepting, *receiving):
                with self.assertRaisesRegex(OSError, 'is closed'):
                    await waiting
            # The same descriptors again, for others.
            listener = self.listen()
            accepting = asyncio.ensure_future(listener.accept_async())
            await Mp.client_async(listener.address)
            await accepting

        async def here(closable):
            closable.close()

        async def elsewhere(closable):
            await asyncio.get_running_loop().run_in_executor(None, closable.close)

        for close in (here, elsewhere):
            asyncio.run(asyncio.wait_for(talk(close), support.TIMEOUT))

    def test_cancelled(self):
        listener = self.listen()

        async def talk():
            accepting = asyncio.ensure_future(listener.accept_async())
            await asyncio.sleep(0)
            accepting.cancel()
            await asyncio.wait([accepting])
            connection = await Mp.client_async(listener.address)
            accepted = await listener.accept_async()
            await connection.send_async(5)
            self.assertEqual(await accepted.recv_async(), 5)
            silent = socket.socket(socket.AF_UNIX)
            silent.bind(self.path)
            silent.listen()
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(Mp.client_async(self.path, authkey=KEY), 0.05)
            silent.close()

        asyncio.run(talk())


if __name__ == '__main__':
    support.main()
