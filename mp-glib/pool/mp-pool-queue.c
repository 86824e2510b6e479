/* mp-pool-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

/* What waits to be sent: jobs, of which units are cut when their turn comes, and units that came back. */

void
mp_pool_core_enqueue (MpPoolCore *self,
                      MpJob      *job,
                      gsize       n_units)
{
  if (n_units == 0)
    return;

  job->n_ready += n_units;
  self->n_pending += n_units;
  if (job->queued)
    return;

  job->queued = TRUE;
  job->queue_next = NULL;
  job->queue_prev = self->last_queued;
  if (self->last_queued != NULL)
    self->last_queued->queue_next = job;
  else
    self->first_queued = job;
  self->last_queued = job;
}

void
mp_pool_core_dequeue (MpPoolCore *self,
                      MpJob      *job)
{
  self->n_pending -= job->n_ready;
  job->n_ready = 0;
  job->queued = FALSE;
  if (job->queue_prev != NULL)
    job->queue_prev->queue_next = job->queue_next;
  else
    self->first_queued = job->queue_next;
  if (job->queue_next != NULL)
    job->queue_next->queue_prev = job->queue_prev;
  else
    self->last_queued = job->queue_prev;
}

void
mp_pool_core_give_back (MpPoolCore   *self,
                        const MpUnit *unit)
{
  if (unit->job->done)
    {
      mp_job_unit_gone (unit->job);
      return;
    }
  g_queue_push_head (&self->returned, g_slice_dup (MpUnit, unit));
  self->n_pending++;
}

static MpUnit *
peek_returned (MpPoolCore *self)
{
  MpUnit *unit = NULL;

  while ((unit = g_queue_peek_head (&self->returned)) != NULL && unit->job->done)
    {
      g_queue_pop_head (&self->returned);
      self->n_pending--;
      mp_job_unit_gone (unit->job);
      g_slice_free (MpUnit, unit);
    }
  return unit;
}

gboolean
mp_pool_core_peek_unit (MpPoolCore *self,
                        guint64    *size)
{
  MpUnit *unit = peek_returned (self);

  if (unit == NULL && self->first_queued == NULL)
    return FALSE;
  *size = unit != NULL ? unit->size : self->first_queued->size;
  return TRUE;
}

void
mp_pool_core_take_unit (MpPoolCore *self,
                        MpUnit     *unit)
{
  MpUnit *returned = g_queue_pop_head (&self->returned);
  MpJob *job = self->first_queued;

  if (returned != NULL)
    {
      *unit = *returned;
      g_slice_free (MpUnit, returned);
      self->n_pending--;
      return;
    }

  unit->job = job;
  unit->chunk = job->map != NULL ? mp_map_take_chunk (job->map) : 0;
  unit->size = job->size;
  unit->sent_us = 0;
  job->n_out++;
  job->n_ready--;
  self->n_pending--;
  if (job->n_ready == 0)
    mp_pool_core_dequeue (self, job);
}
