// MpListener.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Listeners and their clients, for Mp.js: addresses and keys in JavaScript's forms, promises, and loops over clients.
/* exported overrideListeners, toKey */

const {GLib, Gio, GObject} = imports.gi;
const {toWait, untilEnd} = imports.overrides.MpCalls;
const {display, attempt} = imports.overrides.MpValues;

var {overrideListeners, toKey} = (function () {
const {Array, ArrayBuffer, Number, Object, RangeError, Symbol, TextEncoder, TypeError, Uint8Array} = globalThis;

let Mp;

// A text, bytes, or nothing.
function toKey(key) {
    if (key === null || key === undefined || key instanceof GLib.Bytes)
        return key ?? null;
    if (typeof key === 'string')
        return new GLib.Bytes(new TextEncoder().encode(key));
    if (key instanceof ArrayBuffer)
        return new GLib.Bytes(new Uint8Array(key));
    if (ArrayBuffer.isView(key))
        return new GLib.Bytes(new Uint8Array(key.buffer, key.byteOffset, key.byteLength));
    throw new TypeError(`A key is a text, a typed array, a GLib.Bytes or null, not ${display(key)}`);
}

function isConnectable(address) {
    return address instanceof GObject.Object &&
        GObject.type_is_a(address.constructor.$gtype, Gio.SocketConnectable.$gtype);
}

// [host, port] is as CPython has it. In C a text would end at a NUL.
function toText(address) {
    const text = toForm(address);
    if (text.includes('\0'))
        throw new TypeError(`There is no NUL in an address: ${display(text)}`);
    return text;
}

function toForm(address) {
    if (typeof address === 'string')
        return address;
    if (Array.isArray(address) && address.length === 2 && typeof address[0] === 'string' &&
        Number.isInteger(address[1])) {
        const [host, port] = address;
        return host.includes(':') ? `tcp:[${host}]:${port}` : `tcp:${host}:${port}`;
    }
    throw new TypeError('An address is a text such as tcp:localhost:6000, [host, port] or a Gio.SocketConnectable, ' +
        `not ${display(address)}`);
}

// The least and the greatest; GJS would make a number of anything, and GObject leave out what is not in bounds.
const bounds = {
    backlog: [1, 0x7fffffff],
    max_pending: [1, 0xffff],
    handshake_timeout_us: [1, 2 ** 61 - 1],
    max_message_size: [0, 2 ** 63 - 1],
};

// In GJS a property has names of three forms.
function toName(name) {
    return name.replaceAll('-', '_').replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);
}

function checkBounds(properties) {
    for (const [given, value] of Object.entries(properties)) {
        const name = toName(given);
        if (!Object.hasOwn(bounds, name) || value === null || value === undefined)
            continue;
        const [least, greatest] = bounds[name];
        if (!Number.isInteger(value) || value < least || value >= greatest + 1)
            throw new RangeError(`${name} is an integer from ${least} to ${greatest}, not ${display(value)}`);
    }
}

function toProperties(properties) {
    checkBounds(properties);
    if ('authkey' in properties)
        properties.authkey = toKey(properties.authkey);
    const address = properties.address ?? null;
    if (isConnectable(address)) {
        properties.connectable = address;
        delete properties.address;
    } else if (address !== null) {
        properties.address = toText(address);
    }
    return properties;
}

// All clients to come, until this listener is closed.
function iterate() {
    return untilEnd(() => this.accept_async());
}

function overrideListener({promisify, wrapInit, wrapMethod}) {
    const {Listener} = Mp;
    wrapInit(Listener, "new Mp.Listener({address: 'tcp:localhost:0'})", toProperties);
    const {_init} = Listener.prototype;
    Listener.prototype._init = function (...args) {
        const self = _init.apply(this, args);
        attempt(() => this.init(null));
        return self;
    };
    Listener.new = (address = null, authkey = null) => new Listener({address, authkey});
    Listener.new_for_address = Listener.new;

    promisify(Listener, 'accept', 0, (cancellable = null) => toWait(-1, cancellable).slice(1));
    wrapMethod(Listener, 'accept', (timeout = -1, cancellable = null) => toWait(timeout, cancellable));
    Listener.prototype[Symbol.asyncIterator] = iterate;
}

// Also an object of the properties of Mp.ClientOptions.
function toOptions(options) {
    if (options === null || options === undefined || options instanceof Mp.ClientOptions)
        return options ?? null;
    if (typeof options !== 'object')
        throw new TypeError(`The options are a Mp.ClientOptions or an object of its properties, not ${display(options)}`);
    return new Mp.ClientOptions(options);
}

// client_connect() is one for addresses of all kinds; the one of C for texts is client_connect_to().
function overrideClient({promisifyFunction, wrapFunction, wrapInit}) {
    wrapInit(Mp.ClientOptions, "new Mp.ClientOptions({authkey: 'secret'})", toProperties);
    const {set_authkey: setAuthkey} = Mp.ClientOptions.prototype;
    Mp.ClientOptions.prototype.set_authkey = function (key) {
        setAuthkey.call(this, toKey(key));
    };

    for (const [name, toAddress] of Object.entries({client_connect: address => address, client_connect_to: toText})) {
        promisifyFunction(Mp, name, 1, (address, options = null, cancellable = null) =>
            [toAddress(address), toOptions(options), toWait(-1, cancellable)[1]]);
        wrapFunction(Mp, name, (address, options = null, timeout = -1, cancellable = null) =>
            [toAddress(address), toOptions(options), ...toWait(timeout, cancellable)]);
    }
    for (const ending of ['', '_async']) {
        const [connect, connectTo] = ['client_connect', 'client_connect_to'].map(name => Mp[`${name}${ending}`]);
        Mp[`client_connect${ending}`] = function (address, ...rest) {
            return (isConnectable(address) ? connect : connectTo).call(this, address, ...rest);
        };
    }
}

function overrideKeys({promisifyFunction, wrapFunction}) {
    for (const name of ['deliver_challenge', 'answer_challenge']) {
        promisifyFunction(Mp, name, 2, (connection, authkey, allowMd5 = false, cancellable = null) =>
            [connection, toKey(authkey), allowMd5, toWait(-1, cancellable)[1]]);
        wrapFunction(Mp, name, (connection, authkey, allowMd5 = false, timeout = -1, cancellable = null) =>
            [connection, toKey(authkey), allowMd5, ...toWait(timeout, cancellable)]);
    }
    for (const object of [Mp, Mp.Process.prototype]) {
        const {set_authkey: set} = object;
        object.set_authkey = function (key) {
            const bytes = toKey(key);
            if (bytes?.get_size() === 0)
                throw new RangeError('A key is not empty');
            set.call(this, bytes);
        };
    }
}

function overrideListeners(mp, wrappers) {
    Mp = mp;
    overrideKeys(wrappers);
    overrideListener(wrappers);
    overrideClient(wrappers);
}

return {overrideListeners, toKey};
})();
