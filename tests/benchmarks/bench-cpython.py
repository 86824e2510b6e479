# bench-cpython.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""CPython's multiprocessing at the works of bench-pool.c: `bench-cpython.py MODE [ARGUMENT …]`."""

import itertools
import multiprocessing
import os
import sys
import threading
import time

N_WORKERS = 2


def square(x):
    return x * x


def nothing():
    pass


def pin(cpu):
    os.sched_setaffinity(0, {cpu})


def report(metric, value):
    print(f'RESULT {metric} {value:.6f}', flush=True)


def bench_map(n, chunk_size, repeats):
    items = list(range(n))
    expected = [x * x for x in items]
    with multiprocessing.Pool(N_WORKERS) as pool:
        for i in range(repeats + 1):
            start = time.perf_counter()
            result = pool.map(square, items, chunk_size)
            end = time.perf_counter()
            if i > 0:
                report('items/s', n / (end - start))
            assert result == expected


def bench_submit(n, repeats):
    with multiprocessing.Pool(N_WORKERS) as pool:
        for i in range(repeats + 1):
            start = time.perf_counter()
            futures = [pool.apply_async(square, (x,)) for x in range(n)]
            total = sum(future.get() for future in futures)
            end = time.perf_counter()
            if i > 0:
                report('tasks/s', n / (end - start))
            assert total == sum(x * x for x in range(n))


def bench_async(n, repeats):
    with multiprocessing.Pool(N_WORKERS) as pool:
        for i in range(repeats + 1):
            all_done = threading.Event()
            results = []

            def add(value):
                results.append(value)
                if len(results) == n:
                    all_done.set()

            start = time.perf_counter()
            for x in range(n):
                pool.apply_async(square, (x,), callback=add)
            all_done.wait()
            end = time.perf_counter()
            if i > 0:
                report('tasks/s', n / (end - start))
            assert sum(results) == sum(x * x for x in range(n))


def bench_call(cpus):
    warm_up, n = 300, 5000
    times = []
    pin(0)
    with multiprocessing.Pool(1, pin, (0 if cpus == 'one' else 1,)) as pool:
        for i in range(warm_up + n):
            start = time.perf_counter_ns()
            result = pool.apply(square, (i,))
            end = time.perf_counter_ns()
            if i >= warm_up:
                times.append(end - start)
            assert result == i * i
    times.sort()
    report('median_us', times[n // 2] / 1e3)
    report('p99_us', times[n * 99 // 100] / 1e3)


def bench_start(method, mebibytes):
    context = multiprocessing.get_context(method)
    ballast = b'\x5a' * (int(mebibytes) << 20)

    def start_and_join():
        process = context.Process(target=nothing)
        process.start()
        process.join()
        assert process.exitcode == 0

    for _ in range(2):
        start_and_join()
    n = 10 if method == 'spawn' else 20
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(n):
            start_and_join()
        report('starts/s', n / (time.perf_counter() - start))
    assert len(ballast) == int(mebibytes) << 20


def bench_big(size):
    data = b'\x5a' * size
    with multiprocessing.Pool(N_WORKERS) as pool:
        for i in range(5):
            start = time.perf_counter()
            result = pool.apply(len, (data,))
            end = time.perf_counter()
            if i > 0:
                report('ms', (end - start) * 1e3)
            assert result == size


def run_pairs(lock, cpu, seconds, pipe=None):
    pin(cpu)
    acquire, release = lock.acquire, lock.release
    n = 0
    if pipe:
        pipe.send(None)
        pipe.recv()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in itertools.repeat(None, 1000):
            acquire()
            release()
        n += 1000
    if pipe:
        pipe.send(n)
    return n


def bench_lock(cpus):
    lock = multiprocessing.Lock()
    seconds = 0.3
    for i in range(6):
        ours, theirs = multiprocessing.Pipe()
        other = multiprocessing.Process(target=run_pairs, args=(lock, 1, seconds, theirs))
        if cpus == 'two':
            other.start()
            ours.recv()
            ours.send(None)
        start = time.perf_counter()
        n = run_pairs(lock, 0, seconds)
        if cpus == 'two':
            n += ours.recv()
        end = time.perf_counter()
        if i > 0:
            report('pairs/s', n / (end - start))
        if cpus == 'two':
            other.join()


def receive_messages(there, back, n):
    pin(1)
    while True:
        for _ in range(n):
            there.recv_bytes()
        back.send(None)


def bench_ring(size):
    n = 100000
    message = bytes(size)
    reader, writer = multiprocessing.Pipe(duplex=False)
    answer, back = multiprocessing.Pipe(duplex=False)
    other = multiprocessing.Process(target=receive_messages, args=(reader, back, n), daemon=True)
    other.start()
    pin(0)
    for i in range(6):
        start = time.perf_counter()
        for _ in range(n):
            writer.send_bytes(message)
        answer.recv()
        end = time.perf_counter()
        if i > 0:
            report('records/s', n / (end - start))
    other.terminate()


def read_cpu_time(pid):
    with open(f'/proc/{pid}/schedstat') as file:
        return int(file.read().split()[0])


def read_pss(pid):
    with open(f'/proc/{pid}/smaps_rollup') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('Pss:'))


def bench_idle():
    with multiprocessing.get_context('forkserver').Pool(N_WORKERS) as pool:
        pool.map(square, range(1000), 1)
        pids = [process.pid for process in multiprocessing.active_children()]
        time.sleep(0.2)  # what the last task has left to do
        before = [read_cpu_time(pid) for pid in pids]
        time.sleep(1)  # the idle second that is measured
        for pid, then in zip(pids, before):
            report('cpu_us', (read_cpu_time(pid) - then) / 1e3)
            report('pss_kib', read_pss(pid))


def main(mode='', *arguments):
    if mode in ('map', 'chunk', 'python'):
        bench_map(1000000, None, 3)
    elif mode == 'chunk1':
        bench_map(100000, 1, 2)
    elif mode == 'submit':
        bench_submit(100000, 1)
    elif mode == 'async':
        bench_async(100000, 1)
    elif mode == 'call':
        bench_call(*arguments)
    elif mode == 'start':
        bench_start(*arguments)
    elif mode == 'big':
        bench_big(100 << 20)
    elif mode == 'idle':
        bench_idle()
    elif mode == 'lock':
        bench_lock(*arguments)
    elif mode == 'ring':
        bench_ring(*map(int, arguments))
    else:
        sys.exit('Usage: bench-cpython.py map|chunk|chunk1|submit|async|call one/two|start METHOD MIB|big|idle|python|'
                 'lock one/two|ring SIZE')


if __name__ == '__main__':
    main(*sys.argv[1:])
