# peers.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests in Python share: a process of CPython at the other side."""

import ast
import os
import subprocess

import support

HERE = os.path.dirname(os.path.abspath(__file__))


class Peer:
    """A process that runs peer.py."""

    def __init__(self, python=None):
        self.python = python or os.environ.get('MP_TEST_PYTHON', 'python3')
        command = [self.python, '-I', os.path.join(HERE, 'peer.py')]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding='utf-8')

    def tell(self, line):
        """Does not wait for its answer."""
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().rstrip('\n')

    def ask(self, line):
        """Its answer as text."""
        self.tell(line)
        return self.hear()

    def get(self, expression):
        """The value of an expression."""
        answer = self.ask(expression)
        if answer.startswith('!'):
            raise AssertionError(answer)
        return None if answer == '-' else ast.literal_eval(answer.replace('inf', '1e999'))

    def do(self, statement):
        """Carries out a statement, or a call that gives nothing."""
        answer = self.ask(statement)
        if answer != '-':
            raise AssertionError(answer)

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(support.TIMEOUT)
        self.process.stdout.close()
        return status
