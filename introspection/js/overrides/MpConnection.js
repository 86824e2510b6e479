// MpConnection.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Connections of plain values and of bytes, for Mp.js: promises, and loops that end with the stream.
/* exported overrideConnections */

const {GLib} = imports.gi;
const {checkCancellable, toDescriptor, toWait, untilEnd} = imports.overrides.MpCalls;
const {display, pack, unpack, unpackForeign} = imports.overrides.MpValues;

var {overrideConnections} = (function () {
const {ArrayBuffer, Number, RangeError, Symbol, TypeError, Uint8Array} = globalThis;

let Mp;

function isBuffer(value) {
    return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

// The memory of a typed array, a DataView or an ArrayBuffer.
function viewBytes(buffer) {
    return buffer instanceof ArrayBuffer ? new Uint8Array(buffer)
        : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

// GJS frees the bytes that it makes of an array for a call, but not those that it is given.
function toBytes(bytes) {
    if (bytes instanceof GLib.Bytes)
        return bytes.toArray();
    if (!isBuffer(bytes))
        throw new TypeError(`The bytes are a typed array, an ArrayBuffer or a GLib.Bytes, not ${display(bytes)}`);
    return viewBytes(bytes);
}

function toSize(what, size, max = Number.MAX_SAFE_INTEGER) {
    if (typeof size !== 'number')
        throw new TypeError(`${what} is a number, not ${display(size)}`);
    if (!Number.isInteger(size) || size < 0 || size > max)
        throw new RangeError(`${what} is an integer from 0 to ${max}, not ${size}`);
    return size;
}

function toPart(offset, size) {
    return [toSize('The offset', offset), size === -1 ? -1 : toSize('The size', size)];
}

// A message of bytes waits where a value was asked for; it stays there.
function isBytesWaiting(error) {
    return error instanceof GLib.Error && error.matches(Mp.Error, Mp.Error.INVALID_TYPE);
}

// For methods.
function unpackReceived(variant) {
    return this.foreign ? unpackForeign(variant, () => this.max_message_size) : unpack(variant);
}

// All messages to come, up to the end of the stream: values, and messages of bytes as GLib.Bytes.
function iterate() {
    return untilEnd(async () => {
        try {
            return await this.recv_async();
        } catch (error) {
            if (!isBytesWaiting(error))
                throw error;
            return this.recv_bytes_async();
        }
    });
}

// The bytes of @buffer from its byte @offset on.
function toTarget(buffer, offset) {
    if (!isBuffer(buffer))
        throw new TypeError(`What is received into is a typed array or an ArrayBuffer, not ${display(buffer)}`);
    const bytes = viewBytes(buffer);
    return bytes.subarray(toSize('The offset', offset, bytes.length));
}

// How many bytes came. What does not fit is in the error, as a whole.
function putInto(target, bytes) {
    const message = bytes.toArray();
    if (message.length > target.length) {
        const error = new GLib.Error(Mp.Error, Mp.Error.BUFFER_TOO_SHORT,
            `The message has ${message.length} bytes, there is room for ${target.length}`);
        error.bytes = bytes;
        throw error;
    }
    target.set(message);
    return message.length;
}

function overrideReceivingInto(proto) {
    const {recv_bytes: recvBytes, recv_bytes_async: recvBytesAsync} = proto;
    proto.recv_bytes_into = function (buffer, offset = 0, timeout = -1, cancellable = null) {
        const target = toTarget(buffer, offset);
        return putInto(target, recvBytes.call(this, timeout, cancellable));
    };
    proto.recv_bytes_into_async = async function (buffer, offset = 0, cancellable = null) {
        const target = toTarget(buffer, offset);
        return putInto(target, await recvBytesAsync.call(this, cancellable));
    };
}

function overrideConnections(mp, {promisify, wrapMethod}) {
    Mp = mp;
    const {Connection} = Mp;

    promisify(Connection, 'send', 1, (value, cancellable = null) => [pack(value), checkCancellable(cancellable)]);
    promisify(Connection, 'recv', 0, (cancellable = null) => [checkCancellable(cancellable)], unpackReceived);
    promisify(Connection, 'send_bytes', 1, (bytes, cancellable = null) =>
        [toBytes(bytes), checkCancellable(cancellable)]);
    promisify(Connection, 'recv_bytes', 0, (cancellable = null) => [checkCancellable(cancellable)]);
    wrapMethod(Connection, 'send', (value, timeout = -1, cancellable = null) =>
        [pack(value), ...toWait(timeout, cancellable)]);
    wrapMethod(Connection, 'recv', (timeout = -1, cancellable = null) => toWait(timeout, cancellable), unpackReceived);
    wrapMethod(Connection, 'send_bytes', (bytes, timeout = -1, cancellable = null) =>
        [toBytes(bytes), ...toWait(timeout, cancellable)]);
    wrapMethod(Connection, 'recv_bytes', (timeout = -1, cancellable = null) => toWait(timeout, cancellable));
    // Parts of bytes, and messages of a length that is not too much.
    promisify(Connection, 'send_bytes_full', 1, (bytes, offset = 0, size = -1, cancellable = null) =>
        [toBytes(bytes), ...toPart(offset, size), checkCancellable(cancellable)]);
    promisify(Connection, 'recv_bytes_full', 0, (maxLength, cancellable = null) =>
        [toSize('The greatest length', maxLength), checkCancellable(cancellable)]);
    wrapMethod(Connection, 'send_bytes_full', (bytes, offset = 0, size = -1, timeout = -1, cancellable = null) =>
        [toBytes(bytes), ...toPart(offset, size), ...toWait(timeout, cancellable)]);
    wrapMethod(Connection, 'recv_bytes_full', (maxLength, timeout = -1, cancellable = null) =>
        [toSize('The greatest length', maxLength), ...toWait(timeout, cancellable)]);
    promisify(Connection, 'poll', 0, (cancellable = null) => [checkCancellable(cancellable)]);
    wrapMethod(Connection, 'poll', (timeout = 0, cancellable = null) => toWait(timeout, cancellable));
    wrapMethod(Connection, 'close', () => []);
    overrideReceivingInto(Connection.prototype);
    Connection.prototype[Symbol.asyncIterator] = iterate;

    const descriptorNew = Mp.Descriptor.new;
    Mp.Descriptor.new = fd => descriptorNew(toDescriptor(fd));
    const newFromFd = Connection.new_from_fd;
    Connection.new_from_fd = fd => newFromFd(toDescriptor(fd));

    const pipeNew = Mp.pipe_new;
    Mp.pipe_new = (duplex = true) => pipeNew(duplex).filter(item => item instanceof Connection);
}

return {overrideConnections};
})();
