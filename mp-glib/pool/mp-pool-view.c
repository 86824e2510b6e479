/* mp-pool-view.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-view-private.h"

/* A window shows a frame in 16 ms, and a pool may end a thousand tasks in that time: changes are gathered, and told once. */
#define FRAME_US 16000

struct _MpPoolView
{
  MpPool        *pool;       /* (not owned): owns this */
  MpTallyCounts  counts;     /* as they were told last */
  gboolean       telling;    /* further up this very stack */
  gboolean       again;
};

enum
{
  PROP_N_QUEUED = MP_POOL_VIEW_FIRST_PROPERTY,
  PROP_N_RUNNING,
  PROP_N_DONE,
  PROP_N_FAILED,
  PROP_FRACTION,
  PROP_END
};
#define N_PROPS (PROP_END - MP_POOL_VIEW_FIRST_PROPERTY)
#define PROP(id) props[(id) - MP_POOL_VIEW_FIRST_PROPERTY]
static GParamSpec *props[N_PROPS];

/* When to tell. With the hub's lock held. */

static void tell_cb (gpointer data);

static void
post (MpPoolCore *core)
{
  mp_hub_post (core->context, core, tell_cb, mp_pool_core_ref (core), (GDestroyNotify) mp_pool_core_unref);
}

static void
timer_cb (gpointer data)
{
  MpPoolCore *core = data;

  core->tally->timer = NULL;
  post (core);
}

void
mp_pool_view_changed (MpPoolCore *core)
{
  MpTally *tally = core->tally;
  gint64 due = 0;

  if (tally->armed)
    return;

  tally->armed = TRUE;
  due = tally->told_us + FRAME_US;
  if (due <= g_get_monotonic_time ())
    post (core);
  else
    tally->timer = mp_hub_add_timer (due, timer_cb, core);
}

void
mp_pool_view_drop (MpPoolCore *core)
{
  /* For ever: nobody is there to be told. */
  core->tally->armed = TRUE;
  g_clear_pointer (&core->tally->timer, mp_hub_remove_timer);
}

/* Telling. */

static void
notify_counts (MpPoolView          *self,
               const MpTallyCounts *counts)
{
  GObject *object = G_OBJECT (self->pool);
  MpTallyCounts old = self->counts;

  self->counts = *counts;
  g_object_freeze_notify (object);
  if (old.n_queued != counts->n_queued)
    g_object_notify_by_pspec (object, PROP (PROP_N_QUEUED));
  if (old.n_running != counts->n_running)
    g_object_notify_by_pspec (object, PROP (PROP_N_RUNNING));
  if (old.n_done != counts->n_done)
    g_object_notify_by_pspec (object, PROP (PROP_N_DONE));
  if (old.n_failed != counts->n_failed)
    g_object_notify_by_pspec (object, PROP (PROP_N_FAILED));
  if (old.fraction != counts->fraction)
    g_object_notify_by_pspec (object, PROP (PROP_FRACTION));
  g_object_thaw_notify (object);
}

static void
tell_once (MpPoolView *self)
{
  MpPoolCore *core = mp_pool_get_core (self->pool);
  MpTallyCounts counts;

  mp_hub_lock ();
  core->tally->armed = FALSE;
  core->tally->told_us = g_get_monotonic_time ();
  mp_tally_count (core, &counts);
  mp_hub_unlock ();

  notify_counts (self, &counts);
}

static void
tell_cb (gpointer data)
{
  MpPoolCore *core = data;
  g_autoptr(MpPool) pool = g_weak_ref_get (&core->pool);
  MpPoolView *self = pool != NULL ? mp_pool_get_view (pool) : NULL;

  if (self == NULL)
    return;

  /* Who is being told may wait for something, and this is run meanwhile. */
  self->again = TRUE;
  if (self->telling)
    return;
  self->telling = TRUE;
  while (self->again)
    {
      self->again = FALSE;
      tell_once (self);
    }
  self->telling = FALSE;
}

/* Properties. */

MpPoolView *
mp_pool_view_new (MpPool *pool)
{
  MpPoolView *self = g_new0 (MpPoolView, 1);

  self->pool = pool;

  return self;
}

void
mp_pool_view_free (MpPoolView *self)
{
  g_free (self);
}

gboolean
mp_pool_view_get_property (MpPool *pool,
                           guint   prop_id,
                           GValue *value)
{
  MpPoolCore *core = mp_pool_get_core (pool);
  MpTallyCounts counts;

  mp_hub_lock ();
  mp_tally_count (core, &counts);
  mp_hub_unlock ();

  switch (prop_id)
    {
    case PROP_N_QUEUED:
      g_value_set_uint64 (value, counts.n_queued);
      break;
    case PROP_N_RUNNING:
      g_value_set_uint64 (value, counts.n_running);
      break;
    case PROP_N_DONE:
      g_value_set_uint64 (value, counts.n_done);
      break;
    case PROP_N_FAILED:
      g_value_set_uint64 (value, counts.n_failed);
      break;
    case PROP_FRACTION:
      g_value_set_double (value, counts.fraction);
      break;
    default:
      return FALSE;
    }
  return TRUE;
}

void
mp_pool_view_install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  /**
   * MpPool:n-queued:
   *
   * How many tasks wait for a worker.
   *
   * This, [property@Mp.Pool:n-running], [property@Mp.Pool:n-done], [property@Mp.Pool:n-failed] and
   * [property@Mp.Pool:fraction] count tasks: a call is one, and so is a chunk of a map. Any thread may get them. That they
   * have changed is told by `notify` in the pool's main context, at most once in 16 ms; the last change is always told.
   *
   * Since: 0.1
   */
  PROP (PROP_N_QUEUED) = g_param_spec_uint64 ("n-queued", NULL, NULL, 0, G_MAXUINT64, 0, flags);

  /**
   * MpPool:n-running:
   *
   * How many tasks run in workers, or are just about to.
   *
   * Since: 0.1
   */
  PROP (PROP_N_RUNNING) = g_param_spec_uint64 ("n-running", NULL, NULL, 0, G_MAXUINT64, 0, flags);

  /**
   * MpPool:n-done:
   *
   * How many tasks of this pool have ended with a result.
   *
   * Since: 0.1
   */
  PROP (PROP_N_DONE) = g_param_spec_uint64 ("n-done", NULL, NULL, 0, G_MAXUINT64, 0, flags);

  /**
   * MpPool:n-failed:
   *
   * How many tasks of this pool have ended with an error, their worker's death among them.
   *
   * A chunk of [method@Mp.Pool.imap] counts as failed when one of its items has. What was called off, or ended with the pool,
   * is in none of the counts; [method@Mp.Pool.dup_statistics] has it.
   *
   * Since: 0.1
   */
  PROP (PROP_N_FAILED) = g_param_spec_uint64 ("n-failed", NULL, NULL, 0, G_MAXUINT64, 0, flags);

  /**
   * MpPool:fraction:
   *
   * How much of the work has ended, from 0 to 1: what a progress bar shows.
   *
   * It counts the tasks that were submitted since the pool last had none. When all have ended it stays at 1 until more is
   * submitted.
   *
   * Since: 0.1
   */
  PROP (PROP_FRACTION) = g_param_spec_double ("fraction", NULL, NULL, 0, 1, 0, flags);

  for (guint i = 0; i < N_PROPS; i++)
    g_object_class_install_property (object_class, MP_POOL_VIEW_FIRST_PROPERTY + i, props[i]);
}

/**
 * mp_pool_dup_statistics:
 * @self: a pool
 *
 * What the pool has counted and measured since it was made, all at one instant.
 *
 * A dictionary; times are in microseconds. Tasks are calls and chunks of maps.
 *
 * - `"n-queued"`, `"n-running"`, `"n-done"`, `"n-failed"` (`t`), `"fraction"` (`d`): as the properties
 * - `"n-cancelled"` (`t`): tasks that were called off, or ended with the pool
 * - `"n-workers"` (`u`): workers that are ready for tasks; `"n-workers-started"` (`u`): all that were ever started
 * - `"run-time-median"`, `"run-time-p99"`, `"run-time-max"`, `"run-time-total"` (`x`), `"run-time-mean"` (`d`): how long
 *   tasks ran in their workers
 * - `"waiting-time-median"`, `"waiting-time-p99"`, `"waiting-time-max"` (`x`), `"waiting-time-mean"` (`d`): how long they
 *   waited from their submission until they began
 * - `"utilisation"` (`d`): of the time that workers were ready, the part that they ran tasks, from 0 to 1
 * - `"age"` (`x`): how long ago the pool was made
 *
 * Medians and 99th percentiles are right to a thirty-second of their value. A task whose worker died was not measured. Keys
 * may be added.
 *
 * Any thread may call it.
 *
 * Returns: (transfer full): an `a{sv}`
 *
 * Since: 0.1
 */
GVariant *
mp_pool_dup_statistics (MpPool *self)
{
  MpPoolCore *core = NULL;
  GVariant *value = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);

  core = mp_pool_get_core (self);
  mp_hub_lock ();
  value = g_variant_ref_sink (mp_tally_describe (core));
  mp_hub_unlock ();

  return value;
}
