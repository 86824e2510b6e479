// MpBarrier.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Barriers: waits that give a number, and actions that may throw.
/* exported checkProperties, init, takeIndex */

var {checkProperties, init, takeIndex} = (function () {
const {Number, RangeError, String, TypeError, WeakMap} = globalThis;

const failures = new WeakMap();   // of barriers: [what their action threw]

const MOST = 16383;

function checkProperties(properties) {
    const {parties} = properties;
    if (parties !== undefined && !(Number.isInteger(parties) && parties > 0 && parties <= MOST))
        throw new RangeError(`A barrier has from 1 to ${MOST} parties, not ${String(parties)}`);
    return properties;
}

const takeIndex = ([, index]) => index;

// What the action threw comes out of the wait that it was called for.
function rethrows(Mp, method) {
    return function (...args) {
        try {
            return method.apply(this, args);
        } catch (error) {
            const failure = failures.get(this);
            failures.delete(this);
            throw failure !== undefined && error?.matches?.(Mp.Error, Mp.Error.FAILED) ? failure[0] : error;
        }
    };
}

function init(Mp) {
    const {prototype} = Mp.Barrier;
    const setAction = prototype.set_action;

    prototype.set_action = function (action) {
        if (action !== null && typeof action !== 'function')
            throw new TypeError(`set_action() takes a function or null, not ${String(action)}`);
        setAction.call(this, action && (barrier => {
            try {
                action(barrier);
                return true;
            } catch (error) {
                failures.set(barrier, [error]);
                return false;
            }
        }));
    };
    Mp.Barrier.new = parties => new Mp.Barrier({parties});
    for (const name of ['wait', 'wait_finish'])
        prototype[name] = rethrows(Mp, prototype[name]);
}

return {checkProperties, init, takeIndex};
})();
