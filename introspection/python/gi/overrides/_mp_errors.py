# _mp_errors.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Exceptions of the Python side, and how a GLib.Error becomes one of them."""

import errno
import functools
import os
import pickle
import threading
import traceback

from multiprocessing import AuthenticationError, BufferTooShort, ProcessError, TimeoutError

from gi.repository import GLib

from ..module import get_introspection_module

_Mp = get_introspection_module('Mp')

# The library's functions by which those are called that come as pickles.
TASK = 'python-task'
INITIALIZER = 'python-initializer'
# The same for those that come as they are.
LOCAL_TASK = 'python-local-task'
LOCAL_INITIALIZER = 'python-local-initializer'

MP_DOMAIN = 'mp-error-quark'
_Mp.Error.quark()   # before the first error of this domain is made here
IO_DOMAIN = 'g-io-error-quark'

# Of GIOErrorEnum; importing Gio for them would cost every worker some milliseconds.
IO_TOO_MANY_LINKS = 11
IO_INVALID_ARGUMENT = 13
IO_PERMISSION_DENIED = 14
IO_NOT_SUPPORTED = 15
IO_CLOSED = 18
IO_CANCELLED = 19
IO_PENDING = 20
IO_TIMED_OUT = 24
IO_BUSY = 26
IO_TOO_MANY_OPEN_FILES = 31
IO_NOT_INITIALIZED = 32
IO_BROKEN_PIPE = 44


class RemoteTraceback(Exception):
    """The traceback of an exception where it was raised; the ``__cause__`` of the exception here."""

    def __init__(self, text):
        super().__init__(text)
        self.tb = text

    def __str__(self):
        return self.tb


class _WithError:
    """What exceptions made from a GLib.Error have: ``error`` itself and its ``details``, a dict."""

    error = None
    details = {}

    @property
    def worker(self):
        return self.details.get('worker')

    @property
    def pid(self):
        return self.details.get('pid')


class WorkerDiedError(_WithError, ProcessError):
    """The worker that ran the call died. ``exitcode`` is as in `Process.exitcode`."""

    @property
    def exitcode(self):
        return self.details.get('exit-status')

    @property
    def stderr(self):
        return list(self.details.get('stderr', ()))


class WorkerStartError(_WithError, ProcessError, RuntimeError):
    """A worker could not be started, or its initializer failed; the message has the cause."""

    stderr = WorkerDiedError.stderr
    exitcode = WorkerDiedError.exitcode


class RemoteError(_WithError, ProcessError):
    """An error of another language, or an exception that does not exist here.

    ``type`` is the name of its type, ``traceback`` its remote text."""

    @property
    def type(self):
        return self.details.get('type')

    @property
    def traceback(self):
        return self.details.get('traceback')


class NoSuchFunctionError(_WithError, ProcessError, LookupError):
    """The worker knows no function of that name."""


class PoolTerminatedError(_WithError, ProcessError):
    """The pool was terminated before the call came to its end."""


def variant_bytes(variant):
    """The serialised data of a variant; of an 'ay' its bytes."""
    return variant.get_data_as_bytes().get_data() or b''


def unpack_details(variant):
    """The details of an error as a dict; "blob" as bytes, which GLib.Variant.unpack() would make a list of."""
    details = {}
    if variant is None or variant.get_type_string() != 'a{sv}':
        return details
    for i in range(variant.n_children()):
        entry = variant.get_child_value(i)
        key = entry.get_child_value(0).get_string()
        value = entry.get_child_value(1).get_variant()
        if value.get_type_string() == 'ay':
            details[key] = variant_bytes(value)
        else:
            details[key] = value.unpack()
    return details


def _remote_exception(error, details):
    """The exception that a worker sent as a pickle, or None."""
    blob = details.get('blob')
    if not blob:
        return None
    try:
        exc = pickle.loads(blob)
    except BaseException as failure:
        exc = RemoteError('%s (%s)' % (error.message, _unpickle_note(failure)))
        exc.details = details
    if not isinstance(exc, BaseException):
        return None
    return exc


def _unpickle_note(failure):
    return 'the exception itself cannot be unpickled here: %s: %s' % (type(failure).__name__, failure)


def is_mp(error, code):
    return error.domain == MP_DOMAIN and error.code == int(code)


def is_of_initializer(details):
    """Whether @details, (nullable), are of an error of a pool's initializer."""
    return unpack_details(details).get('function') == INITIALIZER


def _is_io(error, code):
    return error.domain == IO_DOMAIN and error.code == code


def is_timeout(error):
    return _is_io(error, IO_TIMED_OUT)


def _too_many_files(message):
    return OSError(errno.EMFILE, message)


def no_descriptor():
    """Where the library has none to give."""
    return _too_many_files(os.strerror(errno.EMFILE))


def _class_for(error):
    """The exception class that says the same as @error, or a function that makes one, or None."""
    if error.domain == IO_DOMAIN:
        return {
            IO_TIMED_OUT: TimeoutError,
            IO_CANCELLED: PoolTerminatedError,
            IO_INVALID_ARGUMENT: ValueError,
            IO_TOO_MANY_OPEN_FILES: _too_many_files,
            IO_NOT_INITIALIZED: ValueError,
        }.get(error.code)
    if error.domain != MP_DOMAIN:
        return None
    codes = _Mp.Error
    return {
        int(codes.WORKER_DIED): WorkerDiedError,
        int(codes.WORKER_START): WorkerStartError,
        int(codes.BROKEN_BARRIER): threading.BrokenBarrierError,
        int(codes.REMOTE): RemoteError,
        int(codes.NO_SUCH_FUNCTION): NoSuchFunctionError,
        int(codes.NOT_INITIALIZED): RuntimeError,
        int(codes.UNSAFE_FORK): RuntimeError,
        int(codes.AUTHENTICATION): AuthenticationError,
        int(codes.BUFFER_TOO_SHORT): BufferTooShort,
        int(codes.TOO_LARGE): ValueError,
        int(codes.INVALID_TYPE): TypeError,
        int(codes.NO_RESULT): RemoteError,
        int(codes.NOT_OWNER): RuntimeError,
        int(codes.PROTOCOL): ProcessError,
    }.get(error.code)


def _name_of(function):
    """What a function, or anything else that is callable, is called."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, '__qualname__', None) or type(function).__qualname__


def full_name_of(function):
    """The same with its module."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, '__qualname__', None)
    if name is None:
        function = type(function)
        name = function.__qualname__
    module = getattr(function, '__module__', None)
    return '%s.%s' % (module, name) if module else name


def named(text, function, initializer=None):
    """@text with the user's functions in place of those of the library by which they were called."""
    if function is not None:
        text = text.replace(TASK, clean_text(_name_of(function))).replace(LOCAL_TASK, clean_text(_name_of(function)))
    if initializer is not None:
        name = clean_text(_name_of(initializer))
        text = text.replace(INITIALIZER, name).replace(LOCAL_INITIALIZER, name)
    return text


def translate(error, details=None, function=None, initializer=None):
    """The exception to raise for @error (a GLib.Error). @details: (nullable) its a{sv}; @function: (nullable) what was
    called; @initializer: (nullable) that of the pool."""
    if _is_io(error, IO_TIMED_OUT):
        return TimeoutError()
    if details is None:
        details = _Mp.error_dup_details(error)
    details = unpack_details(details)
    if 'function' in details:
        details['function'] = named(details['function'], function, initializer)
    return _from_unpacked(error, details, lambda text: named(text, function, initializer))


def _from_unpacked(error, details, name=str):
    remote = _remote_exception(error, details)
    if remote is not None and not is_mp(error, _Mp.Error.WORKER_START):
        exc = remote
    else:
        cls = _class_for(error)
        exc = cls(name(error.message)) if cls is not None else error
    if exc is not error:
        exc.__cause__ = _cause(remote, exc, details, error)
        _remember(exc, error, details)
    return exc


def _cause(remote, exc, details, error):
    text = details.get('traceback')
    cause = RemoteTraceback('\n"""\n%s"""' % text) if text else None
    if remote is not None and remote is not exc:
        # An initializer's exception is the reason why the worker could not start.
        remote.__cause__ = cause
        return remote
    return cause if cause is not None else error


def _remember(exc, error, details):
    try:
        exc.error = error
        if isinstance(exc, _WithError):
            exc.details = details
    except AttributeError:
        pass  # an exception class with slots


def clean_text(text):
    """@text as a GError can carry it: no NUL, valid UTF-8."""
    return text.replace('\0', '\\0').encode('utf-8', 'replace').decode('utf-8')


def describe(exc):
    """What `traceback` prints as the last line for @exc."""
    try:
        return clean_text(''.join(traceback.format_exception_only(type(exc), exc)).strip())
    except Exception:
        return type(exc).__name__


def remote_traceback(exc, skip=1):
    """The traceback text of @exc without the @skip frames of this library that called it."""
    tb = exc.__traceback__
    for _ in range(skip):
        if tb is not None and tb.tb_next is not None:
            tb = tb.tb_next
    try:
        return clean_text(''.join(traceback.format_exception(type(exc), exc, tb)))
    except Exception:
        return describe(exc) + '\n'


def pickled_exception(exc):
    """@exc as bytes, or None when it cannot travel."""
    try:
        blob = pickle.dumps(exc, pickle.HIGHEST_PROTOCOL)
    except BaseException:
        return None
    return blob


def bytes_variant(data):
    """An 'ay' of @data: GLib.Variant('ay', data) makes a variant of every byte."""
    return _Mp.blob_new_bytes(data)


def details_of(exc, skip=1):
    """In a worker: what is sent of @exc: its type and traceback, and itself when it can be pickled."""
    details = {'type': clean_text(type(exc).__name__), 'traceback': remote_traceback(exc, skip)}
    blob = pickled_exception(exc)
    if blob is not None:
        details['blob'] = blob
    return details


def from_details(details, text):
    """The exception that @details are of; @text: its description."""
    error = GLib.Error(text, MP_DOMAIN, int(_Mp.Error.REMOTE))
    return _from_unpacked(error, details)


def to_glib(exc, invocation, skip=1):
    """In a worker: the GLib.Error to raise for @exc; leaves the details with @invocation."""
    if invocation is not None:
        details = {key: bytes_variant(value) if key == 'blob' else GLib.Variant('s', value)
                   for key, value in details_of(exc, skip).items()}
        invocation.set_error_details(GLib.Variant('a{sv}', details))
    if isinstance(exc, GLib.Error) and exc.domain:
        return GLib.Error(clean_text(exc.message), exc.domain, exc.code)
    return GLib.Error(describe(exc), MP_DOMAIN, int(_Mp.Error.REMOTE))
