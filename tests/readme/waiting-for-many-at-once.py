from gi.repository import Mp


class Enough(Exception):
    pass


def call(address):
    for number in range(2):
        with Mp.Client(address, authkey=b'secret') as conn:
            conn.send(number)


def print(value):
    seen.append(value)
    if len(seen) == 2:
        raise Enough


if __name__ == '__main__':
    seen = []
    with Mp.Listener(authkey=b'secret') as listener:
        process = Mp.Process(target=call, args=(listener.address,))
        process.start()
        try:
            @README@
        except Enough:
            pass
        process.join()
    assert sorted(seen) == [0, 1], seen
