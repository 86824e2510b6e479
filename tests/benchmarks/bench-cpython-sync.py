# bench-cpython-sync.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""CPython's multiprocessing at the works of bench-sync.c: `bench-cpython-sync.py event|semaphore|condition|barrier`."""

import itertools
import multiprocessing
import os
import sys
import time

BATCH = 100
SECONDS = 0.3
N_REPEATS = 5


def report(metric, value):
    print(f'RESULT {metric} {value:.6f}', flush=True)


class EventTrip:
    def __init__(self):
        self.there = multiprocessing.Event()
        self.back = multiprocessing.Event()

    def ping(self):
        self.there.set()
        self.back.wait()
        self.back.clear()

    def pong(self):
        self.there.wait()
        self.there.clear()
        self.back.set()


class SemaphoreTrip:
    def __init__(self):
        self.there = multiprocessing.Semaphore(0)
        self.back = multiprocessing.Semaphore(0)

    def ping(self):
        self.there.release()
        self.back.acquire()

    def pong(self):
        self.there.acquire()
        self.back.release()


class ConditionTrip:
    def __init__(self):
        self.condition = multiprocessing.Condition()
        self.turn = multiprocessing.RawValue('i', 0)

    def trip(self, own, other):
        with self.condition:
            while self.turn.value != own:
                self.condition.wait()
            self.turn.value = other
            self.condition.notify()

    def ping(self):
        self.trip(0, 1)

    def pong(self):
        self.trip(1, 0)


class BarrierTrip:
    def __init__(self):
        self.ping = self.pong = multiprocessing.Barrier(2).wait


def run_other(trip):
    os.sched_setaffinity(0, {1})
    while True:
        trip.pong()


def main(name):
    trip = {'event': EventTrip, 'semaphore': SemaphoreTrip, 'condition': ConditionTrip, 'barrier': BarrierTrip}[name]()
    other = multiprocessing.Process(target=run_other, args=(trip,))
    other.start()
    os.sched_setaffinity(0, {0})
    ping = trip.ping
    for i in range(N_REPEATS + 1):
        start = time.perf_counter()
        n = 0
        while time.perf_counter() < start + SECONDS:
            for _ in itertools.repeat(None, BATCH):
                ping()
            n += BATCH
        if i > 0:
            report('trips/s', n / (time.perf_counter() - start))
    other.kill()
    other.join()


if __name__ == '__main__':
    main(*sys.argv[1:])
