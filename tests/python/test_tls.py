#!/usr/bin/env python3
# test_tls.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Listeners and clients with TLS: of this library at both ends, and Python's own ssl at one."""

import asyncio
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

from gi.repository import Gio
from gi.repository import Mp

import support

KEY = b'secret password'
NEW_KEY = 'ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'


def setUpModule():
    if shutil.which('openssl') is None or not Gio.TlsBackend.get_default().supports_tls():
        raise unittest.SkipTest("GIO's TLS or the program openssl is not there")


class InThread(threading.Thread):
    """A call in a thread of its own; what it gives, or raises."""

    def __init__(self, function, *args, **kwargs):
        super().__init__()
        self.call = function, args, kwargs
        self.value = self.exc = None
        self.start()

    def run(self):
        function, args, kwargs = self.call
        try:
            self.value = function(*args, **kwargs)
        except BaseException as exc:
            self.exc = exc

    def get(self):
        self.join(support.TIMEOUT)
        if self.exc is not None:
            raise self.exc
        return self.value


class TestTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.make_authority('authority')
        cls.make_authority('stranger')
        cls.make_certificate('server', 'DNS:localhost,IP:127.0.0.1')
        cls.make_certificate('client', 'DNS:client.example')

    @classmethod
    def openssl(cls, arguments):
        subprocess.run(['openssl'] + arguments.split(), cwd=cls.folder, check=True, stderr=subprocess.DEVNULL)

    @classmethod
    def make_authority(cls, name):
        cls.openssl(f'req -x509 -newkey {NEW_KEY} -days 30 -subj /CN={name} -keyout {name}.key -out {name}.pem')

    @classmethod
    def make_certificate(cls, name, subject):
        with open(os.path.join(cls.folder, name + '.ext'), 'w') as extension:
            extension.write('subjectAltName=' + subject)
        cls.openssl(f'req -newkey {NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr')
        cls.openssl(f'x509 -req -in {name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 '
                    f'-extfile {name}.ext -out {name}.pem')

    def path(self, name):
        return os.path.join(self.folder, name)

    def certificate(self, name):
        return Gio.TlsCertificate.new_from_files(self.path(name + '.pem'), self.path(name + '.key'))

    def authority(self, name='authority'):
        return Gio.TlsFileDatabase.new(self.path(name + '.pem'))

    def listen(self, **properties):
        listener = Mp.Listener(('127.0.0.1', 0), tls_certificate=self.certificate('server'), **properties)
        self.addCleanup(listener.close)
        return listener

    def test_both_ends(self):
        with self.listen(authkey=KEY, tls_database=self.authority()) as listener:
            client = InThread(Mp.Client, ('localhost', listener.address[1]), authkey=KEY, tls=True,
                              tls_database=self.authority(), tls_certificate=self.certificate('client'),
                              timeout=support.TIMEOUT)
            with listener.accept(timeout=support.TIMEOUT) as server, client.get() as connection:
                connection.send({'grüße': [1, 2.5, None]})
                self.assertEqual(server.recv(), {'grüße': [1, 2.5, None]})
                server.send_bytes(bytes(1000))
                self.assertEqual(connection.recv_bytes(), bytes(1000))
                self.assertTrue(server.props.peer_certificate.is_same(self.certificate('client')))
                self.assertTrue(connection.props.peer_certificate.is_same(self.certificate('server')))
                self.assertFalse(connection.poll(0))
                server.close()
                self.assertTrue(connection.poll(support.TIMEOUT))
                self.assertRaises(EOFError, connection.recv)

    def test_refused(self):
        failures = []
        with self.listen() as listener:
            listener.connect('client-failed', lambda _listener, error: failures.append(error))
            for arguments in ({'tls_database': self.authority('stranger')},
                              {'tls_database': self.authority(),
                               'server_identity': Gio.NetworkAddress.new('elsewhere.example', 0)}):
                client = InThread(Mp.Client, listener.address, tls=True, timeout=support.TIMEOUT, **arguments)
                self.assertRaises(Mp.TimeoutError, listener.accept, timeout=0.5)
                with self.assertRaises(ssl.SSLCertVerificationError) as context:
                    client.get()
                self.assertRegex(str(context.exception), '^Cannot connect to tcp:.*: the certificate')
                self.assertEqual(context.exception.errno, ssl.SSL_ERROR_SSL)
        with self.assertRaises(ssl.SSLError):
            with socket.create_server(('127.0.0.1', 0)) as server:
                client = InThread(Mp.Client, server.getsockname(), tls=True, timeout=support.TIMEOUT)
                with server.accept()[0] as connection:
                    connection.sendall(b'\0\0\0\x05hello')
                    client.get()

    def test_settings(self):
        self.assertRaises(ValueError, Mp.Listener, None, tls_certificate=self.certificate('server'))
        self.assertRaises(ValueError, Mp.Listener, ('127.0.0.1', 0), tls_database=self.authority())
        with Mp.Listener(None) as listener:
            self.assertRaises(ValueError, Mp.Client, listener.address, tls=True)

    def test_asyncio(self):
        async def meet(listener):
            client = asyncio.ensure_future(Mp.client_async(listener.address, tls=True, tls_database=self.authority()))
            async for server in listener:
                break
            connection = await client
            for i in range(100):
                connection.send(i)
            self.assertEqual([await server.recv_async() for i in range(100)], list(range(100)))
            connection.close()
            server.close()

        with self.listen() as listener:
            asyncio.run(asyncio.wait_for(meet(listener), support.TIMEOUT))

    def test_ssl_client(self):
        """Another implementation, with messages in CPython's framing."""
        context = ssl.create_default_context(cafile=self.path('authority.pem'))
        with self.listen() as listener:
            accepted = InThread(listener.accept, timeout=support.TIMEOUT)
            with socket.create_connection(listener.address) as plain, \
                    context.wrap_socket(plain, server_hostname='localhost') as client, accepted.get() as server:
                large = os.urandom(3 << 20)
                sent = InThread(client.sendall, struct.pack('!i', len(large)) + large)
                self.assertEqual(server.recv_bytes(), large)
                sent.get()
                server.send_bytes(b'answer')
                answer = b''
                while len(answer) < 10:
                    answer += client.recv(10)
                self.assertEqual(answer, b'\0\0\0\x06answer')
                ended = InThread(client.unwrap)
                self.assertRaises(EOFError, server.recv_bytes)
                server.close()
                ended.get()

    def test_no_stale_trust(self):
        """A session that goes on where an earlier one ended is not trusted because that was."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path('server.pem'), self.path('server.key'))
        with socket.create_server(('127.0.0.1', 0)) as listener:
            for i in range(3):
                client = InThread(Mp.Client, listener.getsockname(), tls=True, timeout=support.TIMEOUT,
                                  tls_database=self.authority('authority' if i < 2 else 'stranger'))
                try:
                    server = context.wrap_socket(listener.accept()[0], server_side=True)
                except OSError:
                    break
                with server:
                    if i < 2:
                        server.sendall(b'\0\0\0\x04more')
                        self.assertEqual(client.get().recv_bytes(), b'more')
                        client.get().close()
            self.assertRaises(ssl.SSLCertVerificationError, client.get)

    def test_ssl_server(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path('server.pem'), self.path('server.key'))
        with socket.create_server(('127.0.0.1', 0)) as listener:
            client = InThread(Mp.Client, listener.getsockname(), tls=True, tls_database=self.authority(),
                              timeout=support.TIMEOUT)
            with context.wrap_socket(listener.accept()[0], server_side=True) as server:
                with client.get() as connection:
                    for i in range(50):
                        server.sendall(struct.pack('!i', i) + bytes(i))
                    for i in range(50):
                        self.assertEqual(len(connection.recv_bytes()), i)
                    connection.send_bytes(b'bye')
                    self.assertEqual(server.recv(7), b'\0\0\0\x03bye')
                self.assertEqual(server.recv(1), b'')


if __name__ == '__main__':
    support.main()
