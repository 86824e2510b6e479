# _mp_worker.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What a worker does for an owner in Python: functions that came as pickles."""

import atexit
import os
import pickle
import sys
import threading
import time
import traceback
import types

from multiprocessing import process as mp_process
from multiprocessing import util

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_boot as boot
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')

TASK, INITIALIZER = errors.TASK, errors.INITIALIZER
PROCESS = 'python-process'

# How the body of a task is to be read. Its head: a byte of these, four bytes of length, then the function's pickle.
APPLY, MAP, STARMAP, SINGLE, EACH = range(5)
KEEP = 0x10    # the function can be kept: it has no state
TIMED = 0x20   # behind the result come four bytes, the µs that the function took
_HEAD = 5

_sent = None      # the last result that holds objects: they must live until it has been sent
_functions = {}   # pickles of plain functions that came often: the function
_forked_pid = os.getpid()


def task_head(function, mode):
    """What each task of @function begins with: the function is pickled once, however many tasks there are."""
    data, handles = values.dumps(function)
    if handles:
        raise TypeError('the function itself cannot carry objects of the library; give them as arguments')
    if isinstance(function, (types.FunctionType, types.BuiltinFunctionType, type)):
        mode |= KEEP
    return bytes((mode,)) + len(data).to_bytes(4, 'little') + data


def _load_function(data, keep):
    function = _functions.get(data) if keep else None
    if function is None:
        try:
            function = pickle.loads(data)
        except AttributeError as exc:
            raise _explain_missing(exc) from None
        if keep and len(_functions) < 1000:
            _functions[data] = function
    return function


def _explain_missing(exc):
    """A function of the prompt is not in the worker's main module: says so."""
    main = sys.modules['__main__']
    if "'__main__'" in str(exc) and not hasattr(main, '__file__'):
        return AttributeError('%s: functions defined at the prompt or in code given with -c do not exist in workers; '
                              'put them into a module and import it' % exc)
    return exc


def _settle(for_process=False):
    """Once in each process: what it is called, and whether Ctrl-C is for it."""
    global _forked_pid
    if _forked_pid == os.getpid() and _settle.done:
        return
    _forked_pid = os.getpid()
    _settle.done = True
    if not for_process:
        boot.ignore_sigint()
    current = _Mp.Process.get_current()
    if current is not None and current.get_name():
        mp_process.current_process().name = current.get_name()


_settle.done = False


def _run_task(data, objects):
    mode = data[0]
    size = int.from_bytes(data[1:_HEAD], 'little')
    view = memoryview(data)
    function = _load_function(bytes(view[_HEAD:_HEAD + size]), mode & KEEP)
    body = values.loads(view[_HEAD + size:], objects)
    mode &= ~(KEEP | TIMED)
    if mode == MAP:
        return list(map(function, body))
    if mode == SINGLE:
        return function(body)
    if mode == APPLY:
        args, kwds = body
        return function(*args, **kwds)
    if mode == STARMAP:
        return [function(*args) for args in body]
    return run_each(function, body)


def run_each(function, items):
    """A chunk of imap(): the results, and of those that failed what to raise, by their place."""
    results, failures = [], {}
    for index, item in enumerate(items):
        try:
            result = function(item)
        except BaseException as exc:
            result = None
            failures[index] = (errors.details_of(exc), errors.describe(exc))
        results.append(result)
    return results, failures


def _time_since(start):
    """What TIMED adds to a result."""
    return min(int((time.perf_counter() - start) * 1000000), 0xffffffff).to_bytes(4, 'little')


def _encode_result(result, tail=b''):
    """@tail: bytes that come behind the pickle, where unpickling does not look."""
    global _sent
    try:
        data, handles = values.dumps(result)
        _sent = result if handles else None
        return values.pack(data + tail, handles)
    except Exception as exc:
        failure = exc
    from multiprocessing.pool import MaybeEncodingError
    raise MaybeEncodingError(failure, result) from None


def serve_task(args):
    """The function TASK."""
    try:
        if not _settle.done or _forked_pid != os.getpid():
            _settle()
        data, objects = values.unpack(args)
        start = time.perf_counter()
        result = _run_task(data, objects)
        return _encode_result(result, _time_since(start) if data[0] & TIMED else b'')
    except BaseException as exc:
        error = errors.to_glib(exc, _Mp.Invocation.get_current(), skip=2)
    finally:
        boot.flush()
    raise error


def serve_initializer(args):
    """The function INITIALIZER: the same, and the result is of no interest."""
    try:
        _settle()
        _run_task(*values.unpack(args))
        return GLib.Variant('()', ())
    except BaseException as exc:
        error = errors.to_glib(exc, _Mp.Invocation.get_current(), skip=2)
    finally:
        boot.flush()
    raise error


def _exit_code(exc):
    """The exit status that a SystemExit stands for."""
    if exc.code is None:
        return 0
    if isinstance(exc.code, int):
        return exc.code
    sys.stderr.write(str(exc.code) + '\n')
    return 1


def _run_process(args):
    """Runs a Process here, as multiprocessing's BaseProcess._bootstrap() does; the exit status."""
    from . import _mp_process
    name = mp_process.current_process().name
    try:
        try:
            boot.take_sigint()
            _settle(for_process=True)
            name = mp_process.current_process().name
            data, objects = values.unpack(args)
            process = _load_process(data, objects)
            name = process.name
            _mp_process.become(process)
            process.run()
            _Mp.retire_worker()
            return 0
        finally:
            util._exit_function()
    except SystemExit as exc:
        return _exit_code(exc)
    except BaseException:
        sys.stderr.write('Process %s:\n' % name)
        traceback.print_exc()
        return 1


def _load_process(data, objects):
    try:
        return values.loads(data, objects)
    except AttributeError as exc:
        raise _explain_missing(exc) from None


def serve_process(args):
    """The function PROCESS: never returns, so that the process has the exit status that Python gives it."""
    util._finalizer_registry.clear()
    status = 1
    try:
        status = _run_process(args)
        threading._shutdown()
    finally:
        try:
            if boot.is_spawned():
                atexit._run_exitfuncs()
        finally:
            boot.flush()
            os._exit(status & 0xff)


def register():
    _Mp.function_register(TASK, serve_task)
    _Mp.function_register(INITIALIZER, serve_initializer)
    _Mp.function_register(PROCESS, serve_process)
