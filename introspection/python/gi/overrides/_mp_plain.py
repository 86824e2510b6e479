# _mp_plain.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain values as bytes that anybody may have written: what connections of listeners and clients carry.

A pickle is a program. This form is none: reading it makes the builtin values named below and nothing else, in time and
memory in proportion to its length, at most MAX_DEPTH containers deep; whatever it cannot be is a ProcessError.

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
import struct
import sys

from gi.repository import GLib

from ..module import get_introspection_module
from ._mp_errors import ProcessError, variant_bytes

_Mp = get_introspection_module('Mp')

MAX_DEPTH = 100

# Hashes of numbers can be foretold. More keys of one hash are nobody's data, but made to take time.
_MAX_SAME_HASH = 64

_FLOAT = struct.Struct('<d')
_COMPLEX = struct.Struct('<dd')
_TYPES = {name: value for name, value in vars(builtins).items() if isinstance(value, type) and name[0] != '_'}
_LARGEST_SIZE = 9   # bytes of a number of 63 bits


def _size(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return out


def _has_handles(variant):
    """Also in a variant that is within."""
    kind = variant.get_type_string()
    if 'h' in kind:
        return True
    return 'v' in kind and any(_has_handles(variant.get_child_value(i)) for i in range(variant.n_children()))


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
    def __init__(self, data, objects):
        self.data = data
        self.at = 0
        self.objects = objects
        self.depth = 0

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
        return self._get_part(self._get_size())

    def _get_values(self, each=1):
        """What a container holds. Each value takes a byte at least, so no more are made than the data have room for."""
        n = self._get_size() * each
        if n > len(self.data) - self.at:
            raise ValueError('it ends too early')
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

    def _get_set(self):
        return set(_checked_keys(self._get_values()))

    def _get_frozenset(self):
        return frozenset(_checked_keys(self._get_values()))

    def _get_dict(self):
        values = self._get_values(2)
        return dict(zip(_checked_keys(values[::2]), values[1::2]))

    def _get_type(self):
        name = self._get_bytes().decode()
        found = _TYPES.get(name)
        if found is None:
            raise ValueError('there is no type %.40r' % name)
        return found

    def _get_variant(self):
        kind = self._get_bytes().decode()
        if 'h' in kind or not GLib.variant_type_string_is_valid(kind):
            raise ValueError('there is no type %.40r of GLib.Variant' % kind)
        variant_type = GLib.VariantType(kind)
        if not variant_type.is_definite():
            raise ValueError('there is no type %.40r of GLib.Variant' % kind)
        variant = GLib.Variant.new_from_bytes(variant_type, GLib.Bytes.new(self._get_bytes()), False)
        # GLib aborts when the bytes are asked for of one that was made of too few.
        if not variant.is_normal_form():
            raise ValueError('a GLib.Variant is not in normal form')
        # It came beside no object; here the number would be that of another one, of this process.
        if _has_handles(variant):
            raise ValueError('a GLib.Variant has handles')
        return variant.byteswap() if sys.byteorder == 'big' else variant

    def _get_object(self):
        index = self._get_size()
        if index >= len(self.objects):
            raise ValueError('it came without its objects')
        return self.objects[index]


def _checked_keys(keys):
    if len(keys) > _MAX_SAME_HASH:
        if collections.Counter(map(hash, keys)).most_common(1)[0][1] > _MAX_SAME_HASH:
            raise ValueError('too many keys have the same hash')
    return keys


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


def loads(data, objects=()):
    """The value of bytes made by dumps(), or by anybody; @objects: those that its handles stand for.

    ProcessError when they are not the bytes of a value."""
    reader = _Reader(data, objects)
    try:
        value = reader.get()
        if reader.at != len(data):
            raise ValueError('it goes on behind its end')
        return value
    except (ValueError, TypeError) as exc:   # a TypeError: of a key that cannot be one
        failure = exc
    raise ProcessError('what came through the connection is no value: %s' % failure) from None
