#!/usr/bin/env python3
# test_condition.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Condition: what multiprocessing's does, and what it does when somebody dies."""

import asyncio
import multiprocessing
import os
import pickle
import signal
import threading
import unittest

from gi.repository import Mp

import support
from support import Script, TIMEOUT

BOTH = (Mp.get_context('forkserver'), multiprocessing.get_context('fork'))


def wait_and_say(condition, connection):
    with condition:
        connection.send(os.getpid())
        result = condition.wait(TIMEOUT)
    connection.send(result)


def keep_lock(condition, connection):
    with condition:
        connection.send(os.getpid())
        connection.recv()


def notify(condition, n):
    with condition:
        condition.notify(n)


def notify_one(condition, connection):
    connection.send(os.getpid())
    with condition:
        condition.notify()


def describe(condition):
    return repr(condition), type(condition), type(condition._lock)


def try_all(condition):
    caught = []
    for call in condition.wait, condition.notify, condition.notify_all:
        try:
            call()
        except AssertionError as exc:
            caught.append(str(exc))
    return caught


def start(target, what):
    """A process that has told its pid, and its connection."""
    ours, theirs = Mp.Pipe()
    process = Mp.Process(target=target, args=(what, theirs), daemon=True)
    process.start()
    return process, ours, ours.recv(timeout=TIMEOUT)


def count_waiting(condition):
    return int(repr(condition).rpartition(' ')[2].rstrip(')>'))


def await_waiting(condition, n):
    support.wait_until(lambda: count_waiting(condition) == n, 'that so many wait')


class ConditionTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for context in BOTH:
            for make in lambda: None, context.Lock, context.RLock:
                with self.subTest(context=context, make=make):
                    condition = context.Condition(make())
                    self.assertEqual(try_all(condition), ['must acquire() condition before using wait()',
                                                          'lock is not owned', 'lock is not owned'])
                    with condition as entered:
                        self.assertIs(entered, True)
                        self.assertIsNone(condition.notify())
                        self.assertIsNone(condition.notify(5))
                        self.assertIsNone(condition.notify(n=0))
                        self.assertIsNone(condition.notify_all())
                        for timeout in (0, -1, 0.01):
                            self.assertIs(condition.wait(timeout), False)
                            self.assertIs(condition.wait(timeout=timeout), False)
                    self.assertIs(condition.acquire(), True)
                    self.assertIsNone(condition.release())
                    self.assertIs(condition.acquire(False), True)
                    condition.release()
                    with self.assertRaises(Exception):
                        condition.release()

    def test_repr(self):
        for context in BOTH:
            self.assertEqual(repr(context.Condition()), '<Condition(<RLock(None, 0)>, 0)>')
            condition = context.Condition(context.Lock())
            self.assertEqual(repr(condition), '<Condition(<Lock(owner=None)>, 0)>')
            with condition:
                self.assertEqual(repr(condition), '<Condition(<Lock(owner=MainProcess)>, 0)>')

    def test_wait_for(self):
        for context in BOTH:
            condition = context.Condition()
            results, asked = iter([0, '', 'so']), []

            def look():
                asked.append(True)
                return next(results)

            def notify_each():
                # Whoever looks has the lock until it waits.
                for n in 1, 2:
                    support.wait_until(lambda: len(asked) == n, 'a look')
                    notify(condition, 1)

            with condition:
                self.assertEqual(condition.wait_for(lambda: 'at once'), 'at once')
                self.assertEqual(condition.wait_for(lambda: 0, 0.01), 0)
                self.assertIs(condition.wait_for(lambda: None, -1), None)
                with self.assertRaises(ZeroDivisionError):
                    condition.wait_for(lambda: 1 / 0)
                thread = threading.Thread(target=notify_each)
                thread.start()
                self.assertEqual(condition.wait_for(look, TIMEOUT), 'so')
            thread.join()
            self.assertEqual(len(asked), 3)

    def test_lock(self):
        lock = Mp.Lock()
        condition = Mp.Condition(lock)
        with condition:
            self.assertIs(lock.acquire(False), False)
        with lock:
            condition.notify_all()
        for wrong in threading.Lock(), Mp.Semaphore(), 5:
            with self.assertRaises(TypeError):
                Mp.Condition(wrong)
        self.assertIs(Mp.Condition(isolated=True).isolated, True)
        with self.assertRaisesRegex(TypeError, 'Condition objects can only travel'):
            pickle.dumps(condition)
        for wrong in 'x', 1.5, None:
            with lock, self.assertRaises(TypeError):
                condition.notify(wrong)
        with lock, self.assertRaises((TypeError, ValueError)):
            condition.wait('soon')
        with lock:
            condition.notify(-5)
            condition.notify(2 ** 70)

    def test_travel(self):
        given = Mp.Condition(Mp.Lock())
        with Mp.Pool(1) as pool:
            self.assertEqual(pool.apply(describe, (Mp.Condition(),)),
                             ('<Condition(<RLock(None, 0)>, 0)>', Mp.Condition, Mp.RLock))
            with given:
                self.assertEqual(pool.apply(describe, (given,)),
                                 ('<Condition(<Lock(owner=SomeOtherProcess)>, 0)>', Mp.Condition, Mp.Lock))
                self.assertEqual(len(pool.apply(try_all, (given,))), 3)

    def test_processes(self):
        for condition in Mp.Condition(), Mp.Condition(Mp.Lock()):
            waiting = [start(wait_and_say, condition) for _ in range(3)]
            await_waiting(condition, 3)
            with Mp.Pool(1) as pool:
                pool.apply(notify, (condition, 1))
                await_waiting(condition, 2)
                pool.apply(notify, (condition, 2))
            for process, ours, _pid in waiting:
                self.assertIs(ours.recv(timeout=TIMEOUT), True)
                process.join()

    def test_threads(self):
        condition = Mp.Condition()
        n_items = 0
        taken = []

        def take():
            nonlocal n_items
            with condition:
                condition.wait_for(lambda: n_items > 0)
                n_items -= 1
                taken.append(threading.get_ident())

        threads = [threading.Thread(target=take) for _ in range(5)]
        for thread in threads:
            thread.start()
        for _ in threads:
            with condition:
                n_items += 1
                condition.notify()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual((len(taken), n_items), (5, 0))

    def test_one_that_waits_is_killed(self):
        condition = Mp.Condition()
        waiting = [start(wait_and_say, condition) for _ in range(2)]
        await_waiting(condition, 2)
        os.kill(waiting[0][2], signal.SIGKILL)
        self.assertIs(waiting[1][1].recv(timeout=TIMEOUT), True)
        for process, _ours, _pid in waiting:
            process.join()

    def test_owner_killed(self):
        condition = Mp.Condition()
        waiting, ours, _pid = start(wait_and_say, condition)
        await_waiting(condition, 1)
        owner, _theirs, pid = start(keep_lock, condition)
        os.kill(pid, signal.SIGKILL)
        self.assertIs(ours.recv(timeout=TIMEOUT), True)
        with condition:
            self.assertIs(condition._lock.abandoned, True)
        owner.join()
        waiting.join()


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_wait(self):
        condition = Mp.Condition(Mp.Lock())
        done = []

        async def wait(number):
            async with condition:
                self.assertIs(await condition.wait_async(), True)
                done.append(number)

        waiting = [asyncio.ensure_future(wait(i)) for i in range(3)]
        while count_waiting(condition) < 3:
            await asyncio.sleep(0)
        async with condition:
            condition.notify(1)
        await asyncio.wait_for(waiting[0], TIMEOUT)
        self.assertEqual(done, [0])
        async with condition:
            condition.notify_all()
        await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT)
        self.assertEqual(sorted(done), [0, 1, 2])
        self.assertIs(condition._lock.locked(), False)

    async def test_rlock(self):
        condition = Mp.Condition()
        async with condition, condition:
            process, _ours, _pid = start(notify_one, condition)
            self.assertIs(await asyncio.wait_for(condition.wait_async(), TIMEOUT), True)
            self.assertEqual(repr(condition), '<Condition(<RLock(MainProcess, 2)>, 0)>')
        process.join()

    async def test_wait_for(self):
        condition = Mp.Condition(Mp.Lock())
        number = 0

        async def wait():
            async with condition:
                return await condition.wait_for_async(lambda: number >= 3 and number)

        waiting = asyncio.ensure_future(wait())
        for _ in range(3):
            while count_waiting(condition) < 1:
                await asyncio.sleep(0)
            async with condition:
                number += 1
                condition.notify()
        self.assertEqual(await asyncio.wait_for(waiting, TIMEOUT), 3)

    async def test_not_owner(self):
        for condition in Mp.Condition(), Mp.Condition(Mp.Lock()):
            with self.assertRaises(AssertionError):
                await condition.wait_async()

    async def test_cancelled(self):
        condition = Mp.Condition(Mp.Lock())
        async with condition:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(condition.wait_async(), 0.02)
            self.assertIs(condition._lock.locked(), True)
            self.assertEqual(count_waiting(condition), 0)
        self.assertIs(condition._lock.locked(), False)

    async def test_cancelled_while_the_lock_is_held(self):
        condition = Mp.Condition(Mp.Lock())

        async def wait():
            async with condition:
                await condition.wait_async()

        waiting = asyncio.ensure_future(wait())
        while count_waiting(condition) < 1:
            await asyncio.sleep(0)
        async with condition:
            waiting.cancel()
            for _ in range(10):
                await asyncio.sleep(0.001)
                waiting.cancel()
            self.assertFalse(waiting.done())
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.assertIs(condition._lock.locked(), False)

    async def test_after_death(self):
        condition = Mp.Condition()
        process, _ours, pid = start(wait_and_say, condition)
        await_waiting(condition, 1)
        async with condition:
            waiting = asyncio.ensure_future(condition.wait_async())
            while count_waiting(condition) < 2:
                await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            self.assertIs(await asyncio.wait_for(waiting, TIMEOUT), True)
        process.join()


class InterruptTest(unittest.TestCase):
    def test_ctrl_c(self):
        for wait in 'wait()', 'wait(1000)', 'wait_for(lambda: False)':
            with self.subTest(wait):
                script = Script('''
                    from gi.repository import Mp
                    condition = Mp.Condition()
                    try:
                        with condition:
                            try:
                                print('waiting', flush=True)
                                condition.%s
                            finally:
                                print(repr(condition), flush=True)
                    except KeyboardInterrupt:
                        print('interrupted', repr(condition))
                    ''' % wait)
                process = script.start()
                self.assertEqual(process.stdout.readline(), 'waiting\n')
                process.send_signal(signal.SIGINT)
                output, error = process.communicate(timeout=TIMEOUT)
                self.assertEqual((output, error, process.returncode),
                                 ('<Condition(<RLock(MainProcess, 1)>, 0)>\n'
                                  'interrupted <Condition(<RLock(None, 0)>, 0)>\n', '', 0))


if __name__ == '__main__':
    support.main()
