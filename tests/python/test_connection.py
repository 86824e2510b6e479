#!/usr/bin/env python3
# test_connection.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Connection and Pipe: what multiprocessing's do."""

import array
import asyncio
import errno
import os
import resource
import select
import signal
import threading
import unittest

from gi.repository import GLib
from gi.repository import Mp

from gi.overrides import _mp_connection

import support


def echo(connection):
    with connection:
        while True:
            try:
                connection.send(connection.recv())
            except EOFError:
                return


def receive_when_told(connection, word):
    word.recv()
    os._exit(len(connection.recv_bytes()) % 100)


def is_asleep(thread):
    try:
        with open('/proc/self/task/%d/stat' % thread) as stat:
            return stat.read().rpartition(')')[2].split()[0] == 'S'
    except OSError:   # its thread has ended
        return True


def send_often(connection, value, n, sent):
    for _ in range(n):
        connection.send(value)
        sent.append(value)


def send_in_step(barrier, lock, connection, n):
    for i in range(n):
        barrier.wait()
        with lock:
            connection.send(i)


def give_back(connection):
    return connection


class AsyncioTest(unittest.TestCase):
    def setUp(self):
        self.first, self.second = Mp.Pipe()
        self.addCleanup(self.first.close)
        self.addCleanup(self.second.close)

    def test_both_ways(self):
        async def talk():
            receiver = asyncio.ensure_future(self.second.recv_async())
            await self.first.send_async([1, 2])
            self.assertEqual(await receiver, [1, 2])
            await self.first.send_bytes_async(b'0123456789', 3, 4)
            self.assertEqual(await self.second.recv_bytes_async(), b'3456')

        asyncio.run(talk())

    def test_large(self):
        """More than fits into the pipe, with nobody who runs a main loop of GLib."""
        value = os.urandom(1000) * 10000

        async def talk():
            receiver = asyncio.ensure_future(self.second.recv_async())
            await self.first.send_async(value)
            self.assertEqual(await receiver, value)
            for _ in range(3000):
                sender = asyncio.ensure_future(self.first.send_bytes_async(b'x' * 1000))
                await asyncio.sleep(0)
            self.assertFalse(sender.done())
            for _ in range(3000):
                self.assertEqual(await self.second.recv_bytes_async(), b'x' * 1000)
            await sender

        asyncio.run(talk())

    def test_iteration(self):
        async def talk():
            for i in range(5):
                await self.first.send_async(i)
            self.first.close()
            return [value async for value in self.second]

        self.assertEqual(asyncio.run(talk()), list(range(5)))

    def test_cancelled(self):
        """Nothing is lost by it; and one that waits for room does not hold up the end of the program."""
        async def talk():
            receiver = asyncio.ensure_future(self.second.recv_async())
            await asyncio.sleep(0)
            receiver.cancel()
            await asyncio.wait([receiver])
            await self.first.send_async('kept')
            self.assertEqual(await self.second.recv_async(), 'kept')
            sender = asyncio.ensure_future(self.first.send_async(bytes(100000000)))
            await asyncio.sleep(0)
            sender.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await sender

        asyncio.run(talk())


class ConnectionTest(unittest.TestCase):
    def setUp(self):
        self.first, self.second = Mp.Pipe()
        self.addCleanup(self.first.close)
        self.addCleanup(self.second.close)

    def test_values(self):
        for value in ([1, 'hello', None], {}, 2 ** 100, b'\0', 'ä', [[]], ValueError, GLib.Variant('ay', b'abc'),
                      GLib.Variant('(sv)', ('a', GLib.Variant('i', 1)))):
            self.first.send(value)
            received = self.second.recv()
            self.assertEqual(received, value)
            self.assertIs(type(received), type(value))

    def test_bytes(self):
        self.second.send_bytes(b'thank you')
        self.assertEqual(self.first.recv_bytes(), b'thank you')
        self.first.send_bytes(b'')
        self.assertEqual(self.second.recv_bytes(), b'')
        self.first.send_bytes(bytearray(b'0123456789'), 3)
        self.first.send_bytes(memoryview(b'0123456789'), 3, 4)
        self.first.send_bytes(array.array('i', [1, 2]))
        self.assertEqual(self.second.recv_bytes(), b'3456789')
        self.assertEqual(self.second.recv_bytes(), b'3456')
        self.assertEqual(self.second.recv_bytes(), array.array('i', [1, 2]).tobytes())
        for wrong in ((-1,), (11,), (0, -1), (5, 6)):
            with self.assertRaises(ValueError):
                self.first.send_bytes(b'0123456789', *wrong)

    def test_large(self):
        value = os.urandom(1000) * 100000
        thread = threading.Thread(target=self.first.send, args=(value,))
        thread.start()
        self.assertEqual(self.second.recv(), value)
        thread.join()
        thread = threading.Thread(target=self.first.send_bytes, args=(value,))
        thread.start()
        self.assertEqual(self.second.recv_bytes(), value)
        thread.join()

    def test_maxlength(self):
        self.first.send_bytes(b'12345')
        self.first.send_bytes(b'123')
        for _ in range(2):
            with self.assertRaisesRegex(OSError, 'bad message length'):
                self.second.recv_bytes(4)
        self.assertEqual(self.second.recv_bytes(5), b'12345')
        self.assertEqual(self.second.recv_bytes(maxlength=4), b'123')
        self.first.send_bytes(b'')
        self.assertEqual(self.second.recv_bytes(0), b'')
        with self.assertRaises(Mp.TimeoutError):
            self.second.recv_bytes(5, timeout=0.01)
        with self.assertRaises(ValueError):
            self.second.recv_bytes(-1)

    def test_closed_as_a_value(self):
        closed, other = Mp.Pipe()
        closed.close()
        for value in closed, [closed]:
            with self.assertRaisesRegex(OSError, 'handle is closed'):
                self.first.send(value)
        with self.assertRaisesRegex(OSError, 'handle is closed'):
            Mp.Process(target=print, args=(closed,)).start()
        # One of which a part of a message is here.
        other, busy = Mp.Pipe()
        other.send_bytes(bytes(20000000), timeout=0.1)
        with self.assertRaisesRegex(OSError, 'in use here') as caught:
            self.first.send(other)
        self.assertEqual(caught.exception.errno, errno.EBUSY)
        with self.assertRaisesRegex(OSError, 'had not been sent wholly'):
            other.close()
        self.assertTrue(other.closed)
        busy.close()

    def test_recv_bytes_into(self):
        numbers, target = array.array('i', range(5)), array.array('i', [0] * 10)
        self.first.send_bytes(numbers)
        self.assertEqual(self.second.recv_bytes_into(target), 20)
        self.assertEqual(list(target), [0, 1, 2, 3, 4, 0, 0, 0, 0, 0])
        self.first.send_bytes(numbers)
        self.assertEqual(self.second.recv_bytes_into(target, 12), 20)
        self.assertEqual(list(target), [0, 1, 2, 0, 1, 2, 3, 4, 0, 0])
        self.first.send_bytes(b'too long')
        with self.assertRaises(Mp.BufferTooShort) as caught:
            self.second.recv_bytes_into(bytearray(4))
        self.assertEqual(caught.exception.args, (b'too long',))
        for wrong in (-1, 5):
            with self.assertRaises(ValueError):
                self.second.recv_bytes_into(bytearray(4), wrong)
        # What cannot be written to takes no message.
        self.first.send_bytes(b'here')
        with self.assertRaisesRegex(TypeError, 'read-only'):
            self.second.recv_bytes_into(b'....')
        self.assertEqual(self.second.recv_bytes(1 << 80), b'here')
        for wrong in ('x', 1.5):
            with self.assertRaisesRegex(TypeError, 'offset must be an integer'):
                self.second.recv_bytes_into(bytearray(4), wrong)
            with self.assertRaisesRegex(TypeError, 'offset must be an integer'):
                self.first.send_bytes(b'here', wrong)
            with self.assertRaisesRegex(TypeError, 'size must be an integer'):
                self.first.send_bytes(b'here', 0, wrong)
        with self.assertRaisesRegex(TypeError, 'maxlength must be'):
            self.second.recv_bytes('x')

    def test_sizes(self):
        """What is copied and what is not, as bytes and as values."""
        for size in (0, 1, 4095, 4096, 4097, 32767, 32768, 32769, 70000, 3000000):
            data = os.urandom(min(size, 1000)) * (size // 1000 + 1)
            data = data[:size]
            for send, receive in ((self.first.send, self.second.recv), (self.first.send_bytes, self.second.recv_bytes)):
                thread = threading.Thread(target=send, args=(data,))
                thread.start()
                received = receive()
                thread.join()
                self.assertEqual(received, data)
                self.assertIs(type(received), bytes)

    def test_objects_in_the_middle(self):
        """Much goes along with many objects: send() ends when all of it has left, not in the middle."""
        values = [Mp.Value('i') for _ in range(1000)]
        as_variant = GLib.Variant('av', [Mp.Shareable.to_variant(value) for value in values])
        for message in (values, as_variant, values[1:], as_variant):
            first, _second = Mp.Pipe()
            n = 0
            with self.assertRaises(Mp.TimeoutError):
                while True:
                    first.send(message, timeout=0)
                    n += 1
            # So many fill a pipe: of the last one only a part has left.
            first, second = Mp.Pipe()
            sent = []
            sender = threading.Thread(target=send_often, args=(first, message, n, sent))
            sender.start()
            support.wait_until(lambda: len(sent) >= n - 1 and is_asleep(sender.native_id), 'the last message')
            for _ in range(n):
                self.assertEqual(len(second.recv(timeout=support.TIMEOUT)), len(message))
            sender.join()

    def test_signal_in_the_middle(self):
        """One whose handler returns ends no message halfway: nothing else would let the rest of it leave."""
        word, told = Mp.Pipe()
        process = Mp.Process(target=receive_when_told, args=(self.second, told))
        process.start()
        self.second.close()
        calls = []

        def handler(*_args):
            calls.append(None)
            if len(calls) == 3:
                word.send('go on')

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, handler))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        self.first.send_bytes(bytes(50000017))
        self.assertGreaterEqual(len(calls), 3)
        process.join(support.TIMEOUT)
        self.assertEqual(process.exitcode, 17)

    def test_signal_with_a_message(self):
        """What has come for a call that waits, when a signal's handler raises, is for the next one."""
        def handler(*_args):
            raise InterruptedError

        real = _mp_connection._recv_blob

        def recv_blob(*args):
            result = real(*args)
            if args[3] == 0:
                self.second.send('a value')
                self.second.send_bytes(b'bytes')
            else:
                signal.raise_signal(signal.SIGUSR1)
            return result

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handler))
        for receive in (self.first.recv, lambda: asyncio.run(self.first.recv_async())):
            _mp_connection._recv_blob = recv_blob
            try:
                with self.assertRaises(InterruptedError):
                    self.first.recv()
            finally:
                _mp_connection._recv_blob = real
            self.assertIs(self.first.poll(), True)
            self.assertEqual(Mp.connection.wait([self.first], 0), [self.first])
            with self.assertRaises(TypeError):
                self.first.recv_bytes()
            self.assertEqual(receive(), 'a value')
            self.assertEqual(self.first.recv_bytes(), b'bytes')
            self.assertIs(self.first.poll(), False)

    def test_bounded_bytes_with_a_signal(self):
        def handler(*_args):
            raise InterruptedError

        real = _mp_connection._recv_bytes_full

        def recv_bytes_full(*args):
            self.second.send_bytes(b'bytes')
            result = real(*args)
            signal.raise_signal(signal.SIGUSR1)
            return result

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handler))
        _mp_connection._recv_bytes_full = recv_bytes_full
        try:
            with self.assertRaises(InterruptedError):
                self.first.recv_bytes(5)
        finally:
            _mp_connection._recv_bytes_full = real
        self.assertIs(self.first.poll(), True)
        with self.assertRaises(OSError):
            self.first.recv_bytes(4)
        self.assertEqual(self.first.recv_bytes(5), b'bytes')

    def test_bytes_with_a_signal(self):
        def handler(*_args):
            raise InterruptedError

        real = _mp_connection._recv_blob

        def recv_blob(*args):
            result = real(*args)
            if args[3] == 0:
                self.second.send_bytes(b'bytes')
            else:
                signal.raise_signal(signal.SIGUSR1)
            return result

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handler))
        _mp_connection._recv_blob = recv_blob
        try:
            with self.assertRaises(InterruptedError):
                self.first.recv_bytes()
        finally:
            _mp_connection._recv_blob = real
        with self.assertRaises(TypeError):
            self.first.recv()
        with self.assertRaisesRegex(OSError, 'bad message length'):
            self.first.recv_bytes(4)
        self.assertEqual(self.first.recv_bytes(5), b'bytes')
        self.assertIs(self.first.poll(), False)

    def test_poll(self):
        self.assertIs(self.first.poll(), False)
        self.assertIs(self.first.poll(0.01), False)
        self.second.send(1)
        self.assertEqual(select.select([self.first], [], [], 0)[0], [self.first])
        self.assertIs(self.first.poll(timeout=None), True)
        self.first.recv()
        self.second.close()
        self.assertIs(self.first.poll(), True)

    def test_no_descriptors(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            for function in (self.first.fileno, Mp.Pipe):
                with self.assertRaises(OSError) as caught:
                    function()
                self.assertEqual(caught.exception.errno, errno.EMFILE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertGreaterEqual(self.first.fileno(), 0)

    def test_end(self):
        self.first.send(1)
        self.first.close()
        self.assertTrue(self.first.closed)
        self.first.close()
        self.assertEqual(self.second.recv(), 1)
        with self.assertRaises(EOFError):
            self.second.recv()
        with self.assertRaises(EOFError):
            self.second.recv_bytes()
        with self.assertRaises(BrokenPipeError):
            while True:
                self.second.send(b'x' * 1000)
        for call in (self.first.recv, self.first.fileno, self.first.poll, lambda: self.first.send(1)):
            with self.assertRaisesRegex(OSError, 'handle is closed'):
                call()

    def test_one_way(self):
        reader, writer = Mp.Pipe(duplex=False)
        self.assertEqual((reader.readable, reader.writable), (True, False))
        self.assertEqual((writer.readable, writer.writable), (False, True))
        writer.send('x')
        self.assertEqual(reader.recv(), 'x')
        with self.assertRaisesRegex(OSError, 'connection is write-only'):
            writer.recv()
        with self.assertRaisesRegex(OSError, 'connection is read-only'):
            reader.send(1)

    def test_timeout(self):
        with self.assertRaises(Mp.TimeoutError):
            self.first.recv(timeout=0.01)
        with self.first as connection:
            self.assertIs(connection, self.first)
        self.assertTrue(self.first.closed)

    def test_with_a_process(self):
        process = Mp.Process(target=echo, args=(self.second,))
        process.start()
        self.second.close()
        for value in (1, 'a', [None] * 1000):
            self.first.send(value)
            self.assertEqual(self.first.recv(), value)
        self.first.close()
        process.join()
        self.assertEqual(process.exitcode, 0)

    def test_several_senders(self):
        # Nobody passes the barrier before all have sent: their numbers come in order, whichever way each of them takes.
        barrier, lock = Mp.Barrier(3), Mp.Lock()
        reader, writer = Mp.Pipe(False)
        processes = [Mp.Process(target=send_in_step, args=(barrier, lock, writer, 300)) for _ in range(3)]
        for process in processes:
            process.start()
        self.assertEqual([reader.recv(60) for _ in range(900)], [i for i in range(300) for _ in range(3)])
        for process in processes:
            process.join()
            self.assertEqual(process.exitcode, 0)

    def test_connection_through_connection(self):
        inner_first, inner_second = Mp.Pipe()
        self.first.send(['take', inner_second])
        text, received = self.second.recv()
        self.assertIsInstance(received, Mp.Connection)
        received.send(text)
        self.assertEqual(inner_first.recv(), 'take')
        reader, writer = Mp.Pipe(False)
        self.first.send(writer)
        writer.close()
        received = self.second.recv()
        self.assertFalse(received.readable)
        received.send(5)
        self.assertEqual(reader.recv(), 5)

    def test_connection_through_a_pool(self):
        with Mp.Pool(1) as pool:
            received = pool.apply(give_back, (self.second,))
            received.send('round trip')
            self.assertEqual(self.first.recv(), 'round trip')
            received = pool.map(give_back, [self.second, None, self.second], chunksize=1)
            self.assertIsNone(received[1])
            received[2].send('again')
            self.assertEqual(self.first.recv(), 'again')

    def test_without_pickles(self):
        """Plain values, at whichever end."""
        self.assertIs(self.first.allow_pickle, True)
        self.first.allow_pickle = False
        value = [None, 2 ** 100, 'a', b'\0', {1: (2.5, {3})}, float, GLib.Variant('i', 1)]
        self.first.send(value)
        self.assertEqual(self.second.recv(), value)
        self.first.send(GLib.Variant('i', 1))
        self.assertEqual(self.second.recv(), GLib.Variant('i', 1))
        with self.assertRaisesRegex(TypeError, 'object objects cannot be sent .* allow_pickle'):
            self.first.send(object())
        self.second.send('a pickle')
        self.second.send('another')
        with self.assertRaisesRegex(Mp.ProcessError, 'a pickle came .* allow_pickle'):
            self.first.recv()
        self.first.allow_pickle = True
        self.assertEqual(self.first.recv(), 'another')

    def test_objects_without_pickles(self):
        inner_first, inner_second = Mp.Pipe()
        lock = Mp.Lock()
        self.first.allow_pickle = self.second.allow_pickle = False
        self.first.send({'connection': inner_second, 'lock': [lock, lock]})
        received = self.second.recv()
        self.assertIs(received['lock'][0], received['lock'][1])
        with lock:
            self.assertFalse(received['lock'][0].acquire(False))
        received['connection'].send('through it')
        self.assertEqual(inner_first.recv(), 'through it')

    def test_what_is_said_travels(self):
        inner_first, inner_second = Mp.Pipe()
        inner_second.allow_pickle = False
        self.first.send(inner_second)
        received = self.second.recv()
        self.assertIs(received.allow_pickle, False)
        received.send([1])
        self.assertEqual(inner_first.recv(), [1])

    def test_no_blob(self):
        """What only looks like one."""
        blob = GLib.Variant('(ssayav)', ('other', '', b'', []))
        self.first.send(blob)
        self.assertEqual(self.second.recv(), blob)
        for part in (GLib.Variant('i', 1), GLib.Variant('s', '')):
            self.first.send(GLib.Variant('(ssayav)', ('python', '', b'h\0', [part])))
            with self.assertRaises(TypeError):
                self.second.recv()
        self.first.send(GLib.Variant('(ssayav)', ('python', '', b'x', [])))
        with self.assertRaisesRegex(Mp.ProcessError, 'no value'):
            self.second.recv()
        self.first.send('still there')
        self.assertEqual(self.second.recv(), 'still there')

    def test_value_and_bytes(self):
        self.first.send_bytes(b'bytes')
        with self.assertRaises(TypeError):
            self.second.recv()
        self.assertEqual(self.second.recv_bytes(), b'bytes')
        self.first.send('value')
        with self.assertRaises(TypeError):
            self.second.recv_bytes()
        self.assertEqual(self.second.recv(), 'value')

    def test_cannot_be_pickled_elsewhere(self):
        import pickle
        with self.assertRaises(TypeError):
            pickle.dumps(self.first)


if __name__ == '__main__':
    support.main()
