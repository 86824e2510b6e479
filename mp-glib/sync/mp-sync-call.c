/* mp-sync-call.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-sync-private.h"

#include "mp-glib/arena/mp-async-private.h"
#include "mp-glib/base/mp-hub-private.h"

#include <errno.h>

/* How often something is looked for that others change without the cell. */
#define MAX_TRIES 8

/* An asynchronous call that waits for an object of this floor. The helper thread (mp-async-private.h) tries it; it ends by
 * a post to the context of the call. The hub's lock guards what changes. */

static void
call_unref (gpointer data)
{
  MpSyncCall *self = data;

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_clear_error (&self->error);
  g_free (self);
}

static GError *
cancelled_error (MpSyncCall *self)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", self->what);
}

/* In the context of the call. */
static void
deliver (gpointer data)
{
  MpSyncCall *self = data;
  g_autoptr(GTask) task = NULL;

  /* Not g_cancellable_disconnect(): that waits for a handler that runs, perhaps further up this very stack. */
  if (self->cancel_id != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (self->task), self->cancel_id);
  self->cancel_id = 0;

  if (self->undoes && self->undo (self, TRUE))
    self->error = cancelled_error (self);
  if (self->end != NULL)
    self->end (self);
  task = g_steal_pointer (&self->task);
  if (self->data != NULL && self->free_data != NULL)
    self->free_data (g_steal_pointer (&self->data));
  if (self->error != NULL)
    g_task_return_error (task, g_steal_pointer (&self->error));
  else
    g_task_return_boolean (task, TRUE);
  if (self->callback != NULL)
    self->callback (g_task_get_source_object (task), G_ASYNC_RESULT (task), self->user_data);
  mp_hub_complete_task (task);
}

static void
delivered (gpointer data)
{
  MpSyncCall *self = data;

  mp_hub_unref_context (g_steal_pointer (&self->context));
  call_unref (self);
}

/* With the hub's lock held. */
static void
post (MpSyncCall *self)
{
  gpointer owner = self->owner;

  mp_hub_post (self->context, owner, deliver, self, delivered);
  mp_async_wake_blocked (owner);
}

static MpSyncStep
try_once (MpSyncCall  *call,
          GError     **error)
{
  MpSync *sync = call->sync;
  gint64 now = g_get_monotonic_time ();
  gboolean settle = now - call->settled_us >= MP_CELL_SLICE_US;
  MpSyncStep step = MP_SYNC_NOT_YET;
  MpCellResult result;
  guint32 change = 0;
  int wake = 0;

  result = sync->kind->is_atomic ? MP_CELL_TAKEN : mp_cell_try_take_watching (&sync->slot);
  if (result == MP_CELL_BUSY)
    return MP_SYNC_NOT_YET;
  if (result == MP_CELL_LOST)
    {
      mp_sync_set_unusable (sync, call->what, error);
      return MP_SYNC_FAILED;
    }

  if (settle)
    call->settled_us = now;
  mp_sync_see_to (sync);
  step = call->try_func (sync, settle, call->data, &wake, error);
  if (wake > 0)
    change = mp_sync_change (sync);
  mp_sync_leave (sync);
  mp_sync_tell (sync, change, wake);

  return step;
}

MpSyncStep
mp_sync_call_step (MpSyncCall  *call,
                   GError     **error)
{
  MpSyncStep step = MP_SYNC_NOT_YET;

  /* It is tried again later in any case: so not without end, whatever others do. */
  for (guint i = 0; i < MAX_TRIES; i++)
    {
      step = try_once (call, error);
      if (step != MP_SYNC_NOT_YET || !mp_sync_must_look_again (call->sync, call->data))
        break;
    }
  return step;
}

gboolean
mp_sync_call_undo (MpSyncCall *call,
                   MpSyncTry   undo_func,
                   gboolean    may_wait)
{
  MpSync *sync = call->sync;
  guint32 change = 0;
  int wake = 0;
  MpSyncStep step;
  MpCellResult result;

  if (may_wait)
    return mp_sync_do (sync, call->what, undo_func, call->data, NULL) == MP_SYNC_DONE;

  result = sync->kind->is_atomic ? MP_CELL_TAKEN : mp_cell_try_take (&sync->slot);
  if (result == MP_CELL_BUSY || result == MP_CELL_LOST)
    return FALSE;
  mp_sync_see_to (sync);
  step = undo_func (sync, FALSE, call->data, &wake, NULL);
  if (wake > 0)
    change = mp_sync_change (sync);
  mp_sync_leave (sync);
  mp_sync_tell (sync, change, wake);
  return step == MP_SYNC_DONE;
}

static gboolean
try_cb (const MpSlotRef *slot,
        gpointer         data)
{
  MpSyncCall *self = data;

  return self->step (self, &self->error) != MP_SYNC_NOT_YET;
}

/* It is done; whoever has called it off meanwhile does not want it. */
static void
done_cb (gpointer data)
{
  MpSyncCall *self = data;

  self->wait = NULL;
  g_atomic_int_add (&self->sync->n_pending, -1);
  if (self->cancelled && self->error == NULL && self->undo != NULL)
    {
      if (self->undo (self, FALSE))
        self->error = cancelled_error (self);
      else
        self->undoes = TRUE;
    }
  post (self);
}

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      data)
{
  MpSyncCall *self = data;

  mp_hub_lock ();
  self->cancelled = TRUE;
  if (self->wait != NULL && mp_async_cancel (self->wait))
    {
      self->wait = NULL;
      g_atomic_int_add (&self->sync->n_pending, -1);
      self->error = cancelled_error (self);
      if (self->withdraw != NULL)
        self->withdraw (self);
      post (self);
    }
  mp_hub_unlock ();
}

MpSyncCall *
mp_sync_call_new (gpointer             object,
                  MpSync              *sync,
                  const char          *what,
                  gpointer             source_tag,
                  GCancellable        *cancellable,
                  GAsyncReadyCallback  callback,
                  gpointer             user_data)
{
  MpSyncCall *self = g_new0 (MpSyncCall, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->sync = sync;
  self->what = what;
  self->owner = object;
  self->step = mp_sync_call_step;
  self->task = g_task_new (object, cancellable, NULL, NULL);
  g_task_set_source_tag (self->task, source_tag);
  g_task_set_name (self->task, what);
  /* The result says what has happened. */
  g_task_set_check_cancellable (self->task, FALSE);
  self->context = mp_hub_ref_context (g_task_get_context (self->task));
  self->callback = callback;
  self->user_data = user_data;
  return self;
}

/* Those that wait already come first. TRUE: there is a result. */
static gboolean
settle_at_once (MpSyncCall *self)
{
  if (!mp_sync_is_usable (self->sync))
    return !mp_sync_set_unusable (self->sync, self->what, &self->error);
  if (g_cancellable_is_cancelled (g_task_get_cancellable (self->task)))
    self->error = cancelled_error (self);

  return self->error != NULL ||
         ((self->skips_line || g_atomic_int_get (&self->sync->n_pending) == 0) &&
          self->step (self, &self->error) != MP_SYNC_NOT_YET);
}

/* With the hub's lock held. */
static void
begin_wait (MpSyncCall *self)
{
  int saved_errno;

  if (self->cancelled)
    {
      self->error = cancelled_error (self);
      post (self);
      return;
    }

  g_atomic_int_inc (&self->sync->n_pending);
  self->wait = (self->unordered ? mp_async_add_beside : mp_async_add) (&self->sync->slot, try_cb, done_cb, self);
  saved_errno = errno;
  if (self->wait == NULL)
    {
      g_atomic_int_add (&self->sync->n_pending, -1);
      self->error = g_error_new (G_IO_ERROR, g_io_error_from_errno (saved_errno),
                                 "%s: cannot start a thread to wait: %s", self->what, g_strerror (saved_errno));
      post (self);
    }
}

void
mp_sync_call_run (MpSyncCall *self)
{
  GCancellable *cancellable = g_task_get_cancellable (self->task);

  if (settle_at_once (self))
    {
      mp_hub_lock ();
      post (self);
      mp_hub_unlock ();
      return;
    }

  g_atomic_ref_count_inc (&self->ref_count);
  if (cancellable != NULL)
    {
      g_atomic_ref_count_inc (&self->ref_count);
      self->cancel_id = g_cancellable_connect (cancellable, G_CALLBACK (cancelled_cb), self, call_unref);
    }
  mp_hub_lock ();
  begin_wait (self);
  mp_hub_unlock ();
  call_unref (self);
}

/* Without a call. */

typedef struct
{
  MpSync    sync;      /* of its own: the object may go */
  MpSyncTry try_func;
  gpointer  data;      /* (owned) */
} Duty;

static gboolean
duty_try (const MpSlotRef *slot,
          gpointer         data)
{
  Duty *self = data;
  guint32 change = 0;
  int wake = 0;

  switch (mp_cell_try_take_watching (slot))
    {
    case MP_CELL_BUSY:
      return FALSE;
    case MP_CELL_LOST:
      return TRUE;
    default:
      break;
    }

  mp_sync_see_to (&self->sync);
  self->try_func (&self->sync, FALSE, self->data, &wake, NULL);
  if (wake > 0)
    change = mp_sync_change (&self->sync);
  mp_sync_leave (&self->sync);
  mp_sync_tell (&self->sync, change, wake);
  return TRUE;
}

static void
duty_done (gpointer data)
{
  Duty *self = data;

  mp_slot_clear (&self->sync.slot);
  g_free (self->data);
  g_free (self);
}

MpSyncStep
mp_sync_do_soon (MpSync      *self,
                 const char  *what,
                 MpSyncTry    try_func,
                 gpointer     data,
                 gsize        size,
                 GError     **error)
{
  Duty *duty = NULL;

  if (!mp_sync_is_usable (self))
    return mp_sync_do (self, what, try_func, data, error);
  if (mp_sync_enter (self, &duty, what, MP_SYNC_ENTER_US, NULL, NULL))
    return mp_sync_do_inside (self, try_func, data, error);

  duty = g_new0 (Duty, 1);
  duty->sync.kind = self->kind;
  mp_slot_hold (&duty->sync.slot, &self->slot);
  duty->try_func = try_func;
  duty->data = g_memdup2 (data, size);
  if (mp_async_add_beside (&duty->sync.slot, duty_try, duty_done, duty) != NULL)
    return MP_SYNC_NOT_YET;

  /* There is nobody else to do it. */
  duty_done (duty);
  return mp_sync_do (self, what, try_func, data, error);
}
