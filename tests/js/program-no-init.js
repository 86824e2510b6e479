// program-no-init.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A program that forgot Mp.init(): its worker would be the whole program once more, and so on.

import Mp from 'gi://Mp?version=1';

const square = Mp.register('square', x => x * x);

try {
    const pool = Mp.Pool.new(2);
    await pool.apply_async(square, [1]);
    print('a worker was started');
} catch (error) {
    print(error.matches(Mp.Error, Mp.Error.NOT_INITIALIZED) ? 'NOT_INITIALIZED' : 'other', error.message);
}
