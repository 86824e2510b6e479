# _mp_executor.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""ProcessPoolExecutor as concurrent.futures has it, over Mp.Pool."""

import asyncio
import itertools
import operator
import time
import weakref

from concurrent.futures import Executor
from concurrent.futures import Future as _Future
from concurrent.futures import _base
from concurrent.futures.process import BrokenProcessPool

from . import _mp_context
from . import _mp_worker as worker
from ._mp_manager import Manager, Settings, Work


class ExecutorFuture(_Future):
    """What ProcessPoolExecutor.submit() gives: a concurrent.futures.Future that can also be awaited under asyncio."""

    __module__ = 'gi.overrides.Mp'

    _work = None   # what it stands for, until that has come to its end

    def cancel(self, running=False):
        """Cancels the call, unless it is running already; with @running even then, and its worker is made to stop.

        True when the call is cancelled."""
        if super().cancel():
            return True
        if not running:
            return False
        with self._condition:
            if self._state != _base.RUNNING:
                return self._state in (_base.CANCELLED, _base.CANCELLED_AND_NOTIFIED)
            self._state = _base.CANCELLED_AND_NOTIFIED
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            self._condition.notify_all()
            work = self._work
        self._invoke_callbacks()
        if work is not None:
            work.stop()
        return True

    def __await__(self):
        return self._await().__await__()

    async def _await(self):
        try:
            return await asyncio.wrap_future(self)
        except asyncio.CancelledError:
            self.cancel(running=True)
            raise


def _result_of(future, timeout=None):
    """The result of one future of a map; one that is not waited for to its end is cancelled."""
    try:
        try:
            return future.result(timeout)
        finally:
            future.cancel()
    finally:
        del future   # or the exception would refer to itself by way of this frame


def _flatten(results):
    """The results of chunks one by one; keeps no reference to what it has given."""
    for chunk in results:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


def _batched(iterable, size):
    if type(iterable) in (list, tuple, range):
        return (iterable[i:i + size] for i in range(0, len(iterable), size))
    iterator = iter(iterable)
    return iter(lambda: tuple(itertools.islice(iterator, size)), ())


def _check_settings(max_workers, context, initializer, max_tasks_per_child):
    if max_workers is not None and operator.index(max_workers) <= 0:
        raise ValueError('max_workers must be greater than 0')
    if initializer is not None and not callable(initializer):
        raise TypeError('initializer must be a callable')
    if max_tasks_per_child is None:
        return
    if not isinstance(max_tasks_per_child, int):
        raise TypeError('max_tasks_per_child must be an integer')
    if max_tasks_per_child <= 0:
        raise ValueError('max_tasks_per_child must be >= 1')
    if context is not None and context.get_start_method(allow_none=True) == 'fork':
        raise ValueError("max_tasks_per_child is incompatible with the 'fork' start method; "
                         'supply a different mp_context.')


def _own_context(context):
    """A context of multiprocessing stands for ours with the same start method."""
    if context is None or isinstance(context, _mp_context.Context) or not hasattr(context, 'get_start_method'):
        return context
    return _mp_context.get_context(context.get_start_method(allow_none=True))


class ProcessPoolExecutor(Executor):
    """As concurrent.futures.ProcessPoolExecutor; its futures are real ones, which can be awaited as well.

    A worker that dies breaks it, as in CPython: all that is pending fails with BrokenProcessPool. With @heal=True it
    fails the one call that it was running, with WorkerDiedError, and is replaced.

    Callbacks of futures run in a thread of the executor. What is called, and its arguments, are pickled there shortly
    before it is sent to a worker."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=(), *, max_tasks_per_child=None,
                 heal=False):
        context = _own_context(mp_context)
        _check_settings(max_workers, context, initializer, max_tasks_per_child)
        settings = Settings(max_workers, context, initializer, initargs, max_tasks_per_child, heal)
        self._manager = manager = Manager(settings)
        # Not a bound method: the thread must not keep the executor.
        self._finalizer = weakref.finalize(self, manager.shut_down)
        self._finalizer.atexit = False

    def submit(self, fn, /, *args, **kwargs):
        """Calls fn (*args, **kwargs) in a worker; an ExecutorFuture."""
        return self._submit_body(fn, worker.APPLY, (args, kwargs))

    def _submit_body(self, fn, mode, body):
        future = ExecutorFuture()
        self._manager.submit(Work(future, fn, mode, body))
        return future

    def map(self, fn, *iterables, timeout=None, chunksize=1, buffersize=None):
        """An iterator of the results of fn for each item, in order.

        @timeout: in seconds from now, for each result. @chunksize: how many items make one task. @buffersize: the most
        tasks whose results have not been taken yet; the input is read as there is room; None for all of it at once."""
        if chunksize < 1:
            raise ValueError('chunksize must be >= 1.')
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError('buffersize must be an integer or None')
        if buffersize is not None and buffersize < 1:
            raise ValueError('buffersize must be None or > 0')
        end_time = None if timeout is None else time.monotonic() + timeout
        star = len(iterables) != 1
        items = zip(*iterables) if star else iterables[0]
        if chunksize > 1:
            bodies = iter(_batched(items, chunksize))
            return _flatten(self._map(fn, worker.STARMAP if star else worker.MAP, bodies, end_time, buffersize))
        if star:
            return self._map(fn, worker.APPLY, ((args, {}) for args in items), end_time, buffersize)
        return self._map(fn, worker.SINGLE, iter(items), end_time, buffersize)

    def _map(self, fn, mode, bodies, end_time, buffersize):
        futures = [self._submit_body(fn, mode, body) for body in itertools.islice(bodies, buffersize)]
        reference = weakref.ref(self) if buffersize else lambda: None
        return _results(reference, fn, mode, bodies, futures, end_time)

    def shutdown(self, wait=True, *, cancel_futures=False):
        """No more calls; those that were accepted are done, or with @cancel_futures those that have begun."""
        self._manager.shut_down(cancel_futures)
        if wait:
            self._manager.join()

    def terminate_workers(self):
        """Ends the workers at once, by SIGTERM, and by SIGKILL those that it does not end in a fifth of a second; all
        that is pending fails. Nothing can be called after it."""
        self._manager.force_down()

    def kill_workers(self):
        """The same as terminate_workers()."""
        self._manager.force_down()

    async def shutdown_async(self, *, cancel_futures=False):
        """As shutdown(), to be awaited under asyncio."""
        self._manager.shut_down(cancel_futures)
        await asyncio.wrap_future(self._manager.ended())

    async def __aenter__(self):
        return self

    async def __aexit__(self, exc_type, exc_value, exc_tb):
        await self.shutdown_async()

    def __reduce_ex__(self, protocol):
        raise NotImplementedError('executors cannot be passed between processes or pickled')


def _results(reference, fn, mode, bodies, futures, end_time):
    """The results of a map, as concurrent.futures gives them: what is not taken any more is cancelled."""
    nothing = object()
    try:
        futures.reverse()
        while futures:
            executor = reference()
            if executor is not None:
                body = next(bodies, nothing)
                if body is not nothing:
                    futures.insert(0, executor._submit_body(fn, mode, body))
                del executor
            if end_time is None:
                yield _result_of(futures.pop())
            else:
                yield _result_of(futures.pop(), end_time - time.monotonic())
    finally:
        for future in futures:
            future.cancel()


__all__ = ['BrokenProcessPool', 'ExecutorFuture', 'ProcessPoolExecutor']
