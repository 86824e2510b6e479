#!/usr/bin/env python3
# test_memory.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp.shared_memory with a process of CPython at the other side."""

import os
import sys
import unittest

from gi.repository import Mp

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'python'))
sys.path.insert(0, HERE)

import support  # noqa: E402
from peers import Peer  # noqa: E402

VALUES = [0, -1, 2**63 - 1, -2**63, 0.1, float('inf'), True, False, None, '', 'text', 'größer', 'x' * 1000, b'',
          b'\xff\x00\xff', bytes(range(1, 256))]


class InteropTest(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()

    def tearDown(self):
        self.assertEqual(self.peer.end(), 0)

    def test_memory_ours(self):
        memory = Mp.shared_memory.SharedMemory(create=True, size=4097)
        self.peer.do('m = attach(%r)' % memory.name)
        self.assertEqual(self.peer.get('m.size'), 4097)
        memory.buf[:5] = b'hello'
        self.assertEqual(self.peer.get('bytes(m.buf[:6])'), b'hello\0')
        self.peer.do('m.buf[-1] = 9')
        self.assertEqual(memory.buf[4096], 9)
        memory.unlink()
        self.assertRegex(self.peer.ask('attach(%r)' % memory.name), '^!FileNotFoundError')
        self.peer.do('m.close()')

    def test_memory_theirs(self):
        self.peer.do('m = SharedMemory(create=True, size=100)')
        name = self.peer.get('m.name')
        with self.assertRaises(FileExistsError):
            Mp.shared_memory.SharedMemory(name, create=True, size=100)
        memory = Mp.shared_memory.SharedMemory(name)
        memory.buf[:] = bytes(range(100))
        self.assertEqual(self.peer.get('bytes(m.buf)'), bytes(range(100)))
        memory.close()
        self.assertEqual(self.peer.get('m.buf[7]'), 7)
        again = Mp.shared_memory.SharedMemory(name)
        again.unlink()
        self.assertRegex(self.peer.ask('SharedMemory(%r)' % name), '^!FileNotFoundError')
        self.peer.do('forget(m) and None')

    def test_list_ours(self):
        items = Mp.shared_memory.ShareableList(VALUES)
        self.peer.do('l = attach_list(%r)' % items.shm.name)
        self.assertEqual(self.peer.get('list(l)'), VALUES)
        self.assertEqual(self.peer.get('l.format'), items.format)
        self.peer.do('for i in range(len(l)): l[i] = i * 1.5')
        self.assertEqual(list(items), [i * 1.5 for i in range(len(VALUES))])
        self.peer.do('for i in range(len(l)): l[i] = str(i)')
        self.assertEqual(list(items), [str(i) for i in range(len(VALUES))])
        self.peer.do('l.shm.close()')
        items.shm.unlink()

    def test_list_theirs(self):
        self.peer.do('values = %r' % [value for value in VALUES if value != float('inf') and value != 'größer'])
        self.peer.do('l = ShareableList(values)')
        items = Mp.shared_memory.ShareableList(name=self.peer.get('l.shm.name'))
        self.assertEqual(list(items), self.peer.get('values'))
        for i, value in enumerate(reversed(items)):
            try:
                items[i] = value
            except ValueError:
                items[i] = None
        self.assertEqual(self.peer.get('list(l)'), list(items))
        self.peer.do('l.shm.unlink()')

    def test_at_its_end(self):
        """What it has left there stays."""
        memory = Mp.shared_memory.SharedMemory(create=True, size=10)
        other = Peer()
        other.do('m = SharedMemory(%r)' % memory.name)
        other.do('m.buf[0] = 5; m.close(); forget(m)')
        self.assertEqual(other.end(), 0)
        self.assertEqual(memory.buf[0], 5)
        memory.unlink()


if __name__ == '__main__':
    support.main()
