from gi.repository import Mp


if __name__ == '__main__':
    @README@
    with pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
        assert pool.n_workers == 4
