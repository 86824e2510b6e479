#!/usr/bin/env python3
# test_backends.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools whose workers are threads, or nobody."""

import gc
import multiprocessing.pool
import threading
import unittest
import weakref

from gi.repository import GLib
from gi.repository import Mp

import support
from support import TIMEOUT

INLINE = Mp.Backend.INLINE


class Special(Exception):
    pass


def fail(x):
    if x % 2:
        raise Special(x)
    return x


@Mp.function
def triple(x):
    return 3 * x


class Local(unittest.TestCase):
    """What both have in common."""

    def pools(self, n=2, **kwds):
        for backend in (Mp.Backend.THREADS, INLINE):
            with self.subTest(backend), Mp.Pool(n, backend=backend, **kwds) as pool:
                self.assertEqual(pool.get_backend(), backend)
                yield pool

    def test_calls(self):
        for pool in self.pools():
            self.assertEqual(pool.apply(lambda a, b=1: a + b, (2,), {'b': 3}), 5)
            self.assertEqual(pool.apply_async(lambda: 7).get(TIMEOUT), 7)
            self.assertEqual(pool.submit(lambda x: x, 8).get(TIMEOUT), 8)
            self.assertEqual(pool.map(lambda x: x * x, range(100)), [x * x for x in range(100)])
            self.assertEqual(pool.map_async(str, [1, 2, 3], 2).get(TIMEOUT), ['1', '2', '3'])
            self.assertEqual(pool.starmap(lambda a, b: a + b, [(1, 2), (3, 4)]), [3, 7])
            for chunksize in (1, 3):
                self.assertEqual(list(pool.imap(lambda x: -x, iter(range(50)), chunksize)), [-x for x in range(50)])
                self.assertEqual(sorted(pool.imap_unordered(lambda x: -x, iter(range(50)), chunksize)),
                                 [-x for x in range(49, -1, -1)])

    def test_by_name(self):
        for pool in self.pools():
            self.assertEqual(pool.apply('triple', (5,)), 15)
            self.assertEqual(pool.map('triple', [1, 2]), [3, 6])
            self.assertEqual(pool.apply('triple', GLib.Variant('(i)', (4,))).unpack(), 12)

    def test_nothing_is_pickled(self):
        lock, thing = threading.Lock(), object()
        for pool in self.pools():
            self.assertIs(pool.apply(lambda x: x, (lock,)), lock)
            self.assertTrue(all(x is thing for x in pool.map(lambda x: x, [thing] * 10)))
            self.assertTrue(all(x is thing for x in pool.imap(lambda x: x, [thing] * 10, 3)))

    def test_exceptions(self):
        for pool in self.pools():
            with self.assertRaises(Special):
                pool.apply(fail, (1,))
            with self.assertRaises(Special):
                pool.map(fail, range(4))
            iterator = pool.imap(fail, range(2), 2)
            self.assertEqual(next(iterator), 0)
            self.assertRaises(Special, next, iterator)
            self.assertRaises(StopIteration, next, iterator)

    def test_callbacks(self):
        for pool in self.pools():
            values, failures = [], []
            results = [pool.apply_async(fail, (x,), callback=values.append, error_callback=failures.append)
                       for x in range(6)]
            for result in results:
                result.wait(TIMEOUT)
            self.assertEqual(sorted(values), [0, 2, 4])
            self.assertEqual(sorted(str(failure) for failure in failures), ['1', '3', '5'])

    def test_initializer(self):
        seen = []
        for pool in self.pools(initializer=seen.append, initargs=(1,), maxtasksperchild=1):
            del seen[:]
            self.assertEqual([pool.apply(lambda: bool(seen)) for _ in range(3)], [True] * 3)
            self.assertEqual(set(seen), {1})
            self.assertGreaterEqual(len(seen), 2)

    def test_failing_initializer(self):
        def initialize():
            raise Special('never')
        for pool in self.pools(initializer=initialize):
            with self.assertRaises(Special):
                pool.apply(len, ('',))

    def test_nothing_is_left(self):
        class Thing:
            pass
        for pool in self.pools():
            thing = Thing()
            ref = weakref.ref(thing)
            pool.apply(lambda x: None, (thing,))
            pool.map(lambda x: x, [thing] * 5)
            pool.terminate()
            del thing
            gc.collect()
            self.assertIsNone(ref())

    def test_invocation(self):
        for pool in self.pools():
            numbers = pool.map(lambda _: Mp.Invocation.get_current().get_worker_number(), range(20), 1)
            self.assertLessEqual(set(numbers), {0, 1})


class ThreadPool(unittest.TestCase):
    def test_threads(self):
        with Mp.ThreadPool(3) as pool:
            self.assertIsInstance(pool, Mp.Pool)
            self.assertEqual(pool.get_backend(), Mp.Backend.THREADS)
            barrier = threading.Barrier(3, timeout=TIMEOUT)
            idents = pool.map(lambda _: (barrier.wait(), threading.get_ident())[1], range(3), 1)
            self.assertEqual(len(set(idents)), 3)
            self.assertNotIn(threading.get_ident(), idents)

    def test_as_multiprocessing(self):
        """The same program with both."""
        def program(pool_class):
            with pool_class(2, initializer=lambda *args: None, initargs=(1, 2)) as pool:
                return (pool.map(abs, [-1, 2]), pool.apply(divmod, (7, 2)), list(pool.imap(str, range(3))),
                        sorted(pool.imap_unordered(str, range(3))), pool.starmap(pow, [(2, 3), (3, 2)]))
        self.assertEqual(program(Mp.ThreadPool), program(multiprocessing.pool.ThreadPool))

    def test_cancel(self):
        event = threading.Event()
        inside = threading.Event()
        with Mp.Pool(1, backend=Mp.Backend.THREADS) as pool:
            pool.props.cancel_grace_us = pool.props.terminate_grace_us = 1000
            result = pool.apply_async(lambda: (inside.set(), event.wait(TIMEOUT)))
            while not inside.is_set():
                result.wait(0.001)
            self.assertTrue(result.cancel())
            self.assertEqual(pool.apply(lambda: 5), 5)
            event.set()


class Inline(unittest.TestCase):
    def test_constructor(self):
        with Mp.Pool.new_for_backend(INLINE, 3) as pool:
            self.assertEqual((pool.get_backend(), pool.get_n_workers()), (INLINE, 3))
            self.assertEqual(pool.apply(lambda: 1), 1)

    def test_where(self):
        with Mp.Pool(2, backend=INLINE) as pool:
            called = []
            result = pool.apply_async(lambda: called.append(threading.get_ident()))
            self.assertEqual(called, [])
            result.get(TIMEOUT)
            self.assertEqual(called, [threading.get_ident()])
            result = pool.apply_async(called.append, (1,))
            while len(called) < 2:
                GLib.MainContext.default().iteration(True)

    def events(self, seed):
        order = []
        with Mp.Pool(3, backend=INLINE, inline_seed=seed, inline_death_rate=0.2, inline_max_delay=0.0005) as pool:
            results = [pool.apply_async(order.append, (i,)) for i in range(40)]
            ends = []
            for result in results:
                try:
                    result.get(TIMEOUT)
                    ends.append('')
                except Mp.WorkerDiedError as error:
                    ends.append(str(error))
        return order, ends

    def test_seed(self):
        first = self.events(1)
        self.assertEqual(first, self.events(1))
        self.assertNotEqual(first, self.events(2))
        self.assertTrue(any(first[1]))
        self.assertIn('append', next(filter(None, first[1])))

    def test_delay(self):
        with Mp.Pool(1, backend=INLINE, inline_seed=3, inline_max_delay=0.2) as pool:
            result = pool.apply_async(abs, (-1,))
            self.assertRaises(Mp.TimeoutError, result.get, 0)
            self.assertEqual(result.get(TIMEOUT), 1)

    def test_refused(self):
        for arguments in ({'backend': 5}, {'backend': 'threads'}, {'inline_seed': -1}, {'inline_death_rate': 1.1},
                          {'inline_death_rate': float('nan')}, {'inline_max_delay': -1}):
            with self.assertRaises(ValueError, msg=arguments):
                Mp.Pool(1, **({'backend': INLINE} | arguments))


if __name__ == '__main__':
    support.main()
