# _mp_call.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Blocking calls that Ctrl-C and other signals of Python can end, and callbacks that may raise."""

import _signal
import contextlib
import functools
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


def _number(timeout):
    """What stands for a number, of another type; strings are numbers to float() only."""
    if not hasattr(timeout, '__float__') and not hasattr(timeout, '__index__'):
        raise TypeError('timeout must be a number of seconds or None, not %s' % type(timeout).__name__)
    return float(timeout)


def _refuse_nan(timeout):
    if timeout != timeout:
        raise ValueError('timeout must be a number of seconds or None, not NaN')


def at_least_zero(timeout):
    """@timeout in seconds, None for ever; a negative one is none at all."""
    if timeout is None:
        return None
    if type(timeout) is not float and type(timeout) is not int:
        timeout = _number(timeout)
    _refuse_nan(timeout)
    return max(0.0, timeout)


def microseconds(timeout):
    """@timeout in seconds, None for ever, as the library takes it."""
    if timeout is None:
        return _FOREVER
    if type(timeout) is not float and type(timeout) is not int:
        timeout = _number(timeout)
    if not -threading.TIMEOUT_MAX <= timeout <= threading.TIMEOUT_MAX:
        _refuse_nan(timeout)
        raise OverflowError('timeout is too large: %r' % timeout)
    return max(0, min(int(timeout * 1000000), _LONGEST))


class _Signals:
    """Python's signal handlers during a blocking call of the main thread.

    They run only between two instructions of Python, so a call into the library has to end for them: it does once the
    pipe that signal.set_wakeup_fd() writes to is readable. The first instructions then are PyGObject's own, which make
    an exception of the GError, and where a handler that raises would do harm. So while a call lasts the handlers are
    replaced by one that takes notes, and the signals are raised again after it."""

    def __init__(self):
        self.pid = 0
        self.read_fd = self.write_fd = -1
        self.old_fd = -1
        self.seen = None      # the handlers of all signals at the last call
        self.replaced = ()    # numbers and handlers of those that are Python's
        self.noted = []       # the numbers that came
        self.escaped = None   # what a callback raised that must come out of the blocking call around it
        self.depth = 0

    def _open(self):
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.pid = os.getpid()
        _Mp.set_interrupt_fd(self.read_fd)

    def after_fork(self):
        """In the child: the pipe is shared with the parent, a new one is needed; and no call lasts here."""
        if self.pid:
            if self.depth:
                self.leave()
            # Whatever has this number next has nothing to do with signals.
            _Mp.set_interrupt_fd(-1)
            for fd in (self.read_fd, self.write_fd):
                os.close(fd)
        self.__init__()

    def _note(self, number, _frame):
        self.noted.append(number)

    def enter(self):
        """False where there is nothing to be done, in a subinterpreter."""
        if not self.pid:
            self._open()
        handlers = list(map(_getsignal, _NUMBERS))
        if handlers != self.seen:
            self.seen = handlers
            self.replaced = [(number, handler) for number, handler in zip(_NUMBERS, handlers)
                             if handler is not None and type(handler) is not int]
        try:
            for number, _handler in self.replaced:
                _set_handler(number, self._note)
            # In this order, and the reverse in leave(): what comes in between is noted, and leaves no byte in the pipe.
            self.old_fd = _set_wakeup_fd(self.write_fd, warn_on_full_buffer=False)
        except ValueError:
            return False
        except BaseException:
            self._restore(self.replaced)
            raise
        self.depth = 1
        return True

    def leave(self):
        self.depth = 0
        _set_wakeup_fd(self.old_fd, warn_on_full_buffer=self.old_fd != -1)
        self._restore(self.replaced)

    def _restore(self, replaced):
        """A handler that is in its place again may raise before the others are."""
        n_done = 0
        try:
            for number, handler in replaced:
                _set_handler(number, handler)
                n_done += 1
        except BaseException:
            self._restore(replaced[n_done:])
            raise

    @contextlib.contextmanager
    def suspended(self):
        """In a callback during a blocking call: as if there was none."""
        inside = self.depth and _in_main_thread()
        if inside:
            self.leave()
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as exc:
            # It is to come out of the call that the callback runs in, and cannot do so through C.
            if inside:
                self.escaped = exc
                self.poke()
            raise
        finally:
            if inside:
                self.enter()

    def deliver(self):
        """Raises again what came meanwhile; each handler may raise."""
        while self.noted:
            try:
                signal.raise_signal(self.noted.pop(0))
            except BaseException:
                self.deliver()
                raise
        if self.escaped is not None:
            exc, self.escaped = self.escaped, None
            raise exc

    def drain(self):
        try:
            os.read(self.read_fd, 4096)
        except BlockingIOError:
            pass

    def poke(self):
        try:
            os.write(self.write_fd, b'\0')
        except OSError:
            pass


# Those of the signal module make enumerations of all that they give, which takes longer than the call around which they
# stand.
_getsignal = _signal.getsignal
_set_handler = _signal.signal
_set_wakeup_fd = _signal.set_wakeup_fd
_NUMBERS = tuple(sorted(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})))

_signals = _Signals()


def _in_main_thread():
    return threading.get_ident() == threading.main_thread().ident


def _interrupted(error):
    return error.domain == errors.MP_DOMAIN and error.code == int(_Mp.Error.INTERRUPTED)


def blocking(function, *args, timeout=None):
    """Calls @function (@args, timeout in µs, cancellable None); raises the GLib.Error of the library as it is."""
    timeout_us = microseconds(timeout)
    if timeout_us == 0 or not _in_main_thread():
        return function(*args, timeout_us, None)
    if _signals.depth:
        with _signals.suspended():
            return blocking(function, *args, timeout=timeout)
    deadline = time.monotonic() + timeout_us / 1000000 if timeout_us > 0 else None
    while True:
        try:
            return _interruptible(function, *args, timeout_us)
        except GLib.Error as error:
            if not _interrupted(error):
                raise
        if deadline is not None:
            timeout_us = microseconds(deadline - time.monotonic())


def _interruptible(function, *args):
    """One call, up to its end or a signal; then the signals' handlers have been run."""
    if not _signals.enter():
        return function(*args, None)
    result = error = None
    try:
        if not _signals.noted:
            result = function(*args, None)
        else:
            error = GLib.Error('before the call', errors.MP_DOMAIN, int(_Mp.Error.INTERRUPTED))
    except GLib.Error as exc:
        error = exc
    finally:
        _signals.leave()
    if _signals.noted or _signals.escaped is not None:
        _signals.drain()
        _signals.deliver()
    if error is not None:
        raise error
    return result


def is_of_handler(exc):
    """Whether a signal's handler has raised @exc, which is being handled, and not what it came in between of."""
    if isinstance(exc, (KeyboardInterrupt, SystemExit)):
        return True
    codes = {_code_of(handler) for handler in map(_getsignal, _NUMBERS) if callable(handler)} - {None}
    return any(frame.f_code in codes for frame, _line in traceback.walk_tb(exc.__traceback__))


def _code_of(function):
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, '__code__') and not hasattr(function, '__func__'):
        function = type(function).__call__
    return getattr(getattr(function, '__func__', function), '__code__', None)


def user_code():
    """A context for code of the user in a callback of the library: as if there was no blocking call around it."""
    return _signals.suspended()


def run_callback(function, *args):
    """Calls a function of the user from a callback of the library: nothing may be raised into C.

    KeyboardInterrupt and SystemExit come out of the blocking call in which the callback runs."""
    inside = _signals.depth and _in_main_thread()
    try:
        with _signals.suspended():
            function(*args)
    except BaseException as exc:
        if not inside or not isinstance(exc, (KeyboardInterrupt, SystemExit)):
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


os.register_at_fork(after_in_child=_signals.after_fork)
