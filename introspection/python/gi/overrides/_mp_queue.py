# _mp_queue.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Queue, SimpleQueue and JoinableQueue as multiprocessing has them."""

import operator
import os
import pickle
import types

from itertools import starmap
from queue import Empty, Full

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_kept
from . import _mp_pickle as values
from . import _mp_plain as plain
from . import _mp_sync

_Mp = get_introspection_module('Mp')

# What bytes are: a pickle, what was put, or a plain value.
_PICKLE, _BYTES, _PLAIN = 1, 2, 3
_PROTOCOL = values.PROTOCOL
_MOST = (1 << 32) - 1
_MOST_BYTES = (1 << 63) - 1

# Looked up once: that takes as long as some calls.
_get_bytes = _Mp.blob_get_bytes
_get_length = _Mp.Queue.get_length
_get_tagged = _Mp.Queue.get_tagged
_put = _Mp.Queue.put
_put_tagged = _Mp.Queue.put_tagged
_dumps = pickle.dumps
_loads = pickle.loads


def _packed(obj, allow_pickle):
    """The bytes of @obj, and what they are; they cannot carry objects that have handles."""
    if type(obj) is bytes:
        return obj, _BYTES
    if not allow_pickle:
        data, handles = plain.dumps(obj)
        _refuse(handles)
        return data, _PLAIN
    try:
        return _dumps(obj, _PROTOCOL), _PICKLE
    except (TypeError, pickle.PicklingError):
        data, handles = values.dumps(obj)
    _refuse(handles)
    return data, _PICKLE


def _refuse(handles):
    if handles:
        raise TypeError('what is in a queue belongs to no process, so it cannot hold objects that processes share: '
                        'send them in the arguments of a process or through a connection')


class _ItemHandler:
    """A handler of the signal `item` that is told what was put; equals the program's own, for disconnect_by_func()."""

    def __init__(self, handler):
        self._handler = handler

    def __call__(self, queue, variant, tag, *data):
        return self._handler(queue, queue._value_of((variant, tag)), tag, *data)

    def __eq__(self, other):
        return self._handler == (other._handler if isinstance(other, _ItemHandler) else other)

    def __hash__(self):
        return hash(self._handler)


def _for_signal(name, handler):
    return _ItemHandler(handler) if name == 'item' and callable(handler) else handler


class EndOfQueueError(EOFError, Empty):
    """The queue is empty, and no process is left that could put something."""

    __module__ = 'gi.overrides.Mp'


class _Basic(_mp_kept.Keeper, _mp_sync.Shared):
    """What all queues do. A value that is no GLib.Variant goes through as a pickle, bytes as they are.

    An isolated queue may be shared with programs of others: it holds plain values, as the connections of listeners and
    clients do, see Connection; and allow_pickle."""

    _closed = 0      # the process in which close() was called
    _allows = None   # whether pickles are allowed, once that is known

    @property
    def allow_pickle(self):
        """Whether values are put as pickles, and those that are got are read; else they are plain values.

        At first it is so for queues that are not isolated. Who can put a pickle can do in a process that gets it
        whatever that can do itself."""
        if self._allows is None:
            self._allows = not self.get_property('isolated')
        return self._allows

    @allow_pickle.setter
    def allow_pickle(self, allow):
        self._allows = bool(allow)

    def _value_of(self, item):
        """What _get_tagged() gave, as what was put."""
        variant, tag = item
        if tag == _PICKLE:
            if not self.allow_pickle:
                raise errors.ProcessError('a pickle was in a queue in which they are not allowed, see allow_pickle')
            return _loads(_get_bytes(variant))
        if tag == _PLAIN:
            return plain.loads(_get_bytes(variant))
        return _get_bytes(variant) if tag == _BYTES else variant

    def _check(self):
        if self._closed and self._closed == os.getpid():
            raise ValueError('Queue %r is closed' % (self,))

    def _put(self, obj, timeout):
        if timeout is not None:
            _mp_call.microseconds(timeout)
        if isinstance(obj, GLib.Variant):
            self._call(_put, obj, timeout=timeout)
            return
        data, tag = _packed(obj, self.allow_pickle)
        try:
            _put_tagged(self, data, tag, 0, None)
            return
        except GLib.Error as error:
            if not errors.is_timeout(error):
                raise self._translate(error) from error
        self._call(_put_tagged, data, tag, timeout=timeout)

    def _get(self, timeout):
        if timeout is not None:
            _mp_call.microseconds(timeout)
        kept = self._make_kept() if self._kept is None else self._kept
        item = None
        try:
            if kept:
                item = self._take_kept()
            if item is None:
                item = self._get_item(timeout)
            return self._value_of(item)
        except BaseException as error:
            if item is not None:
                kept[:0] = (item,)
                self._drop_after(error, item)
                raise
            if not isinstance(error, GLib.Error):
                raise
            exc = self._translate(error)
        raise exc

    def _get_item(self, timeout):
        # Only if it is not in vain: PyGObject makes an error in Python, and a handler that raises there ruins it.
        if _get_length(self):
            try:
                item, = starmap(_get_tagged, ((self, 0, None),))
                return item
            except GLib.Error as error:
                if not errors.is_timeout(error):
                    raise
        return self._take(_get_tagged, timeout=timeout)

    def _call(self, function, *args, timeout):
        """A call with its time and a cancellable."""
        try:
            return _mp_call.blocking(function, self, *args, timeout=timeout)
        except GLib.Error as error:
            exc = self._translate(error)
        raise exc

    def _translate(self, error):
        if errors.is_timeout(error):
            return errors.TimeoutError()
        if error.domain == errors.IO_DOMAIN and error.code == errors.IO_CLOSED:
            return EndOfQueueError(error.message)
        return errors.translate(error)

    def connect(self, name, handler, *data):
        """As GObject.Object.connect(); the value that handlers of `item` get is what was put."""
        return super().connect(name, _for_signal(name, handler), *data)

    def connect_after(self, name, handler, *data):
        """As GObject.Object.connect_after(); and what is said of connect()."""
        return super().connect_after(name, _for_signal(name, handler), *data)

    def empty(self):
        """Whether nothing is in it."""
        return not self._kept and _get_length(self) == 0

    async def get_async(self):
        """As get() without a timeout, to be awaited under asyncio."""
        self._check()
        item = self._take_kept()
        if item is not None:
            return self._value_of(item)
        return self._value_of(await self._await(
            lambda cancellable, done: _Mp.Queue.get_tagged_async(self, cancellable, done),
            _Mp.Queue.get_tagged_finish, self._keep_result))

    async def put_async(self, obj):
        """As put() without a timeout, to be awaited under asyncio."""
        self._check()
        if isinstance(obj, GLib.Variant):
            await self._await(lambda cancellable, done: _Mp.Queue.put_async(self, obj, cancellable, done),
                              _Mp.Queue.put_finish)
            return
        data, tag = _packed(obj, self.allow_pickle)
        await self._await(
            lambda cancellable, done: _Mp.Queue.put_tagged_async(self, data, tag, cancellable, done),
            _Mp.Queue.put_tagged_finish)

    async def _await(self, begin, finish, undo=None):
        error = None

        def end(result):
            nonlocal error
            try:
                return finish(self, result)
            except GLib.Error as exc:
                error = exc

        result = await _mp_asyncio.wait(begin, end, undo)
        if error is not None:
            raise self._translate(error)
        return result

    def _keep_result(self, result):
        """The task that awaited it was cancelled, and an item may have been got none the less."""
        try:
            self._keep(_Mp.Queue.get_tagged_finish(self, result))
        except GLib.Error:
            pass

    def __aiter__(self):
        """All items to come, up to the end of all who might put one."""
        return self

    async def __anext__(self):
        try:
            return await self.get_async()
        except EOFError:
            raise StopAsyncIteration from None


class Queue(_Basic, _Mp.Queue):
    """A queue between processes of any picklable values, or of GLib.Variants.

    As multiprocessing.Queue; but there is no thread behind it: what put() has put is there when it returns, whoever
    dies then. It travels in anything that is sent to another process. get() raises EndOfQueueError, which
    is an EOFError and a queue.Empty, when it is empty and no process is left that could put something. It can be read
    with `async for`.

    @maxsize: how many items it holds at most; @max_bytes: how many bytes of them; 0: any number."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, maxsize=0, *, max_bytes=0, isolated=False):
        maxsize = max(0, min(operator.index(maxsize), _MOST))
        max_bytes = max(0, min(operator.index(max_bytes), _MOST_BYTES))
        super().__init__(max_items=maxsize, max_bytes=max_bytes, isolated=isolated)

    def put(self, obj, block=True, timeout=None):
        """Puts an item, and waits for room; queue.Full when there is none before @timeout seconds are over."""
        if self._closed:
            self._check()
        try:
            self._put(obj, timeout if block else 0)
            return
        except errors.TimeoutError:
            pass
        raise Full

    def get(self, block=True, timeout=None):
        """Gets the next item; queue.Empty when there is none by the time that @timeout seconds are over."""
        if self._closed:
            self._check()
        try:
            return self._get(timeout if block else 0)
        except errors.TimeoutError:
            pass
        raise Empty

    def put_nowait(self, obj):
        """put() without waiting."""
        self.put(obj, False)

    def get_nowait(self):
        """get() without waiting."""
        return self.get(False)

    def qsize(self):
        """How many items are in it."""
        return _get_length(self) + len(self._kept or ())

    def full(self):
        """Whether there is no room."""
        return _Mp.Queue.is_full(self)

    def close(self):
        """This process has no more use for it."""
        if not self._closed or self._closed != os.getpid():
            self._closed = os.getpid()
            _mp_call.plain(_Mp.Queue.close, self)

    def join_thread(self):
        """Does nothing, for what has been put is there: there is no thread. Only after close()."""
        assert self._closed, 'Queue %r not closed' % (self,)

    def cancel_join_thread(self):
        """Does nothing: there is no thread."""


class SimpleQueue(_Basic, _Mp.SimpleQueue):
    """A queue between processes without bounds. As multiprocessing.SimpleQueue; and what is said of Queue."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, *, isolated=False):
        super().__init__(isolated=isolated)

    def _check(self):
        if self._closed and self._closed == os.getpid():
            raise OSError('handle is closed')

    def put(self, obj):
        """Puts an item."""
        if self._closed:
            self._check()
        self._put(obj, None)

    def get(self):
        """Gets the next item, and waits for it."""
        if self._closed:
            self._check()
        return self._get(None)

    def empty(self):
        """Whether nothing is in it."""
        self._check()
        return super().empty()

    close = Queue.close

    __class_getitem__ = classmethod(types.GenericAlias)


class JoinableQueue(Queue, _Mp.JoinableQueue):
    """A queue that knows what has been worked off. As multiprocessing.JoinableQueue; and what is said of Queue.

    task_done() finishes the oldest item that this process has got. What a process has got and not finished when it
    dies is abandoned: join() raises WorkerDiedError until it was put back or given up."""

    __module__ = 'gi.overrides.Mp'

    def task_done(self):
        """Says that the oldest item that this process has got is finished. ValueError when there is none."""
        try:
            _Mp.JoinableQueue.task_done(self)
            return
        except GLib.Error as error:
            if errors.is_mp(error, _Mp.Error.NOT_OWNER):
                exc = ValueError('task_done() called too many times')
            else:
                exc = self._translate(error)
        raise exc

    def join(self, timeout=None):
        """Waits until all items that were ever put are finished; TimeoutError after @timeout seconds."""
        self._call(_Mp.JoinableQueue.join, timeout=timeout)

    async def join_async(self):
        """As join() without a timeout, to be awaited under asyncio."""
        await self._await(lambda cancellable, done: _Mp.JoinableQueue.join_async(self, cancellable, done),
                          _Mp.JoinableQueue.join_finish)

    @property
    def unfinished(self):
        """How many items have been put and not been finished."""
        return _Mp.JoinableQueue.get_n_unfinished(self)

    @property
    def abandoned(self):
        """How many items processes have got that died before they finished them."""
        return _Mp.JoinableQueue.get_n_abandoned(self)

    def put_back_abandoned(self):
        """Lets those be got again, before all others; their number."""
        return _mp_call.plain(_Mp.JoinableQueue.put_back_abandoned, self)

    def give_up_abandoned(self):
        """Takes those for finished; their number."""
        return _mp_call.plain(_Mp.JoinableQueue.give_up_abandoned, self)
