// program-legacy.js — SPDX-License-Identifier: LGPL-2.1-or-later
// A script of the old kind, with imports and a main loop of its own; run as `gjs program-legacy.js`.

imports.gi.versions.Mp = '1';
const {GLib, Mp} = imports.gi;

const square = Mp.register(function square(x) {
    return x * x;
});
const slow = Mp.register(async function slow(x) {
    await new Promise(resolve => GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => {
        resolve();
        return GLib.SOURCE_REMOVE;
    }));
    return -x;
});
Mp.init();

const loop = GLib.MainLoop.new(null, false);

async function main() {
    const pool = Mp.Pool.new(2);
    print(pool.map(square, [1, 2, 3]));
    print(await pool.map_async(square, [4, 5]));
    print(await pool.map_async(slow, [6, 7]));
    for await (const result of pool.imap(square, [8, 9]))
        print(result);
    pool.map_async(square, [10], 0, null, (source, result) => {
        print(source.map_finish(result));
        pool.terminate();
        loop.quit();
    });
}

main().catch(error => {
    printerr(error, error.stack);
    loop.quit();
});
loop.run();
print('the end');
