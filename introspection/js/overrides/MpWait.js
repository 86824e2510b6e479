// MpWait.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting for many objects at once, for Mp.js: those that are ready as they were given, and promises.
/* exported overrideWait */

const {GObject} = imports.gi;
const {toDescriptor, toWait} = imports.overrides.MpCalls;
const {display} = imports.overrides.MpValues;

var {overrideWait} = (function () {
const {Array, Number, Symbol, TypeError} = globalThis;

let Mp;

function isWaitable(item) {
    return item instanceof GObject.Object && GObject.type_is_a(item.constructor.$gtype, Mp.Waitable.$gtype);
}

// What is waited for, objects and numbers of descriptors, as C takes it; and which of it is ready.
function toPlan(objects) {
    if (typeof objects?.[Symbol.iterator] !== 'function' || typeof objects === 'string')
        throw new TypeError(`What is waited for is an array or another iterable, not ${display(objects)}`);

    const items = Array.from(objects);
    const waitables = [], fds = [], places = [], fdPlaces = [];
    items.forEach((item, place) => {
        if (isWaitable(item)) {
            places.push(place);
            waitables.push(item);
        } else if (Number.isInteger(item) && item >= 0 && item <= 0x7fffffff) {
            fdPlaces.push(place);
            fds.push(item);
        } else {
            throw new TypeError('What is waited for is a connection, a listener, a process, a queue, a future, or ' +
                `the number of a descriptor, not ${display(item)}`);
        }
    });
    places.push(...fdPlaces);
    const pick = positions => Array.from(positions, position => places[position]).sort((a, b) => a - b)
        .map(place => items[place]);
    return {args: [waitables, fds], pick};
}

async function wait(objects, timeout = -1, cancellable = null) {
    const {args, pick} = toPlan(objects);
    return pick(await Mp.wait_with_fds_async(...args, timeout, cancellable));
}

function overrideWait(mp, {promisifyFunction, wrapFunction}) {
    Mp = mp;
    promisifyFunction(Mp, 'wait', 3, (objects, timeout = -1, cancellable = null) =>
        [toPlan(objects).args[0], ...toWait(timeout, cancellable)]);
    promisifyFunction(Mp, 'wait_with_fds', 4, (objects, fds, timeout = -1, cancellable = null) =>
        [objects ?? [], Array.from(fds ?? [], toDescriptor), ...toWait(timeout, cancellable)]);
    wrapFunction(Mp, 'wait_with_fds', (objects, fds, timeout = -1, cancellable = null) =>
        [objects ?? [], Array.from(fds ?? [], toDescriptor), ...toWait(timeout, cancellable)]);

    Mp.wait = (objects, timeout = -1, cancellable = null) => {
        const {args, pick} = toPlan(objects);
        return pick(Mp.wait_with_fds(...args, timeout, cancellable));
    };
    // With a callback there is wait_finish(), which gives objects only.
    const {wait_async: waitWithCallback} = Mp;
    Mp.wait_async = (...args) => typeof args.at(-1) === 'function' ? waitWithCallback.apply(Mp, args) : wait(...args);
}

return {overrideWait};
})();
