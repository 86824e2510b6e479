/* mp-pool-tally.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-tally-private.h"

/* Histograms. */

static guint
find_bucket (guint64 value)
{
  guint n_bits = 64 - __builtin_clzll (value | 1);
  guint shift = n_bits > MP_HISTOGRAM_SUB_BITS + 1 ? n_bits - MP_HISTOGRAM_SUB_BITS - 1 : 0;

  return (shift << MP_HISTOGRAM_SUB_BITS) + (value >> shift);
}

/* The reverse. */
static gint64
middle_of (guint bucket)
{
  guint shift = bucket >> MP_HISTOGRAM_SUB_BITS;
  guint64 low = bucket;

  if (shift > 0)
    shift--;
  low = ((guint64) bucket - ((guint64) shift << MP_HISTOGRAM_SUB_BITS)) << shift;
  return low + ((G_GUINT64_CONSTANT (1) << shift) >> 1);
}

void
mp_histogram_add (MpHistogram *self,
                  gint64       value)
{
  value = CLAMP (value, 0, (G_GINT64_CONSTANT (1) << MP_HISTOGRAM_MAX_BITS) - 1);
  self->n++;
  self->total += value;
  self->max = MAX (self->max, value);
  self->buckets[find_bucket (value)]++;
}

gint64
mp_histogram_find (const MpHistogram *self,
                   double             part)
{
  guint64 rank = MAX (1, (guint64) (part * self->n + 0.5)), n = 0;

  for (guint i = 0; i < MP_HISTOGRAM_N_BUCKETS; i++)
    {
      n += self->buckets[i];
      if (n >= rank)
        return MIN (middle_of (i), self->max);
    }
  return 0;
}

/* Counting. */

MpTally *
mp_tally_new (void)
{
  MpTally *self = g_new0 (MpTally, 1);

  self->begun_us = g_get_monotonic_time ();
  self->unlisted = g_array_new (FALSE, FALSE, sizeof (guint64));

  return self;
}

void
mp_tally_free (MpTally *self)
{
  g_assert (self->timer == NULL);
  g_array_unref (self->unlisted);
  g_free (self);
}

static void
forget_expected (MpTally *self,
                 MpJob   *job,
                 guint64  n_units)
{
  n_units = MIN (n_units, job->n_expected);
  job->n_expected -= n_units;
  self->n_expected -= n_units;
}

/* A job that is asked for its items as there is room may have nothing left for a moment, and is not at its end. */
static gboolean
begins_anew (MpPoolCore *core,
             MpJob      *job)
{
  if (job->counted)
    return FALSE;

  for (MpJob *other = core->first_job; other != NULL; other = other->next)
    if (other != job && !other->done)
      return FALSE;
  return TRUE;
}

void
mp_tally_add (MpPoolCore *core,
              MpJob      *job,
              guint64     n_units)
{
  MpTally *self = core->tally;

  if (self->n_left == 0 && begins_anew (core, job))
    self->n_batch = 0;
  if (!job->counted)
    self->n_expected += job->n_expected;
  job->counted = TRUE;
  forget_expected (self, job, n_units);
  self->n_left += n_units;
  self->n_batch += n_units;
  job->n_left += n_units;
  mp_pool_view_changed (core);
}

void
mp_tally_list (MpPoolCore *core,
               MpJob      *job)
{
  MpTally *self = core->tally;

  if (!self->listing)
    return;
  job->list_number = ++self->last_number;
  mp_pool_view_changed (core);
}

void
mp_tally_unit_ended (MpPoolCore *core,
                     MpJob      *job,
                     gboolean    failed)
{
  MpTally *self = core->tally;

  g_assert (job->n_left > 0 && self->n_left > 0);
  job->n_left--;
  self->n_left--;
  if (failed)
    self->n_failed++;
  else
    self->n_done++;
  mp_pool_view_changed (core);
}

void
mp_tally_job_ended (MpPoolCore *core,
                    MpJob      *job)
{
  MpTally *self = core->tally;

  if (self->listing && job->list_number > 0 && job->list_number <= self->n_listed)
    g_array_append_val (self->unlisted, job->list_number);
  if (job->counted)
    forget_expected (self, job, job->n_expected);
  if (job->n_left == 0)
    return;
  self->n_called_off += job->n_left;
  self->n_left -= job->n_left;
  job->n_left = 0;
  mp_pool_view_changed (core);
}

void
mp_tally_report (MpPoolCore *core,
                 MpJob      *job,
                 double      fraction)
{
  job->reported = CLAMP (fraction, 0, 1);
  mp_pool_view_changed (core);
}

void
mp_tally_measure (MpPoolWorker       *worker,
                  const MpUnit       *unit,
                  const MpResultLead *lead)
{
  MpTally *self = worker->core->tally;

  worker->busy_us += MAX (0, lead->run_us);
  mp_histogram_add (&self->run, lead->run_us);
  /* What a worker tells may be any number. */
  mp_histogram_add (&self->waiting, lead->started_us > unit->job->submitted_us ?
                                    lead->started_us - unit->job->submitted_us : 0);
}

void
mp_tally_worker_ended (MpPoolWorker *worker)
{
  if (worker->ready_time > 0)
    worker->core->tally->ready_us += g_get_monotonic_time () - worker->ready_time;
  mp_pool_view_changed (worker->core);
}

/* Looking. */

gboolean
mp_tally_is_running (MpPoolWorker *worker)
{
  MpUnit *unit = &worker->flight[worker->first];

  return worker->n_flight > 0 && !worker->initializing && unit->job != NULL && !unit->job->done;
}

gint64
mp_tally_find_start (MpPoolWorker *worker,
                     gint64        now)
{
  gint64 started_us = now;

  if (worker->board != NULL && __atomic_load_n (&worker->board->state, __ATOMIC_ACQUIRE) >> 1 == worker->first_seq)
    started_us = __atomic_load_n (&worker->board->started_us, __ATOMIC_RELAXED);
  return CLAMP (started_us, worker->ready_time, now);
}

void
mp_tally_count (MpPoolCore    *core,
                MpTallyCounts *counts)
{
  MpTally *self = core->tally;
  guint64 n_running = self->n_decoding;
  double n_ended = self->n_batch - self->n_left;

  for (guint i = 0; i < core->n_workers; i++)
    {
      MpPoolWorker *worker = core->workers[i];

      if (worker == NULL || !mp_tally_is_running (worker))
        continue;
      n_running++;
      n_ended += worker->flight[worker->first].job->reported;
    }
  counts->n_running = MIN (n_running, self->n_left);
  counts->n_queued = self->n_left - counts->n_running;
  counts->n_done = self->n_done;
  counts->n_failed = self->n_failed;
  counts->n_called_off = self->n_called_off;
  counts->fraction = self->n_batch > 0 ? n_ended / (self->n_batch + self->n_expected) : 0;
}

static void
describe_times (GVariantDict      *dict,
                const char        *name,
                const MpHistogram *times)
{
  const struct { const char *name; double part; } parts[] = { { "median", 0.5 }, { "p99", 0.99 } };
  g_autofree char *mean = g_strdup_printf ("%s-mean", name);
  g_autofree char *max = g_strdup_printf ("%s-max", name);

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autofree char *key = g_strdup_printf ("%s-%s", name, parts[i].name);

      g_variant_dict_insert (dict, key, "x", mp_histogram_find (times, parts[i].part));
    }
  g_variant_dict_insert (dict, mean, "d", times->n > 0 ? (double) times->total / times->n : 0.0);
  g_variant_dict_insert (dict, max, "x", times->max);
}

/* Of the time that workers were ready, the part that they ran something. */
static double
count_utilisation (MpPoolCore *core,
                   gint64      now,
                   guint      *n_ready)
{
  MpTally *self = core->tally;
  guint64 ready_us = self->ready_us, busy_us = self->run.total;

  *n_ready = 0;
  for (guint i = 0; i < core->n_workers; i++)
    {
      MpPoolWorker *worker = core->workers[i];

      if (worker == NULL || worker->ready_time == 0)
        continue;
      *n_ready += worker->state == MP_WORKER_READY;
      ready_us += now - worker->ready_time;
      if (mp_tally_is_running (worker))
        busy_us += now - mp_tally_find_start (worker, now);
    }
  return ready_us > 0 ? MIN (1.0, (double) busy_us / ready_us) : 0;
}

GVariant *
mp_tally_describe (MpPoolCore *core)
{
  MpTally *self = core->tally;
  g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  gint64 now = g_get_monotonic_time ();
  MpTallyCounts counts;
  guint n_ready = 0;
  double utilisation = count_utilisation (core, now, &n_ready);

  mp_tally_count (core, &counts);
  g_variant_dict_insert (&dict, "n-queued", "t", counts.n_queued);
  g_variant_dict_insert (&dict, "n-running", "t", counts.n_running);
  g_variant_dict_insert (&dict, "n-done", "t", counts.n_done);
  g_variant_dict_insert (&dict, "n-failed", "t", counts.n_failed);
  g_variant_dict_insert (&dict, "n-cancelled", "t", counts.n_called_off);
  g_variant_dict_insert (&dict, "fraction", "d", counts.fraction);
  g_variant_dict_insert (&dict, "n-workers", "u", n_ready);
  g_variant_dict_insert (&dict, "n-workers-started", "u", core->serial);
  g_variant_dict_insert (&dict, "utilisation", "d", utilisation);
  g_variant_dict_insert (&dict, "age", "x", now - self->begun_us);
  g_variant_dict_insert (&dict, "run-time-total", "x", (gint64) self->run.total);
  describe_times (&dict, "run-time", &self->run);
  describe_times (&dict, "waiting-time", &self->waiting);

  return g_variant_dict_end (&dict);
}
