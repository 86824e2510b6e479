from gi.repository import Mp


def call(address):
    seen = []
    print = seen.append
    @README | from with Mp.Client | with ('localhost', 6000) -> address@
    assert seen == [[2.25, None, 'junk', float], b'hello'], seen


def listening(address, authkey):
    listener = Mp.Listener(address, authkey=authkey)
    processes.append(Mp.Process(target=call, args=(listener.address,)))
    processes[0].start()
    return listener


if __name__ == '__main__':
    processes = []

    def print(text, address):
        assert text == 'connection accepted from' and address[0] == '127.0.0.1', address

    @README | until with Mp.Client | with Mp.Listener(('localhost', 6000) -> listening(('localhost', 0)@

    processes[0].join()
    assert processes[0].exitcode == 0
