# test_options.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls with options, and functions that may be run twice."""

import functools
import os
import signal
import tempfile
import unittest

import support

import gi
gi.require_version('Mp', '1')
from gi.repository import Gio, GLib, Mp  # noqa: E402

TIMEOUT = support.TIMEOUT


def square(x):
    return x * x


def is_worker():
    return Mp.is_worker()


def add(a, b=0):
    return a + b


def wait_for(path):
    support.wait_until(lambda: os.path.exists(path), path)


def note(path, text):
    with open(path, 'a') as stream:
        stream.write(text)


def spin_for_ever():
    while True:
        pass


def _tries(path, n):
    """Dies until it has been tried @n times."""
    note(path, 'x')
    if os.path.getsize(path) < n:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.path.getsize(path)


@Mp.idempotent(attempts=3)
def third_time(path):
    return _tries(path, 3)


@Mp.idempotent
def second_time(path):
    return _tries(path, 2)


def never_again(path):
    return _tries(path, 2)


class BytesTest(unittest.TestCase):
    def test_bytes(self):
        for data in b'', b'\0', b'\0\xffx' * 1000:
            value = Mp.blob_new_bytes(data)
            self.assertEqual(value.get_type_string(), 'ay')
            self.assertEqual(Mp.blob_get_bytes(value), data)
        self.assertFalse(Mp.blob_get_bytes(GLib.Variant('s', 'xyz')))


class SettersTest(unittest.TestCase):
    """What has a property has functions, too."""

    def test_options(self):
        options = Mp.TaskOptions()
        cancellable = Gio.Cancellable()
        for name, value in (('priority', -3), ('queue_timeout_us', 5), ('run_timeout_us', 6), ('max_attempts', 7),
                            ('idempotent', True), ('name', 'a name'), ('cancellable', cancellable)):
            getattr(options, 'set_' + name)(value)
            self.assertEqual(getattr(options, 'get_' + name)(), value)
            self.assertEqual(options.get_property(name.replace('_', '-')), value)

    def test_pool(self):
        with Mp.Pool(1) as pool:
            pool.set_max_queued(7)
            self.assertEqual(pool.props.max_queued, 7)
            pool.set_list_tasks(True)
            self.assertTrue(pool.props.list_tasks)
            workers = pool.get_workers()
            self.assertEqual(workers[0].get_busy_time(), 0)

    def test_attributes(self):
        with Mp.Pool(1) as pool:
            pool.max_queued = 9
            self.assertEqual(pool.get_max_queued(), 9)
            self.assertEqual(pool.max_queued, 9)
            pool.list_tasks = True
            self.assertTrue(pool.get_list_tasks())
            with self.assertRaisesRegex(ValueError, 'n_workers must be from 0 to 65536, not -1'):
                pool.n_workers = -1
            self.assertEqual(pool.processes, 1)
            self.assertEqual(pool.n_running, 0)
            with self.assertRaises(AttributeError):
                pool.n_running = 1
        context = Mp.Context()
        context.worker_argv = ['one', 'two']
        self.assertEqual(context.props.worker_argv, ['one', 'two'])

    def test_numbers_out_of_bounds(self):
        options = Mp.TaskOptions(priority=4)
        self.assertEqual(options.priority, 4)
        options.run_timeout_us = 12
        self.assertEqual(options.get_run_timeout_us(), 12)
        with self.assertRaisesRegex(ValueError, 'run_timeout_us must be from -1 to'):
            options.run_timeout_us = -2
        self.assertEqual(options.get_run_timeout_us(), 12)
        with self.assertRaisesRegex(ValueError, 'max_attempts must be from'):
            Mp.TaskOptions(max_attempts=-1)
        with self.assertRaises(TypeError):
            Mp.TaskOptions(no_such_property=1)

    def test_surroundings(self):
        self.assertFalse(Mp.is_worker())
        with Mp.Pool(1) as pool:
            self.assertTrue(pool.apply(is_worker))
        self.assertGreaterEqual(Mp.get_n_cpus(), Mp.get_n_usable_cpus())
        self.assertGreaterEqual(Mp.get_n_usable_cpus(), 1)
        self.assertFalse(Mp.function_is_registered('unheard-of'))
        self.assertTrue(Mp.function_is_registered('python-task'))


class OptionsTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'file')
        self.pool = Mp.Pool(1)
        self.addCleanup(self.pool.join)
        self.addCleanup(self.pool.terminate)

    def test_submit(self):
        self.assertEqual(self.pool.submit(add, 3, b=4).get(TIMEOUT), 7)
        self.assertEqual(self.pool.submit(square, 3, options=Mp.TaskOptions(name='nine')).get(TIMEOUT), 9)
        with self.assertRaises(Mp.NoSuchFunctionError):
            self.pool.submit('no such function', 1).get(TIMEOUT)
        self.pool.close()
        with self.assertRaises(ValueError):
            self.pool.submit(square, 3)

    def test_priority(self):
        order = self.path + '-order'
        blocker = self.pool.submit(wait_for, self.path)
        support.wait_until(lambda: blocker.future.get_state() == Mp.FutureState.RUNNING)
        calls = [self.pool.submit(note, order, text, options=Mp.TaskOptions(priority=priority))
                 for text, priority in (('c', -1), ('b', 0), ('a', 5))]
        note(self.path, '')
        for call in calls:
            call.get(TIMEOUT)
        with open(order) as stream:
            self.assertEqual(stream.read(), 'abc')

    def test_deadlines(self):
        running = self.pool.submit(spin_for_ever, options=Mp.TaskOptions(run_timeout_us=50000))
        waiting = self.pool.submit(square, 1, options=Mp.TaskOptions(queue_timeout_us=0))
        for call, name in (running, 'spin_for_ever'), (waiting, 'square'):
            with self.assertRaisesRegex(Mp.TimeoutError, '“%s.%s”' % (__name__, name)):
                call.get(TIMEOUT)
        self.assertEqual(self.pool.submit(square, 3).get(TIMEOUT), 9)

    def test_idempotent(self):
        for n, call in enumerate((
                lambda path: self.pool.apply(third_time, (path,)),
                lambda path: self.pool.submit(third_time, path).get(TIMEOUT),
                lambda path: self.pool.submit(functools.partial(third_time, path)).get(TIMEOUT),
                lambda path: self.pool.try_submit(third_time, path).get(TIMEOUT),
                lambda path: self.pool.map(third_time, [path])[0],
                lambda path: self.pool.map_async(third_time, [path]).get(TIMEOUT)[0],
                lambda path: next(self.pool.imap(third_time, [path])))):
            self.assertEqual(call(self.path + str(n)), 3)

    def test_bad_idempotent(self):
        with self.assertRaisesRegex(TypeError, 'idempotent.. takes a function'):
            Mp.idempotent(5)

    def test_attempts_are_bounded(self):
        options = Mp.TaskOptions(max_attempts=2, name='given')
        with self.assertRaises(Mp.WorkerDiedError):
            self.pool.submit(third_time, self.path, options=options).get(TIMEOUT)
        self.assertFalse(options.get_idempotent())
        with self.assertRaises(Mp.WorkerDiedError):
            self.pool.apply(never_again, (self.path + '2',))
        with self.assertRaises(ValueError):
            Mp.idempotent(attempts=0)

    def test_executor(self):
        with Mp.ProcessPoolExecutor(1, heal=True) as executor:
            self.assertEqual(executor.submit(second_time, self.path).result(TIMEOUT), 2)
            self.assertIsInstance(executor.submit(never_again, self.path + '2').exception(TIMEOUT), Mp.WorkerDiedError)


if __name__ == '__main__':
    support.main()
