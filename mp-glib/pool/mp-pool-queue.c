/* mp-pool-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

/* What waits to be sent: jobs, of which units are cut when their turn comes, and units that came back. */

/* Jobs of one priority stand together in the queue, in order of submission. */
typedef struct
{
  gint32  priority;
  MpJob  *last;      /* of them */
} Level;

static Level *
level_at (MpPoolCore *self,
          guint       index)
{
  return &g_array_index (self->levels, Level, index);
}

/* Of the first level that is not above @priority. */
static guint
find_level (MpPoolCore *self,
            gint32      priority)
{
  guint low = 0, high = self->levels->len;

  while (low < high)
    {
      guint middle = (low + high) / 2;

      if (level_at (self, middle)->priority > priority)
        low = middle + 1;
      else
        high = middle;
    }
  return low;
}

static void
link_after (MpPoolCore *self,
            MpJob      *job,
            MpJob      *before)
{
  job->queue_prev = before;
  job->queue_next = before != NULL ? before->queue_next : self->first_queued;
  if (before != NULL)
    before->queue_next = job;
  else
    self->first_queued = job;
  if (job->queue_next != NULL)
    job->queue_next->queue_prev = job;
}

void
mp_pool_core_enqueue (MpPoolCore *self,
                      MpJob      *job,
                      gsize       n_units)
{
  guint index = 0;

  if (n_units == 0)
    return;

  job->n_ready += n_units;
  self->n_pending += n_units;
  if (job->queued)
    return;

  job->queued = TRUE;
  index = find_level (self, job->priority);
  if (index < self->levels->len && level_at (self, index)->priority == job->priority)
    {
      link_after (self, job, level_at (self, index)->last);
      level_at (self, index)->last = job;
    }
  else
    {
      Level level = { job->priority, job };

      link_after (self, job, index > 0 ? level_at (self, index - 1)->last : NULL);
      g_array_insert_val (self->levels, index, level);
    }
}

void
mp_pool_core_dequeue (MpPoolCore *self,
                      MpJob      *job)
{
  guint index = find_level (self, job->priority);
  MpJob *before = job->queue_prev;

  self->n_pending -= job->n_ready;
  job->n_ready = 0;
  job->queued = FALSE;
  if (level_at (self, index)->last == job)
    {
      if (before != NULL && before->priority == job->priority)
        level_at (self, index)->last = before;
      else
        g_array_remove_index (self->levels, index);
    }
  if (before != NULL)
    before->queue_next = job->queue_next;
  else
    self->first_queued = job->queue_next;
  if (job->queue_next != NULL)
    job->queue_next->queue_prev = before;
  mp_pool_room_changed (self);
}

void
mp_pool_core_give_back (MpPoolCore   *self,
                        const MpUnit *unit)
{
  GList *link = self->returned.head;

  if (unit->job->done)
    {
      mp_job_unit_gone (unit->job);
      return;
    }
  while (link != NULL && ((MpUnit *) link->data)->job->priority > unit->job->priority)
    link = link->next;
  g_queue_insert_before (&self->returned, link, g_slice_dup (MpUnit, unit));
  self->n_pending++;
}

void
mp_pool_core_drop_returned (MpPoolCore *self,
                            MpJob      *job)
{
  GList *link = self->returned.head;

  while (link != NULL)
    {
      GList *next = link->next;
      MpUnit *unit = link->data;

      if (unit->job == job)
        {
          g_queue_delete_link (&self->returned, link);
          self->n_pending--;
          mp_job_unit_gone (job);
          g_slice_free (MpUnit, unit);
        }
      link = next;
    }
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

static gboolean
is_first (MpPoolCore *self,
          MpUnit     *returned)
{
  return self->first_queued == NULL || returned->job->priority >= self->first_queued->priority;
}

gboolean
mp_pool_core_peek_unit (MpPoolCore *self,
                        MpUnit     *unit)
{
  MpUnit *returned = peek_returned (self);
  MpJob *job = self->first_queued;

  if (returned != NULL && is_first (self, returned))
    {
      *unit = *returned;
      unit->cost_ns = mp_pool_pace_estimate (self, unit->job);
    }
  else if (job != NULL)
    *unit = (MpUnit) { .job = job, .size = job->size, .cost_ns = mp_pool_pace_estimate (self, job) };
  else
    return FALSE;
  return TRUE;
}

void
mp_pool_core_take_unit (MpPoolCore *self,
                        MpUnit     *unit)
{
  MpUnit *returned = g_queue_peek_head (&self->returned);
  MpJob *job = self->first_queued;

  if (returned != NULL && is_first (self, returned))
    {
      g_queue_pop_head (&self->returned);
      *unit = *returned;
      unit->cost_ns = mp_pool_pace_estimate (self, unit->job);
      g_slice_free (MpUnit, returned);
      self->n_pending--;
      return;
    }

  unit->job = job;
  unit->chunk = job->map != NULL ? mp_map_take_chunk (job->map) : 0;
  unit->size = job->size;
  unit->sent_us = 0;
  unit->cost_ns = mp_pool_pace_estimate (self, job);
  unit->attempt = unit->killed = 0;
  job->n_out++;
  job->n_ready--;
  self->n_pending--;
  if (job->n_ready == 0)
    mp_pool_core_dequeue (self, job);
}

/* What has begun goes on; but of what was sent ahead nothing is to begin before what is more urgent. */
void
mp_pool_core_make_way (MpPoolCore *self,
                       MpJob      *job)
{
  gsize n_wanted = job->n_ready;

  self->has_priorities |= job->priority != 0;
  if (!self->has_priorities || mp_pool_core_has_idle_worker (self))
    return;

  for (guint i = 0; i < self->n_workers && n_wanted > 0; i++)
    {
      MpPoolWorker *worker = self->workers[i];

      if (worker == NULL || !mp_pool_worker_is_ahead (worker, job->priority))
        continue;
      mp_pool_worker_take_back (worker);
      n_wanted--;
    }
}

GArray *
mp_pool_levels_new (void)
{
  return g_array_new (FALSE, FALSE, sizeof (Level));
}
