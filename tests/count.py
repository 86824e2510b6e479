#!/usr/bin/env python3
"""Prints what failed, and then "N passed, N failed", over the meson test logs of the build directories given.

A TAP test counts for as many as it reports, any other for one. One that crashed or ran out of time counts as a
failure even when all that it reported was good. Exit status 1 when something failed or a directory has no tests.
"""
import json
import re
import sys
from pathlib import Path

GOOD = ('OK', 'SKIP', 'EXPECTEDFAIL')
# The end of an output says the most.
LINES_SHOWN = 40


def count(test):
    lines = re.findall(r'^(not )?ok\b(.*)$', test.get('stdout', ''), re.M)
    # What was skipped, or is not expected to work yet, has a directive of four letters.
    results = [not bad for bad, rest in lines if not re.search(r'#\s*[A-Z]{4}\b', rest, re.I)]
    passed, failed = results.count(True), results.count(False)
    if test['result'] not in GOOD:
        return passed, max(failed, 1)
    if test['result'] == 'OK' and not lines:
        return 1, 0
    return passed, failed


def show(directory, test):
    print(f'== failed: {test["name"]} in {directory}: {test["result"]} after {test["duration"]:.1f} s ==')
    for stream in ('stdout', 'stderr'):
        lines = test.get(stream, '').splitlines()
        print(f'-- {stream}: the last of {len(lines)} lines, and what is not ok --')
        for number, line in enumerate(lines):
            if number >= len(lines) - LINES_SHOWN or line.startswith('not ok'):
                print(line[:400])


def main():
    passed = failed = 0
    complete = True
    names = []
    for directory in sys.argv[1:]:
        log = Path(directory, 'meson-logs', 'testlog.json')
        tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if not tests:
            print(f'{directory}: no test was run', file=sys.stderr)
            complete = False
        for test in tests:
            good, bad = count(test)
            passed += good
            failed += bad
            if bad:
                show(directory, test)
                names.append(test['name'].split(' / ')[-1])
    if names:
        print('failed: ' + ', '.join(names))
    print(f'{passed} passed, {failed} failed')
    return 0 if complete and passed > 0 and failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
