# _mp_forking.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The pickler of multiprocessing, whose descriptors come along with the message that the pickle is in.

Its own way, which asks the sender for them later, needs a thread there and a key that both have."""

import socket

from multiprocessing import reduction

from . import _mp_descriptor


class _Pickler(reduction.ForkingPickler):
    def __init__(self, *args):
        super().__init__(*args)
        # Whoever has registered something else for sockets gets that.
        if self.dispatch_table.get(socket.socket) is reduction._reduce_socket:
            self.dispatch_table = {**self.dispatch_table, socket.socket: _mp_descriptor.reduce_socket}


def dumps(obj, protocol):
    """The pickle of @obj as bytes."""
    return bytes(_Pickler.dumps(obj, protocol))
