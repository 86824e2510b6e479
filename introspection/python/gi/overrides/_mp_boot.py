# _mp_boot.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""How a Python worker starts: its command line, what it is told before it is ready, and its main function.

As multiprocessing's own spawn: the worker imports the program's main module under the name __mp_main__, so that every
importable function, and those of the program itself, can be found by their names."""

import importlib
import os
import pickle
import signal
import sys
import threading

from multiprocessing import process as mp_process
from multiprocessing import spawn, util

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_errors as errors

_Mp = get_introspection_module('Mp')

_CODE = 'from gi.overrides._mp_boot import main; main()'

_executable = None      # as given to set_executable()
_own_argv = None        # the command line of a Python worker, made once
_initialized = False    # this process has called mp_init()
_main_pid = os.getpid()  # of the interpreter that was started, not forked


def set_executable(path):
    """The Python interpreter of workers, instead of the running one."""
    global _executable, _own_argv
    _executable = os.fspath(path)
    _own_argv = None


def _running_executable():
    """The interpreter that runs this program.

    sys.executable is made from argv[0] and PATH: it can name another one, or any in a program with Python embedded."""
    exe = os.readlink('/proc/self/exe')
    try:
        if sys.executable and os.path.samefile(sys.executable, '/proc/self/exe'):
            return sys.executable
    except OSError:
        pass
    if os.path.basename(exe).startswith('python') and os.path.exists(exe):
        return exe
    return sys.executable or exe


def worker_argv():
    """The command line of a worker of this program."""
    global _own_argv
    if _own_argv is None:
        flags = util._args_from_interpreter_flags()
        _own_argv = [_executable or _running_executable(), *flags, '-c', _CODE]
    return _own_argv


def _main_exists(path):
    """Whether the main module can be run again: it cannot when it came from standard input."""
    return os.path.exists(path)


def boot_data():
    """What a worker is told before it is ready."""
    data = spawn.get_preparation_data('worker')
    del data['name']
    data.pop('start_method', None)
    data['authkey'] = bytes(data['authkey'])
    data['sys_argv'] = list(map(str, data['sys_argv']))
    if not _main_exists(data.get('init_main_from_path', '/')):
        del data['init_main_from_path']
    return pickle.dumps(data)


def is_spawned():
    """Whether this process is a fresh interpreter, not a fork of another."""
    return _main_pid == os.getpid()


def check_can_start():
    """Raises as multiprocessing does in a worker that is importing a main module without the __main__ guard."""
    spawn._check_not_importing_main()
    if mp_process.current_process().__dict__.get('_mp_waits_for_init'):
        raise RuntimeError('Mp.init() must be called before anything is started: this process is a worker that '
                           'another program has started')
    initialize()


def initialize():
    """mp_init() in a program that is not a worker, once."""
    global _initialized
    if _initialized or _Mp.is_worker():
        return
    _initialized = True
    _set_functions()
    _Mp.init_returning()


def is_importing_main():
    return getattr(mp_process.current_process(), '_inheriting', False)


def _mask_sigint(how):
    signal.pthread_sigmask(how, (signal.SIGINT,))


def hold_sigint():
    """While it is not known yet what this worker is for, SIGINT waits."""
    if threading.current_thread() is threading.main_thread():
        _mask_sigint(signal.SIG_BLOCK)


def _no_interrupt(_number, _frame):
    """Not SIG_IGN: programs that a worker starts would inherit that."""


def ignore_sigint():
    """Pool workers do not take the terminal's Ctrl-C: it is for the owner, who ends them."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _no_interrupt)
        _mask_sigint(signal.SIG_UNBLOCK)


def take_sigint():
    """A process of its own takes it as Python does; one that came meanwhile is raised here."""
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is _no_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _mask_sigint(signal.SIG_UNBLOCK)


def _fork(*_args):
    """fork() as Python wants it done: its locks, threads and hooks are put right in the child."""
    flush()   # or what is in the buffers is written by the child too
    hold_sigint()
    flush()  # or the child writes it as well
    try:
        pid = os.fork()
    except BaseException:
        _mask_sigint(signal.SIG_UNBLOCK)
        raise
    if pid != 0 and not _Mp.is_worker():
        _mask_sigint(signal.SIG_UNBLOCK)
    return pid


def _prepare(data, preload):
    """Makes this process like its owner: arguments, paths, directory, the main module; then the modules of @preload."""
    current = mp_process.current_process()
    current._inheriting = True
    try:
        if data is not None and is_spawned():
            spawn.prepare(pickle.loads(data))
        for name in preload:
            importlib.import_module(name)
    finally:
        del current._inheriting


def _boot(args, *_data):
    """The library's boot function: Python's part of the boot of a worker."""
    data = args.get_child_value(0)
    data = errors.variant_bytes(data.get_child_value(0).get_variant()) if data.n_children() else None
    preload = args.get_child_value(1).unpack()
    try:
        _prepare(data, preload)
        return GLib.Variant('as', preload)
    except BaseException as exc:
        error = errors.to_glib(exc, None, skip=2)
    finally:
        flush()
    raise error


def forget_mark():
    """The library took MP_WORKER away when it was loaded; Python's copy of the environment is older, and what a worker
    starts with that would take itself for one."""
    if GLib.getenv('MP_WORKER') is None:
        os.environ.pop('MP_WORKER', None)


def flush():
    """Empties the buffers of the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):
            pass


def _exit(_status, *_data):
    """The library's exit function, in a worker that was forked: nothing of Python is called after it."""
    util._exit_function()
    flush()


def _set_functions():
    _Mp.set_fork_func(_fork)
    _Mp.set_worker_boot_func(_boot)
    _Mp.set_worker_exit_func(_exit)


def _serve():
    """In a worker: serves its owner until the work is over, then exits."""
    hold_sigint()
    mp_process.current_process().__dict__.pop('_mp_waits_for_init', None)
    _set_functions()
    status = _Mp.init_returning()
    flush()
    sys.exit(status)


def init():
    """Mp.init(): in a worker that another program has started, serves it and exits; else returns.

    In a program whose workers are started by Mp.Pool or Mp.Process it may be called, and need not be."""
    if is_importing_main():
        return
    if _Mp.is_worker():
        _serve()
    initialize()


def main():
    """The whole program of a worker."""
    hold_sigint()
    import gi
    gi.require_version('Mp', '1')
    from gi.repository import Mp
    if not Mp.is_worker():
        sys.exit('this command line is for workers of mp-glib only')
    _serve()
