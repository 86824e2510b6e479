# _mp_context.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Contexts and start methods as multiprocessing has them, over Mp.Context."""

from multiprocessing import util as _mp_util

from ..module import get_introspection_module
from . import _mp_boot as boot
from . import _mp_errors as errors

_Mp = get_introspection_module('Mp')

_METHODS = {
    'forkserver': _Mp.StartMethod.FORKSERVER,
    'spawn': _Mp.StartMethod.SPAWN,
    'fork': _Mp.StartMethod.FORK,
}
_NAMES = {int(value): name for name, value in _METHODS.items()}

_contexts = {}      # name of a start method, or None: Context
_method = None      # as set by set_start_method()
_preload = []       # as set by set_forkserver_preload()


class Context(_Mp.Context):
    """How workers are started; has the methods of the module, for its own start method."""

    __module__ = 'gi.overrides.Mp'

    AuthenticationError = errors.AuthenticationError
    BufferTooShort = errors.BufferTooShort
    ProcessError = errors.ProcessError
    TimeoutError = errors.TimeoutError

    get_logger = staticmethod(_mp_util.get_logger)
    log_to_stderr = staticmethod(_mp_util.log_to_stderr)

    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
        """A Pool whose workers are started as this context says."""
        from ._mp_pool import Pool
        return Pool(processes, initializer, initargs, maxtasksperchild, context=self)

    @property
    def Process(self):
        """The class of processes that are started as this context says."""
        from ._mp_process import Process
        cls = self.__dict__.get('_process_class')
        if cls is None:
            name = _PROCESS_NAMES.get(self.get_start_method(allow_none=True), 'Process')
            cls = type(name, (Process,), {'__module__': Process.__module__, '_default_context': self})
            self._process_class = cls
        return cls

    def Pipe(self, duplex=True):
        """A pair of connected Connections."""
        from ._mp_connection import Pipe
        return Pipe(duplex)

    def Lock(self):
        """A lock between processes, however those are started."""
        from ._mp_lock import Lock
        return Lock()

    def RLock(self):
        """A lock between processes that its owner can acquire again."""
        from ._mp_sync import RLock
        return RLock()

    def Semaphore(self, value=1):
        """A semaphore between processes."""
        from ._mp_sync import Semaphore
        return Semaphore(value)

    def BoundedSemaphore(self, value=1):
        """A semaphore between processes that never has more units than at first."""
        from ._mp_sync import BoundedSemaphore
        return BoundedSemaphore(value)

    def Condition(self, lock=None):
        """Where processes wait for a change of what a lock protects."""
        from ._mp_condition import Condition
        return Condition(lock)

    def Barrier(self, parties, action=None, timeout=None):
        """A place at which processes wait for each other."""
        from ._mp_barrier import Barrier
        return Barrier(parties, action, timeout)

    def Event(self):
        """A flag between processes, for which one can wait."""
        from ._mp_sync import Event
        return Event()

    def Queue(self, maxsize=0):
        """A queue between processes."""
        from ._mp_queue import Queue
        return Queue(maxsize)

    def SimpleQueue(self):
        """A queue between processes without bounds."""
        from ._mp_queue import SimpleQueue
        return SimpleQueue()

    def JoinableQueue(self, maxsize=0):
        """A queue between processes that knows which items have been worked off."""
        from ._mp_queue import JoinableQueue
        return JoinableQueue(maxsize)

    def Value(self, typecode_or_type, *args, lock=True):
        """A value that processes share."""
        from ._mp_value import Value
        return Value(typecode_or_type, *args, lock=lock)

    def Array(self, typecode_or_type, size_or_initializer, *, lock=True):
        """An array that processes share."""
        from ._mp_value import Array
        return Array(typecode_or_type, size_or_initializer, lock=lock)

    def RawValue(self, typecode_or_type, *args):
        """A value without a lock."""
        from ._mp_value import RawValue
        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type, size_or_initializer):
        """An array without a lock."""
        from ._mp_value import RawArray
        return RawArray(typecode_or_type, size_or_initializer)

    def get_start_method(self, allow_none=False):
        """The name of the start method; where the library chooses, the one that it would like best, or None."""
        name = _NAMES.get(int(_Mp.Context.get_start_method(self)))
        if name is None and not allow_none:
            name = get_all_start_methods()[0]
        return name

    def get_context(self, method=None):
        """This context, or that of another start method."""
        return self if method is None else get_context(method)

    def get_all_start_methods(self):
        """The names of the start methods, the best one first."""
        return get_all_start_methods()

    def set_forkserver_preload(self, module_names):
        """Modules that workers have imported before they begin; an import that fails makes the start fail."""
        self._preload = _checked_names(module_names)

    def set_executable(self, executable):
        """The Python interpreter of workers."""
        boot.set_executable(executable)

    def cpu_count(self):
        """The number of CPUs of the machine."""
        return _Mp.get_n_cpus()

    def active_children(self):
        """The processes of this one that live."""
        from ._mp_process import active_children
        return active_children()

    def current_process(self):
        """This process."""
        from ._mp_process import current_process
        return current_process()

    def parent_process(self):
        """The process that started this one, or None."""
        from ._mp_process import parent_process
        return parent_process()

    def set_start_method(self, method, force=False):
        """Sets the start method of the default context, if this is that; once only, but with @force."""
        if self.get_start_method(allow_none=True) is not None:
            raise ValueError('cannot set start method of concrete context')
        set_start_method(method, force)

    def allow_connection_pickling(self):
        """Does nothing: for programs written for multiprocessing."""

    def freeze_support(self):
        """Does nothing: for programs written for multiprocessing."""

    def __reduce_ex__(self, protocol):
        return get_context, (self.get_start_method(allow_none=True),)


_PROCESS_NAMES = {'spawn': 'SpawnProcess', 'forkserver': 'ForkServerProcess', 'fork': 'ForkProcess'}


def get_context(method=None):
    """The context of a start method, or the default one."""
    if method is None:
        method = _method
    if method is not None and method not in _METHODS:
        raise ValueError('cannot find context for %r' % (method,))
    context = _contexts.get(method)
    if context is None:
        start_method = _METHODS[method] if method else _Mp.StartMethod.AUTO
        context = _contexts[method] = Context(start_method=start_method)
    return context


def set_start_method(method, force=False):
    """Sets the start method of the default context; once only, but with @force."""
    global _method
    if _method is not None and not force:
        raise RuntimeError('context has already been set')
    if method is not None:
        get_context(method)
    _method = method


def get_start_method(allow_none=False):
    """The name of the default context's start method; None with @allow_none while none has been set."""
    if _method is None and allow_none:
        return None
    return _method or get_all_start_methods()[0]


def get_all_start_methods():
    """The names of the start methods that there are here, the best one first."""
    names = (_NAMES.get(int(method)) for method in _Mp.Context.list_start_methods())
    return [name for name in names if name is not None]


def _checked_names(module_names):
    module_names = list(module_names)
    if not all(isinstance(name, str) for name in module_names):
        raise TypeError('module_names must be a list of strings')
    return module_names


def set_forkserver_preload(module_names):
    """Modules that workers have imported before they begin; an import that fails makes the start fail."""
    global _preload
    _preload = _checked_names(module_names)


def is_python(context):
    """Whether the workers of @context are this program's own."""
    argv = _Mp.Context.get_worker_argv(context)
    return not argv or list(argv) == boot.worker_argv()


def ready(context=None):
    """@context, or the default one, with all that a worker started now is to be told."""
    if context is None:
        context = get_context()
    elif not isinstance(context, _Mp.Context):
        raise TypeError('context must be a Mp.Context, not %s' % type(context).__name__)
    if is_python(context):
        preload = context.__dict__.get('_preload')
        _update(context, boot.worker_argv(), boot.boot_data(), _preload if preload is None else preload)
    return context


def _update(context, argv, data, preload):
    """Sets what has changed only: for a change the fork server is started anew."""
    told = context.__dict__.get('_told', (None, None, None))
    if argv != told[0]:
        _Mp.Context.set_worker_argv(context, argv)
    if data != told[1]:
        _Mp.Context.set_boot_data(context, errors.bytes_variant(data))
    if preload != told[2]:
        _Mp.Context.set_preload(context, preload)
    context._told = (argv, data, list(preload))
