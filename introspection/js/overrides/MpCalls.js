// MpCalls.js — SPDX-License-Identifier: LGPL-2.1-or-later
// What calls that wait have in common, for Mp.js: what ends them, and loops over what they give.
/* exported checkCancellable, toDescriptor, toWait, toWaitOf, untilEnd */

const {GLib, Gio} = imports.gi;
const {display} = imports.overrides.MpValues;

var {checkCancellable, toDescriptor, toWait, toWaitOf, untilEnd} = (function () {
const {Math, Number, RangeError, TypeError} = globalThis;

// @beginning: of the error's text.
function checkCancellable(cancellable, beginning = 'What ends a wait is') {
    if (cancellable !== null && !(cancellable instanceof Gio.Cancellable))
        throw new TypeError(`${beginning} a Gio.Cancellable or null, not ${display(cancellable)}`);
    return cancellable;
}

// GJS would make a number of anything, and 0 of most.
function toDescriptor(fd) {
    if (!Number.isInteger(fd) || fd > 0x7fffffff || fd < -0x80000000)
        throw new TypeError(`A descriptor is given by its number, not by ${display(fd)}`);
    return fd;
}

function toTime(timeout, beginning) {
    if (typeof timeout !== 'number' || Number.isNaN(timeout))
        throw new TypeError(`${beginning} a number of microseconds, not ${display(timeout)}`);
    if (timeout < 0 && timeout !== -1)
        throw new RangeError(`${beginning} a number of microseconds from 0 up, or -1 for ever, not ${timeout}`);
    // What is longer than the library can count is for ever.
    return timeout < Number.MAX_SAFE_INTEGER ? Math.trunc(timeout) : -1;
}

// Parameters of a call that waits, as C takes them.
function toWait(timeout, cancellable) {
    return [toTime(timeout, 'The time is'), checkCancellable(cancellable)];
}

// The same with errors that say that it is @name.
function toWaitOf(name, timeout, cancellable) {
    const beginning = `${name} takes`;
    return [toTime(timeout, beginning), checkCancellable(cancellable, beginning)];
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

return {checkCancellable, toDescriptor, toWait, toWaitOf, untilEnd};
})();
