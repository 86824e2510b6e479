# _mp_lock.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Lock as multiprocessing has it."""

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_sync as sync

_Mp = get_introspection_module('Mp')

_try_acquire = _Mp.Lock.try_acquire
_release = _Mp.Lock.release
_is_locked = _Mp.Lock.is_locked
_holder = sync.holder
_at_least_zero = _mp_call.at_least_zero


class Lock(sync.Abandonable, _Mp.Lock):
    """A lock between processes, which any process or thread may release.

    As multiprocessing.Lock; but it travels in anything that is sent to another process, and the death of the process
    that holds it frees it: `abandoned` then tells the next ones. `isolated` gives it memory of its own, so that it may
    be sent to processes that are not this program's own."""

    __module__ = 'gi.overrides.Mp'

    _library = _Mp.Lock

    # As the inherited one, but shorter: it is called most.
    def acquire(self, block=True, timeout=None):
        """Acquires the lock; whether that was possible, by the time that @timeout seconds are over.

        A negative timeout is none at all. A lock whose owner has died is acquired at once."""
        if timeout is not None:
            timeout = _at_least_zero(timeout)
        if not _try_acquire(self) and not self._wait(timeout if block else 0):
            return False
        self._holder = _holder()
        return True

    def _wait(self, timeout):
        if timeout == 0 and _is_locked(self):
            return False
        return super()._wait(timeout)

    def release(self):
        """Releases the lock, whoever holds it. ValueError when nobody does."""
        self._holder = None
        try:
            _release(self)
            return
        except GLib.Error as error:
            exc = errors.translate(error)
            if errors.is_mp(error, _Mp.Error.NOT_OWNER):
                exc = ValueError('semaphore or lock released too many times')
        raise exc

    def _owner(self):
        return sync.holder_name(self._holder) if _is_locked(self) else 'None'

    def __repr__(self):
        return '<%s(owner=%s)>' % (type(self).__name__, self._owner())
