/* mp-pool-imap.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/base/mp-error-private.h"

/* The results of an imap, between the workers and the iterator.
 *
 * Only so many chunks are sent ahead of the iterator as it shows to need: two for each worker at first, twice as many
 * whenever it finds nothing there and the workers idle. So a slow reader does not pile up results, and a fast one is not held up. */

#define FIRST_AHEAD     2       /* chunks for each worker */
#define MAX_AHEAD       64
#define MAX_AHEAD_ITEMS 65536   /* for all */

struct _MpImap
{
  gboolean  ordered;
  MpOutcome **slots;       /* (owned) (nullable) a ring of those between n_taken and n_allowed: when ordered */
  gsize     n_slots;     /* a power of two */
  GQueue    ready;       /* (element-type MpOutcome): when not */
  MpOutcome  *current;     /* (owned) (nullable) the one that items are taken from */
  gsize     n_taken;     /* chunks taken by the iterator */
  gsize     n_allowed;   /* chunks that were handed to the queue */
  gsize     n_ended;
  gsize     ahead;       /* bound of n_allowed - n_taken */
  gsize     max_ahead;
  gboolean  told;        /* the job's own error has been given */
  gboolean  closed;      /* nobody wants any more */
  gboolean  serving;     /* those who wait are just being given what there is … */
  gboolean  more;        /* … and more has come meanwhile */
};

void
mp_outcome_free (MpOutcome *outcome)
{
  mp_answer_clear (&outcome->answer);
  g_slice_free (MpOutcome, outcome);
}

void
mp_job_make_imap (MpJob    *job,
                  gboolean  ordered)
{
  MpImap *self = job->imap = g_new0 (MpImap, 1);
  gsize n_workers = mp_pool_size_get (job->core);

  self->ordered = ordered;
  self->ahead = FIRST_AHEAD * n_workers;
  self->max_ahead = MIN (MAX_AHEAD * n_workers, MAX_AHEAD_ITEMS / mp_map_get_chunk_size (job->map));
  self->max_ahead = MAX (self->max_ahead, self->ahead);
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

  if (job != NULL)
    mp_job_make_imap (job, ordered);
  return job;
}

void
mp_imap_free (MpJob *job)
{
  MpImap *self = job->imap;

  for (gsize i = 0; i < self->n_slots; i++)
    if (self->slots[i] != NULL)
      mp_outcome_free (self->slots[i]);
  g_free (self->slots);
  g_queue_clear_full (&self->ready, (GDestroyNotify) mp_outcome_free);
  g_clear_pointer (&self->current, mp_outcome_free);
  g_free (self);
}

static MpOutcome **
slot_of (MpImap  *self,
         guint64  chunk)
{
  return &self->slots[chunk & (self->n_slots - 1)];
}

/* @n chunks more are handed to the queue. */
void
mp_imap_allow (MpJob *job,
               gsize  n)
{
  MpImap *self = job->imap;
  MpOutcome **old = self->slots;
  gsize n_old = self->n_slots;

  self->n_allowed += n;
  if (!self->ordered || self->n_allowed - self->n_taken <= self->n_slots)
    return;

  self->n_slots = MAX (8, self->n_slots);
  while (self->n_slots < self->n_allowed - self->n_taken)
    self->n_slots *= 2;
  self->slots = g_new0 (MpOutcome *, self->n_slots);
  for (gsize i = self->n_taken; i < self->n_taken + n_old; i++)
    *slot_of (self, i) = old[i & (n_old - 1)];
  g_free (old);
}

gsize
mp_imap_get_ahead (MpJob *job,
                   gsize *n_held)
{
  MpImap *self = job->imap;

  *n_held = self->n_allowed - self->n_taken;
  return self->ahead;
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

  mp_imap_allow (job, n);
  return n;
}

/* In portions, unless the workers have nothing of it any more: many are sent by one write. */
static void
send_more (MpJob *job)
{
  MpImap *self = job->imap;
  gsize n = job->done ? 0 : count_allowed_more (job);

  if (job->feed != NULL)
    {
      mp_feed_look (job);
      return;
    }
  if (n == 0 || (n < self->ahead / 2 && job->n_out > 0 && self->n_allowed + n < mp_map_get_n_chunks (job->map)))
    return;
  mp_imap_allow (job, n);
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
      job->imap->ahead = job->imap->max_ahead = G_MAXSSIZE;
      if (job->feed != NULL)
        {
          mp_feed_look (job);
          continue;
        }
      n = count_allowed_more (job);
      mp_imap_allow (job, n);
      mp_pool_core_enqueue (core, job, n);
    }
  mp_pool_core_dispatch (core);
}

static void
add_outcome (MpJob     *job,
             guint64    chunk,
             MpOutcome *outcome)
{
  MpImap *self = job->imap;

  if (self->ordered)
    *slot_of (self, chunk) = outcome;
  else
    g_queue_push_tail (&self->ready, outcome);
  self->n_ended++;
}

void
mp_imap_unit_ended (MpJob    *job,
                    guint64   chunk,
                    MpAnswer *answer)
{
  MpOutcome *outcome = g_slice_new0 (MpOutcome);

  mp_map_count_ended (job->map);
  mp_map_check_answer (job->map, chunk, answer);
  outcome->answer = *answer;
  outcome->first = chunk * mp_map_get_chunk_size (job->map);
  outcome->n_items = mp_map_get_chunk_length (job->map, chunk);
  *answer = (MpAnswer) { NULL };
  add_outcome (job, chunk, outcome);

  if (job->feed == NULL && job->imap->n_ended == mp_map_get_n_chunks (job->map))
    mp_job_finish (job, NULL, NULL, NULL);
  else
    mp_imap_serve (job);
  if (job->feed != NULL)
    mp_feed_chunk_ended (job, chunk);
}

void
mp_imap_input_ended (MpJob  *job,
                     GError *error)
{
  MpOutcome *outcome = NULL;
  guint64 chunk = mp_map_get_n_chunks (job->map);

  if (error != NULL)
    {
      outcome = g_slice_new0 (MpOutcome);
      outcome->answer.error = error;
      outcome->first = mp_map_get_n_items (job->map);
      outcome->n_items = 1;
      mp_map_add_chunk (job->map, 1);
      mp_imap_allow (job, 1);
      add_outcome (job, chunk, outcome);
    }
  mp_job_finish (job, NULL, NULL, NULL);
}

/* The next chunk that may be taken from; NULL: none is there. */
static MpOutcome *
next_outcome (MpJob *job)
{
  MpImap *self = job->imap;

  if (self->ordered)
    return self->n_taken < self->n_allowed ? g_steal_pointer (slot_of (self, self->n_taken)) : NULL;
  return g_queue_pop_head (&self->ready);
}

static void
take_item (MpOutcome  *outcome,
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

  if (self->closed)
    return TRUE;
  if (self->n_taken == mp_map_get_n_chunks (job->map) && (job->feed == NULL || job->done))
    return TRUE;
  return job->done && job->error != NULL;
}

/* What items are taken from, in self->current. */
static gboolean
find_current (MpJob *job)
{
  MpImap *self = job->imap;

  if (self->current != NULL)
    return TRUE;
  if (self->closed)
    return FALSE;
  self->current = next_outcome (job);
  if (self->current == NULL)
    return FALSE;
  self->n_taken++;
  return TRUE;
}

static void
drop_current (MpJob *job)
{
  MpImap *self = job->imap;

  /* The values in it may hold objects. */
  if (self->current->answer.value != NULL)
    mp_job_drop (job, (GDestroyNotify) g_variant_unref, g_steal_pointer (&self->current->answer.value));
  g_clear_pointer (&self->current, mp_outcome_free);
  send_more (job);
}

/* Nothing is there. TRUE: now there is, because what cannot be sent has its outcome at once. */
static gboolean
ask_for_more (MpJob *job)
{
  MpImap *self = job->imap;

  if (is_at_end (job))
    return FALSE;
  if (job->n_out == 0 && job->n_ready == 0)
    self->ahead = MIN (2 * self->ahead, self->max_ahead);
  send_more (job);
  return find_current (job);
}

static gboolean
take_end (MpJob    *job,
          MpAnswer *answer)
{
  MpImap *self = job->imap;

  if (!is_at_end (job))
    return FALSE;
  if (job->error != NULL && !self->told)
    {
      self->told = TRUE;
      answer->error = g_error_copy (job->error);
      answer->details = job->details != NULL ? g_variant_ref (job->details) : NULL;
    }
  return TRUE;
}

gboolean
mp_imap_take (MpJob    *job,
              MpAnswer *answer)
{
  MpImap *self = job->imap;

  if (!find_current (job) && !ask_for_more (job))
    return take_end (job, answer);

  take_item (self->current, answer);
  if (self->current->position == self->current->n_items)
    drop_current (job);
  return TRUE;
}

/* The next @n items of what there is more of. */
static MpOutcome *
split_outcome (MpOutcome *outcome,
               gsize      n)
{
  MpOutcome *part = g_slice_new0 (MpOutcome);
  const MpAnswer *answer = &outcome->answer;

  part->answer = *answer;
  part->answer.value = answer->value != NULL ? g_variant_ref (answer->value) : NULL;
  part->answer.error = answer->error != NULL ? g_error_copy (answer->error) : NULL;
  part->answer.details = answer->details != NULL ? g_variant_ref (answer->details) : NULL;
  part->first = outcome->first;
  part->position = outcome->position;
  part->n_items = outcome->position += n;

  return part;
}

gboolean
mp_imap_take_batch (MpJob   *job,
                    MpBatch *batch)
{
  MpImap *self = job->imap;

  if (!find_current (job) && !ask_for_more (job))
    return take_end (job, &batch->end);

  while (batch->n_items < batch->max_items && find_current (job))
    {
      gsize n_left = self->current->n_items - self->current->position;
      gsize n = MIN (n_left, batch->max_items - batch->n_items);

      batch->n_items += n;
      if (n < n_left)
        {
          g_ptr_array_add (batch->outcomes, split_outcome (self->current, n));
          break;
        }
      g_ptr_array_add (batch->outcomes, g_steal_pointer (&self->current));
      send_more (job);
    }
  return TRUE;
}

static void
drop_outcome (gpointer outcome,
              gpointer user_data)
{
  if (outcome != NULL)
    mp_hub_run_unlocked ((GDestroyNotify) mp_outcome_free, outcome);
}

void
mp_imap_close (MpJob *job)
{
  MpImap *self = job->imap;

  self->closed = self->told = TRUE;
  drop_outcome (g_steal_pointer (&self->current), NULL);
  for (gsize i = 0; i < self->n_slots; i++)
    drop_outcome (g_steal_pointer (&self->slots[i]), NULL);
  g_queue_foreach (&self->ready, drop_outcome, NULL);
  g_queue_clear (&self->ready);
  mp_job_cancel (job, NULL);
  mp_imap_serve (job);
}

static gboolean
serve_one (MpJob    *job,
           MpWaiter *waiter)
{
  MpBatch *batch = mp_batch_of (waiter);

  if (batch != NULL ? !mp_imap_take_batch (job, batch) : !mp_imap_take (job, &waiter->answer))
    return FALSE;
  job->waiters = g_slist_remove (job->waiters, waiter);
  mp_waiter_post (waiter);
  return TRUE;
}

void
mp_imap_serve (MpJob *job)
{
  MpImap *self = job->imap;

  self->more = TRUE;
  if (self->serving)
    return;

  self->serving = TRUE;
  while (self->more)
    {
      self->more = FALSE;
      while (job->waiters != NULL && serve_one (job, job->waiters->data))
        ;
    }
  self->serving = FALSE;
}
