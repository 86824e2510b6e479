# test_control.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks that are called off while they run, and that tell how far they are."""

import os
import select
import signal
import tempfile
import time
import unittest

import support

import gi
gi.require_version('Mp', '1')
from gi.repository import Gio, GLib, Mp  # noqa: E402

TIMEOUT = support.TIMEOUT


def mark(path):
    with open(path, 'w'):
        pass


def spin(path, ignores=False):
    if ignores:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mark(path)
    while True:
        pass


def ask(path):
    """Looks whether it is still wanted."""
    call = Mp.Invocation.get_current()
    mark(path)
    support.wait_until(call.is_cancelled)
    mark(path + '-told')


def wait_for_it(path):
    """Is told by its cancellable, in a wait that knows nothing else."""
    cancellable = Mp.Invocation.get_current().get_cancellable()
    mark(path)
    select.select([cancellable.get_fd()], [], [])
    mark(path + '-told')


def report(n):
    call = Mp.Invocation.get_current()
    for i in range(1, n + 1):
        call.report(i / n, GLib.Variant('(is)', (i, 'steps')))
    return n


def time_left():
    deadline = Mp.Invocation.get_current().get_deadline()
    return deadline if deadline < 0 else deadline - GLib.get_monotonic_time()


def pid():
    return os.getpid()


class ControlTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'file')
        self.pool = Mp.Pool(1)
        self.pool.props.cancel_grace_us = 1000
        self.pool.props.terminate_grace_us = 1000
        self.addCleanup(self.pool.join)
        self.addCleanup(self.pool.terminate)

    def start(self, func, *args, **options):
        call = self.pool.submit(func, self.path, *args, options=Mp.TaskOptions(**options) if options else None)
        # The pool works while somebody waits for something of it.
        while not os.path.exists(self.path):
            call.wait(0.005)
        return call

    def test_running(self):
        for ignores in False, True:
            before = self.pool.apply(pid)
            call = self.start(spin, ignores)
            self.assertTrue(call.future.cancel())
            self.assertFalse(call.future.cancel())
            self.assertEqual(call.future.get_state(), Mp.FutureState.CANCELLED)
            self.assertNotEqual(self.pool.apply(pid), before)
            os.unlink(self.path)

    def test_cancellable(self):
        cancellable = Gio.Cancellable()
        before = self.pool.apply(pid)
        call = self.start(spin, cancellable=cancellable)
        cancellable.cancel()
        self.assertEqual(call.future.get_state(), Mp.FutureState.CANCELLED)
        self.assertNotEqual(self.pool.apply(pid), before)

    def test_told(self):
        self.pool.props.cancel_grace_us = int(TIMEOUT * 1e6)
        before = self.pool.apply(pid)
        for func in ask, wait_for_it:
            call = self.start(func)
            self.assertTrue(call.future.cancel())
            self.assertEqual(self.pool.apply(pid), before)
            self.assertTrue(os.path.exists(self.path + '-told'))
            os.unlink(self.path)
            os.unlink(self.path + '-told')

    def test_deadline(self):
        options = Mp.TaskOptions(run_timeout_us=int(TIMEOUT * 1e6))
        self.assertTrue(0 < self.pool.submit(time_left, options=options).get(TIMEOUT) <= TIMEOUT * 1e6)
        self.assertEqual(self.pool.submit(time_left).get(TIMEOUT), -1)

    def test_progress(self):
        seen = []
        call = self.pool.submit(report, 20000)
        call.future.connect('progress', lambda future, fraction, value: seen.append((fraction, value.unpack())))
        begin = time.monotonic()
        self.assertEqual(call.get(TIMEOUT), 20000)
        support.wait_until(lambda: call.wait(0) or len(seen) > 0 and seen[-1][0] == 1.0)
        self.assertEqual(seen[-1], (1.0, (20000, 'steps')))
        self.assertEqual(seen, sorted(seen))
        self.assertLessEqual(len(seen), (time.monotonic() - begin) / 0.016 + 2)
        self.assertEqual(call.future.get_fraction(), 1.0)


if __name__ == '__main__':
    support.main()
