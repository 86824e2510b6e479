# _mp_wait.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for many objects at once, as multiprocessing.connection.wait."""

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from ._mp_result import AsyncResult

_Mp = get_introspection_module('Mp')

# Looked up once: that takes as long as the rest of it.
_wait = _Mp.wait_with_fds
_Connection = _Mp.Connection
_Waitable = _Mp.Waitable


def _number_of(obj):
    """The descriptor of what is no object of the library."""
    if isinstance(obj, int):
        fd = obj
    else:
        try:
            fd = int(obj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError('cannot wait for %r: it is no object that can be waited for, no descriptor, and has no '
                             'fileno() that gives one' % (obj,)) from None
    if not 0 <= fd < 1 << 31:
        raise ValueError('cannot wait for %r: %d is not the number of a descriptor' % (obj, fd))
    return fd


class _Plan:
    """What is waited for, and which of it is ready."""

    def __init__(self, object_list):
        self.items = list(object_list)
        self.objects, self.fds = [], []
        self.ready = set()    # the places of those that are ready by themselves
        object_places, fd_places = [], []
        for place, item in enumerate(self.items):
            if isinstance(item, AsyncResult):
                if item.is_settled() or item.future is None:
                    self.ready.add(place)
                    continue
                self.objects.append(item.future)
                object_places.append(place)
            elif self._is_object(place, item):
                self.objects.append(item)
                object_places.append(place)
            else:
                self.fds.append(_number_of(item))
                fd_places.append(place)
        self.places = object_places + fd_places

    def _is_object(self, place, item):
        if isinstance(item, _Connection):
            if item._closed:
                item._check()
            # One that only sends is as a descriptor: it tells when the other end is closed.
            if not (item._ways or item._get_ways())[0]:
                return False
        elif not isinstance(item, _Waitable):
            return False
        if getattr(item, '_kept', None):
            self.ready.add(place)
        return True

    def pick(self, positions):
        found = self.ready.union(self.places[position] for position in positions)
        return [self.items[place] for place in sorted(found)]


def wait(object_list, timeout=None):
    """The objects of @object_list that are ready, as soon as there are some, or none after @timeout seconds.

    An object is a Connection that has something to receive or is at its end, a Listener with a client, a Process that
    has ended, an AsyncResult or a Future of a pool that is there, a queue from which something can be got, or a
    descriptor, or anything with a fileno(), that can be read.
    Those that are ready are given as they were, in their order."""
    plan = _Plan(object_list)
    if plan.ready:
        timeout = 0
    return plan.pick(_mp_call.call(_wait, plan.objects, plan.fds, timeout=timeout))


async def wait_async(object_list, timeout=None):
    """As wait(), to be awaited under asyncio."""
    plan = _Plan(object_list)
    timeout_us = 0 if plan.ready else _mp_call.microseconds(timeout)

    def begin(cancellable, done):
        _Mp.wait_with_fds_async(plan.objects, plan.fds, timeout_us, cancellable, done)

    try:
        return plan.pick(await _mp_asyncio.wait(begin, _Mp.wait_with_fds_finish))
    except GLib.Error as error:
        if error.domain != errors.IO_DOMAIN or error.code != errors.IO_TOO_MANY_LINKS:
            raise
    # An epoll set of the user's, which the system does not bear within that of the loop and those below it.
    return plan.pick(await _mp_asyncio.in_thread(_wait, plan.objects, plan.fds, timeout_us))
