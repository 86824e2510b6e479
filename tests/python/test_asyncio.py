#!/usr/bin/env python3
# test_asyncio.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Awaiting under asyncio."""

import asyncio
import os
import time
import unittest

from gi.repository import Mp

import support
from test_pool import parity, slow_then, square


def leave(code):
    os._exit(code)


class AsyncioTest(unittest.IsolatedAsyncioTestCase):
    async def test_results(self):
        async with Mp.Pool(2) as pool:
            self.assertEqual(await pool.map_async(square, range(10)), [x * x for x in range(10)])
            self.assertEqual(await pool.apply_async(square, (3,)), 9)
            self.assertEqual(await pool.map_async(square, []), [])
            result = pool.apply_async(square, (4,))
            self.assertEqual([await result, await result, result.get()], [16, 16, 16])
            with self.assertRaises(KeyError):
                await pool.map_async(parity, [1])
            self.assertEqual(await asyncio.gather(*(pool.apply_async(square, (x,)) for x in range(50))),
                             [x * x for x in range(50)])

    async def test_other_tasks_go_on(self):
        with support.tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'go')

            async def create():
                await asyncio.sleep(0)
                open(path, 'w').close()

            async with Mp.Pool(1) as pool:
                result, _ = await asyncio.gather(pool.apply_async(slow_then, (path, 1)), create())
            self.assertEqual(result, 1)

    async def test_iteration(self):
        async with Mp.Pool(2) as pool:
            self.assertEqual([x async for x in pool.imap(square, range(20))], [x * x for x in range(20)])
            self.assertEqual([x async for x in pool.imap(square, range(20), 3)], [x * x for x in range(20)])
            self.assertEqual(sorted([x async for x in pool.imap_unordered(square, range(20))]),
                             [x * x for x in range(20)])
            with self.assertRaises(KeyError):
                [x async for x in pool.imap(parity, range(20))]

    async def test_cancelled_wait(self):
        with support.tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'go')
            async with Mp.Pool(1) as pool:
                result = pool.apply_async(slow_then, (path, 2))
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.shield(_await(result)), 0.02)
                open(path, 'w').close()
                self.assertEqual(await result, 2)

    async def test_cancelled_wait_stops_its_task(self):
        with support.tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'go')
            async with Mp.Pool(1) as pool:
                result = pool.apply_async(slow_then, (path, 2))
                other = pool.apply_async(square, (3,))
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(_await(result), 0.02)
                self.assertTrue(result.cancelled())
                # Its worker has been made to stop, or this would wait for what never comes.
                self.assertEqual(await other, 9)

    async def test_callbacks(self):
        got = asyncio.Queue()
        async with Mp.Pool(1) as pool:
            result = pool.apply_async(square, (6,), callback=got.put_nowait)
            await result
            self.assertEqual(await got.get(), 36)

    async def test_join(self):
        process = Mp.Process(target=leave, args=(3,))
        await process.start_async()
        self.assertIsInstance(process.pid, int)
        self.assertEqual(await process.join_async(), 3)
        pool = Mp.Pool(1)
        result = pool.apply_async(square, (2,))
        pool.close()
        await pool.join_async()
        self.assertEqual(result.get(0), 4)

    async def test_connection(self):
        first, second = Mp.Pipe()

        async def answer():
            await second.send_async(await second.recv_async() + 1)

        task = asyncio.ensure_future(answer())
        await first.send_async(1)
        self.assertEqual(await first.recv_async(), 2)
        await task
        second.close()
        with self.assertRaises(EOFError):
            await first.recv_async()

    async def test_idle_loop_sleeps(self):
        async with Mp.Pool(1) as pool:
            self.assertEqual(await pool.apply_async(square, (2,)), 4)
            before = time.process_time()
            with support.tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, 'go')
                result = pool.apply_async(slow_then, (path, 2))
                waiting = asyncio.ensure_future(_await(result))
                await asyncio.sleep(0.3)  # the time in which the loop could be busy
                open(path, 'w').close()
                await waiting
            self.assertLess(time.process_time() - before, 0.2)


async def _await(result):
    return await result


class TwoLoopsTest(unittest.TestCase):
    def test_one_after_the_other(self):
        async def use(pool):
            return await pool.map_async(square, [1, 2])

        with Mp.Pool(1) as pool:
            for _ in range(3):
                self.assertEqual(asyncio.run(use(pool)), [1, 4])


if __name__ == '__main__':
    support.main()
