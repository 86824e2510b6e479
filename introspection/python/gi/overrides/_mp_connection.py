# _mp_connection.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Connection and Pipe as multiprocessing has them."""

import asyncio

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')

# Plain Python values travel as the library's blob of this tag.
TAG = 'pickle'

# A message of this size leaves at once by a socket that is writable: then three quarters of its buffer are free.
_SURE_TO_FIT = 32768


def encode(obj):
    """A GLib.Variant is itself, anything else a pickle."""
    if isinstance(obj, GLib.Variant):
        return obj
    data, handles = values.dumps(obj)
    return _Mp.blob_new(TAG, '', GLib.Bytes.new(data), handles)


def decode(variant):
    if variant.get_type_string() != '(ssayav)' or variant.get_child_value(0).get_string() != TAG:
        return variant
    data = errors.variant_bytes(variant.get_child_value(2))
    parts = variant.get_child_value(3)
    handles = [parts.get_child_value(i).get_variant() for i in range(parts.n_children())]
    return values.loads(data, [_Mp.Shareable.from_variant(handle) for handle in handles])


class Connection(_Mp.Connection):
    """One end of a pipe: whole messages of any picklable value, of bytes, or of a GLib.Variant.

    Timeouts are in seconds. It is a context manager, and can itself be sent."""

    __module__ = 'gi.overrides.Mp'

    _closed = False

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
        return self.get_property('readable')

    @property
    def writable(self):
        """Whether this end can send."""
        return self.get_property('writable')

    def fileno(self):
        """The file descriptor, for select and the like."""
        self._check()
        return _Mp.Connection.get_fd(self)

    def close(self):
        """Closes this end."""
        if not self._closed:
            self._closed = True
            _mp_call.plain(_Mp.Connection.close, self)

    def send(self, obj, timeout=None):
        """Sends a picklable object, or a GLib.Variant as itself."""
        self._check('write')
        self._blocking(_Mp.Connection.send, encode(obj), timeout=timeout)

    def recv(self, timeout=None):
        """Receives what send() has sent. Raises EOFError when nothing is left and the other end is closed."""
        self._check('read')
        return decode(self._blocking(_Mp.Connection.recv, timeout=timeout))

    def send_bytes(self, buf, offset=0, size=None):
        """Sends the bytes of a bytes-like object as one message."""
        self._check('write')
        view = memoryview(buf).cast('B')
        if offset < 0:
            raise ValueError('offset is negative')
        if offset > len(view):
            raise ValueError('buffer length < offset')
        if size is None:
            size = len(view) - offset
        elif size < 0:
            raise ValueError('size is negative')
        elif offset + size > len(view):
            raise ValueError('buffer length < offset + size')
        data = GLib.Bytes.new(bytes(view[offset:offset + size]))
        self._blocking(_Mp.Connection.send_bytes, data)

    def recv_bytes(self, maxlength=None, timeout=None):
        """Receives one message of bytes. OSError when it is longer than @maxlength; the connection stays usable."""
        if maxlength is not None and maxlength < 0:
            raise ValueError('negative maxlength')
        self._check('read')
        data = self._blocking(_Mp.Connection.recv_bytes, timeout=timeout).get_data() or b''
        if maxlength is not None and len(data) > maxlength:
            raise OSError('bad message length')
        return data

    def recv_bytes_into(self, buf, offset=0):
        """Receives one message of bytes into a writable buffer; its length. BufferTooShort carries a longer one."""
        with memoryview(buf) as view, view.cast('B') as target:
            if offset < 0:
                raise ValueError('negative offset')
            if offset > len(target):
                raise ValueError('offset too large')
            data = self.recv_bytes()
            if len(data) > len(target) - offset:
                raise errors.BufferTooShort(data)
            target[offset:offset + len(data)] = data
            return len(data)

    def poll(self, timeout=0.0):
        """Whether there is something to receive, the end of the stream too; waits up to @timeout, None for ever."""
        self._check('read')
        try:
            return bool(self._blocking(_Mp.Connection.poll, timeout=timeout))
        except errors.TimeoutError:
            return False

    async def recv_async(self):
        """As recv(), to be awaited under asyncio."""
        while True:
            try:
                return self.recv(timeout=0)
            except errors.TimeoutError:
                pass
            await _mp_asyncio.ready(self.fileno())

    async def send_async(self, obj):
        """As send(), to be awaited under asyncio."""
        self._check('write')
        variant = encode(obj)
        if variant.get_size() > _SURE_TO_FIT:
            # The rest of a message that has begun to leave goes on its own only while a GLib main loop runs.
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._blocking, _Mp.Connection.send, variant)
            return
        await _mp_asyncio.ready(self.fileno(), writing=True)
        self._blocking(_Mp.Connection.send, variant)

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
                return BrokenPipeError(32, 'Broken pipe')
        return errors.translate(error)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()

    def __reduce_ex__(self, protocol):
        return values.reduce_shareable(self)


def Pipe(duplex=True):
    """A pair of connected Connections; with @duplex False the first only receives and the second only sends."""
    try:
        _ok, first, second = _Mp.pipe_new(duplex)
    except GLib.Error as error:
        raise errors.translate(error)
    return first, second
