// MpItems.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Input that is asked for as there is room: generators, lists, and functions of plain values, for Mp.js.
/* exported init, isLazy, readChunks, toItems */

const {GLib, Gio} = imports.gi;
const Values = imports.overrides.MpValues;
const {encode, toGError, TAG_CALL} = Values;

var {init, isLazy, readChunks, toItems} = (function () {
const {Array, Symbol} = globalThis;

let Mp;
let newForFunc, newForModel;

// As the one argument of a call, which is what it is for a function in JavaScript.
function packItem(item) {
    return item instanceof GLib.Variant ? item : encode(TAG_CALL, [item]);
}

// What an object of a list stands for, as the library has it for those who give no function.
function toValue(object) {
    if (object.variant instanceof GLib.Variant)
        return object.variant;
    if (typeof object.string === 'string')
        return object.string;
    return object;
}

function guard(func) {
    return (...args) => {
        try {
            return func(...args);
        } catch (error) {
            throw toGError(error);
        }
    };
}

function fromFunc(func) {
    return newForFunc(guard(() => {
        const item = func();
        return item === null || item === undefined ? null : packItem(item);
    }));
}

function fromModel(model, convert = null) {
    return newForModel(model, guard(object => packItem((convert ?? toValue)(object))));
}

// Here null and undefined are items, too.
function fromIterator(iterator) {
    return newForFunc(guard(() => {
        const {value, done} = iterator.next();
        return done ? null : packItem(value);
    }));
}

// Reads an iterator a chunk at a time, each of them one blob: a blob for each item takes a hundred times as long.
class ChunkReader {
    constructor(iterator, tag, chunkSize) {
        this.nGiven = 0;       // how many items it gave, …
        this.nItems = 0;       // … its error included
        this.ended = false;    // … which is all that there is
        this._iterator = iterator;
        this._tag = tag;
        this._chunkSize = chunkSize;
        this._error = null;    // [what the iterator threw], if that is still to come
    }

    read() {
        const chunk = this._error === null && !this.ended ? this._readItems() : [];
        if (chunk.length > 0) {
            this.nGiven += chunk.length;
            this.nItems += chunk.length;
            return encode(this._tag, chunk);
        }
        this.ended = true;
        if (this._error === null)
            return null;
        const [error] = this._error;
        this._error = null;
        this.nItems++;
        throw error;
    }

    _readItems() {
        const chunk = [];
        try {
            while (chunk.length < this._chunkSize) {
                const {value, done} = this._iterator.next();
                if (done) {
                    this.ended = chunk.length === 0;
                    break;
                }
                chunk.push(value);
            }
        } catch (error) {
            this._error = [error];
        }
        return chunk;
    }
}

// [Mp.Items, ChunkReader] of what the library cannot read by itself; null: it can.
function readChunks(items, tag, chunkSize) {
    if (chunkSize <= 1 || items instanceof Mp.Items || items instanceof Gio.ListModel)
        return null;
    const reader = new ChunkReader(items[Symbol.iterator](), tag, chunkSize);
    return [newForFunc(guard(() => reader.read())), reader];
}

// What has no length must not be read to its end; a list might change.
function isLazy(items) {
    if (Array.isArray(items) || items instanceof GLib.Variant)
        return false;
    return items instanceof Mp.Items || items instanceof Gio.ListModel ||
        typeof items === 'object' && items !== null && typeof items[Symbol.iterator] === 'function' &&
        items.length === undefined && items.size === undefined;
}

function toItems(items) {
    if (items instanceof Mp.Items)
        return items;
    if (items instanceof Gio.ListModel)
        return fromModel(items);
    return fromIterator(items[Symbol.iterator]());
}

function initItems(mp) {
    Mp = mp;
    newForFunc = Mp.Items.new_for_func;
    newForModel = Mp.Items.new_for_model;
    Mp.Items.new_for_func = fromFunc;
    Mp.Items.new_for_model = fromModel;
    Mp.Items.from = iterable => fromIterator(iterable[Symbol.iterator]());
}

return {init: initItems, isLazy, readChunks, toItems};
})();
