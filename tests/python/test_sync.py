#!/usr/bin/env python3
# test_sync.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Semaphore, BoundedSemaphore, RLock and Event: what multiprocessing's do, and what they do when somebody dies."""

import asyncio
import errno
import multiprocessing
import os
import pickle
import re
import signal
import threading
import time
import unittest

from gi.repository import Mp

import support
from support import Script, TIMEOUT

BOTH = (Mp.get_context('forkserver'), multiprocessing.get_context('fork'))


def values(semaphores):
    return [semaphore.get_value() for semaphore in semaphores]


def describe(rlock):
    return repr(rlock), rlock.locked(), rlock.acquire(False)


def try_to_release(rlock):
    try:
        rlock.release()
    except AssertionError as exc:
        return str(exc)
    return None


def hold(what, connection):
    """Keeps it until it is killed."""
    what.acquire()
    what.acquire()
    connection.send(os.getpid())
    connection.recv()


def hold_inside(what, connection):
    with what:
        connection.send(os.getpid())
        connection.recv()


def wait_for(event, connection):
    connection.send(os.getpid())
    connection.send(event.wait(TIMEOUT))


def set_it(event):
    event.set()


def give_back(value):
    return value


def start(target, what):
    """A process that has told its pid, and its connection."""
    ours, theirs = Mp.Pipe()
    process = Mp.Process(target=target, args=(what, theirs), daemon=True)
    process.start()
    return process, ours, ours.recv(timeout=TIMEOUT)


class SemaphoreTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                semaphore = context.Semaphore(2)
                self.assertEqual((semaphore.get_value(), repr(semaphore)), (2, '<Semaphore(value=2)>'))
                self.assertIs(semaphore.acquire(), True)
                with semaphore as entered:
                    self.assertIs(entered, True)
                    self.assertIs(semaphore.acquire(False), False)
                    self.assertIs(semaphore.acquire(block=False, timeout=1000), False)
                    for timeout in (0, -1, -1e9, 0.0, 1e-9, 0.01):
                        self.assertIs(semaphore.acquire(True, timeout), False)
                self.assertIsNone(semaphore.release())
                self.assertIsNone(semaphore.release())
                self.assertEqual(semaphore.get_value(), 3)
                self.assertEqual(context.Semaphore().get_value(), 1)
                bounded = context.BoundedSemaphore(1)
                self.assertEqual(repr(bounded), '<BoundedSemaphore(value=1, maxvalue=1)>')
                self.assertIs(bounded.acquire(timeout=1), True)
                bounded.release()
                for full in (bounded, context.BoundedSemaphore(0), context.Semaphore(2**31 - 1)):
                    with self.assertRaises(ValueError) as caught:
                        full.release()
                    self.assertEqual(str(caught.exception), 'semaphore or lock released too many times')
                for value, exc in (-1, OSError), (2**31, OverflowError), ('x', TypeError), (1.5, TypeError):
                    for make in context.Semaphore, context.BoundedSemaphore:
                        with self.assertRaises(exc):
                            make(value)
        with self.assertRaisesRegex(OSError, 'semaphore creation: .* not -1') as caught:
            Mp.Semaphore(-1)
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_classes(self):
        self.assertIsInstance(Mp.BoundedSemaphore(), Mp.Semaphore)
        for cls in Mp.Semaphore, Mp.BoundedSemaphore:
            one, = Mp.Pool(1).apply(give_back, ([cls(3)],))
            self.assertEqual((type(one), one.get_value(), one.isolated), (cls, 3, False))
        self.assertIs(Mp.Semaphore(isolated=True).isolated, True)
        with self.assertRaisesRegex(TypeError, 'Semaphore objects can only travel'):
            pickle.dumps(Mp.Semaphore())

    def test_travel(self):
        semaphore, bounded = Mp.Semaphore(5), Mp.BoundedSemaphore(2)
        with Mp.Pool(1) as pool, semaphore, bounded:
            self.assertEqual(pool.apply(values, ([semaphore, bounded],)), [4, 1])

    def test_killed(self):
        semaphore = Mp.BoundedSemaphore(2)
        process, _ours, pid = start(hold, semaphore)
        self.assertIs(semaphore.acquire(False), False)
        os.kill(pid, signal.SIGKILL)
        self.assertIs(semaphore.acquire(timeout=TIMEOUT), True)
        self.assertIs(semaphore.acquire(timeout=TIMEOUT), True)
        self.assertIs(semaphore.acquire(False), False)
        process.join()

    def test_signal(self):
        semaphore = Mp.Semaphore(0)
        self.assertIs(semaphore.returns_units, True)
        semaphore.release()
        self.assertIs(semaphore.returns_units, False)
        self.assertIs(Mp.Semaphore(returns_units=False).returns_units, False)

    def test_signal_killed(self):
        semaphore = Mp.Semaphore(2, returns_units=False)
        process, _ours, _pid = start(hold, semaphore)
        process.kill()
        process.join()
        self.assertIs(semaphore.acquire(timeout=0.3), False)

    def test_threads(self):
        semaphore = Mp.Semaphore(0)
        taken = []
        threads = [threading.Thread(target=lambda: taken.append(semaphore.acquire())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n_taken in range(1, 4):
            semaphore.release()
            support.wait_until(lambda: len(taken) == n_taken, 'the thread that is next')
        for thread in threads:
            thread.join()
        self.assertEqual(semaphore.get_value(), 0)


class RLockTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                rlock = context.RLock()
                self.assertEqual(repr(rlock), '<RLock(None, 0)>')
                with rlock as entered:
                    self.assertIs(entered, True)
                    self.assertIs(rlock.acquire(False), True)
                    self.assertEqual(repr(rlock), '<RLock(MainProcess, 2)>')
                    seen = []
                    thread = threading.Thread(target=lambda: seen.extend(
                        [repr(rlock), rlock.acquire(False), rlock.acquire(timeout=0.01), try_to_release(rlock)]))
                    thread.start()
                    thread.join()
                    self.assertEqual(seen, ['<RLock(SomeOtherThread, nonzero)>', False, False,
                                            'attempt to release recursive lock not owned by thread'])
                    rlock.release()
                self.assertEqual(repr(rlock), '<RLock(None, 0)>')
                with self.assertRaises(AssertionError):
                    rlock.release()

    def test_travel(self):
        rlock = Mp.RLock()
        with Mp.Pool(1) as pool, rlock:
            self.assertEqual(pool.apply(describe, (rlock,)), ('<RLock(SomeOtherProcess, nonzero)>', True, False))
            self.assertEqual(pool.apply(try_to_release, (rlock,)),
                             'attempt to release recursive lock not owned by thread')
            self.assertIs(type(pool.apply(give_back, (rlock,))), Mp.RLock)

    def test_killed(self):
        rlock = Mp.RLock()
        process, _ours, pid = start(hold, rlock)
        self.assertIs(rlock.acquire(False), False)
        os.kill(pid, signal.SIGKILL)
        self.assertIs(rlock.acquire(timeout=TIMEOUT), True)
        self.assertIs(rlock.abandoned, True)
        rlock.mark_consistent()
        self.assertIs(rlock.abandoned, False)
        rlock.release()
        self.assertIs(rlock.locked(), False)
        process.join()


class TimeoutTest(unittest.TestCase):
    def test_wrong(self):
        condition = Mp.Condition()
        calls = [getattr(Mp, name)().acquire for name in ('Lock', 'RLock', 'Semaphore', 'BoundedSemaphore')]
        calls = [lambda timeout, acquire=acquire: acquire(timeout=timeout) for acquire in calls]
        with condition:
            for call in (*calls, Mp.Event().wait, condition.wait, Mp.Barrier(2).wait):
                for timeout, exc in (('x', TypeError), ([1], TypeError), (float('nan'), ValueError)):
                    with self.subTest(call=call, timeout=timeout), \
                            self.assertRaisesRegex(exc, 'timeout must be a number of seconds or None, not'):
                        call(timeout)


class EventTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            with self.subTest(context):
                event = context.Event()
                self.assertTrue(re.fullmatch('<Event at 0x[0-9a-f]+ unset>', repr(event)), repr(event))
                for timeout in (0, -1, 0.01):
                    self.assertIs(event.wait(timeout), False)
                    self.assertIs(event.wait(timeout=timeout), False)
                self.assertIsNone(event.set())
                self.assertIs(event.is_set(), True)
                self.assertIs(event.wait(), True)
                self.assertIs(event.wait(0), True)
                self.assertTrue(repr(event).endswith(' set>'))
                self.assertIsNone(event.clear())
                self.assertIs(event.is_set(), False)

    def test_processes(self):
        event = Mp.Event()
        waiting = [start(wait_for, event) for _ in range(3)]
        with Mp.Pool(1) as pool:
            pool.apply(set_it, (event,))
        for process, ours, _pid in waiting:
            self.assertIs(ours.recv(timeout=TIMEOUT), True)
            process.join()
        self.assertIs(event.is_set(), True)

    def test_one_that_waits_is_killed(self):
        event = Mp.Event()
        waiting = [start(wait_for, event) for _ in range(2)]
        os.kill(waiting[0][2], signal.SIGKILL)
        event.set()
        self.assertIs(waiting[1][1].recv(timeout=TIMEOUT), True)
        for process, _ours, _pid in waiting:
            process.join()


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_semaphore(self):
        semaphore = Mp.Semaphore(2)
        inside = most = 0

        async def use():
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.wait_for(asyncio.gather(*(use() for _ in range(20))), TIMEOUT)
        self.assertEqual((most, semaphore.get_value(), semaphore.returns_units), (2, 2, True))

    async def test_cancelled(self):
        semaphore = Mp.Semaphore(0)
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(semaphore.acquire_async(), 0.02)
        semaphore.release()
        self.assertIs(await semaphore.acquire_async(), True)

    async def test_cancelled_too_late(self):
        for dispatch in False, True:
            semaphore = Mp.Semaphore(0, returns_units=False)
            waiting = asyncio.ensure_future(semaphore.acquire_async())
            await asyncio.sleep(0)
            semaphore.release()
            support.wait_until(lambda: semaphore.get_value() == 0, 'the thread that acquires it for the task')
            if dispatch:
                Mp.loop_dispatch()
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
            support.wait_until(lambda: semaphore.get_value() == 1, 'that it is given back')

    async def test_semaphore_after_death(self):
        semaphore = Mp.Semaphore(2)
        process, _ours, pid = start(hold, semaphore)
        waiting = asyncio.ensure_future(semaphore.acquire_async())
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        self.assertIs(await asyncio.wait_for(waiting, TIMEOUT), True)
        process.join()

    async def test_rlock(self):
        rlock = Mp.RLock()
        process, ours, _pid = start(hold_inside, rlock)
        waiting = asyncio.ensure_future(rlock.acquire_async())
        await asyncio.sleep(0)
        self.assertFalse(waiting.done())
        ours.send(None)
        self.assertIs(await asyncio.wait_for(waiting, TIMEOUT), True)
        async with rlock:
            self.assertEqual(repr(rlock), '<RLock(MainProcess, 2)>')
        rlock.release()
        self.assertIs(rlock.locked(), False)
        process.join()

    async def test_event(self):
        event = Mp.Event()
        waiting = [asyncio.ensure_future(event.wait_async()) for _ in range(3)]
        await asyncio.sleep(0)
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(event.wait_async(), 0.02)
        self.assertFalse(any(task.done() for task in waiting))
        event.set()
        event.clear()
        self.assertEqual(await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT), [True] * 3)
        event.set()
        self.assertIs(await event.wait_async(), True)


class InterruptTest(unittest.TestCase):
    def test_ctrl_c(self):
        for make, wait in (('Mp.Semaphore(0)', 'acquire()'), ('Mp.Semaphore(0)', 'acquire(timeout=1000)'),
                           ('Mp.Event()', 'wait()'), ('Mp.Event()', 'wait(1000)')):
            with self.subTest(make + wait):
                script = Script('''
                    from gi.repository import Mp
                    what = %s
                    try:
                        print('waiting', flush=True)
                        what.%s
                    except KeyboardInterrupt:
                        print('interrupted')
                    ''' % (make, wait))
                process = script.start()
                self.assertEqual(process.stdout.readline(), 'waiting\n')
                before = time.monotonic()
                process.send_signal(signal.SIGINT)
                output, error = process.communicate(timeout=TIMEOUT)
                self.assertLess(time.monotonic() - before, 5)
                self.assertEqual((output, error, process.returncode), ('interrupted\n', '', 0))


if __name__ == '__main__':
    support.main()
