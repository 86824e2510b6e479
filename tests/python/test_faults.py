#!/usr/bin/env python3
# test_faults.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input and faults: each is a clear error, in time, of the one call that it concerns."""

import os
import pickle
import resource
import signal
import sys
import threading
import time
import unittest

from gi.repository import GLib
from gi.repository import Mp

import support
from support import TIMEOUT


def square(x):
    return x * x


def die(how):
    if how == 'exit':
        os._exit(0)
    os.kill(os.getpid(), how)


def die_at(number, x):
    if x == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def raise_it(exc):
    raise exc


def raise_type(name, *args):
    raise globals()[name](*args)


def give_lambda(_=None):
    return lambda: None


def sleep_for_ever(_=None):
    while True:
        signal.pause()


def length(data):
    return len(data)


def zeros(n):
    return bytes(n)


def complain_and_die(text):
    sys.stderr.write(text + '\n')
    sys.stderr.flush()
    os.abort()


def pid(_=None):
    return os.getpid()


class TwoArguments(Exception):
    """Cannot be unpickled: the constructor wants more than it passes on."""

    def __init__(self, first, second):
        super().__init__(first)


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError('not this one')


class BrokenOnArrival:
    def __reduce__(self):
        return _break, ()


def _break():
    if Mp.is_worker():
        raise ZeroDivisionError('broken on arrival')


def broken_on_return(_=None):
    return _BrokenHere()


class _BrokenHere:
    def __reduce__(self):
        return _break_here, ()


def _break_here():
    if not Mp.is_worker():
        raise ZeroDivisionError('broken on return')


class ErrorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = Mp.Pool(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.terminate()
        cls.pool.join()

    def test_function_unknown(self):
        with self.assertRaisesRegex(Mp.NoSuchFunctionError, 'no_such_function'):
            self.pool.apply('no_such_function', (1,))
        with self.assertRaises(LookupError):
            self.pool.map('no_such_function', [1, 2])
        self.assertEqual(self.pool.apply(square, (2,)), 4)

    def test_function_not_callable(self):
        with self.assertRaisesRegex(TypeError, 'not callable'):
            self.pool.apply(5)
        with self.assertRaisesRegex(TypeError, 'not callable'):
            self.pool.map([1], [1])

    def test_unpicklable(self):
        with self.assertRaisesRegex((pickle.PicklingError, AttributeError), "Can't pickle"):
            self.pool.apply(lambda: 1)
        result = self.pool.map_async(lambda x: x, [1])
        with self.assertRaisesRegex((pickle.PicklingError, AttributeError), "Can't pickle"):
            result.get()
        with self.assertRaises(TypeError):
            self.pool.apply(square, (threading.Lock(),))
        failed = []
        self.pool.apply_async(square, (threading.Lock(),), error_callback=failed.append).wait()
        self.assertIsInstance(failed[0], TypeError)

    def test_unpicklable_result(self):
        from multiprocessing.pool import MaybeEncodingError
        with self.assertRaisesRegex(MaybeEncodingError, "Error sending result: '<function give_lambda"):
            self.pool.apply(give_lambda)
        self.assertEqual(self.pool.apply(square, (2,)), 4)

    def test_broken_argument_and_result(self):
        with self.assertRaisesRegex(ZeroDivisionError, 'broken on arrival'):
            self.pool.apply(square, (BrokenOnArrival(),))
        with self.assertRaisesRegex(ZeroDivisionError, 'broken on return'):
            self.pool.apply(broken_on_return)
        self.assertEqual(self.pool.apply(square, (2,)), 4)

    def test_exceptions(self):
        for exc in (ValueError('a', 1), KeyError('k'), OSError(2, 'none', 'file'), StopIteration(5), Exception('a\0b'),
                    UnicodeDecodeError('utf-8', b'x', 0, 1, 'r'), GLib.Error('text', 'mp-test-quark', 7)):
            with self.assertRaises(type(exc)) as caught:
                self.pool.apply(raise_it, (exc,))
            self.assertEqual(repr(caught.exception), repr(exc))
            self.assertIsInstance(caught.exception.__cause__, Mp.RemoteTraceback)
            self.assertIn('in raise_it', str(caught.exception.__cause__))

    def test_leaving_from_a_task(self):
        with self.assertRaises(SystemExit) as caught:
            self.pool.apply(sys.exit, (3,))
        self.assertEqual(caught.exception.code, 3)
        with self.assertRaises(KeyboardInterrupt):
            self.pool.apply(raise_it, (KeyboardInterrupt(),))
        self.assertEqual(self.pool.apply(square, (2,)), 4)

    def test_exception_that_cannot_travel(self):
        with self.assertRaisesRegex(Mp.RemoteError, 'TwoArguments: one.*cannot be unpickled') as caught:
            self.pool.apply(raise_type, ('TwoArguments', 'one', 'two'))
        self.assertEqual(caught.exception.type, 'TwoArguments')
        self.assertIn('in raise_type', caught.exception.traceback)
        with self.assertRaisesRegex(Mp.RemoteError, 'Unpicklable: three') as caught:
            self.pool.apply(raise_type, ('Unpicklable', 'three'))
        self.assertEqual(caught.exception.type, 'Unpicklable')

    def test_task_failed_signal(self):
        seen = []
        number = self.pool.connect('task-failed', lambda _pool, function, *rest: seen.append(function))
        try:
            with self.assertRaises(KeyError):
                self.pool.apply(raise_it, (KeyError(1),))
        finally:
            self.pool.disconnect(number)
        self.assertEqual(len(seen), 1)

    def test_what_is_no_pickle(self):
        """The function for pickles has a name, by which it can be called with anything: that fails, and kills nothing."""
        pool = Mp.Pool(1)
        self.addCleanup(pool.join)
        self.addCleanup(pool.terminate)
        where = pool.apply(os.getpid)
        for text in ('5', '"text"', '()', '[1, 2]', 'false', '(1, 2)', '(b"text", 3)', '<5>', '@ms nothing', '@av []',
                     '{"a": <1>}', '(b"text", [1, 2])'):
            with self.subTest(text):
                with self.assertRaisesRegex(TypeError, 'a function for pickles'):
                    pool.apply('python-task', GLib.Variant.parse(None, text, None, None))
        for text in ('@ay []', '[byte 0]', 'b"\\0\\377\\377\\377\\377 no pickle"', '(b"no pickle", @ah [])',
                     '(@ay [], [handle 7])'):
            with self.subTest(text):
                with self.assertRaises(Exception) as caught:
                    pool.apply('python-task', GLib.Variant.parse(None, text, None, None))
                self.assertNotIsInstance(caught.exception, Mp.WorkerDiedError)
        self.assertEqual(pool.apply(os.getpid), where)


class DeathTest(unittest.TestCase):
    def test_worker_dies_in_a_task(self):
        with Mp.Pool(2) as pool:
            for how, code in (('exit', 0), (signal.SIGABRT, -6), (signal.SIGKILL, -9)):
                with self.assertRaises(Mp.WorkerDiedError) as caught:
                    pool.apply(die, (how,))
                self.assertIsInstance(caught.exception, Mp.ProcessError)
                self.assertEqual(caught.exception.exitcode, code)
                self.assertIsInstance(caught.exception.pid, int)
                self.assertIsInstance(caught.exception.error, GLib.Error)
                self.assertIn('function “die”: ', str(caught.exception))
                self.assertEqual(caught.exception.details['function'], 'die')
            self.assertEqual(pool.map(square, range(10)), [x * x for x in range(10)])

    def test_last_words(self):
        with Mp.Context(stderr=Mp.Stderr.CAPTURE).Pool(1) as pool:
            with self.assertRaises(Mp.WorkerDiedError) as caught:
                pool.apply(complain_and_die, ('my last words',))
            self.assertIn('my last words', '\n'.join(caught.exception.stderr))

    def test_only_one_item_is_lost(self):
        from functools import partial
        with Mp.Pool(2) as pool:
            die_at_7 = partial(die_at, 7)
            self.assertRaisesRegex(Mp.WorkerDiedError, 'function “die_at”: ', pool.map, die_at_7, range(8))
            results = pool.imap(die_at_7, range(50))
            for x in range(50):
                if x == 7:
                    self.assertRaisesRegex(Mp.WorkerDiedError, 'function “die_at”: ', next, results)
                else:
                    self.assertEqual(next(results), x)

    def test_idle_worker_killed(self):
        with Mp.Pool(2) as pool:
            exited = []
            pool.connect('worker-exited', lambda _pool, _number, pid, *rest: exited.append(pid))
            pids = set()
            while len(pids) < 2:
                pids |= set(pool.map(pid, range(10), chunksize=1))
            for number in pids:
                os.kill(number, signal.SIGKILL)
                support.wait_until(lambda: not support.is_running(number), 'its end')
            self.assertEqual(pool.map(square, range(20), chunksize=1), [x * x for x in range(20)])
            support.wait_until(lambda: pool.apply(square, (2,)) and set(exited) >= pids, 'the signals')

    def test_busy_worker_killed_from_outside(self):
        with Mp.Pool(1) as pool:
            number = pool.apply(pid)
            result = pool.apply_async(sleep_for_ever)
            behind = pool.apply_async(square, (3,))
            result.wait(0.05)
            os.kill(number, signal.SIGKILL)
            with self.assertRaises(Mp.WorkerDiedError):
                result.get(TIMEOUT)
            self.assertEqual(behind.get(TIMEOUT), 9)

    def test_terminate_with_many_queued(self):
        pool = Mp.Pool(2)
        results = [pool.apply_async(sleep_for_ever) for _ in range(10000)]
        results[0].wait(0.05)
        before = time.monotonic()
        pool.terminate()
        pool.join()
        self.assertLess(time.monotonic() - before, 5)
        for result in (results[0], results[5000], results[-1]):
            with self.assertRaises(Mp.PoolTerminatedError):
                result.get(TIMEOUT)
        self.assertEqual(support.children(os.getpid()), support.children(os.getpid()))

    def test_initializer_that_fails(self):
        with Mp.Pool(2, initializer=raise_it, initargs=(ValueError('no good'),)) as pool:
            for _ in range(2):
                with self.assertRaisesRegex(ValueError, 'no good') as caught:
                    pool.map(square, range(10))
                self.assertIn('in raise_it', str(caught.exception.__cause__))

    def test_initializer_that_dies(self):
        with Mp.Pool(2, initializer=die, initargs=(signal.SIGKILL,)) as pool:
            with self.assertRaisesRegex(Mp.WorkerStartError, 'initializer “die”'):
                pool.map(square, range(10))

    def test_worker_program_that_crashes(self):
        for text, pattern in (('import sys; sys.exit("gave up")', 'gave up'), ('import os; os.abort()', 'SIGABRT'),
                              ('pass', 'status 0')):
            context = Mp.Context(worker_argv=[sys.executable, '-c', text], stderr=Mp.Stderr.CAPTURE)
            with context.Pool(2) as pool, self.assertRaises(Mp.WorkerStartError) as caught:
                pool.apply('anything')
            self.assertRegex(str(caught.exception) + '\n'.join(caught.exception.stderr), pattern)
            process = Mp.Process(target='anything', context=context)
            try:
                process.start()
                process.join()
            except Mp.WorkerStartError:
                pass
            self.assertFalse(process.is_alive())

    def test_worker_program_that_hangs(self):
        context = Mp.Context(worker_argv=[sys.executable, '-c', 'import signal; signal.pause()'],
                             start_method=Mp.StartMethod.SPAWN)
        context.set_boot_timeout(300000)
        with context.Pool(2) as pool, self.assertRaises(Mp.WorkerStartError):
            pool.apply('anything')

    def test_main_module_that_fails_in_workers(self):
        result = support.run_script('''
            import sys
            from gi.repository import Mp
            if Mp.is_worker():
                raise LookupError('not twice')
            if __name__ == '__main__':
                for method in ('spawn', 'forkserver'):
                    with Mp.get_context(method).Pool(2) as pool:
                        try:
                            pool.apply(abs, (1,))
                        except Mp.WorkerStartError as error:
                            print('LookupError: not twice' in str(error))
            ''')
        self.assertEqual(result.stdout, 'True\nTrue\n', result.stderr)

    def test_unpicklable_initializer(self):
        with self.assertRaisesRegex((pickle.PicklingError, AttributeError), "Can't pickle"):
            Mp.Pool(1, initializer=lambda: None)

    def test_pool_dropped_with_tasks_pending(self):
        import gc
        import warnings
        pool = Mp.Pool(1)
        number = pool.apply(pid)
        result = pool.apply_async(sleep_for_ever)
        result.wait(0.05)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            del pool, result
            gc.collect()
        support.wait_until(lambda: not support.is_running(number), 'the end of the worker')

    def test_large_argument_and_result(self):
        size = 300 * 1024 * 1024
        with Mp.Pool(1) as pool:
            self.assertEqual(pool.apply(length, (bytes(size),)), size)
            self.assertEqual(len(pool.apply(zeros, (size,))), size)

    def test_no_descriptors_left(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = []
        with Mp.Pool(1) as pool:
            pool.apply(square, (1,))
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            try:
                with self.assertRaises(OSError):
                    while True:
                        files.append(open('/dev/null'))
                self.assertEqual(pool.apply(square, (3,)), 9)
                with self.assertRaises((Mp.WorkerStartError, GLib.Error, OSError)):
                    with Mp.get_context('spawn').Pool(1) as other:
                        other.apply(square, (1,))
            finally:
                for file in files:
                    file.close()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self.assertEqual(pool.apply(square, (4,)), 16)

    def test_fork_with_threads(self):
        event = threading.Event()
        thread = threading.Thread(target=event.wait)
        thread.start()
        try:
            with self.assertRaisesRegex(RuntimeError, 'thread'):
                with Mp.get_context('fork').Pool(1) as pool:
                    pool.apply(square, (1,))
            with self.assertRaisesRegex(RuntimeError, 'thread'):
                Mp.get_context('fork').Process(target=square, args=(1,)).start()
        finally:
            event.set()
            thread.join()

    def test_fork_server_killed(self):
        context = Mp.Context(start_method=Mp.StartMethod.FORKSERVER)
        with context.Pool(1) as pool:
            server = pool.apply(os.getppid)
            self.assertNotEqual(server, os.getpid())
            os.kill(server, signal.SIGKILL)
            support.wait_until(lambda: not support.is_running(server), 'its end')
            self.assertEqual(pool.map(square, range(10)), [x * x for x in range(10)])
        with context.Pool(1) as pool:
            self.assertEqual(pool.apply(square, (3,)), 9)
            self.assertNotEqual(pool.apply(os.getppid), server)


if __name__ == '__main__':
    support.main()
