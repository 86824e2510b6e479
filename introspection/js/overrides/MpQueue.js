// MpQueue.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Queues of plain values, for Mp.js: promises, and loops that end when nobody is left who could put something.
/* exported overrideQueues */

const {GLib} = imports.gi;
const {checkCancellable, toWait, untilEnd} = imports.overrides.MpCalls;
const {display, pack, unpack, unpackForeign} = imports.overrides.MpValues;

var {overrideQueues} = (function () {
const {Number, RangeError, Symbol, TypeError} = globalThis;

// GJS frees the bytes that it makes of an array for a call, but not those that it is given.
function toBytes(bytes) {
    if (bytes instanceof GLib.Bytes)
        return bytes.toArray();
    if (!ArrayBuffer.isView(bytes) || bytes instanceof DataView)
        throw new TypeError(`The bytes are a Uint8Array or a GLib.Bytes, not ${display(bytes)}`);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// What GJS would silently make a number of.
function checkBound(properties, name, max) {
    const bound = properties[name] ?? 0;
    if (typeof bound !== 'number')
        throw new TypeError(`${name} is a number, not ${display(bound)}`);
    if (!Number.isInteger(bound) || bound < 0 || bound > max)
        throw new RangeError(`${name} is an integer from 0 to ${max}, not ${bound}`);
}

// All items to come, up to the end of all who might put one.
function iterate() {
    return untilEnd(() => this.get_async());
}

// Strangers may have put what is in one that is isolated, and they say how large an item may be.
const USUAL_MESSAGE = 64 << 20;

// For methods.
function unpackItem(variant) {
    return this.isolated ? unpackForeign(variant, () => USUAL_MESSAGE) : unpack(variant);
}

function overrideQueues(Mp, {promisify, wrapInit, wrapMethod}) {
    wrapInit(Mp.Queue, 'new Mp.Queue({max_items: 10})', properties => {
        checkBound(properties, 'max_items', 0xffffffff);
        checkBound(properties, 'max_bytes', Number.MAX_SAFE_INTEGER);
        return properties;
    });
    Mp.Queue.new = (maxItems = 0, maxBytes = 0) => new Mp.Queue({max_items: maxItems, max_bytes: maxBytes});
    Mp.JoinableQueue.new = (maxItems = 0, maxBytes = 0) =>
        new Mp.JoinableQueue({max_items: maxItems, max_bytes: maxBytes});

    promisify(Mp.Queue, 'put', 1, (value, cancellable = null) => [pack(value), checkCancellable(cancellable)]);
    promisify(Mp.Queue, 'get', 0, (cancellable = null) => [checkCancellable(cancellable)], unpackItem);
    wrapMethod(Mp.Queue, 'put', (value, timeout = -1, cancellable = null) =>
        [pack(value), ...toWait(timeout, cancellable)]);
    wrapMethod(Mp.Queue, 'get', (timeout = -1, cancellable = null) => toWait(timeout, cancellable), unpackItem);
    wrapMethod(Mp.Queue, 'try_put', value => [pack(value)]);
    wrapMethod(Mp.Queue, 'try_get', () => [], unpackItem);
    wrapMethod(Mp.Queue, 'put_bytes', (bytes, timeout = -1, cancellable = null) =>
        [toBytes(bytes), ...toWait(timeout, cancellable)]);
    wrapMethod(Mp.Queue, 'get_bytes', (timeout = -1, cancellable = null) => toWait(timeout, cancellable));
    Mp.Queue.prototype[Symbol.asyncIterator] = iterate;

    promisify(Mp.JoinableQueue, 'join', 0, (cancellable = null) => [checkCancellable(cancellable)]);
    wrapMethod(Mp.JoinableQueue, 'join', (timeout = -1, cancellable = null) => toWait(timeout, cancellable));
    wrapMethod(Mp.JoinableQueue, 'task_done', () => []);
}

return {overrideQueues};
})();
