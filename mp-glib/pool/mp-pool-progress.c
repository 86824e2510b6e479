/* mp-pool-progress.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"

#include "mp-glib/pool/mp-future-private.h"
#include "mp-glib/pool/mp-pool-worker-private.h"

/* How far a task is, as its future tells it: no more often than a screen shows it, and nothing when there is no future. */

#define FRAME_US (16 * 1000)

static MpJobControl *
ensure_control (MpJob *self)
{
  if (self->control == NULL)
    {
      self->control = g_new0 (MpJobControl, 1);
      self->control->queue_timeout_us = self->control->run_timeout_us = -1;
      self->control->max_attempts = 1;
    }
  return self->control;
}

void
mp_job_tell_progress (MpJob    *self,
                      MpFuture *future)
{
  MpJobControl *control = NULL;
  g_autoptr(GVariant) value = NULL;
  gboolean untold = FALSE;
  double fraction = 0;

  mp_hub_lock ();
  control = self->control;
  if (control != NULL && control->untold)
    {
      untold = TRUE;
      control->untold = FALSE;
      control->told_us = g_get_monotonic_time ();
      value = g_steal_pointer (&control->report);
      fraction = mp_job_get_fraction (self);
    }
  mp_hub_unlock ();
  if (untold)
    mp_future_emit_progress (future, fraction, value);
}

static void
tell_cb (gpointer data)
{
  MpJob *self = data;
  g_autoptr(MpFuture) future = NULL;

  mp_hub_lock ();
  self->control->posted = FALSE;
  future = self->future;
  mp_hub_unlock ();
  /* Only this context lets go of it. */
  if (future != NULL)
    mp_job_tell_progress (self, g_object_ref (future));
}

static void
post (MpJob *self)
{
  self->control->posted = TRUE;
  mp_hub_post (self->home.context, self->core, tell_cb, mp_job_ref (self), (GDestroyNotify) mp_job_unref);
}

static void
report_timer_cb (gpointer data)
{
  MpJob *self = data;

  self->control->report_timer = NULL;
  post (self);
}

static void
tell_soon (MpJob *self)
{
  MpJobControl *control = self->control;
  gint64 now = 0;

  control->untold = TRUE;
  if (control->posted || control->report_timer != NULL)
    return;
  now = g_get_monotonic_time ();
  if (now - control->told_us >= FRAME_US)
    post (self);
  else
    control->report_timer = mp_hub_add_timer (control->told_us + FRAME_US, report_timer_cb, self);
}

void
mp_job_progressed (MpJob *self)
{
  if (self->future == NULL || self->done)
    return;
  ensure_control (self);
  tell_soon (self);
}

void
mp_job_report (MpJob    *self,
               double    fraction,
               GVariant *value)
{
  MpJobControl *control = NULL;

  if (!self->done && self->map == NULL)
    mp_tally_report (self->core, self, fraction);
  if (self->done || self->future == NULL)
    return;

  control = ensure_control (self);
  if (self->map == NULL)
    control->fraction = fraction;
  g_clear_pointer (&control->report, g_variant_unref);
  control->report = value != NULL ? g_variant_ref (value) : NULL;
  tell_soon (self);
  mp_job_tell_watches (self);
}

gboolean
mp_pool_worker_report (MpPoolWorker         *self,
                       const MpProgressLead *lead,
                       GVariant             *value)
{
  MpUnit *unit = mp_pool_worker_unit_at (self, 0);

  if (self->n_flight == 0 || lead->seq != self->first_seq || !(lead->fraction >= 0 && lead->fraction <= 1))
    return FALSE;
  if (unit->job != NULL)
    mp_job_report (unit->job, lead->fraction, value);

  return TRUE;
}
