/* mp-semaphore.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-semaphore-private.h"

#include "mp-glib/base/mp-error.h"

/**
 * MpSemaphore:
 *
 * A number of units that processes take and give back.
 *
 * As Python's `multiprocessing.Semaphore`: [method@Mp.Semaphore.acquire] takes one, and waits while there is none;
 * [method@Mp.Semaphore.release] gives one back.
 *
 * It travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable].
 *
 * ## When a process dies
 *
 * What a process has acquired and not released is counted, and comes back when it ends, whatever its cause, within a
 * fraction of a second. That is what is wanted of a semaphore that bounds how many do something at a time.
 *
 * A semaphore can also be a signal, which one process releases and another one acquires: there nothing must come back.
 * The first release by a process that holds no unit shows that it is one; from then on no death returns anything.
 * [property@Mp.Semaphore:returns-units] tells which it is, and can be set to `FALSE` at construction, for a
 * semaphore whose acquirers might die before that is shown.
 *
 * A process that was stopped is not dead: there the timeout or the cancellable ends a wait.
 *
 * ## Threads and contexts
 *
 * A semaphore may be used in any thread, and in several at once; units belong to the process. Callbacks run in the main
 * context that was the thread-default one of the call. Who gets a unit next when several wait is not said, but those that
 * wait by [method@Mp.Semaphore.acquire_async] for one semaphore object in one process get it in their order.
 *
 * Since: 0.1
 */

enum { PROP_0, PROP_VALUE, PROP_RETURNS_UNITS, N_PROPS };
static GParamSpec *props[N_PROPS];

static const MpSyncKind semaphore_kind = { "semaphore", MP_SLOT_SEMAPHORE, TRUE, 0 };

G_DEFINE_TYPE (MpSemaphore, mp_semaphore, MP_TYPE_SYNC_OBJECT)
MP_SYNC_DEFINE_KIND (mp_semaphore, MP_TYPE_SEMAPHORE, semaphore_kind)

static MpSync *
get_sync (MpSemaphore *self)
{
  return &self->parent_instance.sync;
}

guint64
mp_semaphore_read (MpSemaphore *self)
{
  guint64 state[2] = { 0 };

  if (mp_sync_is_usable (get_sync (self)))
    mp_cell_read_state (&get_sync (self)->slot, state);
  return state[0];
}

static void
mp_semaphore_get_property (GObject    *object,
                           guint       prop_id,
                           GValue     *value,
                           GParamSpec *pspec)
{
  MpSemaphore *self = MP_SEMAPHORE (object);

  switch (prop_id)
    {
    case PROP_VALUE:
      g_value_set_uint (value, mp_semaphore_get_value (self));
      break;
    case PROP_RETURNS_UNITS:
      g_value_set_boolean (value, mp_semaphore_get_returns_units (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_semaphore_set_property (GObject      *object,
                           guint         prop_id,
                           const GValue *value,
                           GParamSpec   *pspec)
{
  MpSemaphore *self = MP_SEMAPHORE (object);

  switch (prop_id)
    {
    case PROP_VALUE:
      self->initial = g_value_get_uint (value);
      break;
    case PROP_RETURNS_UNITS:
      self->returns_units = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_semaphore_begin (MpSyncObject *object)
{
  MpSemaphore *self = MP_SEMAPHORE (object);
  gboolean is_bounded = (object->sync.kind->flags & MP_SEMAPHORE_BOUNDED) != 0;
  guint64 maximum = is_bounded ? self->initial : MP_SEMAPHORE_MAX;

  mp_holdings_commit_word (&object->sync.slot, (self->returns_units ? 0 : MP_SEMAPHORE_IS_SIGNAL) | maximum << 32 |
                                               self->initial);
}

static void
mp_semaphore_class_init (MpSemaphoreClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_semaphore_get_property;
  object_class->set_property = mp_semaphore_set_property;
  klass->parent_class.kind = &semaphore_kind;
  klass->parent_class.begin = mp_semaphore_begin;

  /**
   * MpSemaphore:value: (getter get_value)
   *
   * How many units there are to be acquired. At construction, how many there are at first.
   *
   * It changes without notification.
   *
   * Since: 0.1
   */
  props[PROP_VALUE] = g_param_spec_uint ("value", NULL, NULL, 0, MP_SEMAPHORE_MAX, 1,
                                         G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpSemaphore:returns-units: (getter get_returns_units)
   *
   * Whether the units that a process has acquired come back when it dies.
   *
   * `FALSE` at construction, or from the first release by a process that has none.
   *
   * Since: 0.1
   */
  props[PROP_RETURNS_UNITS] = g_param_spec_boolean ("returns-units", NULL, NULL, TRUE,
                                                    G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_semaphore_init (MpSemaphore *self)
{
}

/**
 * mp_semaphore_new:
 * @value: how many units it has, at most 2147483647
 *
 * Makes a semaphore.
 *
 * Returns: (transfer full): a semaphore
 *
 * Since: 0.1
 */
MpSemaphore *
mp_semaphore_new (guint value)
{
  return mp_semaphore_new_full (value, TRUE, FALSE);
}

/**
 * mp_semaphore_new_full:
 * @value: how many units it has, at most 2147483647
 * @returns_units: whether a process that dies gives back what it has, see [property@Mp.Semaphore:returns-units]
 * @isolated: whether it shares no memory with other objects, see [property@Mp.SyncObject:isolated]
 *
 * Makes a semaphore.
 *
 * Returns: (transfer full): a semaphore
 *
 * Since: 0.1
 */
MpSemaphore *
mp_semaphore_new_full (guint    value,
                       gboolean returns_units,
                       gboolean isolated)
{
  g_return_val_if_fail (value <= MP_SEMAPHORE_MAX, NULL);

  return g_object_new (MP_TYPE_SEMAPHORE, "value", value, "returns-units", returns_units, "isolated", isolated, NULL);
}

/* What is done with the cell held. */

static guint64
return_units (guint64 word,
              guint32 count)
{
  guint32 value = MP_SEMAPHORE_VALUE (word), maximum = MP_SEMAPHORE_MAXIMUM (word);

  if ((word & MP_SEMAPHORE_IS_SIGNAL) != 0)
    return word;
  /* No more than there can be, whatever the memory says. */
  return (word & ~(guint64) G_MAXUINT32) | MIN ((guint64) value + count, maximum);
}

/* Of a signal nobody has anything, and never will. */
static guint32
get_own (MpSync *sync)
{
  if ((mp_holdings_get_word (&sync->slot) & MP_SEMAPHORE_IS_SIGNAL) != 0)
    return 0;
  return mp_holdings_get_own (&sync->slot, return_units);
}

static MpSyncStep
acquire (MpSync    *sync,
         gboolean   settle,
         gpointer   data,
         int       *wake,
         GError   **error)
{
  guint32 own = 0;
  guint64 word = 0;

  if (settle && mp_holdings_settle (&sync->slot, return_units))
    *wake = G_MAXINT;
  own = get_own (sync);
  word = mp_holdings_get_word (&sync->slot);
  if (MP_SEMAPHORE_VALUE (word) == 0)
    return MP_SYNC_NOT_YET;

  if ((word & MP_SEMAPHORE_IS_SIGNAL) != 0)
    mp_holdings_commit_word (&sync->slot, word - 1);
  else
    mp_holdings_commit (&sync->slot, word - 1, own + 1);

  return MP_SYNC_DONE;
}

static MpSyncStep
settle_dead (MpSync    *sync,
             gboolean   settle,
             gpointer   data,
             int       *wake,
             GError   **error)
{
  if (mp_holdings_settle (&sync->slot, return_units))
    *wake = G_MAXINT;
  return MP_SYNC_DONE;
}

static MpSyncStep
release (MpSync    *sync,
         gboolean   settle,
         gpointer   data,
         int       *wake,
         GError   **error)
{
  guint32 own = get_own (sync);
  guint64 word = mp_holdings_get_word (&sync->slot);

  if (MP_SEMAPHORE_VALUE (word) >= MP_SEMAPHORE_MAXIMUM (word))
    {
      gboolean is_bounded = (sync->kind->flags & MP_SEMAPHORE_BOUNDED) != 0;

      g_set_error (error, MP_ERROR, is_bounded ? MP_ERROR_NOT_OWNER : MP_ERROR_TOO_LARGE,
                   is_bounded ? "semaphore release: released more often than acquired; it has all of its %u units" :
                   "semaphore release: it has %u units, and can have no more", MP_SEMAPHORE_MAXIMUM (word));
      return MP_SYNC_FAILED;
    }

  if ((word & MP_SEMAPHORE_IS_SIGNAL) != 0)
    mp_holdings_commit_word (&sync->slot, word + 1);
  else if (own > 0)
    mp_holdings_commit (&sync->slot, word + 1, own - 1);
  else
    mp_holdings_commit_word (&sync->slot, (word + 1) | MP_SEMAPHORE_IS_SIGNAL);
  *wake = 1;

  return MP_SYNC_DONE;
}

static gboolean
undo_acquire (MpSyncCall *call,
              gboolean    may_wait)
{
  return mp_sync_call_undo (call, release, may_wait);
}

/* Calls. */

/**
 * mp_semaphore_acquire:
 * @self: a semaphore
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Acquires a unit, and waits until there is one.
 *
 * While it waits, callbacks of the semaphore's asynchronous calls that are due in a main context which this thread may
 * acquire are run.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before; and
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `MP_ERROR_FAILED` with the reason when there was no memory or no
 * descriptor for the semaphore. With an error nothing is held.
 *
 * Returns: whether a unit was acquired
 *
 * Since: 0.1
 */
gboolean
mp_semaphore_acquire (MpSemaphore   *self,
                      gint64         timeout_us,
                      GCancellable  *cancellable,
                      GError       **error)
{
  g_return_val_if_fail (MP_IS_SEMAPHORE (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_wait (get_sync (self), self, "semaphore acquire", acquire, NULL, timeout_us, cancellable, error);
}

/**
 * mp_semaphore_try_acquire:
 * @self: a semaphore
 *
 * Acquires a unit if there is one now, those of dead processes included.
 *
 * Returns: whether a unit was acquired
 *
 * Since: 0.1
 */
gboolean
mp_semaphore_try_acquire (MpSemaphore *self)
{
  g_return_val_if_fail (MP_IS_SEMAPHORE (self), FALSE);

  return mp_sync_wait (get_sync (self), self, "semaphore acquire", acquire, NULL, 0, NULL, NULL);
}

/**
 * mp_semaphore_acquire_async:
 * @self: a semaphore
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when a unit has been acquired, or not
 * @user_data: data for @callback
 *
 * Acquires a unit without blocking: as [method@Mp.Semaphore.acquire], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call; @self lives at
 * least until then. The unit is this process's from the time at which it was acquired, before @callback runs. When
 * @cancellable is cancelled before that, nothing is held, and the result is `G_IO_ERROR_CANCELLED`.
 *
 * Since: 0.1
 */
void
mp_semaphore_acquire_async (MpSemaphore         *self,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  MpSyncCall *call = NULL;

  g_return_if_fail (MP_IS_SEMAPHORE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = mp_sync_call_new (self, get_sync (self), "semaphore acquire", mp_semaphore_acquire_async, cancellable,
                           callback, user_data);
  call->try_func = acquire;
  call->undo = undo_acquire;
  mp_sync_call_run (call);
}

/**
 * mp_semaphore_acquire_finish:
 * @self: a semaphore
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Semaphore.acquire_async] began.
 *
 * Returns: whether a unit was acquired
 *
 * Since: 0.1
 */
gboolean
mp_semaphore_acquire_finish (MpSemaphore   *self,
                             GAsyncResult  *result,
                             GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_semaphore_release:
 * @self: a semaphore
 * @error: return location for an error
 *
 * Gives a unit back: one that this process has, or else a new one.
 *
 * Errors: `MP_ERROR_NOT_OWNER` when a bounded semaphore has all of its units, `MP_ERROR_TOO_LARGE` when another one has
 * 2147483647.
 *
 * Returns: whether there is a unit more
 *
 * Since: 0.1
 */
gboolean
mp_semaphore_release (MpSemaphore  *self,
                      GError      **error)
{
  g_return_val_if_fail (MP_IS_SEMAPHORE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_do (get_sync (self), "semaphore release", release, NULL, error) == MP_SYNC_DONE;
}

/**
 * mp_semaphore_get_value: (get-property value)
 * @self: a semaphore
 *
 * Gets how many units there are to be acquired.
 *
 * By the time that one looks at the answer it may be another one. What a dead process had is in it within a
 * fraction of a second.
 *
 * Returns: the number of units
 *
 * Since: 0.1
 */
guint
mp_semaphore_get_value (MpSemaphore *self)
{
  MpSync *sync = NULL;
  gint64 now = g_get_monotonic_time ();

  g_return_val_if_fail (MP_IS_SEMAPHORE (self), 0);

  sync = get_sync (self);
  if (mp_sync_is_usable (sync) && now - __atomic_load_n (&sync->settled_us, __ATOMIC_RELAXED) >= MP_CELL_SLICE_US &&
      mp_sync_enter (sync, self, "semaphore get value", 0, NULL, NULL))
    {
      __atomic_store_n (&sync->settled_us, now, __ATOMIC_RELAXED);
      mp_sync_do_inside (sync, settle_dead, NULL, NULL);
    }
  return MP_SEMAPHORE_VALUE (mp_semaphore_read (self));
}

static MpSyncStep
count_own (MpSync    *sync,
           gboolean   settle,
           gpointer   data,
           int       *wake,
           GError   **error)
{
  *(guint *) data = get_own (sync);
  return MP_SYNC_DONE;
}

/**
 * mp_semaphore_get_n_held:
 * @self: a semaphore
 *
 * Gets how many units this process has acquired and not released; always 0 for a signal.
 *
 * Returns: the number of units
 *
 * Since: 0.1
 */
guint
mp_semaphore_get_n_held (MpSemaphore *self)
{
  guint n = 0;

  g_return_val_if_fail (MP_IS_SEMAPHORE (self), 0);

  mp_sync_do (get_sync (self), "semaphore count", count_own, &n, NULL);
  return n;
}

/**
 * mp_semaphore_get_returns_units: (get-property returns-units)
 * @self: a semaphore
 *
 * Gets whether the units that a process has acquired come back when it dies.
 *
 * Returns: `FALSE` for a signal
 *
 * Since: 0.1
 */
gboolean
mp_semaphore_get_returns_units (MpSemaphore *self)
{
  g_return_val_if_fail (MP_IS_SEMAPHORE (self), FALSE);

  return (mp_semaphore_read (self) & MP_SEMAPHORE_IS_SIGNAL) == 0;
}

/**
 * mp_semaphore_locker_new: (skip)
 * @semaphore: a semaphore
 * @error: return location for an error
 *
 * Acquires a unit, for ever, until the end of a scope: `g_autoptr(MpSemaphoreLocker)`.
 *
 * Returns: what releases the unit when it is freed
 *
 * Since: 0.1
 */
MpSemaphoreLocker *
mp_semaphore_locker_new (MpSemaphore  *semaphore,
                         GError      **error)
{
  if (!mp_semaphore_acquire (semaphore, -1, NULL, error))
    return NULL;

  /* Nothing but a name for the reference. */
  return (MpSemaphoreLocker *) g_object_ref (semaphore);
}

/**
 * mp_semaphore_locker_free: (skip)
 * @locker: (transfer full): what `mp_semaphore_locker_new()` gave
 *
 * Releases the unit.
 *
 * Since: 0.1
 */
void
mp_semaphore_locker_free (MpSemaphoreLocker *locker)
{
  MpSemaphore *semaphore = (MpSemaphore *) locker;

  mp_semaphore_release (semaphore, NULL);
  g_object_unref (semaphore);
}
