#!/usr/bin/env python3
# test_connection.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp.Listener and Mp.Client with processes of CPython at the other side, of each version that is there."""

import functools
import glob
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import unittest

from gi.repository import Mp

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'python'))
sys.path.insert(0, HERE)

import support  # noqa: E402
from peers import Peer  # noqa: E402

KEY = b'secret password'
VALUES = [[2.25, None, 'junk', float], {'a': (1, 2 ** 100), 'b': {3}}, b'bytes', 'größer', 1 + 2j]


def _version(python):
    try:
        answer = subprocess.run([python, '-c', 'import sys, hashlib; print("%d.%d" % sys.version_info[:2])'],
                                capture_output=True, text=True, timeout=support.TIMEOUT)
    except OSError:
        return None
    return tuple(map(int, answer.stdout.split('.'))) if answer.returncode == 0 else None


def pythons():
    """One of each version of CPython that there is."""
    found = {}
    names = [os.environ.get('MP_TEST_PYTHON', 'python3'), *('python3.%d' % minor for minor in range(8, 16)),
             *glob.glob(os.path.expanduser('~/.pyenv/versions/*/bin/python3'))]
    for name in names:
        path = shutil.which(name)
        version = _version(path) if path else None
        if version and version >= (3, 8):
            found.setdefault(version, path)
    return sorted(found.items())


PYTHONS = pythons()


def with_each(test):
    """Decorator: the test with a process of each version, and whether that knows nothing but md5."""
    @functools.wraps(test)
    def of_all(self):
        for version, python in PYTHONS:
            with self.subTest(python=version):
                peer = Peer(python)
                test(self, peer, version < (3, 12))
                self.assertEqual(peer.end(), 0)

    return of_all


class InteropTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'socket')

    def check(self, connection, peer, pickles):
        """Both ways; "c" is the other end."""
        for data in (b'', b'x', bytes(range(256)) * 1000):
            peer.tell('d = c.recv_bytes()')
            connection.send_bytes(data)
            self.assertEqual(peer.hear(), '-')
            self.assertEqual(peer.get('len(d)'), len(data))
            peer.tell('c.send_bytes(d)')
            self.assertEqual(connection.recv_bytes(), data)
            self.assertEqual(peer.hear(), '-')
        if pickles:
            for value in VALUES:
                connection.send(value)
                peer.do('v = c.recv()')
                self.assertEqual(peer.get('repr(v)'), repr(value))
                peer.do('c.send(v)')
                self.assertEqual(connection.recv(), value)
        else:
            peer.do('c.send(["a pickle"])')
            with self.assertRaisesRegex(TypeError, 'recv_bytes.*allow_pickle=True'):
                connection.recv()
            self.assertEqual(pickle.loads(connection.recv_bytes()), ['a pickle'])
        peer.do('c.close()')
        with self.assertRaises(EOFError):
            connection.recv()
        connection.close()

    @with_each
    def test_their_client(self, peer, only_md5):
        for address in (self.path, ('localhost', 0)):
            for authkey in (None, KEY):
                for pickles in (False, True):
                    with Mp.Listener(address, authkey=authkey, allow_pickle=pickles, allow_md5=only_md5) as listener:
                        peer.tell('c = Client(%r, authkey=%r)' % (listener.address, authkey))
                        connection = listener.accept(timeout=support.TIMEOUT)
                        self.assertEqual(peer.hear(), '-')
                        self.check(connection, peer, pickles)

    @with_each
    def test_their_listener(self, peer, only_md5):
        for address in (self.path, ('localhost', 0)):
            for authkey in (None, KEY):
                for pickles in (False, True):
                    peer.do('l = Listener(%r, authkey=%r)' % (address, authkey))
                    real = peer.get('l.address')
                    peer.tell('c = l.accept()')
                    connection = Mp.Client(real, authkey=authkey, timeout=support.TIMEOUT, allow_pickle=pickles,
                                           allow_md5=only_md5)
                    self.assertEqual(peer.hear(), '-')
                    self.check(connection, peer, pickles)
                    peer.do('l.close()')

    @with_each
    def test_wrong_keys(self, peer, only_md5):
        with Mp.Listener(self.path, authkey=KEY, allow_md5=only_md5) as listener:
            peer.tell('c = Client(%r, authkey=b"another")' % self.path)
            peer.tell('c = Client(%r, authkey=%r)' % (self.path, KEY))
            connection = listener.accept(timeout=support.TIMEOUT)
            self.assertRegex(peer.hear(), '^!AuthenticationError')
            self.assertEqual(peer.hear(), '-')
            self.check(connection, peer, False)
        peer.do('l = Listener(%r, authkey=%r)' % (self.path, KEY))
        peer.tell('c = l.accept()')
        with self.assertRaises(Mp.AuthenticationError):
            Mp.Client(self.path, authkey=b'another', timeout=support.TIMEOUT, allow_md5=only_md5)
        self.assertRegex(peer.hear(), '^!AuthenticationError')
        peer.do('l.close()')

    @with_each
    def test_md5_unasked(self, peer, only_md5):
        """The old form, which is weak, is refused, and the error says what it is."""
        if not only_md5:
            return
        peer.do('l = Listener(%r, authkey=%r)' % (self.path, KEY))
        peer.tell('c = l.accept()')
        with self.assertRaisesRegex(Mp.AuthenticationError, '(?i)md5'):
            Mp.Client(self.path, authkey=KEY, timeout=support.TIMEOUT)
        self.assertRegex(peer.hear(), '^!')
        peer.do('l.close()')

    @with_each
    def test_challenges(self, peer, only_md5):
        with Mp.Listener(self.path) as listener:
            peer.tell('c = Client(%r)' % self.path)
            connection = listener.accept(timeout=support.TIMEOUT)
            self.assertEqual(peer.hear(), '-')
            peer.tell('connection.answer_challenge(c, %r)' % KEY)
            Mp.connection.deliver_challenge(connection, KEY, allow_md5=only_md5)
            self.assertEqual(peer.hear(), '-')
            peer.tell('connection.deliver_challenge(c, %r)' % KEY)
            Mp.connection.answer_challenge(connection, KEY, allow_md5=only_md5)
            self.assertEqual(peer.hear(), '-')
            self.check(connection, peer, False)

    @with_each
    def test_killed(self, peer, _only_md5):
        """A process of CPython that is killed in the middle of a message: the end of the stream."""
        with Mp.Listener(self.path) as listener:
            other = Peer(peer.python)
            other.tell('c = Client(%r)' % self.path)
            connection = listener.accept(timeout=support.TIMEOUT)
            self.assertEqual(other.hear(), '-')
            other.do('c._send(struct.pack("!i", 1000) + b"torn")')
            self.assertFalse(connection.poll(0))
            other.process.kill()
            with self.assertRaises(EOFError):
                connection.recv_bytes()
            other.end()


if __name__ == '__main__':
    support.main()
