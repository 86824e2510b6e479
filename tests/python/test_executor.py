# test_executor.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""ProcessPoolExecutor, as concurrent.futures says it is, and where it does more."""

import asyncio
import concurrent.futures
import functools
import gc
import itertools
import os
import signal
import tempfile
import threading
import unittest
import weakref

from concurrent.futures.process import BrokenProcessPool

import support

import gi
gi.require_version('Mp', '1')
from gi.repository import Mp  # noqa: E402

TIMEOUT = support.TIMEOUT


def square(x):
    return x * x


def add(a, b=0, *, c=0):
    return a + b + c


def fail(text):
    raise ValueError(text)


def die(*_args):
    os.kill(os.getpid(), signal.SIGKILL)


def pid_of(_x=None):
    return os.getpid()


def wait_for(path):
    """Runs until the file is there."""
    support.wait_until(lambda: os.path.exists(path), path)
    return path


def run_and_wait(begun, path):
    open(begun, 'w').close()
    return wait_for(path)


def setup(value):
    global configured
    configured = value


def read_setup(_x=None):
    return configured


def hold(lock):
    with lock:
        return os.getpid()


def exit_task():
    raise SystemExit(3)


class NotHere:
    def __reduce__(self):
        return fail, ('cannot be unpickled here',)


def give_not_here():
    return NotHere()


class Case(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)

    def path(self, name='file'):
        return os.path.join(self._directory.name, name)

    def make(self, path):
        open(path, 'w').close()

    def executor(self, n=2, **kwargs):
        executor = Mp.ProcessPoolExecutor(n, **kwargs)
        self.addCleanup(executor.shutdown)
        return executor


class Calls(Case):
    def test_is_an_executor(self):
        executor = self.executor()
        self.assertIsInstance(executor, concurrent.futures.Executor)
        self.assertIsInstance(executor.submit(square, 1), concurrent.futures.Future)
        self.assertIs(Mp.BrokenProcessPool, BrokenProcessPool)

    def test_submit(self):
        executor = self.executor()
        self.assertEqual(executor.submit(add, 1, 2, c=3).result(TIMEOUT), 6)
        self.assertEqual(executor.submit(functools.partial(add, 10), b=1).result(TIMEOUT), 11)
        futures = [executor.submit(square, i) for i in range(3000)]
        self.assertEqual([future.result(TIMEOUT) for future in futures], [i * i for i in range(3000)])

    def test_map(self):
        executor = self.executor()
        expected = [i * i for i in range(100)]
        for chunksize in 1, 7, 1000:
            self.assertEqual(list(executor.map(square, range(100), chunksize=chunksize, timeout=TIMEOUT)), expected)
            self.assertEqual(list(executor.map(add, range(5), itertools.count(1), chunksize=chunksize)),
                             [1, 3, 5, 7, 9])
        self.assertEqual(list(executor.map(square, [])), [])
        self.assertEqual(list(executor.map(square, (i for i in range(3)))), [0, 1, 4])
        with self.assertRaises(ValueError):
            executor.map(square, [1], chunksize=0)
        with self.assertRaises(ValueError):
            executor.map(square, [1], buffersize=0)
        with self.assertRaises(TypeError):
            executor.map(square, [1], buffersize=1.0)

    def test_map_reads_no_more_than_its_buffer(self):
        executor = self.executor()
        n_read = 0

        def numbers():
            nonlocal n_read
            for i in itertools.count():
                n_read += 1
                yield i

        results = executor.map(square, numbers(), buffersize=4)
        self.assertEqual(n_read, 4)
        self.assertEqual([next(results) for _ in range(50)], [i * i for i in range(50)])
        self.assertEqual(n_read, 54)
        results.close()

    def test_map_timeout_cancels_the_rest(self):
        executor = self.executor(1)
        path = self.path()
        results = executor.map(wait_for, [path] * 20, timeout=0.1)
        with self.assertRaises(TimeoutError):
            next(results)
        self.make(path)
        executor.shutdown()

    def test_exception(self):
        executor = self.executor()
        future = executor.submit(fail, 'told')
        exc = future.exception(TIMEOUT)
        self.assertIsInstance(exc, ValueError)
        self.assertEqual(exc.args, ('told',))
        self.assertIn('in fail', str(exc.__cause__))
        self.assertIsInstance(executor.submit(exit_task).exception(TIMEOUT), SystemExit)
        results = executor.map(fail, ['one', 'two'])
        with self.assertRaisesRegex(ValueError, 'one'):
            next(results)

    def test_what_cannot_travel(self):
        executor = self.executor()
        good = executor.submit(square, 2)
        self.assertIsNotNone(executor.submit(lambda: 1).exception(TIMEOUT))
        self.assertIsNotNone(executor.submit(square, threading.Lock()).exception(TIMEOUT))
        self.assertIsInstance(executor.submit(give_not_here).exception(TIMEOUT), ValueError)
        self.assertEqual(good.result(TIMEOUT), 4)
        self.assertEqual(executor.submit(square, 3).result(TIMEOUT), 9)

    def test_objects_travel(self):
        executor = self.executor()
        lock = Mp.Lock()
        self.assertEqual(len([executor.submit(hold, lock).result(TIMEOUT) for _ in range(5)]), 5)

    def test_functions_with_state(self):
        executor = self.executor()
        state = [1]
        first = executor.submit(state.index, 1)
        self.assertEqual(first.result(TIMEOUT), 0)
        state.insert(0, 5)
        self.assertEqual(executor.submit(state.index, 1).result(TIMEOUT), 1)

    def test_initializer(self):
        executor = self.executor(initializer=setup, initargs=('ready',))
        self.assertEqual(set(executor.map(read_setup, range(20))), {'ready'})

    def test_max_tasks_per_child(self):
        executor = self.executor(1, max_tasks_per_child=2)
        pids = list(executor.map(pid_of, range(6)))
        self.assertEqual(len(set(pids)), 3)

    def test_arguments(self):
        for kwargs in ({'max_workers': 0}, {'max_workers': -1}, {'max_tasks_per_child': 0},
                       {'max_tasks_per_child': 1, 'mp_context': Mp.get_context('fork')}):
            with self.assertRaises(ValueError):
                Mp.ProcessPoolExecutor(**kwargs)
        for kwargs in {'initializer': 5}, {'max_tasks_per_child': 'x'}, {'max_workers': 'x'}:
            with self.assertRaises(TypeError):
                Mp.ProcessPoolExecutor(**kwargs)

    def test_contexts(self):
        import multiprocessing
        for context in Mp.get_context('spawn'), multiprocessing.get_context('spawn'):
            self.assertEqual(self.executor(1, mp_context=context).submit(square, 3).result(TIMEOUT), 9)


class Futures(Case):
    def test_wait_and_as_completed(self):
        executor = self.executor()
        futures = {executor.submit(square, i) for i in range(50)}
        done, not_done = concurrent.futures.wait(futures, TIMEOUT)
        self.assertEqual((done, not_done), (futures, set()))
        path = self.path()
        slow = executor.submit(wait_for, path)
        fast = executor.submit(square, 2)
        order = concurrent.futures.as_completed([slow, fast], TIMEOUT)
        self.assertIs(next(order), fast)
        done, not_done = concurrent.futures.wait([slow, fast], TIMEOUT, concurrent.futures.FIRST_COMPLETED)
        self.assertEqual((done, not_done), ({fast}, {slow}))
        self.make(path)
        self.assertIs(next(order), slow)
        bad = executor.submit(fail, 'x')
        done, _ = concurrent.futures.wait([bad], TIMEOUT, concurrent.futures.FIRST_EXCEPTION)
        self.assertEqual(done, {bad})

    def test_callbacks(self):
        executor = self.executor()
        called = threading.Event()
        executor.submit(square, 3).add_done_callback(lambda future: future.result() == 9 and called.set())
        self.assertTrue(called.wait(TIMEOUT))

    def test_cancel(self):
        executor = self.executor(1)
        path, begun = self.path(), self.path('begun')
        running = executor.submit(run_and_wait, begun, path)
        wait_for(begun)
        pending = [executor.submit(wait_for, path) for _ in range(10)]
        self.assertTrue(running.running())
        self.assertFalse(running.cancel())
        self.assertTrue(pending[-1].cancel())
        self.assertTrue(pending[-1].cancelled())
        self.make(path)
        self.assertEqual(running.result(TIMEOUT), path)
        self.assertFalse(running.cancel())
        concurrent.futures.wait(pending[:-1], TIMEOUT)
        with self.assertRaises(concurrent.futures.CancelledError):
            pending[-1].result()

    def test_cancel_while_running(self):
        executor = self.executor(1)
        path, begun = self.path(), self.path('begun')
        running = executor.submit(run_and_wait, begun, path)
        wait_for(begun)
        self.assertTrue(running.cancel(running=True))
        self.assertTrue(running.cancel(running=True))
        concurrent.futures.wait([running], TIMEOUT)
        with self.assertRaises(concurrent.futures.CancelledError):
            running.result()
        # Its worker has been made to stop, and that breaks nothing.
        self.assertEqual(executor.submit(square, 3).result(TIMEOUT), 9)
        done = executor.submit(square, 3)
        done.result(TIMEOUT)
        self.assertFalse(done.cancel(running=True))

    def test_long_tasks_are_not_handed_over_ahead(self):
        executor = self.executor(2)
        list(executor.map(square, range(500)))
        path = self.path()
        futures = [executor.submit(wait_for, path) for _ in range(20)]
        support.wait_until(lambda: sum(future.running() for future in futures) >= 2)
        self.assertGreaterEqual(sum(future.cancel() for future in futures), 20 - 3)
        self.make(path)


class Ends(Case):
    def test_shutdown(self):
        executor = self.executor()
        path = self.path()
        future = executor.submit(wait_for, path)
        executor.shutdown(wait=False)
        with self.assertRaises(RuntimeError):
            executor.submit(square, 1)
        self.make(path)
        executor.shutdown()
        self.assertEqual(future.result(0), path)
        executor.shutdown()
        Mp.ProcessPoolExecutor(1).shutdown()

    def test_shutdown_cancels(self):
        executor = self.executor(1)
        path = self.path()
        futures = [executor.submit(wait_for, path) for _ in range(20)]
        support.wait_until(futures[0].running)
        executor.shutdown(wait=False, cancel_futures=True)
        # Those that wait are told.
        concurrent.futures.wait(futures[5:], TIMEOUT)
        self.assertTrue(all(future.cancelled() for future in futures[5:]))
        self.make(path)
        executor.shutdown()
        self.assertEqual(futures[0].result(0), path)

    def test_with(self):
        with Mp.ProcessPoolExecutor(2) as executor:
            futures = [executor.submit(square, i) for i in range(100)]
        self.assertEqual([future.result(0) for future in futures], [i * i for i in range(100)])

    def test_dropped(self):
        executor = Mp.ProcessPoolExecutor(2)
        path = self.path()
        futures = [executor.submit(wait_for, path) for _ in range(10)]
        gone = weakref.ref(executor)
        del executor
        gc.collect()
        self.assertIsNone(gone())
        self.make(path)
        self.assertEqual({future.result(TIMEOUT) for future in futures}, {path})

    def test_exit_of_the_interpreter(self):
        done = support.run_script('''
            import gi
            gi.require_version('Mp', '1')
            from gi.repository import Mp
            def square(x):
                return x * x
            if __name__ == '__main__':
                executor = Mp.ProcessPoolExecutor(2)
                for i in range(3):
                    executor.submit(square, i).add_done_callback(lambda future: print(future.result(), flush=True))
        ''')
        self.assertEqual((sorted(done.stdout.split()), done.stderr, done.returncode), (['0', '1', '4'], '', 0))

    def test_fork(self):
        done = support.run_script('''
            import os
            import gi
            gi.require_version('Mp', '1')
            from gi.repository import Mp
            def square(x):
                return x * x
            if __name__ == '__main__':
                for context in Mp.get_context('fork'), None:
                    with Mp.ProcessPoolExecutor(2, context) as executor:
                        print(list(executor.map(square, range(4))), flush=True)
                        pid = os.fork()
                        if pid == 0:
                            try:
                                executor.submit(square, 1)
                            except RuntimeError:
                                os._exit(7)
                            os._exit(0)
                        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        ''')
        self.assertEqual((done.stdout, done.stderr), ('[0, 1, 4, 9]\n7\n' * 2, ''))

    def test_terminate_workers(self):
        for name in 'terminate_workers', 'kill_workers':
            executor = self.executor()
            begun = self.path(name)
            running = executor.submit(run_and_wait, begun, self.path('never'))
            wait_for(begun)
            pending = [executor.submit(wait_for, self.path('never')) for _ in range(10)]
            getattr(executor, name)()
            self.assertIsInstance(running.exception(TIMEOUT), BrokenProcessPool)
            concurrent.futures.wait(pending, TIMEOUT)
            with self.assertRaises(RuntimeError):
                executor.submit(square, 1)
            executor.shutdown()
        Mp.ProcessPoolExecutor(1).kill_workers()


class Deaths(Case):
    def test_a_death_breaks_it(self):
        executor = self.executor()
        path = self.path()
        futures = [executor.submit(wait_for, path) for _ in range(10)]
        dying = executor.submit(die)
        support.wait_until(futures[0].running)
        self.make(path)
        self.assertIsInstance(dying.exception(TIMEOUT), BrokenProcessPool)
        self.assertIsInstance(dying.exception().__cause__, Mp.WorkerDiedError)
        concurrent.futures.wait(futures, TIMEOUT)
        with self.assertRaises(BrokenProcessPool):
            executor.submit(square, 1)
        with self.assertRaises(BrokenProcessPool):
            executor.map(square, [1])

    def test_a_death_fails_what_is_pending(self):
        executor = self.executor(1)
        futures = [executor.submit(die)] + [executor.submit(wait_for, self.path()) for _ in range(10)]
        for future in futures:
            self.assertIsInstance(future.exception(TIMEOUT), BrokenProcessPool)

    def test_a_death_of_an_idle_worker_breaks_it(self):
        executor = self.executor(1)
        os.kill(executor.submit(pid_of).result(TIMEOUT), signal.SIGKILL)

        def is_broken():
            try:
                executor.submit(square, 1).exception(TIMEOUT)
            except BrokenProcessPool:
                return True

        support.wait_until(is_broken)

    def test_it_heals(self):
        executor = self.executor(heal=True)
        futures = [executor.submit(die if i % 50 == 7 else square, i) for i in range(300)]
        for i, future in enumerate(futures):
            if i % 50 == 7:
                self.assertIsInstance(future.exception(TIMEOUT), Mp.WorkerDiedError)
                self.assertEqual(future.exception().exitcode, -signal.SIGKILL)
            else:
                self.assertEqual(future.result(TIMEOUT), i * i)

    def test_initializer_that_fails(self):
        for heal in False, True:
            executor = self.executor(initializer=fail, initargs=('no start',), heal=heal)
            futures = [executor.submit(square, i) for i in range(5)]
            for future in futures:
                exc = future.exception(TIMEOUT)
                self.assertIsInstance(exc, BrokenProcessPool)
            with self.assertRaises(BrokenProcessPool):
                executor.submit(square, 1)


class Asyncio(Case):
    def run_async(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, TIMEOUT))

    def test_await(self):
        executor = self.executor()

        async def main():
            self.assertEqual(await executor.submit(square, 3), 9)
            self.assertEqual(await asyncio.gather(*(executor.submit(square, i) for i in range(100))),
                             [i * i for i in range(100)])
            self.assertEqual(await asyncio.wrap_future(executor.submit(square, 4)), 16)
            self.assertEqual(await asyncio.get_running_loop().run_in_executor(executor, square, 5), 25)
            with self.assertRaisesRegex(ValueError, 'told'):
                await executor.submit(fail, 'told')

        self.run_async(main())

    def test_async_with(self):
        async def main():
            async with Mp.ProcessPoolExecutor(2) as executor:
                future = executor.submit(square, 3)
            self.assertEqual(future.result(0), 9)

        self.run_async(main())

    def test_cancelled_await_gives_a_running_task_up(self):
        executor = self.executor(1)
        begun = self.path('begun')

        async def main():
            future = executor.submit(run_and_wait, begun, self.path())
            wait = asyncio.ensure_future(future)
            while not os.path.exists(begun):
                await asyncio.sleep(0.005)
            wait.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await wait
            self.assertTrue(future.cancelled())
            self.assertEqual(await executor.submit(square, 3), 9)

        self.run_async(main())

    def test_cancelled_await_withdraws(self):
        executor = self.executor(1)
        path = self.path()

        async def main():
            futures = [executor.submit(wait_for, path) for _ in range(10)]
            waits = [asyncio.ensure_future(future) for future in futures]
            await asyncio.sleep(0)
            waits[-1].cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waits[-1]
            self.assertTrue(futures[-1].cancelled())
            self.make(path)
            await asyncio.gather(*waits[:-1])

        self.run_async(main())


if __name__ == '__main__':
    support.main()
