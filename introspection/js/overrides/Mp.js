// Mp.js — SPDX-License-Identifier: LGPL-2.1-or-later
// What makes the library native in JavaScript: plain values and functions in; values, promises and exceptions out.
/* exported _init */

const {_registerType} = imports._common;
const {GLib, GObject, Gio} = imports.gi;
const Connections = imports.overrides.MpConnection;
const Items = imports.overrides.MpItems;
const Listeners = imports.overrides.MpListener;
const Queues = imports.overrides.MpQueue;
const SharedMemory = imports.overrides.MpSharedMemory;
const SharedValues = imports.overrides.MpValue;
const Sync = imports.overrides.MpSync;
const Values = imports.overrides.MpValues;
const Waits = imports.overrides.MpWait;
const {attempt, decode, display, encode, pack, packArguments, packItems, quote, toException, toGError, unpack,
    unpackArguments, unpackResults, TAG_CALL, TAG_ITEMS, TAG_OUTCOMES, TAG_RESULTS, TAG_TRIES, TAG_VALUE} = Values;

// In a function for speed, as MpValues.js is.
var {_init} = (function () {
const {Array, Error, Math, Number, Object, Promise, RangeError, String, Symbol, TypeError, WeakMap, WeakSet} = globalThis;

let Mp;

// Functions.

const names = new WeakMap();   // of registered functions

// Waits for a promise by running the main context.
function settle(value) {
    if (typeof value !== 'object' || value === null || typeof value.then !== 'function')
        return value;
    let outcome = null;
    value.then(result => (outcome = [result]), error => (outcome = [error, true]));
    const context = GLib.MainContext.get_thread_default() ?? GLib.MainContext.default();
    while (outcome === null)
        context.iteration(true);
    if (outcome.length > 1)
        throw outcome[0];
    return outcome[0];
}

function tryItem(func, item) {
    try {
        return [settle(func(item))];
    } catch (error) {
        return [error, true];
    }
}

// One that cannot travel is an error of its own.
function encodeOutcomes(outcomes) {
    try {
        return encode(TAG_OUTCOMES, outcomes);
    } catch {
        return encode(TAG_OUTCOMES, outcomes.map(outcome => {
            try {
                return encode(TAG_VALUE, outcome) && outcome;
            } catch (error) {
                return [error, true];
            }
        }));
    }
}

// A call, or the calls of a chunk; with the wish that each item of it fails for itself.
function serve(func, variant) {
    try {
        const [tag, value] = decode(variant) ?? [TAG_VALUE, variant];
        switch (tag) {
        case TAG_CALL:
            return pack(settle(func(...value)));
        case TAG_ITEMS:
            for (let i = 0; i < value.length; i++)
                value[i] = settle(func(value[i]));
            return encode(TAG_RESULTS, value);
        case TAG_TRIES:
            return encodeOutcomes(value.map(item => tryItem(func, item)));
        default:
            return pack(settle(func(value)));
        }
    } catch (error) {
        throw toGError(error);
    }
}

// So many items of one chunk are on their way at a time.
const CONCURRENT_ITEMS = 64;

async function serveItems(func, items, catches) {
    const results = new Array(items.length);
    let next = 0;
    async function work() {
        while (next < items.length) {
            const i = next++;
            try {
                const value = await func(items[i]);
                results[i] = catches ? [value] : value;
            } catch (error) {
                if (!catches) {
                    next = items.length;
                    throw error;
                }
                results[i] = [error, true];
            }
        }
    }
    await Promise.all(Array.from({length: Math.min(CONCURRENT_ITEMS, items.length)}, work));
    return results;
}

async function answer(func, variant) {
    const [tag, value] = decode(variant) ?? [TAG_VALUE, variant];
    switch (tag) {
    case TAG_CALL:
        return pack(await func(...value));
    case TAG_ITEMS:
        return encode(TAG_RESULTS, await serveItems(func, value, false));
    case TAG_TRIES:
        return encodeOutcomes(await serveItems(func, value, true));
    default:
        return pack(await func(value));
    }
}

async function serveAsync(func, invocation, variant) {
    try {
        invocation.return_value(await answer(func, variant));
    } catch (error) {
        invocation.return_error(toGError(error));
    }
}

const AsyncFunction = Object.getPrototypeOf(async function () {}).constructor;

function register(name, func) {
    if (typeof name === 'function')
        [name, func] = [name.name, name];
    if (typeof name !== 'string' || name === '')
        throw new TypeError('A function that is registered needs a name');
    if (typeof func !== 'function')
        throw new TypeError(`What is registered as “${name}” is no function`);

    if (func.prototype instanceof Error) {
        Values.addErrorType(name, func);
        return func;
    }
    let success;
    if (func instanceof AsyncFunction) {
        success = original.function_register_async(name, (invocation, variant) => {
            serveAsync(func, invocation, variant);
        });
    } else {
        success = original.function_register(name, variant => serve(func, variant));
    }
    if (!success)
        throw new Error(`A function “${name}” is registered already`);
    names.set(func, name);
    return func;
}

function nameOf(func) {
    if (typeof func === 'string' && func !== '')
        return func;
    if (typeof func !== 'function')
        throw new TypeError(`What is to be called is a function or the name of one, not ${display(func)}`);
    const name = names.get(func);
    if (name === undefined)
        throw new TypeError(`The function ${func.name || 'without a name'} is not registered: ` +
            'Mp.register() it before Mp.init()');
    return name;
}

// Classes.

const original = {};                  // the functions that this file replaces
// Futures of maps have it. Not a WeakSet: that would forget one that only the library holds.
const isMap = Symbol('map');
const iterItems = new WeakMap();      // of result iterators that give the items of chunks
const lazyIters = new WeakSet();      // result iterators whose input has not been seen to end
let defaultContext = null;

// Makes NAME_async () give a promise unless a callback comes behind its first @nLeading parameters. @packParameters
// makes of JavaScript's parameters those of C, but for the callback; @unpackResult makes of C's result JavaScript's.
function promisify(klass, name, nLeading, packParameters, unpackResult = result => result) {
    promisifyFunction(klass.prototype, name, nLeading, packParameters, unpackResult);
}

// The same for functions of any object, as those of a class that need none.
function promisifyFunction(object, name, nLeading, packParameters, unpackResult = result => result) {
    const begin = object[`${name}_async`];
    const finish = object[`${name}_finish`];

    object[`${name}_finish`] = function (result) {
        return attempt(() => unpackResult.call(this, finish.call(this, result)));
    };
    object[`${name}_async`] = function (...args) {
        const callbackIndex = args.findIndex((arg, i) => i >= nLeading && typeof arg === 'function');
        if (callbackIndex >= 0)
            return begin.call(this, ...packParameters.apply(this, args.slice(0, callbackIndex)), args[callbackIndex]);

        const callStack = new Error().stack;
        return new Promise((resolve, reject) => {
            begin.call(this, ...packParameters.apply(this, args), (_source, result) => {
                try {
                    resolve(this[`${name}_finish`](result));
                } catch (error) {
                    if (typeof error === 'object' && error !== null)
                        Values.addStack(error, 'Promise created here', callStack);
                    reject(error);
                }
            });
        });
    };
}

// The same for a method that blocks.
function wrapMethod(klass, name, packParameters, unpackResult = result => result) {
    wrapFunction(klass.prototype, name, packParameters, unpackResult);
}

function wrapFunction(object, name, packParameters, unpackResult = result => result) {
    const method = object[name];
    object[name] = function (...args) {
        return attempt(() => unpackResult.call(this, method.call(this, ...packParameters.apply(this, args))));
    };
}

// Construct properties under one spelling each.
function normalize(properties) {
    return Object.fromEntries(Object.entries(properties).map(([name, value]) =>
        [name.replace(/-/g, '_').replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`), value]));
}

// The @example is for who gives something else than properties, of which GJS would make the most surprising things.
function wrapInit(klass, example, change) {
    const init = klass.prototype._init;
    klass.prototype._init = function (properties = {}, ...rest) {
        if (typeof properties !== 'object' || Array.isArray(properties)) {
            throw new TypeError(`What is constructed takes an object of properties, as ${example}, not ` +
                display(properties));
        }
        return init.call(this, change(normalize(properties ?? {})), ...rest);
    };
}

function notSupported(message) {
    return new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_SUPPORTED, message);
}

function getDefaultContext() {
    defaultContext ??= new Mp.Context({start_method: Mp.StartMethod.SPAWN});
    return defaultContext;
}

// GJS has threads from its start, and what is forked of it hangs: only another program can be a fork server.
function checkContext(context) {
    if (context === null || context === undefined)
        return getDefaultContext();
    if (context.get_start_method() === Mp.StartMethod.FORKSERVER && context.get_worker_argv() === null)
        throw notSupported('Workers of a JavaScript program cannot be forked, by a fork server neither: use spawn');
    return context;
}

// A file in JavaScript is known by its URI; other files are GModules, other names those that import knows.
function toSpecifiers(names) {
    return names?.map(name => name.endsWith('.js') && !name.includes('://')
        ? Gio.File.new_for_path(name).get_uri() : name) ?? null;
}

// In a worker, before it is ready: (mvas), whose last are what it is to import.
function boot(variant) {
    const specifiers = variant.get_child_value(1).get_strv();
    for (const specifier of specifiers) {
        try {
            settle(import(specifier));
        } catch (error) {
            throw toGError(new Error(`cannot preload “${specifier}”: ${error.message}`));
        }
    }
    return GLib.Variant.parse(null, `@as [${specifiers.map(quote).join()}]`, null, null);
}

function overrideContext() {
    const setPreload = Mp.Context.prototype.set_preload;
    Mp.Context.prototype.set_preload = function (names) {
        setPreload.call(this, toSpecifiers(names));
    };
    wrapInit(Mp.Context, 'new Mp.Context({stderr: Mp.Stderr.CAPTURE})', properties => {
        if (properties.preload)
            properties.preload = toSpecifiers(properties.preload);
        const method = properties.start_method ?? Mp.StartMethod.AUTO;
        if (method === Mp.StartMethod.FORK)
            throw notSupported('A JavaScript program cannot be forked, it has threads: use spawn');
        if (method === Mp.StartMethod.AUTO && !properties.worker_argv)
            properties.start_method = Mp.StartMethod.SPAWN;
        return properties;
    });
    Mp.Context.new = (startMethod = Mp.StartMethod.AUTO) => new Mp.Context({start_method: startMethod});
    Mp.Context.get_default = getDefaultContext;
    Mp.Context.list_start_methods = () => [Mp.StartMethod.SPAWN];
}

function packApply(func, args, ...rest) {
    return [nameOf(func), packArguments(args), ...rest];
}

// How a task is to be carried out: also an object with the properties of Mp.TaskOptions.
function toOptions(options) {
    if (options === null || options === undefined || options instanceof Mp.TaskOptions)
        return options ?? null;
    if (typeof options !== 'object')
        throw new TypeError(`The options are a Mp.TaskOptions or an object of its properties, not ${display(options)}`);
    return new Mp.TaskOptions(options);
}

function toArray(items) {
    if (Array.isArray(items))
        return items;
    if (typeof items?.[Symbol.iterator] !== 'function')
        throw new TypeError(`The items are not iterable: ${String(items)}`);
    return Array.from(items);
}

function checkChunkSize(chunkSize) {
    if (!Number.isInteger(chunkSize ?? 0) || chunkSize < 0)
        throw new RangeError(`The size of a chunk is an integer from 0 up, not ${String(chunkSize)}`);
}

// As CPython chooses it: four chunks for each worker.
function packMap(func, items, chunkSize) {
    checkChunkSize(chunkSize);
    if (items instanceof GLib.Variant)
        return [nameOf(func), items, chunkSize];
    const all = toArray(items);
    const size = chunkSize || Math.max(1, Math.ceil(all.length / (4 * this.get_n_workers())));
    return [nameOf(func), packItems(all, TAG_ITEMS, size), 1];
}

// The same for input that is asked for as there is room. How long it is nobody knows.
const MODEST_CHUNK = 16;

function packLazy(func, items, chunkSize, options) {
    checkChunkSize(chunkSize);
    const [chunks] = Items.readChunks(items, TAG_ITEMS, chunkSize || MODEST_CHUNK) ?? [null];
    if (chunks !== null)
        return [nameOf(func), chunks, 1, toOptions(options)];
    return [nameOf(func), Items.toItems(items), chunkSize, toOptions(options)];
}

// NAME() and NAME_with() are one, which takes items of all kinds.
function joinMaps(name, call, callWith) {
    Mp.Pool.prototype[name] = function (func, items, ...rest) {
        return (Items.isLazy(items) ? callWith : call).call(this, func, items, ...rest);
    };
}

// What GJS would silently make a number of.
function checkCount(what, count, max) {
    if (count === undefined || count === null)
        return 0;
    if (typeof count !== 'number')
        throw new TypeError(`The number of ${what} is a number, not ${display(count)}`);
    if (!Number.isInteger(count) || count < 0 || count > max)
        throw new RangeError(`The number of ${what} is an integer from 0 to ${max}, not ${count}`);
    return count;
}

function markMap(future) {
    future[isMap] = true;
    return future;
}

function overridePool() {
    wrapInit(Mp.Pool, 'new Mp.Pool({n_workers: 4})', properties => {
        properties.n_workers = checkCount('workers', properties.n_workers, 65536);
        properties.tasks_per_worker = checkCount('tasks for each worker', properties.tasks_per_worker, 0xfffffffe);
        properties.initializer ??= null;
        if (properties.initializer !== null)
            properties.initializer = nameOf(properties.initializer);
        if (properties.initializer !== null || (properties.initializer_args ?? null) !== null)
            properties.initializer_args = packArguments(properties.initializer_args);
        properties.context = checkContext(properties.context);
        return properties;
    });
    Mp.Pool.new = (nWorkers = 0) => new Mp.Pool({n_workers: nWorkers});
    Mp.Pool.new_for_backend = (backend, nWorkers = 0) => new Mp.Pool({backend, n_workers: nWorkers});
    Mp.Pool.new_full = (nWorkers, initializer = null, initializerArgs = null, tasksPerWorker = 0, context = null) =>
        new Mp.Pool({n_workers: nWorkers, initializer, initializer_args: initializerArgs,
            tasks_per_worker: tasksPerWorker, context});

    promisify(Mp.Pool, 'apply', 2, (func, args, cancellable = null) => packApply(func, args, cancellable), unpack);
    promisify(Mp.Pool, 'map', 2, function (func, items, chunkSize = 0, cancellable = null) {
        return [...packMap.call(this, func, items, chunkSize), cancellable];
    }, unpackResults);
    promisify(Mp.Pool, 'join', 0, (cancellable = null) => [cancellable]);

    wrapMethod(Mp.Pool, 'apply', (func, args, timeout = -1, cancellable = null) =>
        packApply(func, args, timeout, cancellable), unpack);
    wrapMethod(Mp.Pool, 'map', function (func, items, chunkSize = 0, timeout = -1, cancellable = null) {
        return [...packMap.call(this, func, items, chunkSize), timeout, cancellable];
    }, unpackResults);
    wrapMethod(Mp.Pool, 'join', (timeout = -1, cancellable = null) => [timeout, cancellable]);
    wrapMethod(Mp.Pool, 'submit', packApply);
    for (const name of ['submit_with', 'try_submit']) {
        wrapMethod(Mp.Pool, name, (func, args, options = null) => [...packApply(func, args), toOptions(options)]);
    }
    promisify(Mp.Pool, 'submit', 2, (func, args, options = null, cancellable = null) =>
        [...packApply(func, args), toOptions(options), cancellable]);
    wrapMethod(Mp.Pool, 'submit_map', function (func, items, chunkSize = 0) {
        return packMap.call(this, func, items, chunkSize);
    }, markMap);
    const dupStatistics = Mp.Pool.prototype.dup_statistics;
    Mp.Pool.prototype.dup_statistics = function () {
        return dupStatistics.call(this).recursiveUnpack();
    };
    overrideMaps();
    overrideImap('imap', true);
    overrideImap('imap_unordered', false);
}

// map(), submit_map() and map_async() take lists and generators, too.
function overrideMaps() {
    const {map, map_async: mapAsync, submit_map: submitMap} = Mp.Pool.prototype;

    promisify(Mp.Pool, 'map_with', 2, (func, items, chunkSize = 0, options = null, cancellable = null) =>
        [...packLazy(func, items, chunkSize, options), cancellable], unpackResults);
    wrapMethod(Mp.Pool, 'map_with', (func, items, chunkSize = 0, options = null, timeout = -1, cancellable = null) =>
        [...packLazy(func, items, chunkSize, options), timeout, cancellable], unpackResults);
    wrapMethod(Mp.Pool, 'submit_map_with', (func, items, chunkSize = 0, options = null) =>
        packLazy(func, items, chunkSize, options), markMap);
    const {imap_with: imapWith} = Mp.Pool.prototype;
    Mp.Pool.prototype.imap_with = function (func, items, chunkSize = 1, ordered = true, options = null) {
        checkChunkSize(chunkSize);
        const [chunks, reader] = Items.readChunks(items, TAG_TRIES, chunkSize) ?? [Items.toItems(items), null];
        const iter = attempt(() => imapWith.call(this, nameOf(func), chunks, reader === null ? chunkSize : 1, ordered,
            toOptions(options)));
        if (reader !== null)
            iterItems.set(iter, new ChunkItems(reader, chunkSize));
        lazyIters.add(iter);
        return iter;
    };

    joinMaps('map', map, function (func, items, chunkSize = 0, timeout = -1, cancellable = null) {
        return this.map_with(func, items, chunkSize, null, timeout, cancellable);
    });
    joinMaps('map_async', mapAsync, function (func, items, chunkSize = 0, ...rest) {
        return this.map_with_async(func, items, chunkSize, null, ...rest);
    });
    joinMaps('submit_map', submitMap, function (func, items, chunkSize = 0) {
        return this.submit_map_with(func, items, chunkSize);
    });
}

function overrideImap(name, ordered) {
    const imap = Mp.Pool.prototype[name];
    Mp.Pool.prototype[name] = function (func, items, chunkSize = 1) {
        checkChunkSize(chunkSize);
        if (Items.isLazy(items))
            return this.imap_with(func, items, chunkSize, ordered);
        if (items instanceof GLib.Variant)
            return attempt(() => imap.call(this, nameOf(func), items, chunkSize));
        const all = toArray(items);
        // The chunk is the task: it is done when it has been carried out, also when its items have thrown.
        const packed = chunkSize > 1
            ? packItems(all, TAG_TRIES, chunkSize)
            : Mp.blob_new_array(all.map(item => encode(TAG_CALL, [item])));
        const iter = attempt(() => imap.call(this, nameOf(func), packed, 1));
        if (chunkSize > 1)
            iterItems.set(iter, new ChunkItems({nItems: all.length, nGiven: all.length}, chunkSize));
        return iter;
    };
}

function unpackFuture(variant) {
    return this[isMap] ? unpackResults(variant) : unpack(variant);
}

function overrideFuture() {
    promisify(Mp.Future, 'get', 0, (cancellable = null) => [cancellable], unpackFuture);
    promisify(Mp.Future, 'wait', 0, (cancellable = null) => [cancellable]);
    wrapMethod(Mp.Future, 'get', (timeout = -1, cancellable = null) => [timeout, cancellable], unpackFuture);
    wrapMethod(Mp.Future, 'wait', (timeout = -1, cancellable = null) => [timeout, cancellable]);
    // Those of several futures have no object that they belong to.
    for (const name of ['wait_all', 'wait_any']) {
        wrapFunction(Mp.Future, name, (futures, timeout = -1, cancellable = null) =>
            [toArray(futures), timeout, cancellable]);
        promisifyFunction(Mp.Future, name, 1, (futures, cancellable = null) => [toArray(futures), cancellable]);
    }
}

function overrideFutureList() {
    for (const name of ['next_done', 'wait_all', 'wait_any']) {
        promisify(Mp.FutureList, name, 0, (cancellable = null) => [cancellable]);
        wrapMethod(Mp.FutureList, name, (timeout = -1, cancellable = null) => [timeout, cancellable]);
    }
    Mp.FutureList.prototype[Symbol.iterator] = function* () {
        for (let i = 0; i < this.get_n_items(); i++)
            yield this.get_item(i);
    };
    // In the order of their ends.
    Mp.FutureList.prototype[Symbol.asyncIterator] = function () {
        return {
            next: async () => {
                const value = await this.next_done_async();
                return {value: value ?? undefined, done: value === null};
            },
        };
    };
    Mp.as_completed = futures => {
        const list = Mp.FutureList.new();
        for (const future of toArray(futures))
            list.add(future);
        return list;
    };
}

// What a result iterator has of the plain values that it was made for.
class ChunkItems {
    // @input knows how many items it has given, and how many results there will be.
    constructor(input, chunkSize) {
        this.input = input;
        this.chunkSize = chunkSize;
        this.outcomes = [];                // of chunks that came: [value], or [value, true] for what was thrown …
        this.position = 0;                 // … of which this one is next
        this.last = Promise.resolve();     // the next one that was asked for last
    }

    get nItems() {
        return this.input.nItems;
    }

    isEmpty() {
        return this.position === this.outcomes.length;
    }

    // Where the items of a chunk begin, and how many there are. Behind the last one comes the error of the input.
    place(index) {
        const first = Math.min(index * this.chunkSize, this.input.nGiven);
        return [first, Math.max(1, Math.min(this.chunkSize, this.input.nGiven - first))];
    }

    add(outcomes) {
        this.outcomes = this.isEmpty() ? outcomes : [...this.outcomes.slice(this.position), ...outcomes];
        this.position = 0;
    }

    clear() {
        this.outcomes = [];
        this.position = 0;
    }

    take() {
        if (this.isEmpty())
            return {value: undefined, done: true};
        const [value, failed] = this.outcomes[this.position++];
        if (failed)
            throw value;
        return {value, done: false};
    }
}

// What C's next gave, in the form of JavaScript's iterators. For who has chunks that is a batch of one of them: its
// number tells how many items share its error.
function unpackNext(variant) {
    if (variant === null)
        lazyIters.delete(this);
    const items = iterItems.get(this);
    if (items === undefined)
        return variant === null ? {value: undefined, done: true} : {value: unpack(variant), done: false};
    if (variant !== null)
        items.add(unpackOutcomes(variant.get_child_value(0), items)[1]);
    return items.take();
}

// The exception that an error of a batch stands for.
function restoreError(variant) {
    const [domain, code, message] = variant.deepUnpack();
    const error = new GLib.Error(GLib.quark_from_string(domain), code, message);
    const details = variant.get_child_value(3);
    if (details.n_children() > 0)
        Mp.error_set_details(error, details);
    return toException(error);
}

// The number of the first item, and the outcomes, of one result of a batch: [value], or [value, true] for what was thrown.
function unpackOutcomes(child, items) {
    const index = child.get_child_value(0).get_uint64();
    const content = child.get_child_value(2).get_variant();
    const [first, n] = items?.place(index) ?? [index, 1];
    if (!child.get_child_value(1).get_boolean())
        return [first, new Array(n).fill([restoreError(content), true])];
    const [tag, value] = decode(content) ?? [null, content];
    return [first, tag === TAG_OUTCOMES ? value : [[value]]];
}

// What C's next_batch gave: {index, value} or {index, error} for each item.
function unpackBatch(variant) {
    if (variant === null) {
        lazyIters.delete(this);
        return null;
    }
    const items = iterItems.get(this);
    const all = [];
    const n = variant.n_children();
    for (let i = 0; i < n; i++) {
        const [first, outcomes] = unpackOutcomes(variant.get_child_value(i), items);
        outcomes.forEach(([result, failed], j) =>
            all.push(failed ? {index: first + j, error: result} : {index: first + j, value: result}));
    }
    return all;
}

// Whoever has chunks asks for batches of one instead.
function askForChunks(proto) {
    const {next, next_async: nextAsync, next_finish: nextFinish, next_batch: nextBatch,
        next_batch_async: nextBatchAsync, next_batch_finish: nextBatchFinish} = proto;
    proto.next = function (...args) {
        return iterItems.has(this) ? nextBatch.call(this, 1, ...args) : next.apply(this, args);
    };
    proto.next_async = function (...args) {
        return iterItems.has(this) ? nextBatchAsync.call(this, 1, ...args) : nextAsync.apply(this, args);
    };
    proto.next_finish = function (result) {
        return (iterItems.has(this) ? nextBatchFinish : nextFinish).call(this, result);
    };
}

function overrideResultIter() {
    const proto = Mp.ResultIter.prototype;
    askForChunks(proto);
    promisify(Mp.ResultIter, 'next', 0, (cancellable = null) => [cancellable], unpackNext);
    wrapMethod(Mp.ResultIter, 'next', (timeout = -1, cancellable = null) => [timeout, cancellable], unpackNext);

    // Many at once: a list of {index, value} or {index, error}; null at the end.
    promisify(Mp.ResultIter, 'next_batch', 0, (maxItems = 0, cancellable = null) => [maxItems, cancellable],
        unpackBatch);
    wrapMethod(Mp.ResultIter, 'next_batch', (maxItems = 0, timeout = -1, cancellable = null) =>
        [maxItems, timeout, cancellable], unpackBatch);

    const {next, next_async: nextAsync, get_n_items: getNItems} = proto;
    proto.next = function (...args) {
        const items = iterItems.get(this);
        return items === undefined || items.isEmpty() ? next.apply(this, args) : items.take();
    };
    proto.next_async = function (...args) {
        const items = iterItems.get(this);
        if (items === undefined || args.some(arg => typeof arg === 'function'))
            return nextAsync.apply(this, args);
        // Two that are asked for at once must not get two chunks.
        const take = () => items.isEmpty() ? nextAsync.apply(this, args) : items.take();
        items.last = items.last.then(take, take);
        return items.last;
    };
    // The number that stands for an unknown one in C is none in JavaScript.
    proto.get_n_items = function () {
        return lazyIters.has(this) ? Infinity : iterItems.get(this)?.nItems ?? getNItems.call(this);
    };
    // A loop that is left before the end calls the rest off: its collector would do that much later.
    const leave = function (iter) {
        iter.close();
        return {value: undefined, done: true};
    };
    proto[Symbol.iterator] = function () {
        return {next: () => this.next(), return: () => leave(this)};
    };
    proto[Symbol.asyncIterator] = function () {
        return {next: () => this.next_async(), return: async () => leave(this)};
    };
    const {close} = proto;
    proto.close = function () {
        lazyIters.delete(this);
        iterItems.get(this)?.clear();
        close.call(this);
    };
}

// A run() written in JavaScript says nothing when it is well, may be asynchronous, and throws what it likes.
function wrapRun(klass) {
    const run = klass.prototype.vfunc_run;
    klass.prototype.vfunc_run = function () {
        try {
            return settle(run.call(this)) !== false;
        } catch (error) {
            throw toGError(error);
        }
    };
}

function overrideProcess() {
    wrapInit(Mp.Process, 'new Mp.Process({function: work, args: [1]})', properties => {
        if ('function' in properties && properties.function !== null)
            properties.function = nameOf(properties.function);
        if ((properties.function ?? properties.args ?? null) !== null)
            properties.args = packArguments(properties.args);
        if ('authkey' in properties)
            properties.authkey = Listeners.toKey(properties.authkey);
        properties.context = checkContext(properties.context);
        return properties;
    });
    Mp.Process.new = (func, args = []) => new Mp.Process({function: nameOf(func), args});
    Object.defineProperty(Mp.Process, _registerType, {
        value() {
            if (Object.prototype.hasOwnProperty.call(this.prototype, 'vfunc_run'))
                wrapRun(this);
            GObject.Object[_registerType].call(this);
        },
    });
    Object.defineProperty(Mp.Process.prototype, 'args', {
        get() {
            return unpackArguments(this.dup_args());
        },
        set(args) {
            this.set_property('args', packArguments(args));
        },
        configurable: true,
    });

    for (const name of ['start', 'join']) {
        promisify(Mp.Process, name, 0, (cancellable = null) => [cancellable]);
        wrapMethod(Mp.Process, name, (timeout = -1, cancellable = null) => [timeout, cancellable]);
    }
    wrapMethod(Mp.Process, 'run', () => []);
    wrapMethod(Mp.Invocation, 'report', (fraction, value = null) => [fraction, value === null ? null : pack(value)]);
    const dupError = Mp.Process.prototype.dup_error;
    Mp.Process.prototype.dup_error = function () {
        const error = dupError.call(this);
        return error === null ? null : toException(error);
    };
}

function _init() {
    Mp = this;
    Values.init(this);
    Items.init(this);
    SharedMemory.init(this);
    SharedValues.init(this);

    for (const name of ['function_register', 'function_register_async'])
        original[name] = Mp[name];
    Mp.function_register = register;
    Mp.register = register;
    Mp.pack = pack;
    Mp.unpack = unpack;

    overrideContext();
    overridePool();
    overrideFuture();
    overrideFutureList();
    overrideResultIter();
    overrideProcess();
    Connections.overrideConnections(this, {promisify, wrapMethod});
    Listeners.overrideListeners(this, {promisify, promisifyFunction, wrapFunction, wrapInit, wrapMethod});
    Sync.overrideSync(this, {promisify, wrapInit, wrapMethod});
    Queues.overrideQueues(this, {promisify, wrapInit, wrapMethod});
    Waits.overrideWait(this, {promisifyFunction, wrapFunction});

    // The library is loaded by the first call into it; a worker has to be known as one from the beginning.
    if (Mp.is_worker())
        Mp.set_worker_boot_func(boot);
    // Before the first error of this domain is made here.
    Mp.Error.quark();
}

return {_init};
})();
