# _mp_futures.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that ask for room in a pool's queue, and results as they come to their end."""

import asyncio
import collections
import queue
import time

from gi.repository import Gio, GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_function
from . import _mp_pickle as values
from . import _mp_worker as worker
from ._mp_result import AsyncResult, decode_blob

_Mp = get_introspection_module('Mp')


class Bounded:
    """What Pool has beyond multiprocessing.Pool for those who have more calls than should wait at one time."""

    def _make(self, func, args, kwds):
        """Name, argument, and how to decode the result, of a call."""
        self._check_running()
        if isinstance(func, str):
            variant, is_plain = _mp_function.call_variant(args, kwds)
            return func, variant, values.plain if is_plain else _same
        return self._task, values.pack(*self._head(func, worker.APPLY).dumps((args, kwds))), decode_blob

    def _result(self, future, decode, func):
        return AsyncResult(self, future, decode, function=None if isinstance(func, str) else func)

    def submit(self, func, /, *args, options=None, **kwds):
        """Calls func (*args, **kwds) in a worker; an AsyncResult.

        @options: an Mp.TaskOptions, with priority, deadlines and so on."""
        name, variant, decode = self._make(func, args, kwds)
        options = _mp_function.options_for(func, options)
        future = _mp_call.plain(_Mp.Pool.submit_with, self, name, variant, options)
        return self._result(future, decode, func)

    def try_submit(self, func, /, *args, options=None, **kwds):
        """Calls func (*args, **kwds) in a worker; an AsyncResult. queue.Full when max_queued calls wait already.

        @options: an Mp.TaskOptions."""
        name, variant, decode = self._make(func, args, kwds)
        try:
            future = _Mp.Pool.try_submit(self, name, variant, _mp_function.options_for(func, options))
        except GLib.Error as error:
            exc = queue.Full() if errors.is_mp(error, _Mp.Error.FULL) else errors.translate(error)
        else:
            return self._result(future, decode, func)
        raise exc

    async def submit_async(self, func, /, *args, options=None, **kwds):
        """Calls func (*args, **kwds) in a worker as soon as fewer than max_queued calls wait; an AsyncResult.

        To be awaited under asyncio. A wait that is cancelled drops the call."""
        name, variant, decode = self._make(func, args, kwds)
        options = _mp_function.options_for(func, options)
        future = await _mp_asyncio.wait(
            lambda cancellable, done: _Mp.Pool.submit_async(self, name, variant, options, cancellable, done),
            self._finish_submit, self._undo_submit)
        return self._result(future, decode, func)

    def _finish_submit(self, result):
        try:
            return _Mp.Pool.submit_finish(self, result)
        except GLib.Error as error:
            if not errors._is_io(error, Gio.IOErrorEnum.CLOSED):
                raise
        raise ValueError('Pool not running')

    def _undo_submit(self, result):
        try:
            _Mp.Pool.submit_finish(self, result).cancel()
        except GLib.Error:
            pass


def _same(variant):
    return variant


class as_completed:
    """The results of @results, Mp.AsyncResults or Mp.Futures of whatever pools, as they come to their end: each of them
    once, the one that ends first first. For `for`, and for `async for` under asyncio.

    TimeoutError when not all have ended @timeout seconds after the call."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, results, timeout=None):
        self._end = None if timeout is None else time.monotonic() + timeout
        self._settled = collections.deque()   # those whose outcome was known at once
        self._results = {}                    # future: what was given for it
        self._list = _Mp.FutureList()
        for result in dict.fromkeys(results):
            future = result.future if isinstance(result, AsyncResult) else result
            if future is None:
                self._settled.append(result)
            else:
                self._results[future] = result
                self._list.add(future)

    def __iter__(self):
        return self

    def __aiter__(self):
        return self

    def _left(self):
        return None if self._end is None else max(0, self._end - time.monotonic())

    def __next__(self):
        if self._settled:
            return self._settled.popleft()
        future = _mp_call.call(_Mp.FutureList.next_done, self._list, timeout=self._left())
        if future is None:
            raise StopIteration
        return self._results[future]

    async def __anext__(self):
        if self._settled:
            return self._settled.popleft()
        future = await self._await_next()
        if future is None:
            raise StopAsyncIteration
        return self._results[future]

    async def _await_next(self):
        futures = self._list
        coroutine = _mp_asyncio.wait(
            lambda cancellable, done: _Mp.FutureList.next_done_async(futures, cancellable, done),
            lambda result: _Mp.FutureList.next_done_finish(futures, result),
            self._undo_next)
        try:
            return await asyncio.wait_for(coroutine, self._left())
        except asyncio.TimeoutError:
            pass
        raise errors.TimeoutError()

    def _undo_next(self, result):
        try:
            future = _Mp.FutureList.next_done_finish(self._list, result)
        except GLib.Error:
            return
        if future is not None:
            self._settled.append(self._results[future])
