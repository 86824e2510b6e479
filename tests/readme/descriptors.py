import socket

from gi.repository import Mp


@README | until if __name__@
class Enough(Exception):
    pass


class Server:
    """A server whose first client was there before, and which has no second one."""

    def __init__(self, sock):
        self.socks = [sock]

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        pass

    def accept(self):
        if not self.socks:
            raise Enough
        return self.socks.pop(), None


@README | from if __name__ | until     with socket.create_server@
    one, other = socket.socketpair()
    try:
        @README | from     with socket.create_server | with socket.create_server(('localhost', 8000)) -> Server(one)@
    except Enough:
        pass
    assert other.makefile().read() == 'hello from a worker'
