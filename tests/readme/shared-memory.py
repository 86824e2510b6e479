from gi.repository import Mp


if __name__ == '__main__':
    @README@
    numbers[999] = 0.5
    del numbers
    assert list(items) == [1, 'two', None]
    memory.close()
    memory.unlink()
    items.shm.close()
    items.shm.unlink()
