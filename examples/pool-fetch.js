#!/usr/bin/env -S gjs -m
// pool-fetch.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A map over texts.

import Mp from 'gi://Mp?version=1';

const fetchUrl = Mp.register('fetchUrl', url => `fetched: ${url}`);
Mp.init();

const pool = Mp.Pool.new(4);
for (const result of await pool.map_async(fetchUrl, ['a.com', 'b.com', 'c.com', 'd.com']))
    print(result);
