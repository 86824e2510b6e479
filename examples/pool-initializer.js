#!/usr/bin/env -S gjs -m
// pool-initializer.js — SPDX-License-Identifier: LGPL-2.1-or-later
// An initializer prepares each worker once.

import Mp from 'gi://Mp?version=1';

let scheme = null;

const setScheme = Mp.register(function setScheme(value) {
    scheme = value;
});
const fetchUrl = Mp.register(function fetchUrl(url) {
    return `fetched: ${scheme}://${url}`;
});
Mp.init();

const urls = ['a.com', 'b.com', 'c.com', 'd.com'];
const pool = new Mp.Pool({n_workers: 4, initializer: setScheme, initializer_args: ['https']});
for (const result of await pool.map_async(fetchUrl, urls))
    print(result);
print(`in the program itself: ${scheme ?? 'not set'}`);
