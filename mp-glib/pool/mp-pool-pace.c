/* mp-pool-pace.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-worker-private.h"

/* How long tasks take, about, and what follows from it: how many are sent ahead, and how often their owner is woken. */

/* Of one whose function has not been measured. Nothing is sent behind it, nor it behind others. */
#define UNKNOWN_NS   (2 * G_GINT64_CONSTANT (1000000000))
/* It cannot be less: the times are in microseconds. */
#define LEAST_NS     500
/* The moving average is of about so many. */
#define WEIGHT       8
/* Work that may be in flight to one worker: what it can lose time with, should its owner come late, and what others wait
 * for, should a task be longer than it was expected to be. */
#define AHEAD_NS     (1000 * 1000)
/* One task may wait behind one of this length: to send it only after the answer would leave the worker idle for the time
 * that two wake-ups take. */
#define PAIR_NS      (20 * 1000 * 1000)
/* So long at most an answer may lie there while tasks go on that are expected to be short. */
#define QUIET_NS     (100 * 1000)
#define QUIET_LEAST  4      /* answers */
/* And so long if they are not. */
#define LOOK_US      250
#define SUBMIT_LOOK  32

gint64
mp_pool_pace_estimate (MpPoolCore *self,
                       MpJob      *job)
{
  GArray *functions = self->pace.functions;
  gint64 item_ns = job->function < functions->len ? g_array_index (functions, gint64, job->function) : 0;
  gsize n_items = job->map != NULL ? mp_map_get_chunk_size (job->map) : 1;

  if (item_ns == 0 || n_items > (gsize) (UNKNOWN_NS / item_ns))
    return UNKNOWN_NS;
  return MAX (item_ns * (gint64) n_items, LEAST_NS);
}

void
mp_pool_pace_measure (MpPoolWorker *worker,
                      const MpUnit *unit,
                      gint64        run_us)
{
  GArray *functions = worker->core->pace.functions;
  guint32 function = unit->job->function;
  gsize n_items = unit->job->map != NULL ? mp_map_get_chunk_length (unit->job->map, unit->chunk) : 1;
  /* A worker may tell any number. */
  gint64 item_ns = CLAMP (run_us, 0, UNKNOWN_NS / 1000) * 1000 / (gint64) MAX (n_items, 1);
  gint64 *mean;

  if (function >= functions->len)
    g_array_set_size (functions, function + 1);
  mean = &g_array_index (functions, gint64, function);
  *mean = *mean == 0 ? item_ns : *mean + (item_ns - *mean) / WEIGHT;
  *mean = MAX (*mean, 1);
}

guint
mp_pool_pace_window (gint64 cost_ns)
{
  if (cost_ns > PAIR_NS)
    return 1;
  return CLAMP (AHEAD_NS / MAX (cost_ns, LEAST_NS), 2, MP_POOL_WINDOW);
}

gboolean
mp_pool_pace_has_room (MpPoolWorker *worker,
                       gint64        cost_ns)
{
  if (worker->n_flight == 1 && worker->flight_ns <= PAIR_NS && cost_ns <= PAIR_NS)
    return TRUE;
  return worker->flight_ns + cost_ns <= AHEAD_NS;
}

/* Reading. */

static void
look (MpPoolCore *self)
{
  for (guint i = 0; i < self->n_workers; i++)
    if (self->workers[i] != NULL && self->workers[i]->ops->look != NULL)
      self->workers[i]->ops->look (self->workers[i]);
}

void
mp_pool_pace_submitting (MpPoolCore *self)
{
  if (self->n_pending > 0 && ++self->pace.n_submitted % SUBMIT_LOOK == 0)
    look (self);
}

/* The worker looks at this after it has written its answer; the reader looks for answers after it has written this. */
static void
set_wake_at (MpPoolWorker *worker,
             guint64       seq)
{
  worker->quiet = seq != 0;
  if (__atomic_load_n (&worker->board->wake_at, __ATOMIC_RELAXED) != seq)
    __atomic_store_n (&worker->board->wake_at, seq, __ATOMIC_SEQ_CST);
}

static void
look_cb (gpointer data)
{
  MpPoolCore *self = data;

  self->pace.timer = NULL;
  for (guint i = 0; i < self->n_workers; i++)
    {
      MpPoolWorker *worker = self->workers[i];

      if (worker == NULL || !worker->quiet)
        continue;
      /* One task took longer than was thought: those before may have been answered. */
      if (worker->n_heard == worker->n_answered)
        set_wake_at (worker, 0);
      worker->n_heard = worker->n_answered;
      if (worker->quiet && self->pace.timer == NULL)
        self->pace.timer = mp_hub_add_timer (g_get_monotonic_time () + LOOK_US, look_cb, self);
    }
  look (self);
}

void
mp_pool_pace_drained (MpPoolWorker *worker)
{
  MpPoolCore *core = worker->core;
  gint64 n = 0;

  /* A pool that has ended gets no timers any more. */
  if (worker->state == MP_WORKER_READY && worker->n_flight >= 2 * QUIET_LEAST &&
      core->state != MP_POOL_TERMINATED && core->failure == NULL)
    n = MIN (worker->n_flight / 2, QUIET_NS * worker->n_flight / MAX (worker->flight_ns, 1));
  set_wake_at (worker, n >= QUIET_LEAST ? worker->first_seq + n : 0);
  if (!worker->quiet)
    return;

  worker->n_heard = worker->n_answered;
  if (core->pace.timer == NULL)
    core->pace.timer = mp_hub_add_timer (g_get_monotonic_time () + LOOK_US, look_cb, core);
}
