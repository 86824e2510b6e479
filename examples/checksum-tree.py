#!/usr/bin/env python3
# checksum-tree.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: checksum-tree.py [DIR]

Prints the SHA-256 of every regular file under DIR (/usr/include if not given) as sha256sum does, in path order. The
sums are computed by a pool of processes, one for each usable CPU. What cannot be read is reported at the end and makes
the exit status 1."""

import hashlib
import os
import signal
import stat
import sys
import time

from gi.repository import Mp

BLOCK_SIZE = 128 * 1024
FILES_PER_TASK = 16
PROGRESS_INTERVAL = 0.1

ESCAPES = {ord('\\'): b'\\\\', ord('\n'): b'\\n', ord('\r'): b'\\r'}


def checksum_file(path):
    """In a worker: the sum, or what is wrong, and the other is None."""
    try:
        # What was a regular file when it was found may be a pipe by now: that must not hang.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        with open(fd, 'rb', buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None, 'No longer a regular file'
            checksum = hashlib.sha256()
            while block := stream.read(BLOCK_SIZE):
                checksum.update(block)
            return checksum.hexdigest(), None
    except OSError as error:
        return None, error.strerror


def escape(path):
    """As sha256sum writes a name."""
    return b''.join(ESCAPES.get(byte) or bytes((byte,)) for byte in path)


class Problems(list):
    def add(self, path, message):
        self.append(b'checksum-tree: %s: %s\n' % (escape(path), message.encode()))


def read_directory(directory, directories, files, problems):
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        files.append(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                except OSError as error:
                    problems.add(entry.path, error.strerror)
    except OSError as error:
        problems.add(directory, error.strerror)


def find_files(top, problems):
    """The regular files under @top, which may be one itself, in the order of their bytes."""
    files, directories = [], []
    try:
        mode = os.stat(top).st_mode
        if stat.S_ISREG(mode):
            files.append(top)
        elif stat.S_ISDIR(mode):
            directories.append(top)
    except OSError as error:
        problems.add(top, error.strerror)
    while directories:
        read_directory(directories.pop(), directories, files, problems)
    return sorted(files)


class Progress:
    """A line on standard error, when that is a terminal."""

    def __init__(self, n_files):
        self.n_files = n_files
        self.is_terminal = sys.stderr.isatty()
        self.due = 0.0

    def show(self, n_done):
        now = time.monotonic()
        if not self.is_terminal or (n_done < self.n_files and now < self.due):
            return
        self.due = now + PROGRESS_INTERVAL
        # Standard output may be the same terminal: there each sum begins a line of its own.
        sys.stdout.flush()
        if n_done < self.n_files:
            percent = int(n_done * 100 / self.n_files)
            sys.stderr.write(f'\r\033[K{n_done} of {self.n_files} files ({percent} %)\r')
        else:
            sys.stderr.write('\r\033[K')
        sys.stderr.flush()


def checksum_files(files, problems):
    progress = Progress(len(files))
    last_error = ''
    with Mp.Pool() as pool:
        results = pool.imap(checksum_file, files, FILES_PER_TASK)
        for number, path in enumerate(files):
            try:
                checksum, problem = next(results)
            except StopIteration:
                # The pool has given up, and the last error says why.
                problem = last_error
            except Exception as error:
                problem = last_error = str(error)
            if problem is None:
                name = escape(path)
                mark = b'\\' if name != path else b''
                sys.stdout.buffer.write(b'%s%s  %s\n' % (mark, checksum.encode(), name))
            else:
                problems.add(path, problem)
            progress.show(number + 1)


def main():
    # Ctrl-C ends the program at once, without a traceback; its workers end with it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Nor is it worth a message that nobody reads on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if len(sys.argv) > 2 or sys.argv[1:2] and sys.argv[1].startswith('-'):
        sys.stderr.write('usage: checksum-tree.py [DIR]\n')
        return 2
    problems = Problems()
    files = find_files(os.fsencode(sys.argv[1] if len(sys.argv) > 1 else '/usr/include'), problems)
    try:
        if files:
            checksum_files(files, problems)
        sys.stdout.flush()
    except OSError as error:
        problems.append(b'checksum-tree: standard output: %s\n' % error.strerror.encode())
        # What could not be written is not tried again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for problem in problems:
        sys.stderr.buffer.write(problem)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
