#!/usr/bin/env -S gjs -m
// array-negate.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A process changes an array and a value of its parent's.

import Mp from 'gi://Mp?version=1';

const negate = Mp.register(function negate(array) {
    for (let i = 0; i < array.get_length(); i++)
        array.set_item(i, -array.get_item(i));
});
const f = Mp.register(function f(number, array) {
    number.value = 3.1415927;
    // The memory itself.
    const numbers = array.toTypedArray();
    numbers.forEach((x, i) => (numbers[i] = -x));
});
Mp.init();

function run(func, ...args) {
    const process = Mp.Process.new(func, args);
    process.start();
    process.join();
}

function show(array) {
    print(`[${[...array].join(', ')}]`);
}

let array = Mp.Array.new('i', [1, 2, 3, 4, 5]);
show(array);
run(negate, array);
show(array);

const number = Mp.Value.new('d', 0);
array = Mp.Array.new('i', Array(10).keys());
run(f, number, array);
print(number.value);
show(array);
