// test-tls.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Listeners and clients with TLS.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, assertMatches, catchFrom, catchNow, makeDirectory, run, show, test} from './harness.js';

const NEW_KEY = 'ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

const folder = makeDirectory();

function openssl(command) {
    const launcher = new Gio.SubprocessLauncher({flags: Gio.SubprocessFlags.STDERR_SILENCE});
    launcher.set_cwd(folder);
    launcher.spawnv(['openssl', ...command.split(' ')]).wait_check(null);
}

function makeCertificates() {
    for (const name of ['authority', 'stranger'])
        openssl(`req -x509 -newkey ${NEW_KEY} -days 30 -subj /CN=${name} -keyout ${name}.key -out ${name}.pem`);
    GLib.file_set_contents(`${folder}/server.ext`, 'subjectAltName=DNS:localhost,IP:127.0.0.1');
    openssl(`req -newkey ${NEW_KEY} -subj /CN=server -keyout server.key -out server.csr`);
    openssl('x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 ' +
        '-extfile server.ext -out server.pem');
}

function loadAuthority(name) {
    return Gio.TlsFileDatabase.new(`${folder}/${name}.pem`);
}

function listen(options = {}) {
    const certificate = Gio.TlsCertificate.new_from_files(`${folder}/server.pem`, `${folder}/server.key`);
    return new Mp.Listener({address: 'tcp:127.0.0.1:0', tls_certificate: certificate, ...options});
}

const hasTls = Gio.TlsBackend.get_default().supports_tls() && GLib.find_program_in_path('openssl') !== null;

test('both ends', async () => {
    if (!hasTls)
        return;
    const listener = listen({authkey: 'secret'});
    const accepted = listener.accept_async();
    const client = await Mp.client_connect_async(listener.address,
        {authkey: 'secret', tls: true, tls_database: loadAuthority('authority')});
    const server = await accepted;
    assert(client.peer_certificate instanceof Gio.TlsCertificate);
    assertEqual(server.peer_certificate, null);
    for (let i = 0; i < 100; i++)
        server.send({i, text: 'grüße'});
    server.close();
    let n = 0;
    for await (const message of client)
        assertEqual(message.i, n++);
    assertEqual(n, 100);
    client.close();
    listener.close();
});

test('refused', async () => {
    if (!hasTls)
        return;
    const listener = listen();
    const failed = new Promise(resolve => listener.connect('client-failed', (_listener, error) => resolve(error)));
    listener.accept_async().catch(() => {});
    const error = await catchFrom(() => Mp.client_connect_async(listener.address,
        {tls: true, tls_database: loadAuthority('stranger')}));
    assert(error.matches(Gio.TlsError, Gio.TlsError.BAD_CERTIFICATE), show(error));
    assertMatches(error.message, /nobody who is trusted/);
    assertMatches((await failed).message, /127\.0\.0\.1/);
    listener.close();
});

test('settings', () => {
    if (!hasTls)
        return;
    const error = catchNow(() => listen({address: null}));
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.INVALID_ARGUMENT), show(error));
});

if (hasTls)
    makeCertificates();
Mp.init();
await run();
