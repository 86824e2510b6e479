/* mp-pool-control.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/process/mp-function-private.h"

/* Options of a call, the end of one that is not wanted any more, and new attempts. */

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
  g_clear_pointer (&self->report, g_variant_unref);
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

/* Its time in the queue. */

static void
queue_timer_cb (gpointer data)
{
  MpJob *self = data;
  gint64 limit = self->control->queue_timeout_us;

  self->control->queue_timer = NULL;
  if (mp_pool_core_has_begun (self->core, self))
    mp_pool_core_dispatch (self->core);
  else
    mp_job_cancel (self, g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                                      "task “%s” waited for a worker for the %" G_GINT64_FORMAT ".%03d ms that it had",
                                      mp_job_get_name (self), limit / 1000, (int) (limit % 1000)));
}

void
mp_job_control_begin (MpJob *self)
{
  if (self->control->queue_timeout_us >= 0)
    self->control->queue_timer = mp_hub_add_timer (mp_deadline_after (self->control->queue_timeout_us), queue_timer_cb, self);
}

void
mp_job_control_end (MpJob *self)
{
  g_clear_pointer (&self->control->queue_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->control->report_timer, mp_hub_remove_timer);
  if (self->control->handler != 0)
    mp_job_drop (self, disconnect, mp_job_ref (self));
}

/* The end of one that is not wanted any more. */

gboolean
mp_job_cancel (MpJob  *self,
               GError *error)
{
  /* A forked copy of the owner shares the boards with the workers. */
  if (self->done || !mp_pool_core_is_ours (self->core, NULL))
    {
      g_clear_error (&error);
      return FALSE;
    }

  if (error == NULL)
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "task “%s” was cancelled", mp_job_get_name (self));
  mp_job_finish (self, NULL, error, NULL);
  mp_pool_core_stop_job (self->core, self);
  mp_pool_core_check_end (self->core);
  mp_hub_changed ();

  return TRUE;
}

/* New attempts. */

/* Whether it could end otherwise. */
static gboolean
is_worth_another (const GError *error)
{
  return !g_error_matches (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION) &&
         !g_error_matches (error, MP_ERROR, MP_ERROR_INVALID_TYPE) &&
         !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* That of the last attempt tells of all. */
static void
tell_attempts (MpJob        *job,
               const MpUnit *unit,
               MpAnswer     *answer)
{
  guint n_attempts = unit->attempt + 1u, n_killed = unit->killed + (answer->died ? 1u : 0u);
  g_autoptr(GVariant) old = g_steal_pointer (&answer->details);
  GVariantDict dict;

  g_variant_dict_init (&dict, old);
  g_variant_dict_insert (&dict, "attempts", "u", n_attempts);
  g_variant_dict_insert (&dict, "killed-workers", "u", n_killed);
  answer->details = g_variant_ref_sink (g_variant_dict_end (&dict));
  if (n_killed > 0)
    g_prefix_error (&answer->error, "task “%s” killed %u worker%s in %u attempt%s: ", mp_job_get_name (job),
                    n_killed, n_killed == 1 ? "" : "s", n_attempts, n_attempts == 1 ? "" : "s");
}

gboolean
mp_pool_core_retry (MpPoolCore   *core,
                    const MpUnit *unit,
                    MpAnswer     *answer)
{
  MpJob *job = unit->job;
  MpUnit again = *unit;

  if (job->done || job->control->max_attempts < 2 || (answer->error == NULL && !answer->per_item))
    return FALSE;
  if (unit->attempt + 1u >= job->control->max_attempts ||
      (answer->error != NULL && !is_worth_another (answer->error)))
    {
      if (answer->error != NULL)
        tell_attempts (job, unit, answer);
      return FALSE;
    }

  job->control->begun = TRUE;
  again.attempt++;
  again.killed += answer->died;
  /* Too large for company: another task is not to wait behind one that may kill its worker again. */
  again.size = MAX (unit->size, MP_POOL_AHEAD_BYTES + 1);
  mp_pool_drop_variant (g_steal_pointer (&answer->value));
  mp_answer_clear (answer);
  mp_pool_core_give_back (core, &again);
  mp_pool_core_dispatch (core);

  return TRUE;
}
