# test_imap.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""imap() and imap_unordered() over input of any length."""

import asyncio
import gc
import itertools
import os
import tempfile
import unittest
import weakref

import support

import gi
gi.require_version('Mp', '1')
from gi.repository import Mp  # noqa: E402


def square(x):
    return x * x


def fail_at_seven(x):
    if x == 7:
        raise ValueError('seven')
    return x


def wait_for(path):
    if path:
        support.wait_until(lambda: os.path.exists(path), path)
    return path


class Numbers:
    """0, 1, 2, … up to @n, counting how many were asked for; then @failure, if there is one."""

    def __init__(self, n, failure=None):
        self.n = n
        self.failure = failure
        self.n_read = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.n_read == self.n:
            if self.failure is not None:
                raise self.failure
            raise StopIteration
        self.n_read += 1
        return self.n_read - 1


class Unpicklable:
    def __reduce__(self):
        raise TypeError('not this one')


class ImapTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = Mp.Pool(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.terminate()
        cls.pool.join()
        del cls.pool

    def methods(self):
        return self.pool.imap, self.pool.imap_unordered

    def test_all_kinds_of_input(self):
        for n, chunksize in itertools.product((0, 1, 3, 4, 5, 3000), (1, 7)):
            expected = [x * x for x in range(n)]
            for items in list(range(n)), range(n), Numbers(n):
                self.assertEqual(list(self.pool.imap(square, items, chunksize)), expected)
            for items in list(range(n)), range(n), Numbers(n):
                self.assertEqual(sorted(self.pool.imap_unordered(square, items, chunksize)), expected)

    def test_input_that_raises(self):
        for method, n, chunksize in itertools.product(self.methods(), (0, 3, 100), (1, 4)):
            results = method(square, Numbers(n, KeyError('input')), chunksize)
            values = []
            with self.assertRaisesRegex(KeyError, 'input'):
                for value in results:
                    values.append(value)
            # An incomplete chunk is not called.
            n_whole = n // chunksize * chunksize if chunksize > 1 else n
            self.assertEqual(sorted(values), [x * x for x in range(n_whole)])
            with self.assertRaises(StopIteration):
                next(results)

    def test_what_cannot_be_pickled(self):
        items = itertools.chain(range(20), [Unpicklable()], range(20))
        results = self.pool.imap_unordered(square, items)
        values = []
        with self.assertRaisesRegex(TypeError, 'not this one'):
            for value in results:
                values.append(value)
        self.assertEqual(sorted(values), [x * x for x in range(20)])

    def test_a_failure_is_one(self):
        for method, chunksize in itertools.product(self.methods(), (1, 5)):
            results = method(fail_at_seven, Numbers(50), chunksize)
            values, n_failed = [], 0
            while True:
                try:
                    values.append(next(results))
                except ValueError:
                    n_failed += 1
                except StopIteration:
                    break
            self.assertEqual((sorted(values), n_failed), ([x for x in range(50) if x != 7], 1))

    def test_input_is_taken_as_there_is_need(self):
        for method in self.methods():
            numbers = Numbers(-1)
            results = method(square, numbers)
            n_before = numbers.n_read
            self.assertLess(n_before, 1000)
            for _ in range(5000):
                next(results)
            self.assertLess(numbers.n_read, 5000 + 9000)
            n_read = numbers.n_read
            support.wait_until(lambda: self.pool.apply(square, (2,)) == 4)
            self.assertEqual(numbers.n_read, n_read)
            del results

    def test_unordered_waits_for_none(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'file')
            results = self.pool.imap_unordered(wait_for, itertools.chain([path], itertools.repeat('', 200)))
            self.assertEqual([next(results) for _ in range(200)], [''] * 200)
            open(path, 'w').close()
            self.assertEqual(list(results), [path])

    def test_dropped(self):
        for method in self.methods():
            numbers = Numbers(-1)
            gone = weakref.ref(numbers)
            results = method(square, numbers)
            next(results)
            del results, numbers
            self.pool.apply(square, (1,))
            gc.collect()
            self.assertIsNone(gone())

    def test_timeout(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'file')
            iterators = [method(wait_for, (item for item in [path])) for method in self.methods()]
            for results in iterators:
                with self.assertRaises(Mp.TimeoutError):
                    results.next(0.01)
            open(path, 'w').close()
            self.assertEqual([results.next(support.TIMEOUT) for results in iterators], [path, path])

    def test_named(self):
        with Mp.Pool(1) as pool:
            for method in pool.imap, pool.imap_unordered:
                with self.assertRaises(Mp.NoSuchFunctionError):
                    next(method('nothing of that name', range(10)))

    def test_asyncio(self):
        async def main():
            for method in self.methods():
                results = method(square, Numbers(100))
                self.assertEqual(sorted([value async for value in results]), [x * x for x in range(100)])
                results = method(square, Numbers(30))
                values = await asyncio.gather(*(results.__anext__() for _ in range(30)))
                self.assertEqual(sorted(values), [x * x for x in range(30)])

        asyncio.run(asyncio.wait_for(main(), support.TIMEOUT))

    def test_terminated(self):
        for name in 'imap', 'imap_unordered':
            pool = Mp.Pool(1)
            results = getattr(pool, name)(square, Numbers(-1))
            next(results)
            pool.terminate()
            pool.join()
            with self.assertRaises(Mp.PoolTerminatedError):
                for _ in range(100000):
                    next(results)
            with self.assertRaises(StopIteration):
                next(results)


if __name__ == '__main__':
    support.main()
