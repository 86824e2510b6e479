# _mp_imap.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The iterators of imap(), as multiprocessing has them, over Mp.ResultIter."""

import collections
import itertools
import time

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')

# How long input is read before what has been read is handed over, in seconds; and how many items at most.
_READING = 0.001
_MOST_READ = 16


def read_some(iterable, most):
    """Reads the first items. An iterable of all, and whether there are less than @most."""
    iterator = iter(iterable)
    items = []
    try:
        for item in itertools.islice(iterator, most):
            items.append(item)
    except Exception as exc:
        return _with_failure(items, exc), True
    return itertools.chain(items, iterator), len(items) < most


def _with_failure(items, failure):
    yield from items
    raise failure


class _Part:
    """Items that were handed over together."""

    def __init__(self, iterator, items):
        self.iterator = iterator
        self.items = items
        self.n_left = len(items)


class HandedOver:
    """The input of an imap, taken some at a time so that one without an end is no trouble, and its running parts."""

    def __init__(self, submit, iterable, n_workers):
        self._submit = submit            # (list of items) → Mp.ResultIter
        self._input = iter(iterable)
        self._failure = None             # what the input raised: comes at its place
        self._least = 2 * n_workers
        self._size = max(16, 8 * n_workers)
        self._parts = collections.deque()
        self._n_pending = 0
        self._feed()

    def _feed(self):
        """Starts more when less than half a part is on its way; of input that comes slowly no more than is needed."""
        is_slow = False
        while self._input is not None and self._n_pending * 2 <= self._size:
            if is_slow and self._n_pending >= self._least:
                break
            items, is_slow = self._take()
            if not items:
                break
            self._parts.append(_Part(self._submit(items), items))
            self._n_pending += len(items)
            self._size = min(self._size * 2, 4096)

    def _take(self):
        items = []
        until = time.monotonic() + _READING
        try:
            for item in self._input:
                items.append(item)
                if len(items) == self._size:
                    return items, False
                if time.monotonic() > until:
                    return items, True
        except Exception as exc:
            self._failure = exc
        self._input = None
        return items, False

    def current(self):
        """The iterator to take the next results from; None at the end."""
        return self._parts[0].iterator if self._parts else None

    def taken(self, index):
        """One more result has been taken: the item that it is of."""
        part = self._parts[0]
        item, part.items[index] = part.items[index], None
        part.n_left -= 1
        self._n_pending -= 1
        if part.n_left == 0:
            self._parts.popleft()
        return item

    def went_on(self):
        self._feed()

    def end(self, everything=False):
        """There is nothing more; @everything: nor of what is left."""
        if everything:
            self._input = None
            self._parts.clear()

    def raise_failure(self):
        """Raises what the input ended with."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def failure_at(self, _index):
        return None


class Asked:
    """The input of an imap, given item by item as the pool asks for it.

    Not what holds Mp.ResultIter, because the library holds this."""

    class _Source:
        def __init__(self, iterable, pack):
            self.input = iter(iterable)
            self.pack = pack
            self.read = collections.deque()
            self.out = {}          # the items whose results have not been taken
            self.n_given = 0
            self.failure = None    # what the input raised, or what could not be pickled

        def next(self, *_data):
            if not self.read and self.failure is None and self.input is not None:
                self._read()
            if not self.read:
                if self.failure is not None:
                    raise GLib.Error('the input failed', errors.MP_DOMAIN, int(_Mp.Error.FAILED))
                return None
            item = self.read.popleft()
            try:
                variant = self.pack(item)
            except Exception as exc:
                self.failure = exc
                self.read.clear()
                raise GLib.Error('an item cannot be sent', errors.MP_DOMAIN, int(_Mp.Error.FAILED))
            self.out[self.n_given] = item
            self.n_given += 1
            return variant

        def _read(self):
            until = time.monotonic() + _READING
            try:
                with _mp_call.user_code():
                    for item in self.input:
                        self.read.append(item)
                        if len(self.read) == _MOST_READ or time.monotonic() > until:
                            return
            except BaseException as exc:
                self.failure = exc
            self.input = None

    def __init__(self, iterable, pack):
        self._source = self._Source(iterable, pack)
        self._over = False
        self.iterator = None

    def items(self):
        return _Mp.Items.new_for_func(self._source.next)

    def current(self):
        return None if self._over else self.iterator

    def taken(self, index):
        return self._source.out.pop(index, None)

    def went_on(self):
        pass

    def end(self, everything=False):
        self._over = True

    def raise_failure(self):
        pass

    def failure_at(self, index):
        """What the input raised, if item @index is where."""
        return self._source.failure if index == self._source.n_given else None


class IMapIterator:
    """The results of imap() and imap_unordered(), one by one; also for `async for` under asyncio.

    An item that failed raises its exception, and the next call gives the next item."""

    def __init__(self, pool, calls, decode, chunked=False, function=None):
        self._pool = pool
        self._calls = calls              # HandedOver or Asked
        self._function = function
        self._decode = decode            # of a variant; None: results are pickles
        self._chunked = chunked          # whether a result is one of several items
        self._ready = collections.deque()    # (True, value) or (False, exception)
        self._turn = None                # of those who await it

    def __iter__(self):
        return self

    def __aiter__(self):
        return self

    def _arrived(self, variant):
        """@variant: a batch of results; None at the end of an iterator."""
        if variant is None:
            self._calls.end()
            return
        unpack = values.unpack_batch if self._decode is None else values.unpack_variants
        for index, success, outcome in unpack(variant):
            item = self._calls.taken(index)
            if not success:
                self._failed(index, item, *outcome)
                continue
            try:
                value = values.loads(*outcome) if self._decode is None else self._decode(outcome)
            except Exception as exc:
                self._ready.append((False, exc))
                continue
            if self._chunked:
                self._ready.extend(_outcomes(*value))
            else:
                self._ready.append((True, value))

    def _failed(self, index, item, error, details):
        """All items of a chunk have failed with it, so that next() goes on counting the items."""
        exc = self._calls.failure_at(index)
        if exc is None:
            exc = errors.translate(error, details, self._function, self._pool.own_initializer)
        n_items = len(item) if self._chunked and item is not None else 1
        self._ready.extend([(False, exc)] * n_items)

    def _ended(self, error):
        """The pool has come to its end before the results did."""
        self._calls.end(True)
        self._ready.append((False, errors.translate(error, None, self._function, self._pool.own_initializer)))

    def _pop(self):
        success, value = self._ready.popleft()
        if success:
            return value
        raise value

    def next(self, timeout=None):
        """The next result, or the exception of the call raised. TimeoutError after @timeout seconds without it."""
        while not self._ready:
            iterator = self._calls.current()
            if iterator is None:
                self._calls.raise_failure()
                raise StopIteration
            try:
                variant = _mp_call.blocking(_Mp.ResultIter.next_batch, iterator, 0, timeout=timeout)
            except GLib.Error as exc:
                error = exc
            else:
                error = None
                self._arrived(variant)
            if error is not None:
                if errors._is_io(error, errors.IO_TIMED_OUT):
                    raise errors.TimeoutError()
                self._ended(error)
            self._calls.went_on()
        return self._pop()

    __next__ = next

    async def __anext__(self):
        import asyncio
        if self._turn is None:
            self._turn = asyncio.Lock()
        async with self._turn:
            while not self._ready:
                iterator = self._calls.current()
                if iterator is None:
                    self._calls.raise_failure()
                    raise StopAsyncIteration
                await _mp_asyncio.wait(
                    lambda cancellable, done: _Mp.ResultIter.next_batch_async(iterator, 0, cancellable, done),
                    lambda result: self._finish_next(iterator, result))
                self._calls.went_on()
        return self._pop()

    def _finish_next(self, iterator, result):
        try:
            variant = _Mp.ResultIter.next_batch_finish(iterator, result)
        except GLib.Error as error:
            self._ended(error)
        else:
            self._arrived(variant)


def _outcomes(results, failures):
    """The outcomes of a chunk: the results, and what failed by its place."""
    outcomes = [(True, value) for value in results]
    for index, (details, text) in failures.items():
        outcomes[index] = (False, errors.from_details(details, text))
    return outcomes


def collect_chunks(pool, function, parts):
    """The list of results of a map of @function that came in @parts: (Mp.ResultIter, number of its chunks). Raises the
    first error, by its place, when all have come to their end."""
    chunks, failures = [], {}
    for iterator, n_chunks in parts:
        base, n_left = len(chunks), n_chunks
        chunks += [()] * n_chunks
        while n_left > 0:
            try:
                variant = _mp_call.blocking(_Mp.ResultIter.next_batch, iterator, 0)
            except GLib.Error as error:
                failures[len(chunks) - n_left] = errors.translate(error, None, function, pool.own_initializer)
                break
            if variant is None:
                break
            for index, success, outcome in values.unpack_batch(variant):
                n_left -= 1
                try:
                    if not success:
                        raise errors.translate(*outcome, function, pool.own_initializer)
                    if not failures:
                        chunks[base + index] = values.loads(*outcome)
                except Exception as exc:
                    failures[base + index] = exc
    if failures:
        raise failures[min(failures)]
    return list(itertools.chain.from_iterable(chunks))
