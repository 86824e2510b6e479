/* mp-pool-control.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/process/mp-function-private.h"

/* Options of a call, and the end of one that is not wanted any more. */

static gboolean
is_idempotent (const char    *function,
               MpTaskOptions *options)
{
  return mp_task_options_get_idempotent (options) || mp_function_is_idempotent (function);
}

void
mp_job_set_options (MpJob         *self,
                    const char    *function,
                    MpTaskOptions *options)
{
  MpJobControl *control = NULL;

  if (options == NULL)
    return;

  control = self->control = g_new0 (MpJobControl, 1);
  self->priority = mp_task_options_get_priority (options);
  control->queue_timeout_us = mp_task_options_get_queue_timeout_us (options);
  control->run_timeout_us = mp_task_options_get_run_timeout_us (options);
  control->max_attempts = is_idempotent (function, options) ? mp_task_options_get_max_attempts (options) : 1;
  control->name = g_strdup (mp_task_options_get_name (options));
  if (control->name == NULL)
    control->name = g_strdup (mp_function_display_name (function));
  g_set_object (&control->cancellable, mp_task_options_get_cancellable (options));
}

void
mp_job_control_free (MpJobControl *self)
{
  g_clear_object (&self->cancellable);
  g_free (self->name);
  g_free (self);
}

const char *
mp_job_get_name (MpJob *self)
{
  if (self->control != NULL && self->control->name != NULL)
    return self->control->name;
  return mp_pool_core_name_of (self->core, self->function);
}

/* Its cancellable. */

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      data)
{
  MpJob *self = data;

  mp_hub_lock ();
  mp_job_cancel (self, NULL);
  mp_hub_unlock ();
}

void
mp_job_listen (MpJob *self)
{
  MpJobControl *control = self->control;
  gulong handler = 0;

  if (control == NULL || control->cancellable == NULL)
    return;

  handler = g_cancellable_connect (control->cancellable, G_CALLBACK (cancelled_cb), mp_job_ref (self),
                                   (GDestroyNotify) mp_job_unref);
  mp_hub_lock ();
  control->handler = handler;
  if (self->done)
    mp_job_control_end (self);
  mp_hub_unlock ();
}

static void
disconnect (gpointer data)
{
  MpJob *self = data;
  gulong handler = self->control->handler;

  /* Not g_cancellable_disconnect(): that waits for a handler that runs, maybe further up this very stack. */
  self->control->handler = 0;
  if (handler != 0)
    g_signal_handler_disconnect (self->control->cancellable, handler);
  mp_job_unref (self);
}

void
mp_job_listen_no_more (MpJob *self)
{
  if (self->control != NULL && self->control->handler != 0)
    disconnect (mp_job_ref (self));
}

void
mp_job_control_end (MpJob *self)
{
  if (self->control->handler != 0)
    mp_job_drop (self, disconnect, mp_job_ref (self));
}

/* The end of one that is not wanted any more. */

gboolean
mp_job_cancel (MpJob  *self,
               GError *error)
{
  if (self->done)
    {
      g_clear_error (&error);
      return FALSE;
    }

  if (error == NULL)
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "task “%s” was cancelled", mp_job_get_name (self));
  mp_job_finish (self, NULL, error, NULL);
  mp_pool_core_check_end (self->core);
  mp_hub_changed ();

  return TRUE;
}
