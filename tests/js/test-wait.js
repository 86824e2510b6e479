// test-wait.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting for many objects at once.

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import Mp from 'gi://Mp?version=1';

import {assert, assertEqual, catchFrom, catchNow, run, test} from './harness.js';

const LONG = 60e6;

const helloAndWait = Mp.register(function helloAndWait(connection, word) {
    connection.send('hello');
    word.recv();
});
const putOne = Mp.register(function putOne(queue, item) {
    queue.put(item);
});

const giveWord = Mp.register(function giveWord(word) {
    return word.recv();
});

Mp.init();

function sameItems(actual, expected) {
    assertEqual(actual.length, expected.length);
    assert(actual.every((item, i) => item === expected[i]), 'other objects, or in another order');
}

function makePipe() {
    return Mp.pipe_new();
}

test('order and identity', () => {
    const pipes = Array.from({length: 4}, makePipe);
    const firsts = pipes.map(([first]) => first);
    sameItems(Mp.wait(firsts, 0), []);
    sameItems(Mp.wait(firsts, 1000), []);
    pipes[3][1].send(3);
    pipes[1][1].send(1);
    sameItems(Mp.wait(firsts), [firsts[1], firsts[3]]);
    sameItems(Mp.wait([...firsts, firsts[1]], LONG), [firsts[1], firsts[3], firsts[1]]);
    assertEqual(firsts[1].recv(), 1);
    sameItems(Mp.wait(new Set(firsts), LONG), [firsts[3]]);
    sameItems(Mp.wait([], 1000), []);
});

test('promises', async () => {
    const [first, second] = makePipe();
    const queue = new Mp.Queue();
    const promise = Mp.wait_async([queue, first]);
    second.send('x');
    sameItems(await promise, [first]);
    queue.put('y');
    sameItems(await Mp.wait_async([queue, first], LONG), [queue, first]);
    assertEqual(first.recv(), 'x');
    assertEqual(queue.get(), 'y');
    sameItems(await Mp.wait_async([queue, first], 1000), []);
    sameItems(await Mp.wait_async([], 1000), []);
});

test('with a callback', async () => {
    const [first, second] = makePipe();
    const ready = new Promise((resolve, reject) => {
        Mp.wait_async([first], -1, null, (_source, result) => {
            try {
                resolve(Mp.wait_finish(result));
            } catch (error) {
                reject(error);
            }
        });
    });
    second.send('x');
    sameItems(await ready, [first]);
});

test('futures', async () => {
    const [first] = makePipe();
    const [word, otherWord] = makePipe();
    const pool = Mp.Pool.new(1);
    const future = pool.submit(giveWord, [otherWord]);
    sameItems(Mp.wait([first, future], 1000), []);
    word.send('x');
    sameItems(await Mp.wait_async([first, future], LONG), [future]);
    sameItems(Mp.wait([future, first]), [future]);
    assertEqual(future.get(), 'x');
    pool.terminate();
});

test('cancelled', async () => {
    const [first] = makePipe();
    const cancellable = new Gio.Cancellable();
    const promise = Mp.wait_async([first], -1, cancellable);
    GLib.idle_add(GLib.PRIORITY_LOW, () => cancellable.cancel());
    const error = await catchFrom(() => promise);
    assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));
    assert(catchNow(() => Mp.wait([first], -1, cancellable)).matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED));
});

test('what cannot be waited for', async () => {
    for (const wrong of ['x', NaN, 1.5, null]) {
        assert(catchNow(() => Mp.wait_with_fds([], [wrong], 0)) instanceof TypeError, String(wrong));
        assert(await catchFrom(() => Mp.wait_with_fds_async([], [wrong], 0)) instanceof TypeError, String(wrong));
    }
    for (const wrong of [null, 5, 'text', [{}], ['x'], [-1], [1.5], [null]]) {
        assert(catchNow(() => Mp.wait(wrong, 0)) instanceof TypeError, String(wrong));
        assert(await catchFrom(() => Mp.wait_async(wrong, 0)) instanceof TypeError, String(wrong));
    }
    assert(catchNow(() => Mp.wait([], 'soon')) instanceof TypeError);
    assert(catchNow(() => Mp.wait([], -2)) instanceof RangeError);
    const process = new Mp.Process({function: helloAndWait});
    assert(catchNow(() => Mp.wait([process], 0)).matches(Gio.IOErrorEnum, Gio.IOErrorEnum.NOT_INITIALIZED));
});

test('descriptors', () => {
    const [first, second] = makePipe();
    const descriptor = Mp.Descriptor.new(first.get_fd());
    const fd = first.get_fd();
    sameItems(Mp.wait([fd, descriptor, first], 1000), []);
    second.send(1);
    sameItems(Mp.wait([fd, descriptor, first], LONG), [fd, descriptor, first]);
});

test('processes and queues', async () => {
    const [first, second] = makePipe();
    const [here, there] = makePipe();
    const queue = new Mp.Queue();
    const waiting = new Mp.Process({function: helloAndWait, args: [second, there]});
    const putting = new Mp.Process({function: putOne, args: [queue, 7]});
    waiting.start();
    putting.start();
    sameItems(Mp.wait([waiting, first], LONG), [first]);
    sameItems(await Mp.wait_async([queue, waiting], LONG), [queue]);
    assertEqual(queue.get(), 7);
    here.send('go');
    sameItems(await Mp.wait_async([waiting], LONG), [waiting]);
    assertEqual(waiting.exit_status, 0);
    putting.join();
    sameItems(Mp.wait([waiting, putting], 0), [waiting, putting]);
});

test('a server in one loop', async () => {
    const listener = new Mp.Listener({authkey: 'key'});
    const talk = async number => {
        const client = await Mp.client_connect_async(listener.address, {authkey: 'key'});
        for (let i = 0; i < 5; i++) {
            await client.send_async([number, i]);
            assertEqual(await client.recv_async(), [i, number]);
        }
        client.close();
    };
    const talks = [0, 1, 2, 3].map(talk);
    let objects = [listener];
    for (let ended = 0; ended < talks.length;) {
        for (const object of await Mp.wait_async(objects, LONG)) {
            if (object === listener) {
                objects.push(listener.accept(0));
                continue;
            }
            try {
                object.send(object.recv(0).reverse());
            } catch {
                objects = objects.filter(other => other !== object);
                ended++;
            }
        }
    }
    await Promise.all(talks);
    listener.close();
});

await run();
