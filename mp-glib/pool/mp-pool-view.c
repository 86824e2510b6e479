/* mp-pool-view.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-view-private.h"

#include "mp-glib/pool/mp-task-list-private.h"

/* A window shows a frame in 16 ms, and a pool may end a thousand tasks in that time: changes are gathered, and told once. */
#define FRAME_US 16000

struct _MpPoolView
{
  MpPool        *pool;       /* (not owned): owns this */
  GListStore    *workers;    /* (owned) (nullable): when somebody has asked for it */
  MpTaskList    *tasks;      /* (owned) (nullable): the same */
  MpTallyCounts  counts;     /* as they were told last */
  gboolean       telling;    /* further up this very stack, … */
  gboolean       again;      /* … and there is something to tell since */
};

enum
{
  PROP_N_QUEUED = MP_POOL_VIEW_FIRST_PROPERTY,
  PROP_N_RUNNING,
  PROP_N_DONE,
  PROP_N_FAILED,
  PROP_FRACTION,
  PROP_WORKERS,
  PROP_TASKS,
  PROP_LIST_TASKS,
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
  g_autoptr(GArray) facts = NULL;
  MpTaskListChange change = { FALSE, NULL, NULL };
  MpTallyCounts counts;

  mp_hub_lock ();
  core->tally->armed = FALSE;
  core->tally->told_us = g_get_monotonic_time ();
  mp_tally_count (core, &counts);
  if (self->workers != NULL)
    facts = mp_worker_list_look (core);
  if (self->tasks != NULL)
    mp_task_list_look (core, &change);
  mp_hub_unlock ();

  if (facts != NULL)
    mp_worker_list_update (self->workers, facts);
  if (change.fresh != NULL)
    mp_task_list_update (self->tasks, &change);
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

  /* Who is being told may wait for something, and this is run meanwhile: then it is told later, from the main loop, which
   * has others to serve. */
  self->again = self->telling;
  if (self->telling)
    return;

  self->telling = TRUE;
  tell_once (self);
  self->telling = FALSE;
  if (self->again)
    {
      self->again = FALSE;
      mp_hub_lock ();
      core->tally->armed = FALSE;
      mp_pool_view_changed (core);
      mp_hub_unlock ();
    }
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
  g_clear_object (&self->workers);
  g_clear_object (&self->tasks);
  g_free (self);
}

static MpTallyCounts
get_counts (MpPool *pool)
{
  MpPoolCore *core = mp_pool_get_core (pool);
  MpTallyCounts counts;

  mp_hub_lock ();
  mp_tally_count (core, &counts);
  mp_hub_unlock ();

  return counts;
}

gboolean
mp_pool_view_set_property (MpPool       *pool,
                           guint         prop_id,
                           const GValue *value)
{
  if (prop_id != PROP_LIST_TASKS)
    return FALSE;

  mp_pool_set_list_tasks (pool, g_value_get_boolean (value));
  return TRUE;
}

gboolean
mp_pool_view_get_property (MpPool *pool,
                           guint   prop_id,
                           GValue *value)
{
  switch (prop_id)
    {
    case PROP_N_QUEUED:
      g_value_set_uint64 (value, get_counts (pool).n_queued);
      break;
    case PROP_N_RUNNING:
      g_value_set_uint64 (value, get_counts (pool).n_running);
      break;
    case PROP_N_DONE:
      g_value_set_uint64 (value, get_counts (pool).n_done);
      break;
    case PROP_N_FAILED:
      g_value_set_uint64 (value, get_counts (pool).n_failed);
      break;
    case PROP_FRACTION:
      g_value_set_double (value, get_counts (pool).fraction);
      break;
    case PROP_WORKERS:
      g_value_set_object (value, mp_pool_get_workers (pool));
      break;
    case PROP_TASKS:
      g_value_set_object (value, mp_pool_get_tasks (pool));
      break;
    case PROP_LIST_TASKS:
      g_value_set_boolean (value, mp_pool_get_list_tasks (pool));
      break;
    default:
      return FALSE;
    }
  return TRUE;
}

/* What a progress bar and the text beside it show. */
static void
specify_counts (GParamFlags flags)
{
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
   * A chunk of [method@Mp.Pool.imap] counts as failed when one of its items has. Where Python or JavaScript make the chunks,
   * the library knows nothing of their items: such a chunk has failed only as a whole, as by its worker's death. What was
   * called off, or ended with the pool, is in none of the counts; [method@Mp.Pool.dup_statistics] has it.
   *
   * Since: 0.1
   */
  PROP (PROP_N_FAILED) = g_param_spec_uint64 ("n-failed", NULL, NULL, 0, G_MAXUINT64, 0, flags);

  /**
   * MpPool:fraction:
   *
   * How much of the work has ended, from 0 to 1: what a progress bar shows.
   *
   * It counts the tasks that were submitted since the pool last had nothing to do. When all have ended it stays at 1
   * until more is submitted. A call that runs counts as far as it says itself, by [method@Mp.Invocation.report]. Of a
   * callback's items those count that it has been asked for.
   *
   * Since: 0.1
   */
  PROP (PROP_FRACTION) = g_param_spec_double ("fraction", NULL, NULL, 0, 1, 0, flags);
}

static void
specify_lists (GParamFlags flags)
{
  /**
   * MpPool:workers: (getter get_workers)
   *
   * The workers, as a list of [class@Mp.WorkerInfo] ordered by their number.
   *
   * A worker that is replaced leaves the list, and the one that replaces it comes in. Both this list and
   * [property@Mp.Pool:tasks] change in the pool's main context, at most once in 16 ms, and are to be used in the thread that
   * runs that context. They stay as they are when the pool is gone.
   *
   * Since: 0.1
   */
  PROP (PROP_WORKERS) = g_param_spec_object ("workers", NULL, NULL, G_TYPE_LIST_MODEL, flags);

  /**
   * MpPool:tasks: (getter get_tasks)
   *
   * The calls that have not ended, as a list of [class@Mp.Future] in the order of their submission.
   *
   * It is empty unless [property@Mp.Pool:list-tasks] is set. A call of any kind is one item: an apply, a whole map, an
   * iterator until all of it is computed. One that ends leaves the list. A call that begins and ends between two changes of
   * the list never comes in. A call that was made in the pool's main context and returned a future is in the list as that.
   *
   * Since: 0.1
   */
  PROP (PROP_TASKS) = g_param_spec_object ("tasks", NULL, NULL, G_TYPE_LIST_MODEL, flags);

  /**
   * MpPool:list-tasks: (getter get_list_tasks) (setter set_list_tasks)
   *
   * Whether [property@Mp.Pool:tasks] has the pool's calls.
   *
   * Since: 0.1
   */
  PROP (PROP_LIST_TASKS) = g_param_spec_boolean ("list-tasks", NULL, NULL, FALSE, flags | G_PARAM_WRITABLE);
}

void
mp_pool_view_install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  specify_counts (flags);
  specify_lists (flags);
  for (guint i = 0; i < N_PROPS; i++)
    g_object_class_install_property (object_class, MP_POOL_VIEW_FIRST_PROPERTY + i, props[i]);
}

/**
 * mp_pool_get_workers: (get-property workers)
 * @self: a pool
 *
 * The workers.
 *
 * See [property@Mp.Pool:workers].
 *
 * Returns: (transfer none): a list of [class@Mp.WorkerInfo]
 *
 * Since: 0.1
 */
GListModel *
mp_pool_get_workers (MpPool *self)
{
  MpPoolCore *core = NULL;
  MpPoolView *view = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);

  core = mp_pool_get_core (self);
  view = mp_pool_get_view (self);
  if (view->workers == NULL)
    {
      g_autoptr(GArray) facts = NULL;

      mp_hub_lock ();
      facts = mp_worker_list_look (core);
      mp_hub_unlock ();
      view->workers = g_list_store_new (MP_TYPE_WORKER_INFO);
      mp_worker_list_update (view->workers, facts);
    }
  return G_LIST_MODEL (view->workers);
}

/**
 * mp_pool_get_tasks: (get-property tasks)
 * @self: a pool
 *
 * The calls that have not ended, if they are listed.
 *
 * See [property@Mp.Pool:tasks].
 *
 * Returns: (transfer none): a list of [class@Mp.Future]
 *
 * Since: 0.1
 */
GListModel *
mp_pool_get_tasks (MpPool *self)
{
  MpPoolCore *core = NULL;
  MpPoolView *view = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);

  core = mp_pool_get_core (self);
  view = mp_pool_get_view (self);
  if (view->tasks == NULL)
    {
      MpTaskListChange change;

      view->tasks = mp_task_list_new ();
      mp_hub_lock ();
      mp_task_list_look (core, &change);
      mp_hub_unlock ();
      mp_task_list_update (view->tasks, &change);
    }
  return G_LIST_MODEL (view->tasks);
}

/**
 * mp_pool_get_list_tasks: (get-property list-tasks)
 * @self: a pool
 *
 * Whether the pool's calls are listed.
 *
 * Returns: `TRUE` when [property@Mp.Pool:tasks] has them
 *
 * Since: 0.1
 */
gboolean
mp_pool_get_list_tasks (MpPool *self)
{
  gboolean listing = FALSE;

  g_return_val_if_fail (MP_IS_POOL (self), FALSE);

  mp_hub_lock ();
  listing = mp_pool_get_core (self)->tally->listing;
  mp_hub_unlock ();

  return listing;
}

/**
 * mp_pool_set_list_tasks: (set-property list-tasks)
 * @self: a pool
 * @list_tasks: whether the pool's calls are to be listed
 *
 * Begins or ends to list the pool's calls.
 *
 * [property@Mp.Pool:tasks] follows in the pool's main context. Those that are pending are listed, too.
 *
 * Since: 0.1
 */
void
mp_pool_set_list_tasks (MpPool   *self,
                        gboolean  list_tasks)
{
  MpPoolCore *core = NULL;
  gboolean changes = FALSE;

  g_return_if_fail (MP_IS_POOL (self));

  core = mp_pool_get_core (self);
  mp_hub_lock ();
  changes = core->tally->listing != !!list_tasks;
  mp_tally_set_listing (core, !!list_tasks);
  mp_hub_unlock ();
  if (changes)
    g_object_notify_by_pspec (G_OBJECT (self), PROP (PROP_LIST_TASKS));
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
