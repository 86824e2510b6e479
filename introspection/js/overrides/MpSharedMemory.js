// MpSharedMemory.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Shared memory as typed arrays, and lists of plain values in it, for Mp.js.
/* exported init */

const {GLib} = imports.gi;
const Values = imports.overrides.MpValues;
const {attempt, display} = Values;

var {init} = (function () {
const {Array, ArrayBuffer, BigInt, Math, Number, Object, RangeError, String, Symbol, TypeError,
    Uint8Array} = globalThis;

let Mp;

const NOTHING = new GLib.Variant('()', []);
const INT64 = new GLib.VariantType('x');
const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

function checkSize(what, size) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size))
        throw new TypeError(`${what} takes a number of bytes, not ${String(size)}`);
    if (size < 0)
        throw new RangeError(`${what} takes a number of bytes from 0 up, not ${size}`);
    return size;
}

// What is in memory of others, as an array of bytes of its own.
function toBytes(data) {
    if (data instanceof GLib.Bytes)
        return data;
    if (ArrayBuffer.isView(data))
        return new GLib.Bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    if (data instanceof ArrayBuffer)
        return new GLib.Bytes(new Uint8Array(data));
    throw new TypeError(`write() takes a typed array, an ArrayBuffer or GLib.Bytes, not ${display(data)}`);
}

// GJS shows where the bytes lie, with a toString() of its own: a new array for the same memory has none.
function toArray(bytes) {
    return new Uint8Array(bytes.toArray().buffer);
}

function overrideSharedMemory() {
    const {new: make, new_named: makeNamed} = Mp.SharedMemory;
    const proto = Mp.SharedMemory.prototype;
    const {read, write, grow, get_size: getSize, get_bytes: getBytes, dup_bytes: dupBytes} = proto;

    Mp.SharedMemory.new = size => attempt(() => make.call(Mp.SharedMemory, checkSize('new()', size)));
    Mp.SharedMemory.new_named = (name, size) =>
        attempt(() => makeNamed.call(Mp.SharedMemory, name, checkSize('new_named()', size)));
    // A copy.
    proto.read = function (offset = 0, length = undefined) {
        checkSize('read()', offset);
        const n = length === undefined ? Math.max(0, getSize.call(this) - offset) : checkSize('read()', length);
        return toArray(attempt(() => read.call(this, offset, n)));
    };
    proto.write = function (offset, data) {
        checkSize('write()', offset);
        return attempt(() => write.call(this, offset, toBytes(data)));
    };
    proto.grow = function (size) {
        return attempt(() => grow.call(this, checkSize('grow()', size)));
    };
    // The memory itself, not a copy: what is written into the array all others see, and the other way round. It stays
    // there as long as the array does. What is sealed against writing is copied.
    proto.toTypedArray = function (type = Uint8Array) {
        const sealed = (this.get_seals() & Mp.SealFlags.WRITE) !== 0;
        const bytes = toArray(attempt(() => (sealed ? dupBytes : getBytes).call(this)));
        if (!type?.BYTES_PER_ELEMENT)
            throw new TypeError(`toTypedArray() takes a type as Float64Array, not ${display(type)}`);
        const n = Math.floor(bytes.byteLength / type.BYTES_PER_ELEMENT);
        return new type(bytes.buffer, bytes.byteOffset, n);
    };
}

function packNumber(number) {
    if (Number.isSafeInteger(number) && !Object.is(number, -0))
        return GLib.Variant.new_int64(number);
    return GLib.Variant.new_double(number);
}

function packBigInt(number) {
    if (number < MIN_INT64 || number > MAX_INT64)
        throw new RangeError(`An integer of a list has 64 bits and a sign: ${number}`);
    return GLib.Variant.parse(INT64, String(number), null, null);
}

function packText(text) {
    if (text.includes('\0'))
        throw new RangeError('A text in a list cannot have a NUL in it');
    return GLib.Variant.new_string(text);
}

function packItem(value) {
    switch (typeof value) {
    case 'number':
        return packNumber(value);
    case 'bigint':
        return packBigInt(value);
    case 'boolean':
        return GLib.Variant.new_boolean(value);
    case 'string':
        return packText(value);
    case 'undefined':
        return NOTHING;
    }
    if (value === null)
        return NOTHING;
    if (value instanceof GLib.Variant)
        return value;
    if (value instanceof Uint8Array)
        return GLib.Variant.new_from_bytes(new GLib.VariantType('ay'), new GLib.Bytes(value), true);
    throw new TypeError(`A list has numbers, booleans, texts, Uint8Arrays and null, not ${display(value)}`);
}

function unpackItem(variant) {
    switch (variant.get_type_string()) {
    case 'x':
        return unpackInteger(variant);
    case 'd':
        return variant.get_double();
    case 'b':
        return variant.get_boolean();
    case 's':
        return variant.get_string()[0];
    case 'ay':
        return toArray(variant.get_data_as_bytes());
    default:
        return null;
    }
}

// A BigInt where a number would not be exact.
function unpackInteger(variant) {
    const text = variant.print(false);
    const number = Number(text);
    return Number.isSafeInteger(number) ? number : BigInt(text);
}

function checkIndex(list, index) {
    if (typeof index !== 'number' || !Number.isInteger(index))
        throw new TypeError(`The index of an item is a number, not ${String(index)}`);
    if (index < 0 || index >= list.get_length())
        throw new RangeError(`Index ${index} is out of range, there are ${list.get_length()} items`);
    return index;
}

function overrideShareableList() {
    const {new: make, new_named: makeNamed} = Mp.ShareableList;
    const proto = Mp.ShareableList.prototype;
    const {get_item: getItem, set_item: setItem, count, index: find} = proto;
    const packAll = values => {
        if (values instanceof GLib.Variant)
            return values;
        if (typeof values?.[Symbol.iterator] !== 'function')
            throw new TypeError(`A list is made from what can be iterated, not ${display(values)}`);
        return GLib.Variant.new_tuple(Array.from(values, packItem));
    };

    Mp.ShareableList.new = values => attempt(() => make.call(Mp.ShareableList, packAll(values)));
    Mp.ShareableList.new_named = (values, name = null) =>
        attempt(() => makeNamed.call(Mp.ShareableList, packAll(values), name));
    const {create_list: createList} = Mp.SharedMemoryManager.prototype;
    Mp.SharedMemoryManager.prototype.create_list = function (values) {
        return attempt(() => createList.call(this, packAll(values)));
    };
    proto.get_item = function (index) {
        return unpackItem(attempt(() => getItem.call(this, checkIndex(this, index))));
    };
    proto.set_item = function (index, value) {
        return attempt(() => setItem.call(this, checkIndex(this, index), packItem(value)));
    };
    proto.count = function (value) {
        return attempt(() => count.call(this, packItem(value)));
    };
    // -1 when there is none, as in Array.
    proto.indexOf = function (value) {
        for (let i = 0; i < this.get_length(); i++) {
            if (this.get_item(i) === value)
                return i;
        }
        return -1;
    };
    proto.index = function (value) {
        return attempt(() => find.call(this, packItem(value)));
    };
    proto.dup_values = function () {
        return [...this];
    };
    proto[Symbol.iterator] = function* () {
        for (let i = 0; i < this.get_length(); i++)
            yield this.get_item(i);
    };
}

function init(module) {
    Mp = module;
    overrideSharedMemory();
    overrideShareableList();
}

return {init};
})();
