/* mp-event.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-event.h"

#include "mp-glib/sync/mp-sync-object-private.h"

/**
 * MpEvent:
 *
 * A flag between processes, for which one can wait.
 *
 * As Python's `multiprocessing.Event`: [method@Mp.Event.set] sets it and releases all who wait for it,
 * [method@Mp.Event.clear] takes it back.
 *
 * Whoever was waiting when it was set is released, also when it has been cleared again by the time that they run. No death
 * of a process, at whatever moment, holds up the others or changes the flag.
 *
 * It travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable]. It may be
 * used in any thread; callbacks run in the main context that was the thread-default one of the call.
 *
 * Since: 0.1
 */
struct _MpEvent
{
  MpSyncObject parent_instance;
};

/* The state's word: the lowest bit is the flag, the upper half counts how often it was set. It is all there is, so that
 * each change is one atomic store, and there is no need for the cell. */
#define IS_SET     G_GUINT64_CONSTANT (1)
#define COUNT_ONE  (G_GUINT64_CONSTANT (1) << 32)
#define COUNT(word) ((guint32) ((word) >> 32))

static const MpSyncKind event_kind = { "event", MP_SLOT_EVENT, FALSE, 0, TRUE };

/* One who waits. */
typedef struct
{
  gboolean has_seen;
  guint32  count;     /* when it began */
} Wait;

G_DEFINE_FINAL_TYPE (MpEvent, mp_event, MP_TYPE_SYNC_OBJECT)
MP_SYNC_DEFINE_KIND (mp_event, MP_TYPE_EVENT, event_kind)

static MpSync *
get_sync (MpEvent *self)
{
  return &self->parent_instance.sync;
}

static guint64 *
get_word (MpSync *sync)
{
  return &sync->slot.slot->state[0][0];
}

static guint64
load_word (MpSync *sync)
{
  return __atomic_load_n (get_word (sync), __ATOMIC_SEQ_CST);
}

static guint64
read_word (MpEvent *self)
{
  return mp_sync_is_usable (get_sync (self)) ? load_word (get_sync (self)) : 0;
}

static void
mp_event_class_init (MpEventClass *klass)
{
  ((MpSyncObjectClass *) klass)->kind = &event_kind;
}

static void
mp_event_init (MpEvent *self)
{
}

/**
 * mp_event_new:
 *
 * Makes an event, which is not set.
 *
 * Returns: (transfer full): an event
 *
 * Since: 0.1
 */
MpEvent *
mp_event_new (void)
{
  return g_object_new (MP_TYPE_EVENT, NULL);
}

static MpSyncStep
set (MpSync    *sync,
     gboolean   settle,
     gpointer   data,
     int       *wake,
     GError   **error)
{
  guint64 word = load_word (sync);

  while (!__atomic_compare_exchange_n (get_word (sync), &word, (word + COUNT_ONE) | IS_SET, FALSE,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    ;
  MP_TORTURE_POINT ("event-set");
  *wake = G_MAXINT;
  return MP_SYNC_DONE;
}

static MpSyncStep
clear (MpSync    *sync,
       gboolean   settle,
       gpointer   data,
       int       *wake,
       GError   **error)
{
  __atomic_fetch_and (get_word (sync), ~IS_SET, __ATOMIC_SEQ_CST);
  return MP_SYNC_DONE;
}

static MpSyncStep
wait_for (MpSync    *sync,
          gboolean   settle,
          gpointer   data,
          int       *wake,
          GError   **error)
{
  guint64 word = load_word (sync);
  Wait *wait = data;

  if ((word & IS_SET) != 0 || (wait->has_seen && wait->count != COUNT (word)))
    return MP_SYNC_DONE;
  wait->has_seen = TRUE;
  wait->count = COUNT (word);
  return MP_SYNC_NOT_YET;
}

/**
 * mp_event_set:
 * @self: an event
 * @error: return location for an error
 *
 * Sets the event, and releases all who wait for it.
 *
 * Errors: `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the event.
 *
 * Returns: whether it is set
 *
 * Since: 0.1
 */
gboolean
mp_event_set (MpEvent  *self,
              GError  **error)
{
  g_return_val_if_fail (MP_IS_EVENT (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_do (get_sync (self), "event set", set, NULL, error) == MP_SYNC_DONE;
}

/**
 * mp_event_clear:
 * @self: an event
 * @error: return location for an error
 *
 * Takes the event back: who waits from now on waits for the next [method@Mp.Event.set].
 *
 * Returns: whether it is not set
 *
 * Since: 0.1
 */
gboolean
mp_event_clear (MpEvent  *self,
                GError  **error)
{
  g_return_val_if_fail (MP_IS_EVENT (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_do (get_sync (self), "event clear", clear, NULL, error) == MP_SYNC_DONE;
}

/**
 * mp_event_is_set:
 * @self: an event
 *
 * Gets whether the event is set.
 *
 * Returns: whether it is set
 *
 * Since: 0.1
 */
gboolean
mp_event_is_set (MpEvent *self)
{
  g_return_val_if_fail (MP_IS_EVENT (self), FALSE);

  return (read_word (self) & IS_SET) != 0;
}

/**
 * mp_event_wait:
 * @self: an event
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until the event is set.
 *
 * While it waits, callbacks of the event's asynchronous calls that are due in a main context which this thread may acquire
 * are run.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `MP_ERROR_INTERRUPTED` (see [func@Mp.set_interrupt_fd]), and those
 * of [method@Mp.Event.set].
 *
 * Returns: whether the event is set, or was since the call
 *
 * Since: 0.1
 */
gboolean
mp_event_wait (MpEvent       *self,
               gint64         timeout_us,
               GCancellable  *cancellable,
               GError       **error)
{
  Wait wait = { FALSE, 0 };

  g_return_val_if_fail (MP_IS_EVENT (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_wait (get_sync (self), self, "event wait", wait_for, &wait, timeout_us, cancellable, error);
}

/**
 * mp_event_wait_async:
 * @self: an event
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the event has been set, or the wait has ended
 * @user_data: data for @callback
 *
 * Waits for the event without blocking: as [method@Mp.Event.wait], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call.
 *
 * Since: 0.1
 */
void
mp_event_wait_async (MpEvent             *self,
                     GCancellable        *cancellable,
                     GAsyncReadyCallback  callback,
                     gpointer             user_data)
{
  MpSyncCall *call = NULL;
  Wait *wait = NULL;

  g_return_if_fail (MP_IS_EVENT (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  /* Counted from now on, also when it stands in a line and is not looked at for a while. */
  wait = g_new0 (Wait, 1);
  wait->has_seen = TRUE;
  wait->count = COUNT (read_word (self));
  call = mp_sync_call_new (self, get_sync (self), "event wait", mp_event_wait_async, cancellable, callback, user_data);
  call->try_func = wait_for;
  call->data = wait;
  call->free_data = g_free;
  mp_sync_call_run (call);
}

/**
 * mp_event_wait_finish:
 * @self: an event
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Event.wait_async] began.
 *
 * Returns: whether the event is set, or was since the call
 *
 * Since: 0.1
 */
gboolean
mp_event_wait_finish (MpEvent       *self,
                      GAsyncResult  *result,
                      GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
