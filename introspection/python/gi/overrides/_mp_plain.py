# _mp_plain.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain values as bytes that anybody may have written: what connections of listeners and clients carry.

A pickle is a program. This form is none: reading it makes the builtin values named below and nothing else, in time and
memory in proportion to its length, at most MAX_DEPTH containers deep; whatever it cannot be is a ProcessError.

That proportion is a large one, as two bytes are a set of 216: so what is made is counted as it will be, and reading ends
where there is no room for it, see room_for().

A value is one byte that says what it is, and then

    N T F              None, True, False
    i  size, bytes     an int, little-endian, two's complement
    d c                a float, a complex: one and two IEEE 754 doubles, little-endian
    s b a  size, bytes a str as UTF-8 (lone surrogates as if they were characters), bytes, a bytearray
    l t S f  n, values a list, tuple, set, frozenset
    D  n, values       a dict: n times a key and its value
    y  size, name      a type of the module builtins
    v  size, type, size, data   a GLib.Variant, little-endian
    h  n               the object that came as the message's n-th handle

where a size or n is a number of seven bits a byte, the lowest first, with the highest bit set in all but the last."""

import builtins
import collections
import re
import struct
import sys

from gi.repository import GLib

from ..module import get_introspection_module
from ._mp_errors import ProcessError, variant_bytes

_Mp = get_introspection_module('Mp')

MAX_DEPTH = 100

# Hashes of numbers can be foretold. More keys of one hash are nobody's data, but made to take time.
_MAX_SAME_HASH = 64

# Of the objects of a message: what there always is, and how much more than the largest message.
LEAST_ROOM = 64 << 20
_ROOM_FACTOR = 16
# Bytes that are too few to need more than that.
_FEW = LEAST_ROOM // 256

# What objects take: one in a container, with its place there; and what comes to that for some kinds.
_VALUE = 40
_TEXT = 64
_VARIANT = 1024
_HANDLE = 1024
_LIST = 72
_TABLE = 240
_ITEM = 56      # of a table
_UNPACKED = 64  # for a byte of a GLib.Variant, of which the hash is that of what is in it
_VISIT = 1024   # for a part of a GLib.Variant that is looked at by itself
_WRAPPED = 4    # for a byte of one, and each pair of brackets around it

_FLOAT = struct.Struct('<d')
_COMPLEX = struct.Struct('<dd')
_TYPES = {name: value for name, value in vars(builtins).items() if isinstance(value, type) and name[0] != '_'}
_RANDOM = {str, bytes, type(None), type}   # whose hashes nobody can foretell
_COMPOUND = {tuple, frozenset}
_LARGEST_SIZE = 9   # bytes of a number of 63 bits
_BRACKETS = re.compile(r'\(+')
_MAYBE_HANDLE = re.compile(rb'\0[a-z(){}]*h')   # in the type of a variant that is within


def room_for(max_message_size):
    """How many bytes the objects of a message may take where messages have at most so many."""
    return max(LEAST_ROOM, _ROOM_FACTOR * max_message_size)


def _size(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return out


def _take_nothing(_size):
    pass


def _has_handles(variant, charge=_take_nothing):
    """Also in a variant that is within. @charge: is told what each look takes."""
    kind = variant.get_type_string()
    if 'h' in kind:
        return True
    if 'v' not in kind:
        return False
    for i in range(variant.n_children()):
        charge(_VISIT)
        if _has_handles(variant.get_child_value(i), charge):
            return True
    return False


class _Writer:
    def __init__(self):
        self.out = bytearray()
        self.handles = []
        self.depth = 0

    def put(self, obj):
        write = _WRITERS.get(type(obj))
        if write is not None:
            write(self, obj)
        elif isinstance(obj, GLib.Variant):
            self._put_variant(obj)
        elif isinstance(obj, _Mp.Shareable):
            self.out += b'h'
            self.out += _size(len(self.handles))
            self.handles.append(_Mp.Shareable.to_variant(obj))
        else:
            raise TypeError('%s objects cannot be sent here: connections of listeners and clients, and isolated queues, '
                            'carry plain values and objects that processes share, and pickles only if both sides have '
                            'allow_pickle=True' % type(obj).__qualname__)

    def _put_sized(self, tag, data):
        self.out += tag
        self.out += _size(len(data))
        self.out += data

    def _put_int(self, obj):
        self._put_sized(b'i', obj.to_bytes(obj.bit_length() // 8 + 1, 'little', signed=True))

    def _put_type(self, obj):
        if _TYPES.get(obj.__name__) is not obj:
            raise TypeError('the type %s cannot be sent here, as a plain value: pickles only if both sides have '
                            'allow_pickle=True' % obj.__qualname__)
        self._put_sized(b'y', obj.__name__.encode())

    def _put_variant(self, obj):
        kind = obj.get_type_string()
        if _has_handles(obj):
            raise TypeError('a GLib.Variant that has handles can only be sent by itself, not within another value')
        if sys.byteorder == 'big':
            obj = obj.byteswap()
        self._put_sized(b'v', kind.encode())
        data = variant_bytes(obj)
        self.out += _size(len(data))
        self.out += data

    def _put_values(self, tag, values, n):
        self.out += tag
        self.out += _size(n)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError('the value holds itself, or is more than %d containers deep' % MAX_DEPTH)
        for value in values:
            write = _WRITERS.get(type(value))
            if write is not None:
                write(self, value)
            else:
                self.put(value)
        self.depth -= 1

    def _put_dict(self, obj):
        self._put_values(b'D', [part for item in obj.items() for part in item], len(obj))


def _constant(tag):
    return lambda self, obj: self.out.extend(tag)


def _of_values(tag):
    return lambda self, obj: self._put_values(tag, obj, len(obj))


def _of_bytes(tag):
    return lambda self, obj: self._put_sized(tag, obj)


_WRITERS = {
    type(None): _constant(b'N'),
    bool: lambda self, obj: self.out.extend(b'T' if obj else b'F'),
    int: _Writer._put_int,
    float: lambda self, obj: self.out.extend(b'd' + _FLOAT.pack(obj)),
    complex: lambda self, obj: self.out.extend(b'c' + _COMPLEX.pack(obj.real, obj.imag)),
    str: lambda self, obj: self._put_sized(b's', obj.encode('utf-8', 'surrogatepass')),
    bytes: _of_bytes(b'b'),
    bytearray: _of_bytes(b'a'),
    list: _of_values(b'l'),
    tuple: _of_values(b't'),
    set: _of_values(b'S'),
    frozenset: _of_values(b'f'),
    dict: _Writer._put_dict,
    type: _Writer._put_type,
}


def dumps(obj):
    """The bytes of @obj and the list of its handles. TypeError when it is not plain."""
    writer = _Writer()
    writer.put(obj)
    return bytes(writer.out), writer.handles


class _Reader:
    def __init__(self, data, objects, room):
        self.data = data
        self.at = 0
        self.objects = objects
        self.depth = 0
        self.room = self.left = room
        self.likeness = 1       # how often the keys read last are compared for each that there is
        self.brackets = 0       # the most around one thing in a GLib.Variant, from 1 on if there is any

    def charge(self, size):
        """Takes @size bytes of the room, or of time for as many."""
        self.left -= size
        if self.left < 0:
            raise ValueError('its objects would take more than the %d MiB for which max_message_size stands' %
                             (self.room >> 20))

    def get(self):
        data, at = self.data, self.at
        if at >= len(data):
            raise ValueError('it ends too early')
        self.at = at + 1
        read = _READERS.get(data[at])
        if read is None:
            raise ValueError('there is no kind %d of value' % data[at])
        return read(self)

    def _get_size(self):
        number = 0
        for shift in range(0, 7 * _LARGEST_SIZE, 7):
            if self.at >= len(self.data):
                raise ValueError('it ends too early')
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7f) << shift
            if byte < 0x80:
                return number
        raise ValueError('a size is too large')

    def _get_part(self, size):
        start = self.at
        if size > len(self.data) - start:
            raise ValueError('it ends too early')
        self.at = start + size
        return self.data[start:start + size]

    def _get_bytes(self):
        self.charge(_TEXT)
        return self._get_part(self._get_size())

    def _get_values(self, each=1, own=_LIST, item=0):
        """What a container holds. Each value takes a byte at least, so no more are made than the data have room for."""
        n = self._get_size() * each
        if n > len(self.data) - self.at:
            raise ValueError('it ends too early')
        self.charge(own + n * (_VALUE + item))
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError('it is more than %d containers deep' % MAX_DEPTH)
        values = [self.get() for _ in range(n)]
        self.depth -= 1
        return values

    def _get_float(self):
        return _FLOAT.unpack(self._get_part(8))[0]

    def _get_complex(self):
        return complex(*_COMPLEX.unpack(self._get_part(16)))

    def _get_table(self, each=1, may_be_key=False):
        """The keys of a set or a dict, and its values."""
        outer, self.likeness, start = self.likeness, 1, self.at
        values = self._get_values(each, _TABLE, _ITEM)
        keys = values[::each] if each > 1 else values
        self._check_keys(keys, self.at - start)
        self.likeness = max(outer, self.likeness) if may_be_key else outer
        return keys, values

    def _check_keys(self, keys, size):
        """To find one among others of the same hash it is compared with them, and so is each part of it with theirs."""
        types = set(map(type, keys))
        if types.isdisjoint(_COMPOUND):
            self.likeness = 1
        if types <= _RANDOM:
            return
        if self.brackets:
            self.charge(_UNPACKED * self.brackets * sum(map(_size_of_variants, keys)))
        n_same = max(collections.Counter(map(hash, keys)).values())
        if n_same > _MAX_SAME_HASH:
            raise ValueError('too many keys have the same hash')
        if n_same > 1:
            self.likeness *= n_same
            self.charge(self.likeness * size)

    def _get_set(self):
        return set(self._get_table()[0])

    def _get_frozenset(self):
        return frozenset(self._get_table(may_be_key=True)[0])

    def _get_dict(self):
        keys, values = self._get_table(2)
        return dict(zip(keys, values[1::2]))

    def _get_type(self):
        name = self._get_bytes().decode()
        found = _TYPES.get(name)
        if found is None:
            raise ValueError('there is no type %.40r' % name)
        return found

    def _get_variant(self):
        self.charge(_VARIANT)
        kind = self._get_bytes().decode()
        if 'h' in kind or not GLib.variant_type_string_is_valid(kind):
            raise ValueError('there is no type %.40r of GLib.Variant' % kind)
        variant_type = GLib.VariantType(kind)
        if not variant_type.is_definite():
            raise ValueError('there is no type %.40r of GLib.Variant' % kind)
        data = self._get_bytes()
        # A pair takes no byte, and a step for each that is in it.
        brackets = max(map(len, _BRACKETS.findall(kind)), default=1)
        self.brackets = max(self.brackets, brackets)
        self.charge(_WRAPPED * (brackets - 1) * len(data))
        variant = GLib.Variant.new_from_bytes(variant_type, GLib.Bytes.new(data), False)
        # GLib aborts when the bytes are asked for of one that was made of too few.
        if not variant.is_normal_form():
            raise ValueError('a GLib.Variant is not in normal form')
        # It came beside no object; here the number would be that of another one, of this process.
        if _MAYBE_HANDLE.search(data) and _has_handles(variant, self.charge):
            raise ValueError('a GLib.Variant has handles')
        return variant.byteswap() if sys.byteorder == 'big' else variant

    def _get_object(self):
        index = self._get_size()
        if index >= len(self.objects):
            raise ValueError('it came without its objects')
        return self.objects[index]


def _size_of_variants(key):
    if isinstance(key, GLib.Variant):
        return key.get_size()
    return sum(map(_size_of_variants, key)) if type(key) in (tuple, frozenset) else 0


_READERS = {
    ord('N'): lambda self: None,
    ord('T'): lambda self: True,
    ord('F'): lambda self: False,
    ord('i'): lambda self: int.from_bytes(self._get_bytes(), 'little', signed=True),
    ord('d'): _Reader._get_float,
    ord('c'): _Reader._get_complex,
    ord('s'): lambda self: str(self._get_bytes(), 'utf-8', 'surrogatepass'),
    ord('b'): _Reader._get_bytes,
    ord('a'): lambda self: bytearray(self._get_bytes()),
    ord('l'): _Reader._get_values,
    ord('t'): lambda self: tuple(self._get_values()),
    ord('S'): _Reader._get_set,
    ord('f'): _Reader._get_frozenset,
    ord('D'): _Reader._get_dict,
    ord('y'): _Reader._get_type,
    ord('v'): _Reader._get_variant,
    ord('h'): _Reader._get_object,
}


def _get_default_room():
    return room_for(64 << 20)


def check_handles(n, get_room):
    """Before the objects of as many handles are looked up."""
    if n * _HANDLE > LEAST_ROOM and n * _HANDLE > get_room():
        raise ProcessError('what came through the connection is no value: it has %d handles' % n)


def loads(data, objects=(), get_room=_get_default_room):
    """The value of bytes made by dumps(), or by anybody; @objects: those that its handles stand for; @get_room: gives
    what room_for() gave.

    ProcessError when they are not the bytes of a value."""
    reader = _Reader(data, objects, LEAST_ROOM if len(data) <= _FEW else get_room())
    try:
        value = reader.get()
        if reader.at != len(data):
            raise ValueError('it goes on behind its end')
        return value
    except (ValueError, TypeError) as exc:   # a TypeError: of a key that cannot be one
        failure = exc
    raise ProcessError('what came through the connection is no value: %s' % failure) from None
