// MpCalls.js — SPDX-License-Identifier: LGPL-2.1-or-later
// What calls that wait have in common, for Mp.js: what ends them, and loops over what they give.
/* exported checkCancellable, toWait, untilEnd */

const {GLib, Gio} = imports.gi;
const {display} = imports.overrides.MpValues;

var {checkCancellable, toWait, untilEnd} = (function () {
const {Math, Number, RangeError, TypeError} = globalThis;

function checkCancellable(cancellable) {
    if (cancellable !== null && !(cancellable instanceof Gio.Cancellable))
        throw new TypeError(`What ends a wait is a Gio.Cancellable or null, not ${display(cancellable)}`);
    return cancellable;
}

// Parameters of a call that waits, as C takes them.
function toWait(timeout, cancellable) {
    if (typeof timeout !== 'number' || Number.isNaN(timeout))
        throw new TypeError(`The time is a number of microseconds, not ${display(timeout)}`);
    if (timeout < 0 && timeout !== -1)
        throw new RangeError(`The time is a number of microseconds from 0 up, or -1 for ever, not ${timeout}`);
    return [timeout < Number.MAX_SAFE_INTEGER ? Math.trunc(timeout) : -1, checkCancellable(cancellable)];
}

function isEnd(error) {
    return error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CLOSED);
}

// An iterator over what the promises of @receive give, until it has come to the end.
function untilEnd(receive) {
    return {
        next: async () => {
            try {
                return {value: await receive(), done: false};
            } catch (error) {
                if (!isEnd(error))
                    throw error;
                return {value: undefined, done: true};
            }
        },
    };
}

return {checkCancellable, toWait, untilEnd};
})();
