# _mp_condition.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Condition as multiprocessing has it."""

import operator
import time

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_sync as sync

_Mp = get_introspection_module('Mp')

_MOST = 0xffffffff


def _translate(error, message):
    return AssertionError(message) if errors.is_mp(error, _Mp.Error.NOT_OWNER) else errors.translate(error)


class Condition(sync.Shared, _Mp.Condition):
    """Where processes wait for a change of what a lock protects.

    As multiprocessing.Condition; but it travels in anything that is sent to another process, together with its lock, and
    no death leaves the others waiting: then wait() may return without a notification. A lock that is given is a Lock or an
    RLock of this library. A signal that ends a wait is handled when the lock is had again."""

    __module__ = 'gi.overrides.Mp'

    _kept = None   # what the lock is in Python

    def __init__(self, lock=None, *, isolated=False):
        if lock is not None and not isinstance(lock, (_Mp.Lock, _Mp.RLock)):
            raise TypeError('the lock of a Condition is a Lock or an RLock of this library, not %s' % type(lock).__name__)
        super().__init__(lock=lock, isolated=isolated)

    @property
    def _lock(self):
        if self._kept is None:
            self._kept = _Mp.Condition.get_lock(self)
        return self._kept

    def acquire(self, block=True, timeout=None):
        """Acquires the lock."""
        return self._lock.acquire(block, timeout)

    async def acquire_async(self):
        """As acquire() without a timeout, to be awaited under asyncio."""
        return await self._lock.acquire_async()

    def release(self):
        """Releases the lock."""
        self._lock.release()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *args):
        return self._lock.__exit__(*args)

    async def __aenter__(self):
        return await self._lock.__aenter__()

    async def __aexit__(self, *args):
        return await self._lock.__aexit__(*args)

    def wait(self, timeout=None):
        """Waits for a notification; whether one came, by the time that @timeout seconds are over.

        AssertionError for one who does not have the lock, which is given up and had again when this returns or raises.
        """
        timeout = _mp_call.at_least_zero(timeout)
        try:
            return _mp_call.blocking(_Mp.Condition.wait, self, timeout=timeout)
        except GLib.Error as error:
            exc = _translate(error, 'must acquire() condition before using wait()')
        if isinstance(exc, errors.TimeoutError):
            return False
        raise exc

    def wait_for(self, predicate, timeout=None):
        """Waits until @predicate () is true; its last result, which is not true when @timeout seconds were over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        result = predicate()
        while not result:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def _finish(self, result):
        try:
            return _Mp.Condition.wait_finish(self, result)
        except GLib.Error as error:
            if not errors.is_mp(error, _Mp.Error.NOT_OWNER):
                raise
        raise AssertionError('must acquire() condition before using wait_async()')

    def _pass_on(self, result):
        """The task that was to be notified does nothing any more; it has the lock."""
        try:
            if _Mp.Condition.wait_finish(self, result):
                self.notify()
        except GLib.Error:
            pass

    async def wait_async(self):
        """As wait() without a timeout, to be awaited under asyncio.

        A task that is cancelled ends when it has the lock again. Tasks of one asyncio loop are one thread, which an RLock
        does not keep apart: for several of them give the condition a Lock."""
        return await _mp_asyncio.wait_to_end(
            lambda cancellable, done: _Mp.Condition.wait_async(self, cancellable, done), self._finish, self._pass_on)

    async def wait_for_async(self, predicate):
        """As wait_for() without a timeout, to be awaited under asyncio."""
        result = predicate()
        while not result:
            await self.wait_async()
            result = predicate()
        return result

    def notify(self, n=1):
        """Releases @n of those who wait now. AssertionError for one who does not have the lock."""
        n = max(0, min(operator.index(n), _MOST))
        try:
            _Mp.Condition.notify(self, n)
            return
        except GLib.Error as error:
            exc = _translate(error, 'lock is not owned')
        raise exc

    def notify_all(self):
        """Releases all who wait now."""
        self.notify(_MOST)

    def __repr__(self):
        return '<%s(%s, %s)>' % (type(self).__name__, self._lock, _Mp.Condition.get_n_waiting(self))
