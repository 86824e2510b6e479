# support.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests in Python share: no test waits for a time to pass, only for things to happen."""

import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

TIMEOUT = 60.0   # of anything that must not hang

# Or the end of a line is written by itself, and lines of two processes run together.
os.environ.pop('PYTHONUNBUFFERED', None)


def wait_until(condition, what='the condition'):
    """Waits for something that another process does and that cannot be waited for otherwise."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError('waited in vain for ' + what)
        time.sleep(0.005)  # between two looks at the condition


def is_running(pid):
    """Whether there is such a process and it is no zombie."""
    try:
        with open('/proc/%d/stat' % pid) as stream:
            return stream.read().rpartition(')')[2].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """The pids of the processes that @pid has started."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open('/proc/%s/stat' % entry) as stream:
                    fields = stream.read().rpartition(')')[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.append(int(entry))
    return found


def descendants(pid):
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found


class Script:
    """A program in a directory of its own."""

    def __init__(self, text, name='script.py'):
        self._directory = tempfile.TemporaryDirectory()
        self.directory = self._directory.name
        self.path = os.path.join(self.directory, name)
        with open(self.path, 'w') as stream:
            stream.write(textwrap.dedent(text))

    def command(self, *args):
        return [sys.executable, self.path, *args]

    def run(self, *args, **kwargs):
        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=TIMEOUT, **kwargs)

    def start(self, *args, **kwargs):
        return subprocess.Popen(self.command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                **kwargs)


def run_script(text, *args, **kwargs):
    return Script(text).run(*args, **kwargs)


class _TapResult(unittest.TestResult):
    """TAP on standard output, tracebacks as its comments."""

    def _print(self, text):
        sys.stdout.write(text + '\n')
        sys.stdout.flush()

    def _line(self, test, good, note=''):
        name = test.id().removeprefix('__main__.')
        self._print('%sok %d - %s%s' % ('' if good else 'not ', self.testsRun, name, note))

    def _comment(self, test, error):
        for line in self._exc_info_to_string(error, test).splitlines():
            self._print('# ' + line)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line(test, True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line(test, True, ' # SKIP ' + reason)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._comment(test, error)
        self._line(test, False)

    def addError(self, test, error):
        super().addError(test, error)
        self._comment(test, error)
        self._line(test, False)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._comment(subtest, error)
            self._line(subtest, False)


class _TapRunner:
    def run(self, suite):
        print('1..%d' % suite.countTestCases(), flush=True)
        # Where a test hangs is of more use than that it was killed for it.
        faulthandler.register(signal.SIGTERM, chain=True)
        result = _TapResult()
        unittest.registerResult(result)
        suite.run(result)
        faulthandler.unregister(signal.SIGTERM)
        return result


def main():
    unittest.main(testRunner=_TapRunner())
