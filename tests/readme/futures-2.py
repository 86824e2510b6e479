import asyncio

from gi.repository import Mp


def measure(name):
    return len(name)


async def main():
    names = ['a', 'bb', 'ccc']
    @README@
    assert sizes == [1, 2, 3], sizes


if __name__ == '__main__':
    asyncio.run(main())
