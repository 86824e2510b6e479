// test-memory.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Shared memory and lists from JavaScript, with a process of CPython at the other side.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, run, test} from '../js/harness.js';

// A process that runs peer.py.
class Peer {
    constructor() {
        const script = GLib.build_filenamev([GLib.getenv('G_TEST_SRCDIR'), 'interop', 'peer.py']);
        this._process = Gio.Subprocess.new([GLib.getenv('MP_TEST_PYTHON') ?? 'python3', '-I', script],
            Gio.SubprocessFlags.STDIN_PIPE | Gio.SubprocessFlags.STDOUT_PIPE);
        this._answers = new Gio.DataInputStream({base_stream: this._process.get_stdout_pipe()});
    }

    ask(line) {
        this._process.get_stdin_pipe().write_all(new TextEncoder().encode(`${line}\n`), null);
        return this._answers.read_line_utf8(null)[0];
    }

    do(line) {
        assertEqual(this.ask(line), '-');
    }

    end() {
        this._process.get_stdin_pipe().close(null);
        this._process.wait_check(null);
    }
}

const peer = new Peer();

test('memory of ours', () => {
    const memory = Mp.SharedMemory.new_named(null, 100);
    const array = memory.toTypedArray(Int32Array);
    peer.do(`m = attach('${memory.get_name()}')`);
    array[24] = 0x01020304;
    assertEqual(peer.ask('bytes(m.buf[96:])'), "b'\\x04\\x03\\x02\\x01'");
    peer.do('m.buf[0] = 200');
    assertEqual([array[0], memory.read(0, 2)], [200, new Uint8Array([200, 0])]);
    peer.do('m.close()');
    memory.unlink();
});

test('memory of theirs', () => {
    peer.do("m = SharedMemory('peer-js', True, 50)");
    const memory = Mp.SharedMemory.attach('peer-js');
    memory.write(10, new TextEncoder().encode('from js'));
    assertEqual([memory.get_size(), peer.ask('bytes(m.buf[9:18])')], [50, "b'\\x00from js\\x00'"]);
    peer.do('m.unlink()');
});

test('a list of ours', () => {
    const list = Mp.ShareableList.new_named([1, -2.5, 'größe', true, null, new Uint8Array([1, 2]), 2n ** 63n - 1n]);
    peer.do(`l = attach_list('${list.get_memory().get_name()}')`);
    assertEqual(peer.ask('list(l)'), "[1, -2.5, 'größe', True, None, b'\\x01\\x02', 9223372036854775807]");
    peer.do("l[0] = 'eins'; l[6] = None");
    assertEqual([...list], ['eins', -2.5, 'größe', true, null, new Uint8Array([1, 2]), null]);
    peer.do('l.shm.close()');
    list.get_memory().unlink();
});

test('a list of theirs', () => {
    peer.do("l = ShareableList(['text', b'bytes', 2**53 + 1, 0.5, False, None], name='peer-js-list')");
    const list = Mp.ShareableList.attach('peer-js-list');
    assertEqual([...list], ['text', new TextEncoder().encode('bytes'), 2n ** 53n + 1n, 0.5, false, null]);
    list.set_item(0, new Uint8Array([255]));
    list.set_item(5, 'nichts');
    list.set_item(4, -(2n ** 63n));
    assertEqual(peer.ask('list(l)'),
        "[b'\\xff', b'bytes', 9007199254740993, 0.5, -9223372036854775808, 'nichts']");
    peer.do('l.shm.unlink()');
});

test('its end', () => {
    peer.end();
    assert(true);
});

await run();
