#!/usr/bin/env python3
# test_examples.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job in Python: checksum-tree, beside sha256sum."""

import os
import signal
import subprocess
import sys
import unittest

import support
from support import TIMEOUT

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'examples', 'checksum-tree.py')


def checksum_tree(*args, **kwargs):
    return subprocess.run([sys.executable, PROGRAM, *args], capture_output=True, timeout=TIMEOUT, **kwargs)


def sha256sum(directory):
    return subprocess.run(
        ['sh', '-c', 'find "$1" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum', 'sh', directory],
        capture_output=True, timeout=TIMEOUT).stdout


class ChecksumTreeTest(unittest.TestCase):
    def test_odd_names(self):
        with support.tempfile.TemporaryDirectory() as directory:
            for number, name in enumerate((b'plain', b'sp ace', b'back\\slash', b'new\nline', b're\rturn', b'\xff\xfe',
                                           'ä'.encode(), b'-dash', b'tab\t')):
                with open(os.path.join(os.fsencode(directory), name), 'wb') as stream:
                    stream.write(os.urandom(number * 100000))
            os.mkdir(os.path.join(directory, 'sub'))
            os.mkdir(os.path.join(directory, 'sub-1'))
            for name in ('sub/a', 'sub-1/b'):
                with open(os.path.join(directory, name), 'w'):
                    pass
            os.symlink('plain', os.path.join(directory, 'link'))
            os.mkfifo(os.path.join(directory, 'fifo'))
            result = checksum_tree(directory)
            self.assertEqual((result.stderr, result.returncode), (b'', 0))
            self.assertEqual(result.stdout, sha256sum(directory))

    def test_headers(self):
        directory = '/usr/include/glib-2.0' if os.path.isdir('/usr/include/glib-2.0') else os.path.dirname(PROGRAM)
        result = checksum_tree(directory)
        self.assertEqual((result.stderr, result.returncode), (b'', 0))
        self.assertEqual(result.stdout, sha256sum(directory))

    def test_unreadable(self):
        # Nobody, not even root, can read this one from its beginning.
        result = checksum_tree('/proc/self/mem')
        self.assertEqual((result.stdout, result.returncode), (b'', 1))
        self.assertEqual(result.stderr, b'checksum-tree: /proc/self/mem: Input/output error\n')
        result = checksum_tree('/nonexistent')
        self.assertEqual((result.stdout, result.stderr, result.returncode),
                         (b'', b'checksum-tree: /nonexistent: No such file or directory\n', 1))
        self.assertEqual(checksum_tree('a', 'b').returncode, 2)

    def test_interrupt(self):
        with support.tempfile.TemporaryDirectory() as directory:
            for number in range(3):
                with open(os.path.join(directory, str(number)), 'wb') as stream:
                    stream.truncate(1 << 40)
            process = subprocess.Popen([sys.executable, PROGRAM, directory], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
            support.wait_until(lambda: len(support.descendants(process.pid)) >= 2, 'the workers')
            workers = support.descendants(process.pid)
            os.killpg(process.pid, signal.SIGINT)
            self.assertEqual(process.communicate(timeout=TIMEOUT), (b'', b''))
            self.assertEqual(process.returncode, -signal.SIGINT)
            for worker in workers:
                support.wait_until(lambda: not support.is_running(worker), 'the end of the workers')


if __name__ == '__main__':
    support.main()
