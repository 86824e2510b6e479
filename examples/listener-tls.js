#!/usr/bin/env -S gjs -m
// listener-tls.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A server and a client who know each other's certificates, which are in the directory that is the argument; see
// with-certificates.sh. Nobody between them can read what they say.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';
import System from 'system';

const authkey = 'secret password';

// The certificate of one, with its key, and the other one's to trust.
function tls(directory, own, other) {
    return {
        tls_certificate: Gio.TlsCertificate.new_from_files(`${directory}/${own}.pem`, `${directory}/${own}.key`),
        tls_database: Gio.TlsFileDatabase.new(`${directory}/${other}.pem`),
    };
}

const client = Mp.register(function client(address, directory) {
    const options = {authkey, tls: true, ...tls(directory, 'client', 'server')};
    const connection = Mp.client_connect(address, options);
    print('the server is', connection.peer_certificate.get_subject_name());
    connection.send('ready');
    print(connection.recv());
    connection.close();
});
Mp.init();

const [directory] = System.programArgs;
const listener = new Mp.Listener({address: ['localhost', 0], authkey, ...tls(directory, 'server', 'client')});
const process = Mp.Process.new(client, [listener.address, directory]);
process.start();
const connection = listener.accept();
connection.recv();
print('connection accepted from', connection.peer_certificate.get_subject_name());
connection.send('nobody else has read this');
process.join();
connection.close();
listener.close();
