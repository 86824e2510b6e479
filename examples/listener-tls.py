#!/usr/bin/env python3
# listener-tls.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A server and a client who know each other's certificates, which are in the directory that is the argument; see
with-certificates.sh. Nobody between them can read what they say."""

import sys

from gi.repository import Gio, Mp


def tls(directory, own, other):
    """The certificate of one, with its key, and the other one's to trust."""
    return {'tls_certificate': Gio.TlsCertificate.new_from_files(f'{directory}/{own}.pem', f'{directory}/{own}.key'),
            'tls_database': Gio.TlsFileDatabase.new(f'{directory}/{other}.pem')}


def client(address, directory):
    with Mp.Client(address, authkey=b'secret password', tls=True, **tls(directory, 'client', 'server')) as conn:
        print('the server is', conn.peer_certificate.get_subject_name(), flush=True)
        conn.send('ready')
        print(conn.recv())


if __name__ == '__main__':
    folder = sys.argv[1]
    with Mp.Listener(('localhost', 0), authkey=b'secret password', **tls(folder, 'server', 'client')) as listener:
        p = Mp.Process(target=client, args=(listener.address, folder))
        p.start()
        with listener.accept() as conn:
            conn.recv()
            print('connection accepted from', conn.peer_certificate.get_subject_name(), flush=True)
            conn.send('nobody else has read this')
            p.join()
