# _mp_value.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Value and Array as multiprocessing has them, and what goes with them: Mp.sharedctypes."""

import errno
import operator
import sys

from gi.repository import GLib, GObject

from ..module import get_introspection_module
from . import _mp_errors as errors
from . import _mp_module
from . import _mp_pickle as values
from . import _mp_sync as sync

_Mp = get_introspection_module('Mp')


def _translate(error):
    if errors.is_mp(error, _Mp.Error.TOO_LARGE):
        exc = OSError(errno.ENOMEM, error.message)
    elif (error.domain, error.code) == (errors.IO_DOMAIN, errors.IO_INVALID_ARGUMENT):
        exc = ValueError(error.message)
    else:
        return errors.translate(error)
    exc.__cause__ = error
    return exc


def _call(function, *args):
    try:
        return function(*args)
    except GLib.Error as error:
        exc = _translate(error)
    raise exc


def _ctypes():
    """Late: workers that have no use for it start sooner."""
    from . import _mp_ctypes
    return _mp_ctypes


def _lock_for(lock, isolated=False):
    """The lock that is meant by multiprocessing's parameter."""
    if lock is True or lock is None:
        from ._mp_sync import RLock
        return RLock(isolated=isolated)
    if not hasattr(lock, 'acquire'):
        raise AttributeError("%r has no method 'acquire'" % (lock,))
    if not isinstance(lock, (_Mp.Lock, _Mp.RLock)):
        raise TypeError('the lock of what is shared must be an Mp.Lock or Mp.RLock, not %s' % type(lock).__name__)
    return lock


def _make(gtype, what, n_items, lock, isolated):
    """The object of the library, and the type of ctypes."""
    ctype, type_string, note = _ctypes().resolve(what)
    memory = GObject.new(gtype, type_string=type_string, n_items=n_items, lock=lock, format=note, isolated=isolated)
    try:
        _Mp.TypedMemory.get_bytes(memory)
    except GLib.Error as error:
        error.message = error.message.partition(': ')[2]     # what failed is the creation
        raise _translate(error) from error
    if not _ctypes().is_simple(ctype) and not _ctypes().is_tuple(ctype):
        memory._ctype = ctype
    return memory


def _reduce_raw(obj):
    return _raw_of, (obj._mp_memory,)


def _raw_of(memory):
    return memory.get_obj()


def _arrived(arrive, args, dimensions, ctype):
    memory = arrive(*args)
    for length in dimensions:
        ctype = ctype * length
    if _Mp.TypedMemory.get_item_size(memory) == _ctypes().ctypes.sizeof(ctype):
        memory._ctype = ctype
    return memory


class _Synchronized:
    """What has memory (_obj, of ctypes) and a lock."""

    _obj = None
    _lock = None
    _take = None     # the library's own, quicker than those of the lock's class
    _give = None

    def _open(self):
        raise NotImplementedError

    def _set_lock(self, lock):
        library = _Mp.RLock if isinstance(lock, _Mp.RLock) else _Mp.Lock
        self._take, self._give, self._lock = library.try_acquire, library.release, lock

    def _begin(self):
        """Acquires the lock, and gives the memory."""
        obj = self._obj
        if obj is None:
            obj = self._open()
        lock = self._lock
        if lock is not None and not self._take(lock):
            lock._wait(None)
        return obj

    def _end(self):
        if self._lock is not None:
            self._give(self._lock)

    def get_lock(self):
        """The lock that is held while it is read or written here; None: there is none."""
        if self._obj is None:
            self._open()
        return self._lock

    def _needed_lock(self):
        lock = self.get_lock()
        if lock is None:
            raise TypeError('it has no lock')
        return lock

    def acquire(self, *args, **kwargs):
        """Acquires its lock, as the lock's own acquire()."""
        return self._needed_lock().acquire(*args, **kwargs)

    def release(self):
        """Releases its lock."""
        self._needed_lock().release()

    def __enter__(self):
        return self._needed_lock().__enter__()

    def __exit__(self, *args):
        return self._needed_lock().__exit__(*args)


# As _begin() and _end(), but shorter, in what is called most.

def _get_value(self):
    obj = self._obj
    if obj is None:
        obj = self._open()
    lock = self._lock
    if lock is None:
        return obj.value
    if not self._take(lock):
        lock._wait(None)
    try:
        return obj.value
    finally:
        self._give(lock)


def _set_value(self, value):
    obj = self._obj
    if obj is None:
        obj = self._open()
    lock = self._lock
    if lock is None:
        obj.value = value
        return
    if not self._take(lock):
        lock._wait(None)
    try:
        obj.value = value
    finally:
        self._give(lock)


class _OfMembers(_Synchronized):
    """One that may be a structure, whose members it has."""

    def _type(self):
        """That of ctypes."""
        raise NotImplementedError

    def _is_member(self, name):
        return not name.startswith('_') and any(name == field[0] for cls in self._type().__mro__
                                                for field in cls.__dict__.get('_fields_', ()))

    def __getattr__(self, name):
        if not self._is_member(name):
            raise AttributeError('%r object has no attribute %r' % (type(self).__name__, name))
        obj = self._begin()
        try:
            return getattr(obj, name)
        finally:
            self._end()

    def __setattr__(self, name, value):
        if name[0] == '_' or name == 'value' or not self._is_member(name):
            super().__setattr__(name, value)
            return
        obj = self._begin()
        try:
            setattr(obj, name, value)
        finally:
            self._end()


class _OfArray(_Synchronized):
    """One with elements."""

    def __len__(self):
        return len(self._obj if self._obj is not None else self._open())

    def __getitem__(self, index):
        obj = self._begin()
        try:
            return obj[index]
        finally:
            self._end()

    def __setitem__(self, index, value):
        obj = self._begin()
        try:
            obj[index] = value
        finally:
            self._end()


def _locked_property(name, doc):
    def get(self):
        obj = self._begin()
        try:
            return getattr(obj, name)
        finally:
            self._end()

    def set_(self, value):
        obj = self._begin()
        try:
            setattr(obj, name, value)
        finally:
            self._end()

    return property(get, set_, doc=doc)


class _Memory(sync.Shared):
    """What values and arrays have in common as objects of the library."""

    _ctype = None    # of one element, when the program has said it

    def _element(self):
        if self._ctype is not None:
            return self._ctype
        return _ctypes().of_memory(_Mp.TypedMemory.get_type_string(self), _Mp.TypedMemory.get_format(self))

    def _whole(self):
        return self._element()

    def _address(self):
        address = _Mp.TypedMemory.get_address(self)
        if not address:
            _call(_Mp.TypedMemory.get_bytes, self)
        return address

    def _open(self):
        obj = _ctypes().raw_at(self._address(), self._whole(), _reduce_raw)
        # Parts of it that are given away, such as a structure of an array, keep the memory by it; but not this object,
        # which has it.
        obj._mp_bytes = _call(_Mp.TypedMemory.get_bytes, self)
        lock = self.get_property('lock')
        if lock is not None:
            self._set_lock(lock)
        self._obj = obj
        return obj

    def get_obj(self):
        """The memory itself, as an object of ctypes: not under the lock. It has the buffer protocol, so that
        memoryview() and numpy.frombuffer() see the memory without a copy; it keeps the memory, and travels."""
        raw = _ctypes().raw_at(self._address(), self._whole(), _reduce_raw)
        raw._mp_memory = self
        return raw

    def __buffer__(self, flags):
        return memoryview(self.get_obj())

    def __reduce_ex__(self, protocol):
        arrive, args = values.reduce_shareable(self)
        if self._ctype is None:
            return arrive, args
        # Types of arrays have no name by which they could travel.
        ctype, dimensions = self._ctype, []
        while issubclass(ctype, _ctypes().ctypes.Array):
            dimensions.insert(0, ctype._length_)
            ctype = ctype._type_
        return _arrived, (arrive, args, dimensions, ctype)

    def _number(self):
        """Type string and type of ctypes of a number."""
        ctype = self._element()
        if not _ctypes().is_simple(ctype):
            raise TypeError('only for single numbers')
        return _Mp.TypedMemory.get_type_string(self), ctype

    def _add(self, args, delta):
        kind, ctype = self._number()
        if kind == 'd':
            if not hasattr(delta, '__float__') and not hasattr(delta, '__index__'):
                raise TypeError('what is added to %s is a number, not %r' % (ctype.__name__, delta))
            return _call(self._library.add_double, self, *args, float(delta))
        if _Mp.TypedMemory.get_format(self) in ('c', 'u', 'f') or kind == 'b':
            raise TypeError('nothing can be added to %s in one step' % ctype.__name__)
        if not hasattr(delta, '__index__'):
            raise TypeError('what is added to %s is an integer, not %r' % (ctype.__name__, delta))
        delta = operator.index(delta)
        # What is beyond 64 bits begins anew as well.
        delta = (delta + (1 << 63)) % (1 << 64) - (1 << 63)
        return ctype(_call(self._library.add_int, self, *args, delta)).value

    def _exchange(self, args, value):
        kind, ctype = self._number()
        return _ctypes().from_variant(ctype, _call(self._library.exchange, self, *args,
                                                   _ctypes().to_variant(kind, ctype, value)))

    def _compare_exchange(self, args, expected, desired):
        kind, ctype = self._number()
        return _call(self._library.compare_exchange, self, *args, _ctypes().to_variant(kind, ctype, expected),
                     _ctypes().to_variant(kind, ctype, desired))[1]


class Value(_Memory, _OfMembers, _Mp.Value):
    """A value that processes share, with a lock.

    As multiprocessing.Value; the type may also be one of GVariant, as '(id)'. add(), exchange() and compare_exchange()
    are one step, without the lock. It travels in anything that is sent to another process."""

    __module__ = 'gi.overrides.Mp'

    _library = _Mp.Value
    _wrapper_name = 'Synchronized'

    def __new__(cls, typecode_or_type, *args, lock=True, isolated=False, ctx=None):
        lock_of = None if lock is False else _lock_for(lock, isolated)
        memory = _make(_Mp.Value, typecode_or_type, 1, lock_of, isolated)
        if issubclass(memory._whole(), _ctypes().ctypes.Array):
            raise TypeError('an array is made by Mp.Array')
        if args:
            memory._open().__init__(*args)
        return memory.get_obj() if lock is False else memory

    def __init__(self, *args, **kwargs):
        """It is made above."""

    def _type(self):
        return self._whole()

    value = property(_get_value, _set_value, doc='What it is: read and written under its lock.')

    def add(self, delta):
        """Adds in one step, without the lock; what it was before."""
        return self._add((), delta)

    def exchange(self, value):
        """Sets it in one step, without the lock; what it was before."""
        return self._exchange((), value)

    def compare_exchange(self, expected, desired):
        """Sets it to @desired if it is @expected, in one step, without the lock; whether it was."""
        return self._compare_exchange((), expected, desired)

    def __repr__(self):
        return '<Synchronized wrapper for %r>' % self.get_obj()


class Array(_Memory, _OfArray, _Mp.Array):
    """An array that processes share, with a lock.

    As multiprocessing.Array; the type may also be one of GVariant, as '(id)'. add(), exchange() and compare_exchange()
    are one step, without the lock. It travels in anything that is sent to another process."""

    __module__ = 'gi.overrides.Mp'

    _library = _Mp.Array

    def __new__(cls, typecode_or_type, size_or_initializer, *, lock=True, isolated=False, ctx=None):
        initial = size_or_initializer
        n_items = initial if isinstance(initial, int) else len(initial)
        if n_items < 1:
            raise ValueError('an array has one element at least, not %d' % n_items)
        if n_items > sys.maxsize:
            raise OverflowError('an array of %d elements is too large' % n_items)
        lock_of = None if lock is False else _lock_for(lock, isolated)
        memory = _make(_Mp.Array, typecode_or_type, n_items, lock_of, isolated)
        if not isinstance(initial, int):
            memory._open().__init__(*initial)
        return memory.get_obj() if lock is False else memory

    def __init__(self, *args, **kwargs):
        """It is made above."""

    def _whole(self):
        return self._element() * _Mp.Array.get_length(self)

    def __getattr__(self, name):
        """Those of characters have value and raw."""
        if name not in ('value', 'raw') or _Mp.TypedMemory.get_format(self) not in ('c', 'u'):
            raise AttributeError('%r object has no attribute %r' % (type(self).__name__, name))
        obj = self._begin()
        try:
            return getattr(obj, name)
        finally:
            self._end()

    def __setattr__(self, name, value):
        if name not in ('value', 'raw'):
            super().__setattr__(name, value)
            return
        obj = self._begin()
        try:
            if not hasattr(obj, name):
                raise AttributeError('%r object has no attribute %r' % (type(self).__name__, name))
            setattr(obj, name, value)
        finally:
            self._end()

    def add(self, index, delta):
        """Adds to an element in one step, without the lock; what it was before."""
        return self._add((self._checked(index),), delta)

    def exchange(self, index, value):
        """Sets an element in one step, without the lock; what it was before."""
        return self._exchange((self._checked(index),), value)

    def compare_exchange(self, index, expected, desired):
        """Sets an element to @desired if it is @expected, in one step, without the lock; whether it was."""
        return self._compare_exchange((self._checked(index),), expected, desired)

    def _checked(self, index):
        n, index = len(self), operator.index(index)
        if not -n <= index < n:
            raise IndexError('invalid index')
        return index % n

    def __repr__(self):
        name = 'SynchronizedString' if _Mp.TypedMemory.get_format(self) == 'c' else 'SynchronizedArray'
        return '<%s wrapper for %r>' % (name, self.get_obj())


def RawValue(typecode_or_type, *args):
    """A value without a lock, as an object of ctypes."""
    return Value(typecode_or_type, *args, lock=False)


def RawArray(typecode_or_type, size_or_initializer):
    """An array without a lock, as an object of ctypes."""
    return Array(typecode_or_type, size_or_initializer, lock=False)


def copy(obj):
    """Another one, without a lock, that is what @obj, of RawValue(), RawArray() or get_obj(), is now."""
    module = _ctypes()
    ctype = module.plain_class(obj) if hasattr(obj, '_mp_memory') else type(obj)
    if issubclass(ctype, module.ctypes.Array):
        new = RawArray(ctype._type_, ctype._length_)
    else:
        new = RawValue(ctype)
    module.ctypes.memmove(module.ctypes.addressof(new), module.ctypes.addressof(obj), module.ctypes.sizeof(ctype))
    return new


class _Wrapper(_Synchronized):
    """Memory without a lock, and a lock."""

    def __init__(self, obj, lock):
        self._obj = obj
        self._set_lock(lock)

    def get_obj(self):
        """The memory itself."""
        return self._obj

    def __reduce__(self):
        return synchronized, (self._obj, self._lock)

    def __repr__(self):
        return '<Synchronized wrapper for %r>' % self._obj


class _ValueWrapper(_Wrapper, _OfMembers):
    value = property(_get_value, _set_value, doc='What it is.')

    def _type(self):
        return type(self._obj)


class _ArrayWrapper(_Wrapper, _OfArray):
    value = _locked_property('value', 'Of characters: up to the first NUL.')
    raw = _locked_property('raw', 'Of characters: all.')


def synchronized(obj, lock=None, ctx=None):
    """@obj, of RawValue() or RawArray(), with a lock, which is @lock or a new one."""
    if not hasattr(obj, '_mp_memory'):
        raise TypeError('only what RawValue() or RawArray() gave can be synchronized')
    cls = _ArrayWrapper if isinstance(obj, _ctypes().ctypes.Array) else _ValueWrapper
    return cls(obj, _lock_for(lock))


sharedctypes = _mp_module.make('sharedctypes', Array=Array, RawArray=RawArray, RawValue=RawValue, Value=Value,
                               copy=copy, synchronized=synchronized)
