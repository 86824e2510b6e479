# _mp_pool.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Pool as multiprocessing has it."""

import itertools
import operator
import os
import threading
import warnings
import weakref

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_boot as boot
from . import _mp_call
from . import _mp_context
from . import _mp_errors as errors
from . import _mp_function
from . import _mp_items
from . import _mp_futures
from . import _mp_local
from . import _mp_pickle as values
from . import _mp_pool_size
from . import _mp_worker as worker
from ._mp_imap import Asked, HandedOver, IMapIterator, collect_chunks, read_some
from ._mp_result import AsyncResult, decode_blob, decode_chunks

_Mp = get_introspection_module('Mp')

RUN, CLOSE, TERMINATE = 'RUN', 'CLOSE', 'TERMINATE'
_EXIT_GRACE = 1.0

# What the library's own properties take.
_MOST_TASKS = (1 << 32) - 2

_live = weakref.WeakSet()


def _chunks(iterable, size):
    """The items in chunks; a range stays one, and is a pickle of some bytes."""
    if type(iterable) in (list, tuple, range):
        return (iterable[i:i + size] for i in range(0, len(iterable), size))
    iterator = iter(iterable)
    return iter(lambda: tuple(itertools.islice(iterator, size)), ())


def _check_arguments(processes, initializer, maxtasksperchild):
    if processes is not None:
        processes = operator.index(processes)
        if processes < 1:
            raise ValueError('Number of processes must be at least 1')
        if processes > _mp_pool_size.MOST_PROCESSES:
            raise ValueError('Number of processes must be at most %d' % _mp_pool_size.MOST_PROCESSES)
    if maxtasksperchild is not None:
        if not isinstance(maxtasksperchild, int) or not 0 < maxtasksperchild <= _MOST_TASKS:
            raise ValueError('maxtasksperchild must be a positive int or None')
    if initializer is not None and not callable(initializer) and not isinstance(initializer, str):
        raise TypeError('initializer must be a callable')


def _check_backend(backend, inline_seed, inline_death_rate, inline_max_delay):
    # A property with a value that it does not take would keep another one, after a mere warning.
    if backend not in (_Mp.Backend.PROCESSES, _Mp.Backend.THREADS, _Mp.Backend.INLINE):
        raise ValueError('backend must be a Mp.Backend, not %r' % (backend,))
    if not 0 <= operator.index(inline_seed) < 1 << 64:
        raise ValueError('inline_seed must be an int from 0 to 2**64 - 1')
    if not 0 <= inline_death_rate <= 1:
        raise ValueError('inline_death_rate must be from 0 to 1')
    if not 0 <= inline_max_delay <= threading.TIMEOUT_MAX:
        raise ValueError('inline_max_delay must be a number of seconds, at least 0')


def _initializer(initializer, initargs, table):
    """Name and argument of the initializer as the library takes it."""
    if initializer is None:
        return None, None
    if isinstance(initializer, str):
        return initializer, _mp_function.call_variant(initargs, {})[0]
    if table is not None:
        return _mp_local.INITIALIZER, _mp_local.initializer(table, initializer, initargs)
    head = worker.task_head(initializer, worker.APPLY)
    data, handles = values.dumps((tuple(initargs), {}))
    return worker.INITIALIZER, values.pack(head + data, handles)


class _Head:
    """How the tasks of a function are handed over: the function is pickled once."""

    def __init__(self, func, mode):
        self._data = worker.task_head(func, mode)

    def dumps(self, body):
        data, handles = values.dumps(body)
        return self._data + data, handles


class Pool(_mp_futures.Bounded, _mp_pool_size.Sized, _Mp.Pool):
    """Worker processes that run functions.

    As multiprocessing.Pool; a function given as a text is called by that name, with GLib.Variants or with plain
    values that have a natural GVariant form. Signals: worker-started, worker-exited, task-failed.

    A call of a function is a task with the name of that, as 'module.function', unless its options name it. Its own
    function is one of this module for all of them.

    With backend=Mp.Backend.THREADS the workers are threads, see ThreadPool. With Mp.Backend.INLINE there are none: tasks
    run in this program, in its blocking calls and its main loop. That is for tests: inline_seed decides their order,
    whose worker dies (inline_death_rate, from 0 to 1), and how late they begin (at most inline_max_delay seconds).

    How many workers there are, and how long each lives, may be given here and changed later: the properties of these
    names, and processes, tell what they mean."""

    __module__ = 'gi.overrides.Mp'

    _state = RUN
    own_initializer = None   # the function, when it was not given as a name

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None, *,
                 min_processes=0, idle_timeout=None, worker_max_age=None, worker_max_growth=None, max_start_rate=None,
                 backend=_Mp.Backend.PROCESSES, inline_seed=0, inline_death_rate=0.0, inline_max_delay=0.0):
        self._state = TERMINATE  # for __del__(), should the rest fail
        self._handing_over = threading.RLock()  # a map is accepted as a whole or not at all
        self._table = None   # of what goes to workers in this process
        _check_backend(backend, inline_seed, inline_death_rate, inline_max_delay)
        if backend == _Mp.Backend.PROCESSES:
            boot.check_can_start()
            context = _mp_context.ready(context)
        else:
            _mp_local.register()
            self._table = _mp_local.Table()
        _check_arguments(processes, initializer, maxtasksperchild)
        sizes = _mp_pool_size.properties(min_processes, idle_timeout, worker_max_age, worker_max_growth, max_start_rate)
        name, args = _initializer(initializer, initargs, self._table)
        self._owner_pid = os.getpid()
        super().__init__(backend=backend, inline_seed=inline_seed, inline_death_rate=inline_death_rate,
                         inline_max_delay_us=_mp_call.microseconds(inline_max_delay), n_workers=processes or 0, initializer=name, initializer_args=args,
                         tasks_per_worker=maxtasksperchild or 0, context=context, **sizes)
        if not isinstance(initializer, str):
            self.own_initializer = initializer
        self._state = RUN
        _live.add(self)

    @classmethod
    def new(cls, n_workers):
        """As Pool (n_workers); 0: as many as there are usable CPUs."""
        return cls(n_workers or None)

    @classmethod
    def new_for_backend(cls, backend, n_workers):
        """As Pool (n_workers, backend=backend); 0: as many as there are usable CPUs."""
        return cls(n_workers or None, backend=backend)

    @property
    def _waiting(self):
        """The results whose callbacks are to come."""
        return self.__dict__.setdefault('_callbacks', set())

    def __del__(self, _warn=warnings.warn, _run=RUN):
        # Of its own: without __init__() there is no pool.
        if self.__dict__.get('_state') == _run:
            _warn(f'unclosed running multiprocessing pool {self!r}', ResourceWarning, source=self)

    def __repr__(self):
        name = f'{type(self).__module__}.{type(self).__qualname__}'
        return f'<{name} state={self._state} pool_size={self.get_n_workers()}>'

    def __reduce_ex__(self, protocol):
        raise NotImplementedError('pool objects cannot be passed between processes or pickled')

    def dup_statistics(self):
        """What the pool has counted and measured so far, as a dict; times are in microseconds."""
        return super().dup_statistics().unpack()

    @property
    def _task(self):
        """The name of the function that runs the tasks."""
        return worker.TASK if self._table is None else _mp_local.TASK

    def _head(self, func, mode):
        return _Head(func, mode) if self._table is None else _mp_local.Head(self._table, func, mode)

    def _check_running(self):
        if self._state != RUN:
            raise ValueError('Pool not running')

    def apply(self, func, args=(), kwds={}):
        """Calls func (*args, **kwds) in a worker and waits for the result."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):
        """Calls func (*args, **kwds) in a worker; an AsyncResult.

        The callbacks run in the GLib main context of this thread, or in blocking calls of this pool."""
        self._check_running()
        if isinstance(func, str):
            variant, is_plain = _mp_function.call_variant(args, kwds)
            return self._submit(func, lambda: variant, values.plain if is_plain else _same, callback, error_callback)

        def make():
            return values.pack(*self._head(func, worker.APPLY).dumps((tuple(args), dict(kwds))))

        return self._submit(self._task, make, decode_blob, callback, error_callback, func)

    def _submit(self, name, make, decode, callback, error_callback, func=None):
        try:
            variant = make()
        except Exception as exc:
            return AsyncResult.settled(self, False, exc, callback, error_callback)
        try:
            options = _mp_function.options_for(func)
            if options is None:
                future = _Mp.Pool.submit(self, name, variant)
            else:
                future = _Mp.Pool.submit_with(self, name, variant, options)
        except GLib.Error as error:
            return AsyncResult.settled(self, False, errors.translate(error), callback, error_callback)
        return AsyncResult(self, future, decode, callback, error_callback, func)

    def map(self, func, iterable, chunksize=None):
        """Calls func for each item and waits for the list of results."""
        return self._map(func, iterable, worker.MAP, chunksize)

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """Calls func for each item; an AsyncResult with the list of results."""
        return self._map_async(func, iterable, worker.MAP, chunksize, callback, error_callback)

    def starmap(self, func, iterable, chunksize=None):
        """As map(); each item is a tuple of arguments."""
        return self._map(func, iterable, worker.STARMAP, chunksize)

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """As map_async(); each item is a tuple of arguments."""
        return self._map_async(func, iterable, worker.STARMAP, chunksize, callback, error_callback)

    def _chunk_size(self, n_items, chunksize):
        if chunksize is None:
            chunksize, extra = divmod(n_items, self.get_n_workers() * 4)
            if extra:
                chunksize += 1
        return max(1, chunksize)

    def _map_async(self, func, iterable, mode, chunksize, callback=None, error_callback=None):
        self._check_running()
        if isinstance(func, str):
            return self._map_named(func, iterable, mode, chunksize, callback, error_callback)
        iterable = _mp_items.iterable_of(iterable)
        if not hasattr(iterable, '__len__'):
            iterable = list(iterable)
        if len(iterable) == 0:
            return AsyncResult.settled(self, True, [])
        chunksize = self._chunk_size(len(iterable), chunksize)
        try:
            items = _pack_tasks(self._head(func, mode), _chunks(iterable, chunksize))
            future = _submit_map(self, func, items)
        except GLib.Error as error:
            return AsyncResult.settled(self, False, errors.translate(error), callback, error_callback)
        except Exception as exc:
            return AsyncResult.settled(self, False, exc, callback, error_callback)
        return AsyncResult(self, future, decode_chunks, callback, error_callback, func)

    def _map(self, func, iterable, mode, chunksize):
        """A map that is waited for: while the workers run, what they are to do next is pickled, and what they have done
        is read."""
        if isinstance(func, str):
            return self._map_async(func, iterable, mode, chunksize).get()
        self._check_running()
        iterable = _mp_items.iterable_of(iterable)
        if not hasattr(iterable, '__len__'):
            iterable = list(iterable)
        head = self._head(func, mode)
        chunks = iter(_chunks(iterable, self._chunk_size(len(iterable), chunksize)))
        parts = []
        with self._handing_over:
            for size in (self.get_n_workers(), None):
                tasks = _pack_tasks(head, itertools.islice(chunks, size))
                if tasks.n_children():
                    parts.append((_mp_call.plain(_imap, self, func, tasks), tasks.n_children()))
        return collect_chunks(self, func, parts)

    def _map_named(self, name, iterable, mode, chunksize, callback, error_callback):
        """A map by name: the items are GVariants, and the library makes the chunks."""
        given = _mp_items.given(iterable)
        if given is not None:
            try:
                future = _Mp.Pool.submit_map_with(self, name, given, max(0, chunksize or 0), None)
            except GLib.Error as error:
                return AsyncResult.settled(self, False, errors.translate(error), callback, error_callback)
            return AsyncResult(self, future, _plain_children, callback, error_callback)
        items, is_plain = _mp_function.items_variant(iterable, mode == worker.STARMAP)
        if items.n_children() == 0:
            return AsyncResult.settled(self, True, items if isinstance(iterable, GLib.Variant) else [])
        if isinstance(iterable, GLib.Variant):
            decode = _same
        else:
            decode = _plain_children if is_plain else _children
        try:
            future = _Mp.Pool.submit_map(self, name, items, max(0, chunksize or 0))
        except GLib.Error as error:
            return AsyncResult.settled(self, False, errors.translate(error), callback, error_callback)
        return AsyncResult(self, future, decode, callback, error_callback)

    def imap(self, func, iterable, chunksize=1):
        """An iterator of the results of func for each item, in order; the input is taken as there is need of it.

        With @chunksize > 1 a chunk is what is a task: one that has been carried out to its end counts as done, also
        when func has raised for some of its items. Each of those raises at its own place all the same."""
        return self._imap(True, func, iterable, chunksize)

    def imap_unordered(self, func, iterable, chunksize=1):
        """As imap(); results come as they are ready."""
        return self._imap(False, func, iterable, chunksize)

    def _imap(self, ordered, func, iterable, chunksize):
        self._check_running()
        if chunksize < 1:
            raise ValueError('Chunksize must be 1+, not {0:n}'.format(chunksize))
        if isinstance(func, str):
            return self._imap_named(ordered, func, iterable, chunksize)
        iterable = _mp_items.iterable_of(iterable)
        chunked = chunksize > 1
        head = self._head(func, worker.EACH if chunked else worker.SINGLE)
        if chunked:
            iterable = _chunks(iterable, chunksize)

        def pack(body):
            return values.pack(*head.dumps(body))

        calls = self._hand_over(ordered, self._task, iterable, 1, lambda bodies: _pack_tasks(head, bodies), pack,
                                _mp_function.options_for(func))
        return IMapIterator(self, calls, None, chunked, func)

    def _imap_named(self, ordered, name, iterable, chunksize):
        given = _mp_items.given(iterable)
        if given is not None:
            iterator = _mp_call.plain(_Mp.Pool.imap_with, self, name, given, chunksize, ordered, None)
            return IMapIterator(self, _mp_items.Given(iterator), values.plain)
        if isinstance(iterable, GLib.Variant):
            iterable = _children(iterable)
        iterator = iter(iterable)
        first = list(itertools.islice(iterator, 1))
        is_plain = not (first and isinstance(first[0], GLib.Variant))
        calls = self._hand_over(ordered, name, itertools.chain(first, iterator), chunksize,
                                lambda items: _mp_function.items_variant(items, False)[0], values.variant_from)
        return IMapIterator(self, calls, values.plain if is_plain else _same)

    def _hand_over(self, ordered, name, bodies, chunksize, pack_all, pack, options=None):
        """The calls of an imap. In order, they are handed over many at a time; else one by one as the pool asks, so
        that results are waited for together, but for those few that there are at once."""
        def submit(bodies):
            items = _Mp.Items.new_for_array(pack_all(bodies))
            return _mp_call.plain(_Mp.Pool.imap_with, self, name, items, chunksize, ordered, options)

        n_workers = self.get_n_workers()
        if ordered:
            return HandedOver(submit, bodies, n_workers)
        bodies, is_short = read_some(bodies, 2 * n_workers)
        if is_short:
            return HandedOver(submit, bodies, n_workers)
        asked = Asked(bodies, pack)
        asked.iterator = _mp_call.plain(_Mp.Pool.imap_with, self, name, asked.items(), chunksize, False, options)
        return asked

    def close(self):
        """No more calls; those that were accepted are done."""
        with self._handing_over:
            if self._state == RUN:
                self._state = CLOSE
                _Mp.Pool.close(self)

    def terminate(self):
        """Ends the workers at once; calls that have not come to their end fail with PoolTerminatedError."""
        if self._state != TERMINATE:
            self._state = TERMINATE
            _Mp.Pool.terminate(self)
            if self._table is not None:
                self._table.clear()
        _live.discard(self)

    def join(self, timeout=None):
        """Waits for the workers to end; close() or terminate() must have been called."""
        if self._state == RUN:
            raise ValueError('Pool is still running')
        _mp_call.call(_Mp.Pool.join, self, timeout=timeout)
        for result in [result for result in self._waiting if result.is_settled()]:
            result.notify()
        _live.discard(self)

    async def join_async(self):
        """As join(), to be awaited under asyncio."""
        if self._state == RUN:
            raise ValueError('Pool is still running')
        await _mp_asyncio.wait(lambda cancellable, done: _Mp.Pool.join_async(self, cancellable, done),
                               lambda result: _Mp.Pool.join_finish(self, result))

    def __enter__(self):
        self._check_running()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self._end()

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, exc_type, exc_value, exc_tb):
        self.terminate()
        await self.join_async()

    def _end(self):
        """terminate(), and the workers are gone after it."""
        self.terminate()
        try:
            self.join(_EXIT_GRACE)
        except errors.TimeoutError:
            pass


class ThreadPool(Pool):
    """Threads of this process that run functions, as multiprocessing.pool.ThreadPool.

    Nothing is pickled: any callable can be called, with any arguments, and its result is the object that it returned.
    The callbacks run where those of Pool do, in no hidden thread."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, processes=None, initializer=None, initargs=()):
        super().__init__(processes, initializer, initargs, backend=_Mp.Backend.THREADS)

    @classmethod
    def new(cls, n_workers):
        """As ThreadPool (n_workers); 0: as many as there are usable CPUs."""
        return cls(n_workers or None)


def _same(variant):
    return variant


def _children(variant):
    """The elements of an array as a list of variants."""
    children = [variant.get_child_value(i) for i in range(variant.n_children())]
    if variant.get_type_string() == 'av':
        children = [child.get_variant() for child in children]
    return children


def _plain_children(variant):
    return list(map(values.plain, _children(variant)))


def _submit_map(pool, func, tasks):
    """The Mp.Future of the tasks of a map of @func."""
    options = _mp_function.options_for(func)
    return _Mp.Pool.submit_map_with(pool, pool._task, _Mp.Items.new_for_array(tasks), 1, options)


def _imap(pool, func, tasks):
    """The Mp.ResultIter of the tasks of a map of @func, in order."""
    options = _mp_function.options_for(func)
    return _Mp.Pool.imap_with(pool, pool._task, _Mp.Items.new_for_array(tasks), 1, True, options)


def _pack_tasks(head, bodies):
    """The array of tasks that all begin with @head."""
    return values.pack_array([head.dumps(body) for body in bodies])


def end_all():
    """At the interpreter's exit."""
    for pool in list(_live):
        if pool._owner_pid == os.getpid():
            pool._end()


os.register_at_fork(after_in_child=_live.clear)
