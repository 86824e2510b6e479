#!/usr/bin/env python3
# pool-await.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Under asyncio results are awaited, and the loop does other things meanwhile."""

import asyncio

from gi.repository import Mp


def square(x):
    return x * x


async def main():
    async with Mp.Pool(2) as pool:
        one, many = await asyncio.gather(pool.apply_async(square, (7,)), pool.map_async(square, range(5)))
        print('one:', one)
        print('many:', many)
        async for result in pool.imap(square, range(3)):
            print('next:', result)


if __name__ == '__main__':
    asyncio.run(main())
