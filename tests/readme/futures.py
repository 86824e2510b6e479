from gi.repository import Mp


def check(name):
    return name * 2


if __name__ == '__main__':
    files = ['a', 'b', 'c']
    seen = []
    print = seen.append

    with Mp.Pool(2) as pool:
        @README@

    assert sorted(seen) == ['aa', 'bb', 'cc'], seen
