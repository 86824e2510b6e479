#!/usr/bin/env python3
# test_items.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp.Items, and lists as input; the library's own names as Python sees them."""

import itertools
import unittest

from gi.repository import Gio, GLib, GObject
from gi.repository import Mp

import support
from support import TIMEOUT

_US = int(TIMEOUT * 1e6)


@Mp.function
def double(x):
    return x * 2


@Mp.function
def odd_fails(x):
    if x % 2:
        raise KeyError(x)
    return x


@Mp.function(raw=True)
def greet(handle):
    Mp.shareable_from_variant(handle).send('hello')
    return GLib.Variant('b', True)


def square(x):
    return x * x


def exclaim(text):
    return text + '!'


class Refused(Exception):
    pass


class Text(GObject.Object):
    string = GObject.Property(type=str)


class Number(GObject.Object):
    def __init__(self, number):
        super().__init__()
        self.number = number


def texts(*strings):
    store = Gio.ListStore.new(Text)
    for string in strings:
        store.append(Text(string=string))
    return store


class ItemsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = Mp.Pool(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.terminate()
        cls.pool.join(TIMEOUT)

    def test_iterable(self):
        for chunksize in (1, 3, 100):
            self.assertEqual(list(self.pool.imap('double', Mp.Items(range(50)), chunksize)), list(range(0, 100, 2)))
            self.assertEqual(sorted(self.pool.imap_unordered('double', Mp.Items(range(50)), chunksize)),
                             list(range(0, 100, 2)))
            self.assertEqual(self.pool.map('double', Mp.Items(range(50)), chunksize), list(range(0, 100, 2)))
        self.assertEqual(self.pool.map('double', Mp.Items()), [])
        self.assertEqual(self.pool.map('double', Mp.Items(iter('ab'))), ['aa', 'bb'])

    def test_endless(self):
        asked = []

        def count():
            for i in itertools.count():
                asked.append(i)
                yield i

        iterator = self.pool.imap('double', Mp.Items(count()))
        self.assertEqual(list(itertools.islice(iterator, 300)), list(range(0, 600, 2)))
        self.assertLess(len(asked), 600)

    def test_failing_iterable(self):
        def fail():
            yield from range(5)
            raise Refused('enough')

        for chunksize in (1, 2, 7):
            iterator = self.pool.imap('double', Mp.Items(fail()), chunksize)
            for i in range(5):
                self.assertEqual(iterator.next(TIMEOUT), 2 * i)
            with self.assertRaisesRegex(Refused, 'enough') as caught:
                iterator.next(TIMEOUT)
            self.assertIn('in fail', str(caught.exception.__cause__))
            self.assertRaises(StopIteration, iterator.next, TIMEOUT)
        with self.assertRaises(Refused):
            self.pool.map('double', Mp.Items(fail()))

    def test_failing_calls(self):
        iterator = self.pool.imap('odd_fails', Mp.Items(range(4)), 3)
        outcomes = []
        for _ in range(4):
            try:
                outcomes.append(iterator.next(TIMEOUT))
            except KeyError as exc:
                outcomes.append(exc.args)
        self.assertEqual(outcomes, [0, (1,), 2, (3,)])

    def test_func(self):
        numbers = iter(range(10))
        items = Mp.Items.new_for_func(lambda: next(numbers, None))
        self.assertIsInstance(items, Mp.Items)
        self.assertEqual(self.pool.map('double', items), list(range(0, 20, 2)))
        with self.assertRaisesRegex(ValueError, 'another call'):
            self.pool.map('double', items)

    def test_items_are_for_names(self):
        with self.assertRaises(TypeError):
            self.pool.map(square, Mp.Items(range(3)))

    def test_list(self):
        store = texts('a', 'b', 'c')
        self.assertEqual(self.pool.map('double', store), ['aa', 'bb', 'cc'])
        self.assertEqual(list(self.pool.imap('double', store, 2)), ['aa', 'bb', 'cc'])
        self.assertEqual(self.pool.map(exclaim, store), ['a!', 'b!', 'c!'])
        self.assertEqual(self.pool.map_async(exclaim, store).get(TIMEOUT), ['a!', 'b!', 'c!'])
        self.assertEqual(list(self.pool.imap(exclaim, store, 2)), ['a!', 'b!', 'c!'])

    def test_list_with_converter(self):
        store = Gio.ListStore.new(Number)
        for i in range(20):
            store.append(Number(i))
        self.assertEqual(self.pool.map('double', Mp.Items.new_for_model(store, lambda item: item.number), 3),
                         list(range(0, 40, 2)))

        def convert(item):
            if item.number == 7:
                raise Refused(item.number)
            return item.number

        iterator = self.pool.imap('double', Mp.Items.new_for_model(store, convert), 4)
        for i in range(7):
            self.assertEqual(iterator.next(TIMEOUT), 2 * i)
        self.assertRaises(Refused, iterator.next, TIMEOUT)
        self.assertRaises(StopIteration, iterator.next, TIMEOUT)

    def test_objects_of_a_list(self):
        pipes = [Mp.Pipe() for _ in range(3)]
        store = Gio.ListStore.new(Mp.Connection)
        for near, _far in pipes:
            store.append(near)
        self.assertEqual(self.pool.map('greet', store), [True] * 3)
        for _near, far in pipes:
            self.assertEqual(far.recv(), 'hello')

    def test_plain_calls(self):
        """The library's own names: GLib.Variants and microseconds."""
        numbers = iter(range(10))
        items = Mp.Items.new_for_func(lambda: next(numbers, None))
        options = Mp.TaskOptions(name='doubling', priority=1)
        iterator = self.pool.imap_with('double', items, 3, True, options)
        seen = []
        while (batch := iterator.next_batch(4, _US, None)) is not None:
            self.assertEqual(batch.get_type_string(), 'a(tbv)')
            self.assertLessEqual(batch.n_children(), 4)
            seen += batch.unpack()
        self.assertEqual(seen, [(i, True, 2 * i) for i in range(10)])
        self.assertEqual(iterator.get_n_items(), 10)

        variant = self.pool.map_with('double', Mp.Items(range(5)), 2, None, _US, None)
        self.assertEqual(variant.unpack(), [0, 2, 4, 6, 8])
        future = self.pool.submit_map_with('double', Mp.Items.new_for_array(GLib.Variant('ai', [1, 2])), 0, options)
        self.assertEqual(future.get(_US, None).unpack(), [2, 4])

        iterator = self.pool.imap_with('double', Mp.Items(itertools.count()), 1, False, None)
        iterator.next(_US, None)
        iterator.close()
        self.assertIsNone(iterator.next(_US, None))

    def test_plain_async(self):
        results = []
        loop = GLib.MainLoop()

        def done(pool, result):
            results.append(pool.map_with_finish(result).unpack())
            loop.quit()

        self.pool.map_with_async('double', Mp.Items(range(5)), 2, None, None, done)
        loop.run()
        self.assertEqual(results, [[0, 2, 4, 6, 8]])


if __name__ == '__main__':
    support.main()
