# _mp_connection.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Connection and Pipe as multiprocessing has them."""

import errno
import pickle
import sys

from itertools import starmap

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_kept
from . import _mp_pickle as values
from . import _mp_plain as plain
from . import _mp_properties

_Mp = get_introspection_module('Mp')

# Plain Python values travel as the library's blobs of these tags.
_PICKLE, _PLAIN = 'pickle', 'python'

# A message of this size leaves a socket of this machine whole or not at all.
WHOLE = 32768
# The size of one with objects, of which nobody knows how much there is to be said: it may leave in parts.
_IN_PARTS = WHOLE + 1

# What is asked for, and what comes, see mp_connection_recv_blob().
_NOTHING, _VALUE, _BYTES, _BLOB = range(4)

# Looked up once: that takes as long as some calls.
_flush = _Mp.Connection.flush
_get_bytes = _Mp.blob_get_bytes
_recv_blob = _Mp.Connection.recv_blob
_recv_bytes_full = _Mp.Connection.recv_bytes_full
_send_blob = _Mp.Connection.send_blob
_send_data = _Mp.Connection.send_data
_send_value = _Mp.Connection.send


def _pickled(obj):
    """The bytes of @obj and its handles, for which most values need not be prepared."""
    try:
        return pickle.dumps(obj, values.PROTOCOL), None
    except (TypeError, pickle.PicklingError):
        pass
    return values.dumps(obj)


def _size_of_variant(variant):
    kind = variant.get_type_string()
    return _IN_PARTS if 'h' in kind or 'v' in kind else len(kind) + variant.get_size()


def _decode(variant, allow_pickle, get_room):
    """The value that somebody sent."""
    if variant.get_type_string() != '(ssayav)':
        return variant
    tag = variant.get_child_value(0).get_string()
    if tag not in (_PICKLE, _PLAIN):
        return variant
    if tag == _PICKLE and not allow_pickle:
        raise errors.ProcessError('a pickle came through a connection on which they are not allowed, see allow_pickle')
    data = errors.variant_bytes(variant.get_child_value(2))
    parts = variant.get_child_value(3)
    plain.check_handles(parts.n_children(), get_room)
    handles = [parts.get_child_value(i).get_variant() for i in range(parts.n_children())]
    objects = [_mp_call.plain(_Mp.Shareable.from_variant, handle) for handle in handles]
    return values.loads(data, objects) if tag == _PICKLE else plain.loads(data, objects, get_room)


def _with_cause(exc, error):
    exc.__cause__ = error
    return exc


def _bytes_of(message):
    data, _kind, value = message
    if value is not None:
        return _get_bytes(value)
    return data or b''


def _part(buf, offset, size):
    """The bytes of a bytes-like object that are meant."""
    view = memoryview(buf).cast('B')
    offset = _mp_properties.index('offset', offset)
    if offset < 0:
        raise ValueError('offset is negative')
    if offset > len(view):
        raise ValueError('buffer length < offset')
    if size is None:
        size = len(view) - offset
    elif _mp_properties.index('size', size) < 0:
        raise ValueError('size is negative')
    elif offset + size > len(view):
        raise ValueError('buffer length < offset + size')
    return view[offset:offset + size]


def _arrived(index, *how):
    """A connection that came in a pickle, with what was said of it."""
    connection = values.arrived(index)
    connection._how = how
    return connection


class Connection(_mp_kept.Keeper, _Mp.Connection):
    """One end of a pipe, or of a connection of a listener or a client: whole messages of a value, of bytes, or of a
    GLib.Variant.

    Through a pipe between processes of this program goes any picklable value. At the other end of a connection that a
    listener or a client made may be anybody: there go plain values (None, bool, int, float, complex, str, bytes,
    bytearray, list, tuple, dict, set, frozenset and the builtin types) and objects of the library that are isolated;
    see allow_pickle.

    Timeouts are in seconds. It is a context manager, can itself be sent, and can be read with `async for`."""

    __module__ = 'gi.overrides.Mp'

    _closed = False
    _no_item = b'', _NOTHING, None
    _awaited = -1  # the descriptor, once a loop of asyncio watches it
    _ways = None   # whether it is readable, and writable
    # Whether pickles are allowed; whether they are messages of bytes, as multiprocessing's; what leaves whole or not at
    # all.
    _how = None

    def _check(self, direction=None):
        if self._closed:
            raise OSError('handle is closed')
        if direction == 'read' and not self.readable:
            raise OSError('connection is write-only')
        if direction == 'write' and not self.writable:
            raise OSError('connection is read-only')

    @property
    def closed(self):
        """Whether close() has been called."""
        return self._closed

    @property
    def readable(self):
        """Whether this end can receive."""
        return (self._ways or self._get_ways())[0]

    @property
    def writable(self):
        """Whether this end can send."""
        return (self._ways or self._get_ways())[1]

    def _get_ways(self):
        self._ways = self.get_property('readable'), self.get_property('writable')
        return self._ways

    @property
    def allow_pickle(self):
        """Whether values are sent as pickles, and those that come are read; else they are plain values.

        At first it is so for pipes, and, for connections of listeners and clients, as was said where these were made.
        Who can send a pickle can do in this process whatever it can do itself."""
        return self._get_how()[0]

    @allow_pickle.setter
    def allow_pickle(self, allow):
        self._how = (bool(allow), *self._get_how()[1:])

    def _get_how(self):
        if self._how is None:
            foreign = self.get_property('foreign')
            self._how = (not foreign, False, 0 if foreign else WHOLE)
        return self._how

    def fileno(self):
        """A file descriptor to wait on, for select and the like."""
        self._check()
        fd = _Mp.Connection.get_fd(self)
        if fd < 0:
            raise OSError('handle is closed') if _Mp.Connection.is_closed(self) else errors.no_descriptor()
        return fd

    def close(self):
        """Closes this end."""
        if not self._closed:
            self._closed = True
            if self._awaited >= 0:
                _mp_asyncio.forget(self._awaited)
            try:
                _Mp.Connection.close(self)
                return
            except GLib.Error as error:
                exc = self._translate(error)
            raise exc

    def send(self, obj, timeout=None):
        """Sends a value, or a GLib.Variant as itself.

        With a @timeout a message may be sent of which a part has left when it is over: what is left goes with the next
        call here."""
        if self._closed or not (self._ways or self._get_ways())[1]:
            self._check('write')
        if timeout is not None:
            _mp_call.microseconds(timeout)
        self._send(*self._message(obj), timeout=timeout)

    def _message(self, obj):
        """How to send @obj: the function, what it takes, and the number of bytes."""
        if isinstance(obj, GLib.Variant):
            return _send_value, (obj,), _size_of_variant(obj)
        allow_pickle, as_bytes, _whole = self._how or self._get_how()
        data, handles = _pickled(obj) if allow_pickle else plain.dumps(obj)
        if handles:
            blob = _Mp.blob_new(_PICKLE if allow_pickle else _PLAIN, '', GLib.Bytes.new(data), handles)
            blob._mp_handles = handles   # what they stand for may have been made for them
            return _send_value, (blob,), _IN_PARTS
        if as_bytes and allow_pickle:
            return _send_data, (data,), len(data)
        return _send_blob, (_PICKLE if allow_pickle else _PLAIN, data), len(data)

    def _send(self, function, args, size, timeout=None):
        """Tries at once, because there is less to do when nothing can interrupt it."""
        if size <= (self._how or self._get_how())[2]:
            try:
                function(self, *args, 0, None)
                return
            except GLib.Error as error:
                if not errors.is_timeout(error):
                    raise self._translate(error) from error
        self._blocking(function, *args, timeout=timeout)
        if timeout is None:
            # A signal may have ended the call in the middle of the message.
            self._blocking(_flush)

    def recv(self, timeout=None):
        """Receives what send() has sent. Raises EOFError when nothing is left and the other end is closed.

        A message of bytes is a TypeError, and stays; but where pickles are allowed on a connection of a listener or a
        client it is taken for one, as multiprocessing's are."""
        if self._closed or not (self._ways or self._get_ways())[0]:
            self._check('read')
        allow_pickle, as_bytes, _whole = self._how or self._get_how()
        if not allow_pickle:
            return self._recv(_VALUE, _PLAIN, timeout, self._value_of_plain)
        return self._recv(_VALUE | _BYTES if as_bytes else _VALUE, _PICKLE, timeout, self._value_of_pickle)

    def _value_of_pickle(self, message):
        data, kind, value = message
        if kind == _VALUE:
            return _decode(value, True, self._get_room)
        return pickle.loads(data if value is None else _get_bytes(value))

    def _value_of_plain(self, message):
        data, kind, value = message
        if kind == _VALUE:
            return _decode(value, False, self._get_room)
        return plain.loads(data if value is None else _get_bytes(value), (), self._get_room)

    def _get_room(self):
        """For the objects of a message."""
        return plain.room_for(self.get_property('max-message-size'))

    def _recv(self, kinds, tag, timeout, read):
        """What @read makes of the message that comes next: bytes, what it is, and a GLib.Variant of it or of its bytes.

        One for which a signal's handler has left no time is the next one then, too."""
        kept = self._kept
        if kept is None:
            kept = self._make_kept()
        message = None
        try:
            if timeout is not None:
                _mp_call.microseconds(timeout)
            if not kept:
                message, = starmap(_recv_blob, ((self, kinds, tag, 0, None),))
                if message[1] != _NOTHING:
                    return read(message)
                message = None
            message = self._wait_for_message(kinds, tag, timeout)
            return read(message)
        except BaseException as error:
            if message is not None:
                kept[:0] = (message,)
                self._drop_after(error, message)
                raise
            if not isinstance(error, GLib.Error):
                raise
            exc = self._translate_received(kinds, error)
        raise exc

    def _wait_for_message(self, kinds, tag, timeout):
        kept = self._take_kept_of(kinds)
        if kept is not None:
            return kept
        message = self._take(_recv_blob, kinds, tag, timeout=timeout)
        if message[1] == _NOTHING:
            raise errors.TimeoutError
        return message

    def _take_kept_of(self, kinds):
        """The kept one that comes next; None: there is none, now."""
        kept = self._kept
        while kept:
            try:
                first = kept[0]
            except IndexError:
                break
            message = (first.get_data() or b'', _BYTES, None) if isinstance(first, GLib.Bytes) else first
            if not kinds & (_BYTES if message[1] == _BYTES else _VALUE):
                raise self._other_kind(kinds)
            if kept and kept[0] is first:
                del kept[0]
                return message
        return None

    def _other_kind(self, kinds):
        if kinds & _BYTES:
            return TypeError('the next message holds a value, not bytes, and recv() receives it')
        return TypeError('the next message holds bytes, not a value, and recv_bytes() receives it' +
                         ('; if multiprocessing has sent it, it is a pickle, which needs allow_pickle=True'
                          if self.get_property('foreign') else ''))

    def _translate_received(self, kinds, error):
        if errors.is_mp(error, _Mp.Error.INVALID_TYPE):
            return _with_cause(self._other_kind(kinds), error)
        return self._translate(error)

    def send_bytes(self, buf, offset=0, size=None, timeout=None):
        """Sends the bytes of a bytes-like object as one message."""
        if self._closed or not (self._ways or self._get_ways())[1]:
            self._check('write')
        if timeout is not None:
            _mp_call.microseconds(timeout)
        if type(buf) is not bytes or offset != 0 or size is not None:
            buf = bytes(_part(buf, offset, size))
        self._send(_send_data, (buf,), len(buf), timeout)

    def recv_bytes(self, maxlength=None, timeout=None):
        """Receives one message of bytes. OSError when it is longer than @maxlength, and it stays."""
        if self._closed or not (self._ways or self._get_ways())[0]:
            self._check('read')
        if maxlength is not None:
            return self._recv_bounded(maxlength, timeout)
        return self._recv(_BYTES, '', timeout, _bytes_of)

    def _recv_bounded(self, maxlength, timeout):
        if not isinstance(maxlength, (int, float)):
            raise TypeError('maxlength must be a number or None, not %s' % type(maxlength).__name__)
        if maxlength < 0:
            raise ValueError('negative maxlength')
        maxlength = min(maxlength, sys.maxsize)
        kept = self._make_kept() if self._kept is None else self._kept
        message = None
        try:
            message = self._take_kept_of(_BYTES)
            if message is None:
                message = self._take(_recv_bytes_full, maxlength, timeout=timeout)
                return message.get_data() or b''
            data = _bytes_of(message)
            if len(data) <= maxlength:
                return data
            kept[:0] = (message,)
            message = None
            exc = OSError('bad message length')
        except BaseException as error:
            if message is not None:
                kept[:0] = (message,)
            if not isinstance(error, GLib.Error):
                raise
            stays = errors.is_mp(error, _Mp.Error.TOO_LARGE) and not _Mp.Connection.is_closed(self)
            exc = (_with_cause(OSError('bad message length'), error) if stays
                   else self._translate_received(_BYTES, error))
        raise exc

    def recv_bytes_into(self, buf, offset=0, timeout=None):
        """Receives one message of bytes into a writable buffer; its length. BufferTooShort carries a longer one."""
        with memoryview(buf) as view, view.cast('B') as target:
            if view.readonly:
                raise TypeError('the buffer is read-only')
            offset = _mp_properties.index('offset', offset)
            if offset < 0:
                raise ValueError('negative offset')
            if offset > len(target):
                raise ValueError('offset too large')
            data = self.recv_bytes(timeout=timeout)
            if len(data) > len(target) - offset:
                raise errors.BufferTooShort(data)
            target[offset:offset + len(data)] = data
            return len(data)

    def poll(self, timeout=0.0):
        """Whether there is something to receive, the end of the stream too; waits up to @timeout, None for ever."""
        self._check('read')
        if self._kept:
            return True
        try:
            return bool(self._blocking(_Mp.Connection.poll, timeout=timeout))
        except errors.TimeoutError:
            return False

    async def recv_async(self):
        """As recv(), to be awaited under asyncio."""
        return await self._await(self.recv)

    async def recv_bytes_async(self):
        """As recv_bytes(), to be awaited under asyncio."""
        return await self._await(lambda timeout: self.recv_bytes(timeout=timeout))

    async def _await(self, receive):
        while True:
            try:
                return receive(timeout=0)
            except errors.TimeoutError:
                pass
            self._awaited = self.fileno()
            await _mp_asyncio.ready(self._awaited)

    async def send_async(self, obj):
        """As send(), to be awaited under asyncio.

        One that is cancelled has sent nothing, or all: a message that has begun to leave is sent to its end by whatever
        call comes next."""
        self._check('write')
        await self._await_sent(*self._message(obj))

    async def send_bytes_async(self, buf, offset=0, size=None):
        """As send_bytes(), to be awaited under asyncio."""
        self._check('write')
        data = bytes(_part(buf, offset, size))
        await self._await_sent(_send_data, (data,), len(data))

    async def _await_sent(self, function, args, size):
        try:
            if size <= self._get_how()[2]:
                try:
                    function(self, *args, 0, None)
                    return
                except GLib.Error as error:
                    if not errors.is_timeout(error):
                        raise
            # What is left of a message that has begun to leave goes by itself only while a main loop of GLib runs.
            await _mp_asyncio.in_thread(function, self, *args, -1)
            return
        except GLib.Error as error:
            exc = self._translate(error)
        raise exc

    def __aiter__(self):
        """What recv() gives, up to the end of the stream."""
        return self

    async def __anext__(self):
        try:
            return await self.recv_async()
        except EOFError:
            raise StopAsyncIteration from None

    def _blocking(self, function, *args, timeout=None):
        try:
            return _mp_call.blocking(function, self, *args, timeout=timeout)
        except GLib.Error as error:
            exc = self._translate(error)
        raise exc

    def _translate(self, error):
        if error.domain == errors.IO_DOMAIN:
            if error.code == errors.IO_CLOSED:
                return OSError('handle is closed') if self._closed else EOFError()
            if error.code == errors.IO_BROKEN_PIPE:
                return BrokenPipeError(errno.EPIPE, 'Broken pipe')
            if error.code == errors.IO_PERMISSION_DENIED:
                return _with_cause(PermissionError(errno.EACCES, error.message), error)
            if error.code in (errors.IO_PENDING, errors.IO_BUSY):
                return _with_cause(OSError(errno.EBUSY, error.message), error)
            if error.code == errors.IO_NOT_SUPPORTED:
                return _with_cause(OSError(errno.EOPNOTSUPP, error.message), error)
        return errors.translate(error)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()

    def __reduce_ex__(self, protocol):
        self._check()
        if self._kept:
            raise OSError(errno.EBUSY, 'a connection cannot be sent: a message that was received for a call that a '
                                       'signal ended is here')
        function, args = values.reduce_shareable(self)
        return (function, args) if self._how is None else (_arrived, (*args, *self._how))


def Pipe(duplex=True):
    """A pair of connected Connections; with @duplex False the first only receives and the second only sends."""
    try:
        _ok, first, second = _Mp.pipe_new(duplex)
    except GLib.Error as error:
        raise errors.translate(error)
    return first, second
