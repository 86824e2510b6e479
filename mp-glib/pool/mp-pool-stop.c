/* mp-pool-stop.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-futex-private.h"

/* Stopping what runs. The worker is told; when that does not help it gets SIGTERM, then SIGKILL. From the first moment it
 * has MP_BOARD_STOP: it can begin nothing else, so whatever it does when a signal comes, no other task is hit.
 *
 * For its caller the task has ended then: its place in the flight has no job, and what the worker may still answer is
 * dropped. */

/* Of those in flight the one that has begun; NULL: none, or nobody wants it any more. */
static MpUnit *
get_running (MpPoolWorker *self,
             guint64       started)
{
  MpUnit *first = mp_pool_worker_unit_at (self, 0);

  if (self->n_flight == 0 || self->initializing || started != self->first_seq || first->job == NULL)
    return NULL;
  return first;
}

static guint64
get_started (MpPoolWorker *self)
{
  return __atomic_load_n (&self->board->state, __ATOMIC_ACQUIRE) >> 1;
}

static void
stop_timer_cb (gpointer data)
{
  MpPoolWorker *self = data;

  self->stop_timer = NULL;
  mp_pool_worker_end (self, MP_POOL_STOPPED, self->core->terminate_grace_us);
}

/* Between mp_pool_worker_revoke() and mp_pool_worker_let_begin(). The unit is the caller's to end. */
static MpUnit
stop_running (MpPoolWorker *self)
{
  MpUnit *first = mp_pool_worker_unit_at (self, 0);
  MpUnit unit = *first;

  first->job = NULL;
  self->stopping = self->first_seq;
  __atomic_store_n (&self->board->stopped, self->stopping, __ATOMIC_RELEASE);
  __atomic_add_fetch (&self->board->stop_word, 1, __ATOMIC_RELEASE);
  mp_futex_wake (&self->board->stop_word, G_MAXINT, FALSE);
  if (self->core->cancel_grace_us >= 0)
    self->stop_timer = mp_hub_add_timer (mp_deadline_after (self->core->cancel_grace_us), stop_timer_cb, self);

  return unit;
}

void
mp_pool_worker_stopped (MpPoolWorker *self)
{
  g_clear_pointer (&self->stop_timer, mp_hub_remove_timer);
  self->stopping = 0;
  mp_pool_worker_let_begin (self);
}

void
mp_pool_worker_drop_timers (MpPoolWorker *self)
{
  g_clear_pointer (&self->stop_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->run_timer, mp_hub_remove_timer);
}

/* Jobs that are not wanted any more. */

static gboolean
has_unit_of (MpPoolWorker *self,
             MpJob        *job)
{
  for (guint i = 0; i < self->n_flight; i++)
    if (mp_pool_worker_unit_at (self, i)->job == job)
      return TRUE;
  return FALSE;
}

static void
stop_job_at (MpPoolWorker *self,
             MpJob        *job)
{
  MpUnit *running = NULL;

  if (!has_unit_of (self, job))
    return;

  running = get_running (self, mp_pool_worker_revoke (self));
  if (running != NULL && running->job == job)
    {
      stop_running (self);
      mp_job_unit_gone (job);
    }
  mp_pool_worker_let_begin (self);
}

void
mp_pool_core_stop_job (MpPoolCore *core,
                       MpJob      *job)
{
  if (job->n_out == 0)
    return;

  for (guint i = 0; i < core->n_workers && job->n_out > 0; i++)
    if (core->workers[i] != NULL)
      stop_job_at (core->workers[i], job);
  mp_pool_core_drop_returned (core, job);
  mp_pool_core_dispatch (core);
}

static gboolean
has_begun_at (MpPoolWorker *self,
              MpJob        *job)
{
  MpUnit *running = get_running (self, get_started (self));

  return running != NULL && running->job == job;
}

gboolean
mp_pool_core_has_begun (MpPoolCore *core,
                        MpJob      *job)
{
  gboolean begun = job->control->begun || (job->map != NULL && mp_map_get_n_ended (job->map) > 0);

  for (guint i = 0; i < core->n_workers && !begun; i++)
    begun = core->workers[i] != NULL && has_begun_at (core->workers[i], job);
  for (guint i = 0; i < core->n_workers && !begun; i++)
    {
      MpPoolWorker *worker = core->workers[i];

      if (worker == NULL || !has_unit_of (worker, job))
        continue;
      mp_pool_worker_take_back (worker);
      begun = has_unit_of (worker, job);
    }
  return begun;
}

/* An answer that lies there is read by then. */
#define LOOK_AGAIN_US 1000

/* What has run too long. There is one timer for each worker, which is not set anew for each task: it looks whose time is over,
 * and when to look again. */

static void run_timer_cb (gpointer data);

static gint64
get_limit (MpUnit *unit)
{
  return unit->job != NULL && unit->job->control != NULL ? unit->job->control->run_timeout_us : -1;
}

static void
look_at (MpPoolWorker *self,
         gint64        due)
{
  if (self->run_timer != NULL && self->run_look <= due)
    return;
  g_clear_pointer (&self->run_timer, mp_hub_remove_timer);
  self->run_look = due;
  self->run_timer = mp_hub_add_timer (due, run_timer_cb, self);
}

void
mp_pool_worker_limit (MpPoolWorker *self,
                      MpJob        *job)
{
  if (job->control->run_timeout_us >= 0)
    look_at (self, mp_deadline_after (job->control->run_timeout_us));
}

static void
time_out (MpPoolWorker *self)
{
  g_autofree char *pid = self->pid != 0 ? g_strdup_printf (" (pid %d)", self->pid) : g_strdup ("");
  MpAnswer answer = { NULL };
  MpUnit *running = NULL;
  gint64 limit = 0;
  MpUnit unit;

  /* It may be through just now, and at the next one. */
  running = get_running (self, mp_pool_worker_revoke (self));
  if (running != NULL)
    {
      unit = stop_running (self);
      limit = get_limit (&unit);
      answer.error = g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                                  "task “%s” ran in worker %u%s for more than the %" G_GINT64_FORMAT ".%03d ms that "
                                  "it had", mp_job_get_name (unit.job), self->number, pid, limit / 1000,
                                  (int) (limit % 1000));
      mp_pool_core_unit_ended (self->core, &unit, &answer);
    }
  else
    {
      /* Its answer is about to be read. */
      look_at (self, mp_deadline_after (LOOK_AGAIN_US));
    }
  mp_pool_worker_let_begin (self);
  mp_pool_core_dispatch (self->core);
}

static void
run_timer_cb (gpointer data)
{
  MpPoolWorker *self = data;
  gint64 now = g_get_monotonic_time ();
  MpUnit *running = get_running (self, get_started (self));
  gint64 limit = running != NULL ? get_limit (running) : -1;

  self->run_timer = NULL;
  if (limit >= 0)
    {
      /* What a worker tells may be any number. */
      gint64 started = CLAMP (__atomic_load_n (&self->board->started_us, __ATOMIC_RELAXED), running->sent_us, now);

      if (now - started >= limit)
        {
          time_out (self);
          return;
        }
      look_at (self, limit < G_MAXINT64 - started ? started + limit : G_MAXINT64);
    }
  for (guint i = running != NULL; i < self->n_flight; i++)
    {
      limit = get_limit (mp_pool_worker_unit_at (self, i));
      if (limit >= 0)
        look_at (self, mp_deadline_after (limit));
    }
}

/* Properties. */

enum
{
  PROP_CANCEL_GRACE_US = MP_POOL_CONTROL_FIRST_PROPERTY,
  PROP_TERMINATE_GRACE_US,
};

static gint64 *
find_property (MpPool *pool,
               guint   prop_id)
{
  MpPoolCore *core = mp_pool_get_core (pool);

  switch (prop_id)
    {
    case PROP_CANCEL_GRACE_US:
      return &core->cancel_grace_us;
    case PROP_TERMINATE_GRACE_US:
      return &core->terminate_grace_us;
    default:
      return NULL;
    }
}

gboolean
mp_pool_control_get_property (MpPool *pool,
                              guint   prop_id,
                              GValue *value)
{
  gint64 *place = find_property (pool, prop_id);

  if (place == NULL)
    return FALSE;

  mp_hub_lock ();
  g_value_set_int64 (value, *place);
  mp_hub_unlock ();
  return TRUE;
}

gboolean
mp_pool_control_set_property (MpPool       *pool,
                              guint         prop_id,
                              const GValue *value)
{
  gint64 *place = find_property (pool, prop_id);

  if (place == NULL)
    return FALSE;

  mp_hub_lock ();
  *place = g_value_get_int64 (value);
  mp_hub_unlock ();
  return TRUE;
}

void
mp_pool_control_install (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  /**
   * MpPool:cancel-grace-us:
   *
   * How long a task that was called off, or ran out of its time, may go on when its worker has been told, in microseconds.
   *
   * Then the worker gets SIGTERM. -1 stands for ever: such a task is told and left alone, and its worker does nothing else
   * before it returns. It is half a second at first, and counts for what is called off from then on.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_CANCEL_GRACE_US,
                                   g_param_spec_int64 ("cancel-grace-us", NULL, NULL, -1, G_MAXINT64,
                                                       MP_POOL_CANCEL_GRACE_US, flags));

  /**
   * MpPool:terminate-grace-us:
   *
   * How long a worker that got SIGTERM because of its task may go on, in microseconds.
   *
   * Then it gets SIGKILL. With 0 it gets that at once, and no SIGTERM. It is a second at first.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_TERMINATE_GRACE_US,
                                   g_param_spec_int64 ("terminate-grace-us", NULL, NULL, 0, G_MAXINT64,
                                                       MP_POOL_TERMINATE_GRACE_US, flags));
}
