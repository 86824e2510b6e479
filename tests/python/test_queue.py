#!/usr/bin/env python3
# test_queue.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Queue, SimpleQueue and JoinableQueue: what multiprocessing's do, and what they do when somebody dies."""

import asyncio
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import unittest

from gi.repository import GLib, Mp

import support
from support import TIMEOUT

BOTH = (Mp.get_context('forkserver'), multiprocessing.get_context('fork'))


def put_all(q, items):
    for item in items:
        q.put(item)


def put_and_die(q, items):
    put_all(q, items)
    os.kill(os.getpid(), signal.SIGKILL)


def put_and_wait(q, connection):
    q.put('mine')
    connection.send(os.getpid())
    connection.recv()


def get_some(q, n):
    return [q.get() for _ in range(n)]


def get_into(q, connection):
    connection.send(os.getpid())
    while True:
        connection.send(q.get())


def get_and_wait(q, n, connection):
    connection.send(get_some(q, n))
    connection.recv()


def square_all(source, sink):
    for n in iter(source.get, None):
        sink.put((n, n * n))
    sink.close()


def work_off(q):
    for _ in iter(q.get, None):
        q.task_done()
    q.task_done()


def give_back(value):
    return value


def start(target, *args):
    """A process, what it has told first, and its connection."""
    ours, theirs = Mp.Pipe()
    process = Mp.Process(target=target, args=(*args, theirs), daemon=True)
    process.start()
    return process, ours.recv(timeout=TIMEOUT), ours


def run_in_process(target, *args):
    process = Mp.Process(target=target, args=args)
    process.start()
    process.join(TIMEOUT)
    return process.exitcode


class QueueTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                q = context.Queue(2)
                self.assertEqual((q.empty(), q.full(), q.qsize()), (True, False, 0))
                with self.assertRaises(queue.Empty):
                    q.get(False)
                with self.assertRaises(queue.Empty):
                    q.get_nowait()
                for timeout in (0, -1, 0.01):
                    with self.assertRaises(queue.Empty):
                        q.get(True, timeout)
                self.assertIsNone(q.put('first'))
                self.assertIsNone(q.put_nowait(('second', 2)))
                self.assertEqual((q.full(), q.qsize()), (True, 2))
                with self.assertRaises(queue.Full):
                    q.put_nowait(3)
                for timeout in (0, -1, 0.01):
                    with self.assertRaises(queue.Full):
                        q.put(3, timeout=timeout)
                with self.assertRaises(queue.Full):
                    q.put(3, block=False, timeout=1000)
                self.assertEqual(q.get(), 'first')
                self.assertEqual(q.get(timeout=TIMEOUT), ('second', 2))
                with self.assertRaises(AssertionError):
                    q.join_thread()
                self.assertIsNone(q.close())
                self.assertIsNone(q.close())
                for call in (q.get, q.get_nowait, lambda: q.put(1), lambda: q.put_nowait(1)):
                    with self.assertRaisesRegex(ValueError, 'Queue <.*> is closed'):
                        call()
                self.assertIsNone(q.join_thread())
                self.assertIsNone(q.cancel_join_thread())

    def test_without_bounds(self):
        for maxsize in (0, -1):
            q = Mp.Queue(maxsize)
            for i in range(10000):
                q.put_nowait(i)
            self.assertEqual((q.full(), q.qsize()), (False, 10000))
            self.assertEqual(get_some(q, 10000), list(range(10000)))
            self.assertIs(q.empty(), True)

    def test_parameters(self):
        for value in 'x', 1.5, None:
            with self.assertRaises(TypeError):
                Mp.Queue(value)
        q = Mp.Queue()
        for timeout, exc in (('x', TypeError), (float('nan'), ValueError), (float('inf'), OverflowError)):
            with self.assertRaises(exc):
                q.get(timeout=timeout)
        self.assertIs(q.isolated, False)
        self.assertIs(Mp.Queue(isolated=True).isolated, True)
        with self.assertRaisesRegex(TypeError, 'Queue objects can only travel'):
            pickle.dumps(q)

    def test_values(self):
        q = Mp.Queue()
        values = [None, 0, -1, 1 << 100, 1.5, '', 'text\0\udc80', b'', b'\0' * 70000, (), [], {}, {1: [2, {3}]},
                  ValueError('x', 1), QueueTest, os.getpid, b'x' * (3 << 20)]
        for value in values:
            q.put(value)
        for value in values:
            got = q.get()
            self.assertEqual((type(got), repr(got)[:500]), (type(value), repr(value)[:500]))
        for text in 'uint32 5', '("x", <[1, 2]>)', '()', '@ay []', 'b"bytes"':
            variant = GLib.Variant.parse(None, text, None, None)
            q.put(variant)
            self.assertTrue(q.get().equal(variant))

    def test_signals(self):
        items = [{'a': [1]}, b'bytes', bytearray(b'x'), None, 'text', GLib.Variant('(is)', (3, 'x'))]
        for q in Mp.Queue(), Mp.SimpleQueue(), Mp.JoinableQueue():
            loop, seen, after = GLib.MainLoop(), [], []

            def take(_queue, value, _tag, data):
                seen.append((value, data))

            def take_after(_queue, value, _tag):
                after.append(value)
                if len(after) == len(items):
                    loop.quit()

            q.connect('item', take, 'data')
            q.connect_after('item', take_after)
            ended = q.connect('closed', lambda _queue, error: loop.quit())
            run_in_process(put_all, q, items)
            q.start()
            timer = GLib.timeout_add_seconds(int(TIMEOUT), loop.quit)
            loop.run()
            q.stop()
            GLib.source_remove(timer)
            self.assertEqual(seen[:-1], [(item, 'data') for item in items[:-1]])
            self.assertEqual(after[:-1], items[:-1])
            self.assertEqual(after[-1].unpack(), (3, 'x'))
            q.disconnect(ended)
            q.disconnect_by_func(take)
            with self.assertRaises(TypeError):
                q.disconnect_by_func(take)
            with self.assertRaises(TypeError):
                q.connect('item', None)

    def test_unpicklable(self):
        """Here it is the put() that fails, and the queue is as it was."""
        q = Mp.Queue(1)
        with self.assertRaises((pickle.PicklingError, AttributeError)):
            q.put(lambda: None)
        with self.assertRaisesRegex(TypeError, 'can only travel|cannot hold objects'):
            q.put(Mp.Lock())
        with self.assertRaisesRegex(TypeError, 'can only travel|cannot hold objects'):
            q.put([q])
        self.assertIs(q.empty(), True)
        q.put(1)
        self.assertEqual(q.get(), 1)

    def test_bytes_bound(self):
        q = Mp.Queue(max_bytes=1000)
        with self.assertRaises(ValueError):
            q.put(b'x' * 1001)
        Mp.Queue(max_bytes=1 << 70).put(b'x' * 1001)
        q.put(b'x' * 500)
        with self.assertRaises(queue.Full):
            q.put_nowait(b'x' * 501)
        # Bytes are as many as they are; anything else is as large as its pickle.
        q.put_nowait(b'x' * 500)
        with self.assertRaises(queue.Full):
            q.put_nowait(0)
        self.assertEqual(len(q.get()), 500)
        with self.assertRaises(queue.Full):
            q.put_nowait('x' * 500)
        q.put(b'y' * 500)
        self.assertEqual([len(q.get()), q.get()], [500, b'y' * 500])

    def test_order_and_processes(self):
        for context in BOTH:
            with self.subTest(context):
                source, sink = context.Queue(3), context.Queue()
                workers = [context.Process(target=square_all, args=(source, sink)) for _ in range(3)]
                for worker in workers:
                    worker.start()
                put_all(source, [*range(200), None, None, None])
                squares = sorted(sink.get() for _ in range(200))
                self.assertEqual(squares, [(n, n * n) for n in range(200)])
                for worker in workers:
                    worker.join()
                self.assertEqual([worker.exitcode for worker in workers], [0, 0, 0])

    def test_travels(self):
        q = Mp.Queue(5)
        q.put('here')
        with Mp.Pool(1) as pool:
            same = pool.apply(give_back, ([q],))[0]
            self.assertIs(type(same), Mp.Queue)
            self.assertEqual(same.get(), 'here')
            pool.apply(put_all, (q, [1, 2]))
            self.assertEqual(pool.apply(get_some, (q, 1)), [1])
        self.assertEqual(q.get(), 2)

    def test_put_and_killed(self):
        """What put() has put is there, whoever dies then."""
        q = Mp.Queue()
        self.assertEqual(run_in_process(put_and_die, q, ['a', b'b' * 100000, 3]), -signal.SIGKILL)
        self.assertEqual(get_some(q, 3), ['a', b'b' * 100000, 3])

    def test_end(self):
        """When nobody is left who could put something that is said."""
        q = Mp.Queue()
        process, _pid, ours = start(put_and_wait, q)
        self.assertEqual(q.get(), 'mine')
        with self.assertRaises(queue.Empty):
            q.get_nowait()
        threading.Timer(0.05, process.kill).start()
        with self.assertRaises(EOFError):
            q.get()
        process.join()
        # As multiprocessing says it to one who does not wait.
        for get in q.get_nowait, lambda: q.get(timeout=60):
            with self.assertRaises(queue.Empty) as caught:
                get()
            self.assertIsInstance(caught.exception, Mp.EndOfQueueError)
        q.put('again')
        self.assertEqual(q.get(), 'again')

    def test_getter_killed(self):
        q = Mp.Queue()
        getters = [start(get_into, q) for _ in range(2)]
        os.kill(getters[0][1], signal.SIGKILL)
        getters[0][0].join()
        put_all(q, range(3))
        self.assertEqual([getters[1][2].recv(timeout=TIMEOUT) for _ in range(3)], [0, 1, 2])
        getters[1][0].kill()
        getters[1][0].join()

    def test_threads(self):
        q = Mp.Queue(2)
        got = []
        threads = [threading.Thread(target=lambda: got.extend(get_some(q, 50))) for _ in range(4)]
        for thread in threads:
            thread.start()
        put_all(q, range(200))
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual(sorted(got), list(range(200)))

    def test_interrupted(self):
        class Ring(Exception):
            pass

        def ring(_number, _frame):
            raise Ring

        old = signal.signal(signal.SIGUSR1, ring)
        try:
            for call in (Mp.Queue().get, lambda: full.put(2)):
                full = Mp.Queue(1)
                full.put(1)
                timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
                timer.start()
                with self.assertRaises(Ring):
                    call()
                timer.join()
        finally:
            signal.signal(signal.SIGUSR1, old)

    def test_fork(self):
        """A forked copy is a process of its own: what it closes is open here."""
        q = Mp.Queue()
        pid = os.fork()
        if pid == 0:
            try:
                q.put('from the child')
                q.close()
            finally:
                os._exit(0)
        self.assertEqual(q.get(timeout=TIMEOUT), 'from the child')
        os.waitpid(pid, 0)
        q.put(1)
        self.assertEqual(q.get(), 1)

    def run_in_fork(self, function):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                function()
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_fork_after_wait(self):
        """The descriptor that signals were told by in the parent is another one's in the child."""
        q = Mp.Queue()
        with self.assertRaises(queue.Empty):
            q.get(timeout=0.001)

        def child():
            for _ in range(32):
                os.open('/dev/zero', os.O_RDONLY)
            with self.assertRaises(queue.Empty):
                q.get(False)

        self.run_in_fork(child)

    def test_fork_after_keep(self):
        """What was got for a call that a signal ended is not had twice."""
        q = Mp.Queue()
        q.put('once')
        q._keep(Mp.Queue.get_tagged(q, 0, None))

        def child():
            self.assertTrue(q.empty())
            self.assertEqual(q.qsize(), 0)

        self.run_in_fork(child)
        self.assertEqual(q.get(False), 'once')

    def test_other_languages(self):
        """What has no pickle in it is what it is."""
        q = Mp.Queue()
        blob = Mp.blob_new('js', '[1]', None, None)
        q.put(blob)
        got = q.get()
        self.assertTrue(got.equal(blob))


class SimpleQueueTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                q = context.SimpleQueue()
                self.assertIs(q.empty(), True)
                self.assertIsNone(q.put([1]))
                self.assertIsNone(q.put(None))
                self.assertIs(q.empty(), False)
                self.assertEqual((q.get(), q.get()), ([1], None))
                with self.assertRaises(Exception):
                    q.put(lambda: None)
                self.assertIs(q.empty(), True)
                self.assertIsNone(q.close())
                with self.assertRaisesRegex(OSError, 'handle is closed'):
                    q.put(1)
                with self.assertRaisesRegex(OSError, 'handle is closed'):
                    q.get()
                with self.assertRaisesRegex(OSError, 'is closed'):
                    q.empty()

    def test_processes(self):
        q = Mp.SimpleQueue()
        self.assertEqual(run_in_process(put_all, q, range(5)), 0)
        with Mp.Pool(1) as pool:
            self.assertIs(type(pool.apply(give_back, (q,))), Mp.SimpleQueue)
            self.assertEqual(pool.apply(get_some, (q, 2)), [0, 1])
        self.assertEqual(get_some(q, 3), [2, 3, 4])


class JoinableQueueTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                q = context.JoinableQueue(3)
                self.assertIsNone(q.join())
                with self.assertRaisesRegex(ValueError, r'task_done\(\) called too many times'):
                    q.task_done()
                put_all(q, range(3))
                with self.assertRaises(queue.Full):
                    q.put_nowait(3)
                self.assertEqual(get_some(q, 3), [0, 1, 2])
                for _ in range(3):
                    self.assertIsNone(q.task_done())
                self.assertIsNone(q.join())
                with self.assertRaises(ValueError):
                    q.task_done()

    def test_processes(self):
        for context in BOTH:
            with self.subTest(context):
                q = context.JoinableQueue()
                workers = [context.Process(target=work_off, args=(q,)) for _ in range(2)]
                for worker in workers:
                    worker.start()
                put_all(q, range(100))
                q.join()
                put_all(q, [None, None])
                q.join()
                for worker in workers:
                    worker.join()
                self.assertIs(q.empty(), True)

    def test_join_in_time(self):
        q = Mp.JoinableQueue()
        q.put(1)
        for timeout in (0, 0.01):
            with self.assertRaises(Mp.TimeoutError):
                q.join(timeout=timeout)
        self.assertEqual(q.unfinished, 1)
        q.get()
        threading.Timer(0.02, q.task_done).start()
        q.join()

    def test_only_what_one_has_got(self):
        q = Mp.JoinableQueue()
        put_all(q, 'ab')
        q.get()
        with Mp.Pool(1) as pool:
            with self.assertRaises(ValueError):
                pool.apply(Mp.JoinableQueue.task_done, (q,))
        q.task_done()
        with self.assertRaises(ValueError):
            q.task_done()

    def test_abandoned(self):
        q = Mp.JoinableQueue()
        put_all(q, 'abcd')
        process, got, _ours = start(get_and_wait, q, 2)
        self.assertEqual((got, q.abandoned), (['a', 'b'], 0))
        timer = threading.Timer(0.05, process.kill)
        timer.start()
        with self.assertRaises(Mp.WorkerDiedError):
            q.join()
        timer.join()
        self.assertEqual((q.abandoned, q.unfinished, q.qsize()), (2, 4, 2))
        self.assertEqual(q.put_back_abandoned(), 2)
        self.assertEqual((q.abandoned, q.unfinished, q.qsize()), (0, 4, 4))
        self.assertEqual(get_some(q, 4), list('abcd'))
        for n in range(3, -1, -1):
            q.task_done()
            self.assertEqual(q.unfinished, n)
        q.join()
        self.assertEqual(q.put_back_abandoned(), 0)

    def test_given_up(self):
        q = Mp.JoinableQueue()
        put_all(q, 'abc')
        process, _got, _ours = start(get_and_wait, q, 2)
        process.kill()
        process.join()
        self.assertEqual((q.give_up_abandoned(), q.unfinished), (2, 1))
        self.assertEqual(q.get(), 'c')
        q.task_done()
        q.join()

    def test_travels(self):
        q = Mp.JoinableQueue()
        with Mp.Pool(1) as pool:
            same = pool.apply(give_back, (q,))
        self.assertIs(type(same), Mp.JoinableQueue)
        self.assertIsInstance(q, Mp.Queue)


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_await(self):
        q = Mp.Queue(1)

        async def produce():
            for i in range(100):
                await q.put_async(i)

        async def consume():
            return [await q.get_async() for _ in range(100)]

        _nothing, got = await asyncio.wait_for(asyncio.gather(produce(), consume()), TIMEOUT)
        self.assertEqual(got, list(range(100)))

    async def test_iterate(self):
        q = Mp.Queue()
        process = Mp.Process(target=put_all, args=(q, [1, None, GLib.Variant('s', 'x'), 'end']))
        process.start()

        async def read():
            return [item async for item in q]

        got = await asyncio.wait_for(read(), TIMEOUT)
        self.assertEqual(got[:2] + got[3:], [1, None, 'end'])
        self.assertEqual(got[2].get_string(), 'x')
        process.join()

    async def test_cancelled(self):
        """Of those that are cancelled none takes anything with it."""
        q = Mp.Queue()
        for i in range(50):
            task = asyncio.ensure_future(q.get_async())
            await asyncio.sleep(0)
            if i % 2:
                q.put(i)
            task.cancel()
            try:
                got = await task
            except asyncio.CancelledError:
                got = None
            if i % 2 and got is None:
                got = q.get(timeout=TIMEOUT)
            self.assertEqual(got, i if i % 2 else None)
        self.assertIs(q.empty(), True)

    async def test_join(self):
        q = Mp.JoinableQueue()
        put_all(q, range(3))
        joined = asyncio.ensure_future(q.join_async())
        for _ in range(3):
            await q.get_async()
            self.assertIs(joined.done(), False)
            q.task_done()
        await asyncio.wait_for(joined, TIMEOUT)

    async def test_join_abandoned(self):
        q = Mp.JoinableQueue()
        q.put(1)
        process, _got, _ours = await asyncio.get_running_loop().run_in_executor(None, start, get_and_wait, q, 1)
        process.kill()
        process.join()
        with self.assertRaises(Mp.WorkerDiedError):
            await asyncio.wait_for(q.join_async(), TIMEOUT)


if __name__ == '__main__':
    support.main()
