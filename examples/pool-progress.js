#!/usr/bin/env -S gjs -m
// pool-progress.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A bar shows how far a pool is, and a long piece of work is called off. The main loop is free all the time: in a window
// the bar is a widget, and a button cancels.

import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

// In a block of a thousand numbers.
const countPrimes = Mp.register('count-primes', block => {
    let n = 0;
    for (let x = Math.max(1000 * block, 2); x < 1000 * block + 1000; x++) {
        let divisor = 2;
        while (divisor * divisor <= x && x % divisor !== 0)
            divisor++;
        n += divisor * divisor > x;
    }
    return n;
});
Mp.init();

async function count(pool, nBlocks, enough = 0) {
    const cancellable = new Gio.Cancellable();
    let drawn = 0;

    const draw = () => {
        while (drawn < Math.floor(10 * pool.fraction) && !cancellable.is_cancelled()) {
            drawn++;
            print(`[${'#'.repeat(drawn).padEnd(10, '.')}] ${String(10 * drawn).padStart(3)} %`);
            if (drawn === enough)   // the user loses patience
                cancellable.cancel();
        }
    };

    const handler = pool.connect('notify::fraction', draw);
    try {
        const counts = await pool.map_async(countPrimes, Array.from({length: nBlocks}, (_, i) => i), 1, cancellable);
        draw();
        print(`${counts.reduce((sum, n) => sum + n)} primes`);
    } catch (error) {
        print(cancellable.is_cancelled() ? 'cancelled' : `failed: ${error.message}`);
    } finally {
        pool.disconnect(handler);
    }
}

const pool = Mp.Pool.new(2);
await count(pool, 100);
await count(pool, 5000, 1);
