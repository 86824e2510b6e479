#!/usr/bin/env python3
# test_wait.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for many objects at once: what multiprocessing.connection.wait does, and what it does not."""

import asyncio
import multiprocessing
import os
import select
import signal
import socket
import threading
import time
import unittest

from gi.repository import Mp

import support

T = support.TIMEOUT


def send_and_wait(connection, word):
    connection.send('hello')
    word.recv()


def put_and_end(items, number):
    items.put(number)


def wait_for_word(word):
    return word.recv()


class WaitTest(unittest.TestCase):
    def test_order_and_identity(self):
        pipes = [Mp.Pipe() for _ in range(4)]
        firsts = [first for first, _second in pipes]
        self.assertEqual(Mp.wait(firsts, timeout=0), [])
        self.assertEqual(Mp.connection.wait(firsts, 0.01), [])
        pipes[3][1].send(3)
        pipes[1][1].send(1)
        ready = Mp.wait(firsts)
        self.assertEqual(len(ready), 2)
        self.assertIs(ready[0], firsts[1])
        self.assertIs(ready[1], firsts[3])
        # Nothing was taken; and once for each time that it is there.
        self.assertEqual(Mp.wait(firsts + [firsts[1]], T), [firsts[1], firsts[3], firsts[1]])
        self.assertEqual(firsts[1].recv(), 1)
        self.assertEqual(Mp.wait(iter(firsts), T), [firsts[3]])

    def test_nothing(self):
        before = time.monotonic()
        self.assertEqual(Mp.wait([], 0.05), [])
        self.assertGreaterEqual(time.monotonic() - before, 0.05)
        self.assertEqual(Mp.wait([], 0), [])
        self.assertEqual(Mp.wait([], -1), [])

    def test_foreign_objects(self):
        first, second = Mp.Pipe()
        ours, theirs = multiprocessing.Pipe()
        one, other = socket.socketpair()
        r, w = os.pipe()
        self.addCleanup(os.close, r)
        self.addCleanup(os.close, w)
        with one, other, ours, theirs:
            everything = [r, first, one, ours]
            self.assertEqual(Mp.wait(everything, 0.01), [])
            theirs.send('x')
            self.assertEqual(Mp.wait(everything, T), [ours])
            other.send(b'x')
            second.send(1)
            os.write(w, b'x')
            self.assertEqual(Mp.wait(everything, T), everything)

    def test_end_of_stream(self):
        first, second = Mp.Pipe(duplex=False)
        self.assertEqual(Mp.wait([first], 0), [])
        second.close()
        self.assertEqual(Mp.wait([first], T), [first])
        with self.assertRaises(EOFError):
            first.recv()

    def test_sending_end(self):
        """As in multiprocessing: it is ready when nobody is left who could receive."""
        first, second = Mp.Pipe(duplex=False)
        self.assertEqual(Mp.wait([second], 0.01), [])
        first.close()
        self.assertEqual(Mp.wait([second], T), [second])

    def test_refused(self):
        first, _second = Mp.Pipe()
        first.close()
        with self.assertRaises(OSError):
            Mp.wait([first])
        for wrong in ('x', None, object(), 1.5, -1, 1 << 40):
            with self.assertRaises(ValueError, msg=repr(wrong)):
                Mp.wait([wrong])
        with self.assertRaises(TypeError):
            Mp.wait(None)
        with self.assertRaises(TypeError):
            Mp.wait([], 'x')
        with self.assertRaises(ValueError):
            Mp.wait([], float('nan'))
        with self.assertRaisesRegex(ValueError, 'has not been started'):
            Mp.wait([Mp.Process(target=print)], 0)
        r, w = os.pipe()
        os.close(r)
        os.close(w)
        with self.assertRaises(ValueError):
            Mp.wait([r], 0)

    def test_queues(self):
        for klass in (Mp.Queue, Mp.SimpleQueue, Mp.JoinableQueue):
            with self.subTest(klass=klass):
                items, others = klass(), klass()
                self.assertEqual(Mp.wait([items, others], 0.01), [])
                threading.Timer(0, others.put, ['x']).start()
                self.assertEqual(Mp.wait([items, others], T), [others])
                self.assertEqual(others.get(), 'x')

    def test_items_that_were_kept(self):
        """They are in this process, and can be got from the queue none the less."""
        items = Mp.Queue()
        first, _second = Mp.Pipe()
        items.put('x')

        # As when the handler of a signal leaves a call that has got one.
        items._keep(items.get_tagged(0, None))
        self.assertEqual(Mp.wait([first, items], T), [items])
        self.assertEqual(items.get_nowait(), 'x')
        self.assertEqual(Mp.wait([first, items], 0), [])

    def test_processes(self):
        words = [Mp.Pipe() for _ in range(2)]
        items = Mp.Queue()
        first, second = Mp.Pipe()
        waiting = [Mp.Process(target=send_and_wait, args=(second, there)) for _here, there in words]
        putting = Mp.Process(target=put_and_end, args=(items, 5))
        for process in waiting:
            process.start()
        try:
            self.assertEqual(Mp.wait(waiting + [first], T), [first])
            first.recv()
            first.recv()
            self.assertEqual(Mp.wait([*waiting, *(process.sentinel for process in waiting), first], 0), [])
            words[1][0].send('go')
            self.assertEqual(Mp.wait(waiting, T), [waiting[1]])
            self.assertEqual(waiting[1].exitcode, 0)
            # The sentinels are numbers of descriptors, as in multiprocessing.
            self.assertEqual(Mp.wait([process.sentinel for process in waiting], T), [waiting[1].sentinel])
            putting.start()
            self.assertEqual(Mp.wait([waiting[0], items], T), [items])
            self.assertEqual(items.get(), 5)
            waiting[0].kill()
            self.assertEqual(Mp.wait([waiting[0], first], T), [waiting[0]])
            self.assertEqual(waiting[0].exitcode, -signal.SIGKILL)
        finally:
            for process in waiting:
                process.kill()
                process.join()
            putting.join()

    def test_results(self):
        """Of a pool, together with a connection."""
        first, second = Mp.Pipe()
        word, other_word = Mp.Pipe()
        with Mp.Pool(1) as pool:
            result = pool.apply_async(wait_for_word, (other_word,))
            self.assertEqual(Mp.wait([first, result], 0.01), [])
            second.send(1)
            self.assertEqual(Mp.wait([first, result, result.future], T), [first])
            self.assertEqual(first.recv(), 1)
            word.send(2)
            self.assertEqual(Mp.wait([first, result, result.future], T), [result, result.future])
            self.assertEqual(result.get(), 2)
            self.assertEqual(Mp.connection.wait([result, first]), [result])
            self.assertEqual(Mp.wait([pool.map_async(abs, []), first], T)[0].get(), [])

    def test_listener(self):
        """The server of many clients, in one thread."""
        with Mp.Listener(authkey=b'key') as listener:
            def talk(number):
                with Mp.Client(listener.address, authkey=b'key') as client:
                    for i in range(5):
                        client.send([number, i])
                        self.assertEqual(client.recv(), [i, number])

            threads = [threading.Thread(target=talk, args=(number,)) for number in range(6)]
            for thread in threads:
                thread.start()
            connections, n_ended = [listener], 0
            while n_ended < len(threads):
                for ready in Mp.wait(connections, T):
                    if ready is listener:
                        connections.append(listener.accept())
                        continue
                    try:
                        ready.send(ready.recv()[::-1])
                    except EOFError:
                        connections.remove(ready)
                        n_ended += 1
            for thread in threads:
                thread.join()

    def test_interrupted(self):
        first, _second = Mp.Pipe()

        class Left(Exception):
            pass

        def leave(_number, _frame):
            raise Left

        previous = signal.signal(signal.SIGUSR1, leave)
        self.addCleanup(signal.signal, signal.SIGUSR1, previous)
        main = threading.main_thread().ident
        wchan = '/proc/self/wchan'

        def interrupt():
            def asleep():
                with open(wchan) as stream:
                    return 'poll' in stream.read()
            support.wait_until(asleep)
            signal.pthread_kill(main, signal.SIGUSR1)

        threading.Thread(target=interrupt).start()
        with self.assertRaises(Left):
            Mp.wait([first], T)

    def test_many(self):
        pipes = [Mp.Pipe() for _ in range(300)]
        firsts = [first for first, _second in pipes]
        self.assertEqual(Mp.wait(firsts, 0.01), [])
        for _first, second in pipes:
            second.send(1)
        self.assertEqual(Mp.wait(firsts, T), firsts)


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_ready(self):
        first, second = Mp.Pipe()
        items = Mp.Queue()
        task = asyncio.ensure_future(Mp.wait_async([items, first]))
        await asyncio.sleep(0)
        self.assertFalse(task.done())
        second.send(1)
        self.assertEqual(await task, [first])
        items.put(2)
        self.assertEqual(await Mp.connection.wait_async([items, first], T), [items, first])
        self.assertEqual(first.recv(), 1)
        self.assertEqual(items.get(), 2)
        self.assertEqual(await Mp.wait_async([items, first], 0.01), [])
        self.assertEqual(await Mp.wait_async([], 0.01), [])

    async def test_nested(self):
        """Descriptors of epoll sets within others: the system bears five, and the loop and what is below it are some."""
        for depth in range(1, 5):
            receiver, sender = os.pipe()
            self.addCleanup(os.close, receiver)
            self.addCleanup(os.close, sender)
            nested = [receiver]
            for _ in range(depth):
                poll = select.epoll()
                self.addCleanup(poll.close)
                poll.register(nested[-1], select.EPOLLIN)
                nested.append(poll)
            first, _second = Mp.Pipe()
            waiting = asyncio.ensure_future(Mp.wait_async([first, nested[-1]]))
            await asyncio.sleep(0)
            self.assertEqual(await Mp.wait_async([first, nested[-1]], 0), [])
            os.write(sender, b'x')
            self.assertEqual(await asyncio.wait_for(waiting, T), [nested[-1]])
            self.assertEqual(await Mp.wait_async([nested[-1], first]), [nested[-1]])

    async def test_result(self):
        first, _second = Mp.Pipe()
        word, other_word = Mp.Pipe()
        with Mp.Pool(1) as pool:
            result = pool.apply_async(wait_for_word, (other_word,))
            waiting = asyncio.ensure_future(Mp.wait_async([result, first]))
            await asyncio.sleep(0)
            word.send(3)
            self.assertEqual(await asyncio.wait_for(waiting, T), [result])
            self.assertEqual(await result, 3)

    async def test_cancelled(self):
        first, second = Mp.Pipe()
        task = asyncio.ensure_future(Mp.wait_async([first]))
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        second.send(1)
        self.assertEqual(await Mp.wait_async([first], T), [first])
        self.assertEqual(first.recv(), 1)

    async def test_listener(self):
        """Descriptors that hold descriptors, as deep as that goes."""
        with Mp.Listener() as listener:
            task = asyncio.ensure_future(Mp.wait_async([listener]))
            await asyncio.sleep(0)
            client = await asyncio.get_running_loop().run_in_executor(None, Mp.Client, listener.address)
            self.assertEqual(await task, [listener])
            accepted = listener.accept()
            client.send('x')
            self.assertEqual(await Mp.wait_async([accepted, accepted.fileno()], T), [accepted, accepted.fileno()])
            self.assertEqual(accepted.recv(), 'x')

    async def test_process(self):
        here, there = Mp.Pipe()
        first, second = Mp.Pipe()
        process = Mp.Process(target=send_and_wait, args=(second, there))
        process.start()
        try:
            self.assertEqual(await Mp.wait_async([process, first], T), [first])
            here.send('go')
            self.assertEqual(await Mp.wait_async([process], T), [process])
            self.assertEqual(process.exitcode, 0)
        finally:
            process.join()


if __name__ == '__main__':
    support.main()
