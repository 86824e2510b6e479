/* mp-pool-task.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"
#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"

/* Jobs, and those who wait for them. */

/* What is to be freed in another thread than the one that is done with it. */
typedef struct
{
  MpHome          home;      /* (owned) */
  gconstpointer   owner;     /* a key: whose blocking calls may free it */
  GDestroyNotify  func;
  gpointer        data;
} Remains;

static void
remains_free (gpointer data)
{
  Remains *self = data;

  self->func (self->data);
  mp_home_clear (&self->home);
  g_slice_free (Remains, self);
}

static void
remains_send_home (gpointer data)
{
  Remains *self = data;

  if (mp_home_try_free (&self->home, remains_free, self))
    return;
  mp_hub_lock ();
  mp_hub_post (self->home.context, self->owner, remains_free, self, NULL);
  mp_hub_unlock ();
}

static Remains *
remains_new (MpJob          *job,
             GDestroyNotify  func,
             gpointer        data)
{
  Remains *self = g_slice_new (Remains);

  self->home = (MpHome) { g_main_context_ref (job->home.context), job->home.thread };
  self->owner = job->core;
  self->func = func;
  self->data = data;

  return self;
}

/* The wire lets go of what it was lent when that has left, or is not wanted any more, in whatever thread, with the lock
 * held. */
static void
lent_back (gpointer data)
{
  mp_hub_run_unlocked (remains_send_home, data);
}

void
mp_job_lend (MpJob   *self,
             MpPiece *pieces,
             guint    n_pieces)
{
  for (guint i = 0; i < n_pieces; i++)
    {
      GBytes *bytes = g_steal_pointer (&pieces[i].bytes);

      /* What is shorter is copied. */
      if (bytes != NULL && pieces[i].size >= MP_PIECE_MIN_REFERENCE)
        pieces[i].bytes = g_bytes_new_with_free_func (pieces[i].data, pieces[i].size, lent_back,
                                                      remains_new (self, (GDestroyNotify) g_bytes_unref,
                                                                   g_bytes_ref (bytes)));
    }
}

void
mp_job_lent (MpPiece *pieces,
             guint    n_pieces)
{
  for (guint i = 0; i < n_pieces; i++)
    g_clear_pointer (&pieces[i].bytes, g_bytes_unref);
}

void
mp_job_drop (MpJob          *self,
             GDestroyNotify  func,
             gpointer        data)
{
  /* Mostly it is the caller's own thread that is done with it. */
  if (mp_home_is_here (&self->home))
    mp_hub_run_unlocked (func, data);
  else
    mp_hub_run_unlocked (remains_send_home, remains_new (self, func, data));
}

void
mp_pool_drop_variant (GVariant *value)
{
  if (value != NULL)
    mp_hub_run_unlocked ((GDestroyNotify) g_variant_unref, value);
}

void
mp_answer_clear (MpAnswer *answer)
{
  g_clear_pointer (&answer->value, g_variant_unref);
  g_clear_error (&answer->error);
  g_clear_pointer (&answer->details, g_variant_unref);
}

/* Jobs. */

static void
encoded_free (gpointer encoded)
{
  mp_encoded_clear (encoded);
  g_free (encoded);
}

static void
job_free (gpointer data)
{
  MpJob *self = data;

  g_assert (!self->active && self->n_out == 0 && self->waiters == NULL);
  if (self->imap != NULL)
    mp_imap_free (self);
  g_clear_pointer (&self->map, mp_map_free);
  g_clear_pointer (&self->control, mp_job_control_free);
  g_clear_pointer (&self->encoded, encoded_free);
  g_clear_pointer (&self->value, g_variant_unref);
  g_clear_pointer (&self->result, g_variant_unref);
  g_clear_error (&self->error);
  g_clear_pointer (&self->details, g_variant_unref);
  mp_pool_core_unref (self->core);
  mp_home_clear (&self->home);
  g_slice_free (MpJob, self);
}

MpJob *
mp_job_new (MpPoolCore *core,
            MpJobKind   kind)
{
  MpJob *self = g_slice_new0 (MpJob);

  self->ref_count = 1;
  self->kind = kind;
  self->core = mp_pool_core_ref (core);
  mp_home_init (&self->home);

  return self;
}

/* What holds objects must hold on to them from the call on, and an object that is gone is the caller's error; under the
 * lock none may be touched. All else is encoded when it is sent. */
MpJob *
mp_job_new_call (MpPoolCore  *core,
                 GVariant    *args,
                 GError     **error)
{
  MpJob *self = mp_job_new (core, MP_JOB_CALL);

  if (args == NULL)
    args = g_variant_new_tuple (NULL, 0);
  self->value = core->is_local ? mp_value_hold (args, error) : g_variant_ref_sink (args);
  if (self->value == NULL)
    {
      mp_job_unref (self);
      return NULL;
    }
  self->size = g_variant_get_size (self->value);
  if (!core->is_local && mp_type_may_hold_handles (g_variant_get_type (self->value)))
    {
      self->encoded = g_new0 (MpEncoded, 1);
      if (!mp_value_encode (self->value, self->encoded, error))
        {
          g_clear_pointer (&self->encoded, g_free);
          mp_job_unref (self);
          return NULL;
        }
      if (self->encoded->table == NULL)
        g_clear_pointer (&self->encoded, encoded_free);
    }
  else
    {
      /* Serialises a tree here, and not under the lock. */
      g_variant_get_data (self->value);
    }

  return self;
}

MpJob *
mp_job_ref (MpJob *self)
{
  g_atomic_int_inc (&self->ref_count);

  return self;
}

void
mp_job_unref (MpJob *self)
{
  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;
  /* Without arguments it has nothing that its caller gave. */
  if ((self->value == NULL && self->feed == NULL) || mp_home_is_here (&self->home))
    job_free (self);
  else
    remains_send_home (remains_new (self, job_free, self));
}

void
mp_job_unref_locked (MpJob *self)
{
  if (g_atomic_int_dec_and_test (&self->ref_count))
    mp_job_drop (self, job_free, self);
}

gboolean
mp_job_is_done (gpointer data)
{
  MpJob *self = data;

  return self->done;
}

void
mp_job_release_if_over (MpJob *self)
{
  if (!self->done || self->n_out > 0 || !self->active)
    return;

  mp_pool_core_remove_job (self->core, self);
  if (!self->brief && g_atomic_int_get (&self->ref_count) > 1)
    {
      if (self->map != NULL)
        mp_map_drop_items (self);
      if (self->feed != NULL)
        mp_feed_drop (self);
      if (self->encoded != NULL)
        mp_job_drop (self, encoded_free, g_steal_pointer (&self->encoded));
      if (self->value != NULL)
        mp_job_drop (self, (GDestroyNotify) g_variant_unref, g_steal_pointer (&self->value));
    }
  mp_job_unref_locked (self);
}

void
mp_job_unit_gone (MpJob *self)
{
  g_assert (self->n_out > 0);
  self->n_out--;
  mp_job_release_if_over (self);
}

void
mp_job_finish (MpJob    *self,
               GVariant *value,
               GError   *error,
               GVariant *details)
{
  g_assert (!self->done);
  self->done = TRUE;
  self->result = value;
  self->error = error;
  self->details = details;
  mp_tally_job_ended (self->core, self);
  if (self->feed != NULL)
    mp_feed_stop (self);
  if (self->queued)
    mp_pool_core_dequeue (self->core, self);
  if (self->control != NULL)
    mp_job_control_end (self);
  mp_job_tell_end (self);

  if (self->imap != NULL)
    {
      mp_imap_serve (self);
    }
  else
    {
      while (self->waiters != NULL)
        {
          MpWaiter *waiter = self->waiters->data;

          self->waiters = g_slist_delete_link (self->waiters, self->waiters);
          mp_waiter_post (waiter);
        }
    }
  mp_job_release_if_over (self);
}

void
mp_job_abandon (MpJob *self)
{
  mp_hub_lock ();
  if (!self->done)
    {
      mp_job_finish (self, NULL, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "nobody waits for it any more"),
                     NULL);
      mp_pool_core_check_end (self->core);
      mp_hub_changed ();
    }
  mp_hub_unlock ();
}

GVariant *
mp_job_dup_result (MpJob   *self,
                   GError **error)
{
  if (self->error == NULL)
    return g_variant_ref (self->result);

  if (self->details != NULL)
    mp_error_attach_details (self->error, self->details);
  g_propagate_error (error, g_error_copy (self->error));
  return NULL;
}

gboolean
mp_job_wait (MpJob         *self,
             const char    *what,
             gint64         timeout_us,
             GCancellable  *cancellable,
             gboolean       abandon,
             GError       **error)
{
  mp_pool_busy_wait (self, timeout_us != 0, cancellable);
  if (mp_hub_wait (self->core, mp_job_is_done, self, what, timeout_us, cancellable, error))
    return TRUE;

  if (abandon)
    {
      mp_hub_lock ();
      mp_job_cancel (self, NULL);
      mp_hub_unlock ();
    }
  return FALSE;
}

/* Waiters. */

static void
waiter_unref (gpointer data)
{
  MpWaiter *self = data;

  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;

  mp_answer_clear (&self->answer);
  g_clear_object (&self->task);
  mp_hub_unref_context (self->context);
  g_clear_pointer (&self->job, mp_job_unref);
  mp_pool_core_unref (self->core);
  g_free (self);
}

static void
waiter_deliver (gpointer data)
{
  MpWaiter *self = data;

  /* Not g_cancellable_disconnect(): that waits for a handler that runs, maybe further up this very stack. */
  if (self->handler != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (self->task), self->handler);
  self->handler = 0;

  if (self->called_off)
    g_task_return_new_error (self->task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
  else
    self->give (self);
  if (self->callback != NULL)
    self->callback (g_task_get_source_object (self->task), G_ASYNC_RESULT (self->task), self->user_data);
  mp_hub_complete_task (self->task);
}

void
mp_waiter_post (MpWaiter *self)
{
  self->waiting = FALSE;
  mp_hub_post (self->context, self->core, waiter_deliver, self, waiter_unref);
}

static void
waiter_cancelled_cb (GCancellable *cancellable,
                     gpointer      data)
{
  MpWaiter *self = data;

  mp_hub_lock ();
  if (self->waiting)
    {
      GSList **list = self->job != NULL ? &self->job->waiters : &self->core->join_waiters;

      *list = g_slist_remove (*list, self);
      self->called_off = TRUE;
      mp_waiter_post (self);
      if (self->abandons)
        mp_job_cancel (self->job, NULL);
      mp_hub_changed ();
    }
  else if (self->handler == 0)
    {
      /* Not in its list yet: mp_waiter_add() sees it. */
      self->called_off = TRUE;
    }
  mp_hub_unlock ();
}

static MpWaiter *
waiter_new (MpPoolCore          *core,
            MpJob               *job,
            GTask               *task,
            GAsyncReadyCallback  callback,
            gpointer             user_data,
            MpWaiterReturn       give)
{
  MpWaiter *self = g_new0 (MpWaiter, 1);

  self->ref_count = 1;
  self->core = mp_pool_core_ref (core);
  self->job = job != NULL ? mp_job_ref (job) : NULL;
  self->task = task;
  self->callback = callback;
  self->user_data = user_data;
  self->give = give;
  self->context = mp_hub_ref_context (g_task_get_context (task));
  g_task_set_check_cancellable (task, FALSE);

  return self;
}

static void
give_error (MpWaiter *self)
{
  g_task_return_error (self->task, g_steal_pointer (&self->answer.error));
}

/* A call that was refused: the callback still comes later, and from the same place. */
void
mp_waiter_return_failed (GTask               *task,
                         GError              *error,
                         MpPoolCore          *core,
                         GAsyncReadyCallback  callback,
                         gpointer             user_data)
{
  MpWaiter *self = waiter_new (core, NULL, task, callback, user_data, give_error);

  self->answer.error = error;
  mp_hub_lock ();
  mp_waiter_post (self);
  mp_hub_unlock ();
}

void
mp_waiter_add (MpPoolCore          *core,
               MpJob               *job,
               GTask               *task,
               GAsyncReadyCallback  callback,
               gpointer             user_data,
               MpWaiterReturn       give,
               gboolean             abandons)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  GError *error = NULL;
  MpWaiter *self = NULL;
  gulong handler = 0;

  /* In a forked copy of the owner nothing ever ends. */
  if (!mp_pool_core_is_ours (core, &error))
    {
      mp_waiter_return_failed (task, error, core, callback, user_data);
      return;
    }

  self = waiter_new (core, job, task, callback, user_data, give);
  self->abandons = abandons;
  if (cancellable != NULL)
    {
      g_atomic_int_inc (&self->ref_count);
      handler = g_cancellable_connect (cancellable, G_CALLBACK (waiter_cancelled_cb), self, waiter_unref);
    }

  mp_hub_lock ();
  self->handler = handler;
  if (self->called_off)
    {
      if (abandons)
        mp_job_cancel (job, NULL);
      mp_waiter_post (self);
    }
  else if (job != NULL && job->imap != NULL)
    {
      self->waiting = TRUE;
      job->waiters = g_slist_append (job->waiters, self);
      mp_imap_serve (job);
    }
  else if (job != NULL ? job->done : mp_pool_core_is_over (core))
    {
      mp_waiter_post (self);
    }
  else
    {
      GSList **list = job != NULL ? &job->waiters : &core->join_waiters;

      self->waiting = TRUE;
      *list = g_slist_append (*list, self);
    }
  mp_hub_changed ();
  mp_hub_unlock ();
}

void
mp_waiter_give_result (MpWaiter *self)
{
  GError *error = NULL;
  GVariant *value = mp_job_dup_result (self->job, &error);

  if (value != NULL)
    g_task_return_pointer (self->task, value, (GDestroyNotify) g_variant_unref);
  else
    g_task_return_error (self->task, error);
}
