#!/usr/bin/env python3
# test_pool_view.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What a pool shows of itself to a user interface."""

import functools
import os
import tempfile
import time
import unittest
from concurrent.futures import CancelledError

from gi.repository import Gio
from gi.repository import GLib
from gi.repository import Mp

import support


def square(x):
    return x * x


def parity(x):
    if x % 2:
        raise KeyError(x)
    return x


class Parity:
    def __call__(self, x):
        return parity(x)

    def of(self, x):
        return parity(x)


@Mp.idempotent
def twice(x):
    return parity(x)


def wait_for(path):
    support.wait_until(lambda: os.path.exists(path), path)
    return os.getpid()


def turn_until(condition, what):
    """Runs the main context until @condition () holds; what is told at frame rate is told soon."""
    context = GLib.MainContext.default()
    deadline = time.monotonic() + support.TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError('waited in vain for ' + what)
        context.iteration(False)
        time.sleep(0.001)  # between two looks at the condition


class TestPoolView(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.gate = os.path.join(self.directory.name, 'gate')

    def tearDown(self):
        self.directory.cleanup()

    def open_gate(self):
        open(self.gate, 'w').close()

    def test_counts(self):
        with Mp.Pool(1) as pool:
            told = []
            pool.connect('notify::fraction', lambda pool, _pspec: told.append(pool.props.fraction))
            waiting = pool.apply_async(wait_for, (self.gate,))
            others = pool.map_async(square, range(10), chunksize=2)
            self.assertEqual(pool.props.n_queued + pool.props.n_running, 6)
            turn_until(lambda: pool.props.n_running == 1, 'a task that runs')
            self.assertEqual((pool.props.n_queued, pool.props.n_done, pool.props.n_failed), (5, 0, 0))
            self.assertEqual(pool.props.fraction, 0)
            self.open_gate()
            waiting.get()
            self.assertEqual(others.get(), [x * x for x in range(10)])
            self.assertEqual((pool.props.n_queued, pool.props.n_running, pool.props.n_done), (0, 0, 6))
            turn_until(lambda: told and told[-1] == 1, 'the last of the fractions')
            self.assertEqual(told, sorted(told))

    def test_failures(self):
        with Mp.Pool(2) as pool:
            for x in range(4):
                self.assertEqual(isinstance(_outcome(pool.apply_async(parity, (x,))), KeyError), x % 2 == 1)
            self.assertEqual((pool.props.n_done, pool.props.n_failed), (2, 2))
            # A chunk is done when it was carried out, whatever became of its items.
            outcomes = pool.imap(parity, range(4), chunksize=2)
            self.assertEqual([next(outcomes), self.assertRaises(KeyError, next, outcomes), next(outcomes),
                              self.assertRaises(KeyError, next, outcomes)], [0, None, 2, None])
            self.assertEqual((pool.props.n_done, pool.props.n_failed), (4, 2))
            pool.close()
            pool.join()

    def test_statistics(self):
        with Mp.Pool(2) as pool:
            pool.map(square, range(100), chunksize=1)
            statistics = pool.dup_statistics()
            self.assertEqual(statistics['n-done'], 100)
            self.assertEqual(statistics['n-queued'], 0)
            self.assertEqual(statistics['fraction'], 1)
            self.assertLessEqual(statistics['run-time-median'], statistics['run-time-p99'])
            self.assertLessEqual(statistics['waiting-time-p99'], statistics['age'])
            self.assertGreater(statistics['waiting-time-mean'], 0)
            self.assertTrue(0 <= statistics['utilisation'] <= 1)

    def test_workers(self):
        with Mp.Pool(2) as pool:
            workers = pool.get_workers()
            self.assertIsInstance(workers, Gio.ListModel)
            self.assertEqual([worker.props.number for worker in workers], [0, 1])
            self.assertEqual(pool.props.workers, workers)
            waiting = pool.apply_async(wait_for, (self.gate,))
            turn_until(lambda: Mp.WorkerState.RUNNING in [worker.props.state for worker in workers], 'one at work')
            busy = next(worker for worker in workers if worker.props.state == Mp.WorkerState.RUNNING)
            self.assertIsNotNone(busy.props.current_task)
            self.assertGreater(busy.get_task_start_time(), 0)
            self.open_gate()
            self.assertEqual(waiting.get(), busy.props.pid)
            turn_until(lambda: busy.props.n_tasks_done == 1, 'the end of its task')
            pool.terminate()
            pool.join()
            turn_until(lambda: len(workers) == 0, 'the end of the workers')
            self.assertEqual(busy.props.state, Mp.WorkerState.ENDED)

    def test_tasks(self):
        with Mp.Pool(1) as pool:
            pool.props.list_tasks = True
            tasks = pool.get_tasks()
            changes = []
            tasks.connect('items-changed', lambda tasks, *change: changes.append((len(tasks), *change)))
            waiting = pool.apply_async(wait_for, (self.gate,))
            other = pool.apply_async(square, (3,))
            turn_until(lambda: len(tasks) == 2, 'two tasks')
            self.assertTrue(all(isinstance(task, Mp.Future) for task in tasks))
            turn_until(lambda: tasks[0].props.state == Mp.FutureState.RUNNING, 'the first one')
            self.assertEqual(tasks[1].props.state, Mp.FutureState.QUEUED)
            self.open_gate()
            waiting.get()
            self.assertEqual(other.get(), 9)
            turn_until(lambda: len(tasks) == 0, 'their end')
            n = 0
            for length, _position, removed, added in changes:
                n += added - removed
                self.assertEqual(n, length)

    def test_names(self):
        """Tasks go by the names of their own functions, not by that of the library's which runs them."""
        for backend in (Mp.Backend.PROCESSES, Mp.Backend.THREADS):
            with self.subTest(backend), Mp.Pool(1, backend=backend) as pool:
                self.check_names(pool)
                os.unlink(self.gate)

    def check_names(self, pool):
        failed = []
        pool.connect('task-failed', lambda _pool, name, *_rest: failed.append(name))
        waiting = pool.apply_async(wait_for, (self.gate,))
        workers = pool.get_workers()
        worker = workers[0]
        turn_until(lambda: worker.props.current_task is not None, 'a task')
        self.assertEqual(worker.props.current_task, __name__ + '.wait_for')
        results = [
            (pool.apply_async(functools.partial(parity, 3)), '.parity'),
            (pool.submit(parity, 5), '.parity'),
            (pool.submit(parity, 7, options=Mp.TaskOptions(priority=-1)), '.parity'),
            (pool.submit(parity, 9, options=Mp.TaskOptions(priority=-2, name='nine')), 'nine'),
            (pool.submit(twice, 11, options=Mp.TaskOptions(priority=-3)), '.twice'),
            (pool.map_async(Parity(), range(3), chunksize=3), '.Parity'),
            (pool.map_async(Parity().of, [1], chunksize=1), '.Parity.of'),
        ]
        results = [(result, __name__ + name if name.startswith('.') else name) for result, name in results]
        for result, name in results:
            self.assertEqual(result.future.props.name, name)
        self.open_gate()
        waiting.get()
        for result, _name in results:
            self.assertIsInstance(_outcome(result), KeyError)
        turn_until(lambda: len(failed) == len(results), 'as many signals as failures')
        self.assertEqual(sorted(failed), sorted(name for _result, name in results))

    def test_cancel(self):
        with Mp.Pool(1) as pool:
            seen = []
            waiting = pool.apply_async(wait_for, (self.gate,))
            queued = pool.apply_async(square, (3,), error_callback=seen.append)
            self.assertTrue(queued.cancel())
            self.assertTrue(queued.cancel())
            with self.assertRaises(CancelledError):
                queued.get()
            self.assertIsInstance(seen[0], CancelledError)
            self.assertFalse(queued.successful())
            self.assertEqual(pool.dup_statistics()['n-cancelled'], 1)
            self.open_gate()
            waiting.wait()
            self.assertFalse(waiting.cancel())
            self.assertGreater(waiting.get(), 0)


def _outcome(result):
    try:
        return result.get()
    except KeyError as error:
        return error


if __name__ == '__main__':
    support.main()
