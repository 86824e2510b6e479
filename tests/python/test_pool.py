#!/usr/bin/env python3
# test_pool.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Pool: what multiprocessing.Pool does."""

import fractions
import functools
import itertools
import math
import multiprocessing
import operator
import os
import threading
import unittest

from gi.repository import GLib
from gi.repository import Mp

import support
from support import TIMEOUT


def square(x):
    return x * x


def add(a, b=0, *, c=0):
    return a + b + c


def pid(_=None):
    return os.getpid()


def parity(x):
    if x % 2:
        raise KeyError(x)
    return x


def slow_then(path, value):
    support.wait_until(lambda: os.path.exists(path), path)
    return value


def global_value(_=None):
    return setting


def set_global(value, other=None):
    global setting
    setting = (value, other)


setting = None


class Multiplier:
    def __init__(self, factor):
        self.factor = factor

    def times(self, x):
        return self.factor * x

    @classmethod
    def name(cls, x):
        return cls.__name__ + str(x)

    def __call__(self, x):
        return self.factor + x


class PoolTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = Mp.Pool(processes=2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.terminate()
        cls.pool.join()

    def test_map(self):
        self.assertEqual(self.pool.map(square, range(10)), [x * x for x in range(10)])
        self.assertEqual(self.pool.map(square, [3]), [9])
        self.assertEqual(self.pool.map(square, iter([1, 2, 3])), [1, 4, 9])
        self.assertEqual(self.pool.map(square, (1, 2, 3), chunksize=1), [1, 4, 9])
        self.assertEqual(self.pool.map(func=square, iterable={5}, chunksize=100), [25])
        self.assertEqual(self.pool.map(square, []), [])

    def test_map_chunk_sizes(self):
        items = list(range(1000))
        for chunksize in (1, 3, 999, 1000, 5000, None):
            self.assertEqual(self.pool.map(square, items, chunksize), [x * x for x in items], chunksize)

    def test_starmap(self):
        self.assertEqual(self.pool.starmap(add, [(1, 2), (3, 4), (5,)]), [3, 7, 5])
        self.assertEqual(self.pool.starmap(pow, zip(range(5), [2] * 5), chunksize=2), [0, 1, 4, 9, 16])
        self.assertEqual(self.pool.starmap_async(add, [(1, 2)]).get(TIMEOUT), [3])

    def test_apply(self):
        self.assertEqual(self.pool.apply(add, (1, 2), {'c': 3}), 6)
        self.assertEqual(self.pool.apply(add, args=[1], kwds=dict(b=1)), 2)
        self.assertNotEqual(self.pool.apply(pid), os.getpid())
        self.assertIsNone(self.pool.apply(print, (), {'end': ''}))

    def test_what_can_be_called(self):
        self.assertEqual(self.pool.map(functools.partial(add, 10, c=1), [1, 2]), [12, 13])
        self.assertEqual(self.pool.map(Multiplier(3).times, [1, 2]), [3, 6])
        self.assertEqual(self.pool.map(Multiplier(3), [1, 2]), [4, 5])
        self.assertEqual(self.pool.map(Multiplier.name, [1]), ['Multiplier1'])
        self.assertEqual(self.pool.map(math.sqrt, [4.0, 9.0]), [2.0, 3.0])
        self.assertEqual(self.pool.map(operator.itemgetter(1), ['ab', 'cd']), ['b', 'd'])
        self.assertEqual(self.pool.map(str, [1, 2]), ['1', '2'])
        self.assertEqual(self.pool.map('x-{}'.format, [1, 2]), ['x-1', 'x-2'])

    def test_values(self):
        values = [None, True, 2 ** 80, -1, 1.5, 'a\0b', 'ä', b'\0\xff', [1, [2]], (1,), {'a': 1}, {1, 2}, float('inf'),
                  Ellipsis, range(3), ValueError('x'), GLib.Variant('(si)', ('a', 1)), memoryview]
        result = self.pool.map(_same, values, chunksize=3)
        self.assertEqual([repr(value) for value in result], [repr(value) for value in values])
        self.assertIsInstance(result[-2], GLib.Variant)

    def test_a_state_is_not_shared_by_tasks(self):
        counter = _Counter()
        self.assertEqual(self.pool.map(counter.count, [0] * 20, chunksize=1), [1] * 20)

    def test_apply_async(self):
        result = self.pool.apply_async(add, (1,), {'b': 2})
        self.assertIsInstance(result, Mp.AsyncResult)
        self.assertEqual(result.get(timeout=TIMEOUT), 3)
        self.assertEqual(result.get(), 3)
        self.assertTrue(result.ready())
        self.assertTrue(result.successful())
        result.wait()
        results = [self.pool.apply_async(square, (x,)) for x in range(100)]
        self.assertEqual([result.get() for result in reversed(results)], [x * x for x in reversed(range(100))])

    def test_not_ready(self):
        with support.tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'go')
            result = self.pool.apply_async(slow_then, (path, 5))
            self.assertFalse(result.ready())
            with self.assertRaisesRegex(ValueError, 'not ready'):
                result.successful()
            with self.assertRaises(Mp.TimeoutError):
                result.get(timeout=0.02)
            with self.assertRaises(multiprocessing.TimeoutError):
                result.get(0)
            self.assertIsNone(result.wait(0.02))
            open(path, 'w').close()
            self.assertEqual(result.get(TIMEOUT), 5)

    def test_ready_without_get(self):
        result = self.pool.apply_async(square, (2,))
        support.wait_until(result.ready)
        self.assertTrue(result.successful())

    def test_errors(self):
        result = self.pool.apply_async(parity, (1,))
        with self.assertRaises(KeyError) as caught:
            result.get(TIMEOUT)
        self.assertEqual(caught.exception.args, (1,))
        self.assertIn('in parity', str(caught.exception.__cause__))
        self.assertFalse(result.successful())
        with self.assertRaises(KeyError):
            self.pool.map(parity, range(10))
        with self.assertRaises(KeyError):
            self.pool.apply(parity, (3,))

    def test_callbacks(self):
        got, failed = [], []
        results = [self.pool.apply_async(parity, (x,), callback=got.append, error_callback=failed.append)
                   for x in range(6)]
        for result in results:
            result.wait(TIMEOUT)
        self.assertEqual(sorted(got), [0, 2, 4])
        self.assertEqual(sorted(exc.args for exc in failed), [(1,), (3,), (5,)])
        lists = []
        self.pool.map_async(square, range(3), callback=lists.append).wait(TIMEOUT)
        self.assertEqual(lists, [[0, 1, 4]])
        self.pool.map_async(parity, range(3), error_callback=lists.append).wait(TIMEOUT)
        self.assertIsInstance(lists[1], KeyError)

    def test_callbacks_in_a_main_loop(self):
        loop, got = GLib.MainLoop(), []

        def done(value):
            got.append(value)
            loop.quit()

        self.pool.apply_async(square, (5,), callback=done)
        GLib.timeout_add_seconds(int(TIMEOUT), loop.quit)
        loop.run()
        self.assertEqual(got, [25])

    def test_callback_runs_in_the_calling_thread(self):
        threads = []
        self.pool.apply_async(square, (5,), callback=lambda _: threads.append(threading.get_ident())).get(TIMEOUT)
        self.assertEqual(threads, [threading.get_ident()])

    def test_a_raising_callback_does_no_harm(self):
        hook, caught = support.sys.excepthook, []
        support.sys.excepthook = lambda *info: caught.append(info[0])
        try:
            self.assertEqual(self.pool.apply_async(square, (5,), callback=_fail).get(TIMEOUT), 25)
        finally:
            support.sys.excepthook = hook
        self.assertEqual(caught, [ZeroDivisionError])

    def test_imap(self):
        self.assertEqual(list(self.pool.imap(square, range(100))), [x * x for x in range(100)])
        self.assertEqual(list(self.pool.imap(square, range(100), chunksize=7)), [x * x for x in range(100)])
        self.assertEqual(sorted(self.pool.imap_unordered(square, range(100))), [x * x for x in range(100)])
        self.assertEqual(sorted(self.pool.imap_unordered(square, range(100), 9)), [x * x for x in range(100)])
        self.assertEqual(list(self.pool.imap(square, [])), [])
        iterator = self.pool.imap(square, [2])
        self.assertEqual(iterator.next(timeout=TIMEOUT), 4)
        with self.assertRaises(StopIteration):
            iterator.next()
        with self.assertRaises(StopIteration):
            next(iterator)

    def test_imap_of_much(self):
        self.assertEqual(sum(self.pool.imap(square, range(20000), 100)), sum(x * x for x in range(20000)))
        self.assertEqual(sum(self.pool.imap_unordered(square, range(5000))), sum(x * x for x in range(5000)))

    def test_imap_without_end(self):
        results = self.pool.imap(square, itertools.count())
        self.assertEqual([next(results) for _ in range(1000)], [x * x for x in range(1000)])

    def test_imap_timeout(self):
        with support.tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'go')
            iterator = self.pool.imap(functools.partial(slow_then, path), [5])
            with self.assertRaises(Mp.TimeoutError):
                iterator.next(timeout=0.02)
            open(path, 'w').close()
            self.assertEqual(iterator.next(timeout=TIMEOUT), 5)

    def test_timeouts_that_are_none(self):
        """Each is refused by its kind, as CPython does, and the message says what it is about."""
        first, second = Mp.Pipe()
        process = Mp.Process(target=square, args=(2,))
        process.start()
        process.join()
        pool = Mp.Pool(1)
        self.addCleanup(pool.terminate)
        for wait in (pool.apply_async(slow_then, ('/nowhere', 1)).get, pool.imap(square, [1]).next,
                     first.recv, first.poll, process.join):
            for wrong, kind in (('1', TypeError), ([1], TypeError), (1j, TypeError), (float('nan'), ValueError),
                                (float('inf'), OverflowError), (10 ** 400, OverflowError)):
                with self.subTest(wait=wait, wrong=wrong):
                    self.assertRaisesRegex(kind, '^timeout ', wait, timeout=wrong)
        self.assertFalse(first.poll(fractions.Fraction(1, 100)))
        self.assertFalse(first.poll(-1))

    def test_imap_errors(self):
        for chunksize in (1, 3, 100):
            iterator = self.pool.imap(parity, range(10), chunksize)
            for x in range(10):
                if x % 2:
                    with self.assertRaises(KeyError) as caught:
                        next(iterator)
                    self.assertEqual(caught.exception.args, (x,))
                    self.assertIn('in parity', str(caught.exception.__cause__))
                else:
                    self.assertEqual(next(iterator), x)
            self.assertEqual(list(iterator), [])

    def test_input_that_raises(self):
        def items():
            yield 1
            yield 2
            raise ZeroDivisionError

        iterator = self.pool.imap(square, items())
        self.assertEqual([next(iterator), next(iterator)], [1, 4])
        with self.assertRaises(ZeroDivisionError):
            next(iterator)
        with self.assertRaises(ZeroDivisionError):
            self.pool.map(square, items())

    def test_wrong_arguments(self):
        for wrong in (0, -1):
            with self.assertRaisesRegex(ValueError, 'Chunksize must be 1+'):
                self.pool.imap(square, [1], wrong)
        with self.assertRaises(TypeError):
            self.pool.map(square, 5)
        with self.assertRaises(NotImplementedError):
            multiprocessing.reduction.ForkingPickler.dumps(self.pool)
        with self.assertRaises(TypeError):
            self.pool.apply(square, (1, 2, 3))

    def test_from_threads(self):
        results = {}

        def work(number):
            results[number] = self.pool.map(square, [number] * 10)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual(results, {number: [number * number] * 10 for number in range(8)})

    def test_many_small_tasks(self):
        self.assertEqual(sum(self.pool.map(square, range(1000000))), sum(x * x for x in range(1000000)))
        # In chunks of one it is the same work at 30 µs or more for each call: a minute where the CPUs are shared.
        self.assertEqual(sum(self.pool.map(square, range(1000000), chunksize=10)), sum(x * x for x in range(1000000)))
        self.assertEqual(sum(self.pool.map(square, range(20000), chunksize=1)), sum(x * x for x in range(20000)))


class PoolLifeTest(unittest.TestCase):
    def test_arguments(self):
        for wrong in (0, -3):
            with self.assertRaisesRegex(ValueError, 'Number of processes must be at least 1'):
                Mp.Pool(wrong)
        with self.assertRaisesRegex(ValueError, 'Number of processes must be at most 65536'):
            Mp.Pool(10 ** 10)
        for wrong in (1.5, '2', [3]):
            with self.assertRaisesRegex(TypeError, 'cannot be interpreted as an integer'):
                Mp.Pool(wrong)
        with self.assertRaisesRegex(ValueError, 'maxtasksperchild must be a positive int or None'):
            Mp.Pool(1, maxtasksperchild=1 << 32)
        with self.assertRaisesRegex(TypeError, 'initializer must be a callable'):
            Mp.Pool(1, initializer=5)
        for wrong in (0, -1, 1.5):
            with self.assertRaisesRegex(ValueError, 'maxtasksperchild must be a positive int or None'):
                Mp.Pool(1, maxtasksperchild=wrong)
        with self.assertRaises(TypeError):
            Mp.Pool(1, context='spawn')

    def test_argument_unknown(self):
        """What was never made has nothing to say when it goes."""
        result = support.run_script('''
            import warnings
            from gi.repository import Mp
            warnings.simplefilter('always')
            try:
                Mp.Pool(1, foo=1)
            except TypeError as exc:
                print(exc)
            ''')
        self.assertIn('unexpected keyword', result.stdout)
        self.assertEqual((result.stderr, result.returncode), ('', 0))

    def test_default_number(self):
        with Mp.Pool() as pool:
            self.assertEqual(pool.get_n_workers(), Mp.get_n_usable_cpus())

    def test_with(self):
        with Mp.Pool(2) as pool:
            pids = set(pool.map(pid, range(100), chunksize=1))
        self.assertLessEqual(len(pids), 2)
        for number in pids:
            self.assertFalse(support.is_running(number))
        for call in (lambda: pool.map(square, [1]), lambda: pool.apply_async(square, (1,)),
                     lambda: pool.imap(square, [1]), pool.__enter__):
            with self.assertRaisesRegex(ValueError, 'Pool not running'):
                call()

    def test_close_and_join(self):
        pool = Mp.Pool(2)
        results = [pool.apply_async(square, (x,)) for x in range(50)]
        with self.assertRaisesRegex(ValueError, 'Pool is still running'):
            pool.join()
        pool.close()
        pool.close()
        with self.assertRaisesRegex(ValueError, 'Pool not running'):
            pool.apply_async(square, (1,))
        pool.join()
        self.assertEqual([result.get() for result in results], [x * x for x in range(50)])
        pool.join()
        self.assertIn('state=CLOSE', repr(pool))

    def test_callbacks_run_in_join(self):
        got = []
        pool = Mp.Pool(2)
        for x in range(10):
            pool.apply_async(square, (x,), callback=got.append)
        pool.close()
        pool.join()
        self.assertEqual(sorted(got), [x * x for x in range(10)])

    def test_initializer(self):
        with Mp.Pool(2, set_global, ('a',)) as pool:
            self.assertEqual(set(pool.map(global_value, range(10))), {('a', None)})
        with Mp.Pool(processes=1, initializer=functools.partial(set_global, other=2), initargs=(1,)) as pool:
            self.assertEqual(pool.apply(global_value), (1, 2))
        self.assertIsNone(setting)

    def test_maxtasksperchild(self):
        with Mp.Pool(1, maxtasksperchild=2) as pool:
            pids = pool.map(pid, range(6), chunksize=1)
        self.assertEqual(len(set(pids)), 3)
        self.assertEqual(pids, sorted(pids, key=pids.index))

    def test_signals(self):
        started, exited = [], []
        pool = Mp.Pool(1, maxtasksperchild=1)
        pool.connect('worker-started', lambda _pool, number, pid: started.append((number, pid)))
        pool.connect('worker-exited', lambda _pool, number, pid, *rest: exited.append((number, pid)))
        pids = pool.map(pid, range(3), chunksize=1)
        pool.close()
        pool.join()
        self.assertEqual([number for _number, number in started][:3], pids)
        self.assertEqual([number for _number, number in exited][:3], pids)

    def test_start_methods(self):
        result = support.run_script('''
            from gi.repository import Mp
            def square(x): return x * x
            def set_global(value):
                global setting
                setting = value
            def global_value(): return setting
            if __name__ == '__main__':
                for method in sorted(Mp.get_all_start_methods()):
                    with Mp.get_context(method).Pool(2, set_global, (method,)) as pool:
                        print(pool.map(square, range(5)), pool.apply(global_value) == method)
            ''')
        self.assertEqual((result.stdout, result.stderr), ('[0, 1, 4, 9, 16] True\n' * 3, ''))

    def test_nested(self):
        with Mp.Pool(2) as pool:
            self.assertEqual(pool.map(_nested, [1, 2, 3]), [14, 56, 126])

    def test_unclosed_warns(self):
        with self.assertWarns(ResourceWarning):
            pool = Mp.Pool(1)
            pool.apply(square, (1,))
            del pool
            support.wait_until(lambda: __import__('gc').collect() == 0, 'the collection')


def _nested(factor):
    with Mp.Pool(2) as pool:
        return sum(pool.map(Multiplier(factor * factor).times, [1, 4, 9]))


def _same(value):
    return value


def _fail(_value):
    raise ZeroDivisionError


class _Counter:
    def __init__(self):
        self.n = 0

    def count(self, _):
        self.n += 1
        return self.n


if __name__ == '__main__':
    support.main()
