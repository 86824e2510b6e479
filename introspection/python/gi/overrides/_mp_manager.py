# _mp_manager.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The thread behind a ProcessPoolExecutor.

It hands calls to a Mp.Pool many at a time, each a task of its own, and gives their futures what comes back. How many it
hands over ahead is measured by the time that each function takes: a future can be cancelled until then."""

import collections
import functools
import os
import threading
import weakref

from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_boot as boot
from . import _mp_errors as errors
from . import _mp_function
from . import _mp_pickle as values
from . import _mp_worker as worker
from ._mp_pool import Pool

_Mp = get_introspection_module('Mp')

# In seconds. What each worker has of work ahead, at most; …
_AHEAD = 0.05
# … what a call takes beside the function itself; and what a byte of its arguments does.
_OVERHEAD = 20e-6
_PER_BYTE = 10e-9
# Calls that take so long are handed over one by one.
_LONG = 0.005
# Of calls that are handed over at once.
_MOST_AT_ONCE = 512
_MOST_PACES = 1000

_BROKEN = 'A child process terminated abruptly, the process pool is not usable anymore'
_BROKEN_FUTURE = 'A process in the process pool was terminated abruptly while the future was running or pending.'

_live = weakref.WeakSet()   # the managers whose threads run
_exiting = False

Settings = collections.namedtuple('Settings', 'n_workers context initializer initargs tasks_per_worker heal')


class Work:
    """A call: its future, and what is called how."""

    __slots__ = ('future', 'function', 'mode', 'body', 'head', 'cost', 'handle')

    def __init__(self, future, function, mode, body):
        self.future = future
        self.function = function
        self.mode = mode
        self.body = body
        self.head = None     # what its task begins with
        self.cost = 0.0      # seconds that it is expected to take
        self.handle = None   # its Mp.Future, if it was handed over alone
        future._work = self

    def stop(self):
        """Its future has been cancelled while it runs."""
        handle = self.handle
        if handle is not None:
            _Mp.Future.cancel(handle)


class _Batch:
    """Calls that were handed over together."""

    __slots__ = ('iterator', 'works', 'n_left')

    def __init__(self, iterator, works):
        self.iterator = iterator
        self.works = works       # None where the outcome is known
        self.n_left = len(works)


def _callback(method):
    """What the library calls: nothing may be raised into it, and no future may wait in vain for what never should
    happen."""
    @functools.wraps(method)
    def call(self, *args):
        try:
            return method(self, *args)
        except BaseException as exc:
            self._break(exc)
            return None

    return call


class Manager:
    """The state of an executor, and its thread. The executor itself can be dropped before the work is done."""

    def __init__(self, settings):
        self._settings = settings
        self._lock = threading.RLock()
        self._queue = collections.deque()   # what has not been handed over
        self._context = None
        self._thread = None
        self._pool = None
        self._asleep = False      # under the lock: the thread waits, and must be woken for what is new
        self._shut_down = False
        self._cancels = False     # what has not been handed over is to be cancelled
        self._broken = None       # the message of what broke the pool
        self._forced = False
        self._ended = Future()
        # Of the thread only.
        self._out = set()         # what has been handed over
        self._n_out = 0
        self._cost_out = 0.0
        self._paces = {}          # seconds that a function takes, by the head of its tasks
        self._head_of = (None, None, None)

    # Of those who call the executor.

    def submit(self, work):
        with self._lock:
            if self._broken is not None:
                raise BrokenProcessPool(self._broken)
            if self._shut_down:
                raise RuntimeError('cannot schedule new futures after shutdown')
            if _exiting:
                raise RuntimeError('cannot schedule new futures after interpreter shutdown')
            if self._thread is None:
                self._start()
            self._queue.append(work)
            if not self._asleep:
                return
            self._asleep = False
        self._context.wakeup()

    def _start(self):
        """The pool is made here, before there is one more thread: workers may be forks of this process."""
        settings = self._settings
        boot.check_can_start()
        self._context = GLib.MainContext.new()
        self._context.push_thread_default()
        try:
            self._pool = Pool(settings.n_workers, settings.initializer, settings.initargs, settings.tasks_per_worker,
                              settings.context)
            self._pool.connect('worker-exited', self._worker_exited_cb)
        finally:
            self._context.pop_thread_default()
        self._least = self._pool.get_n_workers() + 1
        self._thread = threading.Thread(target=self._run, name='ProcessPoolExecutor')
        self._thread.start()
        _live.add(self)

    def _wake(self):
        with self._lock:
            if self._asleep:
                self._asleep = False
                self._context.wakeup()

    def shut_down(self, cancels=False):
        with self._lock:
            self._shut_down = True
            self._cancels = self._cancels or cancels
            if self._thread is None and not self._ended.done():
                self._ended.set_result(None)
        self._wake()

    def join(self):
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def ended(self):
        """A future of the thread's end."""
        future = Future()
        self._ended.add_done_callback(lambda _ended: future.cancelled() or future.set_result(None))
        return future

    def force_down(self):
        with self._lock:
            self.shut_down(True)
            if self._thread is None or self._ended.done():
                return
            self._forced = True
        self._pool.terminate()
        self._wake()

    def forget(self):
        """In a fork: the thread is not here."""
        self._lock = threading.RLock()
        self._shut_down = True
        self._thread = None

    # Of the thread.

    def _run(self):
        self._context.push_thread_default()
        try:
            while self._turn():
                self._context.iteration(True)
                self._asleep = False
        finally:
            self._end()
            self._context.pop_thread_default()
            self._pool = None
            _live.discard(self)
            self._ended.set_result(None)

    def _turn(self):
        """Hands over what there is room for. False when all is done."""
        if self._forced and self._broken is None:
            self._break(None)
        while True:
            if self._cancels:
                self._cancel_queue()
            self._feed()
            with self._lock:
                if self._queue and self._has_room() or self._cancels and self._queue:
                    continue
                if self._broken is not None or self._is_through():
                    return False
                self._asleep = True
                return True

    def _is_through(self):
        return self._shut_down and not self._queue and not self._n_out

    def _end(self):
        if not self._is_through():
            self._break(None)
        self._pool.close()
        self._pool.join()

    def _has_room(self):
        """Whether more is to be handed over: not for each call that has ended, but for many at once."""
        if self._n_out < self._least:
            return True
        return self._cost_out < _AHEAD / 2 * (self._least - 1)

    def _feed(self):
        while self._queue and self._broken is None and self._has_room():
            works, blobs = self._take()
            first = 0
            for i, work in enumerate(works):
                if work.cost >= _LONG or hasattr(work.function, '__mp_attempts__'):
                    self._hand_over(works[first:i], blobs[first:i])
                    self._hand_over([work], [blobs[i]])
                    first = i + 1
            self._hand_over(works[first:], blobs[first:])

    def _take(self):
        """The calls that are to be handed over together, and their tasks."""
        works, blobs = [], []
        most = _AHEAD * (self._least - 1)
        queue, batch_cost = self._queue, 0.0
        while len(works) < _MOST_AT_ONCE:
            if self._n_out + len(works) >= self._least and self._cost_out + batch_cost >= most:
                break
            try:
                work = queue.popleft()
            except IndexError:
                break
            if not work.future.set_running_or_notify_cancel():
                continue
            try:
                blob = self._pickle(work)
            except Exception as exc:
                work.future.set_exception(exc)
                continue
            works.append(work)
            blobs.append(blob)
            batch_cost += work.cost
        self._cost_out += batch_cost
        return works, blobs

    def _pickle(self, work):
        function, mode, head = self._head_of
        if work.function is not function or work.mode != mode:
            head = worker.task_head(work.function, work.mode | worker.TIMED)
            # What has no state is pickled once only.
            keeps = head[0] & worker.KEEP
            self._head_of = (work.function, work.mode, head) if keeps else (None, None, None)
        data, handles = values.dumps(work.body)
        work.head = head
        work.cost = self._paces.get(head, _AHEAD) + len(data) * _PER_BYTE
        work.body = None
        return head + data, handles

    def _hand_over(self, works, blobs):
        if self._broken is not None:
            self._break(None, *works)
            return
        if not works:
            return
        try:
            if len(works) == 1:
                self._hand_over_alone(works[0], values.pack(*blobs[0]))
            else:
                self._hand_over_batch(works, values.pack_array(blobs))
        except GLib.Error as error:
            self._break(errors.translate(error, None, None, self._settings.initializer), *works)

    def _hand_over_alone(self, work, task):
        options = _mp_function.options_for(work.function)
        handle = _Mp.Pool.submit_with(self._pool, worker.TASK, task, options)
        work.handle = handle
        self._out.add(work)
        self._n_out += 1
        _Mp.Future.get_async(handle, None, self._end_cb, work)
        if work.future.cancelled():
            work.stop()

    def _hand_over_batch(self, works, tasks):
        iterator = _Mp.Pool.imap_unordered(self._pool, worker.TASK, tasks, 1)
        self._out.update(works)
        self._n_out += len(works)
        self._receive(_Batch(iterator, works))

    def _receive(self, batch):
        _Mp.ResultIter.next_batch_async(batch.iterator, _MOST_AT_ONCE, None, self._batch_cb, batch)

    @_callback
    def _end_cb(self, handle, result, work):
        try:
            variant = _Mp.Future.get_finish(handle, result)
        except GLib.Error as error:
            if self._goes_on():
                self._failed(work, error, _Mp.Future.dup_error_details(handle))
        else:
            if self._goes_on():
                self._arrived(work, *values.unpack(variant))

    @_callback
    def _batch_cb(self, iterator, result, batch):
        try:
            variant = _Mp.ResultIter.next_batch_finish(iterator, result)
        except GLib.Error as error:
            if self._goes_on():
                self._batch_failed(batch, error)
            return
        if not self._goes_on() or variant is None:
            return
        for index, success, outcome in values.unpack_batch(variant):
            work, batch.works[index] = batch.works[index], None
            batch.n_left -= 1
            if success:
                self._arrived(work, *outcome)
            else:
                self._failed(work, *outcome)
                if self._broken is not None:
                    return
        if batch.n_left:
            self._receive(batch)

    def _batch_failed(self, batch, error):
        """What is left of it has come to its end together."""
        details = _Mp.error_dup_details(error)
        for work in batch.works:
            if work is not None and self._broken is None:
                self._failed(work, error, details)

    def _goes_on(self):
        """Whether what comes in is still of interest."""
        if self._forced and self._broken is None:
            self._break(None)
        return self._broken is None

    def _back(self, work):
        """The call is not out any more."""
        self._out.discard(work)
        self._n_out -= 1
        self._cost_out = self._cost_out - work.cost if self._n_out else 0.0

    def _arrived(self, work, data, objects):
        self._back(work)
        self._learn(work.head, int.from_bytes(data[-4:], 'little') * 1e-6 + _OVERHEAD)
        try:
            value = values.loads(data, objects)
        except Exception as exc:
            settle(work, None, exc)
        else:
            settle(work, value)

    def _failed(self, work, error, details):
        self._back(work)
        exc = errors.translate(error, details, work.function, self._settings.initializer)
        if self._breaks(error, details):
            self._break(exc, work)
        else:
            settle(work, None, exc)

    def _breaks(self, error, details):
        """Whether it is an error not of the call, but of the pool."""
        if errors.is_mp(error, _Mp.Error.WORKER_DIED):
            return not self._settings.heal
        return errors.is_mp(error, _Mp.Error.WORKER_START) or errors.is_of_initializer(details)

    def _learn(self, head, pace):
        """How long a function takes: becomes more at once, and less by and by."""
        known = self._paces.get(head)
        if known is None:
            if len(self._paces) >= _MOST_PACES:
                self._paces.clear()
        elif pace < known:
            pace = known + (pace - known) * 0.25
        self._paces[head] = pace

    @_callback
    def _worker_exited_cb(self, _pool, _number, _pid, _status, reason):
        if reason != 'died' or self._settings.heal:
            return
        # What it was running comes to its end first, and says more.
        source = GLib.idle_source_new()
        source.set_callback(self._break_cb)
        source.attach(self._context)

    @_callback
    def _break_cb(self, *_data):
        self._break(None)
        return GLib.SOURCE_REMOVE

    def _cancel_queue(self):
        while True:
            try:
                work = self._queue.popleft()
            except IndexError:
                return
            work.future.cancel()
            work.future.set_running_or_notify_cancel()

    def _break(self, cause, *works):
        """All that is pending fails, @works first. @cause: (nullable) the exception that says why."""
        with self._lock:
            if self._broken is None:
                self._broken = _BROKEN
                self._shut_down = True
            pending = list(self._queue)
            self._queue.clear()
        works = [*works, *self._out]
        works += [work for work in pending if work.future.set_running_or_notify_cancel()]
        self._out.clear()
        self._n_out = 0
        self._cost_out = 0.0
        for work in works:
            exc = BrokenProcessPool(_BROKEN_FUTURE)
            exc.__cause__ = cause
            settle(work, None, exc)
        self._pool.terminate()


def settle(work, value, exc=None):
    """Gives a future its outcome; one that was cancelled while it ran has it already."""
    future = work.future
    future._work = work.handle = None
    try:
        if exc is not None:
            future.set_exception(exc)
        else:
            future.set_result(value)
    except InvalidStateError:
        if not future.cancelled():
            raise


def _end_all():
    """Before the interpreter waits for its threads: what was accepted is done, then they end."""
    global _exiting
    _exiting = True
    managers = list(_live)
    for manager in managers:
        manager.shut_down()
    for manager in managers:
        manager.join()


def _after_fork():
    for manager in list(_live):
        manager.forget()
    _live.clear()


threading._register_atexit(_end_all)
os.register_at_fork(after_in_child=_after_fork)
