# _mp_descriptor.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""File descriptors that travel, and what multiprocessing.reduction has of them."""

import os

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_errors as errors
from . import _mp_module
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')


def _number_of(file):
    if isinstance(file, int):
        return file
    try:
        fileno = file.fileno
    except AttributeError:
        raise TypeError('a descriptor is given by its number or by an object with a fileno(), not by %s' %
                        type(file).__name__) from None
    return fileno()


class Descriptor(_Mp.Descriptor):
    """A duplicate of a file descriptor, or of that of anything with a fileno(), that travels to other processes.

    It can be sent through connections, and be in the arguments and results of processes and tasks. It is what
    os.dup() gives, there as here: the position in a file is common to all. It is closed by close(), at the end of a
    with statement, or with its last reference; detach() gives the descriptor away."""

    __module__ = 'gi.overrides.Mp'

    def __new__(cls, file):
        fd = _number_of(file)
        # Of the system's error the library's has only the text.
        os.fstat(fd)
        try:
            return _Mp.Descriptor.new(fd)
        except GLib.Error as error:
            exc = errors.translate(error)
        raise exc

    def __init__(self, *args, **kwargs):
        """It is made above."""

    @property
    def closed(self):
        """Whether it has no file descriptor any more."""
        return _Mp.Descriptor.is_closed(self)

    def _check(self, fd):
        if fd < 0:
            raise OSError('handle is closed')
        return fd

    def fileno(self):
        """The file descriptor, which stays this object's."""
        return self._check(_Mp.Descriptor.get_fd(self))

    def detach(self):
        """The file descriptor, which is the caller's then: this object has none any more."""
        return self._check(_Mp.Descriptor.steal_fd(self))

    def close(self):
        """Closes the file descriptor."""
        _Mp.Descriptor.close(self)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()

    def __reduce_ex__(self, protocol):
        self.fileno()
        return values.reduce_shareable(self)

    def __repr__(self):
        return '<Descriptor(%s)>' % ('closed' if self.closed else self.fileno())


def DupFd(fd):
    """A duplicate of the descriptor that can be pickled for another process, where detach() gives it."""
    return Descriptor(fd)


def send_handle(conn, handle, destination_pid=None):
    """Sends a file descriptor through a connection: to a program in any language. @destination_pid is not needed."""
    with Descriptor(handle) as descriptor:
        conn.send(_Mp.Shareable.to_variant(descriptor))


def recv_handle(conn):
    """Receives what send_handle() has sent: a file descriptor, which is the caller's."""
    received = conn.recv()
    if isinstance(received, GLib.Variant) and received.get_type_string() == 'h':
        received = _Mp.Shareable.from_variant(received)
    if not isinstance(received, _Mp.Descriptor):
        raise RuntimeError('Invalid data received')
    return received.detach()


def reduce_socket(sock):
    """__reduce__ of a socket."""
    return _rebuild_socket, (Descriptor(sock), sock.family, sock.type, sock.proto)


def _rebuild_socket(descriptor, family, kind, proto):
    from socket import socket
    return socket(family, kind, proto, fileno=descriptor.detach())


class _Reduction(_mp_module.types.ModuleType):
    """What is multiprocessing's own comes from there when it is asked for: to import that costs a worker time."""

    _theirs = ('ForkingPickler', 'dump', 'recvfds', 'register', 'sendfds')

    def __getattr__(self, name):
        if name not in self._theirs:
            raise AttributeError('module %r has no attribute %r' % (self.__name__, name))
        from multiprocessing import reduction as theirs
        return getattr(theirs, name)


reduction = _mp_module.make('reduction', DupFd=DupFd, HAVE_SEND_HANDLE=True, recv_handle=recv_handle,
                            send_handle=send_handle)
reduction.__class__ = _Reduction
reduction.__all__ = sorted(reduction.__all__ + list(_Reduction._theirs))
