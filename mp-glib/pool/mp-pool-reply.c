/* mp-pool-reply.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"

/* Asynchronous calls that wait for more than one job, or for something else. */

static void
reply_unref (gpointer data)
{
  MpReply *self = data;

  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;

  if (self->funcs->clear != NULL)
    self->funcs->clear (self);
  g_object_unref (self->task);
  mp_hub_unref_context (self->context);
  g_free (self);
}

static void
reply_deliver (gpointer data)
{
  MpReply *self = data;

  /* Not g_cancellable_disconnect(): that waits for a handler that runs, maybe further up this very stack. */
  if (self->handler != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (self->task), self->handler);
  self->handler = 0;

  if (self->called_off)
    g_task_return_new_error (self->task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
  else
    self->funcs->give (self);
  if (self->callback != NULL)
    self->callback (g_task_get_source_object (self->task), G_ASYNC_RESULT (self->task), self->user_data);
  mp_hub_complete_task (self->task);
}

void
mp_reply_post (MpReply *self)
{
  self->waiting = FALSE;
  mp_hub_post (self->context, self->owner, reply_deliver, self, reply_unref);
}

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      data)
{
  MpReply *self = data;

  mp_hub_lock ();
  if (self->waiting)
    {
      if (self->funcs->withdraw != NULL)
        self->funcs->withdraw (self);
      self->called_off = TRUE;
      mp_reply_post (self);
      mp_hub_changed ();
    }
  else if (!self->begun)
    {
      /* mp_reply_wait() sees it. */
      self->called_off = TRUE;
    }
  mp_hub_unlock ();
}

MpReply *
mp_reply_new (gconstpointer        owner,
              GTask               *task,
              GAsyncReadyCallback  callback,
              gpointer             user_data,
              const MpReplyFuncs  *funcs,
              gpointer             data)
{
  MpReply *self = g_new0 (MpReply, 1);
  GCancellable *cancellable = g_task_get_cancellable (task);

  self->ref_count = 1;
  self->owner = owner;
  self->task = task;
  self->callback = callback;
  self->user_data = user_data;
  self->funcs = funcs;
  self->data = data;
  self->context = mp_hub_ref_context (g_task_get_context (task));
  g_task_set_check_cancellable (task, FALSE);

  if (cancellable != NULL)
    {
      g_atomic_int_inc (&self->ref_count);
      self->handler = g_cancellable_connect (cancellable, G_CALLBACK (cancelled_cb), self, reply_unref);
    }
  return self;
}

gboolean
mp_reply_wait (MpReply *self)
{
  self->begun = TRUE;
  if (self->called_off)
    {
      mp_reply_post (self);
      return FALSE;
    }
  self->waiting = TRUE;
  return TRUE;
}
