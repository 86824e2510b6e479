/* mp-pool-core.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"
#include "mp-glib/pool/mp-pool-control-private.h"
#include "mp-glib/pool/mp-pool-local-private.h"

#include "mp-glib/base/mp-hub-state-private.h"

#include <pthread.h>
#include <string.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"
#include "mp-glib/process/mp-function-private.h"

/* A fork()ed copy of this process has the pool's memory and its sockets, but the workers are not its own. */
static int fork_generation;

static void
count_fork (void)
{
  g_atomic_int_inc (&fork_generation);
}

/* Life. */

MpPoolCore *
mp_pool_core_new (MpPool *pool)
{
  static gsize once;
  MpPoolCore *self = g_new0 (MpPoolCore, 1);

  if (g_once_init_enter (&once))
    {
      pthread_atfork (NULL, NULL, count_fork);
      g_once_init_leave (&once, 1);
    }

  self->ref_count = 1;
  self->generation = g_atomic_int_get (&fork_generation);
  self->context = mp_hub_ref_context (NULL);
  g_weak_ref_init (&self->pool, pool);
  mp_pool_size_init (&self->size);
  mp_pool_room_init (&self->room);
  g_queue_init (&self->returned);
  self->pace.functions = g_array_new (FALSE, TRUE, sizeof (gint64));
  self->levels = mp_pool_levels_new ();
  self->cancel_grace_us = MP_POOL_CANCEL_GRACE_US;
  self->terminate_grace_us = MP_POOL_TERMINATE_GRACE_US;
  self->functions = g_hash_table_new (g_str_hash, g_str_equal);
  self->function_names = g_ptr_array_new_with_free_func (g_free);
  self->tally = mp_tally_new ();

  return self;
}

MpPoolCore *
mp_pool_core_ref (MpPoolCore *self)
{
  g_atomic_int_inc (&self->ref_count);

  return self;
}

void
mp_pool_core_unref (MpPoolCore *self)
{
  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;

  g_assert (self->n_live == 0 && self->first_job == NULL);
  mp_hub_unref_context (self->context);
  g_weak_ref_clear (&self->pool);
  g_clear_error (&self->failure);
  g_clear_pointer (&self->failure_details, g_variant_unref);
  mp_pool_size_clear (&self->size);
  g_clear_pointer (&self->inline_state, mp_inline_free);
  g_free (self->workers);
  g_array_unref (self->pace.functions);
  g_hash_table_unref (self->functions);
  g_ptr_array_unref (self->function_names);
  mp_tally_free (self->tally);
  mp_tellers_free (self->tellers);
  g_array_unref (self->levels);
  g_free (self);
}

gboolean
mp_pool_core_is_ours (MpPoolCore  *self,
                      GError     **error)
{
  if (G_LIKELY (self->generation == (guint) g_atomic_int_get (&fork_generation)))
    return TRUE;

  g_set_error_literal (error, MP_ERROR, MP_ERROR_NOT_OWNER, "pool: it belongs to the process that made it");
  return FALSE;
}

guint32
mp_pool_core_number_function (MpPoolCore *self,
                              const char *name)
{
  gpointer number = NULL;
  char *copy = NULL;

  /* Mostly the one that was called last. */
  if (self->last_function < self->function_names->len &&
      strcmp (g_ptr_array_index (self->function_names, self->last_function), name) == 0)
    return self->last_function;

  if (g_hash_table_lookup_extended (self->functions, name, NULL, &number))
    {
      self->last_function = GPOINTER_TO_UINT (number);
      return self->last_function;
    }

  copy = g_strdup (name);
  g_hash_table_insert (self->functions, copy, GUINT_TO_POINTER (self->function_names->len));
  g_ptr_array_add (self->function_names, copy);
  self->last_function = self->function_names->len - 1;

  return self->last_function;
}

const char *
mp_pool_core_name_of (MpPoolCore *self,
                      guint32     function)
{
  return mp_function_display_name (g_ptr_array_index (self->function_names, function));
}

void
mp_pool_core_start (MpPoolCore *self,
                    guint       tasks_per_worker,
                    MpContext  *context,
                    const char *initializer,
                    GVariant   *args)
{
  g_autoptr(GError) error = NULL;
  MpJob *init = NULL;

  if (initializer != NULL)
    {
      init = mp_job_new_call (self, args, &error);
      if (init != NULL && !mp_function_check_args (initializer, init->value, FALSE, &error))
        g_clear_pointer (&init, mp_job_unref);
    }

  mp_hub_lock ();
  self->tasks_per_worker = tasks_per_worker;
  self->mp_context = context;
  mp_pool_size_begin (self);
  /* A program that only makes pools and drops them again would never let go of what belonged to their workers. */
  mp_hub_turn ();
  if (init != NULL)
    {
      init->function = mp_pool_core_number_function (self, initializer);
      self->init = init;
    }
  if (error == NULL)
    mp_pool_core_ensure_workers (self);
  else
    mp_pool_core_fail (self, error, NULL);
  mp_hub_unlock ();
}

static void
finish_all (MpPoolCore   *self,
            const GError *error,
            GVariant     *details)
{
  MpJob *job = self->first_job;

  while (job != NULL)
    {
      MpJob *next = job->next;

      if (!job->done)
        mp_job_finish (job, NULL, g_error_copy (error), details != NULL ? g_variant_ref (details) : NULL);
      job = next;
    }
  while (!g_queue_is_empty (&self->returned))
    {
      MpUnit *unit = g_queue_pop_head (&self->returned);

      self->n_pending--;
      mp_job_unit_gone (unit->job);
      g_slice_free (MpUnit, unit);
    }
  mp_pool_room_changed (self);
}

static void
drop_timers (MpPoolCore *self)
{
  g_clear_pointer (&self->balance_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->restart_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->pace.timer, mp_hub_remove_timer);
  mp_pool_size_drop_timers (self);
}

/* Nothing more is started, called or signalled; who still holds a future of it gets an error. */
void
mp_pool_core_orphan (MpPoolCore *self)
{
  g_autoptr(GError) error = NULL;

  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CLOSED, "pool: it is gone, and with it the tasks that were pending");
  mp_hub_lock ();
  self->state = MP_POOL_TERMINATED;
  self->mp_context = NULL;
  drop_timers (self);
  mp_pool_view_drop (self);
  finish_all (self, error, NULL);
  for (guint i = 0; i < self->n_workers; i++)
    {
      MpPoolWorker *worker = g_steal_pointer (&self->workers[i]);

      if (worker == NULL)
        continue;
      self->n_live--;
      mp_pool_worker_abandon (worker, MP_POOL_GRACE_US);
    }
  if (self->init != NULL)
    mp_job_unref_locked (g_steal_pointer (&self->init));
  mp_pool_core_check_end (self);
  mp_hub_changed ();
  mp_hub_unlock ();
}

void
mp_pool_core_remove_job (MpPoolCore *self,
                         MpJob      *job)
{
  job->active = FALSE;
  if (job->prev != NULL)
    job->prev->next = job->next;
  else
    self->first_job = job->next;
  if (job->next != NULL)
    job->next->prev = job->prev;
  else
    self->last_job = job->prev;
}

static gboolean
refuse (MpPoolCore  *self,
        GError     **error)
{
  if (self->failure != NULL)
    {
      if (self->failure_details != NULL)
        mp_error_attach_details (self->failure, self->failure_details);
      g_propagate_error (error, g_error_copy (self->failure));
      return TRUE;
    }
  if (self->state == MP_POOL_OPEN)
    return FALSE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED,
                       self->state == MP_POOL_CLOSED ? "pool: it has been closed" : "pool: it has been terminated");
  return TRUE;
}

gboolean
mp_pool_core_submit (MpPoolCore  *self,
                     MpJob       *job,
                     const char  *function,
                     GError     **error)
{
  gsize n_units = 1;

  mp_pool_pace_submitting (self);
  if (refuse (self, error))
    return FALSE;

  job->function = mp_pool_core_number_function (self, function);
  job->submitted_us = g_get_monotonic_time ();
  mp_job_ref (job);
  job->active = TRUE;
  job->prev = self->last_job;
  if (self->last_job != NULL)
    self->last_job->next = job;
  else
    self->first_job = job;
  self->last_job = job;
  if (job->done)
    {
      /* Its cancellable was faster. */
      mp_job_release_if_over (job);
      return TRUE;
    }

  mp_tally_list (self, job);
  if (job->feed != NULL)
    {
      if (job->control != NULL)
        mp_job_control_begin (job);
      mp_feed_look (job);
      return TRUE;
    }
  if (job->imap != NULL)
    n_units = mp_imap_get_first_units (job);
  else if (job->map != NULL)
    n_units = mp_map_get_n_chunks (job->map);
  mp_tally_add (self, job, job->map != NULL ? mp_map_get_n_chunks (job->map) : 1);
  mp_pool_core_enqueue (self, job, n_units);
  if (job->control != NULL)
    mp_job_control_begin (job);
  if (job->map != NULL && mp_map_get_n_chunks (job->map) == 0)
    mp_map_unit_ended (job, 0, NULL);
  job->submitting = TRUE;
  mp_pool_core_make_way (self, job);
  mp_pool_core_dispatch (self);
  job->submitting = FALSE;

  return TRUE;
}

void
mp_pool_core_unit_ended (MpPoolCore   *self,
                         const MpUnit *unit,
                         MpAnswer     *answer)
{
  MpJob *job = unit->job;

  if (job->control != NULL && mp_pool_core_retry (self, unit, answer))
    return;
  if (answer->error != NULL && !job->done)
    mp_pool_post_failed (self, mp_job_get_name (job), answer->error, answer->details);
  if (!job->done)
    mp_tally_unit_ended (self, job, answer->error != NULL || answer->per_item);

  if (job->done)
    mp_pool_drop_variant (g_steal_pointer (&answer->value));
  else if (job->imap != NULL)
    mp_imap_unit_ended (job, unit->chunk, answer);
  else if (job->map != NULL)
    mp_map_unit_ended (job, unit->chunk, answer);
  else
    mp_job_finish (job, g_steal_pointer (&answer->value), g_steal_pointer (&answer->error),
                   g_steal_pointer (&answer->details));
  mp_answer_clear (answer);

  mp_job_unit_gone (job);
  if (self->first_job == NULL)
    mp_pool_core_check_end (self);
}

void
mp_pool_core_fail (MpPoolCore   *self,
                   const GError *error,
                   GVariant     *details)
{
  if (self->failure != NULL)
    return;

  self->failure = g_error_copy (error);
  self->failure_details = details != NULL ? g_variant_ref (details) : NULL;
  drop_timers (self);
  finish_all (self, error, details);
  mp_pool_core_check_end (self);
  mp_hub_changed ();
}

/* Ends. */

gboolean
mp_pool_core_is_over (gpointer data)
{
  MpPoolCore *self = data;

  return self->state != MP_POOL_OPEN && self->n_live == 0 && self->first_job == NULL;
}

void
mp_pool_core_check_end (MpPoolCore *self)
{
  if (self->failure != NULL || (self->state == MP_POOL_CLOSED && self->first_job == NULL))
    {
      if (self->restart_timer != NULL)
        g_clear_pointer (&self->restart_timer, mp_hub_remove_timer);
      for (guint i = 0; i < self->n_workers; i++)
        if (self->workers[i] != NULL)
          mp_pool_worker_tell_end (self->workers[i], self->failure != NULL ? "pool failed" : "pool closed");
    }
  if (!mp_pool_core_is_over (self))
    return;

  if (self->init != NULL)
    mp_job_unref_locked (g_steal_pointer (&self->init));
  while (self->join_waiters != NULL)
    {
      MpWaiter *waiter = self->join_waiters->data;

      self->join_waiters = g_slist_delete_link (self->join_waiters, self->join_waiters);
      mp_waiter_post (waiter);
    }
}

void
mp_pool_core_close (MpPoolCore *self)
{
  if (self->state != MP_POOL_OPEN)
    return;

  self->state = MP_POOL_CLOSED;
  mp_pool_room_changed (self);
  mp_pool_core_check_end (self);
  mp_hub_changed ();
}

void
mp_pool_core_terminate (MpPoolCore *self)
{
  g_autoptr(GError) error = NULL;

  if (self->state == MP_POOL_TERMINATED)
    return;

  self->state = MP_POOL_TERMINATED;
  drop_timers (self);
  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "pool: it was terminated");
  finish_all (self, error, NULL);
  for (guint i = 0; i < self->n_workers; i++)
    if (self->workers[i] != NULL)
      mp_pool_worker_end (self->workers[i], "pool terminated", MP_POOL_GRACE_US);
  mp_pool_core_check_end (self);
  mp_hub_changed ();
}
