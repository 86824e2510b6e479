#!/usr/bin/env -S gjs -m
// lock-counter.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Four processes count in one file, which without a lock would miss some.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

function read(file) {
    const [, bytes] = file.load_contents(null);
    return Number(new TextDecoder().decode(bytes));
}

function write(file, value) {
    const stream = file.open_readwrite(null);
    stream.get_output_stream().write_all(new TextEncoder().encode(`${value}`), null);
    stream.close(null);
}

const incrementCounter = Mp.register(function incrementCounter(path, lock, iterations) {
    const file = Gio.File.new_for_path(path);
    for (let i = 0; i < iterations; i++) {
        lock.acquire();
        try {
            write(file, read(file) + 1);
        } finally {
            lock.release();
        }
    }
});
Mp.init();

const [file] = Gio.File.new_tmp('counter-XXXXXX');
write(file, 0);

const lock = new Mp.Lock();
const processes = Array.from({length: 4}, () => Mp.Process.new(incrementCounter, [file.get_path(), lock, 1000]));
processes.forEach(process => process.start());
processes.forEach(process => process.join());

print(`Final counter value: ${read(file)}`);
file.delete(null);
