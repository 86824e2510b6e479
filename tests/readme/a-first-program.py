@README@
        assert pool.map(square, range(100), 7) == [x * x for x in range(100)]
