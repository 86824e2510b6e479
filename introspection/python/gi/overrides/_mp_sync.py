# _mp_sync.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Semaphore, BoundedSemaphore, RLock and Event as multiprocessing has them, and what they share with Lock."""

import errno
import operator
import os
import threading

from multiprocessing import process as mp_process

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')

_RELEASED_TOO_OFTEN = 'semaphore or lock released too many times'

_pid = os.getpid()


def _after_fork():
    global _pid
    _pid = os.getpid()


os.register_at_fork(after_in_child=_after_fork)


def holder():
    """Process and thread of the caller."""
    return _pid, threading.get_ident()


def holder_name(of):
    """What multiprocessing calls @of, a holder or None, when something is held."""
    if of is None or of[0] != _pid:
        return 'SomeOtherProcess'
    if of[1] != threading.get_ident():
        return 'SomeOtherThread'
    name = mp_process.current_process().name
    thread = threading.current_thread().name
    return name if thread == 'MainThread' else name + '|' + thread


class Shared:
    """What travels to other processes."""

    @property
    def isolated(self):
        """Whether it shares no memory with other objects."""
        return self.get_property('isolated')

    def __reduce_ex__(self, protocol):
        return values.reduce_shareable(self)


class Acquirable(Shared):
    """What can be acquired and released. _library is the class of the library, which the class is derived from."""

    _holder = None    # process and thread that have acquired it by this object
    _n_awaiting = 0   # calls of acquire_async() that wait

    def acquire(self, block=True, timeout=None):
        """Acquires it; whether that was possible, by the time that @timeout seconds are over.

        A negative timeout is none at all. What a process holds that has died is free."""
        timeout = _mp_call.at_least_zero(timeout)
        if not self._library.try_acquire(self) and not self._wait(timeout if block else 0):
            return False
        self._holder = holder()
        return True

    def _wait(self, timeout):
        """One that has got it and is left by a signal's handler does not keep it."""
        taken = False

        def acquire(*args):
            nonlocal taken
            taken = self._library.acquire(self, *args)

        try:
            _mp_call.call(acquire, timeout=timeout)
        except errors.TimeoutError:
            pass
        except BaseException:
            if taken:
                self._library.release(self)
            raise
        return taken

    async def acquire_async(self):
        """As acquire() without a timeout, to be awaited under asyncio."""
        # Those that wait come first.
        if not self._may_try() or not self._library.try_acquire(self):
            self._n_awaiting += 1
            try:
                await _mp_asyncio.wait(lambda cancellable, done: self._library.acquire_async(self, cancellable, done),
                                       lambda result: self._library.acquire_finish(self, result), self._give_back)
            finally:
                self._n_awaiting -= 1
        self._holder = holder()
        return True

    def _may_try(self):
        return not self._n_awaiting

    def _give_back(self, result):
        """The task that awaited it was cancelled, and it may have been acquired none the less."""
        try:
            self._library.acquire_finish(self, result)
            self._library.release(self)
        except GLib.Error:
            pass

    def __enter__(self):
        return self.acquire()

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.release()

    async def __aenter__(self):
        return await self.acquire_async()

    async def __aexit__(self, exc_type, exc_value, exc_tb):
        self.release()


class Abandonable(Acquirable):
    """A lock, which the death of its holder leaves abandoned."""

    def __init__(self, *, isolated=False):
        super().__init__(isolated=isolated)

    def locked(self):
        """Whether some process holds the lock."""
        return self._library.is_locked(self)

    @property
    def abandoned(self):
        """Whether an owner has died while it held the lock: what it protects may be half done."""
        return self._library.is_abandoned(self)

    def mark_consistent(self):
        """Says that what the lock protects is right again. RuntimeError for one who does not hold the lock."""
        _mp_call.plain(self._library.mark_consistent, self)


def _translate_release(error, codes, exc):
    return exc if any(errors.is_mp(error, code) for code in codes) else errors.translate(error)


class RLock(Abandonable, _Mp.RLock):
    """A lock between processes that belongs to a thread, which may acquire it again.

    As multiprocessing.RLock; and as Lock it travels in anything, and is `abandoned` when its owner dies. Tasks of one
    asyncio loop are one thread: what one of them has acquired, all have."""

    __module__ = 'gi.overrides.Mp'

    _library = _Mp.RLock

    def _may_try(self):
        return not self._n_awaiting or _Mp.RLock.get_depth(self) > 0

    def release(self):
        """Releases the lock once. AssertionError when this thread does not have it."""
        try:
            _Mp.RLock.release(self)
            return
        except GLib.Error as error:
            exc = _translate_release(error, [_Mp.Error.NOT_OWNER],
                                     AssertionError('attempt to release recursive lock not owned by thread'))
        raise exc

    def __repr__(self):
        depth = _Mp.RLock.get_depth(self)
        if depth:
            owner = holder_name(holder())
        elif not self.locked():
            owner = 'None'
        else:
            owner, depth = holder_name(self._holder), 'nonzero'
        return '<%s(%s, %s)>' % (type(self).__name__, owner, depth)


def _checked(value):
    """A number of units, or multiprocessing's exception."""
    value = operator.index(value)
    if value > 0x7fffffff:
        raise OverflowError('Python int too large to convert to C int')
    if value < 0:
        raise OSError(errno.EINVAL, 'semaphore creation: its value is at least 0, not %d' % value)
    return value


class Semaphore(Acquirable, _Mp.Semaphore):
    """A number of units that processes acquire and release.

    As multiprocessing.Semaphore; but it travels in anything that is sent to another process, and what a process has
    acquired comes back when it dies: unless it is a signal, which some process releases that has acquired nothing.
    @returns_units False says so from the beginning."""

    __module__ = 'gi.overrides.Mp'

    _library = _Mp.Semaphore

    def __init__(self, value=1, *, returns_units=True, isolated=False):
        super().__init__(value=_checked(value), returns_units=returns_units, isolated=isolated)

    def release(self):
        """Gives a unit back, or makes a new one. ValueError when there can be no more."""
        try:
            _Mp.Semaphore.release(self)
            return
        except GLib.Error as error:
            exc = _translate_release(error, [_Mp.Error.NOT_OWNER, _Mp.Error.TOO_LARGE], ValueError(_RELEASED_TOO_OFTEN))
        raise exc

    def get_value(self):
        """How many units there are to be acquired."""
        return _Mp.Semaphore.get_value(self)

    @property
    def returns_units(self):
        """Whether what a process has acquired comes back when it dies."""
        return _Mp.Semaphore.get_returns_units(self)

    def __repr__(self):
        return '<%s(value=%s)>' % (type(self).__name__, self.get_value())


class BoundedSemaphore(Semaphore, _Mp.BoundedSemaphore):
    """A semaphore that never has more units than at first."""

    __module__ = 'gi.overrides.Mp'

    def __repr__(self):
        return '<%s(value=%s, maxvalue=%s)>' % (type(self).__name__, self.get_value(),
                                                _Mp.BoundedSemaphore.get_maximum(self))


class Event(Shared, _Mp.Event):
    """A flag between processes, for which one can wait.

    As multiprocessing.Event; but it travels in anything that is sent to another process, no death of a process holds
    the others up, and whoever waits while it is set is released, also when it is cleared at once."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, *, isolated=False):
        super().__init__(isolated=isolated)

    def is_set(self):
        """Whether the event is set."""
        return _Mp.Event.is_set(self)

    def set(self):
        """Sets the event, and releases all who wait for it."""
        _mp_call.plain(_Mp.Event.set, self)

    def clear(self):
        """Takes the event back."""
        _mp_call.plain(_Mp.Event.clear, self)

    def wait(self, timeout=None):
        """Waits until the event is set; whether it was, by the time that @timeout seconds are over."""
        timeout = _mp_call.at_least_zero(timeout)
        try:
            return _mp_call.call(_Mp.Event.wait, self, timeout=timeout)
        except errors.TimeoutError:
            return False

    async def wait_async(self):
        """As wait() without a timeout, to be awaited under asyncio."""
        return await _mp_asyncio.wait(lambda cancellable, done: _Mp.Event.wait_async(self, cancellable, done),
                                      lambda result: _Mp.Event.wait_finish(self, result))

    def __repr__(self):
        return '<%s at %#x %s>' % (type(self).__qualname__, id(self), 'set' if self.is_set() else 'unset')
