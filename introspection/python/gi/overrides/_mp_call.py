# _mp_call.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Blocking calls that Ctrl-C and other signals of Python can end, and callbacks that may raise."""

import os
import signal
import sys
import threading
import time
import traceback

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_errors as errors

_Mp = get_introspection_module('Mp')

_FOREVER = -1
_LONGEST = 1 << 61


def microseconds(timeout):
    """@timeout in seconds, None for ever, as the library takes it."""
    if timeout is None:
        return _FOREVER
    return max(0, min(int(timeout * 1000000), _LONGEST))


class _Waker:
    """A pipe that becomes readable at a signal, for the main thread's blocking calls.

    Python's own signal handlers run only between two instructions of Python, so a call into the library has to end
    for them. It does once the pipe that signal.set_wakeup_fd() writes to is readable."""

    def __init__(self):
        self.pid = 0
        self.read_fd = self.write_fd = -1
        self.escaped = None  # what a callback raised that must come out of the blocking call around it
        self.depth = 0

    def open(self):
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.pid = os.getpid()
        _Mp.set_interrupt_fd(self.read_fd)

    def drop(self):
        """After a fork: the pipe is shared with the parent, a new one is needed."""
        if self.pid:
            for fd in (self.read_fd, self.write_fd):
                os.close(fd)
        self.__init__()

    def drain(self, old_fd):
        """Takes the bytes out; @old_fd: (or -1) whom they were meant for before."""
        try:
            numbers = os.read(self.read_fd, 4096)
        except BlockingIOError:
            return
        numbers = numbers.replace(b'\0', b'')  # 0: from poke()
        if old_fd != -1 and numbers:
            try:
                os.write(old_fd, numbers)
            except OSError:
                pass

    def poke(self):
        try:
            os.write(self.write_fd, b'\0')
        except OSError:
            pass


_waker = _Waker()


def _in_main_thread():
    return threading.get_ident() == threading.main_thread().ident


def _interrupted(error):
    return error.domain == errors.MP_DOMAIN and error.code == int(_Mp.Error.INTERRUPTED)


def blocking(function, *args, timeout=None):
    """Calls @function (@args, timeout in µs, cancellable None); raises the GLib.Error of the library as it is."""
    timeout_us = microseconds(timeout)
    if not _in_main_thread():
        return function(*args, timeout_us, None)
    if not _waker.pid:
        _waker.open()
    deadline = time.monotonic() + timeout if timeout_us >= 0 else None
    try:
        old_fd = signal.set_wakeup_fd(_waker.write_fd, warn_on_full_buffer=False)
    except ValueError:  # a subinterpreter
        return function(*args, timeout_us, None)
    _waker.depth += 1
    try:
        while True:
            try:
                return function(*args, timeout_us, None)
            except GLib.Error as error:
                if not _interrupted(error):
                    raise
            finally:
                _waker.drain(old_fd)
                if _waker.escaped is not None and _waker.depth == 1:
                    _raise_escaped()
            if deadline is not None:
                timeout_us = microseconds(deadline - time.monotonic())
    finally:
        _waker.depth -= 1
        signal.set_wakeup_fd(old_fd, warn_on_full_buffer=old_fd != -1)


def _raise_escaped():
    exc, _waker.escaped = _waker.escaped, None
    raise exc


def run_callback(function, *args):
    """Calls a function of the user from a callback of the library: nothing may be raised into C.

    KeyboardInterrupt and SystemExit come out of the blocking call in which the callback runs."""
    try:
        function(*args)
    except (KeyboardInterrupt, SystemExit) as exc:
        if _waker.depth and _in_main_thread():
            _waker.escaped = exc
            _waker.poke()
        else:
            traceback.print_exc()
    except BaseException:
        sys.excepthook(*sys.exc_info())


def call(function, *args, timeout=None):
    """As blocking(), with Python's exceptions."""
    try:
        return blocking(function, *args, timeout=timeout)
    except GLib.Error as error:
        exc = errors.translate(error)
    raise exc


def plain(function, *args):
    """Calls @function, which does not block, with Python's exceptions."""
    try:
        return function(*args)
    except GLib.Error as error:
        exc = errors.translate(error)
    raise exc


os.register_at_fork(after_in_child=_waker.drop)
