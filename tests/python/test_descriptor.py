#!/usr/bin/env python3
# test_descriptor.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""File descriptors, sockets and what multiprocessing.reduction has, between processes."""

import gc
import os
import socket
import tempfile
import unittest

from gi.repository import GLib
from gi.repository import Mp

import support

held = None


def say_hello(sock, text):
    with sock:
        sock.sendall(text)


def write_to(descriptor):
    with descriptor:
        os.write(descriptor.fileno(), b'written there')


def hold(sock):
    global held
    held = sock


def say_held(text):
    held.sendall(text)


def open_own():
    return Mp.Descriptor(os.open('/proc/self/status', os.O_RDONLY))


def connect_pair():
    """Sockets that nobody here has any more once they have gone."""
    return socket.socketpair()


def forward(connection):
    """Gets descriptors by number and answers through each."""
    while True:
        try:
            fd = Mp.reduction.recv_handle(connection)
        except EOFError:
            return
        os.write(fd, b'got it')
        os.close(fd)


def open_descriptors():
    gc.collect()
    return sorted(os.listdir('/proc/self/fd'))


class DescriptorTest(unittest.TestCase):
    def pair(self):
        pair = socket.socketpair()
        for sock in pair:
            sock.settimeout(support.TIMEOUT)
            self.addCleanup(sock.close)
        return pair

    def pipe(self):
        pipe = Mp.Pipe()
        for connection in pipe:
            self.addCleanup(connection.close)
        return pipe

    def test_object(self):
        with tempfile.TemporaryFile() as file:
            file.write(b'abc')
            file.flush()
            with Mp.Descriptor(file) as descriptor, Mp.Descriptor(file.fileno()) as other:
                self.assertFalse(descriptor.closed)
                self.assertNotIn(descriptor.fileno(), (file.fileno(), other.fileno()))
                self.assertTrue(os.path.sameopenfile(descriptor.fileno(), file.fileno()))
                self.assertFalse(os.get_inheritable(descriptor.fileno()))
                fd = other.detach()
                self.assertTrue(other.closed)
        self.assertTrue(descriptor.closed)
        for method in (descriptor.fileno, descriptor.detach):
            with self.assertRaisesRegex(OSError, 'closed'):
                method()
        descriptor.close()
        self.assertEqual(os.pread(fd, 3, 0), b'abc')
        os.close(fd)
        self.assertEqual(repr(descriptor), '<Descriptor(closed)>')

    def test_wrong_type(self):
        for wrong in '0', None, 1.0, [1]:
            with self.assertRaisesRegex(TypeError, 'by its number or by an object with a fileno'):
                Mp.Descriptor(wrong)

    def test_wrong(self):
        fd = os.open('/dev/null', os.O_RDONLY)
        os.close(fd)
        for wrong in (fd, -1):
            with self.assertRaises(OSError) as caught:
                Mp.Descriptor(wrong)
            self.assertEqual(caught.exception.errno, 9)

    def test_connection(self):
        first, second = self.pipe()
        near, far = self.pair()
        first.send([1, Mp.Descriptor(far), far])
        far.close()
        one, descriptor, arrived = second.recv()
        self.assertEqual(one, 1)
        self.assertIsInstance(descriptor, Mp.Descriptor)
        self.assertEqual((arrived.family, arrived.type, arrived.proto), (near.family, near.type, near.proto))
        os.write(descriptor.fileno(), b'a')
        self.assertEqual(near.recv(9), b'a')
        arrived.sendall(b'b')
        self.assertEqual(near.recv(9), b'b')
        arrived.close()
        descriptor.close()
        self.assertEqual(near.recv(9), b'')

    def test_connection_once(self):
        """The same socket twice is one socket there."""
        first, second = self.pipe()
        near, _far = self.pair()
        first.send((near, near))
        a, b = second.recv()
        self.assertIs(a, b)
        a.close()

    def test_closed(self):
        first, second = self.pipe()
        descriptor = Mp.Descriptor(0)
        descriptor.close()
        with self.assertRaises(OSError):
            first.send(descriptor)
        near, _far = self.pair()
        near.close()
        with self.assertRaises(OSError):
            first.send(near)
        first.send('still there')
        self.assertEqual(second.recv(), 'still there')

    def test_tcp(self):
        """What socketserver and its kind do: one process accepts, another one serves."""
        with socket.create_server(('127.0.0.1', 0)) as server, Mp.Pool(1) as pool:
            client = socket.create_connection(server.getsockname(), support.TIMEOUT)
            accepted, _address = server.accept()
            pool.apply(say_hello, (accepted, b'from a worker'))
            accepted.close()
            with client:
                self.assertEqual(client.recv(100), b'from a worker')
                self.assertEqual(client.recv(100), b'')

    def test_pool(self):
        with Mp.Pool(1) as pool:
            near, far = self.pair()
            pool.map(write_to, [Mp.Descriptor(far), Mp.Descriptor(far)])
            far.close()
            self.assertEqual(near.recv(100, socket.MSG_WAITALL), b'written there' * 2)
            descriptor = pool.apply(open_own)
            pid = int(next(line for line in open('/proc/self/status') if line.startswith('Pid')).split()[1])
            self.assertNotIn(b'Pid:\t%d\n' % pid, os.pread(descriptor.fileno(), 4096, 0))
            one, other = pool.apply_async(connect_pair).get(support.TIMEOUT)
            with one, other:
                one.sendall(b'x')
                self.assertEqual(other.recv(1), b'x')
            with self.assertRaises(OSError):
                descriptor.close()
                pool.apply(write_to, (descriptor,))
            self.assertEqual(pool.apply(abs, (-1,)), 1)

    def test_initializer(self):
        """It is called in each worker, also in one that comes much later."""
        near, far = self.pair()
        with Mp.Pool(1, initializer=hold, initargs=(far,), maxtasksperchild=1) as pool:
            for _i in range(3):
                pool.apply(say_held, (b'here',))
                self.assertEqual(near.recv(100), b'here')

    def test_process(self):
        for method in ('spawn', 'forkserver'):
            with self.subTest(method=method):
                near, far = self.pair()
                context = Mp.get_context(method)
                processes = [context.Process(target=say_hello, args=(far, b'hello')),
                             context.Process(target=write_to, args=(Mp.Descriptor(far),))]
                for process in processes:
                    process.start()
                for process in processes:
                    process.join(support.TIMEOUT)
                    self.assertEqual(process.exitcode, 0)
                far.close()
                self.assertEqual(sorted(near.recv(100, socket.MSG_WAITALL)), sorted(b'hellowritten there'))

    def test_threads(self):
        near, far = self.pair()
        with Mp.ThreadPool(1) as pool:
            pool.apply(say_hello, (far, b'of a thread'))
        self.assertEqual(near.recv(100), b'of a thread')

    def test_queue(self):
        queue = Mp.Queue()
        near, _far = self.pair()
        for value in (near, Mp.Descriptor(near)):
            with self.assertRaisesRegex(TypeError, 'queue'):
                queue.put(value)
        self.assertTrue(queue.empty())

    def test_reduction(self):
        first, second = self.pipe()
        near, far = self.pair()
        process = Mp.Process(target=forward, args=(second,))
        process.start()
        second.close()
        for _i in range(3):
            Mp.reduction.send_handle(first, far.fileno(), process.pid)
            self.assertEqual(near.recv(100), b'got it')
        first.close()
        process.join(support.TIMEOUT)
        self.assertEqual(process.exitcode, 0)

    def test_reduction_wrong(self):
        first, second = self.pipe()
        for wrong in (5, GLib.Variant('i', 5), Mp.Lock()):
            first.send(wrong)
            with self.assertRaisesRegex(RuntimeError, 'Invalid data'):
                Mp.reduction.recv_handle(second)

    def test_reduction_names(self):
        from gi.repository.Mp.reduction import DupFd, ForkingPickler, recvfds, send_handle, sendfds
        import multiprocessing.reduction
        self.assertTrue(Mp.reduction.HAVE_SEND_HANDLE)
        self.assertIs(ForkingPickler, multiprocessing.reduction.ForkingPickler)
        self.assertIs(send_handle, Mp.reduction.send_handle)
        near, far = self.pair()
        sendfds(near, [0, 1])
        for fd in recvfds(far, 2):
            os.close(fd)
        first, second = self.pipe()
        first.send(DupFd(near.fileno()))
        fd = second.recv().detach()
        os.write(fd, b'x')
        os.close(fd)
        self.assertEqual(far.recv(9), b'x')
        with self.assertRaises(AttributeError):
            Mp.reduction.no_such_thing

    def test_nothing_left(self):
        first, second = self.pipe()
        near, far = self.pair()
        with Mp.Pool(1) as pool:
            pool.apply(say_hello, (far, b'x'))
            before = open_descriptors()
            for _i in range(20):
                first.send([far, Mp.Descriptor(far)])
                arrived, _descriptor = second.recv()
                arrived.close()
                del _descriptor
                pool.apply(say_hello, (far, b'x'))
                one, other = pool.apply(connect_pair)
                one.close()
                other.close()
            self.assertEqual(open_descriptors(), before)


if __name__ == '__main__':
    support.main()
