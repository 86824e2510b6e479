/* mp-pool-busy.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-process-private.h"

/* One call at a time, each waited for: what it takes is mostly the falling asleep and waking up of both sides. So each of
 * them looks at the ring that they share (mp-wire-private.h) for a moment first, without a system call, and goes to sleep
 * when nothing comes. */

#define LOOK_AROUND_US 1000

void
mp_pool_busy_prepare (MpProcessWorker *process,
                      MpJob           *job)
{
  MpPoolWorker *worker = &process->worker;
  gint64 until = 0;

  /* Later, when it has gone to sleep, the caller would not be told. */
  if (!job->submitting || !job->brief || job->kind != MP_JOB_CALL)
    return;

  until = mp_spin_begin (&worker->core->spin);
  if (until == 0)
    return;
  mp_wire_stay_awake (mp_child_get_wire (process->child));
  job->busy_until = until;
  job->busy_worker = worker->number;
  job->busy_serial = worker->serial;
}

/* NULL: that worker is gone. */
static MpProcessWorker *
find_worker (MpJob *job)
{
  MpPoolCore *core = job->core;
  MpPoolWorker *worker = job->busy_worker < core->n_workers ? core->workers[job->busy_worker] : NULL;

  return worker != NULL && worker->serial == job->busy_serial ? mp_pool_worker_get_process (worker) : NULL;
}

static void
stop_looking (MpJob *job)
{
  MpProcessWorker *worker = find_worker (job);

  if (worker != NULL)
    mp_child_stop_looking (worker->child);
}

/* Who never sleeps would see nothing else: neither other workers nor timers. */
static void
look_around (MpPoolCore *core,
             gint64      now)
{
  if (now - core->looked_around < LOOK_AROUND_US)
    return;
  core->looked_around = now;
  mp_hub_turn ();
}

void
mp_pool_busy_wait (MpJob        *job,
                   gboolean      may_wait,
                   GCancellable *cancellable)
{
  gboolean more = may_wait;

  if (job->busy_serial == 0)
    return;

  mp_hub_lock ();
  while (!job->done && more)
    {
      MpProcessWorker *worker = find_worker (job);

      if (worker == NULL || !mp_child_look (worker->child) || job->done)
        break;
      mp_hub_unlock ();
      more = mp_spin_again (job->busy_until) && !g_cancellable_is_cancelled (cancellable);
      mp_hub_lock ();
    }
  stop_looking (job);
  if (may_wait)
    mp_spin_end (&job->core->spin, job->busy_until, job->done);
  look_around (job->core, job->busy_until);
  mp_hub_unlock ();
}
