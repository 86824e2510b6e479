#!/usr/bin/env python3
# process-class.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A class of processes: what run() does, it does in the process."""

from gi.repository import Mp


class Greeter(Mp.Process):
    def __init__(self, name, connection):
        super().__init__(name=name)
        self.connection = connection

    def run(self):
        self.connection.send(f'{self.name} says hello')


if __name__ == '__main__':
    ours, theirs = Mp.Pipe(duplex=False)
    for name in ('Alice', 'Bob'):
        greeter = Greeter(name, theirs)
        greeter.start()
        print(ours.recv())
        greeter.join()
        print(f'{greeter.name} ended with {greeter.exitcode}')
