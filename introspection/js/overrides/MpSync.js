// MpSync.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Locks, semaphores, events, conditions and barriers, for Mp.js: promises, and parameters that are looked at.
/* exported overrideSync */

const Barrier = imports.overrides.MpBarrier;
const Condition = imports.overrides.MpCondition;
const {checkCancellable, toWaitOf} = imports.overrides.MpCalls;
const {display} = imports.overrides.MpValues;

var {overrideSync} = (function () {
const {Number, RangeError, String, TypeError} = globalThis;

function overrideWait({promisify, wrapMethod}, klass, name, unpackResult = result => result) {
    promisify(klass, name, 0, (cancellable = null) => [checkCancellable(cancellable, `${name}_async() takes`)],
        unpackResult);
    wrapMethod(klass, name, (timeout = -1, cancellable = null) => toWaitOf(`${name}()`, timeout, cancellable),
        unpackResult);
}

// A promise of what @func gives, or a promise of it, while it is acquired.
async function withAcquired(func, cancellable = null) {
    if (typeof func !== 'function')
        throw new TypeError(`with() takes a function, not ${display(func)}`);
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
