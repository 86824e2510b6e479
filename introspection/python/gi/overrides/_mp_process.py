# _mp_process.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Process as multiprocessing has it."""

import itertools
import os
import signal

from multiprocessing import process as mp_process

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_asyncio
from . import _mp_boot as boot
from . import _mp_call
from . import _mp_context
from . import _mp_errors as errors
from . import _mp_function
from . import _mp_pickle as values
from . import _mp_worker as worker

_Mp = get_introspection_module('Mp')

_RUNNING = -(1 << 31)
_UNKNOWN = _RUNNING + 1
_UNKNOWN_EXITCODE = 255   # what multiprocessing says of a forkserver's child whose status is lost

_SIGNAL_NAMES = {-number: '-' + number.name for number in signal.Signals}

_current = None           # in the worker of a Process: its object
_counter = itertools.count(1)
_children = set()         # those started and not yet seen to end


def _current_identity():
    """The numbers of this process, as multiprocessing counts: a pool's workers have one of their pool."""
    if _current is not None:
        return _current._identity
    if not _Mp.is_worker():
        return ()
    number = _Mp.Process.get_current().get_name().rpartition('-')[2]
    return (int(number),) if number.isdigit() else ()


class Process(_Mp.Process):
    """A function, or the run() of a subclass, in a process of its own.

    As multiprocessing.Process; a target given as a text is called by that name, with GLib.Variants or with plain
    values that have a natural GVariant form. Signals: started, exited, line: with @capture_output all that the process
    writes comes so, a line at a time."""

    __module__ = 'gi.overrides.Mp'

    _default_context = None
    _target = None
    _args = ()
    _kwargs = {}
    _started = False
    _closed = False
    _is_self = False
    _has_authkey = False     # one of its own
    _identity = ()           # numbers from the program down to this process, for the names of its children

    def __init__(self, group=None, target=None, name=None, args=(), kwargs={}, *, daemon=None, context=None,
                 capture_output=False):
        assert group is None, 'group argument must be None for now'
        super().__init__()
        self._parent_pid = os.getpid()
        self._context = context
        self._target = target
        self._args = args if isinstance(args, GLib.Variant) else tuple(args)
        self._kwargs = dict(kwargs)
        self._identity = (*_current_identity(), next(_counter))
        _Mp.Process.set_name(self, name or type(self).__name__ + '-' + ':'.join(map(str, self._identity)))
        if capture_output:
            _Mp.Process.set_capture_output(self, True)
        if daemon is not None:
            self.daemon = daemon
        elif _current is not None and _current.daemon:
            self.daemon = True

    def run(self):
        """What the process does; to be overridden. Calls the target."""
        if self._target:
            self._target(*self._args, **self._kwargs)

    def _check_closed(self):
        if self._closed:
            raise ValueError('process object is closed')

    def _own_context(self):
        """The context that was asked for in one way or other, or None."""
        context = self.__dict__.get('_context') or self._default_context or _Mp.Process.get_context(self)
        return None if context == _Mp.Context.get_default() else context

    def _prepare(self):
        """Tells the library what the worker has to run."""
        self.set_property('context', _mp_context.ready(self._own_context()))
        if self._target is None and type(self).run is Process.run and _Mp.Process.get_function(self):
            return  # made by Mp.Process.new()
        if isinstance(self._target, str):
            name, args = self._target, _mp_function.call_variant(self._args, self._kwargs)[0]
        else:
            values.travel.spawning = True
            try:
                name, args = worker.PROCESS, values.pack(*values.dumps(self))
            finally:
                values.travel.spawning = False
        self.set_property('function', name)
        self.set_property('args', args)

    def _begin(self):
        self._check_closed()
        assert not self._started, 'cannot start a process twice'
        assert self.__dict__.get('_parent_pid', os.getpid()) == os.getpid(), \
            'can only start a process object created by current process'
        boot.check_can_start()
        self._prepare()
        self._started = True
        # Handles hold no references: what they stand for must live until the arguments have been sent.
        self._going = self._target, self._args, self._kwargs
        self._target, self._args, self._kwargs = None, (), {}
        _children.add(self)

    def start(self):
        """Starts the process; once only. Returns as soon as it has a pid, while it may still boot."""
        self._begin()
        try:
            if _Mp.Context.get_start_method(_Mp.Process.get_context(self)) == _Mp.StartMethod.FORK:
                # GLib makes a thread at the first asynchronous call, and with one there is no forking.
                _mp_call.call(_Mp.Process.start, self)
            else:
                _Mp.Process.start_async(self, None, None)
                self._wait_for_pid()
        except BaseException:
            if not _Mp.Process.is_alive(self):
                _children.discard(self)
            raise
        finally:
            self._going = None

    def _wait_for_pid(self):
        """Each look is longer than the one before: a fork server answers in a fraction of a millisecond, but the first
        process of a context is booted alone."""
        pause = 0.0002
        while not _Mp.Process.get_pid(self) and _Mp.Process.is_alive(self):
            try:
                _mp_call.call(_Mp.Process.join, self, timeout=pause)
            except errors.TimeoutError:
                pause = min(pause * 2, 0.05)
        if not _Mp.Process.get_pid(self):
            self._raise_start_error()

    def _raise_start_error(self):
        error = _Mp.Process.dup_error(self)
        if error is not None:
            raise errors.translate(error)
        # What is refused at once leaves no trace; it is refused again.
        _mp_call.call(_Mp.Process.start, self)

    async def start_async(self):
        """As start(), to be awaited under asyncio."""
        self._begin()
        await _mp_asyncio.wait(lambda cancellable, done: _Mp.Process.start_async(self, cancellable, done),
                               lambda result: _Mp.Process.start_finish(self, result))

    def _check_child(self, what):
        self._check_closed()
        if not self._is_ours():
            return
        assert self.__dict__.get('_parent_pid', os.getpid()) == os.getpid(), 'can only %s a child process' % what
        assert self._started or self.pid, 'can only %s a started process' % what

    def _is_ours(self):
        """Whether this object was made here, not got from parent_process() or current_process()."""
        return '_parent_pid' in self.__dict__

    def join(self, timeout=None):
        """Waits until the process has ended, at most @timeout seconds."""
        self._check_child('join')
        try:
            _mp_call.call(_Mp.Process.join, self, timeout=timeout)
        except errors.TimeoutError:
            return
        _children.discard(self)

    async def join_async(self):
        """As join(), to be awaited under asyncio; gives the exit code."""
        self._check_child('join')
        await _mp_asyncio.wait(lambda cancellable, done: _Mp.Process.join_async(self, cancellable, done),
                               lambda result: _Mp.Process.join_finish(self, result))
        _children.discard(self)
        return self.exitcode

    def is_alive(self):
        """Whether the process runs."""
        self._check_closed()
        if self._is_self:
            return True
        alive = _Mp.Process.is_alive(self)
        if not alive and self._started:
            _children.discard(self)
        return alive

    def _signal(self, function):
        self._check_closed()
        if self._is_ours() and not self._started:
            raise ValueError('process not started')
        try:
            function(self)
        except GLib.Error as error:
            if self.exitcode is None:
                raise errors.translate(error)

    def terminate(self):
        """Sends SIGTERM."""
        self._signal(_Mp.Process.terminate)

    def kill(self):
        """Sends SIGKILL."""
        self._signal(_Mp.Process.kill)

    def interrupt(self):
        """Sends SIGINT: KeyboardInterrupt is raised in the process."""
        self._signal(_Mp.Process.interrupt)

    def close(self):
        """Releases what the object holds. ValueError while the process runs."""
        if self._started and not self._closed:
            if self.exitcode is None:
                raise ValueError('Cannot close a process while it is still running. '
                                 'You should first call join() or terminate().')
            _mp_call.plain(_Mp.Process.close, self)
            _children.discard(self)
        self._closed = True

    @property
    def name(self):
        """A label."""
        return _Mp.Process.get_name(self)

    @name.setter
    def name(self, name):
        assert isinstance(name, str), 'name must be a string'
        _Mp.Process.set_name(self, name)

    @property
    def daemon(self):
        """Whether the process is terminated, not joined, when this one exits."""
        return _Mp.Process.get_daemon(self)

    @daemon.setter
    def daemon(self, daemonic):
        assert not self._started, 'process has already started'
        _Mp.Process.set_daemon(self, bool(daemonic))

    @property
    def authkey(self):
        """The key that it has, or is to be started with; None of the parent, whose key is not known.

        It is for Mp.Listener and Mp.Client in processes that belong together, which inherit it. It cannot be
        pickled."""
        key = _Mp.get_authkey() if self._is_self else _Mp.Process.dup_authkey(self)
        return None if key is None else mp_process.AuthenticationString(key.get_data())

    @authkey.setter
    def authkey(self, authkey):
        if not isinstance(authkey, bytes):
            raise TypeError('authkey should be a byte string')
        if not authkey:
            raise ValueError('authkey is empty')
        key = GLib.Bytes.new(bytes(authkey))
        if self._is_self:
            _Mp.set_authkey(key)
            mp_process.current_process().authkey = authkey
            return
        assert not self._started, 'process has already started'
        _Mp.Process.set_authkey(self, key)
        self._has_authkey = True

    @property
    def pid(self):
        """Its process id, None before it has one."""
        self._check_closed()
        if self._is_self:
            return os.getpid()
        return _Mp.Process.get_pid(self) or None

    ident = pid

    @property
    def exitcode(self):
        """None while it has not ended, else its exit status, or minus the number of the signal that ended it."""
        self._check_closed()
        status = _Mp.Process.get_exit_status(self)
        if status == _RUNNING and self._started and not _Mp.Process.is_alive(self):
            status = _Mp.Process.get_exit_status(self)
        if status == _RUNNING:
            return None
        return _UNKNOWN_EXITCODE if status == _UNKNOWN else status

    @property
    def sentinel(self):
        """A file descriptor that becomes readable when the process ends."""
        self._check_closed()
        if not self._started and self._is_ours():
            raise ValueError('process not started')
        return _mp_call.plain(_Mp.Process.get_sentinel, self)

    def _status(self):
        if self._is_self or not self._is_ours():
            return 'started', None
        if self._closed:
            return 'closed', None
        if self._parent_pid != os.getpid():
            return 'unknown', None
        if not self._started:
            return 'initial', None
        exitcode = self.exitcode
        return ('started' if exitcode is None else 'stopped'), exitcode

    def __repr__(self):
        status, exitcode = self._status()
        info = [type(self).__name__, 'name=%r' % self.name]
        if self._started and not self._closed:
            info.append('pid=%s' % self.pid)
        info += ['parent=%s' % self.__dict__.get('_parent_pid'), status]
        if exitcode is not None:
            info.append('exitcode=%s' % _SIGNAL_NAMES.get(exitcode, exitcode))
        if self.daemon:
            info.append('daemon')
        return '<%s>' % ' '.join(info)

    def __reduce_ex__(self, protocol):
        if not values.travel.spawning:
            raise TypeError('Process objects cannot be pickled')
        state = dict(self.__dict__)
        for key in _NOT_SENT:
            state.pop(key, None)
        cls = type(self)
        if '_default_context' in cls.__dict__:
            cls = Process  # Context.Process, which has no name to be found by
        return _rebuild, (cls, self.name, self.daemon), self.__getstate__() if _has_getstate(self) else state


_NOT_SENT = ('_context', '_started', '_closed')


def _has_getstate(process):
    return any('__getstate__' in cls.__dict__ for cls in type(process).__mro__ if cls not in (object,))


def _rebuild(cls, name, daemon):
    """In the worker: the object without its constructor's side effects."""
    process = cls.__new__(cls)
    _Mp.Process.__init__(process)
    _Mp.Process.set_name(process, name)
    _Mp.Process.set_daemon(process, daemon)
    return process


def become(process):
    """In the worker: @process is the current one from now on."""
    global _current
    process._is_self = True
    _current = process
    mp_process.current_process().name = process.name
    if process._has_authkey:
        mp_process.current_process().authkey = process.authkey


def current_process():
    """The Process that this process is."""
    if _current is not None:
        return _current
    process = _Mp.Process.get_current()
    process._is_self = True
    return process


def parent_process():
    """The Process that started this one; None in the program itself."""
    return _Mp.Process.get_parent()


def active_children():
    """The processes that this one has started and that live."""
    model = _Mp.get_active_children()
    found = [model.get_item(i) for i in range(model.get_n_items())]
    return [process for process in found if process.is_alive()]


def end_all():
    """At the interpreter's exit: daemons are terminated, the others joined."""
    running = [process for process in list(_children)
               if process.__dict__.get('_parent_pid') == os.getpid() and not process._closed and process.is_alive()]
    for process in running:
        if process.daemon:
            process.terminate()
    for process in running:
        process.join()


def _after_fork():
    global _counter
    _counter = itertools.count(1)
    _children.clear()


os.register_at_fork(after_in_child=_after_fork)
