from gi.repository import Mp


def append_to_the_file():
    pass


@README@
    assert lock.acquire(timeout=0)
