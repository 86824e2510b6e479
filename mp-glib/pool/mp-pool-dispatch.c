/* mp-pool-dispatch.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

/* Which worker gets what, and when. */

/* An idle worker looks this long at others that have more than they run before it takes from them. */
#define BALANCE_US        1000
/* A worker that has been at one task for so long while others wait is no place to wait in. */
#define RELIEVE_US        (20 * 1000)

static MpPoolWorker *
find_least_busy (MpPoolCore   *self,
                 const MpUnit *unit)
{
  MpPoolWorker *best = NULL;

  for (guint i = 0; i < self->n_workers; i++)
    {
      MpPoolWorker *worker = self->workers[i];

      if (worker == NULL || !mp_pool_worker_has_room (worker, unit))
        continue;
      if (best == NULL || worker->n_flight < best->n_flight)
        best = worker;
      if (best->n_flight == 0)
        break;
    }
  return best;
}

static void
flush_workers (MpPoolCore *self)
{
  for (guint i = 0; i < self->n_workers; i++)
    if (self->workers[i] != NULL && self->workers[i]->dirty)
      mp_pool_worker_flush (self->workers[i]);
}

/* To whoever has least, level by level. */
void
mp_pool_core_dispatch (MpPoolCore *self)
{
  MpUnit unit;

  while (self->n_pending > 0 && mp_pool_core_peek_unit (self, &unit))
    {
      MpPoolWorker *worker = find_least_busy (self, &unit);

      if (worker == NULL)
        break;
      mp_pool_core_take_unit (self, &unit);
      mp_pool_worker_send (worker, &unit);
    }
  flush_workers (self);
  mp_pool_size_consider (self);
  mp_pool_room_changed (self);
}

static void balance_cb (gpointer data);

static gboolean
can_be_relieved (MpPoolWorker *worker)
{
  return worker != NULL && worker->state == MP_WORKER_READY && worker->n_flight >= 2 && worker->n_revoked == 0;
}

/* An idle worker, and others that have more than they can run: if those are not through with what they run in a moment,
 * they give the rest away. */
static void
consider_balance (MpPoolCore *self)
{
  if (self->balance_timer != NULL)
    return;

  for (guint i = 0; i < self->n_workers; i++)
    {
      MpPoolWorker *worker = self->workers[i];

      if (!can_be_relieved (worker))
        continue;
      worker->n_seen = worker->n_answered;
      if (self->balance_timer == NULL)
        self->balance_timer = mp_hub_add_timer (g_get_monotonic_time () + BALANCE_US, balance_cb, self);
    }
}

gboolean
mp_pool_core_has_idle_worker (MpPoolCore *self)
{
  for (guint i = 0; i < self->n_workers; i++)
    if (self->workers[i] != NULL && mp_pool_worker_is_idle (self->workers[i]))
      return TRUE;
  return FALSE;
}

static void
balance_cb (gpointer data)
{
  MpPoolCore *self = data;

  self->balance_timer = NULL;
  if (!mp_pool_core_has_idle_worker (self))
    return;

  for (guint i = 0; i < self->n_workers; i++)
    if (can_be_relieved (self->workers[i]) && self->workers[i]->n_seen == self->workers[i]->n_answered)
      mp_pool_worker_take_back (self->workers[i]);
  mp_pool_core_dispatch (self);
  if (mp_pool_core_has_idle_worker (self))
    consider_balance (self);
}

/* While tasks wait: what was sent ahead to a worker that has not come to it for long is for others, who are through with
 * theirs sooner. */
static void
relieve_slow (MpPoolCore   *self,
              MpPoolWorker *asking)
{
  gint64 now = g_get_monotonic_time ();

  if (now < self->pace.relieve_due)
    return;
  self->pace.relieve_due = now + RELIEVE_US;
  for (guint i = 0; i < self->n_workers; i++)
    {
      MpPoolWorker *worker = self->workers[i];

      if (worker == NULL || worker == asking)
        continue;
      if (can_be_relieved (worker) && worker->n_relieved == worker->n_answered)
        mp_pool_worker_take_back (worker);
      worker->n_relieved = worker->n_answered;
    }
}

/* After an answer. Waits until half of the window is free, so that many are sent at once; towards the end of the queue
 * each takes only its share of what is left. */
void
mp_pool_core_refill (MpPoolCore   *self,
                     MpPoolWorker *worker)
{
  MpUnit unit;
  gsize target = 0;

  if (self->n_pending == 0)
    {
      if (mp_pool_worker_is_idle (worker))
        consider_balance (self);
      return;
    }
  if (!mp_pool_core_peek_unit (self, &unit) || worker->n_flight > mp_pool_pace_window (unit.cost_ns) / 2 ||
      (worker->n_flight > 1 && worker->flight_bytes > MP_POOL_WINDOW_BYTES / 2))
    return;

  relieve_slow (self, worker);
  target = (self->n_pending + worker->n_flight + self->n_live - 1) / self->n_live;
  while (worker->n_flight < target && mp_pool_core_peek_unit (self, &unit) && mp_pool_worker_has_room (worker, &unit))
    {
      mp_pool_core_take_unit (self, &unit);
      mp_pool_worker_send (worker, &unit);
    }
  if (worker->dirty)
    mp_pool_worker_flush (worker);
  mp_pool_room_changed (self);
}
