#!/usr/bin/env python3
# test_futures.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Futures, lists of them, and room in a pool's queue."""

import asyncio
import concurrent.futures
import gc
import queue
import unittest

from gi.repository import Gio
from gi.repository import GLib
from gi.repository import Mp

import support
from support import TIMEOUT

LONG = int(TIMEOUT * 1e6)


def square(x):
    return x * x


def fail():
    raise KeyError('missing')


def wait_at_gate(gate):
    gate.send('here')
    return gate.recv()


def n_bytes(data):
    return len(data)


class Gate:
    def __init__(self):
        self.near, self.far = Mp.Pipe()

    def opened(self, result):
        """@result's function is there; to look for that sees to its worker's start."""
        support.wait_until(lambda: not result.ready() and self.near.poll(0))
        assert self.near.recv() == 'here'

    def open(self, value='open'):
        self.near.send(value)


def turn(condition):
    context = GLib.MainContext.default()
    while not condition():
        context.iteration(True)


class FutureTest(unittest.TestCase):
    def setUp(self):
        self.pool = Mp.Pool(1)
        self.gate = Gate()
        self.waits = self.pool.apply_async(wait_at_gate, (self.gate.far,))

    def tearDown(self):
        self.pool.terminate()
        self.pool.join()

    def test_state(self):
        behind = self.pool.apply_async(square, (3,)).future
        fails = self.pool.apply_async(fail).future
        self.gate.opened(self.waits)
        self.assertEqual(self.waits.future.get_state(), Mp.FutureState.RUNNING)
        self.assertEqual(behind.props.state, Mp.FutureState.QUEUED)
        self.gate.open()
        self.assertTrue(Mp.Future.wait_all([self.waits.future, behind, fails], LONG, None))
        self.assertEqual(behind.get_state(), Mp.FutureState.SUCCEEDED)
        self.assertEqual(fails.get_state(), Mp.FutureState.FAILED)

    def test_done(self):
        seen = []
        for i in range(50):
            self.pool.apply_async(square, (i,)).future.connect('done', lambda future: seen.append(future.get_state()))
        gc.collect()
        self.gate.open()
        turn(lambda: len(seen) == 50)
        self.assertEqual(set(seen), {Mp.FutureState.SUCCEEDED})

    def test_done_by_blocking_call(self):
        seen = []
        self.waits.future.connect('done', seen.append)
        self.gate.open('well')
        self.assertEqual(self.waits.get(TIMEOUT), 'well')
        self.assertEqual(len(seen), 1)

    def test_cancel(self):
        behind = self.pool.apply_async(square, (3,))
        self.gate.opened(self.waits)
        self.assertTrue(behind.cancel())
        self.assertTrue(behind.cancel())
        self.assertTrue(behind.cancelled())
        with self.assertRaises(concurrent.futures.CancelledError):
            behind.get(TIMEOUT)
        self.assertEqual(behind.future.get_state(), Mp.FutureState.CANCELLED)
        self.gate.open()
        self.assertEqual(self.waits.get(TIMEOUT), 'open')
        self.assertFalse(self.waits.cancel())

    def test_wait_any(self):
        other = Mp.Pool(1)
        self.addCleanup(other.join)
        self.addCleanup(other.terminate)
        quick = other.apply_async(square, (2,)).future
        self.assertIs(Mp.Future.wait_any([self.waits.future, quick], LONG, None), quick)
        with self.assertRaises(GLib.Error) as caught:
            Mp.Future.wait_all([self.waits.future, quick], 1000, None)
        self.assertTrue(caught.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT))
        results = []
        Mp.Future.wait_all_async([self.waits.future, quick], None,
                                 lambda _source, result: results.append(Mp.Future.wait_all_finish(result)))
        self.gate.open()
        turn(lambda: results)
        self.assertEqual(results, [True])

    def test_list(self):
        futures = Mp.FutureList()
        notified = []
        futures.connect('notify::n-done', lambda *_args: notified.append(futures.props.n_done))
        futures.add(self.waits.future)
        for i in range(20):
            futures.add(self.pool.apply_async(square, (i,)).future)
        self.assertEqual(len(list(futures)), 21)
        self.assertEqual(futures.get_fraction(), 0)
        self.gate.open()
        turn(lambda: notified and notified[-1] == 21)
        self.assertEqual(futures.get_fraction(), 1)
        n = 0
        while futures.next_done(0, None) is not None:
            n += 1
        self.assertEqual(n, 21)
        self.assertTrue(futures.remove(self.waits.future))
        self.assertEqual(len(futures), 20)

    def test_terminate_in_handler(self):
        self.gate.open()
        fails = self.pool.apply_async(fail).future
        gate = Gate()
        behind = [self.pool.apply_async(wait_at_gate, (gate.far,)).future, self.pool.apply_async(square, (1,)).future]

        def end(_future):
            self.pool.terminate()
            self.pool.join()

        fails.connect('done', end)
        Mp.Future.wait_all(behind, LONG, None)
        self.assertEqual([future.get_state() for future in behind], [Mp.FutureState.CANCELLED] * 2)

    def test_terminate_in_error_callback(self):
        self.gate.open()
        ended = []

        def end(_error):
            self.pool.terminate()
            self.pool.join()
            ended.append(True)

        result = self.pool.apply_async(fail, error_callback=end)
        gate = Gate()   # whose near end stays: the function waits there
        behind = self.pool.apply_async(wait_at_gate, (gate.far,))
        with self.assertRaises(KeyError):
            result.get(TIMEOUT)
        with self.assertRaises(Mp.PoolTerminatedError):
            behind.get(TIMEOUT)
        self.assertEqual(ended, [True])


class AsCompletedTest(unittest.TestCase):
    def test_order(self):
        gate = Gate()
        with Mp.Pool(2) as pool:
            waits = pool.apply_async(wait_at_gate, (gate.far,))
            mapped = pool.map_async(square, range(4))
            empty = pool.map_async(square, [])
            bad = pool.apply_async(fail)
            results = [waits, mapped, empty, bad, waits] + [pool.apply_async(square, (i,)) for i in range(10)]
            seen = []
            for result in Mp.as_completed(results, TIMEOUT):
                seen.append(result)
                if len(seen) == 13:
                    gate.open()
            self.assertIs(seen[0], empty)
            self.assertIs(seen[-1], waits)
            self.assertEqual(len(seen), 14)
            self.assertEqual(len(set(seen)), 14)
            self.assertFalse(bad.successful())
            self.assertEqual(mapped.get(), [0, 1, 4, 9])

    def test_timeout(self):
        gate = Gate()
        with Mp.Pool(1) as pool:
            iterator = Mp.as_completed([pool.apply_async(wait_at_gate, (gate.far,))], 0.01)
            with self.assertRaises(Mp.TimeoutError):
                next(iterator)

    def test_asyncio(self):
        async def main():
            gate = Gate()
            async with Mp.Pool(2) as pool:
                results = [pool.apply_async(square, (i,)) for i in range(20)]
                results.append(pool.apply_async(wait_at_gate, (gate.far,)))
                values = []
                async for result in Mp.as_completed(results):
                    values.append(result.get())
                    if len(values) == 20:
                        gate.open('last')
                never = pool.apply_async(wait_at_gate, (gate.far,))
                with self.assertRaises(Mp.TimeoutError):
                    async for _result in Mp.as_completed([never], 0.01):
                        pass
                return values

        values = asyncio.run(main())
        self.assertEqual(values.pop(), 'last')
        self.assertEqual(sorted(values), [i * i for i in range(20)])


class RoomTest(unittest.TestCase):
    def fill(self, pool):
        results = []
        with self.assertRaises(queue.Full):
            while len(results) < 50:
                results.append(pool.try_submit(n_bytes, bytes(1200 * 1000)))
        return results

    def test_try_submit(self):
        gate = Gate()
        with Mp.Pool(1) as pool:
            pool.props.max_queued = 3
            waits = pool.try_submit(wait_at_gate, gate.far)
            notified = []
            pool.connect('notify::needs-drain', lambda *_args: notified.append(pool.props.needs_drain))
            gate.opened(waits)
            results = self.fill(pool)
            self.assertGreaterEqual(len(results), 3)
            self.assertTrue(pool.get_needs_drain())
            turn(lambda: notified)
            gate.open()
            self.assertEqual({result.get(TIMEOUT) for result in results}, {1200 * 1000})
            self.assertEqual(waits.get(TIMEOUT), 'open')
            self.assertFalse(pool.get_needs_drain())
            self.assertEqual(notified, [True, False])
            options = Mp.TaskOptions(name='nine')
            nine = pool.try_submit(square, 3, options=options)
            self.assertEqual(nine.future.get_name(), 'nine')
            self.assertEqual(nine.get(TIMEOUT), 9)

    def test_submit_async(self):
        async def main():
            gate = Gate()
            async with Mp.Pool(1) as pool:
                pool.props.max_queued = 2
                waits = await pool.submit_async(wait_at_gate, gate.far)
                gate.opened(waits)
                results = self.fill(pool)
                tasks = [asyncio.create_task(pool.submit_async(square, i)) for i in range(10)]
                doomed = asyncio.create_task(pool.submit_async(square, 100))
                await asyncio.sleep(0)
                doomed.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await doomed
                self.assertFalse(any(task.done() for task in tasks))
                gate.open()
                values = [await (await task) for task in tasks]
                self.assertEqual(await waits, 'open')
                self.assertEqual(len([await result for result in results]), len(results))
                return values

        self.assertEqual(asyncio.run(main()), [i * i for i in range(10)])

    def test_closed(self):
        pool = Mp.Pool(1)
        pool.close()
        with self.assertRaises(ValueError):
            pool.try_submit(square, 3)
        pool.join()


if __name__ == '__main__':
    support.main()
