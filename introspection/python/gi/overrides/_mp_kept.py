# _mp_kept.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What was taken out of a connection, a listener or a queue for a call that a signal's handler ended by an exception:
it is for the next call.

A handler of Python's runs behind any call, before its result has a name; but not between a step of an iterator of C
and the assignment. So `item, = starmap(function, (args,))` is how such things are taken, and `kept[:0] = (item,)` how they are
put back: without a call, for there may be another signal."""

import os
import weakref

from itertools import starmap

from . import _mp_call

_pop = list.pop
_keepers = weakref.WeakSet()


def _after_fork():
    """In the child: what was taken for this process is had by its parent."""
    for keeper in list(_keepers):
        keeper.__dict__.pop('_kept', None)
    _keepers.clear()


os.register_at_fork(after_in_child=_after_fork)


class Keeper:
    """What connections, listeners and queues have in common. Each step is one for other threads, and for handlers."""

    _kept = None      # what was taken and is to be had again, once there may be something
    _no_item = None   # what a call gives that has taken nothing

    def _make_kept(self):
        _keepers.add(self)
        return self.__dict__.setdefault('_kept', [])

    def _keep(self, item):
        """@item is the next one."""
        self._make_kept()[:0] = (item,)

    def _take_kept(self):
        """The one that comes next; None: there is none, now."""
        try:
            item, = starmap(_pop, ((self._kept, 0),))
            return item
        except (IndexError, TypeError):
            return None

    def _take(self, function, *args, timeout):
        """What @function gives, a blocking call; raises the GLib.Error of the library as it is."""
        kept = self._make_kept() if self._kept is None else self._kept
        item = None

        def take(*args):
            nonlocal item
            item, = starmap(function, (args,))
            return item

        try:
            return _mp_call.blocking(take, self, *args, timeout=timeout)
        except BaseException:
            if item is not None and self._no_item != item:
                kept[:0] = (item,)
            raise

    def _drop_after(self, exc, item):
        """@exc came while a value was made of @item, which has been kept: it had not to be, unless a handler raised."""
        kept = self._kept
        if not _mp_call.is_of_handler(exc) and kept and kept[0] is item:
            del kept[0]
