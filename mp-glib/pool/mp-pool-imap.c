/* mp-pool-imap.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include "mp-glib/base/mp-error-private.h"

/* The results of an imap, between the workers and the iterator.
 *
 * Only so many chunks are sent ahead of the iterator as it shows to need: two for each worker at first, twice as many
 * whenever it finds nothing there and the workers idle. So a slow reader does not pile up results, and a fast one is not held up. */

#define FIRST_AHEAD     2       /* chunks for each worker */
#define MAX_AHEAD       64
#define MAX_AHEAD_ITEMS 65536   /* for all */

/* A chunk's results. */
typedef struct
{
  MpAnswer answer;
  gsize    n_items;
  gsize    position;
} Outcome;

struct _MpImap
{
  gboolean  ordered;
  Outcome **slots;       /* (owned) (nullable) (array length=n_chunks): when ordered */
  GQueue    ready;       /* (element-type Outcome): when not */
  Outcome  *current;     /* (owned) (nullable) the one that items are taken from */
  gsize     n_taken;     /* chunks taken by the iterator */
  gsize     n_allowed;   /* chunks that were handed to the queue */
  gsize     n_ended;
  gsize     ahead;       /* bound of n_allowed - n_taken */
  gsize     max_ahead;
  gboolean  told;        /* the job's own error has been given */
};

static void
outcome_free (Outcome *outcome)
{
  mp_answer_clear (&outcome->answer);
  g_slice_free (Outcome, outcome);
}

MpJob *
mp_job_new_imap (MpPoolCore  *core,
                 gboolean     ordered,
                 const char  *function,
                 GVariant    *items,
                 guint        chunk_size,
                 GError     **error)
{
  MpJob *job = mp_job_new_map (core, ordered ? MP_JOB_IMAP : MP_JOB_IMAP_UNORDERED, function, items, chunk_size, error);
  MpImap *self = NULL;

  if (job == NULL)
    return NULL;

  self = job->imap = g_new0 (MpImap, 1);
  self->ordered = ordered;
  if (ordered)
    self->slots = g_new0 (Outcome *, mp_map_get_n_chunks (job->map));
  self->ahead = FIRST_AHEAD * (gsize) core->n_workers;
  self->max_ahead = MIN (MAX_AHEAD * (gsize) core->n_workers, MAX_AHEAD_ITEMS / mp_map_get_chunk_size (job->map));
  self->max_ahead = MAX (self->max_ahead, self->ahead);

  return job;
}

static void
free_slots (MpImap *self,
            gsize   n_chunks)
{
  for (gsize i = 0; i < n_chunks; i++)
    if (self->slots[i] != NULL)
      outcome_free (self->slots[i]);
  g_free (self->slots);
}

void
mp_imap_free (MpJob *job)
{
  MpImap *self = job->imap;

  if (self->ordered)
    free_slots (self, mp_map_get_n_chunks (job->map));
  g_queue_clear_full (&self->ready, (GDestroyNotify) outcome_free);
  g_clear_pointer (&self->current, outcome_free);
  g_free (self);
}

static gsize
count_allowed_more (MpJob *job)
{
  MpImap *self = job->imap;
  gsize n_left = mp_map_get_n_chunks (job->map) - self->n_allowed;
  gsize n_out = self->n_allowed - self->n_taken;

  return n_out < self->ahead ? MIN (self->ahead - n_out, n_left) : 0;
}

gsize
mp_imap_get_first_units (MpJob *job)
{
  gsize n = count_allowed_more (job);

  job->imap->n_allowed += n;
  return n;
}

/* In portions, unless the workers have nothing of it any more: many are sent by one write. */
static void
send_more (MpJob *job)
{
  MpImap *self = job->imap;
  gsize n = job->done ? 0 : count_allowed_more (job);

  if (n == 0 || (n < self->ahead / 2 && job->n_out > 0 && self->n_allowed + n < mp_map_get_n_chunks (job->map)))
    return;
  self->n_allowed += n;
  mp_pool_core_enqueue (job->core, job, n);
  mp_pool_core_dispatch (job->core);
}

void
mp_imap_lift_bounds (MpPoolCore *core)
{
  for (MpJob *job = core->first_job; job != NULL; job = job->next)
    {
      gsize n = 0;

      if (job->imap == NULL || job->done)
        continue;
      job->imap->ahead = job->imap->max_ahead = mp_map_get_n_chunks (job->map);
      n = count_allowed_more (job);
      job->imap->n_allowed += n;
      mp_pool_core_enqueue (core, job, n);
    }
  mp_pool_core_dispatch (core);
}

void
mp_imap_unit_ended (MpJob    *job,
                    guint64   chunk,
                    MpAnswer *answer)
{
  MpImap *self = job->imap;
  Outcome *outcome = g_slice_new0 (Outcome);

  mp_map_check_answer (job->map, chunk, answer);
  outcome->answer = *answer;
  outcome->n_items = mp_map_get_chunk_length (job->map, chunk);
  *answer = (MpAnswer) { NULL };
  if (self->ordered)
    self->slots[chunk] = outcome;
  else
    g_queue_push_tail (&self->ready, outcome);

  self->n_ended++;
  if (self->n_ended == mp_map_get_n_chunks (job->map))
    mp_job_finish (job, NULL, NULL, NULL);
  else
    mp_imap_serve (job);
}

/* The next chunk that may be taken from; NULL: none is there. */
static Outcome *
next_outcome (MpJob *job)
{
  MpImap *self = job->imap;

  if (self->ordered)
    return self->n_taken < mp_map_get_n_chunks (job->map) ? g_steal_pointer (&self->slots[self->n_taken]) : NULL;
  return g_queue_pop_head (&self->ready);
}

static void
take_item (Outcome  *outcome,
           MpAnswer *answer)
{
  gsize i = outcome->position++;
  GVariant *value = outcome->answer.value;
  g_autoptr(GVariant) child = NULL;
  g_autoptr(GVariant) boxed = NULL;

  if (outcome->answer.error != NULL)
    {
      answer->error = g_error_copy (outcome->answer.error);
      answer->details = outcome->answer.details != NULL ? g_variant_ref (outcome->answer.details) : NULL;
      return;
    }

  child = g_variant_get_child_value (value, i);
  if (outcome->answer.wrapped)
    {
      answer->value = g_variant_get_variant (child);
    }
  else if (outcome->answer.per_item)
    {
      gboolean succeeded = FALSE;

      g_variant_get (child, "(bv)", &succeeded, &boxed);
      if (succeeded)
        answer->value = g_steal_pointer (&boxed);
      else
        answer->error = mp_error_from_variant (boxed, &answer->details);
    }
  else
    {
      answer->value = g_steal_pointer (&child);
    }
}

static gboolean
is_at_end (MpJob *job)
{
  MpImap *self = job->imap;

  if (self->n_taken == mp_map_get_n_chunks (job->map))
    return TRUE;
  return job->done && job->error != NULL;
}

gboolean
mp_imap_take (MpJob    *job,
              MpAnswer *answer)
{
  MpImap *self = job->imap;

  if (self->current == NULL)
    {
      self->current = next_outcome (job);
      if (self->current != NULL)
        self->n_taken++;
    }
  if (self->current != NULL)
    {
      take_item (self->current, answer);
      if (self->current->position == self->current->n_items)
        {
          /* The values in it may hold objects. */
          if (self->current->answer.value != NULL)
            mp_job_drop (job, (GDestroyNotify) g_variant_unref, g_steal_pointer (&self->current->answer.value));
          g_clear_pointer (&self->current, outcome_free);
          send_more (job);
        }
      return TRUE;
    }

  if (!is_at_end (job))
    {
      if (job->n_out == 0 && job->n_ready == 0)
        self->ahead = MIN (2 * self->ahead, self->max_ahead);
      send_more (job);
      return FALSE;
    }
  if (job->error != NULL && !self->told)
    {
      self->told = TRUE;
      answer->error = g_error_copy (job->error);
      answer->details = job->details != NULL ? g_variant_ref (job->details) : NULL;
    }
  return TRUE;
}

void
mp_imap_serve (MpJob *job)
{
  while (job->waiters != NULL)
    {
      MpWaiter *waiter = job->waiters->data;

      if (!mp_imap_take (job, &waiter->answer))
        return;
      job->waiters = g_slist_remove (job->waiters, waiter);
      mp_waiter_post (waiter);
    }
}
