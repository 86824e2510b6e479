# _mp_kept.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What was taken out of a connection, a listener or a queue for a call that a signal's handler ended by an exception: it
is for the next call.

A handler of Python's runs behind any call, before its result has a name; but not between a step of an iterator of C and
the assignment. So `item, = starmap(function, (args,))` is how such things are taken."""

import collections
import os
import weakref

from itertools import starmap

from . import _mp_call

_popleft = collections.deque.popleft
_keepers = weakref.WeakSet()


def _after_fork():
    """In the child: what was taken for this process is had by its parent."""
    for keeper in list(_keepers):
        keeper.__dict__.pop('_kept', None)
    _keepers.clear()


os.register_at_fork(after_in_child=_after_fork)


class Keeper:
    """What connections, listeners and queues have in common. Each step is one for other threads, and for handlers."""

    _kept = ()

    def _keep(self, item):
        """@item, if it is not None, is the next one."""
        if item is not None:
            self.__dict__.setdefault('_kept', collections.deque()).appendleft(item)
            _keepers.add(self)

    def _take_kept(self):
        """The one that comes next; None: there is none, now."""
        try:
            item, = starmap(_popleft, ((self._kept,),))
            return item
        except (IndexError, TypeError):
            return None

    def _take(self, function, *args, timeout):
        """What @function gives, a blocking call; raises the GLib.Error of the library as it is."""
        item = None

        def take(*args):
            nonlocal item
            item, = starmap(function, (args,))
            return item

        try:
            return _mp_call.blocking(take, self, *args, timeout=timeout)
        except BaseException:
            self._keep(item)
            raise

    def _keep_for(self, exc, item):
        """An exception came while a value was made of @item: a handler's has nothing to do with it."""
        if item is not None and _mp_call.is_of_handler(exc):
            self._keep(item)
