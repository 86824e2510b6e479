#!/usr/bin/env python3
"""usage: subproject.py SOURCE

Tests that the project in SOURCE is a subproject of which a program gets the library and no more, unless it asks for it.
Speaks TAP.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = sys.argv[1]
PROGRAM = """
project('program', 'c', default_options: %s)
dependency('mp-glib-1', fallback: 'mp-glib')
"""


def targets(top, options):
    """The names of all that is built by a program that sets @options of the subproject."""
    program = Path(top, 'program')
    os.makedirs(program / 'subprojects')
    (program / 'meson.build').write_text(PROGRAM % options)
    os.symlink(SOURCE, program / 'subprojects' / 'mp-glib')
    # One that is installed is not what is tested here.
    subprocess.run(['meson', 'setup', '--wrap-mode=forcefallback', '-Dmp-glib:introspection=disabled',
                    f'{top}/build', program], check=True, capture_output=True, text=True)
    found = subprocess.run(['meson', 'introspect', '--targets', f'{top}/build'], check=True, capture_output=True)
    return {target['name'] for target in json.loads(found.stdout)}


def test_library_alone(top):
    names = targets(top, [])
    assert 'mp-glib-1' in names, names
    assert not [name for name in names if name.startswith(('test-', 'helper-', 'bench-', 'fuzz-', 'pool-'))], names


def test_what_is_asked_for(top):
    names = targets(top, ['mp-glib:examples=enabled', 'mp-glib:tests=enabled'])
    assert {'mp-glib-1', 'pool-map', 'test-pool'} <= names, names


def main():
    if shutil.which('meson') is None:
        print('1..0 # SKIP no meson')
        return 0
    failed = 0
    tests = [test for name, test in globals().items() if name.startswith('test_')]
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as top:
            try:
                test(top)
                print(f'ok {number} /subproject/{test.__name__[5:]}')
            except (AssertionError, subprocess.CalledProcessError) as error:
                failed += 1
                print(f'not ok {number} /subproject/{test.__name__[5:]}')
                for line in f'{error} {getattr(error, "stdout", "")}'.splitlines():
                    print('#', line[:2000])
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
