/* mp-lock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-lock-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/sync/mp-sync-object-private.h"

/**
 * MpLock:
 *
 * A lock between processes.
 *
 * At most one process has it at a time: its owner is the process that acquired it last. As with Python's
 * `multiprocessing.Lock`, which process or thread releases it does not matter, and to acquire it twice in one process
 * means to wait for somebody else to release it.
 *
 * ```c
 * g_autoptr(MpLock) lock = mp_lock_new ();
 *
 * if (!mp_lock_acquire (lock, -1, NULL, &error))
 *   return FALSE;
 * // only one process is here
 * mp_lock_release (lock, NULL);
 * ```
 *
 * A lock travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable], and
 * is the same lock there. It lives while any process has it, whoever made it. It costs neither a descriptor nor memory
 * but for 64 bytes that are shared, unless it is [property@Mp.SyncObject:isolated].
 *
 * ## When the owner dies
 *
 * The end of its owner, whatever its cause, frees the lock as *abandoned*: who acquires it then has it, like any other
 * owner, and those who wait are woken within a fraction of a second. But what the lock protects may be half done:
 * [method@Mp.Lock.is_abandoned] is `TRUE` for this owner and all later ones, until one of them has put things right
 * and says so by [method@Mp.Lock.mark_consistent]. A program that has nothing to put right need not look.
 *
 * A process that was stopped is not dead: there the timeout or the cancellable ends a wait.
 *
 * ## Threads and contexts
 *
 * A lock may be used in any thread, and in several at once. Callbacks run in the main context that was the
 * thread-default one of the call. Who gets the lock next when several wait is not said, but those that wait by
 * [method@Mp.Lock.acquire_async] for one lock object in one process get it in their order.
 *
 * A program that forks by itself has the lock in its copy as well. What the program holds its copy does not hold.
 *
 * Since: 0.1
 */
struct _MpLock
{
  MpSyncObject parent_instance;
};

static const MpSyncKind lock_kind = { "lock", MP_SLOT_LOCK, FALSE, 0 };

G_DEFINE_FINAL_TYPE (MpLock, mp_lock, MP_TYPE_SYNC_OBJECT)
MP_SYNC_DEFINE_KIND (mp_lock, MP_TYPE_LOCK, lock_kind)

/* Set by the class. */
static GType lock_type;

/* A lock, without the call that MP_IS_LOCK() is, since some nanoseconds are much here; and one with a slot. */
static inline gboolean
is_plain (MpLock *self)
{
  return self != NULL && ((GTypeInstance *) self)->g_class != NULL && G_OBJECT_TYPE (self) == lock_type &&
         self->parent_instance.sync.slot.arena != NULL;
}

const MpSlotRef *
mp_lock_get_slot (MpLock *self)
{
  return &self->parent_instance.sync.slot;
}

static void
mp_lock_class_init (MpLockClass *klass)
{
  lock_type = G_OBJECT_CLASS_TYPE (klass);
  ((MpSyncObjectClass *) klass)->kind = &lock_kind;
}

static void
mp_lock_init (MpLock *self)
{
}

/**
 * mp_lock_new:
 *
 * Makes a lock, which nobody has.
 *
 * This does not fail: when there is no memory or no descriptor for it, each operation on the lock tells the reason.
 *
 * Returns: (transfer full): a lock
 *
 * Since: 0.1
 */
MpLock *
mp_lock_new (void)
{
  return g_object_new (MP_TYPE_LOCK, NULL);
}

/**
 * mp_lock_new_isolated:
 *
 * Makes a lock that shares no memory with other objects: see [property@Mp.SyncObject:isolated].
 *
 * Returns: (transfer full): a lock
 *
 * Since: 0.1
 */
MpLock *
mp_lock_new_isolated (void)
{
  return g_object_new (MP_TYPE_LOCK, "isolated", TRUE, NULL);
}

/* The slow halves are functions of their own, so that the quick ones need no stack. */
G_GNUC_NO_INLINE static gboolean
acquire_slowly (MpLock        *self,
                gint64         timeout_us,
                GCancellable  *cancellable,
                GError       **error)
{
  g_return_val_if_fail (MP_IS_LOCK (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!mp_sync_is_usable (&self->parent_instance.sync))
    return mp_sync_set_unusable (&self->parent_instance.sync, "lock acquire", error);

  return mp_cell_take (&self->parent_instance.sync.slot, self, "lock acquire", timeout_us, cancellable, error);
}

/**
 * mp_lock_acquire:
 * @self: a lock
 * @timeout_us: microseconds, -1 for ever, 0 tries once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Acquires the lock, and waits until that is possible.
 *
 * When it succeeds, this process is the lock's owner. A lock whose owner has died is acquired at once, see
 * [method@Mp.Lock.is_abandoned]. After an error the lock is not held by this call.
 *
 * Meanwhile the callbacks of this lock's asynchronous calls that are due in a main context which this thread may
 * acquire are run.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before and the lock is
 * free; `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; and `MP_ERROR_FAILED` with the reason when there was no
 * memory or no descriptor for the lock, or when this process was forked with no room left for it beside the others.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_lock_acquire (MpLock        *self,
                 gint64         timeout_us,
                 GCancellable  *cancellable,
                 GError       **error)
{
  if (G_LIKELY (cancellable == NULL && is_plain (self) && mp_cell_take_quickly (&self->parent_instance.sync.slot)))
    return TRUE;

  return acquire_slowly (self, timeout_us, cancellable, error);
}

G_GNUC_NO_INLINE static gboolean
try_acquire_slowly (MpLock *self)
{
  MpCellResult result;

  g_return_val_if_fail (MP_IS_LOCK (self), FALSE);

  if (!mp_sync_is_usable (&self->parent_instance.sync))
    return FALSE;

  result = mp_cell_try_take (&self->parent_instance.sync.slot);
  return result == MP_CELL_TAKEN || result == MP_CELL_ABANDONED;
}

/**
 * mp_lock_try_acquire:
 * @self: a lock
 *
 * Acquires the lock if that is possible now.
 *
 * A lock whose owner has died is acquired, see [method@Mp.Lock.is_abandoned].
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_lock_try_acquire (MpLock *self)
{
  if (G_LIKELY (is_plain (self) && mp_cell_take_quickly (&self->parent_instance.sync.slot)))
    return TRUE;

  return try_acquire_slowly (self);
}

static MpSyncStep
acquire_step (MpSyncCall  *call,
              GError     **error)
{
  switch (mp_cell_try_take_watching (&call->sync->slot))
    {
    case MP_CELL_BUSY:
      return MP_SYNC_NOT_YET;
    case MP_CELL_LOST:
      mp_sync_set_unusable (call->sync, call->what, error);
      return MP_SYNC_FAILED;
    default:
      return MP_SYNC_DONE;
    }
}

/* Another thread may have released it meanwhile. */
static gboolean
acquire_undo (MpSyncCall *call,
              gboolean    may_wait)
{
  if (mp_cell_is_mine (&call->sync->slot))
    mp_cell_give_back (&call->sync->slot);
  return TRUE;
}

void
mp_lock_set_up_call (MpSyncCall *call)
{
  call->step = acquire_step;
  call->undo = acquire_undo;
}

/**
 * mp_lock_acquire_async:
 * @self: a lock
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the lock has been acquired, or not
 * @user_data: data for @callback
 *
 * Acquires the lock without blocking: as [method@Mp.Lock.acquire], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call; @self lives at
 * least until then. From the time at which the lock was acquired, which is before @callback runs, this process holds
 * it: release it also when nobody is interested any more. When @cancellable is cancelled before that, the lock is not
 * held, and the result is `G_IO_ERROR_CANCELLED`; later it has no effect.
 *
 * A call that waits needs neither a thread nor a descriptor of its own: one thread of the library's, which is started
 * by the first of them and runs no code of the program's, waits for all.
 *
 * Since: 0.1
 */
void
mp_lock_acquire_async (MpLock              *self,
                       GCancellable        *cancellable,
                       GAsyncReadyCallback  callback,
                       gpointer             user_data)
{
  MpSyncCall *call;

  g_return_if_fail (MP_IS_LOCK (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = mp_sync_call_new (self, &self->parent_instance.sync, "lock acquire", mp_lock_acquire_async, cancellable,
                           callback, user_data);
  mp_lock_set_up_call (call);
  mp_sync_call_run (call);
}

/**
 * mp_lock_acquire_finish:
 * @self: a lock
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Lock.acquire_async] began.
 *
 * The errors are those of [method@Mp.Lock.acquire], but for the timeout and the interruption.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_lock_acquire_finish (MpLock        *self,
                        GAsyncResult  *result,
                        GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

G_GNUC_NO_INLINE static gboolean
release_slowly (MpLock  *self,
                GError **error)
{
  g_return_val_if_fail (MP_IS_LOCK (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!mp_sync_is_usable (&self->parent_instance.sync))
    return mp_sync_set_unusable (&self->parent_instance.sync, "lock release", error);
  if (mp_cell_give_back (&self->parent_instance.sync.slot))
    return TRUE;

  g_set_error_literal (error, MP_ERROR, MP_ERROR_NOT_OWNER, "lock release: it is not locked");
  return FALSE;
}

/**
 * mp_lock_release:
 * @self: a lock
 * @error: return location for an error
 *
 * Releases the lock.
 *
 * Any thread of any process may release it, not only the owner. One of those that wait gets it next.
 *
 * Errors: `MP_ERROR_NOT_OWNER` when nobody holds the lock, which is also the case after its owner's death.
 *
 * Returns: whether the lock was locked, and is released now
 *
 * Since: 0.1
 */
gboolean
mp_lock_release (MpLock  *self,
                 GError **error)
{
  if (G_LIKELY (is_plain (self) && mp_cell_give_back_quickly (&self->parent_instance.sync.slot)))
    return TRUE;

  return release_slowly (self, error);
}

/**
 * mp_lock_is_locked:
 * @self: a lock
 *
 * Gets whether some process holds the lock.
 *
 * A lock whose owner has died is not locked. By the time that one looks at the answer it may be another one.
 *
 * Returns: whether the lock is locked
 *
 * Since: 0.1
 */
gboolean
mp_lock_is_locked (MpLock *self)
{
  g_return_val_if_fail (MP_IS_LOCK (self), FALSE);

  return mp_sync_is_usable (&self->parent_instance.sync) && mp_cell_is_taken (&self->parent_instance.sync.slot);
}

/**
 * mp_lock_is_abandoned:
 * @self: a lock
 *
 * Gets whether an owner has died while it held the lock.
 *
 * `TRUE` from then on, for whoever holds the lock, until [method@Mp.Lock.mark_consistent] is called.
 *
 * Returns: whether what the lock protects may be half done
 *
 * Since: 0.1
 */
gboolean
mp_lock_is_abandoned (MpLock *self)
{
  g_return_val_if_fail (MP_IS_LOCK (self), FALSE);

  return mp_sync_is_usable (&self->parent_instance.sync) && mp_cell_is_inconsistent (&self->parent_instance.sync.slot);
}

/**
 * mp_lock_mark_consistent:
 * @self: a lock
 * @error: return location for an error
 *
 * Says that what the lock protects has been put right after the death of an owner.
 *
 * Does nothing to a lock that is not abandoned. Errors: `MP_ERROR_NOT_OWNER` when this process does not hold the lock.
 *
 * Returns: whether this process holds the lock, which is not abandoned now
 *
 * Since: 0.1
 */
gboolean
mp_lock_mark_consistent (MpLock  *self,
                         GError **error)
{
  g_return_val_if_fail (MP_IS_LOCK (self), FALSE);

  if (!mp_sync_is_usable (&self->parent_instance.sync))
    return mp_sync_set_unusable (&self->parent_instance.sync, "lock mark consistent", error);
  if (mp_cell_mark_consistent (&self->parent_instance.sync.slot))
    return TRUE;

  g_set_error_literal (error, MP_ERROR, MP_ERROR_NOT_OWNER,
                       "lock mark consistent: this process does not hold the lock");
  return FALSE;
}

/**
 * mp_lock_locker_new: (skip)
 * @lock: a lock
 * @error: return location for an error
 *
 * Acquires a lock, for ever, until the end of a scope.
 *
 * ```c
 * g_autoptr(MpLockLocker) locker = mp_lock_locker_new (lock, &error);
 *
 * if (locker == NULL)
 *   return FALSE;
 * ```
 *
 * The errors are those of [method@Mp.Lock.acquire].
 *
 * Returns: what releases the lock when it is freed
 *
 * Since: 0.1
 */
MpLockLocker *
mp_lock_locker_new (MpLock  *lock,
                    GError **error)
{
  if (!mp_lock_acquire (lock, -1, NULL, error))
    return NULL;

  /* Nothing but a name for the reference. */
  return (MpLockLocker *) g_object_ref (lock);
}

/**
 * mp_lock_locker_free: (skip)
 * @locker: (transfer full): what `mp_lock_locker_new()` gave
 *
 * Releases the lock.
 *
 * Since: 0.1
 */
void
mp_lock_locker_free (MpLockLocker *locker)
{
  MpLock *lock = (MpLock *) locker;

  mp_lock_release (lock, NULL);
  g_object_unref (lock);
}
