/* mp-future-roster.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-list-private.h"

/* Which futures of a list have ended, in the order in which they did. */

/* A window shows a frame in 16 ms: what happens meanwhile is told once. */
#define FRAME_US 16000

MpRoster *
mp_roster_new (MpFutureList *list)
{
  MpRoster *self = g_new0 (MpRoster, 1);

  self->ref_count = 1;
  self->context = mp_hub_ref_context (NULL);
  g_weak_ref_init (&self->list, list);
  g_queue_init (&self->replies);
  self->cores = g_ptr_array_new_with_free_func ((GDestroyNotify) mp_pool_core_unref);
  self->maps = g_ptr_array_new ();

  return self;
}

MpRoster *
mp_roster_ref (MpRoster *self)
{
  g_atomic_int_inc (&self->ref_count);

  return self;
}

void
mp_roster_unref (gpointer data)
{
  MpRoster *self = data;

  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;

  g_assert (g_queue_is_empty (&self->replies));
  mp_hub_unref_context (self->context);
  g_weak_ref_clear (&self->list);
  g_ptr_array_unref (self->cores);
  g_ptr_array_unref (self->maps);
  g_free (self);
}

void
mp_roster_entry_unref (MpRosterEntry *entry)
{
  if (!g_atomic_int_dec_and_test (&entry->ref_count))
    return;

  g_object_unref (entry->future);
  g_slice_free (MpRosterEntry, entry);
}

/* Telling. */

static void
notify_cb (gpointer data)
{
  MpRoster *self = data;
  g_autoptr(MpFutureList) list = g_weak_ref_get (&self->list);

  mp_hub_lock ();
  self->armed = FALSE;
  self->told_us = g_get_monotonic_time ();
  mp_hub_unlock ();
  if (list != NULL)
    mp_future_list_notify (list);
}

static void
post (MpRoster *self)
{
  mp_hub_post (self->context, self, notify_cb, mp_roster_ref (self), mp_roster_unref);
}

static void
timer_cb (gpointer data)
{
  MpRoster *self = data;

  self->timer = NULL;
  post (self);
}

static void
changed (MpRoster *self)
{
  gint64 due = 0;

  if (self->armed)
    return;

  self->armed = TRUE;
  due = self->told_us + FRAME_US;
  if (due <= g_get_monotonic_time ())
    post (self);
  else
    self->timer = mp_hub_add_timer (due, timer_cb, self);
}

void
mp_roster_drop (MpRoster *self)
{
  mp_hub_lock ();
  self->armed = TRUE;
  g_clear_pointer (&self->timer, mp_hub_remove_timer);
  mp_hub_unlock ();
  mp_roster_unref (self);
}

gboolean
mp_roster_take (MpRoster       *self,
                MpRosterEntry **entry)
{
  *entry = self->first_done;
  if (*entry == NULL)
    return self->n_given == self->n_members;

  self->first_done = (*entry)->next_done;
  if (self->first_done == NULL)
    self->last_done = NULL;
  (*entry)->given = TRUE;
  self->n_given++;
  g_atomic_int_inc (&(*entry)->ref_count);

  return TRUE;
}

static void
serve (MpRoster      *self,
       gconstpointer  owner)
{
  MpRosterEntry *entry = NULL;

  while (!g_queue_is_empty (&self->replies) && mp_roster_take (self, &entry))
    {
      MpReply *reply = g_queue_pop_head (&self->replies);

      reply->data = entry;
      reply->owner = owner;
      mp_reply_post (reply);
    }
}

static void
entry_done (MpRosterEntry *entry)
{
  MpRoster *self = entry->roster;
  MpPoolCore *core = mp_future_get_job (entry->future)->core;

  entry->done = TRUE;
  entry->next_done = NULL;
  if (self->last_done != NULL)
    self->last_done->next_done = entry;
  else
    self->first_done = entry;
  self->last_done = entry;
  self->n_done++;
  g_ptr_array_remove_fast (self->maps, entry);
  changed (self);
  serve (self, core);
}

static void
ended_cb (MpJobWatch *watch)
{
  entry_done ((MpRosterEntry *) watch);
}

static void
progressed_cb (MpJobWatch *watch)
{
  changed (((MpRosterEntry *) watch)->roster);
}

/* A call that has not ended has done some of it only if a worker is at it: there are fewer of these than members. */
double
mp_roster_get_sum (MpRoster *self)
{
  double sum = self->n_done;

  for (guint i = 0; i < self->maps->len; i++)
    sum += mp_job_get_fraction (mp_future_get_job (((MpRosterEntry *) g_ptr_array_index (self->maps, i))->future));
  for (guint i = 0; i < self->cores->len; i++)
    {
      MpPoolCore *core = g_ptr_array_index (self->cores, i);

      for (guint j = 0; j < core->n_workers; j++)
        {
          MpJob *job = core->workers[j] != NULL ? mp_pool_worker_get_running (core->workers[j]) : NULL;

          if (job == NULL || job->map != NULL)
            continue;
          for (MpJobWatch *watch = job->watches; watch != NULL; watch = watch->next)
            if (watch->func == ended_cb && ((MpRosterEntry *) watch)->roster == self)
              sum += mp_job_get_fraction (job);
        }
    }
  return sum;
}

void
mp_roster_wait (MpRoster *self,
                MpReply  *reply)
{
  g_queue_push_tail (&self->replies, reply);
  serve (self, self);
}

void
mp_roster_withdraw (MpRoster *self,
                    MpReply  *reply)
{
  g_queue_remove (&self->replies, reply);
}

/* Members. */

MpRosterEntry *
mp_roster_add (MpRoster *self,
               MpFuture *future)
{
  MpRosterEntry *entry = g_slice_new0 (MpRosterEntry);
  MpJob *job = mp_future_get_job (future);

  entry->ref_count = 1;
  entry->roster = self;
  entry->future = g_object_ref (future);
  entry->watch.func = ended_cb;
  entry->watch.progressed = progressed_cb;
  if (!g_ptr_array_find (self->cores, job->core, NULL))
    g_ptr_array_add (self->cores, mp_pool_core_ref (job->core));

  mp_hub_lock ();
  self->n_members++;
  if (!mp_job_watch (job, &entry->watch))
    entry_done (entry);
  else if (job->map != NULL)
    g_ptr_array_add (self->maps, entry);
  mp_hub_changed ();
  mp_hub_unlock ();

  return entry;
}

static void
unlink_done (MpRoster      *self,
             MpRosterEntry *entry)
{
  MpRosterEntry **place = &self->first_done, *before = NULL;

  while (*place != entry)
    {
      before = *place;
      place = &before->next_done;
    }
  *place = entry->next_done;
  if (self->last_done == entry)
    self->last_done = before;
}

void
mp_roster_remove (MpRoster      *self,
                  MpRosterEntry *entry)
{
  mp_hub_lock ();
  mp_job_unwatch (&entry->watch);
  g_ptr_array_remove_fast (self->maps, entry);
  self->n_members--;
  if (entry->done)
    self->n_done--;
  if (entry->given)
    self->n_given--;
  else if (entry->done)
    unlink_done (self, entry);
  entry->roster = NULL;
  serve (self, self);
  mp_hub_changed ();
  mp_hub_unlock ();

  mp_roster_entry_unref (entry);
}

GPtrArray *
mp_roster_list_owners (MpRoster *self)
{
  GPtrArray *owners = g_ptr_array_new ();

  g_ptr_array_add (owners, self);
  for (guint i = 0; i < self->cores->len; i++)
    g_ptr_array_add (owners, g_ptr_array_index (self->cores, i));

  return owners;
}
