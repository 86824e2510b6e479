/* mp-pool-worker.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"
#include "mp-glib/pool/mp-pool-worker-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"

/* One worker as its owner sees it: what it was sent and has not answered, and what follows from its answers and from
 * its end. All with the hub's lock held. */

#define RING(index) ((index) % MP_POOL_WINDOW)

static guint64
board_started (MpPoolWorker *self)
{
  return __atomic_load_n (&self->board->state, __ATOMIC_ACQUIRE) >> 1;
}

/* What is in flight. */

static MpUnit *
flight_first (MpPoolWorker *self)
{
  return &self->flight[self->first];
}

static MpUnit
flight_pop (MpPoolWorker *self)
{
  MpUnit unit = self->flight[self->first];

  self->first = RING (self->first + 1);
  self->n_flight--;
  self->first_seq++;
  self->flight_bytes -= unit.size;
  self->flight_ns -= unit.cost_ns;

  return unit;
}

gboolean
mp_pool_worker_has_room (MpPoolWorker *self,
                         const MpUnit *unit)
{
  if (self->state != MP_WORKER_READY || self->n_revoked > 0 || self->stopping > 0 || self->n_left == 0 ||
      self->size.leaving != NULL || self->n_flight == self->window)
    return FALSE;

  if (self->n_flight == 0)
    return TRUE;
  if (self->flight_bytes + unit->size > (self->n_flight == 1 ? MP_POOL_AHEAD_BYTES : MP_POOL_WINDOW_BYTES))
    return FALSE;
  return mp_pool_pace_has_room (self, unit->cost_ns);
}

gboolean
mp_pool_worker_is_idle (MpPoolWorker *self)
{
  return self->state == MP_WORKER_READY && self->n_flight == 0 && self->n_left > 0 && self->size.leaving == NULL;
}

gboolean
mp_pool_worker_is_ahead (MpPoolWorker *self,
                         gint32        priority)
{
  MpUnit *last = &self->flight[RING (self->first + self->n_flight - 1)];

  return self->state == MP_WORKER_READY && self->n_flight >= 2 && self->n_revoked == 0 && last->job != NULL &&
         last->job->priority < priority;
}

void
mp_pool_worker_flush (MpPoolWorker *self)
{
  self->dirty = FALSE;
  self->ops->flush (self);
}

static gboolean
send_unit (MpPoolWorker  *self,
           const MpUnit  *unit,
           guint32        flags,
           GError       **error)
{
  MpTaskLead lead = { self->first_seq + self->n_flight, unit->job->function, flags,
                      unit->job->control != NULL ? unit->job->control->run_timeout_us : -1 };

  if (!self->ops->send (self, unit, &lead, error))
    return FALSE;

  self->flight[RING (self->first + self->n_flight)] = *unit;
  self->flight[RING (self->first + self->n_flight)].sent_us = g_get_monotonic_time ();
  self->n_flight++;
  self->flight_bytes += unit->size;
  self->flight_ns += unit->cost_ns;
  self->dirty = TRUE;
  if (unit->job->control != NULL)
    mp_pool_worker_limit (self, unit->job);

  return TRUE;
}

void
mp_pool_worker_send (MpPoolWorker *self,
                     const MpUnit *unit)
{
  MpAnswer answer = { NULL };
  guint32 flags = 0;

  if (unit->job->map != NULL)
    flags = MP_TASK_CHUNK | (unit->job->imap != NULL ? MP_TASK_PER_ITEM : 0);

  if (!send_unit (self, unit, flags, &answer.error))
    mp_pool_core_unit_ended (self->core, unit, &answer);
  else if (self->n_left != G_MAXUINT)
    self->n_left--;
}

guint64
mp_pool_worker_revoke (MpPoolWorker *self)
{
  guint64 started = __atomic_fetch_or (&self->board->state, MP_BOARD_STOP, __ATOMIC_ACQ_REL) >> 1;

  /* From the last to the first, so that they stand at the front of the queue in their order. */
  for (guint i = self->n_flight; i > 0; i--)
    {
      MpUnit *unit = &self->flight[RING (self->first + i - 1)];

      if (self->first_seq + i - 1 <= started)
        break;
      if (unit->job == NULL)
        continue;
      mp_pool_core_give_back (self->core, unit);
      unit->job = NULL;
      self->n_revoked++;
      if (self->n_left != G_MAXUINT)
        self->n_left++;
    }
  return started;
}

/* A worker that is being stopped begins nothing else. */
void
mp_pool_worker_let_begin (MpPoolWorker *self)
{
  if (self->n_revoked == 0 && self->stopping == 0)
    __atomic_and_fetch (&self->board->state, ~MP_BOARD_STOP, __ATOMIC_ACQ_REL);
}

void
mp_pool_worker_take_back (MpPoolWorker *self)
{
  mp_pool_worker_revoke (self);
  mp_pool_worker_let_begin (self);
}

/* Ends. */

void
mp_pool_worker_tell_end (MpPoolWorker *self,
                         const char   *reason)
{
  gboolean booting = self->state == MP_WORKER_STARTING;

  if (self->state == MP_WORKER_ENDING)
    return;

  self->state = MP_WORKER_ENDING;
  self->reason = reason;
  mp_pool_view_changed (self->core);
  if (booting)
    {
      self->ops->end (self, 0);
      return;
    }
  self->ops->tell_end (self);
  mp_pool_worker_flush (self);
  mp_pool_size_told (self);
}

void
mp_pool_worker_end (MpPoolWorker *self,
                    const char   *reason,
                    gint64        grace_us)
{
  g_clear_pointer (&self->stop_timer, mp_hub_remove_timer);
  self->state = MP_WORKER_ENDING;
  self->reason = reason;
  self->ops->end (self, grace_us);
}

void
mp_pool_worker_abandon (MpPoolWorker *self,
                        gint64        grace_us)
{
  self->ops->forget (self);
  self->ops->end (self, grace_us);
  mp_pool_worker_free (self);
}

int
mp_pool_worker_get_exit_status (MpPoolWorker *self)
{
  return self->ops->get_exit_status (self);
}

char *
mp_pool_worker_describe_with_end (MpPoolWorker *self)
{
  g_autofree char *end = self->ops->describe_end (self);

  if (self->pid == 0)
    return g_strdup_printf ("worker %u %s", self->number, end);
  return g_strdup_printf ("worker %u (pid %d) %s", self->number, self->pid, end);
}

void
mp_pool_worker_cut_off (MpPoolWorker *self,
                        GError       *error)
{
  if (self->cut_off != NULL)
    {
      g_error_free (error);
      return;
    }
  self->cut_off = error;
  mp_pool_worker_end (self, "protocol error", 0);
}

/* Answers. */

static void
get_to_work (MpPoolWorker *self)
{
  self->ready_time = g_get_monotonic_time ();
  /* It may have been told to end while its initializer ran. */
  if (self->state == MP_WORKER_ENDING)
    return;
  self->state = MP_WORKER_READY;
  mp_pool_view_changed (self->core);
  self->core->ever_ready = TRUE;
  self->core->n_hard = 0;
  mp_pool_size_ready (self);
  mp_pool_core_dispatch (self->core);
  mp_pool_core_refill (self->core, self);
}

void
mp_pool_worker_initialized (MpPoolWorker *self,
                            MpAnswer     *answer)
{
  MpUnit unit = flight_pop (self);

  self->initializing = FALSE;
  mp_job_unit_gone (unit.job);
  if (answer->error != NULL)
    {
      g_prefix_error (&answer->error, "pool: the initializer “%s” failed in worker %u: ",
                      mp_pool_core_name_of (self->core, unit.job->function), self->number);
      self->start_error = g_steal_pointer (&answer->error);
      self->start_details = g_steal_pointer (&answer->details);
      mp_pool_worker_tell_end (self, "initializer failed");
    }
  else
    {
      get_to_work (self);
    }
  mp_pool_drop_variant (g_steal_pointer (&answer->value));
  mp_answer_clear (answer);
}

static void
count_answer (MpPoolWorker *self)
{
  MpPoolCore *core = self->core;

  self->n_answered++;
  core->n_hard = core->n_soft = core->n_tried = 0;
  if (self->n_left == 0 && self->n_flight == 0 && self->state == MP_WORKER_READY)
    mp_pool_worker_tell_end (self, "recycled");
}

static void
not_run (MpPoolWorker *self)
{
  self->n_revoked--;
  mp_pool_worker_let_begin (self);
}

gboolean
mp_pool_worker_expects (MpPoolWorker       *self,
                        const MpResultLead *lead)
{
  MpUnit *unit = flight_first (self);

  if (self->n_flight == 0 || lead->seq != self->first_seq || lead->status > MP_RESULT_NOT_RUN)
    return FALSE;
  if (lead->seq == self->stopping)
    return lead->status != MP_RESULT_NOT_RUN;
  if (unit->job == NULL || lead->status == MP_RESULT_NOT_RUN)
    return unit->job == NULL && lead->status == MP_RESULT_NOT_RUN;
  return lead->status != MP_RESULT_PER_ITEM || unit->job->imap != NULL;
}

MpUnit
mp_pool_worker_pop_answered (MpPoolWorker       *self,
                             const MpResultLead *lead)
{
  MpUnit unit = flight_pop (self);

  if (lead->status == MP_RESULT_NOT_RUN)
    {
      not_run (self);
    }
  else if (lead->seq == self->stopping)
    {
      mp_pool_worker_stopped (self);
      count_answer (self);
    }
  else
    {
      mp_tally_measure (self, &unit, lead);
      mp_pool_pace_measure (self, &unit, lead->run_us);
      count_answer (self);
    }
  return unit;
}

void
mp_pool_worker_answers_through (MpPoolWorker *self)
{
  if (self->size.leaving != NULL || self->core->size.watches)
    mp_pool_size_answered (self);
  if (self->state == MP_WORKER_READY)
    mp_pool_core_refill (self->core, self);
}

/* Its life. */

void
mp_pool_worker_started (MpPoolWorker *self,
                        int           pid)
{
  self->pid = pid;
  self->announced = TRUE;
  mp_pool_post_started (self->core, self->number, pid);
}

void
mp_pool_worker_ready (MpPoolWorker *self)
{
  MpPoolCore *core = self->core;

  if (self->state != MP_WORKER_STARTING)
    return;

  if (core->init != NULL)
    {
      MpUnit unit = { .job = core->init, .size = core->init->size };

      self->state = MP_WORKER_INITIALIZING;
      self->initializing = TRUE;
      if (send_unit (self, &unit, MP_TASK_INITIALIZER, &self->start_error))
        {
          core->init->n_out++;
          mp_pool_worker_flush (self);
        }
      else
        {
          self->initializing = FALSE;
          mp_pool_worker_tell_end (self, "initializer failed");
        }
      return;
    }
  get_to_work (self);
}

/* What the one unit that was running ends with. */
static void
fail_running (MpPoolWorker *self,
              const MpUnit *unit,
              GVariant     *details)
{
  MpAnswer answer = { NULL };
  const char *name = mp_pool_core_name_of (self->core, unit->job->function);

  if (self->cut_off != NULL)
    {
      answer.error = g_error_copy (self->cut_off);
    }
  else
    {
      g_autofree char *end = mp_pool_worker_describe_with_end (self);

      answer.died = TRUE;
      answer.error = g_error_new (MP_ERROR, MP_ERROR_WORKER_DIED, "function “%s”: %s while it ran it", name, end);
    }
  if (details != NULL)
    {
      g_autoptr(GVariantDict) dict = g_variant_dict_new (details);

      g_variant_dict_insert (dict, "function", "s", name);
      answer.details = g_variant_ref_sink (g_variant_dict_end (dict));
      mp_error_attach_details (answer.error, answer.details);
    }
  mp_pool_core_unit_ended (self->core, unit, &answer);
}

/* All that it has answered is in: what is left in flight was not begun, but for the one that the board names. */
static void
settle_flight (MpPoolWorker *self,
               GVariant     *details)
{
  guint64 started = board_started (self);
  MpUnit running = { NULL };

  if (self->n_flight > 0 && started == self->first_seq && flight_first (self)->job != NULL)
    running = flight_pop (self);
  for (guint i = self->n_flight; i > 0; i--)
    {
      MpUnit *unit = &self->flight[RING (self->first + i - 1)];

      if (unit->job != NULL)
        mp_pool_core_give_back (self->core, unit);
    }
  self->n_flight = 0;
  self->flight_ns = 0;
  if (running.job != NULL)
    {
      self->n_answered++;
      fail_running (self, &running, details);
    }
}

void
mp_pool_worker_ended (MpPoolWorker *self,
                      const GError *error)
{
  MpPoolCore *core = self->core;
  g_autoptr(GVariant) details = self->ops->dup_details (self);

  /* The end of its unit may make room for another, which must not be sent here any more. */
  self->state = MP_WORKER_ENDING;
  if (self->stopping > 0 && self->reason == NULL)
    self->reason = MP_POOL_STOPPED;
  self->ops->drop_unsent (self);
  if (self->initializing)
    {
      MpUnit unit = flight_pop (self);
      g_autofree char *end = mp_pool_worker_describe_with_end (self);

      if (self->reason == NULL)
        self->start_error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "pool: %s in the initializer “%s”", end,
                                         mp_pool_core_name_of (core, unit.job->function));
      self->initializing = FALSE;
      mp_job_unit_gone (unit.job);
    }
  if (error != NULL && self->reason == NULL && self->ready_time > 0)
    {
      /* It was ready: then it was cut off below, because its bytes were no frames. */
      self->cut_off = g_error_copy (error);
      self->reason = "protocol error";
    }
  else if (error != NULL && self->start_error == NULL && self->reason == NULL)
    {
      self->start_error = g_error_copy (error);
    }
  settle_flight (self, details);
  if (self->announced)
    mp_pool_post_exited (core, self->number, self->pid, mp_pool_worker_get_exit_status (self),
                         self->reason != NULL ? self->reason : self->start_error != NULL ? "did not start" : "died");
  mp_pool_core_worker_ended (core, self, self->start_error,
                             self->start_details != NULL ? self->start_details : details);
  mp_pool_worker_free (self);
}

MpPoolWorker *
mp_pool_worker_start (MpPoolCore  *core,
                      guint        number,
                      GError     **error)
{
  return core->worker_ops->start (core, number, error);
}

void
mp_pool_worker_init (MpPoolWorker          *self,
                     const MpPoolWorkerOps *ops,
                     MpPoolCore            *core,
                     guint                  number)
{
  self->ops = ops;
  self->core = core;
  self->number = number;
  self->window = MP_POOL_WINDOW;
  self->start_time = g_get_monotonic_time ();
  self->serial = ++core->serial;
  self->first_seq = 1;
  self->n_left = core->tasks_per_worker > 0 ? core->tasks_per_worker : G_MAXUINT;
}

void
mp_pool_worker_free (MpPoolWorker *self)
{
  self->ops->drop_unsent (self);
  mp_pool_worker_drop_timers (self);
  for (guint i = 0; i < self->n_flight; i++)
    {
      MpUnit *unit = &self->flight[RING (self->first + i)];

      if (unit->job != NULL)
        mp_job_unit_gone (unit->job);
    }
  self->ops->forget (self);
  g_clear_error (&self->cut_off);
  g_clear_error (&self->start_error);
  g_clear_pointer (&self->start_details, g_variant_unref);
  self->ops->free (self);
}
