# _mp_asyncio.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Awaiting the library's asynchronous calls under asyncio.

An asyncio loop does not know of GMainContext: while something is awaited, it watches the library's descriptor and
lets it do its work. Where the loop is itself one on a GMainContext, that is done by the context."""

import asyncio
import threading
import weakref

from gi.repository import Gio, GLib

from ..module import get_introspection_module
from . import _mp_errors as errors

_Mp = get_introspection_module('Mp')

_watched = weakref.WeakKeyDictionary()   # loop: [number of awaits, descriptor]
_waiting = weakref.WeakKeyDictionary()   # loop: {(descriptor, whether to write): futures}


def _hold(loop):
    entry = _watched.get(loop)
    if entry is None:
        fd = _Mp.loop_get_fd()
        try:
            loop.add_reader(fd, _Mp.loop_dispatch)
        except NotImplementedError:
            fd = -1
        entry = _watched[loop] = [0, fd]
    entry[0] += 1


def _release(loop):
    entry = _watched[loop]
    entry[0] -= 1
    if entry[0] == 0:
        del _watched[loop]
        if entry[1] >= 0 and not loop.is_closed():
            loop.remove_reader(entry[1])


def _resolver(loop, future, cancellable, undo):
    """The callback that hands the GAsyncResult over, in whatever thread it is called.

    @undo (result) is called instead when nobody waits for it any more."""
    thread = threading.get_ident()

    def settle(result):
        if not future.done() and not cancellable.is_cancelled():
            future.set_result(result)
        elif undo is not None:
            undo(result)

    def done(_source, result, *_data):
        if cancellable.is_cancelled() or (threading.get_ident() == thread and asyncio._get_running_loop() is loop):
            settle(result)
            return
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:   # the loop is closed
            if undo is not None:
                undo(result)

    return done


async def wait(begin, finish, undo=None):
    """Awaits the call that @begin (cancellable, callback) begins and @finish (result) ends.

    @undo (result) is called for one that came to its end after the wait for it had been cancelled."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    cancellable = Gio.Cancellable()
    _hold(loop)
    try:
        begin(cancellable, _resolver(loop, future, cancellable, undo))
        _Mp.loop_dispatch()
        result = await future
    except BaseException:
        cancellable.cancel()
        if undo is not None:
            if future.done() and not future.cancelled():
                undo(future.result())
            # Nothing else may ever look whether the end has come.
            _Mp.loop_dispatch()
        raise
    finally:
        _release(loop)
    try:
        return finish(result)
    except GLib.Error as error:
        exc = errors.translate(error)
    raise exc


async def wait_to_end(begin, finish, undo):
    """As wait(), but one that is cancelled is awaited none the less: then @undo (result).

    @begin is called at once."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    cancellable = Gio.Cancellable()
    cancelled = None
    _hold(loop)
    try:
        begin(cancellable, _resolver(loop, future, Gio.Cancellable(), None))
        _Mp.loop_dispatch()
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as exc:
                cancelled = exc
                cancellable.cancel()
                _Mp.loop_dispatch()
    finally:
        _release(loop)
    if cancelled is not None:
        undo(future.result())
        raise cancelled
    try:
        return finish(future.result())
    except GLib.Error as error:
        exc = errors.translate(error)
    raise exc


def _wake(futures):
    for future in futures:
        if not future.done():
            future.set_result(None)


async def ready(fd, writing=False):
    """Awaits that a descriptor is readable, or writable; many may await the same one."""
    loop = asyncio.get_running_loop()
    waiting = _waiting.setdefault(loop, {})
    futures = waiting.get((fd, writing))
    if futures is None:
        futures = waiting[fd, writing] = []
        (loop.add_writer if writing else loop.add_reader)(fd, _wake, futures)
    future = loop.create_future()
    futures.append(future)
    try:
        await future
    finally:
        futures.remove(future)
        if not futures and waiting.get((fd, writing)) is futures:
            _stop_waiting(loop, fd, writing)


def _stop_waiting(loop, fd, writing):
    del _waiting[loop][fd, writing]
    (loop.remove_writer if writing else loop.remove_reader)(fd)


def _give_up(loop, fd, writing):
    futures = _waiting.get(loop, {}).get((fd, writing))
    if futures is not None:
        _stop_waiting(loop, fd, writing)
        _wake(futures)


def forget(fd):
    """Before a descriptor is closed: who awaits it is woken, because the loop would never tell of it again."""
    for loop, waiting in list(_waiting.items()):
        for of, writing in list(waiting):
            if of != fd:
                continue
            if asyncio._get_running_loop() is loop:
                _give_up(loop, fd, writing)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_give_up, loop, fd, writing)


async def in_thread(function, *args):
    """Awaits a blocking call of the library, with a cancellable as its last argument, that nothing else can await."""
    cancellable = Gio.Cancellable()
    try:
        return await asyncio.get_running_loop().run_in_executor(None, function, *args, cancellable)
    except asyncio.CancelledError:
        cancellable.cancel()
        raise
