# _mp_result.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""AsyncResult as multiprocessing has it, over Mp.Future."""

import threading

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')


class AsyncResult:
    """What a call of Pool that does not wait gives: the result that is to come. Can be awaited under asyncio."""

    def __init__(self, pool, future, decode, callback=None, error_callback=None, function=None):
        self._pool = pool
        self._future = future
        self._decode = decode
        self._function = function   # what was called, if not by a name
        self._outcome = None     # (True, value) or (False, exception)
        self._cancelled = False
        self._callback = callback
        self._error_callback = error_callback
        self._thread = threading.get_ident()
        if future is not None and (callback or error_callback):
            pool._waiting.add(self)
            _Mp.Future.get_async(future, None, self._done_cb)

    @classmethod
    def settled(cls, pool, success, value, callback=None, error_callback=None):
        """One whose outcome is known at once."""
        self = cls(pool, None, None, callback, error_callback)
        self._outcome = (success, value)
        if callback or error_callback:
            pool._waiting.add(self)
            GLib.idle_add(self._idle_cb)
        return self

    @property
    def future(self):
        """The Mp.Future behind it; None when the outcome was known at once."""
        return self._future

    def cancel(self):
        """Calls it off, also when it runs: its worker is made to stop. True when it is cancelled: get() then raises the
        CancelledError of concurrent.futures."""
        if self._outcome is None and not self._cancelled:
            self._cancelled = _Mp.Future.cancel(self._future)
        return self._cancelled

    def cancelled(self):
        """Whether it was called off."""
        return self._cancelled

    def is_settled(self):
        """Whether the outcome is known here, without a look."""
        return self._outcome is not None

    def _idle_cb(self):
        if self in self._pool._waiting:
            self.notify()
        return GLib.SOURCE_REMOVE

    def _done_cb(self, future, result, *_data):
        try:
            variant, error = _Mp.Future.get_finish(future, result), None
        except GLib.Error as exc:
            variant, error = None, exc
        self._settle(variant, error)
        self.notify()

    def _settle(self, variant, error):
        """Makes the outcome, once, of what the library gave."""
        if self._outcome is not None:
            return
        if self._cancelled:
            from concurrent.futures import CancelledError
            self._outcome = (False, CancelledError())
            return
        function, self._function = self._function, None
        if error is not None:
            self._outcome = (False, self._exception(error, function))
            return
        try:
            self._outcome = (True, self._decode(variant))
        except Exception as exc:
            self._outcome = (False, exc)

    def _exception(self, error, function):
        if errors._is_io(error, errors.IO_TIMED_OUT):
            # Of the call, not of a wait for it.
            return errors.TimeoutError(errors.named(error.message, function))
        details = _Mp.Future.dup_error_details(self._future)
        return errors.translate(error, details, function, self._pool.own_initializer)

    def notify(self):
        """Calls the callback that is due, once."""
        callbacks = self._callback, self._error_callback
        self._callback = self._error_callback = None
        self._pool._waiting.discard(self)
        success, value = self._outcome
        function = callbacks[0 if success else 1]
        if function is not None:
            _mp_call.run_callback(function, value)

    def _fetch(self, timeout):
        """Waits for the outcome; raises TimeoutError when there is none by then."""
        if self._outcome is None:
            # What is there needs no wait, nor what a wait needs for signals.
            blocking = _get_now if _Mp.Future.is_ready(self._future) else _mp_call.blocking
            try:
                variant, error = blocking(_Mp.Future.get, self._future, timeout=timeout), None
            except GLib.Error as exc:
                if errors._is_io(exc, errors.IO_TIMED_OUT) and not _Mp.Future.is_ready(self._future):
                    raise errors.TimeoutError() from None
                variant, error = None, exc
            self._settle(variant, error)
        if (self._callback or self._error_callback) and self._thread == threading.get_ident():
            self.notify()

    def get(self, timeout=None):
        """The result, or the exception of the call raised. TimeoutError after @timeout seconds without it."""
        self._fetch(timeout)
        success, value = self._outcome
        if success:
            return value
        raise value

    def wait(self, timeout=None):
        """Waits until the call has come to its end, at most @timeout seconds."""
        try:
            self._fetch(timeout)
        except errors.TimeoutError:
            pass

    def ready(self):
        """Whether the call has come to its end."""
        if self._outcome is None:
            self.wait(0)
        return self._outcome is not None

    def successful(self):
        """Whether it did without an exception. ValueError when it has not come to its end."""
        if not self.ready():
            raise ValueError('{0!r} not ready'.format(self))
        return self._outcome[0]

    def __await__(self):
        return self._await().__await__()

    async def _await(self):
        """An await that is cancelled calls off what it waits for, as asyncio does with its own futures."""
        if self._outcome is None:
            future = self._future
            try:
                await _mp_asyncio.wait(lambda cancellable, done: _Mp.Future.wait_async(future, cancellable, done),
                                       lambda result: _Mp.Future.wait_finish(future, result))
            except errors.PoolTerminatedError:
                pass
            except BaseException:
                self.cancel()
                raise
        return self.get()


def _get_now(function, future, timeout):
    return function(future, 0, None)


ApplyResult = MapResult = AsyncResult


def decode_blob(variant):
    """The value of one result of a pickled function."""
    return values.loads(*values.unpack(variant))


def decode_chunks(variant):
    """The list of results of a map: each element holds those of one chunk."""
    results = []
    for data, objects in values.unpack_array(variant):
        results.extend(values.loads(data, objects))
    return results
