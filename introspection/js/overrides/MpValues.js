// MpValues.js — SPDX-License-Identifier: LGPL-2.1-or-later
// How the values and exceptions of JavaScript travel, for Mp.js.
//
// A plain value is one blob: JSON text, in which what JSON has no form for is an object with the single key MARK; bytes
// beside it; and the GVariants in it, among them the handles of shareable objects.
/* exported TAG_CALL, TAG_ITEMS, TAG_OUTCOMES, TAG_RESULTS, TAG_TRIES, TAG_VALUE, addErrorType, addStack, attempt,
   decode, display, encode, init, pack, packArguments, packItems, quote, toException, toGError, unpack,
   unpackArguments, unpackForeign, unpackResults */

const System = imports.system;
const {GLib, GObject} = imports.gi;

// The names of a file that `imports` loads are looked up each time that they are used; those inside of a function are
// not, which makes all of this ten times faster. That is true for JavaScript's own names too.
var {TAG_CALL, TAG_ITEMS, TAG_OUTCOMES, TAG_RESULTS, TAG_TRIES, TAG_VALUE, addErrorType, addStack, attempt,
    decode, display, encode, init, pack, packArguments, packItems, quote, toException, toGError, unpack,
    unpackArguments, unpackForeign, unpackResults} = (function () {
const {Array, ArrayBuffer, BigInt, Boolean, Date, Error, Float64Array, JSON, Map, Math, Number, Object, Promise, RegExp,
    Set, String, TypeError, Uint8Array, WeakMap, WeakSet} = globalThis;

let Mp;

const MARK = '\u0001';
const MARK_IN_TEXT = '"\\u0001"';

const TAG_VALUE = 'js';             // a value
const TAG_CALL = 'js-call';         // the arguments of one call
const TAG_ITEMS = 'js-items';       // a chunk: each item is the argument of a call
const TAG_RESULTS = 'js-results';   // what they gave
const TAG_TRIES = 'js-tries';       // a chunk whose items fail one by one
const TAG_OUTCOMES = 'js-outcomes'; // [value] or [value, true] for what was thrown

const viewTypes = new Map([Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView].map(type => [type.name, type]));
const errorTypes = new Map([Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
    InternalError, AggregateError].map(type => [type.name, type]));

// From this depth on, the way down is remembered: a cycle comes by again.
const DEPTH_WITHOUT_CYCLES = 100;
// Arrays of numbers from this length on travel as bytes.
const LONG_ARRAY = 32;
// Of a BigInt, at once.
const FEW_DIGITS = 64;

class Writer {
    constructor() {
        this.buffers = [];
        this.size = 0;
        this.parts = [];
        this.depth = 0;
        this.path = new Set();
    }

    addBytes(bytes) {
        const offset = this.size;
        this.buffers.push(bytes);
        this.size += bytes.byteLength;
        return [offset, bytes.byteLength];
    }

    addPart(variant) {
        return this.parts.push(variant) - 1;
    }

    enter(object) {
        if (++this.depth > DEPTH_WITHOUT_CYCLES) {
            if (this.path.has(object))
                throw new TypeError('A value that contains itself cannot be sent to another process');
            this.path.add(object);
        }
    }

    leave(object) {
        if (this.depth-- > DEPTH_WITHOUT_CYCLES)
            this.path.delete(object);
    }

    getBytes() {
        if (this.buffers.length < 2)
            return this.buffers.length === 0 ? null : this.buffers[0];
        const all = new Uint8Array(this.size);
        let offset = 0;
        for (const bytes of this.buffers) {
            all.set(bytes, offset);
            offset += bytes.byteLength;
        }
        return all;
    }
}

function special(...content) {
    return {[MARK]: content};
}

// Whether JSON has a form for @value as it is, apart from objects.
function isSimple(value) {
    switch (typeof value) {
    case 'string':
    case 'boolean':
        return true;
    case 'number':
        return Number.isFinite(value) && !Object.is(value, -0);
    default:
        return value === null;
    }
}

// @value itself, if it is what JSON can express, else what stands for it.
function simplify(value, writer) {
    if (isSimple(value))
        return value;
    switch (typeof value) {
    case 'object': {
        writer.enter(value);
        const simple = Array.isArray(value) ? simplifyArray(value, writer) : simplifyObject(value, writer);
        writer.leave(value);
        return simple;
    }
    case 'number':
        return special('n', Object.is(value, -0) ? '-0' : `${value}`);
    case 'undefined':
        return special('u');
    case 'bigint':
        return special('i', value.toString(16));
    default:
        throw new TypeError(`A ${typeof value} cannot be sent to another process` +
            `${typeof value === 'function' ? `: ${value.name || 'it has no name'}` : ''}`);
    }
}

function simplifyArray(array, writer) {
    if (array.length >= LONG_ARRAY && allNumbers(array)) {
        const numbers = new Float64Array(array.length);
        for (let i = 0; i < array.length; i++)
            numbers[i] = array[i];
        return special('f', ...writer.addBytes(new Uint8Array(numbers.buffer)));
    }

    // Copied once an item turns out to need it.
    let copy = null;
    for (let i = 0; i < array.length; i++) {
        const item = array[i];
        const simple = isSimple(item) ? item : simplify(item, writer);
        if (copy === null && simple !== item)
            copy = array.slice(0, i);
        if (copy !== null)
            copy.push(simple);
    }
    return copy ?? array;
}

function allNumbers(array) {
    for (let i = 0; i < array.length; i++) {
        if (typeof array[i] !== 'number')
            return false;
    }
    return true;
}

function simplifyProperties(object, writer) {
    const keys = Object.keys(object);
    if (hasOwn(object, MARK))
        return special('o', ...keys.map(key => [key, simplify(object[key], writer)]));

    let copy = Object.getPrototypeOf(object) === Object.prototype ? null : {};
    for (let i = 0; i < keys.length; i++) {
        const value = object[keys[i]];
        const simple = isSimple(value) ? value : simplify(value, writer);
        if (copy === null && simple !== value) {
            copy = {};
            for (let j = 0; j < i; j++)
                setOwn(copy, keys[j], object[keys[j]]);
        }
        if (copy !== null)
            setOwn(copy, keys[i], simple);
    }
    return copy ?? object;
}

function hasOwn(object, key) {
    return Object.prototype.hasOwnProperty.call(object, key);
}

function setOwn(object, key, value) {
    if (key === '__proto__')
        Object.defineProperty(object, key, {value, enumerable: true, writable: true, configurable: true});
    else
        object[key] = value;
}

function simplifyObject(object, writer) {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === Object.prototype || prototype === null)
        return simplifyProperties(object, writer);
    if (ArrayBuffer.isView(object))
        return simplifyView(object, writer);
    if (object instanceof ArrayBuffer)
        return special('b', 'ArrayBuffer', ...writer.addBytes(new Uint8Array(object)));
    if (object instanceof Date)
        return special('d', Number.isNaN(object.getTime()) ? null : object.getTime());
    if (object instanceof Map)
        return special('m', ...Array.from(object, ([key, value]) => [simplify(key, writer), simplify(value, writer)]));
    if (object instanceof Set)
        return special('s', ...Array.from(object, value => simplify(value, writer)));
    if (object instanceof RegExp)
        return special('r', object.source, object.flags);
    if (object instanceof Error)
        return special('e', simplifyError(object, writer));
    if (object instanceof Number || object instanceof String || object instanceof Boolean || object instanceof BigInt)
        return simplify(object.valueOf(), writer);
    if (object instanceof GLib.Variant)
        return special('v', writer.addPart(object));
    if (object instanceof GLib.Bytes)
        return special('g', ...writer.addBytes(object.toArray()));
    if (object instanceof GLib.Error)
        return special('E', GLib.quark_to_string(object.domain), object.code, object.message);
    if (object instanceof GObject.Object && GObject.type_is_a(object.constructor.$gtype, Mp.Shareable.$gtype))
        return special('h', writer.addPart(object.to_variant()));
    if (object instanceof Promise)
        throw new TypeError('A promise cannot be sent to another process: await it first');
    const type = object.constructor?.$gtype?.name;
    if (type)
        throw new TypeError(`An object of type ${type} cannot be sent to another process`);
    if (object instanceof WeakMap || object instanceof WeakSet)
        throw new TypeError(`A ${object.constructor.name} cannot be sent to another process`);
    return simplifyProperties(object, writer);
}

function simplifyView(view, writer) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    return special('b', view.constructor.name, ...writer.addBytes(bytes));
}

// What an error is made of, except what cannot travel.
function simplifyError(error, writer) {
    const record = {name: `${error.name}`, type: error.constructor?.name ?? 'Error', message: `${error.message}`,
        stack: `${error.stack ?? ''}`, own: {}};
    for (const key of [...Object.keys(error), 'cause', 'errors']) {
        if (!hasOwn(error, key) || key === 'stack' || error[key] instanceof Stacks)
            continue;
        const {depth, path} = writer;
        writer.path = new Set(path);
        try {
            setOwn(record.own, key, simplify(error[key], writer));
        } catch (failure) {
            if (!(failure instanceof TypeError))
                throw failure;
        }
        Object.assign(writer, {depth, path});
    }
    return record;
}

class Reader {
    constructor(bytes, parts, room = Infinity) {
        this._bytes = bytes;
        this._parts = parts;
        this._room = this._left = room;
        this._array = null;
        this._n_taken = 0;
    }

    // What GJS makes of bytes lies where they lie, aligned for nothing, and has a toString() of its own: a new array
    // for the same memory has not. (Any other method of GLib.Bytes leaves a reference behind.)
    getBytes(offset, length, aligned) {
        this._array ??= new Uint8Array(this._bytes.toArray().buffer);
        // Each is written once: who has it read many times makes much of little.
        this._n_taken += length;
        if (!(length >= 0 && this._n_taken <= this._array.length))
            throw new Error('Malformed value: more bytes than there are');
        if (offset === 0 && length === this._array.length && !aligned)
            return this._array;
        return this._array.slice(offset, offset + length);
    }

    getPart(index) {
        const part = this._parts[index];
        if (part === undefined)
            throw new Error('Malformed value: a part is missing');
        return part;
    }

    // Takes @size bytes of the room, or of time for as many.
    charge(size) {
        this._left -= size;
        if (this._left < 0)
            throw tooLarge(this._room);
    }
}

function restore(value, reader) {
    if (typeof value !== 'object' || value === null)
        return value;
    if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) {
            if (typeof value[i] === 'object')
                value[i] = restore(value[i], reader);
        }
        return value;
    }
    if (hasOwn(value, MARK))
        return restoreSpecial(value[MARK], reader);
    for (const key of Object.keys(value)) {
        if (typeof value[key] === 'object')
            setOwn(value, key, restore(value[key], reader));
    }
    return value;
}

function restoreSpecial([kind, ...content], reader) {
    switch (kind) {
    case 'n':
        return Number(content[0]);
    case 'u':
        return undefined;
    case 'i':
        return restoreBigInt(content[0]);
    case 'd':
        return new Date(content[0] ?? NaN);
    case 'm':
        return new Map(content.map(([key, item]) => [restore(key, reader), restore(item, reader)]));
    case 's':
        return new Set(content.map(item => restore(item, reader)));
    case 'r':
        reader.charge(PATTERN * `${content[0]}`.length);
        return new RegExp(content[0], content[1]);
    case 'e':
        return restoreError(content[0], reader);
    case 'E':
        return restoreGError(...content);
    case 'f':
        return restoreNumbers(new Float64Array(reader.getBytes(content[0], content[1], true).buffer));
    case 'b':
        return restoreView(content[0], reader.getBytes(content[1], content[2], content[0] !== 'Uint8Array'));
    case 'g':
        return new GLib.Bytes(reader.getBytes(content[0], content[1], false));
    case 'v':
        return reader.getPart(content[0]);
    case 'h':
        return Mp.Shareable.from_variant(reader.getPart(content[0]));
    case 'o': {
        const object = {};
        for (const [key, item] of content)
            setOwn(object, key, restore(item, reader));
        return object;
    }
    default:
        throw new Error(`Malformed value: nothing is known of “${kind}”`);
    }
}

// BigInt() takes time that grows with the square of the text's length, and minutes for what is still a BigInt.
function joinDigits(digits, start, end) {
    if (end - start <= FEW_DIGITS)
        return BigInt(`0x${digits.slice(start, end)}`);
    const middle = start + (end - start >> 1);
    return joinDigits(digits, start, middle) << BigInt(4 * (end - middle)) | joinDigits(digits, middle, end);
}

function restoreBigInt(text) {
    const [, sign, digits] = /^(-?)([\da-f]+)$/.exec(text) ?? [];
    if (digits === undefined)
        throw new Error('Malformed value: a BigInt has other digits');
    const value = joinDigits(digits, 0, digits.length);
    return sign === '' ? value : -value;
}

function restoreNumbers(numbers) {
    const array = new Array(numbers.length);
    for (let i = 0; i < array.length; i++)
        array[i] = numbers[i];
    return array;
}

function restoreView(name, bytes) {
    if (name === 'Uint8Array')
        return bytes;
    if (name === 'ArrayBuffer')
        return bytes.buffer;
    const type = viewTypes.get(name);
    if (type === undefined)
        throw new Error(`Malformed value: nothing is known of “${name}”`);
    return new type(bytes.buffer);
}

// The number of a domain is another one in each process. A name that is not known here is not made known: it would stay.
function restoreGError(domain, code, message) {
    const quark = GLib.quark_try_string(`${domain}`);
    return quark !== 0 ? new GLib.Error(quark, code, message) : new Error(`${domain}: ${message}`);
}

function restoreError(record, reader) {
    const error = new Error(record.message);
    const type = errorTypes.get(record.type) ?? errorTypes.get(record.name) ?? Error;
    if (type !== Error)
        Object.setPrototypeOf(error, type.prototype);
    if (error.name !== record.name)
        setHidden(error, 'name', record.name);
    for (const [key, value] of Object.entries(record.own ?? {})) {
        Object.defineProperty(error, key, {value: restore(value, reader), writable: true, configurable: true,
            enumerable: key !== 'cause' && key !== 'errors'});
    }
    if (record.stack)
        addRemoteStack(error, record.stack);
    return error;
}

function setHidden(object, key, value) {
    Object.defineProperty(object, key, {value, writable: true, configurable: true});
}

// What GJS itself prints of an uncaught exception is not its property `stack`, but where it was made, that is here, and
// then its cause. (Of a GLib.Error it prints the property.)
class Stacks {
    constructor() {
        this._text = '';
    }

    add(title, stack) {
        this._text += `${this._text === '' ? '' : '\n'}${title}:\n${stack.trimEnd()}`;
    }

    toString() {
        return this._text;
    }
}

// One more stack where an exception's stack is shown.
function addStack(error, title, stack) {
    if (!hasOwn(error, 'cause') && !(error instanceof GLib.Error))
        setHidden(error, 'cause', new Stacks());
    if (error.cause instanceof Stacks)
        error.cause.add(title, stack);
    setHidden(error, 'stack', `${error.stack ?? ''}### ${title}: ###\n${stack}`);
}

function addRemoteStack(error, stack) {
    setHidden(error, 'remoteStack', stack);
    addStack(error, 'In the worker', stack);
}

// GJS does not know how much memory hangs on a wrapper, and runs its collector too late for large values.
const COLLECT_AFTER = 64 << 20;
let uncollected = 0;

function account(variant) {
    uncollected += variant.get_size();
    if (uncollected > COLLECT_AFTER) {
        uncollected = 0;
        System.gc();
    }
    return variant;
}

function encode(tag, value) {
    const writer = new Writer();
    const text = JSON.stringify(simplify(value, writer));
    const parts = writer.parts.length > 0 ? writer.parts : null;
    return account(Mp.blob_new(tag, text, writer.getBytes(), parts));
}

// What there is room for whatever the largest message is, and how much more than that. So few bytes need no look.
const LEAST_ROOM = 64 << 20;
const ROOM_FACTOR = 16;
const FEW_BYTES = LEAST_ROOM / 1024;

// What the objects take of which a JSON text speaks, by its signs. From some depth on each takes as much time as a
// large one, and so does each letter of a regular expression.
const SIGNS = new Map([['[', 64], ['{', 64], [',', 32], [':', 48]].map(([sign, size]) => [sign.charCodeAt(0), size]));
const STEPS = new Map([['[', 1], ['{', 1], [']', -1], ['}', -1]].map(([sign, step]) => [sign.charCodeAt(0), step]));
const DEEP = 1000;
const DEEP_ONE = 1024;
const PATTERN = 8192;
const SPECIAL = 960;
const PART = 1024;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function measureText(text) {
    let size = 0, depth = 0;
    for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i);
        if (code !== QUOTE) {
            const step = STEPS.get(code) ?? 0;
            depth += step;
            size += step > 0 && depth > DEEP ? DEEP_ONE : SIGNS.get(code) ?? 0;
            continue;
        }
        if (text.startsWith(MARK_IN_TEXT, i))
            size += SPECIAL;
        let escapes;
        do {
            i = text.indexOf('"', i + 1);
            if (i < 0)
                return size;
            for (escapes = 0; text.charCodeAt(i - 1 - escapes) === BACKSLASH; escapes++)
                ;
        } while (escapes % 2 === 1);
    }
    return size;
}

function tooLarge(room) {
    return new GLib.Error(Mp.Error, Mp.Error.TOO_LARGE, 'What came is no value: its objects would take more than ' +
        `the ${Math.floor(room / (1 << 20))} MiB for which max-message-size stands`);
}

// Who is a stranger may make much of few bytes, but not more than is expected where messages have at most so many.
function checkRoom(variant, room) {
    const size = PART * variant.get_child_value(3).n_children();
    if (size > room || size + measureText(variant.get_child_value(1).get_string()[0]) > room)
        throw tooLarge(room);
}

// A value of a stranger. @getMaxMessageSize: of what it came through.
function unpackForeign(variant, getMaxMessageSize) {
    if (variant === null || variant.get_type_string() !== '(ssayav)')
        return unpack(variant);
    let room = LEAST_ROOM;
    if (variant.get_size() > FEW_BYTES) {
        room = Math.max(room, ROOM_FACTOR * getMaxMessageSize());
        checkRoom(variant, room);
    }
    return unpack(variant, room);
}

// [tag, value], or null for what is no value of ours.
function decode(variant, room) {
    const [isBlob, tag, text, bytes, parts] = Mp.blob_get(variant);
    if (!isBlob || !tag.startsWith('js'))
        return null;
    account(variant);
    const value = JSON.parse(text);
    return [tag, text.includes(MARK_IN_TEXT) ? restore(value, new Reader(bytes, parts, room)) : value];
}

// For the text of an exception.
function display(value) {
    switch (typeof value) {
    case 'string':
        return quote(value);
    case 'function':
        return `the function ${value.name || 'without a name'}`;
    case 'object':
        return value === null ? 'null' : `an object ${value.constructor?.name ?? ''}`.trimEnd();
    default:
        return String(value);
    }
}

function pack(value) {
    return value instanceof GLib.Variant ? value : encode(TAG_VALUE, value);
}

function packArguments(args) {
    if (args instanceof GLib.Variant)
        return args;
    if (!Array.isArray(args ?? []))
        throw new TypeError(`The arguments of a call are an array or a GLib.Variant, not ${display(args)}`);
    return encode(TAG_CALL, args ?? []);
}

function unpack(variant, room) {
    if (variant === null)
        return null;
    const [, value] = decode(variant, room) ?? [null, variant];
    return value;
}

// What a map gave: the values of all chunks.
function unpackResults(variant) {
    const single = decode(variant);
    if (single !== null)
        return single[1];
    const type = variant.get_type_string();
    if (type !== 'a(ssayav)' && type !== 'av')
        return variant;

    const all = [];
    const n = variant.n_children();
    for (let i = 0; i < n; i++) {
        let child = variant.get_child_value(i);
        if (type === 'av')
            child = child.get_variant();
        const [tag, value] = decode(child) ?? [TAG_VALUE, child];
        if (tag !== TAG_RESULTS)
            all.push(value);
        else if (n === 1)
            return value;
        else
            value.forEach(item => all.push(item));
    }
    return all;
}

function unpackArguments(variant) {
    const [, args] = variant === null ? [null, []] : decode(variant) ?? [null, variant];
    return args;
}

// The items of a map in as many blobs as there are chunks.
function packItems(items, tag, chunkSize) {
    if (items instanceof GLib.Variant)
        return items;
    const all = Array.isArray(items) ? items : Array.from(items);
    const blobs = [];
    for (let i = 0; i < all.length; i += chunkSize)
        blobs.push(encode(tag, chunkSize >= all.length ? all : all.slice(i, i + chunkSize)));
    return Mp.blob_new_array(blobs);
}

// Escapes that the text of a GVariant does not know. The others are matched too, for a second backslash begins none.
const ESCAPES = /\\u(?:0000|d[89a-f][0-9a-f]{2})|\\./g;

// The text form of a GVariant: one that a constructor returned would never be freed.
function quote(text) {
    return JSON.stringify(text).replace(ESCAPES, match => match.length > 2 ? '\\ufffd' : match);
}

function describe(error) {
    if (!(error instanceof Error))
        return [`${typeof error}`, String(error), ''];
    return [`${error.name}`, `${error.message}`, `${error.stack ?? ''}`];
}

// What a function threw, as the error that the owner gets. What is more than a message is remembered for it.
function toGError(error) {
    if (error instanceof GLib.Error)
        return error;
    const [name, message, stack] = describe(error);
    const writer = new Writer();
    let text = null;
    try {
        text = JSON.stringify(simplify(error, writer));
    } catch (failure) {
        text = JSON.stringify(simplify(new TypeError(`${message} (${failure.message})`), writer));
    }
    // Bytes and parts have no place in the details.
    if (writer.size > 0 || writer.parts.length > 0) {
        const bare = error instanceof Error ? {name, type: error.constructor?.name, message, stack} : null;
        text = JSON.stringify(bare === null ? message : special('e', bare));
    }

    const result = new GLib.Error(Mp.Error, Mp.Error.REMOTE, `${name}: ${message}`.replaceAll('\0', '\ufffd'));
    Mp.error_set_details(result, GLib.Variant.parse(null, `{"type": <${quote(name)}>, ` +
        `"traceback": <${quote(stack)}>, "js": <${quote(text)}>}`, null, null));
    return result;
}

// What a call threw, as what it was in the worker.
function toException(error) {
    if (!(error instanceof GLib.Error))
        return error;
    const variant = Mp.error_dup_details(error);
    if (variant === null)
        return error;
    const details = variant.recursiveUnpack();
    let result = error;
    if (typeof details.js === 'string') {
        result = restore(JSON.parse(details.js), new Reader(null, []));
        delete details.js;
        if (typeof result !== 'object' || result === null)
            return result;
    } else if (details.traceback && !error.remoteStack) {
        addRemoteStack(error, details.traceback);
    }
    setHidden(result, 'details', details);
    setHidden(result, 'worker', details.worker ?? null);
    return result;
}

function attempt(func) {
    try {
        return func();
    } catch (error) {
        throw toException(error);
    }
}

// Exceptions of this class come out as such.
function addErrorType(name, type) {
    errorTypes.set(name, type);
}

function init(mp) {
    Mp = mp;
}

return {TAG_CALL, TAG_ITEMS, TAG_OUTCOMES, TAG_RESULTS, TAG_TRIES, TAG_VALUE, addErrorType, addStack, attempt,
    decode, display, encode, init, pack, packArguments, packItems, quote, toException, toGError, unpack,
    unpackArguments, unpackForeign, unpackResults};
})();
