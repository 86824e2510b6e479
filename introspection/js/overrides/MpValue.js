// MpValue.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Values and arrays in shared memory with plain values, and as typed arrays, for Mp.js.
/* exported init */

const {GLib} = imports.gi;
const Values = imports.overrides.MpValues;
const {attempt, display} = Values;

var {init} = (function () {
const {Array, BigInt, BigInt64Array, BigUint64Array, Float64Array, Int16Array, Int32Array, Math, Number, Object,
    RangeError, Symbol, TypeError, Uint8Array, Uint16Array, Uint32Array} = globalThis;

let Mp;

// Integers: the least, the greatest, how they are packed.
const INTEGERS = {
    y: [0, 255, 'byte'],
    n: [-0x8000, 0x7fff, 'int16'],
    q: [0, 0xffff, 'uint16'],
    i: [-0x80000000, 0x7fffffff, 'int32'],
    u: [0, 0xffffffff, 'uint32'],
    x: [-(2n ** 63n), 2n ** 63n - 1n, 'int64'],
    t: [0, 2n ** 64n - 1n, 'uint64'],
};

const ARRAYS = {
    y: Uint8Array, n: Int16Array, q: Uint16Array, i: Int32Array, u: Uint32Array, x: BigInt64Array, t: BigUint64Array,
    d: Float64Array,
};

function packInteger(type, value) {
    const [least, most, name] = INTEGERS[type];
    if (typeof value !== 'bigint' && typeof value !== 'number')
        throw new TypeError(`A number is wanted, not ${display(value)}`);
    if (typeof value === 'number' && !Number.isInteger(value) || value < least || value > most)
        throw new RangeError(`An integer from ${least} to ${most} is wanted, not ${value}`);
    if (type === 'x' || type === 't')
        return GLib.Variant.parse(new GLib.VariantType(type), BigInt(value).toString(), null, null);
    return GLib.Variant[`new_${name}`](Number(value));
}

// The types of the members of a tuple.
function membersOf(type) {
    const members = [];
    let depth = 0;
    for (const character of type.slice(1, -1)) {
        if (depth === 0)
            members.push('');
        members[members.length - 1] += character;
        depth += '({'.includes(character) - ')}'.includes(character);
    }
    return members;
}

// Without the warnings of GJS about numbers that it cuts.
function packValue(type, value) {
    if (value instanceof GLib.Variant)
        return value;
    if (type in INTEGERS)
        return packInteger(type, value);
    if (type === 'd') {
        if (typeof value !== 'number')
            throw new TypeError(`A number is wanted, not ${display(value)}`);
        return GLib.Variant.new_double(value);
    }
    if (type === 'b') {
        if (typeof value !== 'boolean')
            throw new TypeError(`true or false is wanted, not ${display(value)}`);
        return GLib.Variant.new_boolean(value);
    }
    if (!type.startsWith('('))
        throw new TypeError(`The type is one of numbers, booleans and tuples of them, not ${display(type)}`);
    if (!Array.isArray(value))
        throw new TypeError(`An array of the members of ${type} is wanted, not ${display(value)}`);
    const members = membersOf(type);
    if (members.length !== value.length)
        throw new RangeError(`${members.length} members are wanted, not ${value.length}`);
    const children = members.map((member, i) => packValue(member, value[i]));
    if (type[0] === '{')
        return GLib.Variant.new_dict_entry(...children);
    return GLib.Variant.new_tuple(children);
}

// A BigInt where a number would not be exact.
function unpackValue(variant) {
    const type = variant.get_type_string();
    switch (type) {
    case 'x':
    case 't': {
        const text = variant.print(false);
        const number = Number(text);
        return Number.isSafeInteger(number) ? number : BigInt(text);
    }
    case 'y':
    case 'n':
    case 'q':
    case 'i':
    case 'u':
        return variant[`get_${INTEGERS[type][2]}`]();
    case 'd':
        return variant.get_double();
    case 'b':
        return variant.get_boolean();
    default:
        return Array.from({length: variant.n_children()}, (_, i) => unpackValue(variant.get_child_value(i)));
    }
}

function toType(type) {
    if (type instanceof GLib.VariantType)
        return type;
    if (typeof type !== 'string' || !GLib.variant_type_string_is_valid(type))
        throw new TypeError(`The type is a type string as 'i' or '(id)', not ${display(type)}`);
    return new GLib.VariantType(type);
}

function checkLock(lock) {
    if (lock !== null && !(lock instanceof Mp.Lock) && !(lock instanceof Mp.RLock))
        throw new TypeError(`The lock is an Mp.Lock, an Mp.RLock or null, not ${display(lock)}`);
    return lock;
}

function checkNumber(what, number, most = Number.MAX_SAFE_INTEGER) {
    if (typeof number !== 'number')
        throw new TypeError(`${what} is a number, not ${display(number)}`);
    if (!Number.isInteger(number) || number < 0 || number > most)
        throw new RangeError(`${what} is an integer from 0 to ${most}, not ${number}`);
    return number;
}

function checkIndex(array, index) {
    return checkNumber('The index of an element', index, array.get_length() - 1);
}

// The memory itself: what is written there all others see. It stays as long as the typed array does.
function toTypedArray(memory, type = ARRAYS[memory.get_type_string()] ?? Uint8Array) {
    if (!type?.BYTES_PER_ELEMENT)
        throw new TypeError(`toTypedArray() takes a type as Float64Array, not ${display(type)}`);
    const {buffer} = attempt(() => memory.get_bytes()).toArray();
    return new type(buffer, 0, Math.floor(buffer.byteLength / type.BYTES_PER_ELEMENT));
}

function isNumber(type) {
    return type in ARRAYS;
}

// The library gives a number, which is not exact beyond 2 ** 53.
function addBigInt(memory, where, delta, wrap) {
    for (;;) {
        const before = BigInt(where.length > 0 ? memory.get_item(...where) : memory.get());
        if (memory.compare_exchange(...where, before, wrap(64, before + delta)))
            return before;
    }
}

// In one step, without the lock. What it was before: a BigInt, and exact, if a BigInt is added to 'x' or 't'.
function addTo(memory, ints, doubles, where, delta) {
    const type = memory.get_type_string();
    if (type === 'd') {
        if (typeof delta !== 'number')
            throw new TypeError(`What is added to d is a number, not ${display(delta)}`);
        return attempt(() => doubles.call(memory, ...where, delta));
    }
    if (typeof delta === 'bigint' && (type === 'x' || type === 't'))
        return addBigInt(memory, where, delta, type === 'x' ? BigInt.asIntN : BigInt.asUintN);
    if (typeof delta !== 'bigint' && !Number.isInteger(delta))
        throw new TypeError(`What is added to ${type} is an integer, not ${display(delta)}`);
    const bits = Number.isSafeInteger(delta) ? delta : BigInt.asIntN(64, BigInt(delta));
    const before = attempt(() => ints.call(memory, ...where, bits));
    return type === 't' && before < 0 ? before + 2 ** 64 : before;
}

function overrideNumbers(proto, where) {
    const {add_int: addInt, add_double: addDouble, exchange, compare_exchange: compareExchange} = proto;

    proto.add = function (...args) {
        return addTo(this, addInt, addDouble, where(this, args), args.at(-1));
    };
    proto.exchange = function (...args) {
        const packed = packValue(this.get_type_string(), args.at(-1));
        return unpackValue(attempt(() => exchange.call(this, ...where(this, args), packed)));
    };
    proto.compare_exchange = function (...args) {
        const [expected, desired] = args.slice(-2).map(value => packValue(this.get_type_string(), value));
        return attempt(() => compareExchange.call(this, ...where(this, args), expected, desired))[1];
    };
    proto.toTypedArray = function (type = undefined) {
        return toTypedArray(this, type);
    };
}

function overrideValue() {
    const {new_full: make} = Mp.Value;
    const proto = Mp.Value.prototype;
    const {get, set} = proto;

    Mp.Value.new = (type, initial = null) => Mp.Value.new_full(type, initial, Mp.RLock.new());
    Mp.Value.new_full = function (type, initial = null, lock = null, isolated = false) {
        const variantType = toType(type);
        const packed = initial === null ? null : packValue(variantType.dup_string(), initial);
        return attempt(() => make.call(Mp.Value, variantType, packed, checkLock(lock), isolated));
    };
    proto.get = function () {
        return unpackValue(attempt(() => get.call(this)));
    };
    proto.set = function (value) {
        const packed = packValue(this.get_type_string(), value);
        return attempt(() => set.call(this, packed));
    };
    Object.defineProperty(proto, 'value', {
        get() {
            return this.get();
        },
        set(value) {
            this.set(value);
        },
        configurable: true,
    });
    overrideNumbers(proto, () => []);
}

function overrideArray() {
    const {new_full: make} = Mp.Array;
    const proto = Mp.Array.prototype;
    const {get_item: getItem, set_item: setItem, get_slice: getSlice, set_slice: setSlice} = proto;
    const packAll = (type, items) =>
        GLib.Variant.new_array(new GLib.VariantType(type), Array.from(items, item => packValue(type, item)));

    Mp.Array.new = (type, items) => Mp.Array.new_full(type, items, Mp.RLock.new());
    // @items: how many, or what they are.
    Mp.Array.new_full = function (type, items, lock = null) {
        const variantType = toType(type);
        const initial = typeof items === 'number' ? null : Array.from(items);
        const n = initial === null ? checkNumber('The number of elements', items) : initial.length;
        const array = attempt(() => make.call(Mp.Array, variantType, n, checkLock(lock)));
        if (initial !== null)
            array.set_slice(0, initial);
        return array;
    };
    Mp.Array.new_from_variant = variant => {
        const type = variant.get_type().element();
        const array = Mp.Array.new(type, variant.n_children());
        attempt(() => setSlice.call(array, 0, variant));
        return array;
    };
    proto.get_item = function (index) {
        return unpackValue(attempt(() => getItem.call(this, checkIndex(this, index))));
    };
    proto.set_item = function (index, value) {
        const packed = packValue(this.get_type_string(), value);
        return attempt(() => setItem.call(this, checkIndex(this, index), packed));
    };
    // A copy: a typed array of numbers, else an array.
    proto.get_slice = function (start = 0, n = undefined) {
        checkNumber('The first element', start);
        const count = n === undefined ? Math.max(0, this.get_length() - start) : checkNumber('The number of elements', n);
        const slice = attempt(() => getSlice.call(this, start, count));
        if (!isNumber(this.get_type_string()))
            return unpackValue(slice);
        const type = ARRAYS[this.get_type_string()];
        return new type(new Uint8Array(slice.get_data_as_bytes().toArray()).buffer);
    };
    proto.set_slice = function (start, items) {
        checkNumber('The first element', start);
        const type = this.get_type_string();
        const packed = items instanceof GLib.Variant ? items : packAll(type, items);
        return attempt(() => setSlice.call(this, start, packed));
    };
    Object.defineProperty(proto, 'length', {
        get() {
            return this.get_length();
        },
        configurable: true,
    });
    proto[Symbol.iterator] = function* () {
        for (let i = 0; i < this.get_length(); i++)
            yield this.get_item(i);
    };
    overrideNumbers(proto, (array, args) => [checkIndex(array, args[0])]);
}

function init(module) {
    Mp = module;
    overrideValue();
    overrideArray();
}

return {init};
})();
