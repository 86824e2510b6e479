# _mp_result.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""AsyncResult and the iterators of imap(), as multiprocessing has them, over Mp.Future and Mp.ResultIter."""

import collections
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
        """Calls it off, also when it runs: True when that decides its end, which is CancelledError of concurrent.futures."""
        self._cancelled = self._outcome is None and _Mp.Future.cancel(self._future) or self._cancelled
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
        if error is not None:
            self._outcome = (False, errors.translate(error, _Mp.Future.dup_error_details(self._future),
                                                    self._function, self._pool.own_initializer))
            self._function = None
            return
        self._function = None
        try:
            self._outcome = (True, self._decode(variant))
        except Exception as exc:
            self._outcome = (False, exc)

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
            try:
                variant, error = _mp_call.blocking(_Mp.Future.get, self._future, timeout=timeout), None
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

    def cancel(self):
        """Calls it off, running or not. True when this has decided its end; get() raises what a cancelled call does."""
        return self._future is not None and self._outcome is None and _Mp.Future.cancel(self._future)

    def __await__(self):
        return self._await().__await__()

    async def _await(self):
        if self._outcome is None:
            future = self._future
            try:
                await _mp_asyncio.wait(lambda cancellable, done: _Mp.Future.wait_async(future, cancellable, done),
                                       lambda result: _Mp.Future.wait_finish(future, result))
            except errors.PoolTerminatedError:
                pass
        return self.get()


ApplyResult = MapResult = AsyncResult


class _Batches:
    """The input of an imap, taken some at a time so that one without an end is no trouble, and its running parts."""

    def __init__(self, pool, submit, iterable):
        self._submit = submit            # (list of items) → Mp.ResultIter
        self._input = iter(iterable)
        self._failure = None             # what the input raised: comes at its place
        self._size = max(16, 8 * pool.get_n_workers())
        self._running = collections.deque()   # (Mp.ResultIter, the items whose results have not been taken)
        self._n_pending = 0
        self.feed()

    def feed(self):
        """Starts more when less than half a batch is on its way."""
        while self._input is not None and self._n_pending * 2 <= self._size:
            items = self._take()
            if not items:
                break
            self._running.append((self._submit(items), collections.deque(items)))
            self._n_pending += len(items)
            self._size = min(self._size * 2, 4096)

    def _take(self):
        items = []
        try:
            for item in self._input:
                items.append(item)
                if len(items) == self._size:
                    return items
        except Exception as exc:
            self._failure = exc
        self._input = None
        return items

    def current(self):
        """The iterator to take the next result from; None at the end."""
        while self._running and not self._running[0][1]:
            self._running.popleft()
        return self._running[0][0] if self._running else None

    def taken(self):
        """One more result has been taken: the item that it is of, if the order is kept."""
        item = self._running[0][1].popleft()
        self._n_pending -= 1
        self.feed()
        return item

    def end(self):
        """Raises what the input ended with."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


class IMapIterator:
    """The results of imap() and imap_unordered(), one by one; also for `async for` under asyncio.

    An item that failed raises its exception, and the next call gives the next item."""

    def __init__(self, pool, submit, iterable, decode, chunked=False, ordered=True, function=None):
        self._pool = pool
        self._function = function
        self._decode = decode
        self._chunked = chunked          # whether a result is one of several items, from decode_outcomes()
        self._ordered = ordered
        self._ready = collections.deque()    # (True, value) or (False, exception)
        self._batches = _Batches(pool, submit, iterable)

    def __iter__(self):
        return self

    def __aiter__(self):
        return self

    def _arrived(self, variant):
        self._batches.taken()
        if self._chunked:
            self._ready.extend(self._decode(variant))
        else:
            self._ready.append((True, self._decode(variant)))

    def _failed(self, error):
        """All items of a chunk have failed with it, so that next() goes on counting the items."""
        item = self._batches.taken()
        n_items = len(item) if self._chunked and self._ordered else 1
        exc = errors.translate(error, None, self._function, self._pool.own_initializer)
        self._ready.extend([(False, exc)] * n_items)

    def _pop(self):
        success, value = self._ready.popleft()
        if success:
            return value
        raise value

    def next(self, timeout=None):
        """The next result, or the exception of the call raised. TimeoutError after @timeout seconds without it."""
        if self._ready:
            return self._pop()
        iterator = self._batches.current()
        if iterator is None:
            self._batches.end()
            raise StopIteration
        try:
            variant = _mp_call.blocking(_Mp.ResultIter.next, iterator, timeout=timeout)
        except GLib.Error as exc:
            error = exc
        else:
            error = None
            self._arrived(variant)
        if error is not None:
            if errors._is_io(error, errors.IO_TIMED_OUT):
                raise errors.TimeoutError()
            self._failed(error)
        return self._pop()

    __next__ = next

    async def __anext__(self):
        if self._ready:
            return self._pop()
        iterator = self._batches.current()
        if iterator is None:
            self._batches.end()
            raise StopAsyncIteration
        await _mp_asyncio.wait(
            lambda cancellable, done: _Mp.ResultIter.next_async(iterator, cancellable, done),
            lambda result: self._finish_next(iterator, result))
        return self._pop()

    def _finish_next(self, iterator, result):
        try:
            variant = _Mp.ResultIter.next_finish(iterator, result)
        except GLib.Error as error:
            self._failed(error)
        else:
            self._arrived(variant)


def decode_blob(variant):
    """The value of one result of a pickled function."""
    return values.loads(*values.unpack(variant))


def decode_chunks(variant):
    """The list of results of a map: each element holds those of one chunk."""
    results = []
    for data, objects in values.unpack_array(variant):
        results.extend(values.loads(data, objects))
    return results


def collect_chunks(pool, function, parts):
    """The list of results of a map of @function that came in @parts: (Mp.ResultIter, number of its chunks). Raises the
    first error, by its place, when all have come to their end."""
    results, failure = [], None
    for iterator, n_chunks in parts:
        for _ in range(n_chunks):
            try:
                variant = _mp_call.blocking(_Mp.ResultIter.next, iterator)
                if failure is None:
                    results.extend(decode_blob(variant))
            except GLib.Error as error:
                failure = failure or errors.translate(error, None, function, pool.own_initializer)
            except Exception as exc:
                failure = failure or exc
    if failure is not None:
        raise failure
    return results


def decode_outcomes(variant):
    """The outcomes of a chunk of imap(): the results, and what failed by its place."""
    results, failures = decode_blob(variant)
    outcomes = [(True, value) for value in results]
    for index, (details, text) in failures.items():
        outcomes[index] = (False, errors.from_details(details, text))
    return outcomes
