/* mp-future-state.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"
#include "mp-glib/pool/mp-pool-control-private.h"

/* How far a job is, and who is told when it has ended.
 *
 * Futures tell of their ends by signals in the context where their call was made. A post for each of a hundred thousand
 * would cost more than the tasks: those of one context stand in a line, and one post tells all that are there. */

struct _MpTeller
{
  MpTeller     *next;
  MpPoolCore   *core;      /* (not owned) */
  GMainContext *context;   /* (owned) */
  MpJob        *first, *last;
  gboolean      posted;
  guint         n_frames;  /* tell()s under way: one in a handler of another */
};

/* State. */

MpJob *
mp_pool_worker_get_running (MpPoolWorker *worker)
{
  guint64 started = worker->board != NULL ? __atomic_load_n (&worker->board->state, __ATOMIC_ACQUIRE) >> 1 : 0;

  if (started < worker->first_seq || started - worker->first_seq >= worker->n_flight)
    return NULL;
  return mp_pool_worker_unit_at (worker, started - worker->first_seq)->job;
}

MpFutureState
mp_job_get_state (MpJob *job)
{
  MpPoolCore *core = job->core;

  if (job->done && job->error == NULL)
    return MP_FUTURE_STATE_SUCCEEDED;
  if (job->done)
    return g_error_matches (job->error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? MP_FUTURE_STATE_CANCELLED
                                                                         : MP_FUTURE_STATE_FAILED;
  if (job->map != NULL && mp_map_get_n_ended (job->map) > 0)
    return MP_FUTURE_STATE_RUNNING;
  for (guint i = 0; job->n_out > 0 && i < core->n_workers; i++)
    if (core->workers[i] != NULL && mp_pool_worker_get_running (core->workers[i]) == job)
      return MP_FUTURE_STATE_RUNNING;
  return MP_FUTURE_STATE_QUEUED;
}

double
mp_job_get_fraction (MpJob *job)
{
  gsize n_chunks = job->map != NULL ? mp_map_get_n_chunks (job->map) : 0;

  if (job->done)
    return 1;
  if (job->map == NULL)
    return job->control != NULL ? job->control->fraction : 0;
  return n_chunks > 0 ? (double) mp_map_get_n_ended (job->map) / n_chunks : 0;
}

/* Telling. */

static void tell (gpointer data);

static void
post (MpTeller *self)
{
  self->posted = TRUE;
  mp_pool_core_ref (self->core);
  mp_hub_post (self->context, self->core, tell, self, NULL);
}

static MpJob *
pop (MpTeller *self)
{
  MpJob *job = self->first;

  if (job == NULL)
    return NULL;
  self->first = job->next_ended;
  if (self->first == NULL)
    self->last = NULL;
  job->next_ended = NULL;
  return job;
}

static void
drop_teller (MpTeller *self)
{
  MpTeller **place = &self->core->tellers;

  while (*place != self)
    place = &(*place)->next;
  *place = self->next;
  mp_hub_run_unlocked ((GDestroyNotify) g_main_context_unref, self->context);
  g_free (self);
}

static void
tell (gpointer data)
{
  MpTeller *self = data;
  MpPoolCore *core = self->core;
  MpJob *job = NULL;

  mp_hub_lock ();
  self->posted = FALSE;
  self->n_frames++;
  while ((job = pop (self)) != NULL)
    {
      MpFuture *future = job->future;

      /* mp_job_tell_due() looks at it without the lock. */
      g_atomic_pointer_set (&job->future, NULL);
      /* A blocking call in a handler tells the others. */
      if (self->first != NULL && !self->posted)
        post (self);
      mp_hub_unlock ();
      mp_future_emit_done (future);
      g_object_unref (future);
      mp_job_unref (job);
      mp_hub_lock ();
    }
  /* Contexts come and go; the pool's own stays. */
  if (--self->n_frames == 0 && !self->posted && self->context != core->context)
    drop_teller (self);
  mp_hub_unlock ();
  mp_pool_core_unref (core);
}

static MpTeller *
find_teller (MpPoolCore   *core,
             GMainContext *context)
{
  MpTeller *self = core->tellers;

  while (self != NULL && self->context != context)
    self = self->next;
  if (self != NULL)
    return self;

  self = g_new0 (MpTeller, 1);
  self->core = core;
  self->context = g_main_context_ref (context);
  self->next = core->tellers;
  core->tellers = self;

  return self;
}

void
mp_job_tell_end (MpJob *job)
{
  MpTeller *teller = NULL;

  while (job->watches != NULL)
    {
      MpJobWatch *watch = job->watches;

      mp_job_unwatch (watch);
      watch->func (watch);
    }
  if (job->future == NULL)
    return;
  if (job->withheld)
    {
      job->untold = TRUE;
      return;
    }

  teller = find_teller (job->core, job->home.context);
  mp_job_ref (job);
  if (teller->last != NULL)
    teller->last->next_ended = job;
  else
    teller->first = job;
  teller->last = job;
  if (!teller->posted)
    post (teller);
}

void
mp_job_tell_withheld (MpJob *job)
{
  job->withheld = FALSE;
  if (!job->untold)
    return;
  job->untold = FALSE;
  mp_job_tell_end (job);
}

/* Whoever only ever looks at what has ended would pile up the rest. */
void
mp_job_tell_due (MpJob *job)
{
  if (g_atomic_pointer_get (&job->future) != NULL && mp_home_is_here (&job->home))
    mp_hub_run_due (job->core);
}

void
mp_tellers_free (MpTeller *tellers)
{
  while (tellers != NULL)
    {
      MpTeller *next = tellers->next;

      g_main_context_unref (tellers->context);
      g_free (tellers);
      tellers = next;
    }
}

/* Watching. */

gboolean
mp_job_watch (MpJob      *job,
              MpJobWatch *watch)
{
  watch->place = NULL;
  if (job->done)
    return FALSE;

  watch->next = job->watches;
  if (watch->next != NULL)
    watch->next->place = &watch->next;
  watch->place = &job->watches;
  job->watches = watch;
  return TRUE;
}

void
mp_job_unwatch (MpJobWatch *watch)
{
  if (watch->place == NULL)
    return;

  *watch->place = watch->next;
  if (watch->next != NULL)
    watch->next->place = watch->place;
  watch->place = NULL;
}

void
mp_job_tell_watches (MpJob *job)
{
  for (MpJobWatch *watch = job->watches; watch != NULL; watch = watch->next)
    if (watch->progressed != NULL)
      watch->progressed (watch);
}
