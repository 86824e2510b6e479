#!/usr/bin/env python3
# test_pool_size.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool that grows and shrinks, and workers that are replaced."""

import os
import tempfile
import unittest

from gi.repository import GLib
from gi.repository import Mp

import support
from support import TIMEOUT

# Of the workers, too: for the shares of them.
os.environ['MP_CPU_COUNT'] = '6'


def square(x):
    return x * x


def pid(_=None):
    return os.getpid()


def hold(path):
    """Ends when somebody has made a file."""
    with open(path + '.begun', 'w'):
        pass
    support.wait_until(lambda: os.path.exists(path), path)
    return os.getpid()


kept = []


def grow(mebibytes):
    kept.append(b'x' * (mebibytes << 20))
    return os.getpid()


def nested(_=None):
    with Mp.Pool() as pool:
        return pool.processes


class Watched:
    """Who came and went."""

    def __init__(self, pool):
        self.started = 0
        self.reasons = []
        pool.connect('worker-started', self._started)
        pool.connect('worker-exited', self._exited)

    def _started(self, pool, number, pid):
        self.started += 1

    def _exited(self, pool, number, pid, status, reason):
        self.reasons.append(reason)

    def wait(self, condition, what):
        def look():
            while GLib.MainContext.default().iteration(False):
                pass
            return condition()
        support.wait_until(look, what)

    def wait_exits(self, n):
        self.wait(lambda: len(self.reasons) >= n, '%d exits' % n)


class SizeTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def at_work(self, pool, n):
        """So many at the same time."""
        paths = [os.path.join(self.directory, '%d-%d' % (len(os.listdir(self.directory)), i)) for i in range(n)]
        results = [pool.apply_async(hold, (path,)) for path in paths]
        watched = Watched(pool)
        for path in paths:
            watched.wait(lambda path=path: os.path.exists(path + '.begun'), path)
        for path in paths:
            with open(path, 'w'):
                pass
        return {result.get(TIMEOUT) for result in results}

    def test_grow_and_shrink(self):
        with Mp.Pool(1) as pool:
            watched = Watched(pool)
            told = []
            pool.connect('notify::n-workers', lambda *args: told.append(pool.processes))
            self.assertEqual(len(self.at_work(pool, 1)), 1)
            pool.processes = 3
            self.assertEqual(len(self.at_work(pool, 3)), 3)
            results = pool.map_async(square, range(2000), 3)
            pool.processes = 1
            self.assertEqual(results.get(TIMEOUT), [x * x for x in range(2000)])
            watched.wait_exits(2)
            self.assertEqual(watched.reasons, ['shrunk'] * 2)
            self.assertEqual(watched.started, 3)
            self.assertEqual(told, [3, 1])
            self.assertEqual(len(set(pool.map(pid, range(50)))), 1)

    def test_under_load(self):
        with Mp.Pool(2) as pool:
            for i in range(12):
                results = pool.imap(square, range(300))
                pool.processes = 1 + i % 3
                self.assertEqual(list(results), [x * x for x in range(300)])

    def test_idle(self):
        with Mp.Pool(2, idle_timeout=0.01) as pool:
            watched = Watched(pool)
            self.assertEqual((pool.processes, pool.min_processes, pool.idle_timeout), (2, 0, 0.01))
            first = pool.apply(pid)
            watched.wait_exits(1)
            second = pool.apply(pid)
            self.assertNotEqual(first, second)
            watched.wait_exits(2)
            self.assertEqual((watched.started, watched.reasons), (2, ['idle'] * 2))
            pool.min_processes = 2
            watched.wait(lambda: watched.started == 4, 'two that stay')
            pool.idle_timeout = None
            self.assertIsNone(pool.idle_timeout)

    def test_replaced(self):
        with Mp.Pool(1, worker_max_growth=32 << 20) as pool:
            watched = Watched(pool)
            first = pool.apply(pid)
            self.assertEqual(pool.apply(grow, (1,)), first)
            self.assertEqual(pool.apply(grow, (64,)), first)
            watched.wait_exits(1)
            self.assertEqual(watched.reasons, ['too large'])
            self.assertNotEqual(pool.apply(pid), first)
            pool.worker_max_growth = None
            pool.worker_max_age = 0.001
            watched.wait_exits(2)
            self.assertEqual(watched.reasons[1], 'too old')

    def test_rate(self):
        with Mp.Pool(1, maxtasksperchild=1, max_start_rate=1000) as pool:
            self.assertEqual(pool.max_start_rate, 1000)
            self.assertEqual(len(set(pool.map(pid, range(4), 1))), 4)
            pool.max_start_rate = None
            self.assertIsNone(pool.max_start_rate)

    def test_nested(self):
        with Mp.Pool(2) as pool:
            self.assertEqual(pool.apply(nested), 3)
            pool.processes = 3
            self.assertEqual(pool.apply(nested), 2)
            pool.processes = None
            self.assertEqual(pool.processes, 6)

    def test_refused(self):
        for arguments in ({'min_processes': -1}, {'idle_timeout': -1}, {'worker_max_age': -0.1},
                          {'worker_max_growth': 0}, {'worker_max_growth': 1 << 64}, {'worker_max_growth': float('inf')},
                          {'max_start_rate': float('nan')}):
            with self.assertRaises(ValueError):
                Mp.Pool(1, **arguments)
        with Mp.Pool(1) as pool:
            for name, value in (('processes', 0), ('processes', 1 << 20), ('min_processes', -1), ('idle_timeout', -1),
                                ('worker_max_age', float('nan')), ('worker_max_growth', -5), ('max_start_rate', 0)):
                with self.assertRaises(ValueError, msg=name):
                    setattr(pool, name, value)
            with self.assertRaises(TypeError):
                pool.processes = 'many'
            self.assertEqual(pool.processes, 1)


if __name__ == '__main__':
    support.main()
