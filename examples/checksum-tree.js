#!/usr/bin/env -S gjs -m
// checksum-tree.js — SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: checksum-tree.js [DIR]
//
// Prints the SHA-256 of every regular file under DIR (/usr/include if not given) as sha256sum does, in path order. The
// sums are computed by a pool of processes, one for each usable CPU. What cannot be read is reported at the end and
// makes the exit status 1.
//
// A path is a text of bytes here, one for each character: JavaScript has no other text for names that are no UTF-8.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';
import System from 'system';

const BLOCK_SIZE = 128 * 1024;
const COLLECT_AFTER = 64 << 20;
const FILES_PER_TASK = 16;
const PROGRESS_INTERVAL = 100000;
const REGULAR = Gio.FileType.REGULAR;

let uncollected = 0;

// In a worker: the sum of a file.
const checksumFile = Mp.register(function checksumFile(uri) {
    const file = Gio.File.new_for_uri(uri);
    // What was a regular file when it was found may be a pipe by now: that must not hang.
    if (file.query_info('standard::type', Gio.FileQueryInfoFlags.NONE, null).get_file_type() !== REGULAR)
        throw new Error('No longer a regular file');

    const checksum = new GLib.Checksum(GLib.ChecksumType.SHA256);
    const stream = file.read(null);
    for (;;) {
        const block = stream.read_bytes(BLOCK_SIZE, null).toArray();
        if (block.length === 0)
            break;
        checksum.update(block);
        // The collector does not know how large the blocks are.
        uncollected += block.length;
        if (uncollected > COLLECT_AFTER) {
            uncollected = 0;
            System.gc();
        }
    }
    stream.close(null);
    return checksum.get_string();
});
Mp.init();

function toBytes(text) {
    return Array.from(new TextEncoder().encode(text), byte => String.fromCharCode(byte)).join('');
}

function toArray(bytes) {
    return Uint8Array.from(bytes, char => char.charCodeAt(0));
}

function toUri(path) {
    const absolute = path.startsWith('/') ? path : `${toBytes(GLib.get_current_dir())}/${path}`;
    return `file://${absolute.replace(/[^\w.~/-]/g, char =>
        `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)}`;
}

// GIO writes bytes that are no plain characters as \xNN.
function getName(info) {
    return info.get_attribute_as_string('standard::name').replace(/\\x([0-9a-f]{2})/g, (_match, code) =>
        String.fromCharCode(parseInt(code, 16)));
}

// As sha256sum writes a name.
function escape(path) {
    return path.replace(/[\\\n\r]/g, char => ({'\\': '\\\\', '\n': '\\n', '\r': '\\r'})[char]);
}

const problems = [];

function addProblem(path, error) {
    // The cause comes last in what GIO says.
    problems.push(`checksum-tree: ${escape(path)}: ${toBytes(error.message.replace(/^.*: /s, ''))}\n`);
}

function readDirectory(directory, directories, files) {
    const prefix = directory.endsWith('/') ? directory : `${directory}/`;
    const children = Gio.File.new_for_uri(toUri(directory)).enumerate_children('standard::name,standard::type',
        Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, null);
    for (const info of children) {
        const type = info.get_file_type();
        if (type === REGULAR)
            files.push(prefix + getName(info));
        else if (type === Gio.FileType.DIRECTORY)
            directories.push(prefix + getName(info));
    }
}

// The regular files under @top, which may be one itself, in the order of their bytes.
function findFiles(top) {
    const files = [];
    const directories = [];
    try {
        if (top === '')
            throw new Error('No such file or directory');  // and not the current one
        const info = Gio.File.new_for_uri(toUri(top)).query_info('standard::type', Gio.FileQueryInfoFlags.NONE, null);
        if (info.get_file_type() === REGULAR)
            files.push(top);
        else if (info.get_file_type() === Gio.FileType.DIRECTORY)
            directories.push(top);
    } catch (error) {
        addProblem(top, error);
    }
    while (directories.length > 0) {
        const directory = directories.pop();
        try {
            readDirectory(directory, directories, files);
        } catch (error) {
            addProblem(directory, error);
        }
    }
    return files.sort((a, b) => a < b ? -1 : 1);
}

const output = Gio.BufferedOutputStream.new(Gio.UnixOutputStream.new(1, false));
const errors = Gio.UnixOutputStream.new(2, false);

// A line on standard error, when that is a terminal.
class Progress {
    constructor(nFiles) {
        this._nFiles = nFiles;
        this._isTerminal = GLib.log_writer_supports_color(2);
        this._due = 0;
    }

    show(nDone) {
        const now = GLib.get_monotonic_time();
        if (!this._isTerminal || (nDone < this._nFiles && now < this._due))
            return;
        this._due = now + PROGRESS_INTERVAL;
        // Standard output may be the same terminal: there each sum begins a line of its own.
        output.flush(null);
        const percent = Math.floor(nDone * 100 / this._nFiles);
        errors.write_all(nDone < this._nFiles
            ? `\r\x1b[K${nDone} of ${this._nFiles} files (${percent} %)\r` : '\r\x1b[K', null);
    }
}

async function checksumFiles(files) {
    const progress = new Progress(files.length);
    const pool = Mp.Pool.new(0);
    const sums = pool.imap(checksumFile, files.map(toUri), FILES_PER_TASK);
    let lastError = null;
    for (const [index, path] of files.entries()) {
        let sum = null;
        try {
            const {value, done} = await sums.next_async();
            if (done)
                throw lastError;  // the pool has given up
            sum = value;
        } catch (error) {
            lastError = error;
            addProblem(path, error);
        }
        const name = escape(path);
        if (sum !== null)
            output.write_all(toArray(`${name === path ? '' : '\\'}${sum}  ${name}\n`), null);
        progress.show(index + 1);
    }
    pool.close();
    await pool.join_async();
}

const args = System.programArgs;
if (args.length > 1 || args[0]?.startsWith('-')) {
    printerr('usage: checksum-tree.js [DIR]');
    System.exit(2);
}
const files = findFiles(toBytes(args[0] ?? '/usr/include'));
try {
    if (files.length > 0)
        await checksumFiles(files);
    output.flush(null);
} catch (error) {
    addProblem('standard output', error);
}
for (const problem of problems)
    errors.write_all(toArray(problem), null);
System.exit(problems.length > 0 ? 1 : 0);
