#!/usr/bin/env python3
# test_barrier.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Barrier: what multiprocessing's does, and what it does when somebody dies."""

import asyncio
import multiprocessing
import os
import pickle
import signal
import threading
import time
import unittest

from gi.repository import Mp

import support
from support import Script, TIMEOUT

BOTH = (Mp.get_context('forkserver'), multiprocessing.get_context('fork'))
SOON = 20   # instead of a fraction of a second, on a machine that has other things to do


def pass_it(barrier, connection=None):
    """Passes, and says so; then ends in order."""
    index = barrier.wait(TIMEOUT)
    if connection is not None:
        connection.send(index)
    return index


def look(barrier, connection):
    """Tells how a wait ended, and stays."""
    connection.send(os.getpid())
    try:
        connection.send(barrier.wait())
    except threading.BrokenBarrierError:
        connection.send('broken')
    connection.recv()


def have_it(barrier, connection):
    connection.send(os.getpid())
    connection.recv()


def raise_it(barrier):
    raise LookupError('in it')


def give_back(value):
    return value


def describe(barrier):
    return barrier._action, barrier._timeout, barrier.parties


def count_action():
    COUNTED.append(os.getpid())


COUNTED = []


def start(target, what):
    """A process that has told its pid, and its connection."""
    ours, theirs = Mp.Pipe()
    process = Mp.Process(target=target, args=(what, theirs), daemon=True)
    process.start()
    return process, ours, ours.recv(timeout=TIMEOUT)


def wait_in_threads(barrier, n, timeout=None):
    """What each of n threads found."""
    found = []

    def run():
        try:
            found.append(barrier.wait(timeout))
        except threading.BrokenBarrierError:
            found.append('broken')

    threads = [threading.Thread(target=run) for _ in range(n)]
    for thread in threads:
        thread.start()
    return found, threads


class BarrierTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                actions = []
                barrier = context.Barrier(3, action=lambda: actions.append(1))
                self.assertEqual((barrier.parties, barrier.n_waiting, barrier.broken), (3, 0, False))
                for n_rounds in range(1, 4):
                    found, threads = wait_in_threads(barrier, 2)
                    support.wait_until(lambda: barrier.n_waiting == 2, 'the others')
                    found.append(barrier.wait())
                    for thread in threads:
                        thread.join()
                    self.assertEqual((sorted(found), len(actions)), ([0, 1, 2], n_rounds))

                found, threads = wait_in_threads(barrier, 1)
                support.wait_until(lambda: barrier.n_waiting == 1, 'the other')
                self.assertIsNone(barrier.reset())
                threads[0].join()
                self.assertEqual((found, barrier.broken), (['broken'], False))

                found, threads = wait_in_threads(barrier, 1)
                support.wait_until(lambda: barrier.n_waiting == 1, 'the other')
                self.assertIsNone(barrier.abort())
                threads[0].join()
                self.assertEqual((found, barrier.broken), (['broken'], True))
                with self.assertRaises(threading.BrokenBarrierError):
                    barrier.wait()
                barrier.reset()
                self.assertIs(barrier.broken, False)

                for timeout in 0, -1, 0.01:
                    with self.assertRaises(threading.BrokenBarrierError):
                        barrier.wait(timeout)
                    self.assertIs(barrier.broken, True)
                    barrier.reset()
                with self.assertRaises(threading.BrokenBarrierError):
                    context.Barrier(2, timeout=0.01).wait()
                self.assertEqual(context.Barrier(1, None, 5).wait(timeout=3), 0)

    def test_action_fails(self):
        for context in BOTH:
            with self.subTest(context):
                barrier = context.Barrier(2, lambda: {}['missing'])
                found, threads = wait_in_threads(barrier, 1)
                support.wait_until(lambda: barrier.n_waiting == 1, 'the other')
                with self.assertRaises(KeyError):
                    barrier.wait()
                threads[0].join()
                self.assertEqual((found, barrier.broken), (['broken'], True))

    def test_bad_input(self):
        for parties, exc in (0, ValueError), (-1, ValueError), (16384, ValueError), ('x', TypeError), (1.5, TypeError):
            with self.assertRaises(exc):
                Mp.Barrier(parties)
        self.assertEqual(Mp.Barrier(16383).parties, 16383)
        for timeout in 'x', []:
            with self.assertRaises(TypeError):
                Mp.Barrier(1, timeout=timeout)
            with self.assertRaises(TypeError):
                Mp.Barrier(1).wait(timeout)
        with self.assertRaises(TypeError):
            Mp.Barrier(1, 5)
        self.assertEqual(Mp.Barrier(1).wait(1e9), 0)
        with self.assertRaisesRegex(TypeError, 'Barrier objects can only travel'):
            pickle.dumps(Mp.Barrier(1))
        self.assertRegex(repr(Mp.Barrier(2)), '<Barrier at 0x[0-9a-f]+: waiters=0/2>')

    def test_processes(self):
        barrier = Mp.Barrier(3)
        for _ in range(3):
            ours, theirs = Mp.Pipe()
            processes = [Mp.Process(target=pass_it, args=(barrier, theirs)) for _ in range(2)]
            for process in processes:
                process.start()
            found = [barrier.wait(TIMEOUT)] + [ours.recv(timeout=TIMEOUT) for _ in range(2)]
            self.assertEqual(sorted(found), [0, 1, 2])
            for process in processes:
                process.join()
                self.assertEqual(process.exitcode, 0)
        self.assertIs(barrier.broken, False)

    def test_travel(self):
        with Mp.Pool(1) as pool:
            self.assertIs(type(pool.apply(give_back, (Mp.Barrier(2),))), Mp.Barrier)
            self.assertEqual(pool.apply(describe, (Mp.Barrier(2),)), (None, None, 2))
            self.assertEqual(pool.apply(describe, (Mp.Barrier(2, count_action, 5),)), (count_action, 5, 2))
            barrier = Mp.Barrier(2, count_action)
            waiting = pool.apply_async(pass_it, (barrier,))
            support.wait_until(lambda: barrier.n_waiting == 1, 'the worker')
            self.assertEqual((barrier.wait(TIMEOUT), waiting.get(TIMEOUT)), (1, 0))
            self.assertEqual(COUNTED, [os.getpid()])
        self.assertIs(Mp.Barrier(2, isolated=True).isolated, True)

    def test_killed(self):
        barrier = Mp.Barrier(3)
        waiting = [start(look, barrier) for _ in range(2)]
        support.wait_until(lambda: barrier.n_waiting == 2, 'both')
        os.kill(waiting[0][2], signal.SIGKILL)
        self.assertEqual(waiting[1][1].recv(timeout=SOON), 'broken')
        self.assertIs(barrier.broken, True)
        waiting[1][1].send(None)
        for process, _ours, _pid in waiting:
            process.join()

    def test_killed_and_nobody_waits(self):
        barrier = Mp.Barrier(2)
        process, _ours, pid = start(have_it, barrier)
        os.kill(pid, signal.SIGKILL)
        support.wait_until(lambda: barrier.broken, 'that it is broken')
        process.join()

    def test_killed_before(self):
        barrier = Mp.Barrier(3)
        process, _ours, pid = start(have_it, barrier)
        waiting = start(look, barrier)
        os.kill(pid, signal.SIGKILL)
        with self.assertRaises(threading.BrokenBarrierError):
            barrier.wait(SOON)
        self.assertEqual(waiting[1].recv(timeout=SOON), 'broken')
        waiting[1].send(None)
        process.join()

    def test_an_exception_breaks_it(self):
        barrier = Mp.Barrier(2)
        script = Script('''
            import threading
            from gi.repository import Mp

            def raise_it(barrier):
                raise LookupError('in it')

            if __name__ == '__main__':
                barrier = Mp.Barrier(2)
                process = Mp.Process(target=raise_it, args=(barrier,))
                process.start()
                try:
                    barrier.wait(%d)
                except threading.BrokenBarrierError as exc:
                    print(exc)
                process.join()
            ''' % SOON)
        process = script.start()
        output, error = process.communicate(timeout=TIMEOUT)
        self.assertEqual((output, process.returncode), ('barrier wait: broken: a process that had it has ended\n', 0))
        self.assertIn('LookupError: in it', error)
        self.assertIs(barrier.broken, False)

    def test_too_few(self):
        script = Script('''
            import threading
            from gi.repository import Mp
            try:
                Mp.Barrier(2).wait()
            except threading.BrokenBarrierError as exc:
                print(exc)
            ''')
        self.assertEqual(script.start().communicate(timeout=TIMEOUT),
                         ('barrier wait: broken: all who have it wait, and are too few\n', ''))

    def test_remote_error(self):
        barrier = Mp.Barrier(2)
        barrier.abort()
        with Mp.Pool(1) as pool, self.assertRaises(threading.BrokenBarrierError):
            pool.apply(pass_it, (barrier,))


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_wait(self):
        barrier = Mp.Barrier(5)
        for _ in range(3):
            found = await asyncio.wait_for(asyncio.gather(*(barrier.wait_async() for _ in range(5))), TIMEOUT)
            self.assertEqual(sorted(found), [0, 1, 2, 3, 4])

    async def test_with_a_process(self):
        barrier = Mp.Barrier(2)
        process, ours, _pid = start(look, barrier)
        found = await asyncio.wait_for(barrier.wait_async(), TIMEOUT)
        self.assertEqual(found + ours.recv(timeout=TIMEOUT), 1)
        ours.send(None)
        process.join()

    async def test_cancelled(self):
        barrier = Mp.Barrier(3)
        other = asyncio.ensure_future(barrier.wait_async())
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(barrier.wait_async(), 0.02)
        with self.assertRaises(threading.BrokenBarrierError):
            await other
        self.assertIs(barrier.broken, True)

    async def test_action(self):
        actions = []
        barrier = Mp.Barrier(2, lambda: actions.append(threading.get_ident()))
        await asyncio.gather(barrier.wait_async(), barrier.wait_async())
        self.assertEqual(actions, [threading.get_ident()])
        barrier = Mp.Barrier(2, lambda: {}['missing'])
        found = await asyncio.gather(barrier.wait_async(), barrier.wait_async(), return_exceptions=True)
        self.assertEqual([type(exc) for exc in found], [threading.BrokenBarrierError, KeyError])

    async def test_killed(self):
        barrier = Mp.Barrier(3)
        process, _ours, pid = start(look, barrier)
        waiting = asyncio.ensure_future(barrier.wait_async())
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        with self.assertRaises(threading.BrokenBarrierError):
            await asyncio.wait_for(waiting, SOON)
        process.join()


class InterruptTest(unittest.TestCase):
    def test_ctrl_c(self):
        for timeout in '', '1000':
            with self.subTest(timeout):
                script = Script('''
                    from gi.repository import Mp
                    import threading
                    barrier = Mp.Barrier(2)
                    event = threading.Event()
                    def stand_by():   # one that could come
                        while barrier.n_waiting == 0:
                            event.wait(0.001)
                        print('waiting', flush=True)
                        event.wait()
                    thread = threading.Thread(target=stand_by)
                    thread.start()
                    try:
                        barrier.wait(%s)
                    except KeyboardInterrupt:
                        print('interrupted', barrier.broken, barrier.n_waiting)
                    barrier.reset()
                    event.set()
                    ''' % timeout)
                process = script.start()
                self.assertEqual(process.stdout.readline(), 'waiting\n')
                before = time.monotonic()
                process.send_signal(signal.SIGINT)
                output, error = process.communicate(timeout=TIMEOUT)
                self.assertLess(time.monotonic() - before, 5)
                self.assertEqual((output, error, process.returncode), ('interrupted True 0\n', '', 0))

    def test_handler_that_returns(self):
        seen = []
        barrier = Mp.Barrier(2)
        old = signal.signal(signal.SIGUSR1, lambda *_args: seen.append(barrier.n_waiting))
        try:
            def disturb():
                for n_seen in range(3):
                    support.wait_until(lambda: barrier.n_waiting == 1, 'the main thread')
                    os.kill(os.getpid(), signal.SIGUSR1)
                    support.wait_until(lambda: len(seen) > n_seen, 'the handler')
                found.append(barrier.wait())

            found = []
            thread = threading.Thread(target=disturb)
            thread.start()
            self.assertEqual(barrier.wait(TIMEOUT), 0)
            thread.join()
            self.assertEqual((found, seen), ([1], [1, 1, 1]))
        finally:
            signal.signal(signal.SIGUSR1, old)


if __name__ == '__main__':
    support.main()
