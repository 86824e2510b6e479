# _mp_local.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks of pools whose workers are in this process: functions, arguments and results go as they are.

Where a pickle would travel, a reference travels that has its form: unpickled it is the object itself."""

import itertools
import pickle
import weakref

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_errors as errors
from . import _mp_pickle as values
from . import _mp_worker as worker

_Mp = get_introspection_module('Mp')

TASK, INITIALIZER = errors.LOCAL_TASK, errors.LOCAL_INITIALIZER

_tables = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_is_registered = False


class Table:
    """What is on its way to and from the workers of one pool. Goes with it."""

    def __init__(self):
        self.number = next(_numbers)
        self._objects = {}     # what is taken once
        self._kept = []        # what is taken by each worker
        _tables[self.number] = self

    def dumps(self, obj):
        number = next(_numbers)
        self._objects[number] = obj
        return pickle.dumps(_Reference(self.number, number), values.PROTOCOL)

    def dumps_kept(self, obj):
        self._kept.append(obj)
        return pickle.dumps(_Reference(self.number, -len(self._kept)), values.PROTOCOL)

    def take(self, number):
        return self._objects.pop(number) if number > 0 else self._kept[-number - 1]

    def clear(self):
        self._objects.clear()


class _Reference:
    def __init__(self, *numbers):
        self._numbers = numbers

    def __reduce__(self):
        return _take, self._numbers


def _take(table, number):
    return _tables[table].take(number)


class Head:
    """How the tasks of a function are handed over, as that of _mp_pool."""

    def __init__(self, table, function, mode):
        self._table = table
        self._function = function
        self._mode = mode

    def dumps(self, body):
        return self._table.dumps((self._table.number, self._function, self._mode, body)), []


def initializer(table, function, args):
    """Its argument as the library takes it."""
    return values.pack(table.dumps_kept((function, tuple(args))), [])


def _run(function, mode, body):
    if mode == worker.MAP:
        return list(map(function, body))
    if mode == worker.SINGLE:
        return function(body)
    if mode == worker.APPLY:
        args, kwds = body
        return function(*args, **kwds)
    if mode == worker.STARMAP:
        return [function(*args) for args in body]
    return worker.run_each(function, body)


def _serve_task(args, *_data):
    try:
        number, function, mode, body = values.loads(values.unpack(args)[0])
        result = _run(function, mode, body)
        # None when the pool is gone: nobody hears of it then.
        table = _tables.get(number)
        return values.pack(table.dumps(result) if table is not None else b'', [])
    except BaseException as exc:
        error = errors.to_glib(exc, _Mp.Invocation.get_current(), skip=2)
    raise error


def _serve_initializer(args, *_data):
    try:
        function, own_args = values.loads(values.unpack(args)[0])
        function(*own_args)
        return GLib.Variant('()', ())
    except BaseException as exc:
        error = errors.to_glib(exc, _Mp.Invocation.get_current(), skip=2)
    raise error


def register():
    global _is_registered
    if not _is_registered:
        _is_registered = True
        _Mp.function_register(TASK, _serve_task)
        _Mp.function_register(INITIALIZER, _serve_initializer)
