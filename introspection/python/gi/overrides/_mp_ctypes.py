# _mp_ctypes.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Types of ctypes and of GVariant for the same memory. Imported by the first program that looks into shared memory."""

import ctypes
import functools

from gi.repository import GLib

# The characters that multiprocessing has for types; some of them mean something else to GVariant.
_CODES = {
    'c': ctypes.c_char, 'u': ctypes.c_wchar, 'b': ctypes.c_byte, 'B': ctypes.c_ubyte, 'h': ctypes.c_short,
    'H': ctypes.c_ushort, 'i': ctypes.c_int, 'I': ctypes.c_uint, 'l': ctypes.c_long, 'L': ctypes.c_ulong,
    'q': ctypes.c_longlong, 'Q': ctypes.c_ulonglong, 'f': ctypes.c_float, 'd': ctypes.c_double,
}

_OF_VARIANT = {
    'y': ctypes.c_uint8, 'b': ctypes.c_bool, 'n': ctypes.c_int16, 'q': ctypes.c_uint16, 'i': ctypes.c_int32,
    'u': ctypes.c_uint32, 'x': ctypes.c_int64, 't': ctypes.c_uint64, 'd': ctypes.c_double,
}

# What is noted beside the type of GVariant where that says another thing.
_NOTED = {'c': ('y', ctypes.c_char), 'u': ('u', ctypes.c_wchar), 'b': ('y', ctypes.c_byte), 'f': ('u', ctypes.c_float)}

_SIGNED = {2: 'n', 4: 'i', 8: 'x'}
_UNSIGNED = {1: 'y', 2: 'q', 4: 'u', 8: 't'}
_UNITS = (('t', 8), ('u', 4), ('q', 2), ('y', 1))

_Simple = ctypes.c_int.__mro__[1]


def is_simple(ctype):
    return issubclass(ctype, _Simple)


def _simple_signature(ctype):
    """Type string and note."""
    code, size = ctype._type_, ctypes.sizeof(ctype)
    if code in ('c', 'f') or code == 'u' and size == 4 or code == 'b':
        return _NOTED[code][0], code
    if code == '?':
        return 'b', None
    if code == 'd':
        return 'd', None
    if code in 'hilq':
        return _SIGNED[size], None
    if code in 'BHILQ':
        return _UNSIGNED[size], None
    raise TypeError('%s is not the same in every process' % ctype.__name__)


def _members(ctype):
    for cls in reversed(ctype.__mro__):
        yield from cls.__dict__.get('_fields_', ())


def _opaque(ctype):
    """As many bytes, as aligned as they can be."""
    size = ctypes.sizeof(ctype)
    kind, unit = next((kind, unit) for kind, unit in _UNITS if size % unit == 0)
    return '(%s)' % (kind * (size // unit))


def _check_members(ctype):
    if is_simple(ctype):
        _simple_signature(ctype)
    elif issubclass(ctype, ctypes.Array):
        _check_members(ctype._type_)
    elif issubclass(ctype, (ctypes.Structure, ctypes.Union)):
        for member in _members(ctype):
            _check_members(member[1])
    else:
        raise TypeError('%s is not the same in every process' % ctype.__name__)


def _signature(ctype):
    if is_simple(ctype):
        return _simple_signature(ctype)[0]
    if issubclass(ctype, ctypes.Array):
        return '(%s)' % (_signature(ctype._type_) * ctype._length_)
    if issubclass(ctype, ctypes.Union) or hasattr(ctype, '_pack_'):
        return _opaque(ctype)
    return '(%s)' % ''.join(_signature(member[1]) for member in _members(ctype))


def _size(signature):
    return ctypes.sizeof(of_variant(signature))


def resolve(what):
    """What multiprocessing takes for a type, or a type of GVariant: the type of ctypes, type string, note."""
    if isinstance(what, GLib.VariantType):
        what = what.dup_string()
    elif isinstance(what, str) and what in _CODES:
        what = _CODES[what]
    if isinstance(what, str):
        if not GLib.variant_type_string_is_valid(what):
            raise TypeError('%r is no type' % what)
        return of_variant(what), what, None
    if not isinstance(what, type) or not issubclass(what, (_Simple, ctypes.Array, ctypes.Structure, ctypes.Union)):
        raise TypeError('a type is a character of multiprocessing, a type of ctypes or one of GVariant, not %r' % (what,))
    _check_members(what)
    if is_simple(what):
        return (what, *_simple_signature(what))
    if not ctypes.sizeof(what):
        raise ValueError('%s has no size' % what.__name__)
    signature = _signature(what)
    if signature == '()' or _size(signature) != ctypes.sizeof(what):
        signature = _opaque(what)
    return what, signature, None


def of_memory(type_string, note):
    """The type of ctypes for what has come, or was made in another language."""
    known = _NOTED.get(note)
    if known is not None and known[0] == type_string:
        return known[1]
    return of_variant(type_string)


def _split(inside):
    """The types of the members of a tuple."""
    while inside:
        n = 1
        if inside[0] in '({':
            depth = 1
            while depth:
                depth += (inside[n] in '({') - (inside[n] in ')}')
                n += 1
        yield inside[:n]
        inside = inside[n:]


class Tuple(ctypes.Structure):
    """A tuple of GVariant, whose value is a tuple."""

    @property
    def value(self):
        return tuple(_plain(getattr(self, name)) for name, _type in self._fields_)

    @value.setter
    def value(self, values):
        if isinstance(values, (str, bytes)) or not hasattr(values, '__len__') or len(values) != len(self._fields_):
            raise ValueError('a tuple of %d is wanted, not %r' % (len(self._fields_), values))
        copy = type(self)()
        for (name, _type), value in zip(self._fields_, values):
            member = getattr(copy, name)
            if isinstance(member, Tuple):
                member.value = value
            else:
                setattr(copy, name, value)
        ctypes.pointer(self)[0] = copy

    def __init__(self, *values):
        """Its members, or a tuple of them."""
        super().__init__()
        if len(values) == 1 < len(self._fields_):
            self.value = values[0]
        elif values:
            self.value = values

    def __repr__(self):
        return repr(self.value)


def _plain(value):
    return value.value if isinstance(value, Tuple) else value


@functools.lru_cache(256)
def of_variant(type_string):
    if type_string in _OF_VARIANT:
        return _OF_VARIANT[type_string]
    if type_string[0] not in '({':
        raise ValueError('the type %s is not of a fixed size that means the same in every process' % type_string)
    members = [of_variant(member) for member in _split(type_string[1:-1])]
    if not members:
        return type('Tuple', (Tuple,), {'_fields_': [('_nothing', ctypes.c_uint8)], 'value': property(lambda self: ())})
    return type('Tuple', (Tuple,), {'_fields_': [('f%d' % i, member) for i, member in enumerate(members)]})


def is_tuple(ctype):
    return issubclass(ctype, Tuple)


def _simple_repr(self):
    return '%s(%r)' % (type(self).__name__, self.value)


@functools.lru_cache(256)
def raw_class(ctype, reduce):
    """A type like @ctype whose objects travel by @reduce."""
    names = {'__reduce_ex__': lambda self, protocol: reduce(self), '__module__': 'gi.overrides.Mp'}
    if is_simple(ctype):
        names['__repr__'] = _simple_repr
    return type(ctype.__name__, (ctype,), names)


def raw_at(address, ctype, reduce):
    return raw_class(ctype, reduce).from_address(address)


def plain_class(obj):
    """The type of which raw_class() made that of @obj."""
    return type(obj).__mro__[1]


def to_variant(type_string, ctype, value):
    """A number of @ctype as a variant of the same bytes."""
    return GLib.Variant.new_from_bytes(GLib.VariantType(type_string), GLib.Bytes.new(bytes(ctype(value))), True)


def from_variant(ctype, variant):
    return ctype.from_buffer_copy(variant.get_data_as_bytes().get_data()).value
