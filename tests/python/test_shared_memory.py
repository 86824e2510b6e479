#!/usr/bin/env python3
# test_shared_memory.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp.shared_memory: what multiprocessing.shared_memory does, and what it gets wrong."""

import errno
import gc
import math
import multiprocessing
import multiprocessing.managers
import multiprocessing.shared_memory
import os
import pickle
import struct
import threading
import unittest

from gi.repository import GLib, Mp

import support
from support import Script

BOTH = (Mp.shared_memory, multiprocessing.shared_memory)
FOLDER = '/dev/shm'

MIXED = [1, -2.5, True, False, None, 'text', b'\x00bytes', '', b'', 'größer']


def path_of(name):
    return os.path.join(FOLDER, name)


def fill(memory, text):
    memory.buf[:len(text)] = text
    return memory.size, memory.name, memory.isolated


def give_back(value):
    return value


def make_named(size):
    memory = Mp.shared_memory.SharedMemory(create=True, size=size)
    memory.buf[0] = 7
    return memory.name


def tell_made_named(connection):
    connection.send(make_named(100))


def change(items, position, value):
    old = items[position]
    items[position] = value
    return old


def attach_and_read(name):
    return bytes(Mp.shared_memory.SharedMemory(name).buf[:4])


class SharedMemoryTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for module in BOTH:
            with self.subTest(module):
                memory = module.SharedMemory(create=True, size=1000)
                self.assertEqual(memory.size, 1000)
                self.assertRegex(memory.name, r'^psm_[0-9a-f]{8}$')
                self.assertEqual(repr(memory), 'SharedMemory(%r, size=1000)' % memory.name)
                self.assertIs(type(memory.buf), memoryview)
                self.assertEqual((memory.buf.nbytes, memory.buf.format, memory.buf.readonly), (1000, 'B', False))
                memory.buf[0] = 255
                memory.buf[1:4] = b'abc'
                self.assertEqual(bytes(memory.buf[:5]), b'\xffabc\0')
                other = module.SharedMemory(memory.name)
                self.assertEqual((other.size, other.buf[3]), (1000, ord('c')))
                with self.assertRaises(FileExistsError):
                    module.SharedMemory(memory.name, create=True, size=1)
                other.close()
                self.assertIsNone(other.buf)
                self.assertEqual(other.size, 1000)
                other.close()
                self.assertIsNone(memory.unlink())
                with self.assertRaises(FileNotFoundError) as caught:
                    module.SharedMemory(memory.name)
                self.assertIn(caught.exception.filename, (memory.name, '/' + memory.name))
                self.assertEqual(memory.buf[1], ord('a'))
                memory.close()

    def test_bad_arguments(self):
        for module in BOTH:
            with self.subTest(module):
                for args, message in (((None, True, -1), 'must be a positive integer'),
                                      ((None, True, 0), 'different from zero'), ((None,), 'can only be None')):
                    with self.assertRaisesRegex(ValueError, message):
                        module.SharedMemory(*args)
                for name in (1, b'x'):
                    with self.assertRaises(TypeError):
                        module.SharedMemory(name)
                for name in ('a/b', '', '/', 'x' * 300):
                    for create in (True, False):
                        with self.assertRaises(OSError) as caught:
                            module.SharedMemory(name, create, 10)
                        self.assertEqual(caught.exception.errno, errno.EINVAL)

        with self.assertRaisesRegex(OSError, 'shared memory creation: .* name'):
            Mp.shared_memory.SharedMemory('a/b', True, 10)
        with self.assertRaisesRegex(OSError, 'shared memory attach: .* name'):
            Mp.shared_memory.SharedMemory('a/b')
        # multiprocessing says so when there is a name already, and leaves that.
        with self.assertRaises(TypeError):
            Mp.shared_memory.SharedMemory(None, True, 1.5)
        for make in Mp.shared_memory.SharedMemory, lambda name: Mp.shared_memory.ShareableList(name=name):
            with self.assertRaisesRegex(ValueError, 'null character'):
                make('a\0b')

    def test_too_large(self):
        for size in (1 << 50, (1 << 63) - 1):
            with self.assertRaises(OSError) as caught:
                Mp.shared_memory.SharedMemory(create=True, size=size)
            self.assertIn('bytes', str(caught.exception))
        with self.assertRaises(OverflowError):
            Mp.shared_memory.SharedMemory(create=True, size=1 << 70)

    def test_exported_views(self):
        for module in BOTH:
            with self.subTest(module):
                memory = module.SharedMemory(create=True, size=10)
                view = memory.buf[2:5]
                with self.assertRaises(BufferError):
                    memory.close()
                view[0] = 1
                view.release()
                memory.close()
                memory.unlink()

    def test_name_stays(self):
        """Also when who made it has closed it, or is gone."""
        for module in BOTH:
            with self.subTest(module):
                memory = module.SharedMemory(create=True, size=10)
                name = memory.name
                memory.buf[:4] = b'stay'
                memory.close()
                del memory
                gc.collect()
                self.assertEqual(attach_and_read(name), b'stay')
                module.SharedMemory(name).unlink()

    def test_attached_stays(self):
        """Who has only attached takes nothing away, at its end neither."""
        memory = Mp.shared_memory.SharedMemory(create=True, size=10)
        memory.buf[:4] = b'mine'
        with Mp.Pool(1) as pool:
            self.assertEqual(pool.apply(attach_and_read, (memory.name,)), b'mine')
        result = Script('''
            import sys
            from gi.repository import Mp
            print(bytes(Mp.shared_memory.SharedMemory(sys.argv[1]).buf[:4]))
        ''').run(memory.name)
        self.assertEqual((result.stdout, result.stderr), ("b'mine'\n", ''))
        self.assertEqual(attach_and_read(memory.name), b'mine')
        memory.unlink()

    def test_made_by_worker(self):
        """It may be what the worker was for, and outlives it."""
        ours, theirs = Mp.Pipe()
        process = Mp.get_context('spawn').Process(target=tell_made_named, args=(theirs,))
        process.start()
        names = [ours.recv(timeout=support.TIMEOUT)]
        process.join()
        pool = Mp.Pool(1)
        names.append(pool.apply(make_named, (100,)))
        pool.close()
        pool.join()
        for name in names:
            memory = Mp.shared_memory.SharedMemory(name)
            self.assertEqual((memory.size, memory.buf[0]), (100, 7))
            memory.unlink()

    def test_end_of_program(self):
        result = Script('''
            from gi.repository import Mp
            kept = Mp.shared_memory.SharedMemory(create=True, size=10)
            gone = Mp.shared_memory.SharedMemory(create=True, size=10)
            gone.close()
            items = Mp.shared_memory.ShareableList([1])
            stays = Mp.shared_memory.SharedMemory(create=True, size=10, track=False)
            print(kept.name, gone.name, items.shm.name, stays.name)
        ''').run()
        *gone, stays = result.stdout.split()
        for name in gone:
            self.assertFalse(os.path.exists(path_of(name)), name)
        memory = Mp.shared_memory.SharedMemory(stays)
        memory.unlink()

    def test_travel(self):
        named = Mp.shared_memory.SharedMemory(create=True, size=100)
        unnamed = Mp.SharedMemory.new(50)
        with Mp.Pool(1) as pool:
            for memory, isolated in (named, False), (unnamed, True):
                self.assertEqual(pool.apply(fill, (memory, b'here')), (memory.size, memory.name, isolated))
                self.assertEqual(bytes(memory.buf[:5]), b'here\0')
                back = pool.apply(give_back, (memory,))
                self.assertIs(type(back), Mp.SharedMemory)
                back.buf[0] = ord('H')
                self.assertEqual(bytes(memory.buf[:4]), b'Here')
        self.assertIsNone(unnamed.name)
        named.unlink()

    def test_pickle(self):
        for module in BOTH:
            with self.subTest(module):
                memory = module.SharedMemory(create=True, size=10)
                same = pickle.loads(pickle.dumps(memory))
                same.buf[9] = 1
                self.assertEqual((same.name, same.size, memory.buf[9]), (memory.name, 10, 1))
                same.close()
                memory.unlink()
        with self.assertRaisesRegex(TypeError, 'SharedMemory objects can only travel'):
            pickle.dumps(Mp.SharedMemory.new(1))

    def test_grow_and_seal(self):
        memory = Mp.SharedMemory.new(100)
        other = pickle_through_pool(memory)
        old = memory.buf
        old[99] = 5
        other.grow(100000)
        self.assertEqual((memory.size, len(memory.buf), memory.buf[99]), (100000, 100000, 5))
        old[98] = 6
        self.assertEqual(other.buf[98], 6)
        with self.assertRaises(ValueError):
            memory.grow(10)
        del old
        other.close()
        memory.seal(Mp.SealFlags.GROW | Mp.SealFlags.WRITE)
        self.assertTrue(memory.buf.readonly)
        self.assertEqual(memory.buf[99], 5)
        with self.assertRaises(OSError):
            memory.grow(200000)

    def test_no_copy(self):
        memory = Mp.SharedMemory.new(8 * 1000)
        numbers = memory.buf.cast('d')
        numbers[999] = 0.5
        self.assertEqual(struct.unpack('d', memory.buf[-8:]), (0.5,))
        self.assertEqual(memory.read(999 * 8, 8).get_data(), struct.pack('d', 0.5))
        memory.write(0, GLib.Bytes.new(struct.pack('d', 1.5)))
        self.assertEqual(numbers[0], 1.5)
        numbers.release()
        memory.close()
        with self.assertRaises(GLib.Error):
            memory.read(0, 1)


def pickle_through_pool(memory):
    with Mp.Pool(1) as pool:
        return pool.apply(give_back, (memory,))


class ShareableListTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for module in BOTH:
            with self.subTest(module):
                items = module.ShareableList(MIXED[:-1])
                self.assertEqual(list(items), MIXED[:-1])
                self.assertEqual([type(item) for item in items], [type(item) for item in MIXED[:-1]])
                self.assertEqual(len(items), 9)
                self.assertEqual(items.format, 'qdxxxxxxx?xxxxxxx?xxxxxx?x8s8s8s8s')
                self.assertEqual(repr(items), 'ShareableList(%r, name=%r)' % (MIXED[:-1], items.shm.name))
                self.assertEqual((items[-1], items[-9], items[5]), (b'', 1, 'text'))
                with self.assertRaises(TypeError):
                    items[1.0]
                items[0], items[5], items[-1] = 'short', -1, None
                self.assertEqual((items[0], items[5], items[8]), ('short', -1, None))
                # Just beyond the ends multiprocessing finds something.
                for position in (9, -10, 1 << 40) if module is Mp.shared_memory else (-100, 1 << 40):
                    with self.assertRaisesRegex(IndexError, '^index out of range'):
                        items[position]
                    with self.assertRaisesRegex(IndexError, 'assignment index out of range'):
                        items[position] = 1
                with self.assertRaisesRegex(ValueError, 'exceeds available storage'):
                    items[0] = 'longer than 8'
                self.assertEqual((items.count(True), items.count(0), items.count('none')), (1, 1, 0))
                with self.assertRaises(struct.error):
                    items[0] = 1 << 63
                self.assertEqual(items.index(-1), 5)
                with self.assertRaisesRegex(ValueError, "'none' not in this container"):
                    items.index('none')
                with self.assertRaises(TypeError):
                    items['x']
                items.shm.close()
                items.shm.unlink()

    def test_by_name(self):
        for module in BOTH:
            with self.subTest(module):
                items = module.ShareableList(['a', 1], name='mp-test-%d' % os.getpid())
                same = module.ShareableList(name=items.shm.name)
                same[1] = 2.5
                self.assertEqual(list(items), ['a', 2.5])
                copy = module.ShareableList(items)
                self.assertNotEqual(copy.shm.name, items.shm.name)
                copy[0] = 'b'
                self.assertEqual((items[0], copy[0]), ('a', 'b'))
                with self.assertRaises(FileExistsError):
                    module.ShareableList([], name=items.shm.name)
                with self.assertRaises(FileNotFoundError):
                    module.ShareableList(name='mp-test-none')
                empty = module.ShareableList()
                self.assertEqual((list(empty), len(empty), empty.format), ([], 0, ''))
                for one in items, copy, empty:
                    one.shm.unlink()

    def test_pickle(self):
        for module in BOTH:
            with self.subTest(module):
                items = module.ShareableList([1, 2])
                same = pickle.loads(pickle.dumps(items))
                same[-1] = -100
                self.assertEqual(items[1], -100)
                same.shm.close()
                items.shm.unlink()

    def test_places_of_texts(self):
        texts = ['encodés', 'äöüß', 'plain', '12345678', b'12345678', '']
        items, others = Mp.shared_memory.ShareableList(texts), multiprocessing.shared_memory.ShareableList(texts)
        self.assertEqual(items.format, others.format)
        self.assertEqual(bytes(items.shm.buf), bytes(others.shm.buf[:items.shm.size]))
        others.shm.close()
        others.shm.unlink()

    def test_what_multiprocessing_gets_wrong(self):
        items = Mp.shared_memory.ShareableList(['größer', 'aäöüßäö', '12345678'])
        self.assertEqual(list(items), ['größer', 'aäöüßäö', '12345678'])
        for value in 'end\0', b'end\0', b'\0', 'in\0side':
            for make in lambda: Mp.shared_memory.ShareableList([value]), lambda: items.__setitem__(0, value):
                with self.assertRaisesRegex(ValueError, 'NUL'):
                    make()
        with self.assertRaises(ValueError):
            items[0] = 'ä' * 9
        with self.assertRaises(UnicodeEncodeError):
            items[0] = '\ud800'
        self.assertEqual(items[0], 'größer')
        items.shm.unlink()

    def test_wrong_types(self):
        items = Mp.shared_memory.ShareableList([1])
        for value in [[1], {}, 1j, object()]:
            for make in lambda: Mp.shared_memory.ShareableList([value]), lambda: items.__setitem__(0, value):
                with self.assertRaisesRegex(TypeError, type(value).__name__):
                    make()
        with self.assertRaises(ValueError):
            Mp.shared_memory.ShareableList(['x' * 10000000])
        items.shm.unlink()

    def test_numbers(self):
        numbers = [2**63 - 1, -2**63, 0, 1e308, -0.0, math.inf, math.nan, 5e-324]
        items = Mp.shared_memory.ShareableList(numbers)
        self.assertEqual(list(map(repr, items)), list(map(repr, numbers)))
        items.shm.unlink()

    def test_damaged(self):
        items = Mp.shared_memory.ShareableList(['text', 1])
        # 8 for the length, 24 for the offsets, 16 for the items.
        items.shm.buf[48:50] = b'9s'
        with self.assertRaisesRegex(ValueError, 'damaged'):
            items[0]
        items.shm.buf[0] = 200
        with self.assertRaisesRegex(ValueError, 'damaged'):
            Mp.shared_memory.ShareableList(name=items.shm.name)
        self.assertEqual(items[1], 1)
        items.shm.close()
        with self.assertRaisesRegex(ValueError, 'closed'):
            items[1]
        items.shm.unlink()

    def test_travel(self):
        items = Mp.shared_memory.ShareableList(MIXED)
        unnamed = Mp.ShareableList.new(GLib.Variant('(xs)', (1, 'text')))
        with Mp.Pool(1) as pool:
            self.assertEqual(pool.apply(change, (items, 9, 'kleiner')), 'größer')
            self.assertEqual(items[9], 'kleiner')
            self.assertEqual(pool.apply(change, (unnamed, 0, b'x')), 1)
            self.assertEqual(list(unnamed), [b'x', 'text'])
            back = pool.apply(give_back, ([items],))[0]
            self.assertEqual((type(back), list(back), back.shm.name), (Mp.ShareableList, list(items), items.shm.name))
        self.assertEqual((unnamed.isolated, items.isolated, unnamed.shm.name), (True, False, None))
        items.shm.unlink()

    def test_threads(self):
        items = Mp.ShareableList.new(GLib.Variant('(xx)', (0, 0)))

        def count(position):
            for i in range(500):
                items[position] = items[position] + 1

        threads = [threading.Thread(target=count, args=(position,)) for position in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(list(items), [500, 500])


class ManagerTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for make in Mp.managers.SharedMemoryManager, multiprocessing.managers.SharedMemoryManager:
            with self.subTest(make):
                with make() as manager:
                    memory = manager.SharedMemory(size=128)
                    items = manager.ShareableList(range(5))
                    names = [memory.name, items.shm.name]
                    self.assertEqual((memory.size, list(items)), (128, [0, 1, 2, 3, 4]))
                    for name in names:
                        self.assertTrue(os.path.exists(path_of(name)))
                for name in names:
                    self.assertFalse(os.path.exists(path_of(name)))

    def test_shutdown(self):
        manager = Mp.SharedMemoryManager()
        called = []
        manager.start(called.append, (1,))
        memory = manager.SharedMemory(10)
        name = memory.name
        del memory
        gc.collect()
        self.assertTrue(os.path.exists(path_of(name)))
        manager.shutdown()
        manager.shutdown()
        self.assertFalse(os.path.exists(path_of(name)))
        before = sorted(os.listdir(FOLDER))
        for make in lambda: manager.SharedMemory(10), lambda: manager.ShareableList([1]):
            with self.assertRaisesRegex(ValueError, 'shut down'):
                make()
        self.assertEqual([name for name in os.listdir(FOLDER) if name.startswith('psm_') and name not in before], [])
        self.assertEqual(called, [1])

    def test_end_of_program(self):
        result = Script('''
            from gi.repository import Mp
            manager = Mp.managers.SharedMemoryManager()
            print(manager.SharedMemory(10).name, manager.ShareableList([1]).shm.name)
        ''').run()
        for name in result.stdout.split():
            self.assertFalse(os.path.exists(path_of(name)))


class ModuleTest(unittest.TestCase):
    def test_names(self):
        self.assertIs(Mp.shared_memory.SharedMemory, Mp.SharedMemory)
        self.assertEqual(Mp.shared_memory.__all__, sorted(multiprocessing.shared_memory.__all__))
        self.assertIs(Mp.managers.SharedMemoryManager, Mp.SharedMemoryManager)

    def test_import(self):
        from gi.repository.Mp.managers import SharedMemoryManager
        from gi.repository.Mp.shared_memory import ShareableList, SharedMemory
        from gi.repository.Mp import sharedctypes
        import gi.repository.Mp.sharedctypes

        self.assertIs(SharedMemoryManager, Mp.SharedMemoryManager)
        self.assertIs(ShareableList, Mp.shared_memory.ShareableList)
        self.assertIs(SharedMemory, Mp.shared_memory.SharedMemory)
        self.assertIs(gi.repository.Mp.sharedctypes, sharedctypes)
        self.assertIs(sharedctypes.RawArray, Mp.RawArray)


if __name__ == '__main__':
    support.main()
