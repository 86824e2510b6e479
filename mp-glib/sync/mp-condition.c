/* mp-condition.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-condition-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/sync/mp-lock-private.h"
#include "mp-glib/sync/mp-rlock-private.h"

/**
 * MpCondition:
 *
 * Where processes wait for a change of what a lock protects.
 *
 * As Python's `multiprocessing.Condition`: one who has the lock and does not find things as it needs them calls
 * [method@Mp.Condition.wait], which gives the lock up, sleeps, and has the lock again when it returns. Whoever changes
 * something has the lock, too, and calls [method@Mp.Condition.notify] or [method@Mp.Condition.notify_all].
 *
 * ```c
 * mp_condition_acquire (condition, -1, NULL, NULL);
 * while (*n_items == 0)
 *   mp_condition_wait (condition, -1, NULL, NULL);
 * --*n_items;
 * mp_condition_release (condition, NULL);
 * ```
 *
 * A wait may end without a notification, so look again at what you wait for, as here, or have
 * [method@Mp.Condition.wait_for] do that. One who comes later never gets a notification in the place of one who waited
 * when it was given.
 *
 * The lock is an [class@Mp.RLock] of its own, or a given [class@Mp.Lock] or [class@Mp.RLock], which several conditions may
 * have in common.
 *
 * It travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable], together
 * with its lock.
 *
 * ## When a process dies
 *
 * No death makes others wait for ever. When a process dies that waited, or had been notified and had not got the lock
 * yet, all that wait are released without a notification within a fraction of a second, since what it was notified for
 * may still be to be done. So they are when a process dies that had the lock: perhaps it was about to notify.
 *
 * The lock is *abandoned* then, as [class@Mp.Lock] describes. Until it is marked consistent each notification is one for
 * all. Whoever puts things right and marks it consistent should notify all as well.
 *
 * ## Threads and contexts
 *
 * A condition may be used in any thread. With an [class@Mp.Lock] it is the process that has the lock, with an
 * [class@Mp.RLock] the thread. Callbacks run in the main context that was the thread-default one of the call.
 *
 * Since: 0.1
 */

enum { PROP_0, PROP_LOCK, N_PROPS };
static GParamSpec *props[N_PROPS];

static const MpSyncKind condition_kind = { "condition", MP_SLOT_CONDITION, TRUE, 0 };

/* What the class has from its parent, but for what is said here. */
static MpShareableInterface *parent_shareable;

static void mp_condition_shareable_init (MpShareableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpCondition, mp_condition, MP_TYPE_SYNC_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_condition_shareable_init))

static MpSync *
get_sync (MpCondition *self)
{
  return &self->parent_instance.sync;
}

/* As another process gets it: (vv): the lock, as a part of this, and this. */

#define STATE_TYPE "(vv)"

static GVariant *
mp_condition_describe (MpShareable  *shareable,
                       GArray       *fds,
                       GError      **error)
{
  MpCondition *self = MP_CONDITION (shareable);
  g_autoptr(GVariant) lock = NULL;
  g_autoptr(GVariant) own = NULL;

  if (!mp_sync_is_usable (get_sync (self)))
    return parent_shareable->describe (shareable, fds, error);
  lock = mp_shareable_describe_within (self->lock, fds, error);
  if (lock == NULL)
    return NULL;
  own = parent_shareable->describe (shareable, fds, error);
  if (own == NULL)
    return NULL;

  return g_variant_ref_sink (g_variant_new (STATE_TYPE, lock, own));
}

static gboolean
is_lock (gpointer object)
{
  return MP_IS_LOCK (object) || MP_IS_RLOCK (object);
}

static MpShareable *
mp_condition_adopt (GVariant  *state,
                    int       *fds,
                    guint      n_fds,
                    GError   **error)
{
  g_autoptr(MpShareable) lock = NULL;
  g_autoptr(GVariant) described = NULL;
  g_autoptr(GVariant) own = NULL;
  guint used = 0;

  if (!g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed condition: its state");
      return NULL;
    }

  g_variant_get (state, STATE_TYPE, &described, &own);
  lock = mp_shareable_adopt_within (described, fds, n_fds, &used, error);
  if (lock == NULL)
    return NULL;
  if (!is_lock (lock))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed condition: its lock is none");
      return NULL;
    }
  return mp_sync_object_adopt (MP_TYPE_CONDITION, &condition_kind, own, fds + used, n_fds - used, "lock", lock, error);
}

MP_SYNC_DEFINE_KIND_ADOPTED (mp_condition, condition_kind)

static gboolean
mp_condition_get_isolated (MpShareable *shareable)
{
  return parent_shareable->get_isolated (shareable) && mp_shareable_get_isolated (MP_CONDITION (shareable)->lock);
}

static void
mp_condition_shareable_init (MpShareableInterface *iface)
{
  parent_shareable = g_type_interface_peek_parent (iface);
  iface->describe = mp_condition_describe;
  iface->get_isolated = mp_condition_get_isolated;
}

static void
mp_condition_get_property (GObject    *object,
                           guint       prop_id,
                           GValue     *value,
                           GParamSpec *pspec)
{
  MpCondition *self = MP_CONDITION (object);

  switch (prop_id)
    {
    case PROP_LOCK:
      g_value_set_object (value, self->lock);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_condition_set_property (GObject      *object,
                           guint         prop_id,
                           const GValue *value,
                           GParamSpec   *pspec)
{
  MpCondition *self = MP_CONDITION (object);

  switch (prop_id)
    {
    case PROP_LOCK:
      self->lock = g_value_dup_object (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_condition_constructed (GObject *object)
{
  MpCondition *self = MP_CONDITION (object);

  if (self->lock != NULL && !is_lock (self->lock))
    {
      g_critical ("The lock of an MpCondition is an MpLock or an MpRLock, not a %s", G_OBJECT_TYPE_NAME (self->lock));
      g_clear_object (&self->lock);
    }
  if (self->lock == NULL)
    self->lock = g_object_new (MP_TYPE_RLOCK, "isolated", get_sync (self)->isolated, NULL);

  G_OBJECT_CLASS (mp_condition_parent_class)->constructed (object);
}

static void
mp_condition_finalize (GObject *object)
{
  g_clear_object (&MP_CONDITION (object)->lock);

  G_OBJECT_CLASS (mp_condition_parent_class)->finalize (object);
}

static void
mp_condition_class_init (MpConditionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_condition_get_property;
  object_class->set_property = mp_condition_set_property;
  object_class->constructed = mp_condition_constructed;
  object_class->finalize = mp_condition_finalize;
  ((MpSyncObjectClass *) klass)->kind = &condition_kind;

  /**
   * MpCondition:lock: (getter get_lock)
   *
   * The lock: an [class@Mp.Lock] or an [class@Mp.RLock].
   *
   * Without one at construction it is an [class@Mp.RLock] of its own. An isolated condition is isolated only with a lock
   * that is.
   *
   * Since: 0.1
   */
  props[PROP_LOCK] = g_param_spec_object ("lock", NULL, NULL, MP_TYPE_SHAREABLE,
                                          G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_condition_init (MpCondition *self)
{
}

/**
 * mp_condition_new:
 * @lock: (nullable): an [class@Mp.Lock] or an [class@Mp.RLock]; `NULL`: an [class@Mp.RLock] of its own
 *
 * Makes a condition.
 *
 * Returns: (transfer full): a condition
 *
 * Since: 0.1
 */
MpCondition *
mp_condition_new (MpShareable *lock)
{
  g_return_val_if_fail (lock == NULL || is_lock (lock), NULL);

  return g_object_new (MP_TYPE_CONDITION, "lock", lock, NULL);
}

/**
 * mp_condition_get_lock: (get-property lock)
 * @self: a condition
 *
 * Gets the lock.
 *
 * Returns: (transfer none): an [class@Mp.Lock] or an [class@Mp.RLock]
 *
 * Since: 0.1
 */
MpShareable *
mp_condition_get_lock (MpCondition *self)
{
  g_return_val_if_fail (MP_IS_CONDITION (self), NULL);

  return self->lock;
}

/* All calls of a condition are on behalf of its lock: what waits for one of them then runs what is due for any. */

static MpSyncCall *
call_new (MpCondition         *self,
          MpSync              *sync,
          const char          *what,
          gpointer             source_tag,
          GCancellable        *cancellable,
          GAsyncReadyCallback  callback,
          gpointer             user_data)
{
  MpSyncCall *call = mp_sync_call_new (self, sync, what, source_tag, cancellable, callback, user_data);

  call->owner = self->lock;
  return call;
}

/* The lock's own calls. */

/**
 * mp_condition_acquire:
 * @self: a condition
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Acquires the condition's lock: as [method@Mp.Lock.acquire] or [method@Mp.RLock.acquire].
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_condition_acquire (MpCondition   *self,
                      gint64         timeout_us,
                      GCancellable  *cancellable,
                      GError       **error)
{
  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);

  if (MP_IS_RLOCK (self->lock))
    return mp_rlock_acquire ((MpRLock *) self->lock, timeout_us, cancellable, error);
  return mp_lock_acquire ((MpLock *) self->lock, timeout_us, cancellable, error);
}

/**
 * mp_condition_try_acquire:
 * @self: a condition
 *
 * Acquires the condition's lock if that is possible now.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_condition_try_acquire (MpCondition *self)
{
  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);

  if (MP_IS_RLOCK (self->lock))
    return mp_rlock_try_acquire ((MpRLock *) self->lock);
  return mp_lock_try_acquire ((MpLock *) self->lock);
}

/**
 * mp_condition_acquire_async:
 * @self: a condition
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the lock has been acquired, or not
 * @user_data: data for @callback
 *
 * Acquires the condition's lock without blocking: as [method@Mp.Lock.acquire_async] or [method@Mp.RLock.acquire_async].
 *
 * Since: 0.1
 */
void
mp_condition_acquire_async (MpCondition         *self,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  MpSyncCall *call = NULL;

  g_return_if_fail (MP_IS_CONDITION (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = call_new (self, mp_condition_get_lock_sync (self), "condition acquire", mp_condition_acquire_async, cancellable,
                   callback, user_data);
  if (MP_IS_RLOCK (self->lock))
    mp_rlock_set_up_call ((MpRLock *) self->lock, call);
  else
    mp_lock_set_up_call (call);
  mp_sync_call_run (call);
}

/**
 * mp_condition_acquire_finish:
 * @self: a condition
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Condition.acquire_async] began.
 *
 * Returns: whether the lock was acquired
 *
 * Since: 0.1
 */
gboolean
mp_condition_acquire_finish (MpCondition   *self,
                             GAsyncResult  *result,
                             GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_condition_release:
 * @self: a condition
 * @error: return location for an error
 *
 * Releases the condition's lock: as [method@Mp.Lock.release] or [method@Mp.RLock.release].
 *
 * Returns: whether the lock was released
 *
 * Since: 0.1
 */
gboolean
mp_condition_release (MpCondition  *self,
                      GError      **error)
{
  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);

  if (MP_IS_RLOCK (self->lock))
    return mp_rlock_release ((MpRLock *) self->lock, error);
  return mp_lock_release ((MpLock *) self->lock, error);
}

/* Waiting. */

/**
 * mp_condition_wait:
 * @self: a condition
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits for a notification.
 *
 * The caller has the lock. It is given up, wholly when it is an [class@Mp.RLock] that is had more than once; and it is
 * had again, as often, when the call returns, also with one of the errors `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`
 * and `MP_ERROR_INTERRUPTED` (see [func@Mp.set_interrupt_fd]). For that it waits without end, whatever the timeout, if
 * somebody else keeps the lock.
 *
 * A success does not say that there was a notification: see [class@Mp.Condition]. One that had come by the time that the
 * wait ended for another reason is a success.
 *
 * While it waits, callbacks of asynchronous calls of the condition, and of its lock, that are due in a main context which
 * this thread may acquire are run.
 *
 * Further errors: `MP_ERROR_NOT_OWNER` when the caller does not have the lock; `MP_ERROR_FULL` when 16383 wait;
 * `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the condition or its lock. And
 * `MP_ERROR_FAILED` in the copy of the process when a callback that runs meanwhile forks. In a copy for which there was no
 * room, and only there, the lock cannot be had again; the message says so.
 *
 * Returns: whether it was released
 *
 * Since: 0.1
 */
gboolean
mp_condition_wait (MpCondition   *self,
                   gint64         timeout_us,
                   GCancellable  *cancellable,
                   GError       **error)
{
  g_autoptr(GError) failure = NULL;
  MpConditionWait wait;
  gboolean released = FALSE;

  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "condition wait: cancelled");
      return FALSE;
    }
  if (!mp_condition_check_owner (self, "condition wait", error) || !mp_condition_begin_wait (&wait, self, error))
    return FALSE;

  mp_condition_give_lock_up (self);
  released = mp_sync_wait (get_sync (self), self->lock, "condition wait", mp_condition_try_wait, &wait, timeout_us,
                           cancellable, &failure) ||
             mp_condition_leave_wait (&wait);
  if (!mp_condition_take_lock_back (&wait, error))
    released = FALSE;
  else if (!released)
    g_propagate_error (error, g_steal_pointer (&failure));
  mp_condition_end_wait (&wait);

  return released;
}

/**
 * mp_condition_wait_for:
 * @self: a condition
 * @func: (scope call) (closure user_data): says whether it is so
 * @user_data: data for @func
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until something is so.
 *
 * @func is called with the lock held, at first and after each wait, also after one that timed out. All else is as with
 * [method@Mp.Condition.wait].
 *
 * Returns: whether it is so
 *
 * Since: 0.1
 */
gboolean
mp_condition_wait_for (MpCondition      *self,
                       MpConditionFunc   func,
                       gpointer          user_data,
                       gint64            timeout_us,
                       GCancellable     *cancellable,
                       GError          **error)
{
  gint64 deadline = 0;

  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);
  g_return_val_if_fail (func != NULL, FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!mp_condition_check_owner (self, "condition wait", error))
    return FALSE;

  deadline = mp_deadline_after (timeout_us);
  while (!func (user_data))
    {
      g_autoptr(GError) failure = NULL;

      if (mp_condition_wait (self, mp_deadline_left (deadline), cancellable, &failure))
        continue;
      if (g_error_matches (failure, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) && func (user_data))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  return TRUE;
}

static void
wait_free (gpointer data)
{
  MpConditionWait *wait = data;

  mp_condition_end_wait (wait);
  g_free (wait);
}

static MpSyncStep
fail_step (MpSyncCall  *call,
           GError     **error)
{
  MpConditionWait *wait = call->data;

  g_propagate_error (error, g_steal_pointer (&wait->error));
  return MP_SYNC_FAILED;
}

/* In the context of the call: now for the lock. */
static void
waited_cb (GObject      *source_object,
           GAsyncResult *result,
           gpointer      user_data)
{
  MpSyncCall *lock_call = user_data;
  MpConditionWait *wait = lock_call->data;

  g_task_propagate_boolean (G_TASK (result), &wait->error);
  if (wait->error != NULL && mp_condition_leave_wait (wait))
    g_clear_error (&wait->error);
  mp_sync_call_run (lock_call);
}

/**
 * mp_condition_wait_async:
 * @self: a condition
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the lock is had again
 * @user_data: data for @callback
 *
 * Waits for a notification without blocking: as [method@Mp.Condition.wait], for ever.
 *
 * The caller has the lock, which is given up before this call returns, unless the result is one of the errors that begin
 * no wait. It is had again when @callback runs, whatever the result, and when it is an [class@Mp.RLock] by the thread that
 * runs it. That is once, in the thread-default main context of the caller, never from within this call. The lock is
 * waited for once the wait itself is over and that context runs, also if this thread has it then by other means.
 *
 * Since: 0.1
 */
void
mp_condition_wait_async (MpCondition         *self,
                         GCancellable        *cancellable,
                         GAsyncReadyCallback  callback,
                         gpointer             user_data)
{
  MpSyncCall *lock_call = NULL, *call = NULL;
  MpConditionWait *wait = NULL;
  GError *failure = NULL;

  g_return_if_fail (MP_IS_CONDITION (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  wait = g_new0 (MpConditionWait, 1);
  lock_call = call_new (self, mp_condition_get_lock_sync (self), "condition wait", mp_condition_wait_async, NULL,
                        callback, user_data);
  lock_call->data = wait;
  lock_call->free_data = wait_free;
  lock_call->step = mp_condition_try_lock_back;

  if (g_cancellable_is_cancelled (cancellable))
    g_set_error_literal (&failure, G_IO_ERROR, G_IO_ERROR_CANCELLED, "condition wait: cancelled");
  else if (mp_condition_check_owner (self, "condition wait", &failure))
    mp_condition_begin_wait (wait, self, &failure);
  wait->condition = self;
  if (failure != NULL)
    {
      wait->error = failure;
      lock_call->step = fail_step;
      lock_call->skips_line = TRUE;
      mp_sync_call_run (lock_call);
      return;
    }

  call = call_new (self, get_sync (self), "condition wait", mp_condition_wait_async, cancellable, waited_cb, lock_call);
  call->data = wait;
  call->try_func = mp_condition_try_wait;
  mp_sync_call_run (call);
  /* Only now, so that those who come later also stand behind this one. */
  mp_condition_give_lock_up (self);
}

/**
 * mp_condition_wait_finish:
 * @self: a condition
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Condition.wait_async] began.
 *
 * The errors are those of [method@Mp.Condition.wait].
 *
 * Returns: whether it was released
 *
 * Since: 0.1
 */
gboolean
mp_condition_wait_finish (MpCondition   *self,
                          GAsyncResult  *result,
                          GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

static gboolean
notify (MpCondition  *self,
        guint         n,
        GError      **error)
{
  MpConditionNotice notice = { self, n };

  if (!mp_condition_check_owner (self, "condition notify", error))
    return FALSE;

  return mp_sync_do (get_sync (self), "condition notify", mp_condition_try_notify, &notice, error) == MP_SYNC_DONE;
}

/**
 * mp_condition_notify:
 * @self: a condition
 * @n: how many
 * @error: return location for an error
 *
 * Releases as many of those who wait now, or all if there are fewer.
 *
 * They go on once they have the lock, which the caller has and keeps. Nobody who waits: then nothing happens, nor later.
 * It does not wait for anybody.
 *
 * Errors: `MP_ERROR_NOT_OWNER` when the caller does not have the lock; `MP_ERROR_FAILED` with the reason when there was no
 * memory or no descriptor for the condition or its lock.
 *
 * Returns: `FALSE` with an error
 *
 * Since: 0.1
 */
gboolean
mp_condition_notify (MpCondition  *self,
                     guint         n,
                     GError      **error)
{
  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return notify (self, n, error);
}

/**
 * mp_condition_notify_all:
 * @self: a condition
 * @error: return location for an error
 *
 * Releases all who wait now: see [method@Mp.Condition.notify].
 *
 * Returns: `FALSE` with an error
 *
 * Since: 0.1
 */
gboolean
mp_condition_notify_all (MpCondition  *self,
                         GError      **error)
{
  g_return_val_if_fail (MP_IS_CONDITION (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return notify (self, G_MAXUINT, error);
}

/**
 * mp_condition_get_n_waiting:
 * @self: a condition
 *
 * Gets how many wait and have not been notified.
 *
 * By the time that one looks at the answer it may be another one. Those whose process has died are not in it after a
 * fraction of a second; to find that out ends the other waits, as any death of one who waits does.
 *
 * Returns: the number of waits, in all processes
 *
 * Since: 0.1
 */
guint
mp_condition_get_n_waiting (MpCondition *self)
{
  MpSync *sync = NULL;
  gint64 now = g_get_monotonic_time ();
  guint64 state[2] = { 0 };

  g_return_val_if_fail (MP_IS_CONDITION (self), 0);

  sync = get_sync (self);
  if (!mp_sync_is_usable (sync))
    return 0;

  /* Perhaps nobody is left who would look for the dead. */
  if (now - __atomic_load_n (&sync->settled_us, __ATOMIC_RELAXED) >= MP_CELL_SLICE_US &&
      mp_sync_enter (sync, self, "condition get n waiting", 0, NULL, NULL))
    {
      __atomic_store_n (&sync->settled_us, now, __ATOMIC_RELAXED);
      mp_sync_do_inside (sync, mp_condition_settle, NULL, NULL);
    }
  mp_cell_read_state (&sync->slot, state);
  return mp_condition_count_waiting (state[0]);
}

/**
 * mp_condition_locker_new: (skip)
 * @condition: a condition
 * @error: return location for an error
 *
 * Acquires a condition's lock, for ever, until the end of a scope: `g_autoptr(MpConditionLocker)`.
 *
 * Returns: what releases the lock when it is freed
 *
 * Since: 0.1
 */
MpConditionLocker *
mp_condition_locker_new (MpCondition  *condition,
                         GError      **error)
{
  if (!mp_condition_acquire (condition, -1, NULL, error))
    return NULL;

  /* Nothing but a name for the reference. */
  return (MpConditionLocker *) g_object_ref (condition);
}

/**
 * mp_condition_locker_free: (skip)
 * @locker: (transfer full): what `mp_condition_locker_new()` gave
 *
 * Releases the lock.
 *
 * Since: 0.1
 */
void
mp_condition_locker_free (MpConditionLocker *locker)
{
  MpCondition *condition = (MpCondition *) locker;

  mp_condition_release (condition, NULL);
  g_object_unref (condition);
}
