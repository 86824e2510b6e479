// MpSync.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Locks, semaphores, events, conditions and barriers, for Mp.js: promises, and parameters that are looked at.
/* exported overrideSync */

const {Gio} = imports.gi;
const Barrier = imports.overrides.MpBarrier;
const Condition = imports.overrides.MpCondition;

var {overrideSync} = (function () {
const {Math, Number, RangeError, String, TypeError} = globalThis;

// What a lock can be given to wait with.
function checkWait(what, timeout, cancellable) {
    if (typeof timeout !== 'number' || Number.isNaN(timeout))
        throw new TypeError(`${what} takes a number of microseconds, not ${describe(timeout)}`);
    if (timeout < 0 && timeout !== -1)
        throw new RangeError(`${what} takes a number of microseconds from 0 up, or -1 for ever, not ${timeout}`);
    if (cancellable !== null && !(cancellable instanceof Gio.Cancellable))
        throw new TypeError(`${what} takes a Gio.Cancellable or null, not ${describe(cancellable)}`);
}

function describe(value) {
    return typeof value === 'object' && value !== null ? value.constructor?.name ?? 'an object' : String(value);
}

function overrideWait({promisify, wrapMethod}, klass, name, unpackResult = result => result) {
    promisify(klass, name, 0, (cancellable = null) => {
        checkWait(`${name}_async()`, -1, cancellable);
        return [cancellable];
    }, unpackResult);
    wrapMethod(klass, name, (timeout = -1, cancellable = null) => {
        checkWait(`${name}()`, timeout, cancellable);
        // What is longer than the library can count is for ever.
        return [timeout < Number.MAX_SAFE_INTEGER ? Math.trunc(timeout) : -1, cancellable];
    }, unpackResult);
}

// A promise of what @func gives, or a promise of it, while it is acquired.
async function withAcquired(func, cancellable = null) {
    if (typeof func !== 'function')
        throw new TypeError(`with() takes a function, not ${describe(func)}`);
    await this.acquire_async(cancellable);
    try {
        return await func(this);
    } finally {
        this.release();
    }
}

// GJS would make a number of units of anything.
function checkUnits(properties) {
    const {value = 1} = properties;
    if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff)
        throw new RangeError(`A semaphore has from 0 to ${0x7fffffff} units, not ${String(value)}`);
    return properties;
}

function overrideSync(Mp, helpers) {
    const {wrapInit} = helpers;

    for (const klass of [Mp.Lock, Mp.RLock, Mp.Semaphore, Mp.Condition]) {
        overrideWait(helpers, klass, 'acquire');
        klass.prototype.with = withAcquired;
    }
    overrideWait(helpers, Mp.Event, 'wait');
    overrideWait(helpers, Mp.Condition, 'wait');
    wrapInit(Mp.Condition, 'new Mp.Condition({lock})', Condition.checkProperties(Mp));
    overrideWait(helpers, Mp.Barrier, 'wait', Barrier.takeIndex);
    Barrier.init(Mp);
    wrapInit(Mp.Barrier, 'new Mp.Barrier({parties: 2})', Barrier.checkProperties);
    wrapInit(Mp.Semaphore, 'new Mp.Semaphore({value: 2})', checkUnits);
    for (const klass of [Mp.Semaphore, Mp.BoundedSemaphore])
        klass.new = (value = 1) => new klass({value});
    Condition.init(Mp);
}

return {overrideSync};
})();
