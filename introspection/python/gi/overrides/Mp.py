# Mp.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Mp in Python: the names, parameters and exceptions of multiprocessing over the classes of the library.

    from gi.repository import Mp

    def square(x): return x * x

    if __name__ == '__main__':
        with Mp.Pool(processes=4) as pool:
            print(pool.map(square, range(10)))

Workers are started as multiprocessing's own spawn does it: importable functions, methods and partials can be called,
without registration and without Mp.init(). Times are in seconds. What waits ends for Ctrl-C, and has an awaitable
form for asyncio."""

import atexit
import os

from multiprocessing import process as _mp_process_module
from multiprocessing import util as _mp_util

import gi

from ..module import get_introspection_module
from ..overrides import override

_Mp = get_introspection_module('Mp')

# A program that does not ask for a version gets this one, without a warning.
gi.require_version('Mp', '1')

from . import _mp_barrier, _mp_boot, _mp_condition, _mp_connection, _mp_context, _mp_descriptor  # noqa: E402
from . import _mp_errors  # noqa: E402
from . import _mp_executor, _mp_function, _mp_futures, _mp_imap, _mp_items, _mp_listener, _mp_lock  # noqa: E402
from . import _mp_pool, _mp_process  # noqa: E402
from . import _mp_properties, _mp_queue, _mp_result, _mp_sync, _mp_worker  # noqa: E402
from . import _mp_module, _mp_shared_memory, _mp_value, _mp_wait  # noqa: E402

Array = override(_mp_properties.with_attributes(_mp_value.Array))
Barrier = override(_mp_barrier.Barrier)
BoundedSemaphore = override(_mp_sync.BoundedSemaphore)
Condition = override(_mp_condition.Condition)
Connection = override(_mp_properties.with_attributes(_mp_connection.Connection))
Context = override(_mp_properties.with_attributes(_mp_context.Context))
Descriptor = override(_mp_descriptor.Descriptor)
Event = override(_mp_sync.Event)
Items = override(_mp_items.Items)
JoinableQueue = override(_mp_properties.with_attributes(_mp_queue.JoinableQueue))
Listener = override(_mp_properties.with_attributes(_mp_listener.Listener))
Lock = override(_mp_lock.Lock)
Pool = override(_mp_properties.with_attributes(_mp_pool.Pool))
Process = override(_mp_properties.with_attributes(_mp_process.Process))
Queue = override(_mp_properties.with_attributes(_mp_queue.Queue))
RLock = override(_mp_sync.RLock)
Semaphore = override(_mp_sync.Semaphore)
ShareableList = override(_mp_properties.with_attributes(_mp_shared_memory.ShareableList))
SharedMemory = override(_mp_properties.with_attributes(_mp_shared_memory.SharedMemory))
SharedMemoryManager = override(_mp_shared_memory.SharedMemoryManager)
SimpleQueue = override(_mp_properties.with_attributes(_mp_queue.SimpleQueue))
TaskOptions = override(_mp_properties.TaskOptions)
Value = override(_mp_properties.with_attributes(_mp_value.Value))

AsyncResult = _mp_result.AsyncResult
BrokenProcessPool = _mp_executor.BrokenProcessPool
EndOfQueueError = _mp_queue.EndOfQueueError
ExecutorFuture = _mp_executor.ExecutorFuture
IMapIterator = _mp_imap.IMapIterator
ProcessPoolExecutor = _mp_executor.ProcessPoolExecutor
RawArray = _mp_value.RawArray
RawValue = _mp_value.RawValue
ThreadPool = _mp_pool.ThreadPool

AuthenticationError = _mp_errors.AuthenticationError
BufferTooShort = _mp_errors.BufferTooShort
NoSuchFunctionError = _mp_errors.NoSuchFunctionError
PoolTerminatedError = _mp_errors.PoolTerminatedError
ProcessError = _mp_errors.ProcessError
RemoteError = _mp_errors.RemoteError
RemoteTraceback = _mp_errors.RemoteTraceback
TimeoutError = _mp_errors.TimeoutError
WorkerDiedError = _mp_errors.WorkerDiedError
WorkerStartError = _mp_errors.WorkerStartError

Client = _mp_listener.Client
Pipe = _mp_connection.Pipe
active_children = _mp_process.active_children
as_completed = _mp_futures.as_completed
client_async = _mp_listener.client_async
current_process = _mp_process.current_process
function = _mp_function.function
function_register = _mp_function.function_register
get_all_start_methods = _mp_context.get_all_start_methods
get_context = _mp_context.get_context
get_logger = _mp_util.get_logger
get_start_method = _mp_context.get_start_method
idempotent = _mp_function.idempotent
init = _mp_boot.init
log_to_stderr = _mp_util.log_to_stderr
parent_process = _mp_process.parent_process
set_executable = _mp_boot.set_executable
set_forkserver_preload = _mp_context.set_forkserver_preload
set_start_method = _mp_context.set_start_method
wait = _mp_wait.wait
wait_async = _mp_wait.wait_async
shared_memory = _mp_shared_memory.shared_memory
sharedctypes = _mp_value.sharedctypes
managers = _mp_shared_memory.managers
connection = _mp_module.make('connection', Client=Client, Connection=Connection, Listener=Listener, Pipe=Pipe,
                             AuthenticationError=AuthenticationError, BufferTooShort=BufferTooShort,
                             address_type=_mp_listener.address_type,
                             answer_challenge=_mp_listener.answer_challenge,
                             arbitrary_address=_mp_listener.arbitrary_address, client_async=client_async,
                             default_family=_mp_listener.default_family,
                             deliver_challenge=_mp_listener.deliver_challenge, families=_mp_listener.families,
                             wait=wait, wait_async=wait_async)
reduction = _mp_descriptor.reduction


def cpu_count():
    """The number of CPUs of the machine; Mp.get_n_usable_cpus() is the number of those that may be used."""
    return _Mp.get_n_cpus()


def allow_connection_pickling():
    """Does nothing: connections travel as they are. For programs written for multiprocessing."""


def freeze_support():
    """Does nothing: for programs written for multiprocessing."""


def _at_exit():
    """Pools are terminated, daemons too, other processes are joined, as multiprocessing does it."""
    _mp_pool.end_all()
    _mp_process.end_all()
    _mp_shared_memory.end_all()


__all__ = [
    'AsyncResult', 'AuthenticationError', 'Barrier', 'BoundedSemaphore', 'BrokenProcessPool', 'BufferTooShort',
    'Condition', 'Connection', 'Context', 'Event', 'ExecutorFuture', 'IMapIterator', 'Items', 'Lock',
    'NoSuchFunctionError', 'Pipe', 'Pool', 'PoolTerminatedError', 'Process', 'ProcessError', 'ProcessPoolExecutor',
    'RLock', 'RemoteError', 'RemoteTraceback', 'Semaphore', 'TaskOptions', 'ThreadPool', 'TimeoutError', 'WorkerDiedError', 'WorkerStartError',
    'ShareableList', 'SharedMemory', 'SharedMemoryManager', 'managers', 'shared_memory',
    'Descriptor', 'reduction',
    'Array', 'RawArray', 'RawValue', 'Value', 'sharedctypes',
    'EndOfQueueError', 'JoinableQueue', 'Queue', 'SimpleQueue',
    'Client', 'Listener', 'client_async', 'connection',
    'active_children', 'allow_connection_pickling', 'as_completed', 'cpu_count', 'current_process', 'freeze_support',
    'function', 'function_register', 'get_all_start_methods', 'get_context', 'get_logger', 'get_start_method', 'idempotent',
    'init', 'log_to_stderr', 'parent_process', 'set_executable', 'set_forkserver_preload', 'set_start_method', 'wait',
    'wait_async',
]

_mp_boot.forget_mark()
_mp_worker.register()
if _Mp.is_worker():
    # Started by another program: what is started before Mp.init() would be started again by each worker.
    _mp_process_module.current_process()._mp_waits_for_init = os.getpid()
atexit.register(_at_exit)
