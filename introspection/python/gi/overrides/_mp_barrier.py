# _mp_barrier.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Barrier as multiprocessing has it."""

import operator
import threading

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_sync as sync

_Mp = get_introspection_module('Mp')

_MOST = 16383


def _act(barrier, action):
    """For the library: whether the action succeeded. What it raised comes out of the wait that it was called for."""
    try:
        with _mp_call.user_code():
            action()
        return True
    except BaseException as exc:
        barrier._failure = exc
        return False


def _restore(reduced, args, action, timeout):
    barrier = reduced(*args)
    barrier._equip(action, timeout)
    return barrier


class Barrier(sync.Shared, _Mp.Barrier):
    """A place at which processes wait for each other.

    As multiprocessing.Barrier; but it travels in anything that is sent to another process, with its action and its
    timeout, and it breaks when a process dies for which the others would wait."""

    __module__ = 'gi.overrides.Mp'

    _action = None
    _timeout = None    # of wait(), if that is not given another
    _failure = None    # what the action raised

    def __init__(self, parties, action=None, timeout=None, *, isolated=False):
        parties = operator.index(parties)
        if not 0 < parties <= _MOST:
            raise ValueError('parties must be from 1 to %d, not %d' % (_MOST, parties))
        super().__init__(parties=parties, isolated=isolated)
        self._equip(action, timeout)

    def _equip(self, action, timeout):
        _mp_call.microseconds(timeout)
        if action is not None and not callable(action):
            raise TypeError('action must be callable or None, not %s' % type(action).__name__)
        self._action = action
        self._timeout = timeout
        if action is not None:
            _Mp.Barrier.set_action(self, _act, action)

    def __reduce_ex__(self, protocol):
        reduced, args = super().__reduce_ex__(protocol)
        if self._action is None and self._timeout is None:
            return reduced, args
        return _restore, (reduced, args, self._action, self._timeout)

    @property
    def parties(self):
        """How many have to come."""
        return _Mp.Barrier.get_parties(self)

    @property
    def n_waiting(self):
        """How many have come and wait."""
        return _Mp.Barrier.get_n_waiting(self)

    @property
    def broken(self):
        """Whether nobody can come before a reset()."""
        return _Mp.Barrier.is_broken(self)

    def wait(self, timeout=None):
        """Waits until all have come; a number from 0 to parties - 1, another one for each.

        BrokenBarrierError when the barrier is broken, which it is by a wait that lasts longer than @timeout seconds."""
        if timeout is None:
            timeout = self._timeout
        timeout = _mp_call.at_least_zero(timeout)
        index = None

        def wait(*args):
            nonlocal index
            _all, index = _Mp.Barrier.wait(self, *args)

        try:
            _mp_call.blocking(wait, timeout=timeout)
            return index
        except GLib.Error as error:
            exc = self._translate(error)
        except BaseException:
            if index is None:
                self._break()
            raise
        raise exc

    async def wait_async(self):
        """As wait() without a timeout, to be awaited under asyncio. The barrier breaks when the task is cancelled."""
        return await _mp_asyncio.wait(lambda cancellable, done: _Mp.Barrier.wait_async(self, cancellable, done),
                                      self._finish)

    def _finish(self, result):
        try:
            return _Mp.Barrier.wait_finish(self, result)[1]
        except GLib.Error as error:
            exc = self._translate(error)
        raise exc

    def _translate(self, error):
        if errors.is_mp(error, _Mp.Error.FAILED) and self._failure is not None:
            exc, self._failure = self._failure, None
            return exc
        exc = errors.translate(error)
        if isinstance(exc, errors.TimeoutError):
            exc = threading.BrokenBarrierError(error.message)
        return exc

    def _break(self):
        """A signal's handler has raised in a wait: that is over, and will not be gone on with."""
        try:
            _Mp.Barrier.abort(self)
            _Mp.Barrier.wait(self, 0, None)
        except GLib.Error:
            pass

    def reset(self):
        """Makes the barrier whole and empty; BrokenBarrierError for those who wait."""
        _mp_call.plain(_Mp.Barrier.reset, self)

    def abort(self):
        """Breaks the barrier."""
        _mp_call.plain(_Mp.Barrier.abort, self)

    def __repr__(self):
        state = 'broken' if self.broken else 'waiters=%d/%d' % (self.n_waiting, self.parties)
        return '<%s at %#x: %s>' % (type(self).__qualname__, id(self), state)
