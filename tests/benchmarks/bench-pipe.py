# bench-pipe.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages through a pipe from Python, by mp-glib or multiprocessing: bench-pipe.py mp|multiprocessing WORK [ARGUMENT].

pingpong one|two: 8 bytes there and back, both processes on one CPU or each on its own; messages SIZE and tuples: one
way, on two CPUs; memory SIZE: what receiving takes beyond the message; clients N PROGRAM: of one process, each with a
message in a second."""

import os
import resource
import subprocess
import sys
import time

if sys.argv[1] == 'mp':
    import gi
    gi.require_version('Mp', '1')
    from gi.repository import Mp as mp
else:
    import multiprocessing as mp

N_REPEATS = 5
CPUS = sorted(os.sched_getaffinity(0))


def pin(index):
    os.sched_setaffinity(0, {CPUS[index % len(CPUS)]})


def report(metric, value):
    print(f'RESULT {metric} {value:.6f}', flush=True)


def echo(connection, cpu):
    pin(cpu)
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        pass


def receive(connection, back, n, is_tuple):
    pin(1)
    take = connection.recv if is_tuple else connection.recv_bytes
    try:
        while True:
            for _ in range(n):
                take()
            back.send_bytes(b'.')
    except EOFError:
        pass


def provide(connection, size):
    pin(1)
    message = bytes(size)
    try:
        while True:
            connection.recv_bytes()
            connection.send_bytes(message)
    except EOFError:
        pass


def start(function, theirs, *arguments):
    process = mp.get_context('spawn').Process(target=function, args=(*theirs, *arguments))
    process.start()
    for connection in theirs:
        connection.close()
    pin(0)
    return process


def bench_pingpong(where):
    warm_up, n = 300, 10000
    ours, theirs = mp.Pipe()
    process = start(echo, [theirs], 0 if where == 'one' else 1)
    message, times = b'12345678', []
    for i in range(warm_up + n):
        begin = time.perf_counter_ns()
        ours.send_bytes(message)
        ours.recv_bytes()
        end = time.perf_counter_ns()
        if i >= warm_up:
            times.append(end - begin)
    times.sort()
    report('median_us', times[n // 2] / 1e3)
    report('p99_us', times[n * 99 // 100] / 1e3)
    ours.close()
    process.join()


def bench_messages(size):
    n = min(max((1 << 30) // max(size, 1), 8), 100000)
    reader, writer = mp.Pipe(False)
    answer, back = mp.Pipe(False)
    process = start(receive, [reader, back], n, size == 0)
    message = (7, 'hello world', 0.5) if size == 0 else b'\x5a' * size
    send = writer.send if size == 0 else writer.send_bytes
    for repeat in range(N_REPEATS + 1):
        begin = time.perf_counter()
        for _ in range(n):
            send(message)
        answer.recv_bytes()
        if repeat > 0:
            report('messages/s', n / (time.perf_counter() - begin))
    writer.close()
    process.join()


def read_status(name):
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))


def bench_memory(size):
    ours, theirs = mp.Pipe()
    process = start(provide, [theirs], size)
    for repeat in range(N_REPEATS + 1):
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')
        before = read_status('VmRSS:')
        ours.send_bytes(b'.')
        ours.recv_bytes()
        if repeat > 0:
            report('extra_kib', read_status('VmHWM:') - before - size // 1024)
    ours.close()
    process.join()


def bench_clients(n, program):
    from multiprocessing.connection import Listener, wait
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    memory = read_status('VmRSS:')
    with Listener(family='AF_UNIX', backlog=128) as listener:
        load = subprocess.Popen([program, 'load', listener.address, str(n)])
        connections = [listener.accept() for _ in range(n)]
        count = 0

        def receive_until(end):
            nonlocal count
            while time.perf_counter() < end:
                for connection in wait(connections, 0.1):
                    connection.recv_bytes()
                    count += 1

        receive_until(time.perf_counter() + 2)
        count, cpu_time = 0, time.process_time()
        receive_until(time.perf_counter() + 4)
        cpu_time = time.process_time() - cpu_time
        report('message_us', cpu_time * 1e6 / count)
        report('second_us', cpu_time * 1e6 / 4)
        report('client_kib', (read_status('VmHWM:') - memory) / n)
    for connection in connections:
        connection.close()
    load.wait()


if __name__ == '__main__':
    work = sys.argv[2]
    if work == 'pingpong':
        bench_pingpong(sys.argv[3])
    elif work == 'messages':
        bench_messages(int(sys.argv[3]))
    elif work == 'tuples':
        bench_messages(0)
    elif work == 'memory':
        bench_memory(int(sys.argv[3]))
    elif work == 'clients':
        bench_clients(int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(__doc__)
