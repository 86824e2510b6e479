# _mp_listener.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Listener, Client and the authentication of connections as multiprocessing.connection has them."""

import errno
import os
import socket
import weakref

from gi.repository import Gio, GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_kept
from . import _mp_properties
from ._mp_connection import WHOLE

_Mp = get_introspection_module('Mp')

_accept = _Mp.Listener.accept

_FAMILIES = {
    'AF_UNIX': Gio.SocketFamily.UNIX,
    'AF_INET': Gio.SocketFamily.IPV4,
    'AF_INET6': Gio.SocketFamily.IPV6,
}
_TEXT_FORMS = ('unix:', 'unix-abstract:', 'tcp:')
_LONGEST_PATH = 107        # in bytes, without the end
_RESOLVER_DOMAIN = 'g-resolver-error-quark'
_TLS_DOMAIN = 'g-tls-error-quark'
_IO_FAILED = 0             # of GIOErrorEnum
_TLS_BAD_CERTIFICATE = 2   # of Gio.TlsError

# Of GIOErrorEnum, and what the system calls say that CPython makes.
_ERRNO = {
    1: errno.ENOENT,
    2: errno.EEXIST,
    14: errno.EACCES,
    33: errno.EADDRINUSE,
    36: errno.ENETUNREACH,
    37: errno.ENETUNREACH,
    38: errno.EHOSTUNREACH,
    39: errno.ECONNREFUSED,
    44: errno.ECONNRESET,
}


def _translate_tls(error):
    import ssl
    cls = ssl.SSLCertVerificationError if error.code == _TLS_BAD_CERTIFICATE else ssl.SSLError
    exc = cls(ssl.SSL_ERROR_SSL, error.message)
    exc.__cause__ = error
    return exc


def _translate(error):
    if error.domain == _RESOLVER_DOMAIN:
        return socket.gaierror(socket.EAI_NONAME, error.message)
    if error.domain == _TLS_DOMAIN:
        return _translate_tls(error)
    if error.domain == errors.IO_DOMAIN and error.code in _ERRNO:
        exc = OSError(_ERRNO[error.code], error.message)
        exc.__cause__ = error
        return exc
    if error.domain == errors.IO_DOMAIN and error.code == _IO_FAILED:
        # GIO has no code of its own for this one.
        here = error.message.endswith(os.strerror(errno.EADDRNOTAVAIL))
        exc = OSError(errno.EADDRNOTAVAIL, error.message) if here else OSError(error.message)
        exc.__cause__ = error
        return exc
    return errors.translate(error)


def _pair(address):
    """(host, port) of an address of IPv6, of which sockets have four parts; others as they are."""
    if isinstance(address, tuple) and len(address) == 4 and isinstance(address[0], str) and ':' in address[0]:
        host, port, flow, scope = address
        if flow == 0 and isinstance(scope, int) and scope >= 0:
            return ('%s%%%d' % (host, scope) if scope > 0 and '%' not in host else host), port
    return address


def _family_of(address):
    if isinstance(address, tuple):
        if len(address) != 2 or not isinstance(address[0], str):
            raise TypeError('address type of %r unrecognized' % (address,))
        if '\0' in address[0]:
            raise ValueError('embedded null character in the name of a host: %r' % address[0])
        if not isinstance(address[1], int):
            raise TypeError('the port must be a number, not %s' % type(address[1]).__name__)
        if not 0 <= address[1] <= 65535:
            raise OverflowError('the port must be from 0 to 65535, not %d' % address[1])
        return 'AF_INET6' if ':' in address[0] else 'AF_INET'
    if isinstance(address, (str, bytes, os.PathLike)):
        return 'AF_UNIX'
    raise TypeError('address type of %r unrecognized' % (address,))


families = list(_FAMILIES)
default_family = 'AF_UNIX'


def address_type(address):
    """The family of an address in one of CPython's forms: 'AF_INET', 'AF_INET6' or 'AF_UNIX'."""
    return _family_of(_pair(address))


def arbitrary_address(family):
    """An address to listen on: any free port of this machine, or a path in a directory that only the user can enter."""
    _check_family(family)
    if family == 'AF_UNIX':
        from multiprocessing import connection as theirs
        return theirs.arbitrary_address(family)
    return 'localhost' if family == 'AF_INET' else '::1', 0


def _check_family(family):
    if family not in _FAMILIES:
        raise ValueError('Family %s is not recognized.' % (family,))


def _tcp(host, port):
    return ('tcp:[%s]:%d' if ':' in host else 'tcp:%s:%d') % (host, port)


def _unix(path):
    path = os.fsdecode(path)
    if '\0' in path[1:]:
        raise ValueError('embedded null character in the path of a socket: %r' % path)
    path.encode()   # a UnicodeEncodeError: the library's addresses are UTF-8
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, 'the path of a socket has at most %d bytes' % _LONGEST_PATH, path)
    return 'unix-abstract:' + path[1:] if path.startswith('\0') else 'unix:' + path


def _to_text(address, family):
    """The library's text for an address in one of CPython's forms; what is no such form as it is."""
    if isinstance(address, Gio.SocketConnectable):
        return address
    if family is None and isinstance(address, str) and address.startswith(_TEXT_FORMS):
        if '\0' in address:
            raise ValueError('embedded null character in an address: %r' % address)
        return address
    address = _pair(address)
    own = _family_of(address)
    if family is None:
        family = own
    _check_family(family)
    if (family == 'AF_UNIX') != (own == 'AF_UNIX'):
        raise TypeError('%r is no address of family %s' % (address, family))
    return _unix(address) if own == 'AF_UNIX' else _tcp(*address)


def _to_listen(address, family):
    """The same for a listener. A name stands for its first address of the family."""
    if address is None or address == '':
        if family is not None:
            _check_family(family)
        if family in (None, 'AF_UNIX'):
            return None
        address = ('localhost', 0)
    if not isinstance(address, tuple):
        return _to_text(address, family)
    address = _pair(address)
    own = _family_of(address)
    family = family or own
    _check_family(family)
    host, port = address
    kind = getattr(socket, family)
    if family == 'AF_UNIX':
        raise TypeError('%r is no address of family %s' % (address, family))
    found = socket.getaddrinfo(host or None, port, kind, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    return _tcp(*_pair(found[0][4]))


def _from_text(text):
    """An address in CPython's form."""
    if text is None:
        return None
    kind, _colon, rest = text.partition(':')
    if kind == 'unix':
        return rest
    if kind == 'unix-abstract':
        return '\0' + rest
    if kind == 'tcp':
        host, _colon, port = rest.rpartition(':')
        return host.strip('[]'), int(port)
    return text


def _from_socket_address(address):
    """What accept() of a socket would say."""
    if address is None:
        return None
    if isinstance(address, Gio.InetSocketAddress):
        return address.get_address().to_string(), address.get_port()
    return ''


def _key(authkey):
    if authkey is None:
        return None
    if not isinstance(authkey, bytes):
        raise TypeError('authkey should be a byte string')
    return GLib.Bytes.new(bytes(authkey))


def _microseconds(spec, name, seconds):
    """As blocking calls take it, but errors have its own name."""
    try:
        value = _mp_call.microseconds(seconds)
    except (OverflowError, TypeError, ValueError) as exc:
        raise type(exc)(str(exc).replace('timeout', name, 1)) from None
    if value < spec.minimum:
        raise ValueError('%s must be at least %g seconds, not %r' % (name, spec.minimum / 1e6, seconds))
    return value


def _settings(cls, authkey, properties):
    """Keyword arguments as properties of a class of the library; times that end in _us may be given in seconds."""
    specs = {spec.name.replace('-', '_'): spec for spec in cls.list_properties()}
    found = {}
    key = _key(authkey)
    if key is not None:
        found['authkey'] = key
    for name, value in properties.items():
        if name not in specs and name + '_us' in specs:
            name, value = name + '_us', _microseconds(specs[name + '_us'], name, value)
        if name not in specs:
            raise TypeError('%s has no property %r' % (cls.__gtype__.name, name))
        found[name] = _mp_properties.check(specs[name], value)
    return found


def _ready(connection, allow_pickle, is_tcp):
    """A connection as it comes out of a listener or a client."""
    connection._how = (allow_pickle, True, 0 if is_tcp else WHOLE)
    return connection


class Listener(_mp_kept.Keeper, _Mp.Listener):
    """Where clients connect to, this library's or CPython's own.

    As multiprocessing.connection.Listener; but a client that cannot show that it has the key, or keeps silent, costs
    itself only: accept() goes on with others. More keywords are the properties of the library's class: allow_md5 for
    clients of CPython 3.11 and before, allow_abstract, max_message_size, handshake_timeout (in seconds), max_pending;
    tls_certificate, a Gio.TlsCertificate, for encryption, and tls_database, a Gio.TlsDatabase, for clients that have to
    have certificates.

    @address: a pair of host and port; a path; None: one that is made up. @allow_pickle: send() and recv() of the
    connections use pickles, as CPython's do; only among those whom you trust. `async for` gives connections; the signal
    ``connection``, after start(), does."""

    __module__ = 'gi.overrides.Mp'

    _closed = False
    _awaited = -1           # the descriptor, once a loop of asyncio watches it
    _allow_pickle = False

    def __init__(self, address=None, family=None, backlog=128, authkey=None, *, allow_pickle=False, **properties):
        properties['backlog'] = max(1, _mp_properties.index('backlog', backlog))
        settings = _settings(_Mp.Listener, authkey, properties)
        address = _to_listen(address, family)
        if address is not None:
            settings['address' if isinstance(address, str) else 'connectable'] = address
        super().__init__(**settings)
        try:
            self.init(None)
        except GLib.Error as error:
            exc = _translate(error)
        else:
            exc = None
        if exc is not None:
            raise exc
        self._allow_pickle = bool(allow_pickle)
        weak = weakref.ref(self)
        # The first handler: those of the user see a connection that is ready.
        self.connect('connection', lambda _listener, connection: weak()._ready(connection))

    def _ready(self, connection):
        return _ready(connection, self._allow_pickle, _Mp.Listener.get_address(self).startswith('tcp:'))

    def _check(self):
        if self._closed:
            raise OSError('listener is closed')

    def accept(self, timeout=None):
        """Waits for a client, and gives the Connection."""
        self._check()
        kept = self._make_kept() if self._kept is None else self._kept
        connection = None
        try:
            if kept:
                connection = self._take_kept()
            if connection is None:
                connection = self._take(_accept, timeout=timeout)
            return self._ready(connection)
        except BaseException as error:
            if connection is not None:
                kept[:0] = (connection,)
            if not isinstance(error, GLib.Error):
                raise
            exc = self._translate(error)
        raise exc

    async def accept_async(self):
        """As accept(), to be awaited under asyncio."""
        while True:
            try:
                return self.accept(timeout=0)
            except errors.TimeoutError:
                pass
            self._awaited = _Mp.Listener.get_fd(self)
            await _mp_asyncio.ready(self._awaited)

    def _translate(self, error):
        if error.domain == errors.IO_DOMAIN and error.code == errors.IO_CLOSED:
            return OSError('listener is closed')
        return _translate(error)

    def __aiter__(self):
        """The connections to come, until it is closed."""
        return self

    async def __anext__(self):
        try:
            return await self.accept_async()
        except OSError:
            if not self._closed:
                raise
            raise StopAsyncIteration from None

    @property
    def address(self):
        """Where it listens, in CPython's form: (host, port), with the real port, or a path."""
        return _from_text(_Mp.Listener.get_address(self))

    @property
    def last_accepted(self):
        """Where the last client that was accepted came from, None before that: (host, port), or '' for a path."""
        return _from_socket_address(_Mp.Listener.get_last_accepted(self))

    @property
    def closed(self):
        """Whether close() has been called."""
        return self._closed

    def fileno(self):
        """A file descriptor to wait on, readable when accept() would not wait."""
        self._check()
        return _Mp.Listener.get_fd(self)

    def close(self):
        """Closes it, and removes the socket's file; the connections stay."""
        if not self._closed:
            self._closed = True
            if self._awaited >= 0:
                _mp_asyncio.forget(self._awaited)
            while (connection := self._take_kept()) is not None:
                connection.close()
            _Mp.Listener.close(self)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()


def _client_options(authkey, properties):
    return _Mp.ClientOptions(**_settings(_Mp.ClientOptions, authkey, properties))


def _connecting(address, family):
    """The library's function and the address for it."""
    address = _to_text(address, family)
    return _Mp.client_connect_to if isinstance(address, str) else _Mp.client_connect, address


def _is_tcp(address):
    return not (isinstance(address, str) and address.startswith('unix') or isinstance(address, Gio.UnixSocketAddress))


def _translate_of_client(error):
    if error.domain == errors.IO_DOMAIN and error.code == errors.IO_CLOSED:
        return EOFError(error.message)
    return _translate(error)


def Client(address, family=None, authkey=None, *, timeout=None, allow_pickle=False, **properties):
    """Connects to a listener, this library's or CPython's own, and gives the Connection.

    As multiprocessing.connection.Client. More keywords are the properties of Mp.ClientOptions: allow_md5 for listeners
    of CPython 3.11 and before, allow_abstract, max_message_size; tls for encryption, with tls_database,
    tls_certificate and server_identity. A certificate that is refused is a ssl.SSLCertVerificationError.

    @timeout: seconds for all of it, Mp.TimeoutError after it. @allow_pickle: as Listener has it."""
    connect, address = _connecting(address, family)
    options = _client_options(authkey, properties)
    try:
        connection = _mp_call.blocking(connect, address, options, timeout=timeout)
        return _ready(connection, bool(allow_pickle), _is_tcp(address))
    except GLib.Error as error:
        exc = _translate_of_client(error)
    raise exc


async def client_async(address, family=None, authkey=None, *, allow_pickle=False, **properties):
    """As Client(), to be awaited under asyncio."""
    connect, address = _connecting(address, family)
    options = _client_options(authkey, properties)
    # The library's own asynchronous form needs a main loop of GLib.
    try:
        connection = await _mp_asyncio.in_thread(connect, address, options, -1)
        return _ready(connection, bool(allow_pickle), _is_tcp(address))
    except GLib.Error as error:
        exc = _translate_of_client(error)
    raise exc

def _challenge(function, connection, authkey, timeout, allow_md5):
    if not isinstance(authkey, bytes):
        raise ValueError('Authkey must be bytes, not %s' % type(authkey))
    if not isinstance(connection, _Mp.Connection):
        raise TypeError('connection must be a Mp.Connection, not %s' % type(connection).__name__)

    def call(connection, timeout_us, cancellable):
        return function(connection, _key(authkey), allow_md5, timeout_us, cancellable)

    try:
        _mp_call.blocking(call, connection, timeout=timeout)
        return
    except GLib.Error as error:
        exc = connection._translate(error)
    raise exc


def deliver_challenge(connection, authkey, *, timeout=None, allow_md5=False):
    """Lets the other end show that it has the key; AuthenticationError when it does not."""
    _challenge(_Mp.deliver_challenge, connection, authkey, timeout, allow_md5)


def answer_challenge(connection, authkey, *, timeout=None, allow_md5=False):
    """Shows the other end that this one has the key; AuthenticationError when it finds otherwise."""
    _challenge(_Mp.answer_challenge, connection, authkey, timeout, allow_md5)
