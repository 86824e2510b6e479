#!/usr/bin/env python3
# test_value.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp.Value, Mp.Array and Mp.sharedctypes: what multiprocessing's do, and what GVariant's types add."""

import ctypes
import gc
import multiprocessing
import multiprocessing.sharedctypes
import os
import signal
import threading
import unittest
import weakref

import numpy

from gi.repository import GLib, Mp

import support

BOTH = (Mp, multiprocessing)
TIMEOUT = 60


class Point(ctypes.Structure):
    _fields_ = [('x', ctypes.c_double), ('y', ctypes.c_double), ('name', ctypes.c_char * 6)]


class Short(ctypes.Structure):
    _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_int)]


class Segment(ctypes.Structure):
    __slots__ = ()
    _fields_ = [('a', Short), ('b', Short)]


class Packed(ctypes.Structure):
    _pack_ = 1
    _fields_ = [('a', ctypes.c_uint8), ('b', ctypes.c_uint32)]


class Either(ctypes.Union):
    _fields_ = [('i', ctypes.c_int64), ('d', ctypes.c_double)]


def add_under_lock(value, n):
    for _ in range(n):
        with value.get_lock():
            value.value += 1


def add_at_once(value, n):
    for _ in range(n):
        value.add(1)


def fill(array):
    with array:
        for i in range(len(array)):
            array[i] = i * i
    return type(array).__name__, array.get_lock() is not None


def move(point):
    point.x += 1
    point.name = b'moved'
    return repr(point)


def double(raw):
    numbers = numpy.frombuffer(raw, dtype='d')
    numbers *= 2
    return type(raw).__name__, len(raw)


def give_back(what):
    return what


def look(value):
    return value.get_obj() if hasattr(value, 'get_obj') else value


def hold_and_die(value, ours):
    value.acquire()
    ours.send(os.getpid())
    signal.pause()


def wrapped_add(wrapped):
    with wrapped:
        wrapped.value += 5


class ValueTest(unittest.TestCase):
    def test_as_multiprocessing(self):
        for module in BOTH:
            with self.subTest(module):
                value = module.Value('i', 7)
                self.assertEqual(value.value, 7)
                value.value += 1
                self.assertEqual(value.value, 8)
                self.assertEqual(repr(value), '<Synchronized wrapper for c_int(8)>')
                with value.get_lock():
                    value.value = -3
                with value:
                    self.assertEqual(value.get_obj().value, -3)
                self.assertTrue(value.acquire())
                value.release()
                with self.assertRaises(TypeError):
                    value.value = 'text'
                with self.assertRaises(TypeError):
                    value.value = 1.5
                value.value = 1 << 40 | 5     # cut, as ctypes does
                self.assertEqual(value.value, 5)
                self.assertEqual(module.Value('d').value, 0.0)
                self.assertEqual(module.Value('c', b'x').value, b'x')
                self.assertEqual(module.Value('u', 'ö').value, 'ö')
                self.assertEqual(module.Value(ctypes.c_bool, True).value, True)

    def test_codes(self):
        for module in BOTH:
            for code, number in (('b', -128), ('B', 255), ('h', -5), ('H', 65535), ('i', -2 ** 31), ('I', 2 ** 32 - 1),
                                 ('l', -2 ** 63), ('L', 2 ** 64 - 1), ('q', -2 ** 63), ('Q', 2 ** 64 - 1), ('f', 0.25),
                                 ('d', 1e300)):
                with self.subTest((module, code)):
                    self.assertEqual(module.Value(code, number).value, number)
                    array = module.Array(code, [number] * 3)
                    self.assertEqual(array[:], [number] * 3)
                    raw = module.RawArray(code, 2)
                    raw[1] = number
                    self.assertEqual(list(raw), [0, number])
                    self.assertEqual(module.RawValue(code, number).value, number)

    def test_bad(self):
        for module in BOTH:
            with self.subTest(module):
                with self.assertRaises(TypeError):
                    module.Value('z', 1)
                with self.assertRaises(TypeError):
                    module.Value('i', 'text')
                with self.assertRaises(TypeError):
                    module.Array('i', 2.5)
                with self.assertRaises(ValueError):
                    module.Array('i', -1)
                with self.assertRaises(AttributeError):
                    module.Value('i', lock=5)
                with self.assertRaises(AttributeError):
                    module.Value('i').raw
                array = module.Array('i', 3)
                for index in (3, -4):
                    with self.assertRaises(IndexError):
                        array[index]
                    with self.assertRaises(IndexError):
                        array[index] = 1
                with self.assertRaises(TypeError):
                    array[0] = 'text'
                with self.assertRaises(ValueError):
                    array[0:2] = [1, 2, 3]
                with self.assertRaises(AttributeError):
                    array.value
        with self.assertRaises(ValueError):
            Mp.Array('i', 0)
        for none in 0, [], b'':
            with self.assertRaisesRegex(ValueError, 'an array has one element at least, not 0'):
                Mp.Array('c', none)
        with self.assertRaises(OverflowError):
            Mp.Array('i', 10 ** 100)
        with self.assertRaises(OSError):
            Mp.Array('d', 1 << 50)
        with self.assertRaises(TypeError):
            Mp.Value('i', lock=threading.Lock())
        with self.assertRaises(TypeError):
            Mp.Value(ctypes.c_void_p)
        with self.assertRaises(ValueError):
            Mp.Value(GLib.VariantType('s'))
        with self.assertRaises(ValueError):
            Mp.Value(GLib.VariantType('(ih)'))
        with self.assertRaises(AttributeError):
            Mp.Array('i', 2).value = b'x'
        with self.assertRaises(AttributeError):
            Mp.Array('i', 2).whatever
        with self.assertRaises(TypeError):
            Mp.Value('f').add(1)
        # What is no integer is refused, not rounded.
        for delta in 1.5, 1.0, '1', None:
            value = Mp.Value('i', 3)
            with self.assertRaisesRegex(TypeError, 'added to c_int'):
                value.add(delta)
            self.assertEqual(value.value, 3)
        with self.assertRaisesRegex(TypeError, 'added to c_double'):
            Mp.Value('d').add('1')
        with self.assertRaisesRegex(OSError, r'^\[Errno 12\] array creation: '):
            Mp.Array('i', 1 << 45)
        with self.assertRaises(IndexError):
            Mp.Array('i', 3).add(3, 1)
        for index in 0.5, 'x', None:
            with self.assertRaises(TypeError):
                Mp.Array('i', 3).add(index, 1)

    def test_locks(self):
        for module in BOTH:
            with self.subTest(module):
                lock = module.Lock()
                value, array = module.Value('i', lock=lock), module.Array('i', 2, lock=lock)
                self.assertIs(value.get_lock(), lock)
                self.assertIs(array.get_lock(), lock)
                entered, seen = threading.Event(), []
                with lock:
                    thread = threading.Thread(target=lambda: (entered.set(), seen.append(value.value)))
                    thread.start()
                    entered.wait()
                    self.assertEqual(seen, [])     # it waits for the lock
                    value.get_obj().value = 9
                thread.join()
                self.assertEqual(seen, [9])
                self.assertIsInstance(module.Value('i', lock=False), ctypes.c_int)
                self.assertIsInstance(module.Array('i', 3, lock=False), ctypes.Array)
                value = module.Value('i')
                with value, value.get_lock(), value:     # again by its owner
                    value.value = 1

    def test_variant_types(self):
        value = Mp.Value('(id)', 3, 0.5)
        self.assertEqual(value.value, (3, 0.5))
        value.value = (4, 1)
        self.assertEqual(value.value, (4, 1.0))
        self.assertEqual(Mp.Value('(id)', (3, 0.5)).value, (3, 0.5))     # as it is assigned
        self.assertEqual(Mp.Value('((id))', (3, 0.5)).value, ((3, 0.5),))
        with self.assertRaisesRegex(ValueError, 'a tuple of 2 is wanted, not .1, 2, 3.'):
            value.value = (1, 2, 3)
        for single in 3, None, 'ab', b'ab':
            with self.assertRaisesRegex((TypeError, ValueError), 'a tuple of 2 is wanted'):
                value.value = single
            with self.assertRaisesRegex(ValueError, 'a tuple of 2 is wanted'):
                Mp.Value('(id)', single)
        with self.assertRaises(TypeError):
            value.value = ('a', 2)
        self.assertEqual(value.value, (4, 1.0))
        self.assertEqual(value.get().unpack(), (4, 1.0))
        nested = Mp.Value('(y(bx)n)', 1, (True, -5), 7)
        self.assertEqual(nested.value, (1, (True, -5), 7))
        self.assertEqual(nested.get().unpack(), (1, (True, -5), 7))
        self.assertEqual(Mp.Value(GLib.VariantType('u'), 2 ** 32 - 1).type_string, 'u')
        self.assertEqual(Mp.Value('t', 2 ** 64 - 1).value, 2 ** 64 - 1)
        array = Mp.Array('(id)', 3)
        array[1] = (5, 0.5)
        self.assertEqual(array[1].value, (5, 0.5))
        self.assertEqual(array.get_item(1).unpack(), (5, 0.5))
        made = Mp.Array.new_from_variant(GLib.Variant('an', [1, -2, 3]))
        self.assertEqual(made[:], [1, -2, 3])

    def test_structures(self):
        for module in BOTH:
            with self.subTest(module):
                point = module.Value(Point, 1.5, -2, b'name')
                self.assertEqual((point.x, point.y, point.name), (1.5, -2.0, b'name'))
                point.x += 1
                self.assertEqual(point.get_obj().x, 2.5)
                with self.assertRaises(AttributeError):
                    point.z
                points = module.Array(Point, [(1, 2, b'a'), (3, 4, b'b')])
                points[0].y = 7
                self.assertEqual([(p.x, p.y, p.name) for p in points], [(1, 7, b'a'), (3, 4, b'b')])
                packed = module.Value(Packed, 1, 2)
                self.assertEqual((packed.a, packed.b), (1, 2))
                either = module.Value(Either)
                either.d = 1.0
                self.assertEqual(either.i, 0x3ff0000000000000)

    def test_one_step(self):
        value = Mp.Value('i', 5)
        self.assertEqual((value.add(3), value.value), (5, 8))
        self.assertEqual((value.exchange(1), value.value), (8, 1))
        self.assertIs(value.compare_exchange(2, 9), False)
        self.assertIs(value.compare_exchange(1, 9), True)
        self.assertEqual(value.value, 9)
        real = Mp.Array('d', [0.5, 1.5])
        self.assertEqual((real.add(-1, 0.25), real[1]), (1.5, 1.75))
        large = Mp.Value('Q', 2 ** 64 - 1)
        self.assertEqual((large.add(1), large.value), (2 ** 64 - 1, 0))
        self.assertEqual((large.add(2 ** 64 - 1), large.value), (0, 2 ** 64 - 1))
        small = Mp.Value('b', -1)
        self.assertEqual((small.add(1), small.value), (-1, 0))
        letter = Mp.Value('c', b'a')
        self.assertEqual((letter.exchange(b'b'), letter.value), (b'a', b'b'))
        self.assertIs(Mp.Value('f', 0.5).compare_exchange(0.5, 1), True)

    def test_text(self):
        for module in BOTH:
            with self.subTest(module):
                text = module.Array('c', b'hello world')
                self.assertEqual((len(text), text.value, text.raw), (11, b'hello world', b'hello world'))
                text.value = b'bye'
                self.assertEqual((text.value, text.raw), (b'bye', b'bye\0o world'))
                text[0] = b'B'
                self.assertEqual(text[:3], b'Bye')
                text.raw = b'x' * 11
                self.assertEqual(text.value, b'x' * 11)
                with self.assertRaises(ValueError):
                    text.value = b'y' * 12
                self.assertTrue(repr(text).startswith('<SynchronizedString wrapper for <'))
                wide = module.Array('u', 'größer')
                self.assertEqual(wide.value if module is Mp else wide.get_obj().value, 'größer')

    def test_arrays(self):
        for module in BOTH:
            with self.subTest(module):
                array = module.Array('i', range(10))
                self.assertEqual((len(array), array[0], array[-1]), (10, 0, 9))
                self.assertEqual(array[2:5], [2, 3, 4])
                self.assertEqual(array[::-3], [9, 6, 3, 0])
                array[2:5] = [-1, -2, -3]
                self.assertEqual(list(array), [0, 1, -1, -2, -3, 5, 6, 7, 8, 9])
                self.assertEqual(sum(array), 30)
                self.assertTrue(repr(array).startswith('<SynchronizedArray wrapper for <'))

    def test_buffers(self):
        for module in BOTH:
            with self.subTest(module):
                array = module.Array('d', 1000)
                view = memoryview(array.get_obj())
                self.assertEqual((view.nbytes, view.readonly), (8000, False))
                numbers = numpy.frombuffer(array.get_obj(), dtype='d')
                numbers[:] = numpy.arange(1000)
                self.assertEqual(array[999], 999.0)
                array[7] = -1
                self.assertEqual(numbers[7], -1)
                raw = numpy.ctypeslib.as_array(module.RawArray('h', 5))
                raw += 3
                self.assertEqual(list(raw), [3] * 5)

    def test_memory_lives_with_its_views(self):
        array = Mp.Array('i', 1 << 20)
        gone = weakref.ref(array.get_obj())
        numbers = numpy.frombuffer(array.get_obj(), dtype='i')
        n_fds = len(os.listdir('/proc/self/fd'))
        del array
        gc.collect()
        numbers[:] = 7
        self.assertEqual(int(numbers.sum()), 7 << 20)
        self.assertIsNone(gone())
        del numbers
        gc.collect()
        self.assertEqual(len(os.listdir('/proc/self/fd')), n_fds - 1)

    def test_memory_lives_with_its_parts(self):
        # Above what lies in a slot, and below.
        for lock in True, False:
            part = Mp.Array(Point, [(1, 2, b'a')] * 1000, lock=lock)[999]
            inner = Mp.Value(Segment, lock=lock)
            inner.a = Short(3, 4)
            inner = inner.a
            item = Mp.Value('((ii)i)', (5, 6), 7, lock=lock)
            item = item.f0
            # What is made next would take the place of what is gone.
            others = [Mp.Value(Segment, Short(9, 9), Short(9, 9)) for _ in range(10)]
            others += [Mp.Array(Point, [(9, 9, b'z')] * 1000) for _ in range(10)]
            self.assertEqual((part.x, part.y, part.name), (1, 2, b'a'))
            part.x = 5
            self.assertEqual((part.x, inner.x, inner.y, item.value), (5, 3, 4, (5, 6)))

    def test_gone_without_the_collector(self):
        gc.disable()
        try:
            array = Mp.Array('i', 10)
            array[0] = 1
            gone = weakref.ref(array)
            del array
            self.assertIsNone(gone())
        finally:
            gc.enable()


class TravelTest(unittest.TestCase):
    def test_counters(self):
        for use in add_under_lock, add_at_once:
            with self.subTest(use):
                value = Mp.Value('i', 0)
                processes = [Mp.Process(target=use, args=(value, 500)) for _ in range(3)]
                for process in processes:
                    process.start()
                for process in processes:
                    process.join()
                    self.assertEqual(process.exitcode, 0)
                self.assertEqual(value.value, 1500)

    def test_pool(self):
        array, point, raw = Mp.Array('q', 50), Mp.Value(Point, 1, 2, b'p'), Mp.RawArray('d', [1, 2, 3])
        with Mp.Pool(2) as pool:
            self.assertEqual(pool.apply(fill, (array,)), ('Array', True))
            self.assertEqual(array[:], [i * i for i in range(50)])
            self.assertIn('Synchronized wrapper for', pool.apply(move, (point,)))
            self.assertEqual((point.x, point.name), (2.0, b'moved'))
            self.assertEqual(pool.apply(double, (raw,)), ('c_double_Array_3', 3))
            self.assertEqual(list(raw), [2.0, 4.0, 6.0])
            self.assertEqual(sum(pool.map(add_under_lock_one, [point.get_lock()] * 4)), 4)
            for what in Mp.Value('f', 0.5), Mp.Value('c', b'x'), Mp.Value('b', -3), Mp.RawValue('u', 'ö'):
                back = pool.apply(give_back, (what,))
                self.assertIs(type(back), type(what))
                self.assertEqual(back.value, what.value)
            for what in Mp.Array('c', b'text'), Mp.Array(Point, 2), Mp.RawArray(ctypes.c_int * 3, 2), Mp.Array('(id)', 2):
                back = pool.apply(give_back, (what,))
                self.assertIs(type(back), type(what))
                self.assertEqual(bytes(look(back)), bytes(look(what)))

    def test_synchronized(self):
        for module in BOTH:
            with self.subTest(module):
                raw = module.sharedctypes.RawValue('i', 3)
                wrapped = module.sharedctypes.synchronized(raw, module.Lock())
                with wrapped:
                    self.assertEqual(wrapped.get_obj().value, 3)
                wrapped.value = 4
                self.assertEqual(raw.value, 4)
                other = module.sharedctypes.copy(raw)
                other.value += 1
                self.assertEqual((raw.value, other.value), (4, 5))
                array = module.sharedctypes.synchronized(module.sharedctypes.RawArray('i', 3))
                array[1] = 7
                self.assertEqual((len(array), array[:]), (3, [0, 7, 0]))
                point = module.sharedctypes.synchronized(module.sharedctypes.RawValue(Point, 1, 2, b'one'))
                point.name = b'two'
                self.assertEqual((point.x, point.get_obj().name), (1, b'two'))
                with self.assertRaises(AttributeError):
                    point.z
        wrapped = Mp.sharedctypes.synchronized(Mp.RawValue('i', 3))
        with Mp.Pool(1) as pool:
            pool.apply(wrapped_add, (wrapped,))
        self.assertEqual(wrapped.value, 8)

    def test_contexts(self):
        context = Mp.get_context('spawn')
        value, array = context.Value('i', 1), context.Array('i', [2])
        self.assertEqual((value.value, array[0], context.RawValue('i', 3).value, context.RawArray('i', [4])[0]), (1, 2, 3, 4))

    def test_killed_with_the_lock(self):
        value = Mp.Value('i', 1)
        ours, theirs = Mp.Pipe()
        process = Mp.Process(target=hold_and_die, args=(value, theirs))
        process.start()
        os.kill(ours.recv(timeout=TIMEOUT), signal.SIGKILL)
        value.value = 2
        self.assertIs(value.get_lock().abandoned, True)
        process.join()


def add_under_lock_one(lock):
    with lock:
        return 1


if __name__ == '__main__':
    support.main()
