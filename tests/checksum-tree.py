#!/usr/bin/env python3
"""usage: checksum-tree.py PROGRAM [ARGUMENT]...

Tests the example checksum-tree, in whatever language it is given, against sha256sum. Speaks TAP.
"""
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = sys.argv[1:]
TIME_LIMIT = 60


class Skip(Exception):
    pass


def run(directory, command=COMMAND):
    return subprocess.run([*command, directory], capture_output=True, timeout=TIME_LIMIT, check=False)


def expected(directory):
    """What sha256sum prints for the files below, in the order of the bytes of their paths."""
    found = subprocess.run(['find', directory, '-type', 'f', '-print0'], capture_output=True, check=True).stdout
    names = sorted(filter(None, found.split(b'\0')))
    return subprocess.run([b'sha256sum', b'--', *names], capture_output=True, check=True).stdout


def make_tree(top):
    os.makedirs(f'{top}/a/deep/er')
    os.makedirs(f'{top}/empty')
    for name in (b'a/b', b'a.b', b'a-b', b'a/deep/er/file', b'back\\slash', b'new\nline', b'carriage\rreturn', b'all\\\n\r',
                 b'spa ce', b'-dash', b'tab\there', 'gr\u00fc\u00df'.encode(), b'not utf-8 \xff', b'*', b"quo'te\"s"):
        Path(os.fsdecode(top.encode() + b'/' + name)).write_bytes(name * 3)
    Path(top, 'nothing').touch()
    Path(top, 'large').write_bytes(os.urandom(3 << 20))
    for number in range(100):
        Path(top, 'a', f'file{number}').write_text(str(number))
    os.symlink('large', f'{top}/link-to-file')
    os.symlink('a', f'{top}/link-to-folder')
    os.symlink('nowhere', f'{top}/dangling')
    os.mkfifo(f'{top}/fifo')


def test_same_as_sha256sum(top):
    make_tree(top)
    for directory in (top, top + '/', os.path.relpath(top)):
        result = run(directory)
        assert result.stdout == expected(directory), result
        assert result.returncode == 0, result
        assert result.stderr == b'', result


def test_single_file(top):
    path = f'{top}/one'
    Path(path).write_text('one')
    result = run(path)
    assert result.stdout == expected(path) and result.returncode == 0, result


def test_empty_folder(top):
    result = run(top)
    assert (result.stdout, result.stderr, result.returncode) == (b'', b'', 0), result


def test_no_name(top):
    result = run('')
    assert result.stdout == b'' and result.returncode == 1, result
    assert result.stderr == b'checksum-tree: : No such file or directory\n', result


def test_full_output(top):
    Path(top, 'one').touch()
    with open('/dev/full', 'wb') as full:
        result = subprocess.run([*COMMAND, top], stdout=full, stderr=subprocess.PIPE, timeout=TIME_LIMIT, check=False)
    assert result.returncode == 1, result
    assert result.stderr == b'checksum-tree: standard output: No space left on device\n', result


def test_broken_output(top):
    """Nobody reads on: it ends, and says at most that."""
    for number in range(1000):
        Path(top, str(number)).touch()
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([*COMMAND, top], stdout=writer, stderr=subprocess.PIPE, timeout=TIME_LIMIT, check=False)
    os.close(writer)
    assert result.returncode in (1, -signal.SIGPIPE), result
    assert result.stderr in (b'', b'checksum-tree: standard output: Broken pipe\n'), result


def test_missing_folder(top):
    result = run(f'{top}/missing')
    assert result.stdout == b'' and result.returncode == 1, result
    assert b'missing: No such file or directory' in result.stderr, result


def test_unreadable(top):
    """What cannot be read is told at the end, and all else is there."""
    for name in ('a', 'b', 'c'):
        Path(top, name).write_text(name)
    os.mkdir(f'{top}/folder')
    Path(top, 'folder', 'd').write_text('d')
    all_lines = expected(top).splitlines(keepends=True)
    os.chmod(f'{top}/b', 0)
    os.chmod(f'{top}/folder', 0)

    command = COMMAND
    if os.getuid() == 0:
        # For root nothing is unreadable, but for these two capabilities.
        command = ['setpriv', '--bounding-set=-dac_override,-dac_read_search', *COMMAND]
    result = run(top, command)
    os.chmod(f'{top}/folder', 0o755)

    assert result.stdout == all_lines[0] + all_lines[2], result
    assert result.returncode == 1, result
    errors = result.stderr.splitlines()
    assert len(errors) == 2, result
    assert any(line.endswith(f'{top}/b: Permission denied'.encode()) for line in errors), result
    assert any(line.endswith(f'{top}/folder: Permission denied'.encode()) for line in errors), result


def test_every_file_is_told(top):
    """Where descriptors are so few that workers fail, or that there are none: a sum or a complaint for each file."""
    names = [f'file{number}' for number in range(100)]
    for name in names:
        Path(top, name).write_text(name)
    all_lines = set(expected(top).splitlines())

    n_given_up = 0
    for limit in range(10, 60, 5):
        result = run(top, ['prlimit', f'--nofile={limit}', *COMMAND])
        if b'checksum-tree: ' not in result.stderr and not result.stdout:
            continue  # it could not even begin
        assert set(result.stdout.splitlines()) <= all_lines, (limit, result)
        sums = [line.split(b'  ')[1] for line in result.stdout.splitlines()]
        if f'checksum-tree: {top}: '.encode() in result.stderr:
            continue  # nor list the folder
        complaints = [line.split(b': ')[1] for line in result.stderr.splitlines() if line.startswith(b'checksum-tree: ')]
        assert sorted([*sums, *complaints]) == sorted(f'{top}/{name}'.encode() for name in names), (limit, result)
        assert result.returncode == (1 if complaints else 0), (limit, result)
        n_given_up += len(complaints) > 0
        if not complaints and not result.stderr:
            break
    if n_given_up == 0:
        raise Skip('whenever it begins it has what it needs')


def processes_of_session(session):
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            found.append(int(stat.parent.name))
    return found


def read_terminal(terminal, stop, deadline):
    """All that is written to it, up to where @stop (text) is true or nobody has it open any more."""
    text = b''
    while not stop(text):
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f'nothing more came after {text!r}'
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    return text


def test_interrupt(top):
    """Ctrl-C at a real terminal, which also gets the progress line."""
    for number in range(100):
        Path(top, f'a{number:02}').write_text(str(number))
    # Without blocks on the disk, but hours to read.
    with open(f'{top}/b', 'wb') as huge:
        huge.truncate(1 << 40)

    null = os.open(os.devnull, os.O_WRONLY)
    try:
        pid, terminal = pty.fork()
    except OSError as error:
        raise Skip(f'no pseudo terminal: {error}') from error
    if pid == 0:
        os.dup2(null, 1)
        os.execvp(COMMAND[0], [*COMMAND, top])
    os.close(null)

    progress = read_terminal(terminal, lambda text: b' of 101 files' in text, time.monotonic() + TIME_LIMIT)
    assert b'\r' in progress, progress
    os.write(terminal, b'\x03')
    # To the end: until no process has the terminal open.
    rest = read_terminal(terminal, lambda text: False, time.monotonic() + 10)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT or \
        os.WIFEXITED(status) and os.WEXITSTATUS(status) == 128 + signal.SIGINT, status
    # A process closes the terminal a moment before it is gone.
    deadline = time.monotonic() + 1
    while left := processes_of_session(pid):
        assert time.monotonic() < deadline, left
    trace = rest.partition(b'^C')[2]
    assert not trace.strip(), trace


def main():
    tests = [test for name, test in globals().items() if name.startswith('test_')]
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        top = tempfile.mkdtemp()
        try:
            test(top)
            print(f'ok {number} /checksum-tree/{test.__name__[5:]}')
        except Skip as reason:
            print(f'ok {number} /checksum-tree/{test.__name__[5:]} # SKIP {reason}')
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f'not ok {number} /checksum-tree/{test.__name__[5:]}')
            for line in str(error).splitlines():
                print('#', line[:2000])
        finally:
            shutil.rmtree(top, ignore_errors=True)
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
