// MpCondition.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting until something is so, for Mp.js.
/* exported checkProperties, init */

const {GLib, GObject, Gio} = imports.gi;

var {checkProperties, init} = (function () {
const {Math, Number, TypeError} = globalThis;

function checkFunc(what, func) {
    if (typeof func !== 'function')
        throw new TypeError(`${what} takes a function, not ${String(func)}`);
}

// The last result of @func, which is called with the lock held, at first and after each wait.
function waitFor(func, timeout = -1, cancellable = null) {
    checkFunc('wait_for()', func);
    const end = timeout > 0 ? GLib.get_monotonic_time() + timeout : timeout;
    let result = func();
    while (!result) {
        const left = timeout > 0 && Number.isFinite(end) ? Math.max(0, end - GLib.get_monotonic_time()) : timeout;
        try {
            this.wait(left, cancellable);
        } catch (error) {
            if (error instanceof GLib.Error && error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.TIMED_OUT) &&
                (result = func()))
                return result;
            throw error;
        }
        result = func();
    }
    return result;
}

async function waitForAsync(func, cancellable = null) {
    checkFunc('wait_for_async()', func);
    let result = func();
    while (!result) {
        // One after the other: that is what it is for.
        // eslint-disable-next-line no-await-in-loop
        await this.wait_async(cancellable);
        result = func();
    }
    return result;
}

const checkProperties = Mp => properties => {
    const {lock = null} = properties;
    if (lock !== null && !(lock instanceof Mp.Lock) && !(lock instanceof Mp.RLock))
        throw new TypeError(`The lock of a condition is an Mp.Lock or an Mp.RLock, not ${String(lock)}`);
    return properties;
};

function init(Mp) {
    const proto = Mp.Condition.prototype;
    const {_init: construct, notify} = proto;

    proto._init = function (properties = {}, ...rest) {
        if (properties instanceof GObject.Object)
            throw new TypeError('What is constructed takes an object of properties, as new Mp.Condition({lock})');
        return construct.call(this, properties, ...rest);
    };

    Mp.Condition.new = (lock = null) => new Mp.Condition({lock});
    proto.wait_for = waitFor;
    proto.wait_for_async = waitForAsync;
    proto.notify = function (n = 1) {
        if (!Number.isInteger(n) || n < 0)
            throw new TypeError(`notify() takes a number from 0 up, not ${String(n)}`);
        return notify.call(this, Math.min(n, 0xffffffff));
    };
}

return {checkProperties, init};
})();
