# _mp_pickle.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain Python values as GVariants: one pickle in one array of bytes, however many values it holds.

Forms: 'ay' a pickle, '(ayah)' a pickle and the handles of the library's objects in it, and arrays of either. A pickle
is sent only between a Python owner and its own workers, or over a connection by Connection.send()."""

import array
import copyreg
import itertools
import pickle
import struct
import threading

from gi.repository import GLib

from ..module import get_introspection_module
from ._mp_errors import bytes_variant, variant_bytes

_Mp = get_introspection_module('Mp')

PROTOCOL = pickle.HIGHEST_PROTOCOL

_AAY = GLib.VariantType('aay')
_BATCH_HEAD = struct.Struct('=Q?')
_OFFSET_CODES = (('B', 1), ('H', 2), ('I', 4), ('Q', 8))


class _Travel(threading.local):
    """What the pickle in the making, or being read, carries beside its bytes."""

    handles = None     # list of variants of type 'h', while pickling
    objects = None     # the objects that came, while unpickling
    spawning = False   # whether a Process is being pickled for its own start


travel = _Travel()


def reduce_shareable(obj):
    """__reduce__ of an object that travels by a handle."""
    if travel.handles is None:
        raise TypeError('%s objects can only travel in the arguments and results of functions that run in other '
                        'processes, and through connections' % type(obj).__name__)
    handles = travel.handles
    handle = _Mp.Shareable.to_variant(obj)
    # It stands for the object as long as that lives, which may have been made for this pickle.
    handle._mp_object = obj
    handles.append(handle)
    return arrived, (len(handles) - 1,)


def arrived(index):
    """The object that came as a handle, while what it came with is unpickled."""
    if travel.objects is None:
        raise pickle.UnpicklingError('this pickle came without its objects')
    return travel.objects[index]


def _dumps_rare(obj, failure):
    """Once more, with what multiprocessing knows to pickle beyond the pickle module (sockets and the like)."""
    from ._mp_forking import dumps as dumps_rare
    del travel.handles[:]
    try:
        return dumps_rare(obj, PROTOCOL)
    except OSError:
        raise   # such as that of a socket that is closed
    except BaseException:
        raise failure from None


def _dumps(obj):
    try:
        return pickle.dumps(obj, PROTOCOL)
    except (TypeError, pickle.PicklingError) as exc:
        failure = exc
    try:
        return _dumps_rare(obj, failure)
    finally:
        # It has this frame, and with it @obj and the descriptors in that, until the garbage is collected.
        del failure


def dumps(obj):
    """The pickle of @obj and the list of its handles."""
    outer, travel.handles = travel.handles, []
    try:
        return _dumps(obj), travel.handles
    finally:
        travel.handles = outer


def loads(data, objects=None):
    """The object of a pickle; @objects: those that its handles stand for."""
    if not objects:
        return pickle.loads(data)
    outer, travel.objects = travel.objects, objects
    try:
        return pickle.loads(data)
    finally:
        travel.objects = outer


def pack(data, handles):
    """A pickle and its handles as a variant."""
    if not handles:
        return bytes_variant(data)
    children = GLib.Variant.new_array(GLib.VariantType('h'), handles)
    packed = GLib.Variant.new_tuple(bytes_variant(data), children)
    packed._mp_handles = handles
    return packed


def unpack(variant):
    """The bytes and the objects of a variant made by pack()."""
    data = _Mp.blob_get_bytes(variant)
    if data:
        return data, None
    kind = variant.get_type_string()
    if kind == 'ay':
        return data, None
    if kind != '(ayah)':
        # By its name such a function can be called with anything; GLib aborts for children that are not there.
        raise TypeError("this is a function for pickles, which come as 'ay' or '(ayah)', not as '%s'" % kind)
    objects = variant.get_child_value(1)
    return (variant_bytes(variant.get_child_value(0)),
            [_Mp.Shareable.from_variant(objects.get_child_value(i)) for i in range(objects.n_children())])


def _offset_format(n_bytes, n_items=0):
    """Code and size of the offsets behind a serialised array of @n_bytes (and, not yet counted, @n_items offsets)."""
    for code, size in _OFFSET_CODES:
        if n_bytes + n_items * size < 1 << (8 * size):
            break
    return code, size


def pack_array(blobs):
    """A list of (bytes, handles) as an array: 'aay' in one piece when there are no handles."""
    if any(handles for _data, handles in blobs):
        packed = GLib.Variant.new_array(None, [
            GLib.Variant.new_tuple(bytes_variant(data), GLib.Variant.new_array(GLib.VariantType('h'), handles))
            for data, handles in blobs])
        packed._mp_handles = [handles for _data, handles in blobs]
        return packed
    return pack_bytes_array([data for data, _handles in blobs])


def pack_bytes_array(datas):
    """A list of bytes objects as an 'aay': the bytes, then the offset of each end (GVariant's serialised form)."""
    ends = array.array('Q', itertools.accumulate(map(len, datas)))
    code, _size = _offset_format(ends[-1] if ends else 0, len(ends))
    tail = ends if code == 'Q' else array.array(code, ends)
    data = b''.join(itertools.chain(datas, (tail.tobytes(),)))
    return GLib.Variant.new_from_bytes(_AAY, GLib.Bytes.new(data), True)


def unpack_bytes_array(variant):
    """Yields a memoryview for each element of an 'aay'."""
    n_items = variant.n_children()
    if n_items == 0:
        return
    data = memoryview(variant_bytes(variant))
    code, size = _offset_format(len(data))
    ends = array.array(code)
    ends.frombytes(data[len(data) - n_items * size:])
    start = 0
    for end in ends:
        yield data[start:end]
        start = end


def unpack_array(variant):
    """Yields (bytes, objects) for each element of the array of results that the library made."""
    kind = variant.get_type_string()
    if kind == 'aay':
        for data in unpack_bytes_array(variant):
            yield data, None
        return
    for i in range(variant.n_children()):
        child = variant.get_child_value(i)
        yield unpack(child.get_variant() if kind == 'av' else child)


def _batch_ends(variant, data):
    """Where the elements of an array end in its serialised form."""
    code, size = _offset_format(len(data))
    ends = array.array(code)
    ends.frombytes(data[len(data) - variant.n_children() * size:])
    return ends


def unpack_batch(variant):
    """Yields, for each element of an 'a(tbv)' of results that are pickles, the number of the item; whether it has
    succeeded; and (bytes, objects) or (error, details)."""
    data = variant_bytes(variant)
    view = memoryview(data)
    start = 0
    for i, end in enumerate(_batch_ends(variant, data)):
        start = (start + 7) & ~7
        index, success = _BATCH_HEAD.unpack_from(data, start)
        if success and data.endswith(b'\0ay', start, end):
            # A pickle, without a GVariant for it and each of the containers that it is in.
            yield index, True, (view[start + 16:end - 3], None)
        else:
            outcome = variant.get_child_value(i).get_child_value(2).get_variant()
            yield index, success, unpack(outcome) if success else _unpack_error(outcome)
        start = end


def unpack_variants(variant):
    """As unpack_batch(), of results that are any variants."""
    for i in range(variant.n_children()):
        child = variant.get_child_value(i)
        outcome = child.get_child_value(2).get_variant()
        success = child.get_child_value(1).get_boolean()
        yield child.get_child_value(0).get_uint64(), success, outcome if success else _unpack_error(outcome)


def _unpack_error(outcome):
    domain, code, message = (outcome.get_child_value(i).unpack() for i in range(3))
    return GLib.Error(message, domain, code), outcome.get_child_value(3)


def _rebuild_variant(kind, data):
    return GLib.Variant.new_from_bytes(GLib.VariantType(kind), GLib.Bytes.new(data), False)


def _reduce_variant(variant):
    return _rebuild_variant, (variant.get_type_string(), variant_bytes(variant))


copyreg.pickle(GLib.Variant, _reduce_variant)


def variant_from(value):
    """The natural GVariant of a plain value, for functions that are called by name."""
    if isinstance(value, GLib.Variant):
        return value
    if value is None:
        return GLib.Variant('()', ())
    for cls, make in _NATURAL:
        if isinstance(value, cls):
            return make(value)
    raise TypeError('%s has no natural GVariant form; give a GLib.Variant' % type(value).__name__)


def _from_int(value):
    if -(1 << 63) <= value < 1 << 63:
        return GLib.Variant.new_int64(value)
    if value < 1 << 64 and value > 0:
        return GLib.Variant.new_uint64(value)
    raise OverflowError('%d does not fit into 64 bits' % value)


def _from_dict(value):
    entries = [GLib.Variant.new_dict_entry(GLib.Variant.new_string(key), GLib.Variant.new_variant(variant_from(item)))
               for key, item in value.items()]
    return GLib.Variant.new_array(GLib.VariantType('{sv}'), entries)


def _from_list(value):
    return array_from([variant_from(item) for item in value])


def array_from(children):
    """An array of variants: of their type when they agree, else of 'v'."""
    kinds = {child.get_type_string() for child in children}
    if len(kinds) == 1:
        return GLib.Variant.new_array(GLib.VariantType(kinds.pop()), children)
    return GLib.Variant.new_array(GLib.VariantType('v'), [GLib.Variant.new_variant(child) for child in children])


def tuple_from(values):
    return GLib.Variant.new_tuple(*map(variant_from, values))


_NATURAL = (
    (bool, GLib.Variant.new_boolean),
    (int, _from_int),
    (float, GLib.Variant.new_double),
    (str, GLib.Variant.new_string),
    ((bytes, bytearray, memoryview), lambda value: bytes_variant(bytes(value))),
    (dict, _from_dict),
    (tuple, tuple_from),
    ((list, range, set, frozenset), _from_list),
)


def plain(variant):
    """The plain value of a variant: as GLib.Variant.unpack(), but arrays of bytes become bytes."""
    kind = variant.get_type_string()
    if kind == 'ay':
        return variant_bytes(variant)
    if kind == '()':
        return None
    if kind[0] in 'a(mv' and ('ay' in kind or 'v' in kind or '()' in kind):
        return _plain_container(variant, kind)
    return variant.unpack()


def _plain_container(variant, kind):
    children = [variant.get_child_value(i) for i in range(variant.n_children())]
    if kind[0] == 'v':
        return plain(children[0])
    if kind[0] == 'm':
        return plain(children[0]) if children else None
    if kind[0] == '(':
        return tuple(map(plain, children))
    if kind[1] == '{':
        return {plain(entry.get_child_value(0)): plain(entry.get_child_value(1)) for entry in children}
    return list(map(plain, children))
