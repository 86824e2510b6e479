#!/usr/bin/env python3
# test_lock.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Lock: what multiprocessing's does, what it does when its owner dies, and awaiting it."""

import asyncio
import os
import pickle
import signal
import tempfile
import threading
import time
import types
import unittest
import unittest.mock

from gi.repository import Mp
from gi.overrides import _mp_call, _mp_lock

import support
from support import Script, TIMEOUT


def count(lock, path, times):
    """Adds to a number in a file, which two processes at a time would get wrong."""
    for _ in range(times):
        with lock:
            with open(path) as stream:
                number = int(stream.read())
            with open(path, 'w') as stream:
                stream.write(str(number + 1))


def state(lock):
    return lock.locked(), repr(lock)


def state_of_all(locks):
    return [lock.locked() for lock in locks]


def give_back(value):
    return value


def release(lock):
    lock.release()


def make_held():
    lock = Mp.Lock()
    lock.acquire()
    return {'lock': [lock]}


def use(lock):
    with lock:
        pass


given = None


def take(lock):
    global given
    given = lock


def state_of_given():
    return state(given)


def hold(lock, connection):
    """Keeps the lock until it is told to go on, or killed."""
    with lock:
        connection.send(os.getpid())
        connection.recv()


def try_at_once(lock, connection):
    connection.send((lock.acquire(False), lock.acquire(True, 0.01), state(lock)))


def await_lock(lock, connection, numbers):
    asyncio.run(_await_all(lock, connection, numbers))


async def _await_all(lock, connection, numbers):
    async def await_one(number):
        async with lock:
            connection.send(number)
            await asyncio.sleep(0)
            connection.send(number)

    tasks = [asyncio.ensure_future(await_one(number)) for number in numbers]
    await asyncio.sleep(0)
    connection.send(None)
    await asyncio.gather(*tasks)


class LockTest(unittest.TestCase):
    def test_states(self):
        lock = Mp.Lock()
        self.assertIs(lock.locked(), False)
        self.assertIs(lock.acquire(), True)
        self.assertIs(lock.locked(), True)
        self.assertIs(lock.acquire(False), False)
        self.assertIs(lock.acquire(block=False, timeout=1000), False)
        self.assertIsNone(lock.release())
        self.assertIs(lock.locked(), False)
        with lock as entered:
            self.assertIs(entered, True)
            self.assertTrue(lock.locked())
        self.assertFalse(lock.locked())
        with self.assertRaises(KeyError), lock:
            raise KeyError
        self.assertFalse(lock.locked())

    def test_timeouts(self):
        lock = Mp.Lock()
        lock.acquire()
        for timeout in (0, -1, -1e9, 0.0, 1e-9, 0.01):
            self.assertIs(lock.acquire(timeout=timeout), False)
            self.assertIs(lock.acquire(True, timeout), False)
        before = time.monotonic()
        self.assertFalse(lock.acquire(timeout=0.1))
        self.assertGreaterEqual(time.monotonic() - before, 0.1)
        lock.release()
        for timeout in (0, -1, 5, 1e15):
            self.assertTrue(lock.acquire(timeout=timeout))
            lock.release()

    def test_wrong_arguments(self):
        lock = Mp.Lock()
        for call in (lambda: lock.acquire(timeout='1'), lambda: lock.acquire(False, []), lambda: lock.acquire(1, 2, 3),
                     lambda: lock.release(1), lambda: Mp.Lock(1)):
            with self.assertRaises(TypeError):
                call()
        self.assertFalse(lock.locked())

    def test_release_unlocked(self):
        lock = Mp.Lock()
        for _ in range(2):
            with self.assertRaises(ValueError) as caught:
                lock.release()
            self.assertEqual(str(caught.exception), 'semaphore or lock released too many times')
        self.assertTrue(lock.acquire(False))

    def test_constructors(self):
        locks = [Mp.Lock(), Mp.Lock.new(), Mp.Lock(isolated=True), Mp.Lock.new_isolated(), Mp.get_context().Lock(),
                 Mp.get_context('spawn').Lock()]
        self.assertEqual([lock.isolated for lock in locks], [False, False, True, True, False, False])
        for lock in locks:
            self.assertIs(type(lock), Mp.Lock)
            with lock:
                self.assertEqual([other.locked() for other in locks], [other is lock for other in locks])

    def test_repr(self):
        lock = Mp.Lock()
        seen = []
        self.assertEqual(repr(lock), '<Lock(owner=None)>')
        lock.acquire()
        self.assertEqual(repr(lock), '<Lock(owner=MainProcess)>')
        thread = threading.Thread(target=lambda: seen.append(repr(lock)))
        thread.start()
        thread.join()
        lock.release()
        thread = threading.Thread(target=lambda: (lock.acquire(), seen.append(repr(lock))), name='second')
        thread.start()
        thread.join()
        self.assertEqual(seen, ['<Lock(owner=SomeOtherThread)>', '<Lock(owner=MainProcess|second)>'])
        lock.release()
        self.assertEqual(repr(lock), '<Lock(owner=None)>')

    def test_threads(self):
        lock = Mp.Lock()
        lock.acquire()
        taken = []
        threads = [threading.Thread(target=lambda: taken.append(lock.acquire())) for _ in range(5)]
        for thread in threads:
            thread.start()
        for n_taken in range(1, 6):
            lock.release()
            support.wait_until(lambda: len(taken) == n_taken, 'the thread that is next')
        for thread in threads:
            thread.join()
        self.assertTrue(lock.locked())


class TravelTest(unittest.TestCase):
    def test_only_where_it_can_travel(self):
        with self.assertRaisesRegex(TypeError, 'Lock objects can only travel'):
            pickle.dumps(Mp.Lock())

    def test_pool(self):
        lock = Mp.Lock()
        with Mp.Pool(2, take, (lock,)) as pool, lock:
            for locked, text in (pool.apply(state, (lock,)), *pool.map(state, [lock, lock]), pool.apply(state_of_given)):
                self.assertIs(locked, True)
                self.assertEqual(text, '<Lock(owner=SomeOtherProcess)>')
            self.assertEqual(pool.apply(state_of_all, ([lock, Mp.Lock()],)), [True, False])
            same = pool.apply(give_back, ({'lock': lock},))['lock']
            self.assertIs(type(same), Mp.Lock)
            same.release()
            self.assertIs(lock.locked(), False)
            lock.acquire()
            pool.apply(release, (lock,))
            self.assertIs(lock.locked(), False)
            self.assertEqual(repr(lock), '<Lock(owner=None)>')
            lock.acquire()

    def test_process_and_pipe(self):
        lock = Mp.Lock()
        first, second = Mp.Pipe()
        with lock:
            process = Mp.Process(target=try_at_once, args=(lock,), kwargs={'connection': second})
            process.start()
            self.assertEqual(first.recv(), (False, False, (True, '<Lock(owner=SomeOtherProcess)>')))
            process.join()
        first.send([lock])
        received, = second.recv()
        with received:
            self.assertTrue(lock.locked())

    def test_isolated(self):
        lock = Mp.Lock(isolated=True)
        with Mp.Pool(1) as pool, lock:
            self.assertEqual(pool.apply(state_of_all, ([lock],)), [True])

    def test_start_methods(self):
        script = Script('''
            import sys
            from gi.repository import Mp
            lock = Mp.Lock()
            def use(same):
                with same:
                    print(same, 'user' if lock.locked() else None, flush=True)
            if __name__ == '__main__':
                context = Mp.get_context(sys.argv[1])
                with lock:
                    process = context.Process(target=use, args=(lock,), name='user')
                    process.start()
                process.join()
                print(lock, process.exitcode)
            ''')
        # The main module of a process that is not a plain fork has made a lock of its own.
        for method, other in (('forkserver', 'None'), ('spawn', 'None'), ('fork', 'user')):
            with self.subTest(method):
                result = script.run(method)
                self.assertEqual(result.stdout, f'<Lock(owner=user)> {other}\n<Lock(owner=None)> 0\n', result.stderr)

    def test_counting(self):
        lock = Mp.Lock()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'number')
            with open(path, 'w') as stream:
                stream.write('0')
            processes = [Mp.Process(target=count, args=(lock, path, 200)) for _ in range(4)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            with open(path) as stream:
                self.assertEqual(stream.read(), '800')


class OwnerTest(unittest.TestCase):
    def setUp(self):
        self.lock = Mp.Lock()
        self.connection, self.theirs = Mp.Pipe()
        self.process = Mp.Process(target=hold, args=(self.lock, self.theirs), daemon=True)
        self.process.start()
        self.pid = self.connection.recv(timeout=TIMEOUT)

    def tearDown(self):
        self.process.kill()
        self.process.join()

    def test_killed(self):
        lock = self.lock
        self.assertEqual((lock.locked(), lock.abandoned, repr(lock)), (True, False, '<Lock(owner=SomeOtherProcess)>'))
        with self.assertRaisesRegex(RuntimeError, 'does not hold'):
            lock.mark_consistent()
        os.kill(self.pid, signal.SIGKILL)
        self.assertTrue(lock.acquire(timeout=TIMEOUT))
        self.assertIs(lock.abandoned, True)
        lock.release()
        with lock:
            self.assertIs(lock.abandoned, True)
            self.assertIsNone(lock.mark_consistent())
            self.assertIs(lock.abandoned, False)
        with lock:
            self.assertIs(lock.abandoned, False)

    def test_killed_while_others_wait(self):
        taken = []

        def wait():
            with self.lock:
                taken.append(self.lock.abandoned)

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        os.kill(self.pid, signal.SIGKILL)
        before = time.monotonic()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertLess(time.monotonic() - before, 5)
        self.assertEqual(taken, [True] * 3)

    def test_killed_while_awaited(self):
        async def use():
            async with self.lock:
                return self.lock.abandoned

        async def main():
            tasks = [asyncio.ensure_future(use()) for _ in range(3)]
            await asyncio.sleep(0)
            os.kill(self.pid, signal.SIGKILL)
            return await asyncio.wait_for(asyncio.gather(*tasks), TIMEOUT)

        self.assertEqual(asyncio.run(main()), [True] * 3)

    def test_stopped(self):
        os.kill(self.pid, signal.SIGSTOP)
        self.assertIs(self.lock.acquire(timeout=0.3), False)
        self.assertIs(self.lock.locked(), True)
        os.kill(self.pid, signal.SIGCONT)
        self.connection.send(None)
        self.assertTrue(self.lock.acquire(timeout=TIMEOUT))
        self.assertFalse(self.lock.abandoned)

    def test_released_by_another(self):
        self.lock.release()
        with self.lock:
            self.assertFalse(self.lock.abandoned)


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_order(self):
        lock = Mp.Lock()
        order = []

        async def use(number):
            async with lock as entered:
                self.assertIs(entered, True)
                order.append(number)
                await asyncio.sleep(0)
                order.append(number)

        self.assertIs(await lock.acquire_async(), True)
        tasks = [asyncio.ensure_future(use(number)) for number in range(20)]
        await asyncio.sleep(0)
        self.assertEqual((order, lock.locked()), ([], True))
        lock.release()
        await asyncio.gather(*tasks)
        self.assertEqual(order, sorted(2 * list(range(20))))
        self.assertFalse(lock.locked())

    async def test_other_tasks_go_on(self):
        lock = Mp.Lock()
        lock.acquire()
        waiting = asyncio.ensure_future(lock.acquire_async())
        for _ in range(10):
            await asyncio.sleep(0)
        self.assertFalse(waiting.done())
        lock.release()
        self.assertIs(await waiting, True)
        self.assertEqual(repr(lock), '<Lock(owner=MainProcess)>')

    async def test_cancelled(self):
        lock = Mp.Lock()
        lock.acquire()
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(lock.acquire_async(), 0.02)
        lock.release()
        self.assertFalse(lock.locked())
        async with lock:
            pass

    async def _acquire_late(self, dispatch):
        """A task that is cancelled when it has got the lock but does not know."""
        lock = Mp.Lock()
        lock.acquire()
        waiting = asyncio.ensure_future(lock.acquire_async())
        await asyncio.sleep(0)
        lock.release()
        support.wait_until(lock.locked, 'the thread that acquires it for the task')
        if dispatch:
            Mp.loop_dispatch()
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        support.wait_until(lambda: not lock.locked(), 'that it is given back')

    async def test_cancelled_too_late(self):
        await self._acquire_late(False)

    async def test_cancelled_far_too_late(self):
        await self._acquire_late(True)

    async def test_several_processes(self):
        lock = Mp.Lock()
        lock.acquire()
        pairs = [Mp.Pipe() for _ in range(3)]
        processes = [Mp.Process(target=await_lock, args=(lock, theirs, range(10 * i, 10 * i + 5)))
                     for i, (_ours, theirs) in enumerate(pairs)]
        for process in processes:
            process.start()
        for ours, _theirs in pairs:
            self.assertIsNone(await ours.recv_async())
        self.assertFalse(any(ours.poll() for ours, _theirs in pairs))
        lock.release()
        for i, (ours, _theirs) in enumerate(pairs):
            numbers = [await ours.recv_async() for _ in range(10)]
            self.assertEqual(numbers, sorted(2 * list(range(10 * i, 10 * i + 5))))
        for process in processes:
            process.join()
            self.assertEqual(process.exitcode, 0)
        self.assertFalse(lock.locked() or lock.abandoned)


class InterruptTest(unittest.TestCase):
    def run_script(self, text):
        """Interrupts the script once it sleeps; its output."""
        script = Script(text)
        process = script.start()
        self.assertEqual(process.stdout.readline(), 'waiting\n')
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=TIMEOUT)
        self.assertLess(time.monotonic() - before, 5)
        self.assertEqual((error, process.returncode), ('', 0))
        return output

    def test_ctrl_c(self):
        for wait in ('say(); lock.acquire()', 'say(); lock.acquire(timeout=1000)', 'say(); lock.__enter__()',
                     'asyncio.run(await_it())'):
            with self.subTest(wait):
                self.assertEqual(self.run_script('''
                    import asyncio
                    from gi.repository import Mp
                    def say():
                        print('waiting', flush=True)
                    async def await_it():
                        say()
                        await lock.acquire_async()
                    lock = Mp.Lock()
                    lock.acquire()
                    try:
                        %s
                    except KeyboardInterrupt:
                        lock.release()
                        print('interrupted', lock)
                    ''' % wait), 'interrupted <Lock(owner=None)>\n')

    def test_other_handlers_run_and_the_call_goes_on(self):
        self.assertEqual(self.run_script('''
            import signal
            from gi.repository import Mp
            lock = Mp.Lock()
            lock.acquire()
            def handler(*args):
                print('handler')
                lock.release()
            signal.signal(signal.SIGINT, handler)
            print('waiting', flush=True)
            print(lock.acquire(), lock)
            '''), 'handler\nTrue <Lock(owner=MainProcess)>\n')

    def test_acquired_in_that_moment(self):
        lock = Mp.Lock()
        library = Mp.Lock._library

        def acquire(*args):
            taken = library.acquire(*args)
            os.kill(os.getpid(), signal.SIGINT)
            return taken

        fake = types.SimpleNamespace(acquire=acquire, release=library.release)
        with unittest.mock.patch.object(Mp.Lock, '_library', fake):
            with unittest.mock.patch.object(_mp_lock, '_try_acquire', lambda lock: False):
                with self.assertRaises(KeyboardInterrupt):
                    lock.acquire()
        self.assertFalse(lock.locked())
        self.assertEqual(_mp_call._signals.depth, 0)


class TemporaryTest(unittest.TestCase):
    """Locks that nobody else refers to while they are on their way."""

    def test_result(self):
        with Mp.Pool(1) as pool:
            lock = pool.apply(make_held)['lock'][0]
            self.assertTrue(lock.locked())
            lock.release()
            self.assertTrue(lock.acquire(False))

    def test_argument_of_a_process(self):
        for method in 'spawn', 'forkserver':
            with self.subTest(method):
                process = Mp.get_context(method).Process(target=use, args=(Mp.Lock(),))
                process.start()
                process.join()
                self.assertEqual(process.exitcode, 0)


if __name__ == '__main__':
    support.main()
