#!/usr/bin/env -S gjs -m
// memory-list.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A list of plain values that another process changes.

import Mp from 'gi://Mp?version=1';

const change = Mp.register(function change(list) {
    const [first, , third, fourth] = list;
    list.set_item(0, first + 1);
    list.set_item(1, 'smaller');
    list.set_item(2, fourth);
    list.set_item(3, third);
});
Mp.init();

// As Python shows them.
function show(list) {
    return [...list].map(value => ({true: 'True', false: 'False', null: 'None'})[value] ?? value).join(' ');
}

const list = Mp.ShareableList.new([41, 'greater', true, null, 0.5]);
print(`Before: ${show(list)}`);

const process = Mp.Process.new(change, [list]);
process.start();
process.join();
print(`After: ${show(list)}`);

try {
    list.set_item(1, 'longer than its place');
} catch (error) {
    if (!error.matches(Mp.Error, Mp.Error.TOO_LARGE))
        throw error;
    print(`Too long; it is still ${list.get_item(1)}`);
}
