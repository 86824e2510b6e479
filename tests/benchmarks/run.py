# run.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs mp-glib, CPython's multiprocessing and the bare mechanism in turn, and prints a table of medians.

Each work is done by each of the three in a process of its own, in rounds that alternate, so that a disturbance of the
machine meets all of them. What is compared is the ratio of the medians over all samples of all rounds."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, '_build-bench')
PROGRAMS = os.path.join(BUILD, 'tests', 'benchmarks')

MP = os.path.join(PROGRAMS, 'bench-pool')
MP_LOCK = os.path.join(PROGRAMS, 'bench-lock')
MP_TASKS = os.path.join(PROGRAMS, 'bench-tasks')
MP_RING = os.path.join(PROGRAMS, 'bench-ring')
RAW = os.path.join(PROGRAMS, 'bench-raw')
RAW_SHARED = os.path.join(PROGRAMS, 'bench-raw-shared')
MP_SYNC = os.path.join(PROGRAMS, 'bench-sync')
RAW_SYNC = os.path.join(PROGRAMS, 'bench-raw-sync')
MP_MEMORY = os.path.join(PROGRAMS, 'bench-memory')
RAW_MEMORY = os.path.join(PROGRAMS, 'bench-raw-memory')
MP_QUEUE = os.path.join(PROGRAMS, 'bench-queue')
MP_PIPE = os.path.join(PROGRAMS, 'bench-pipe')
RAW_PIPE = os.path.join(PROGRAMS, 'bench-raw-pipe')
BOOST = os.path.join(PROGRAMS, 'bench-boost')
CPYTHON = os.path.join(HERE, 'bench-cpython.py')
CPYTHON_SYNC = os.path.join(HERE, 'bench-cpython-sync.py')
CPYTHON_MEMORY = os.path.join(HERE, 'bench-cpython-memory.py')
OVERRIDES = os.path.join(HERE, 'bench-overrides.py')
CLIENTS = os.path.join(PROGRAMS, 'bench-clients')
PIPE_PY = os.path.join(HERE, 'bench-pipe.py')
QUEUE_PY = os.path.join(HERE, 'bench-queue.py')
SINGLE = os.path.join(HERE, 'bench-overrides-sync.py')
CALLS = os.path.join(HERE, 'bench-calls.py')
OVERRIDES_JS = os.path.join(HERE, 'bench-overrides.js')

TIME_LIMIT = 300


class Row:
    """One line of the table: a metric of one run, and what is asked of it.

    A target is (with whom, at least or at most, factor); the ratio is mp-glib's value divided by the other's."""

    def __init__(self, work, part, arguments, metric, raw_name, targets=()):
        self.work = work
        self.part = part
        self.arguments = arguments
        self.metric = metric
        self.raw_name = raw_name
        self.targets = targets
        self.samples = {}


def make_pipe_rows():
    rows = [
        Row('pipe, 8 bytes there and back, one CPU, blocking: median', 'pipe',
            ['pipe', 'pingpong', 'one', 'blocking'], 'median_us',
            'socketpair', [('raw', '<=', 1.1)]),
        Row('pipe, GVariants (isd), one way', 'pipe', ['pipe', 'variants'], 'messages/s', None,
            [('cpython', '>=', 1.5)]),
    ]
    if len(os.sched_getaffinity(0)) > 1:
        rows[1:1] = [
            Row('the same, two CPUs, blocking: median', 'pipe', ['pipe', 'pingpong', 'two', 'blocking'], 'median_us',
                'socketpair', [('raw', '<=', 1.1)]),
            Row('the same, two CPUs, with the short busy wait: median', 'pipe', ['pipe', 'pingpong', 'two'],
                'median_us', 'socketpair', [('cpython', '<=', 0.15)]),
        ]
    for name, size, factor in ('64 B', 64, 2.5), ('1 KiB', 1 << 10, 2.5), ('1 MiB', 1 << 20, 4), ('64 MiB', 1 << 26, 3):
        rows.append(Row(f'pipe, messages of {name}, one way', 'pipe', ['pipe', 'messages', str(size)], 'messages/s',
                        'socketpair', [('cpython', '>=', factor)]))
    rows.append(Row('pipe, 64 MiB: memory of the receiver beyond it', 'pipe', ['pipe', 'memory', str(1 << 26)],
                    'extra_kib', 'socketpair', [('limit', '<=', 1024)]))
    rows += [
        Row('1000 clients, a message a second each: CPU in 1 s', 'clients', ['clients', '1000'], 'second_us', 'epoll'),
        Row('the same: CPU per message', 'clients', ['clients', '1000'], 'message_us', 'epoll'),
        Row('the same: memory per client', 'clients', ['clients', '1000'], 'client_kib', 'epoll'),
    ]
    for name, size, factor in ('64 B', 64, 0.5), ('1 MiB', 1 << 20, 2):
        rows.append(Row(f'Python: pipe, messages of {name}, one way', 'pipe-py', ['pipe-py', 'messages', str(size)],
                        'messages/s', None, [('cpython', '>=', factor)]))
    rows.append(Row('Python: pipe, tuples (int, str, float), one way', 'pipe-py', ['pipe-py', 'tuples'], 'messages/s',
                    None))
    return rows


def make_rows():
    rows = [
        Row('map, x·x over 10⁶ ints, default chunks', 'map', ['map'], 'items/s', 'GVariants alone',
            [('cpython', '>=', 1), ('raw', '>=', 0.75)]),
        Row('the same, whole-chunk function', 'chunk', ['chunk'], 'items/s', 'arrays by socketpair',
            [('cpython', '>=', 50)]),
        Row('map, chunk of 1', 'chunk1', ['chunk1'], 'items/s', 'socketpair, a write each', [('cpython', '>=', 10)]),
        Row('10⁵ submitted, then gathered', 'submit', ['submit'], 'tasks/s', 'socketpair, a write each',
            [('cpython', '>=', 10)]),
        Row('10⁵ asynchronous calls, a callback each', 'async', ['async'], 'tasks/s', None, [('cpython', '>=', 8)]),
    ]
    for n in 100, 1000, 10000, 100000, 1000000:
        rows.append(Row(f'a task of {n}, 2 workers', 'cost', ['cost', str(n), '2'], 'task_us', None))
    for n in 1, 4, 8, 16:
        rows.append(Row(f'a task of 100000, {n} worker{"s" if n > 1 else ""}', 'cost', ['cost', '100000', str(n)],
                        'task_us', None))
    for cpus in ['one', 'two'] if len(os.sched_getaffinity(0)) > 1 else ['one']:
        where = 'one CPU' if cpus == 'one' else 'two CPUs'
        rows += [
            Row(f'one call at a time, {where}: median', 'call', ['call', cpus], 'median_us', 'socketpair',
                [('raw', '<=', 1.3), ('cpython', '<=', 0.15 if cpus == 'two' else 1)]),
            Row(f'one call at a time, {where}: p99', 'call', ['call', cpus], 'p99_us', 'socketpair',
                [('cpython', '<=', 0.2)]),
        ]
    for method, factor in ('forkserver', 10), ('spawn', 8):
        for mebibytes, parent in ('0', 'small parent'), ('1024', '1 GB parent'):
            rows.append(Row(f'start → join, {method}, {parent}', 'start', ['start', method, mebibytes], 'starts/s',
                            'posix_spawn' if method == 'spawn' else 'fork server', [('cpython', '>=', factor)]))
    rows += [
        Row('100 MiB argument, length back', 'big', ['big'], 'ms', 'socketpair', [('cpython', '<=', 0.25)]),
        Row('the same in shared memory (CPython: bytes)', 'big', ['shared'], 'ms', 'shared before, socketpair',
            [('cpython', '<=', 0.01)]),
        Row('idle worker, forkserver: PSS', 'idle', ['idle'], 'pss_kib', 'forked process', [('limit', '<=', 1024)]),
        Row('idle worker, forkserver: CPU in 1 s', 'idle', ['idle'], 'cpu_us', 'forked process',
            [('limit', '<=', 0)]),
        Row('Python: map, x·x over 10⁶ ints', 'python', ['python'], 'items/s', None, [('cpython', '>=', 1)]),
        Row('Python: executor, map', 'executor', ['calls', 'executor-map'], 'tasks/s', None, [('cpython', '>=', 2)]),
        Row('Python: executor, submit', 'executor', ['calls', 'executor-submit'], 'tasks/s', None,
            [('cpython', '>=', 2)]),
        Row('Python: imap, chunk of 1', 'calls', ['calls', 'imap'], 'tasks/s', None),
        Row('Python: apply_async, then gathered', 'calls', ['calls', 'apply-async'], 'tasks/s', None),
        Row('Python: an introspected call that does nothing', 'calls', ['single', 'call'], 'calls/s', None),
        Row('Python: lock, acquired and released', 'calls', ['single', 'lock'], 'calls/s', None),
        Row('Python: value, read', 'calls', ['single', 'value'], 'calls/s', None),
        Row('Python: value, counted up under its lock', 'calls', ['single', 'counter'], 'calls/s', None),
        Row('Python: queue, small items, 1 → 1', 'pyqueue', ['pyqueue'], 'small/s', None, [('cpython', '>=', 0.5)]),
        Row('Python: queue, 32 bytes, 1 → 1', 'pyqueue', ['pyqueue'], 'bytes32/s', None, [('cpython', '>=', 0.5)]),
        Row('Python: queue, 1 MiB, 1 → 1', 'pyqueue', ['pyqueue'], '1MiB/s', None, [('cpython', '>=', 2)]),
        Row('JavaScript: map, x·x over 10⁶ ints', 'javascript', ['javascript'], 'items/s', None),
        Row('lock, uncontended', 'lock', ['lock', 'one'], 'pairs/s', 'futex', [('cpython', '>=', 2)]),
    ]
    if len(os.sched_getaffinity(0)) > 1:
        rows += [
            Row('prime test of 2000 numbers, 2 workers', 'primes', ['primes'], 'speed-up', 'two processes',
                [('limit', '>=', 1.9)]),
            Row('lock, 2 processes on two CPUs', 'lock', ['lock', 'two'], 'pairs/s', 'futex', [('cpython', '>=', 3)]),
            Row('ring (CPython: pipe), 64 B records', 'ring', ['ring', '64'], 'records/s', 'ring, both sides spin',
                [('raw', '>=', 0.4), ('limit', '>=', 10e6)]),
            Row('the same, 1 KiB records', 'ring', ['ring', '1024'], 'records/s', 'ring, both sides spin',
                [('raw', '>=', 0.4), ('limit', '>=', 5e6)]),
            Row('async acquire, release → callback: median', 'acquire', ['acquire'], 'median_us',
                'futex, thread, eventfd', [('limit', '<=', 100)]),
            Row('async acquire, release → callback: p99', 'acquire', ['acquire'], 'p99_us', 'futex, thread, eventfd'),
        ]
        for name, factor in ('event', 3), ('condition', 2), ('barrier', 4), ('semaphore', 1.2):
            rows += [
                Row(f'{name}, 2 processes in turns, blocking', 'sync', ['sync', name, 'blocking'], 'trips/s', 'futex',
                    [('cpython', '>=', factor), ('raw', '>=', 1 / 1.3)]),
                Row('the same, with a short busy wait', 'sync', ['sync', name, 'busy'], 'trips/s', 'futex',
                    [('cpython', '>=', 10)]),
            ]
        for cpus, what in ('one', '1 process'), ('two', '2 processes'):
            rows += [
                Row(f'counter, atomic addition, {what}', 'counter', ['counter', 'atomic', cpus], 'adds/s', 'addition',
                    [('cpython', '>=', 40)]),
                Row(f'counter, under its lock, {what}', 'counter', ['counter', 'lock', cpus], 'adds/s', 'robust mutex',
                    [('cpython', '>=', 10)]),
            ]
        rows += [
            Row('array, elements written and read, by the pointer', 'array', ['elements', 'pointer'], 'elements/s',
                'plain array', [('raw', '>=', 0.8)]),
            Row('the same, a call for each', 'array', ['elements', 'calls'], 'elements/s', 'plain array'),
            Row('array, copy of 2²⁰ integers', 'array', ['copy'], 'copies/s', 'plain array', [('raw', '>=', 0.8)]),
            Row('queue, GVariants of 32 bytes, 1 → 1', 'queue', ['queue', 'variants', '1'], 'items/s',
                "Boost's message_queue, bytes", [('cpython', '>=', 8)]),
            Row('the same, 2 → 2', 'queue', ['queue', 'variants', '2'], 'items/s', "Boost's message_queue, bytes",
                [('cpython', '>=', 6)]),
            Row('queue, 32 plain bytes, 1 → 1', 'queue', ['queue', 'bytes', '1'], 'items/s', "Boost's message_queue",
                [('cpython', '>=', 20), ('raw', '>=', 1)]),
            Row('the same, 2 → 2', 'queue', ['queue', 'bytes', '2'], 'items/s', "Boost's message_queue",
                [('raw', '>=', 1)]),
            Row('queue, items of 1 MiB, 1 → 1', 'queue', ['queue', 'large', '1'], 'items/s', "Boost's message_queue",
                [('cpython', '>=', 4)]),
        ]
    return rows + make_pipe_rows()


def find_command(system, arguments):
    if arguments[0] == 'sync':
        return {'mp': [MP_SYNC, *arguments[1:]], 'raw': [RAW_SYNC, arguments[1]],
                'cpython': [sys.executable, CPYTHON_SYNC, arguments[1]]}[system]
    if arguments[0] == 'pyqueue':
        other = {'mp': 'mp', 'cpython': 'multiprocessing'}.get(system)
        return other and [sys.executable, QUEUE_PY, other, '2']
    if arguments[0] == 'pipe':
        return {'mp': [MP_PIPE, *arguments[1:]],
                'raw': [RAW_PIPE, *arguments[1:]] if arguments[1] != 'variants' else None,
                'cpython': [sys.executable, PIPE_PY, 'multiprocessing',
                            *(['tuples'] if arguments[1] == 'variants' else arguments[1:])]}[system]
    if arguments[0] == 'clients':
        return {'mp': [CLIENTS, 'mp', arguments[1]], 'raw': [CLIENTS, 'epoll', arguments[1]],
                'cpython': [sys.executable, PIPE_PY, 'multiprocessing', *arguments, CLIENTS]}[system]
    if arguments[0] == 'pipe-py':
        other = {'mp': 'mp', 'cpython': 'multiprocessing'}.get(system)
        return other and [sys.executable, PIPE_PY, other, *arguments[1:]]
    if arguments[0] == 'single':
        return None if system == 'raw' or (system, arguments[1]) == ('cpython', 'call') else \
            [sys.executable, SINGLE, system, arguments[1]]
    if arguments[0] == 'calls':
        return None if system == 'raw' else [sys.executable, CALLS, system, arguments[1]]
    if arguments[0] == 'queue':
        if system == 'raw':
            return [BOOST, *arguments[1:]] if os.path.exists(BOOST) else None
        return [MP_QUEUE, *arguments[1:]] if system == 'mp' else [sys.executable, CPYTHON_MEMORY, *arguments[1:]]
    if arguments[0] in ('counter', 'elements', 'copy'):
        return {'mp': [MP_MEMORY, *arguments], 'raw': [RAW_MEMORY, *arguments],
                'cpython': [sys.executable, CPYTHON_MEMORY, *arguments]}[system]
    if system == 'raw':
        if arguments[0] in ('lock', 'ring', 'acquire'):
            return [RAW_SHARED, *arguments]
        if arguments[0] == 'primes':
            return [MP_TASKS, 'primes', 'raw']
        return None if arguments[0] in ('python', 'javascript', 'async', 'cost') else [RAW, *arguments]
    if system == 'cpython':
        if arguments[0] in ('acquire', 'cost', 'primes'):
            return None
        other = {'javascript': ['python'], 'shared': ['big']}
        return [sys.executable, CPYTHON, *other.get(arguments[0], arguments)]
    if arguments[0] in ('lock', 'acquire'):
        return [MP_LOCK, *arguments]
    if arguments[0] in ('async', 'cost', 'primes'):
        return [MP_TASKS, *arguments]
    if arguments[0] == 'ring':
        return [MP_RING, *arguments]
    if arguments == ['python']:
        return [sys.executable, OVERRIDES]
    if arguments == ['javascript']:
        return ['gjs', '-m', OVERRIDES_JS]
    return [MP, *arguments]


def build():
    """The library as it is released, in a build directory of its own."""
    if not os.path.exists(os.path.join(BUILD, 'build.ninja')):
        subprocess.run(['meson', 'setup', BUILD, ROOT, '-Dbuildtype=release', '-Ddocs=disabled',
                        '-Dvapi=disabled', '-Dexamples=disabled'], check=True, stdout=sys.stderr)
    subprocess.run(['meson', 'compile', '-C', BUILD], check=True, stdout=sys.stderr)


def make_environment():
    """That of `meson devenv`: the overrides and the typelib are those just built."""
    text = subprocess.run(['meson', 'devenv', '-C', BUILD, sys.executable, '-c',
                           'import json, os; print("\\n" + json.dumps(dict(os.environ)))'],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text.strip().splitlines()[-1])


def run_once(command, environment):
    """Gives {metric: [value, …]}; raises when the program fails."""
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT)
    if result.returncode != 0:
        raise RuntimeError(f'{" ".join(command)}: exit status {result.returncode}')
    samples = {}
    for line in result.stdout.splitlines():
        if line.startswith('RESULT '):
            _, metric, value = line.split()
            samples.setdefault(metric, []).append(float(value))
    return samples


def measure(rows, rounds, environment):
    failures = []
    runs = {}
    for row in rows:
        runs.setdefault(tuple(row.arguments), []).append(row)
    for number in range(rounds):
        for arguments, same in runs.items():
            print(f'round {number + 1} of {rounds}: {" ".join(arguments)}', file=sys.stderr)
            for system in 'mp', 'cpython', 'raw':
                command = find_command(system, list(arguments))
                if command is None:
                    continue
                try:
                    samples = run_once(command, environment)
                except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                    failures.append(str(error))
                    print(f'  failed: {error}', file=sys.stderr)
                    continue
                for row in same:
                    row.samples.setdefault(system, []).extend(samples.get(row.metric, []))
    return failures


def find_median(row, system):
    samples = row.samples.get(system)
    return statistics.median(samples) if samples else None


def judge(row):
    """For each target: (ratio or value, text of the target, whether it is met; None when not measured)."""
    verdicts = []
    own = find_median(row, 'mp')
    for other, relation, factor in row.targets:
        base = 1 if other == 'limit' else find_median(row, other)
        if own is None or not base:
            ratio = met = None
        else:
            ratio = own / base
            met = ratio >= factor if relation == '>=' else ratio <= factor
        sign = '≥' if relation == '>=' else '≤'
        if other == 'limit':
            bound = show(factor, row.metric)
        else:
            bound = f'{factor:.3g} × ' + ('CPython' if other == 'cpython' else other)
        verdicts.append((ratio, f'{sign} {bound}', met))
    return verdicts


def show(value, metric):
    if value is None:
        return '–'
    if metric.endswith('/s'):
        for unit, name in (1e9, ' G/s'), (1e6, ' M/s'), (1e3, ' k/s'):
            if value >= unit:
                return f'{value / unit:.3g}{name}'
        return f'{value:.3g} /s'
    if metric == 'speed-up':
        return f'{value:.3g} ×'
    unit = {'us': 'µs', 'ms': 'ms', 'kib': 'KiB'}[metric.rpartition('_')[2]]
    return f'{value:.0f} {unit}' if value >= 100 else f'{value:.3g} {unit}'


def show_ratio(row, system):
    own, other = find_median(row, 'mp'), find_median(row, system)
    return f'{own / other:.3g} ×' if own is not None and other else '–'


def print_table(rows):
    lines = [['work', 'mp-glib', 'CPython', 'ratio', 'raw', 'ratio', 'raw mechanism', 'target', '']]
    for row in rows:
        verdicts = judge(row)
        words = ['not measured' if met is None else 'ok' if met else 'SHORT' for _, _, met in verdicts]
        lines.append([row.work] + [show(find_median(row, 'mp'), row.metric),
                                   show(find_median(row, 'cpython'), row.metric), show_ratio(row, 'cpython'),
                                   show(find_median(row, 'raw'), row.metric), show_ratio(row, 'raw'),
                                   row.raw_name or '–', '; '.join(text for _, text, _ in verdicts), '; '.join(words)])
    lines.insert(1, ['---'] * len(lines[0]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        fill = '-' if line[0] == '---' else ' '
        print('| ' + ' | '.join((cell if fill == ' ' else '').ljust(width, fill)
                                for cell, width in zip(line, widths)) + ' |')


def save(path, rows, rounds):
    data = {
        'machine': {'kernel': platform.release(), 'cpus': len(os.sched_getaffinity(0)),
                    'python': platform.python_version(), 'processor': platform.machine()},
        'rounds': rounds,
        'works': [{'work': row.work, 'part': row.part, 'metric': row.metric, 'samples': row.samples,
                   'medians': {system: find_median(row, system) for system in row.samples},
                   'raw-mechanism': row.raw_name,
                   'targets': [{'target': text, 'ratio': ratio, 'met': met} for ratio, text, met in judge(row)]}
                  for row in rows],
    }
    with open(path, 'w') as file:
        json.dump(data, file, indent=1, ensure_ascii=False)
        file.write('\n')


def main():
    rows = make_rows()
    parts = list(dict.fromkeys(row.part for row in rows))
    parser = argparse.ArgumentParser(description='mp-glib beside CPython\'s multiprocessing and the bare mechanism.')
    parser.add_argument('part', nargs='?', choices=parts, help='only this work')
    parser.add_argument('--json', metavar='FILE', help='write all samples to FILE')
    parser.add_argument('--rounds', type=int, default=5, metavar='N', help='rounds (default: 5)')
    options = parser.parse_args()

    rows = [row for row in rows if options.part in (None, row.part)]
    build()
    failures = measure(rows, options.rounds, make_environment())
    print_table(rows)
    if options.json:
        save(options.json, rows, options.rounds)
    for failure in failures:
        print(f'failed: {failure}')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
