# _mp_shared_memory.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp.shared_memory: SharedMemory and ShareableList as multiprocessing.shared_memory has them.

Programs of CPython can use what has been made here by its name, and the other way round."""

import errno
import mmap
import operator
import os
import struct
import types

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_errors as errors
from . import _mp_module
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')

_FOLDER = '/dev/shm'

# Of GIOErrorEnum, and what the system calls that CPython makes would say.
_IO_NOT_FOUND = 1
_IO_EXISTS = 2
_IO_PERMISSION_DENIED = 14
_IO_NOT_SUPPORTED = 15
_IO_INVALID_DATA = 35
_ERRNO = {
    (errors.IO_DOMAIN, _IO_NOT_FOUND): errno.ENOENT,
    (errors.IO_DOMAIN, _IO_EXISTS): errno.EEXIST,
    (errors.IO_DOMAIN, _IO_PERMISSION_DENIED): errno.EACCES,
    (errors.IO_DOMAIN, _IO_NOT_SUPPORTED): errno.ENOSYS,
    (errors.MP_DOMAIN, int(_Mp.Error.TOO_LARGE)): errno.ENOMEM,
}


def _translate(error, name=None):
    number = _ERRNO.get((error.domain, error.code))
    if number is not None:
        exc = OSError(number, error.message, name)
    elif error.domain == errors.IO_DOMAIN and error.code in (errors.IO_CLOSED, _IO_INVALID_DATA):
        exc = ValueError(error.message)
    else:
        return errors.translate(error)
    exc.__cause__ = error
    return exc


def _call(function, *args, name=None):
    try:
        return function(*args)
    except GLib.Error as error:
        exc = _translate(error, name)
    raise exc


def _check_name(name, what):
    if name is not None and not isinstance(name, str):
        raise TypeError('a name must be a str, not %s' % type(name).__name__)
    if name is not None and '\0' in name:
        raise ValueError('embedded null character')
    if name is not None and not _is_name(name.lstrip('/')):
        raise OSError(errno.EINVAL, '%s: a name has 1 to 255 bytes, and none of them is “/”' % what, name)


def _is_name(name):
    """What shm_open() takes for one, without the '/' in front."""
    return 0 < len(name.encode()) <= 255 and '/' not in name and name not in ('.', '..')


# Files with a name that this process has made: those that are still there at its end go then, as with CPython's
# resource tracker. A worker does not see to those that it has made: they may be its result.
_made = {}


def _remember(memory):
    """@memory does not take its name away at its end as an object: others may still come by that name."""
    if not memory.name:
        return
    _Mp.SharedMemory.set_owner(memory, False)
    if _Mp.is_worker():
        return
    try:
        _made[memory.name] = (os.getpid(), os.stat(os.path.join(_FOLDER, memory.name)).st_ino)
    except OSError:
        pass


def end_all():
    """What is left of what this process has made goes."""
    while _made:
        name, (pid, inode) = _made.popitem()
        path = os.path.join(_FOLDER, name)
        try:
            if pid == os.getpid() and os.stat(path).st_ino == inode:
                os.unlink(path)
        except OSError:
            pass


def _reduce(obj, name, otherwise):
    """As what travels inside of the library, else by its name."""
    if values.travel.handles is None and name:
        return otherwise
    return values.reduce_shareable(obj)


class SharedMemory(_Mp.SharedMemory):
    """Memory that several processes have.

    As multiprocessing.shared_memory.SharedMemory: it has a name, by which other processes find it, until somebody calls
    unlink(); at the latest it goes with the program that made it, unless @track is false. It also travels, in the
    arguments and results of functions. Mp.SharedMemory.new(size) makes one without a name, which is gone with the last
    process that has it. All of it has memory from the beginning: OSError when there is not so much."""

    __module__ = 'gi.overrides.Mp'

    _map = None        # as long as it is open and asked for
    _view = None
    _last_size = 0     # of one that is closed

    def __new__(cls, name=None, create=False, size=0, *, track=True):
        if not size >= 0:
            raise ValueError("'size' must be a positive integer")
        if create and size == 0:
            raise ValueError("'size' must be a positive number different from zero")
        if name is None and not create:
            raise ValueError("'name' can only be None if create=True")
        _check_name(name, 'shared memory creation' if create else 'shared memory attach')
        if not create:
            return _call(_Mp.SharedMemory.attach, name, name=name)
        size = operator.index(size)
        try:
            self = _Mp.SharedMemory.new_named(name, size)
        except GLib.Error as error:
            if name is not None or (error.domain, error.code) != (errors.IO_DOMAIN, _IO_NOT_SUPPORTED):
                raise _translate(error, name) from None
            # Where there are no names it travels only.
            return _call(_Mp.SharedMemory.new, size)
        _remember(self)
        if not track:
            _made.pop(self.name, None)
        return self

    def __init__(self, *args, **kwargs):
        """It is made above."""

    @property
    def name(self):
        """Its name, or None when it has none."""
        return _Mp.SharedMemory.get_name(self)

    @property
    def size(self):
        """Its size in bytes."""
        return self._last_size if _Mp.SharedMemory.is_closed(self) else _Mp.SharedMemory.get_size(self)

    @property
    def isolated(self):
        """Whether it shares no memory with other objects, which is so unless it has a name."""
        return _Mp.Shareable.get_isolated(self)

    @property
    def buf(self):
        """A memoryview of it, without a copy; None when it is closed."""
        if self._map is None or self._map.size() != len(self._map):
            self._open()
        return self._view

    def _open(self):
        """One that somebody made larger gets a new view; the old one is good as long as somebody has it."""
        if _Mp.SharedMemory.is_closed(self):
            return
        fd = _call(_Mp.SharedMemory.dup_fd, self)
        try:
            try:
                self._map = mmap.mmap(fd, 0)
            except PermissionError:
                self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
        self._view = memoryview(self._map)

    def _release(self):
        view, self._view = self._view, None
        if view is not None:
            view.release()
        if self._map is not None:
            self._map.close()
            self._map = None

    def grow(self, size):
        """Makes it larger, for all who have it; `buf` gives the whole of it from then on."""
        _call(_Mp.SharedMemory.grow, self, size)

    def seal(self, flags):
        """Makes sure that nobody makes it larger, or writes to it, any more: Mp.SealFlags. BufferError while there are
        exported views of `buf`."""
        self._release()
        _call(_Mp.SharedMemory.seal, self, flags)

    def close(self):
        """Ends the use of it by this object; others, and its name, stay. BufferError while there are views of `buf`."""
        self._release()
        if not _Mp.SharedMemory.is_closed(self):
            self._last_size = _Mp.SharedMemory.get_size(self)
            _Mp.SharedMemory.close(self)

    def unlink(self):
        """Takes its name away: nobody finds it by that any more; who has it keeps it."""
        if self.name:
            _call(_Mp.SharedMemory.unlink, self, name=self.name)
            _made.pop(self.name, None)

    def __reduce_ex__(self, protocol):
        return _reduce(self, self.name, (SharedMemory, (self.name, False, self.size)))

    def __repr__(self):
        return '%s(%r, size=%d)' % (type(self).__name__, self.name, self.size)


_NOTHING = GLib.Variant('()', ())


def _text_variant(value):
    if '\0' in value:
        raise ValueError('a text in a list cannot have a NUL in it: %r' % value)
    return GLib.Variant.new_string(value)


def _integer_variant(value):
    if not -(1 << 63) <= value < 1 << 63:
        raise struct.error('int too large to convert')
    return GLib.Variant.new_int64(value)


_KINDS = (
    (bool, GLib.Variant.new_boolean),
    (int, _integer_variant),
    (float, GLib.Variant.new_double),
    (str, _text_variant),
    ((bytes, bytearray), lambda value: errors.bytes_variant(bytes(value))),
    (type(None), lambda _value: _NOTHING),
    (GLib.Variant, lambda value: value),
)
_EXACT = {cls: make for classes, make in _KINDS for cls in (classes if isinstance(classes, tuple) else (classes,))}


def _pack(value):
    make = _EXACT.get(type(value))
    if make is not None:
        return make(value)
    for cls, make in _KINDS:
        if isinstance(value, cls):
            return make(value)
    raise TypeError('a list has int, float, bool, str, bytes and None, not %s' % type(value).__name__)


_UNPACK = {
    'x': GLib.Variant.get_int64,
    'd': GLib.Variant.get_double,
    'b': GLib.Variant.get_boolean,
    's': GLib.Variant.get_string,
    'ay': errors.variant_bytes,
    'mv': lambda _variant: None,
}


class ShareableList(_Mp.ShareableList):
    """A list of int, float, bool, str, bytes and None in shared memory, of as many items as it is made with.

    As multiprocessing.shared_memory.ShareableList, and in its form; but what that would cut or lose is a ValueError: a
    str or bytes that ends in NUL, or is too long in UTF-8. It travels too, in arguments and results."""

    __module__ = 'gi.overrides.Mp'

    def __new__(cls, sequence=None, *, name=None):
        attach = name is not None and sequence is None
        _check_name(name, 'list attach' if attach else 'list creation')
        if attach:
            return _call(_Mp.ShareableList.attach, name, name=name)
        items = GLib.Variant.new_tuple(*map(_pack, sequence or ()))
        try:
            self = _Mp.ShareableList.new_named(items, name)
        except GLib.Error as error:
            if name is not None or (error.domain, error.code) != (errors.IO_DOMAIN, _IO_NOT_SUPPORTED):
                raise _translate(error, name) from None
            return _call(_Mp.ShareableList.new, items)
        _remember(self.shm)
        return self

    def __init__(self, *args, **kwargs):
        """It is made above."""

    @property
    def shm(self):
        """The SharedMemory that it lies in."""
        return _Mp.ShareableList.get_memory(self)

    @property
    def isolated(self):
        """Whether it shares no memory with other objects, which is so unless it has a name."""
        return _Mp.Shareable.get_isolated(self)

    @property
    def format(self):
        """How all its items are stored, in the notation of the struct module."""
        return ''.join(_call(_Mp.ShareableList.dup_format, self, i) for i in range(len(self)))

    def _index(self, position, message):
        length = len(self)
        position = operator.index(position)
        if position < 0:
            position += length
        if not 0 <= position < length:
            raise IndexError(message)
        return position

    def __len__(self):
        return _Mp.ShareableList.get_length(self)

    def __getitem__(self, position):
        variant = _call(_Mp.ShareableList.get_item, self, self._index(position, 'index out of range'))
        return _UNPACK[variant.get_type_string()](variant)

    def __setitem__(self, position, value):
        position = self._index(position, 'assignment index out of range')
        try:
            _Mp.ShareableList.set_item(self, position, _pack(value))
            return
        except GLib.Error as error:
            exc = _translate_too_long(error)
        raise exc

    def __iter__(self):
        for position in range(len(self)):
            yield self[position]

    def count(self, value):
        """How many of its items equal @value."""
        return sum(value == item for item in self)

    def index(self, value):
        """The number of the first item that equals @value. ValueError when there is none."""
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError('%r not in this container' % (value,))

    def __reduce_ex__(self, protocol):
        return _reduce(self, self.shm.name, (_list_of, (self.shm.name,)))

    def __repr__(self):
        return '%s(%r, name=%r)' % (type(self).__name__, list(self), self.shm.name)

    __class_getitem__ = classmethod(types.GenericAlias)


class SharedMemoryManager(_Mp.SharedMemoryManager):
    """Makes SharedMemory and ShareableLists that go with it: at shutdown() or the end of `with`, their names are gone.

    As multiprocessing.managers.SharedMemoryManager; but no process stands behind it, and what it has made is gone with
    this one at the latest, unless that is killed."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self):
        super().__init__()

    def start(self, initializer=None, initargs=()):
        """Calls @initializer, if any: there is nothing to be started."""
        if initializer is not None:
            initializer(*initargs)

    def shutdown(self):
        """Takes away the names of all that it has made, and closes it here."""
        _Mp.SharedMemoryManager.shutdown(self)

    def _add(self, memory):
        """It goes with the manager, and by its own end not before."""
        _call(_Mp.SharedMemoryManager.add, self, memory)
        if memory.name:
            _Mp.SharedMemory.set_owner(memory, True)
            _made.pop(memory.name, None)

    def SharedMemory(self, size):  # noqa: N802: the name that it has in multiprocessing
        """Shared memory of @size bytes."""
        memory = SharedMemory(create=True, size=size)
        try:
            self._add(memory)
        except BaseException:
            memory.unlink()
            raise
        return memory

    def ShareableList(self, sequence):  # noqa: N802
        """A list of the items of @sequence."""
        made = ShareableList(sequence)
        try:
            self._add(made.shm)
        except BaseException:
            made.shm.unlink()
            raise
        return made

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.shutdown()


def _list_of(name):
    return ShareableList(name=name)


def _translate_too_long(error):
    if errors.is_mp(error, _Mp.Error.TOO_LARGE):
        return ValueError('bytes/str item exceeds available storage')
    return _translate(error)


shared_memory = _mp_module.make('shared_memory', SharedMemory=SharedMemory, ShareableList=ShareableList)
managers = _mp_module.make('managers', SharedMemoryManager=SharedMemoryManager)
