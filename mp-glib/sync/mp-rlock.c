/* mp-rlock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-rlock-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/sync/mp-sync-object-private.h"

/**
 * MpRLock:
 *
 * A lock between processes that its owner can acquire again.
 *
 * As Python's `multiprocessing.RLock`: it belongs to a thread of a process, which may acquire it as often as it likes, and
 * has to release it as often. Nobody else can release it: that fails with `MP_ERROR_NOT_OWNER`.
 *
 * It travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable].
 *
 * The end of its owner's process, whatever its cause, frees the lock as *abandoned*, as [class@Mp.Lock] describes. The end
 * of the owner's thread alone does not: nobody can release it then before the process ends. A copy of the process
 * made by fork() does not hold what the program holds.
 *
 * Callbacks run in the main context that was the thread-default one of the call.
 *
 * Since: 0.1
 */
struct _MpRLock
{
  MpSyncObject parent_instance;
};

/* Who has the cell has the lock. The state: which thread of that process in the lower half, how often above; and which
 * process, as what one that died has written stays until the next owner writes. */
#define WORD(thread,depth) ((guint64) (depth) << 32 | (thread))
#define THREAD(word)       ((guint32) (word))
#define DEPTH(word)        ((guint32) ((word) >> 32))

static const MpSyncKind rlock_kind = { "rlock", MP_SLOT_RLOCK, FALSE, 0 };

G_DEFINE_FINAL_TYPE (MpRLock, mp_rlock, MP_TYPE_SYNC_OBJECT)
MP_SYNC_DEFINE_KIND (mp_rlock, MP_TYPE_RLOCK, rlock_kind)

static MpSync *
get_sync (MpRLock *self)
{
  return &self->parent_instance.sync;
}

/* As in mp-lock.c: some nanoseconds are much here. */
static GType rlock_type;

static inline gboolean
is_plain (MpRLock *self)
{
  return self != NULL && ((GTypeInstance *) self)->g_class != NULL && G_OBJECT_TYPE (self) == rlock_type &&
         self->parent_instance.sync.slot.arena != NULL;
}

static void
mp_rlock_class_init (MpRLockClass *klass)
{
  rlock_type = G_OBJECT_CLASS_TYPE (klass);
  ((MpSyncObjectClass *) klass)->kind = &rlock_kind;
}

static void
mp_rlock_init (MpRLock *self)
{
}

/**
 * mp_rlock_new:
 *
 * Makes a lock, which nobody has.
 *
 * Returns: (transfer full): a lock
 *
 * Since: 0.1
 */
MpRLock *
mp_rlock_new (void)
{
  return g_object_new (MP_TYPE_RLOCK, NULL);
}

/* A number for each thread that there ever was in this process: the kernel's are used again. */
static guint32
get_thread (void)
{
  static guint32 last;
  static __thread guint32 thread;

  if (G_UNLIKELY (thread == 0))
    thread = __atomic_add_fetch (&last, 1, __ATOMIC_RELAXED);
  return thread;
}

/* 0: it is not this process's, or not yet. */
static guint64
read_word (MpSync *sync)
{
  guint64 state[2] = { 0 };

  mp_cell_read_state (&sync->slot, state);
  return state[1] == MP_ARENA_SELF (sync->slot.arena) ? state[0] : 0;
}

static void
write_word (MpSync  *sync,
            guint64  word)
{
  const guint64 state[2] = { word, MP_ARENA_SELF (sync->slot.arena) };

  mp_cell_write_state (&sync->slot, state);
}

/* Only its own thread can see that it has it. */
static gboolean
is_owner (MpSync  *sync,
          guint32  thread)
{
  return mp_sync_is_usable (sync) && mp_cell_is_mine (&sync->slot) && THREAD (read_word (sync)) == thread;
}

/* For one that sleeps: a call that was made by its thread may have got it for that. */
static gboolean
has_it (gpointer data)
{
  return is_owner (get_sync (data), get_thread ());
}

/* TRUE: it had it already. Else @error may be set: it has it too often. */
static gboolean
acquire_again (MpSync   *sync,
               guint32   thread,
               GError  **error)
{
  guint64 word = 0;

  if (!is_owner (sync, thread))
    return FALSE;

  word = read_word (sync);
  if (DEPTH (word) == G_MAXUINT32)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "rlock acquire: acquired %u times already", G_MAXUINT32);
      return FALSE;
    }
  write_word (sync, WORD (thread, DEPTH (word) + 1));
  return TRUE;
}

G_GNUC_NO_INLINE static gboolean
acquire_slowly (MpRLock       *self,
                gint64         timeout_us,
                GCancellable  *cancellable,
                GError       **error)
{
  MpSync *sync = NULL;
  GError *failure = NULL;

  g_return_val_if_fail (MP_IS_RLOCK (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  sync = get_sync (self);
  if (!mp_sync_is_usable (sync))
    return mp_sync_set_unusable (sync, "rlock acquire", error);
  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "rlock acquire: cancelled");
      return FALSE;
    }
  if (acquire_again (sync, get_thread (), &failure))
    return TRUE;
  if (failure != NULL)
    {
      g_propagate_error (error, failure);
      return FALSE;
    }
  if (!mp_cell_take_unless (&sync->slot, self, "rlock acquire", timeout_us, cancellable, has_it, self, error))
    return FALSE;

  if (!acquire_again (sync, get_thread (), NULL))
    write_word (sync, WORD (get_thread (), 1));
  return TRUE;
}

/**
 * mp_rlock_acquire:
 * @self: a lock
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Acquires the lock, and waits until that is possible; at once when this thread has it.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before; `MP_ERROR_INTERRUPTED`,
 * see [func@Mp.set_interrupt_fd]; `MP_ERROR_TOO_LARGE` when the thread has it 4294967295 times; `MP_ERROR_FAILED` with the
 * reason when there was no memory or no descriptor for the lock. With an error it is not acquired.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_rlock_acquire (MpRLock       *self,
                  gint64         timeout_us,
                  GCancellable  *cancellable,
                  GError       **error)
{
  if (G_LIKELY (cancellable == NULL && is_plain (self) && mp_cell_take_quickly (&get_sync (self)->slot)))
    {
      write_word (get_sync (self), WORD (get_thread (), 1));
      return TRUE;
    }
  return acquire_slowly (self, timeout_us, cancellable, error);
}

/**
 * mp_rlock_try_acquire:
 * @self: a lock
 *
 * Acquires the lock if that is possible now.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_rlock_try_acquire (MpRLock *self)
{
  MpSync *sync = NULL;
  MpCellResult result;

  g_return_val_if_fail (MP_IS_RLOCK (self), FALSE);

  sync = get_sync (self);
  if (!mp_sync_is_usable (sync))
    return FALSE;
  if (acquire_again (sync, get_thread (), NULL))
    return TRUE;

  result = mp_cell_try_take (&sync->slot);
  if (result != MP_CELL_TAKEN && result != MP_CELL_ABANDONED)
    return FALSE;
  write_word (sync, WORD (get_thread (), 1));
  return TRUE;
}

/* For the thread of the call, whichever thread this is. */
static MpSyncStep
acquire_step (MpSyncCall  *call,
              GError     **error)
{
  guint32 thread = GPOINTER_TO_UINT (call->data);
  GError *failure = NULL;

  /* Only in the call itself: afterwards its own thread may release it at any moment. */
  if (thread == get_thread () && acquire_again (call->sync, thread, &failure))
    return MP_SYNC_DONE;
  if (failure != NULL)
    {
      g_propagate_error (error, failure);
      return MP_SYNC_FAILED;
    }

  switch (mp_cell_try_take_watching (&call->sync->slot))
    {
    case MP_CELL_BUSY:
      return MP_SYNC_NOT_YET;
    case MP_CELL_LOST:
      mp_sync_set_unusable (call->sync, call->what, error);
      return MP_SYNC_FAILED;
    default:
      write_word (call->sync, WORD (thread, 1));
      return MP_SYNC_DONE;
    }
}

static void
release_once (MpSync *sync)
{
  guint64 word = read_word (sync);

  if (DEPTH (word) > 1)
    {
      write_word (sync, WORD (THREAD (word), DEPTH (word) - 1));
      return;
    }
  write_word (sync, 0);
  if (!mp_cell_give_back_quickly (&sync->slot))
    mp_cell_give_back (&sync->slot);
}

/* Its own thread may have acquired it once more meanwhile, and does so without asking anybody. */
static gboolean
acquire_undo (MpSyncCall *call,
              gboolean    may_wait)
{
  if (!may_wait || !is_owner (call->sync, get_thread ()) || get_thread () != GPOINTER_TO_UINT (call->data))
    return FALSE;
  release_once (call->sync);
  return TRUE;
}

void
mp_rlock_set_up_call (MpRLock    *self,
                      MpSyncCall *call)
{
  call->data = GUINT_TO_POINTER (get_thread ());
  call->step = acquire_step;
  call->undo = acquire_undo;
  call->skips_line = is_owner (get_sync (self), get_thread ());
}

guint64
mp_rlock_look (MpRLock *self)
{
  return is_owner (get_sync (self), get_thread ()) ? read_word (get_sync (self)) : 0;
}

void
mp_rlock_give_up (MpRLock *self)
{
  MpSync *sync = get_sync (self);

  if (!is_owner (sync, get_thread ()))
    return;
  write_word (sync, 0);
  mp_sync_leave (sync);
}

void
mp_rlock_put_back_for_later (MpRLock *self,
                             guint64  given_up)
{
  write_word (get_sync (self), WORD (0, DEPTH (given_up)));
}

void
mp_rlock_hand_over (MpRLock *self)
{
  MpSync *sync = get_sync (self);
  guint64 word = read_word (sync);

  if (mp_cell_is_mine (&sync->slot) && THREAD (word) == 0 && DEPTH (word) > 0)
    write_word (sync, WORD (get_thread (), DEPTH (word)));
}

gboolean
mp_rlock_take_back (MpRLock     *self,
                    guint64      given_up,
                    const char  *what,
                    GError     **error)
{
  MpSync *sync = get_sync (self);
  guint64 depth = DEPTH (given_up);

  if (!has_it (self) && !mp_cell_take_back (&sync->slot, self, what, has_it, self, error))
    return FALSE;

  if (has_it (self))
    depth += DEPTH (read_word (sync));
  write_word (sync, WORD (get_thread (), MIN (depth, G_MAXUINT32)));
  return TRUE;
}

/**
 * mp_rlock_acquire_async:
 * @self: a lock
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the lock has been acquired, or not
 * @user_data: data for @callback
 *
 * Acquires the lock without blocking, for the thread that makes this call: as [method@Mp.RLock.acquire], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call. The calling thread owns
 * the lock from the time at which it was acquired, before @callback runs: it alone can release it. A call that is made
 * while the thread has the lock acquires it once more; one that waits gets it when it is free.
 *
 * When @cancellable is cancelled before it was acquired, the result is `G_IO_ERROR_CANCELLED`. One that comes too late
 * still has that result when @callback runs in the thread of the call, and else none: what the result says is so.
 *
 * Since: 0.1
 */
void
mp_rlock_acquire_async (MpRLock             *self,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  MpSyncCall *call = NULL;

  g_return_if_fail (MP_IS_RLOCK (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = mp_sync_call_new (self, get_sync (self), "rlock acquire", mp_rlock_acquire_async, cancellable, callback,
                           user_data);
  mp_rlock_set_up_call (self, call);
  mp_sync_call_run (call);
}

/**
 * mp_rlock_acquire_finish:
 * @self: a lock
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.RLock.acquire_async] began.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_rlock_acquire_finish (MpRLock       *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/* Had once, and nobody waits. */
static gboolean
release_quickly (MpSync *sync)
{
  if (__atomic_load_n (&sync->slot.slot->word, __ATOMIC_RELAXED) != MP_ARENA_SELF (sync->slot.arena) << 16 ||
      read_word (sync) != WORD (get_thread (), 1))
    return FALSE;

  write_word (sync, 0);
  if (!mp_cell_give_back_quickly (&sync->slot))
    mp_cell_give_back (&sync->slot);
  return TRUE;
}

/**
 * mp_rlock_release:
 * @self: a lock
 * @error: return location for an error
 *
 * Releases the lock once.
 *
 * Errors: `MP_ERROR_NOT_OWNER` when this thread does not have it.
 *
 * Returns: whether this thread had the lock
 *
 * Since: 0.1
 */
gboolean
mp_rlock_release (MpRLock  *self,
                  GError  **error)
{
  MpSync *sync = NULL;

  if (G_LIKELY (is_plain (self) && release_quickly (get_sync (self))))
    return TRUE;

  g_return_val_if_fail (MP_IS_RLOCK (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  sync = get_sync (self);
  if (!mp_sync_is_usable (sync))
    return mp_sync_set_unusable (sync, "rlock release", error);
  if (!is_owner (sync, get_thread ()))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_NOT_OWNER, "rlock release: this thread does not have it");
      return FALSE;
    }

  release_once (sync);
  return TRUE;
}

/**
 * mp_rlock_get_depth:
 * @self: a lock
 *
 * Gets how often this thread has the lock.
 *
 * Returns: how often it has to release it; 0: it does not have it
 *
 * Since: 0.1
 */
guint
mp_rlock_get_depth (MpRLock *self)
{
  g_return_val_if_fail (MP_IS_RLOCK (self), 0);

  return is_owner (get_sync (self), get_thread ()) ? DEPTH (read_word (get_sync (self))) : 0;
}

/**
 * mp_rlock_is_locked:
 * @self: a lock
 *
 * Gets whether somebody has the lock.
 *
 * Returns: whether the lock is locked
 *
 * Since: 0.1
 */
gboolean
mp_rlock_is_locked (MpRLock *self)
{
  g_return_val_if_fail (MP_IS_RLOCK (self), FALSE);

  return mp_sync_is_usable (get_sync (self)) && mp_cell_is_taken (&get_sync (self)->slot);
}

/**
 * mp_rlock_is_abandoned:
 * @self: a lock
 *
 * Gets whether an owner has died while it had the lock: see [method@Mp.Lock.is_abandoned].
 *
 * Returns: whether what the lock protects may be half done
 *
 * Since: 0.1
 */
gboolean
mp_rlock_is_abandoned (MpRLock *self)
{
  g_return_val_if_fail (MP_IS_RLOCK (self), FALSE);

  return mp_sync_is_usable (get_sync (self)) && mp_cell_is_inconsistent (&get_sync (self)->slot);
}

/**
 * mp_rlock_mark_consistent:
 * @self: a lock
 * @error: return location for an error
 *
 * Says that what the lock protects has been put right after the death of an owner.
 *
 * Errors: `MP_ERROR_NOT_OWNER` when this thread does not have the lock.
 *
 * Returns: whether this thread has the lock, which is not abandoned now
 *
 * Since: 0.1
 */
gboolean
mp_rlock_mark_consistent (MpRLock  *self,
                          GError  **error)
{
  g_return_val_if_fail (MP_IS_RLOCK (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!mp_sync_is_usable (get_sync (self)))
    return mp_sync_set_unusable (get_sync (self), "rlock mark consistent", error);
  if (is_owner (get_sync (self), get_thread ()) && mp_cell_mark_consistent (&get_sync (self)->slot))
    return TRUE;

  g_set_error_literal (error, MP_ERROR, MP_ERROR_NOT_OWNER, "rlock mark consistent: this thread does not have it");
  return FALSE;
}

/**
 * mp_rlock_locker_new: (skip)
 * @lock: a lock
 * @error: return location for an error
 *
 * Acquires a lock, for ever, until the end of a scope: `g_autoptr(MpRLockLocker)`.
 *
 * Returns: what releases the lock when it is freed
 *
 * Since: 0.1
 */
MpRLockLocker *
mp_rlock_locker_new (MpRLock  *lock,
                     GError  **error)
{
  if (!mp_rlock_acquire (lock, -1, NULL, error))
    return NULL;

  /* Nothing but a name for the reference. */
  return (MpRLockLocker *) g_object_ref (lock);
}

/**
 * mp_rlock_locker_free: (skip)
 * @locker: (transfer full): what `mp_rlock_locker_new()` gave
 *
 * Releases the lock once.
 *
 * Since: 0.1
 */
void
mp_rlock_locker_free (MpRLockLocker *locker)
{
  MpRLock *lock = (MpRLock *) locker;

  mp_rlock_release (lock, NULL);
  g_object_unref (lock);
}
