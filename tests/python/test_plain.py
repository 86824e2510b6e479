#!/usr/bin/env python3
# test_plain.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain values as bytes: there and back, and bytes that are none."""

import collections
import enum
import math
import random
import re
import struct
import sys
import time
import unittest

from gi.repository import GLib
from gi.repository import Mp  # noqa: F401: its overrides

from gi.overrides import _mp_plain as plain

import support

VALUES = [
    None, True, False, 0, 1, -1, 127, 128, -128, -129, 255, 256, 2 ** 63, -2 ** 63, 2 ** 64, 10 ** 1000, -10 ** 1000,
    0.0, -0.0, 0.1, -1e308, 5e-324, math.inf, -math.inf, 1j, complex(-0.0, math.inf),
    '', 'text', 'größer', '\0', '\U0001f600', 'lone \ud800 surrogate', 'x' * 1000, b'', b'\0\xff', bytes(range(256)),
    bytearray(), bytearray(b'abc'), [], [1], [[[]]], (), (1,), (1, (2, [3])), {}, {'a': 1, 2: None, (3, 4): [5]},
    set(), {1, 'a', (2,)}, frozenset(), frozenset({1, frozenset()}),
    int, float, str, bytes, bytearray, list, dict, object, type, ValueError, [2.25, None, 'junk', float],
    GLib.Variant('i', 5), GLib.Variant('(sv)', ('a', GLib.Variant('ai', [1, 2]))), [GLib.Variant('ay', b'abc')],
    list(range(1000)), {i: str(i) for i in range(1000)},
]


def same(first, second):
    """Whether they are equal, and of the same types all the way down."""
    if type(first) is not type(second):
        return False
    if type(first) is float:
        return struct.pack('d', first) == struct.pack('d', second)
    if type(first) is complex:
        return same(first.real, second.real) and same(first.imag, second.imag)
    if type(first) in (list, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if type(first) is dict:
        return same(list(first), list(second)) and same(list(first.values()), list(second.values()))
    if type(first) in (set, frozenset):
        return first == second and sorted(map(repr, first)) == sorted(map(repr, second))
    return first == second


def peak(begin=False):
    """Bytes of memory that this process has had at most since it was last begun."""
    if begin:
        with open('/proc/self/clear_refs', 'w') as stream:
            stream.write('5')
    with open('/proc/self/status') as stream:
        return int(re.search(r'VmHWM:\s*(\d+)', stream.read())[1]) << 10


class PlainTest(unittest.TestCase):
    def test_values(self):
        for value in VALUES + [VALUES]:
            data, handles = plain.dumps(value)
            self.assertEqual(handles, [])
            self.assertTrue(same(plain.loads(data), value), value)

    def test_nan(self):
        value = struct.unpack('<d', b'\1\2\3\4\5\6\xf8\x7f')[0]
        self.assertEqual(struct.pack('<d', plain.loads(plain.dumps(value)[0])), b'\1\2\3\4\5\6\xf8\x7f')

    def test_form(self):
        """It is what other programs may read: it stays as it is."""
        self.assertEqual(plain.dumps([None, True, 1, -1, 300, 'é', b'x' * 128, {'a': 1.0}])[0],
                         b'l\x08NTi\x01\x01i\x01\xffi\x02\x2c\x01s\x02\xc3\xa9b\x80\x01' + b'x' * 128 +
                         b'D\x01s\x01ad\0\0\0\0\0\0\xf0\x3f')
        self.assertEqual(plain.dumps((float, {1}, GLib.Variant('n', 2)))[0],
                         b't\x03y\x05floatS\x01i\x01\x01v\x01n\x02\2\0')

    def test_refused(self):
        class Number(enum.IntEnum):
            ONE = 1

        pair = collections.namedtuple('Pair', 'a b')
        for value in (lambda: 1, object(), Number.ONE, pair(1, 2), collections.OrderedDict(), range(3), memoryview(b''),
                      Number, math, ValueError('x'), [1, {2: {object()}}]):
            with self.assertRaisesRegex(TypeError, 'cannot be sent .* allow_pickle=True'):
                plain.dumps(value)

    def test_depth(self):
        value = []
        for _ in range(plain.MAX_DEPTH - 1):
            value = [value]
        self.assertEqual(plain.loads(plain.dumps(value)[0]), value)
        with self.assertRaisesRegex(ValueError, 'deep'):
            plain.dumps([value])
        itself = {}
        itself['a'] = itself
        with self.assertRaisesRegex(ValueError, 'holds itself'):
            plain.dumps(itself)
        with self.assertRaisesRegex(Mp.ProcessError, 'deep'):
            plain.loads(b'l\x01' * (plain.MAX_DEPTH + 1) + b'N')
        with self.assertRaises(Mp.ProcessError):
            plain.loads(b'l\x01' * 1000000)

    def refused(self, data, why=''):
        with self.assertRaisesRegex(Mp.ProcessError, 'is no value: .*' + why):
            plain.loads(data)

    def test_hostile(self):
        self.refused(b'', 'too early')
        self.refused(b'x', 'no kind 120')
        self.refused(b'NN', 'behind its end')
        self.refused(b'cposix\nsystem\n', '')
        self.refused(b'\x80\x04N.', 'no kind')
        huge = b'\xff' * 8 + b'\x7f'
        for tag in b'isbaltSfDyvh':
            self.refused(bytes((tag,)))
            self.refused(bytes((tag,)) + huge)
            self.refused(bytes((tag,)) + b'\xff' * 9 + b'\1', 'too large')
        self.refused(b's\x01\xff')
        self.refused(b's\x03\xed\xa0')
        self.refused(b'S\x01l\0', 'unhashable')
        self.refused(b'D\x01a\0N', 'unhashable')
        self.refused(b'y\x04eval', 'no type')
        self.refused(b'y\x0a__import__', 'no type')
        self.refused(b'y\x09__build__', 'no type')
        for kind in (b'h', b'ah', b'*', b'?', b'a', b'', b'(', b'\xff', b'a' * 127 + b'i'):
            self.refused(b'v' + bytes((len(kind),)) + kind + b'\0')
        self.refused(b'h\0', 'without its objects')

    def test_handles_within(self):
        """A number that some other object of this process may have."""
        for kind, value in (('v', GLib.Variant('h', 5)), ('a{sv}', {'a': GLib.Variant('av', [GLib.Variant('h', 5)])})):
            variant = GLib.Variant(kind, value)
            with self.assertRaisesRegex(TypeError, 'handles'):
                plain.dumps([variant])
            data = variant.get_data_as_bytes().get_data()
            self.refused(b'v' + bytes((len(kind),)) + kind.encode() + bytes((len(data),)) + data, 'handles')

    def test_variants_of_rubbish(self):
        for kind, data in (('a{sv}', b'\xff' * 4), ('i', b'abc'), ('i', b''), ('b', b'\2'), ('s', b'abc'),
                           ('s', b'\xff\0'),
                           ('(ss)', b'a\0b\0\7'), ('v', b'\0\0')):
            self.refused(b'v' + bytes((len(kind),)) + kind.encode() + bytes((len(data),)) + data, 'normal form')

    def test_same_hashes(self):
        """Numbers with the same hash: a dict of them would take a time that grows with the square of their number."""
        prime = sys.hash_info.modulus
        keys = [prime * i for i in range(20000)]
        start = time.process_time()
        for value in (dict.fromkeys(keys[:10]), set(keys[:10])):
            self.assertEqual(plain.loads(plain.dumps(value)[0]), value)
        body = b''.join(plain.dumps(key)[0] for key in keys)
        pairs = b''.join(plain.dumps(key)[0] + b'N' for key in keys)
        n = bytes((20000 & 0x7f | 0x80, 20000 >> 7 & 0x7f | 0x80, 20000 >> 14))
        self.refused(b'S' + n + body, 'same hash')
        self.refused(b'f' + n + body, 'same hash')
        self.refused(b'D' + n + pairs, 'same hash')
        self.assertLess(time.process_time() - start, 5)

    def test_room(self):
        """Values of which a few bytes make many: they are read up to the room for them."""
        thousand = bytes((1000 & 0x7f | 0x80, 1000 >> 7))
        n_thousands = b'\x80\x10'   # 2048 of them
        start = time.process_time()
        for each in (b'N', b'S\0', b'f\0', b'D\0', b'l\0', b'v\1y\1x', b's\3\xe2\x82\xac', b'a\0', b'l\1N'):
            data = b'l' + n_thousands + (b't' + thousand + each * 1000) * 2048
            before = peak(begin=True)
            with self.assertRaisesRegex(Mp.ProcessError, 'take more than the 64 MiB .* max_message_size'):
                plain.loads(data, (), lambda: plain.room_for(4 << 20))
            self.assertLess(peak() - before, 80 << 20)
        self.assertLess(time.process_time() - start, 60)

    def test_room_of_honest_values(self):
        """What people send."""
        for value in ([2.5, 7, -300000] * 30000, ['name', 'another'] * 50000, [(1, 'x', None)] * 30000,
                      [{'key': 1, 'other': 'text'}] * 10000, {i: str(i) for i in range(30000)}, set(range(100000)),
                      {(x, y): None for x in range(-100, 100) for y in range(-100, 100)},
                      {frozenset((x, y)) for x in range(-100, 100) for y in range(-100, 100)},
                      [{(x, -1): {-1: [], -2: {-1: 0, -2: 0}}, (x, -2): 0} for x in range(3000)]):
            self.assertEqual(plain.loads(plain.dumps(value)[0]), value)

    def test_same_hashes_within(self):
        """Few keys of one hash, but each is compared with the others, in all its parts, and those are such, too."""
        prime = sys.hash_info.modulus
        start = time.process_time()
        keys = [plain.dumps((*range(20000), prime * i))[0] for i in range(60)]
        with self.assertRaisesRegex(Mp.ProcessError, 'MiB'):
            plain.loads(b'S\x3c' + b''.join(keys), (), lambda: plain.LEAST_ROOM)

        def nested(depth, salt):
            if depth == 0:
                return b'i\x0c' + (prime * salt).to_bytes(12, 'little', signed=True)
            return b'f\x20' + b''.join(nested(depth - 1, salt * 32 + i) for i in range(32))

        self.refused(nested(3, 1), 'MiB')
        self.assertLess(time.process_time() - start, 20)

    def test_hashes_of_variants(self):
        """GLib unpacks them, which takes as much as there is in them."""
        variant = b'v\x03a()\x80\x80\x20' + bytes(1 << 19)
        self.assertEqual(plain.loads(b'l\x01' + variant)[0].n_children(), 1 << 19)
        self.refused(b'D\x01f\x01' + variant + b'N', 'unhashable')
        for key in (variant, b't\x01' + variant):
            with self.assertRaisesRegex(Mp.ProcessError, 'MiB'):
                plain.loads(b'D\x04' + (key + b'N') * 4, (), lambda: plain.LEAST_ROOM)
        small = GLib.Variant('(is)', (1, 'x'))
        self.assertEqual(plain.loads(plain.dumps({small: 1, (small,): 2})[0]), {small: 1, (small,): 2})

    def test_time_of_variants(self):
        """Brackets take no byte, and what is within may need a look of its own."""
        def wrap(kind, element, n):
            data = (element + bytes(-len(element) % 8)) * (n - 1) + element
            ends = [len(element) + i * (len(element) + -len(element) % 8) for i in range(n)]
            return (b'v' + plain._size(len(kind)) + kind.encode() + plain._size(len(data) + 4 * n) + data +
                    b''.join(end.to_bytes(4, 'little') for end in ends))

        deep = 'a' + '(' * 60 + '%s' + ')' * 60
        for data in (wrap(deep % 'v', b'\7\0y', 40000),
                     wrap('av', b'\0h\0\1\0(ss)', 70000)):
            begin = time.process_time()
            with self.assertRaisesRegex(Mp.ProcessError, 'MiB'):
                plain.loads(data, (), lambda: plain.LEAST_ROOM)
            self.assertLess(time.process_time() - begin, 5)
        for value in (GLib.Variant('aas', [['h', '']] * 1000), GLib.Variant('av', [GLib.Variant('s', 'who')] * 1000),
                      GLib.Variant('a(((s)))', [((('h',),),)] * 1000)):
            self.assertEqual(plain.loads(plain.dumps([value])[0]), [value])

    def test_fuzz(self):
        """Each value with bytes changed, left out, put in or cut off: a value, or a ProcessError."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        n_read = 0
        for value in VALUES[:-2] * 60:
            data = bytearray(plain.dumps([value, {'key': value}] if chance.random() < 0.5 else value)[0])
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(data) + 1)
                what = chance.randrange(4)
                if what == 0:
                    data[at:at + 1] = bytes((chance.randrange(256),))
                elif what == 1:
                    del data[at:at + chance.randrange(4)]
                elif what == 2:
                    data[at:at] = bytes((chance.choice(b'NTFidcsbaltSfDyvh'), chance.randrange(256)))
                else:
                    del data[at:]
            try:
                read = plain.loads(bytes(data))
            except Mp.ProcessError:
                continue
            except Exception as exc:
                raise AssertionError('%r (seed %d)' % (bytes(data), seed)) from exc
            n_read += 1
            try:
                again = plain.loads(plain.dumps(read)[0])
            except Exception as exc:
                raise AssertionError('%r (seed %d)' % (bytes(data), seed)) from exc
            self.assertIs(type(again), type(read))
        self.assertGreater(n_read, 10)


if __name__ == '__main__':
    support.main()
