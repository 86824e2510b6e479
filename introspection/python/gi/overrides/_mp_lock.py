# _mp_lock.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Lock as multiprocessing has it."""

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

_try_acquire = _Mp.Lock.try_acquire
_is_locked = _Mp.Lock.is_locked

_pid = os.getpid()


def _after_fork():
    global _pid
    _pid = os.getpid()


os.register_at_fork(after_in_child=_after_fork)


class Lock(_Mp.Lock):
    """A lock between processes, which any process or thread may release.

    As multiprocessing.Lock; but it travels in anything that is sent to another process, and the death of the process
    that holds it frees it: `abandoned` then tells the next ones. `isolated` gives it memory of its own, so that it may
    be sent to processes that are not this program's own."""

    __module__ = 'gi.overrides.Mp'

    _holder = None    # process and thread that have acquired it by this object
    _n_awaiting = 0   # calls of acquire_async() that wait

    def __init__(self, *, isolated=False):
        super().__init__(isolated=isolated)

    def acquire(self, block=True, timeout=None):
        """Acquires the lock; whether that was possible, by the time that @timeout seconds are over.

        A negative timeout is none at all. A lock whose owner has died is acquired at once."""
        if timeout is not None:
            timeout = max(0.0, timeout)
        if not _try_acquire(self) and not self._wait(timeout if block else 0):
            return False
        self._holder = _pid, threading.get_ident()
        return True

    def _wait(self, timeout):
        """One that has got the lock and is left by a signal's handler does not keep it."""
        if timeout == 0 and _is_locked(self):
            return False
        taken = False

        def acquire(*args):
            nonlocal taken
            taken = _Mp.Lock.acquire(self, *args)

        try:
            _mp_call.call(acquire, timeout=timeout)
        except errors.TimeoutError:
            pass
        except BaseException:
            if taken:
                _Mp.Lock.release(self)
            raise
        return taken

    def release(self):
        """Releases the lock, whoever holds it. ValueError when nobody does."""
        self._holder = None
        try:
            _Mp.Lock.release(self)
            return
        except GLib.Error as error:
            exc = errors.translate(error)
            if errors.is_mp(error, _Mp.Error.NOT_OWNER):
                exc = ValueError('semaphore or lock released too many times')
        raise exc

    def locked(self):
        """Whether some process holds the lock."""
        return _is_locked(self)

    @property
    def abandoned(self):
        """Whether an owner has died while it held the lock: what it protects may be half done."""
        return _Mp.Lock.is_abandoned(self)

    def mark_consistent(self):
        """Says that what the lock protects is right again. RuntimeError when this process does not hold the lock."""
        _mp_call.plain(_Mp.Lock.mark_consistent, self)

    @property
    def isolated(self):
        """Whether the lock shares no memory with other objects."""
        return self.get_property('isolated')

    async def acquire_async(self):
        """As acquire() without a timeout, to be awaited under asyncio."""
        # Those that wait come first.
        if self._n_awaiting or not _try_acquire(self):
            self._n_awaiting += 1
            try:
                await _mp_asyncio.wait(lambda cancellable, done: _Mp.Lock.acquire_async(self, cancellable, done),
                                       lambda result: _Mp.Lock.acquire_finish(self, result), self._give_back)
            finally:
                self._n_awaiting -= 1
        self._holder = _pid, threading.get_ident()
        return True

    def _give_back(self, result):
        """The task that awaited it was cancelled, and the lock may have been acquired none the less."""
        try:
            _Mp.Lock.acquire_finish(self, result)
        except GLib.Error:
            return
        _Mp.Lock.release(self)

    def __enter__(self):
        return self.acquire()

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.release()

    async def __aenter__(self):
        return await self.acquire_async()

    async def __aexit__(self, exc_type, exc_value, exc_tb):
        self.release()

    def _owner(self):
        if not _is_locked(self):
            return 'None'
        if self._holder is None or self._holder[0] != _pid:
            return 'SomeOtherProcess'
        if self._holder[1] != threading.get_ident():
            return 'SomeOtherThread'
        name = mp_process.current_process().name
        thread = threading.current_thread().name
        return name if thread == 'MainThread' else name + '|' + thread

    def __repr__(self):
        return '<%s(owner=%s)>' % (type(self).__name__, self._owner())

    def __reduce_ex__(self, protocol):
        return values.reduce_shareable(self)
