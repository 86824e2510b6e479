// harness.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Tests of a script: each prints a line of TAP; a failure makes the exit status 1.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';
import System from 'system';

const tests = [];

export const BUILT = GLib.getenv('G_TEST_BUILDDIR') ?? '';

const directories = [];

// One that is gone when the tests have run; a worker, which runs the same script, needs none.
export function makeDirectory() {
    if (Mp.is_worker())
        return null;
    const path = GLib.dir_make_tmp('mp-js-XXXXXX');
    directories.push(path);
    return path;
}

function removeDirectories() {
    for (const path of directories) {
        for (const info of Gio.File.new_for_path(path).enumerate_children('standard::name', 0, null))
            GLib.unlink(`${path}/${info.get_name()}`);
        GLib.rmdir(path);
    }
}

export function test(name, func) {
    tests.push([name, func]);
}

export function fail(message) {
    throw new Error(message);
}

export function assert(condition, message = 'what should be so is not') {
    if (!condition)
        fail(message);
}

// Text that shows all that tells values apart: what equal values have in common, and different ones not.
export function show(value) {
    switch (typeof value) {
    case 'number':
        return Object.is(value, -0) ? '-0' : String(value);
    case 'string':
        return JSON.stringify(value);
    case 'bigint':
        return `${value}n`;
    case 'object':
        return value === null ? 'null' : showObject(value);
    default:
        return String(value);
    }
}

function showObject(value) {
    if (Array.isArray(value))
        return `[${Array.from(value, show).join(', ')}]`;
    if (value instanceof Error)
        return `${value.constructor.name}(${value.name}: ${value.message})${showProperties(value)}`;
    if (value instanceof Map || value instanceof Set)
        return `${value.constructor.name}${show([...value])}`;
    if (value instanceof GLib.Variant)
        return `Variant ${value.print(true)}`;
    if (value instanceof GLib.Bytes)
        return `Bytes ${show([...value.toArray()])}`;
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
        return `${value.constructor.name}${show([...value])}`;
    if (value instanceof ArrayBuffer || value instanceof DataView)
        return `${value.constructor.name} of ${value.byteLength}`;
    if (value instanceof Date || value instanceof RegExp)
        return `${value.constructor.name} ${value}`;
    return showProperties(value);
}

function showProperties(value) {
    return `{${Object.keys(value).map(key => `${JSON.stringify(key)}: ${show(value[key])}`).join(', ')}}`;
}

export function assertEqual(actual, expected, what = '') {
    if (show(actual) !== show(expected))
        fail(`${what}${what ? ': ' : ''}${show(actual).slice(0, 2000)} is not ${show(expected).slice(0, 2000)}`);
}

// The exception that @func throws, or that the promise it gives is rejected with.
export async function catchFrom(func) {
    let value;
    try {
        value = await func();
    } catch (error) {
        return error;
    }
    return fail(`nothing was thrown, but ${show(value)} returned`);
}

export function catchNow(func) {
    let value;
    try {
        value = func();
    } catch (error) {
        return error;
    }
    return fail(`nothing was thrown, but ${show(value)} returned`);
}

// That what was caught is such an error of GLib.
export function matches(error, domain, code) {
    assert(error instanceof GLib.Error && error.matches(domain, code), show(error));
}

export function assertMatches(text, pattern) {
    assert(pattern.test(text), `“${text}” does not match ${pattern}`);
}

// A process that has what it was given, and its pid, which it sends first.
export async function start(func, what) {
    const [ours, theirs] = Mp.pipe_new();
    const process = Mp.Process.new(func, [what, theirs]);
    process.start();
    return [process, ours, await ours.recv_async()];
}

export function getPid() {
    return new Gio.Credentials().get_unix_pid();
}

export function signal(pid, name) {
    const [, , , status] = GLib.spawn_command_line_sync(`kill -${name} ${pid}`);
    return status === 0;
}

// Waits until @condition () holds, with the main loop running: of what happens in another process nobody tells.
export function until(condition, what = 'what was waited for', seconds = 20) {
    return new Promise((resolve, reject) => {
        const end = GLib.get_monotonic_time() + seconds * 1e6;
        const look = () => {
            if (condition()) {
                resolve();
            } else if (GLib.get_monotonic_time() > end) {
                reject(new Error(`${what} has not come`));
            } else {
                return GLib.SOURCE_CONTINUE;
            }
            return GLib.SOURCE_REMOVE;
        };
        GLib.timeout_add(GLib.PRIORITY_DEFAULT, 5, look);
    });
}

export function isRunning(pid) {
    try {
        return getStat(pid)[0] !== 'Z';
    } catch {
        return false;
    }
}

// The fields of /proc/PID/stat that come behind the name: the state, the pid of the parent...
function getStat(pid) {
    const [, text] = GLib.file_get_contents(`/proc/${pid}/stat`);
    return new TextDecoder().decode(text).replace(/^.*\) /s, '').split(' ');
}

export function getParent(pid) {
    return Number(getStat(pid)[1]);
}

// The pids of all processes that @pid has started, and those have.
export function getDescendants(pid) {
    const parents = new Map();
    for (const info of Gio.File.new_for_path('/proc').enumerate_children('standard::name', 0, null)) {
        const name = info.get_name();
        try {
            if (/^[0-9]+$/.test(name))
                parents.set(Number(name), getParent(name));
        } catch {
            // It has ended meanwhile.
        }
    }
    const found = [pid];
    for (const parent of found)
        found.push(...[...parents.keys()].filter(child => parents.get(child) === parent));
    return found.slice(1);
}

// Runs a program with the environment that this one has; gives what it wrote and how it ended.
export function runProgram(argv, input = null) {
    const flags = Gio.SubprocessFlags.STDOUT_PIPE | Gio.SubprocessFlags.STDERR_PIPE | Gio.SubprocessFlags.STDIN_PIPE;
    const program = Gio.Subprocess.new(argv, flags);
    return new Promise((resolve, reject) => {
        program.communicate_utf8_async(input, null, (_program, result) => {
            try {
                const [, stdout, stderr] = program.communicate_utf8_finish(result);
                const status = program.get_if_exited() ? program.get_exit_status() : -program.get_term_sig();
                resolve({stdout, stderr, status});
            } catch (error) {
                reject(error);
            }
        });
    });
}

// The path of a file beside the test.
export function findBeside(url, name) {
    return Gio.File.new_for_uri(url).get_parent().get_child(name).get_path();
}

export async function run() {
    let failed = 0;
    print(`1..${tests.length}`);
    for (const [index, [name, func]] of tests.entries()) {
        try {
            await func();
            print(`ok ${index + 1} ${name}`);
        } catch (error) {
            failed++;
            print(`not ok ${index + 1} ${name}`);
            const text = `${error?.name ?? ''}: ${error?.message ?? error}\n${error?.stack ?? ''}`;
            print(`# ${text.trimEnd().replaceAll('\n', '\n# ')}`);
        }
    }
    removeDirectories();
    System.exit(failed > 0 ? 1 : 0);
}
