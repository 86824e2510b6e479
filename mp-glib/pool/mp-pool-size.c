/* mp-pool-size.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-init.h"

/* How many workers there are, and how long each stays.
 *
 * A pool has as many places as it ever was to have workers; a worker holds one until its process is gone, so that there are
 * never more processes than that. A worker that is to go while it runs a task is marked as leaving: it gets nothing more,
 * what it has not begun is taken back, and it is told to end by its next answer. One that is leaving only because the pool
 * was made smaller stays after all when the pool is made larger again before. */

/* Units that wait for longer than this are worth another worker: what is over at once is not. */
#define GROW_US    1000
/* A worker that was told to end and has nothing to do is asked less kindly after that long, and then not at all: threads or
 * handlers that never end must not keep its place from others. */
#define EXIT_US    (5 * G_USEC_PER_SEC)
#define EXIT_GRACE_US G_USEC_PER_SEC
/* A worker's memory is not looked at more often: to read it costs some ten microseconds. */
#define MEMORY_US  (100 * 1000)
/* For so long a worker may wait for its first task to begin, whatever its age; and how soon that is looked at again. */
#define FIRST_TASK_US G_USEC_PER_SEC
#define FIRST_LOOK_US 1000

void
mp_pool_size_init (MpPoolSize *self)
{
  self->idle_timeout_us = -1;
  self->max_age_us = -1;
  self->look_at = G_MAXINT64;
  mp_home_init (&self->home);
}

void
mp_pool_size_clear (MpPoolSize *self)
{
  mp_home_clear (&self->home);
}

void
mp_pool_size_drop_timers (MpPoolCore *core)
{
  g_clear_pointer (&core->size.look_timer, mp_hub_remove_timer);
  g_clear_pointer (&core->size.grow_timer, mp_hub_remove_timer);
  g_clear_pointer (&core->size.start_timer, mp_hub_remove_timer);
  core->size.look_at = G_MAXINT64;
}

guint
mp_pool_size_get (MpPoolCore *core)
{
  return MAX (__atomic_load_n (&core->size.n_workers, __ATOMIC_RELAXED), 1);
}

guint
mp_pool_size_cpu_budget (MpPoolCore *core)
{
  return MAX (1, mp_get_n_usable_cpus () / mp_pool_size_get (core));
}

/* Starts. */

static guint
count_places_held (MpPoolCore *core)
{
  guint n = 0;

  for (guint i = 0; i < core->n_workers; i++)
    n += core->workers[i] != NULL && !core->workers[i]->size.surplus;
  return n;
}

static guint
least (MpPoolSize *self)
{
  return self->idle_timeout_us < 0 ? self->n_workers : MIN (self->min_workers, self->n_workers);
}

/* Units that somebody waits for, but no more than are worth counting. */
static gsize
count_units (MpPoolCore *core)
{
  gsize n = core->n_pending;

  for (guint i = 0; i < core->n_workers && n < core->size.n_workers; i++)
    {
      MpPoolWorker *worker = core->workers[i];

      if (worker != NULL && !worker->initializing)
        n += worker->n_flight - worker->n_revoked;
    }
  return n;
}

static guint
count_wanted (MpPoolCore *core)
{
  guint n = least (&core->size);

  return n < core->size.n_workers ? CLAMP (count_units (core), n, core->size.n_workers) : n;
}

guint
mp_pool_size_n_missing (MpPoolCore *core)
{
  guint n_held, n_wanted;

  if (!core->size.running || !mp_pool_core_wants_workers (core))
    return 0;
  n_wanted = count_wanted (core);
  n_held = count_places_held (core);
  return n_held < n_wanted ? n_wanted - n_held : 0;
}

static void
start_cb (gpointer data)
{
  MpPoolCore *core = data;

  core->size.start_timer = NULL;
  mp_pool_core_ensure_workers (core);
}

gboolean
mp_pool_size_may_start (MpPoolCore *core)
{
  MpPoolSize *self = &core->size;
  gint64 now, ahead, each;

  if (self->max_start_rate <= 0)
    return TRUE;

  /* What a second gives may be used at once, at least one. */
  now = g_get_monotonic_time ();
  each = MIN (G_USEC_PER_SEC / self->max_start_rate, (double) G_MAXINT32 * G_USEC_PER_SEC);
  ahead = self->max_start_rate > 1 ? G_USEC_PER_SEC - each : 0;
  if (self->next_start - ahead > now)
    {
      if (self->start_timer == NULL)
        self->start_timer = mp_hub_add_timer (self->next_start - ahead, start_cb, core);
      return FALSE;
    }
  self->next_start = MAX (self->next_start, now) + each;
  return TRUE;
}

static void
grow_cb (gpointer data)
{
  MpPoolCore *core = data;

  core->size.grow_timer = NULL;
  mp_pool_core_ensure_workers (core);
}

void
mp_pool_size_consider (MpPoolCore *core)
{
  MpPoolSize *self = &core->size;

  if (self->idle_timeout_us < 0 || self->grow_timer != NULL || self->start_timer != NULL ||
      core->restart_timer != NULL || core->n_live == core->n_workers || mp_pool_size_n_missing (core) == 0)
    return;

  if (core->n_live == 0)
    mp_pool_core_ensure_workers (core);
  else
    self->grow_timer = mp_hub_add_timer (g_get_monotonic_time () + GROW_US, grow_cb, core);
}

/* Ends. */

static void
retire (MpPoolWorker *worker,
        const char   *reason,
        gboolean      surplus)
{
  worker->size.surplus |= surplus;
  if (worker->state != MP_WORKER_READY || worker->n_flight == 0)
    {
      mp_pool_worker_tell_end (worker, reason);
      return;
    }
  worker->size.leaving = reason;
  mp_pool_worker_take_back (worker);
}

/* How little is lost with it; 0: it goes already. */
static guint
spare (MpPoolWorker *worker)
{
  if (worker == NULL || worker->size.surplus)
    return 0;
  switch (worker->state)
    {
    case MP_WORKER_STARTING:
      return MP_POOL_WINDOW + 3;
    case MP_WORKER_INITIALIZING:
      return MP_POOL_WINDOW + 2;
    case MP_WORKER_READY:
      return worker->size.leaving != NULL ? MP_POOL_WINDOW + 4 : MP_POOL_WINDOW + 1 - worker->n_flight;
    default:
      return MP_POOL_WINDOW + 5;
    }
}

static void
shrink (MpPoolCore *core)
{
  for (guint n = count_places_held (core); n > core->size.n_workers; n--)
    {
      MpPoolWorker *best = NULL;

      for (guint i = core->n_workers; i > 0; i--)
        if (spare (core->workers[i - 1]) > spare (best))
          best = core->workers[i - 1];
      if (best->state == MP_WORKER_ENDING)
        best->size.surplus = TRUE;
      else
        retire (best, "shrunk", TRUE);
    }
}

static void
call_back (MpPoolCore *core)
{
  guint n = count_places_held (core);

  for (guint i = 0; i < core->n_workers && n < core->size.n_workers; i++)
    {
      MpPoolWorker *worker = core->workers[i];

      if (worker == NULL || !worker->size.surplus || worker->size.leaving == NULL || worker->state != MP_WORKER_READY)
        continue;
      worker->size.leaving = NULL;
      worker->size.surplus = FALSE;
      n++;
    }
}

static void
make_places (MpPoolCore *core,
             guint       n)
{
  if (n <= core->n_workers)
    return;

  core->workers = g_renew (MpPoolWorker *, core->workers, n);
  for (guint i = core->n_workers; i < n; i++)
    core->workers[i] = NULL;
  core->n_workers = n;
}

/* What their own pools may count on. */
static void
divide_cpus (MpPoolCore *core)
{
  guint n_cpus = mp_pool_size_cpu_budget (core);

  for (guint i = 0; i < core->n_workers; i++)
    if (core->workers[i] != NULL && core->workers[i]->board != NULL)
      __atomic_store_n (&core->workers[i]->board->n_cpus, n_cpus, __ATOMIC_RELAXED);
}

/* Time and memory. */

static void look_cb (gpointer data);

static void
look_until (MpPoolCore *core,
            gint64      due)
{
  MpPoolSize *self = &core->size;

  if (due >= self->look_at || core->state == MP_POOL_TERMINATED || core->failure != NULL)
    return;

  if (self->look_timer != NULL)
    mp_hub_remove_timer (self->look_timer);
  self->look_timer = mp_hub_add_timer (due, look_cb, core);
  self->look_at = due;
}

/* Those that began together do not all go together: up to a quarter earlier. */
static gint64
end_of_age (MpPoolWorker *worker)
{
  gint64 age = worker->core->size.max_age_us;

  if (age < 0 || age > G_MAXINT64 / 2)
    return G_MAXINT64;
  return worker->ready_time + age - age / 32 * (worker->serial * 5 % 8);
}

/* Whether it is to begin its first task before its age matters. Else workers whose time is over when they are ready
 * would be started one after another, and none would do anything. */
static gboolean
awaits_first_task (MpPoolWorker *worker,
                   gint64        now)
{
  return now - worker->ready_time < FIRST_TASK_US && count_units (worker->core) > 0 &&
         __atomic_load_n (&worker->board->state, __ATOMIC_ACQUIRE) >> 1 < worker->size.first_task;
}

static void
look_at_memory (MpPoolWorker *worker,
                gint64        now)
{
  MpWorkerSize *size = &worker->size;
  guint64 memory = mp_platform_private_memory (worker->pid);

  size->memory_due = now + MEMORY_US;
  size->memory_missed = FALSE;
  if (size->memory == 0)
    size->memory = memory;
  else if (memory > size->memory && memory - size->memory > worker->core->size.max_growth)
    retire (worker, "too large", FALSE);
}

static gint64
idle_due (MpPoolWorker *worker,
          gint64        now)
{
  MpPoolSize *self = &worker->core->size;

  if (self->idle_timeout_us < 0 || worker->n_flight > 0)
    return G_MAXINT64;
  if (worker->size.idle_since == 0)
    worker->size.idle_since = now;
  return self->idle_timeout_us < G_MAXINT64 - now ? worker->size.idle_since + self->idle_timeout_us : G_MAXINT64;
}

static gint64
look_at_ending (MpPoolWorker *worker,
                gint64        now)
{
  gint64 due = worker->size.told_us + EXIT_US;

  if (worker->size.told_us == 0 || !mp_pool_core_wants_workers (worker->core))
    return G_MAXINT64;
  if (due > now)
    return due;
  worker->size.told_us = 0;
  mp_pool_worker_end (worker, worker->reason, EXIT_GRACE_US);
  return G_MAXINT64;
}

/* Retires one whose time is over; else when that will be. @n_idle: how many may go for having nothing to do. Units may be
 * on their way to one that seems to have nothing. */
static gint64
look_at_worker (MpPoolWorker *worker,
                gint64        now,
                guint        *n_idle)
{
  gint64 age_due, due;

  if (worker->state == MP_WORKER_ENDING)
    return look_at_ending (worker, now);
  if (worker->state != MP_WORKER_READY || worker->size.leaving != NULL)
    return G_MAXINT64;
  age_due = end_of_age (worker);
  if (age_due <= now && awaits_first_task (worker, now))
    age_due = now + MAX (FIRST_LOOK_US, now - worker->ready_time);
  due = idle_due (worker, now);
  if (*n_idle == 0)
    due = G_MAXINT64;

  if (due <= now)
    {
      retire (worker, "idle", TRUE);
      (*n_idle)--;
      return G_MAXINT64;
    }
  if (age_due <= now)
    {
      retire (worker, "too old", FALSE);
      return G_MAXINT64;
    }
  if (worker->size.memory_missed && worker->size.memory_due <= now)
    look_at_memory (worker, now);
  else if (worker->size.memory_missed)
    due = MIN (due, worker->size.memory_due);
  return MIN (due, age_due);
}

static void
look (MpPoolCore *core)
{
  gint64 now = g_get_monotonic_time (), next = G_MAXINT64;
  guint n_held = count_places_held (core), n_wanted = count_wanted (core);
  guint n_idle = n_held > n_wanted ? n_held - n_wanted : 0;

  g_clear_pointer (&core->size.look_timer, mp_hub_remove_timer);
  core->size.look_at = G_MAXINT64;
  for (guint i = core->n_workers; i > 0; i--)
    if (core->workers[i - 1] != NULL)
      next = MIN (next, look_at_worker (core->workers[i - 1], now, &n_idle));
  look_until (core, next);
}

static void
look_cb (gpointer data)
{
  MpPoolCore *core = data;

  core->size.look_timer = NULL;
  look (core);
  mp_pool_core_dispatch (core);
}

void
mp_pool_size_ready (MpPoolWorker *worker)
{
  gint64 now;

  worker->size.first_task = worker->first_seq + worker->n_flight;
  if (!worker->core->size.watches)
    return;
  now = g_get_monotonic_time ();
  worker->size.idle_since = now;
  if (worker->core->size.max_growth > 0)
    look_at_memory (worker, now);
  look (worker->core);
}

void
mp_pool_size_told (MpPoolWorker *worker)
{
  worker->size.told_us = g_get_monotonic_time ();
  if (mp_pool_core_wants_workers (worker->core))
    look_until (worker->core, worker->size.told_us + EXIT_US);
}

void
mp_pool_size_answered (MpPoolWorker *worker)
{
  MpPoolSize *self = &worker->core->size;
  gint64 now;

  if (worker->state != MP_WORKER_READY)
    return;
  if (worker->size.leaving != NULL)
    {
      if (worker->n_flight == 0)
        mp_pool_worker_tell_end (worker, worker->size.leaving);
      return;
    }

  now = g_get_monotonic_time ();
  if (worker->n_flight == 0)
    {
      worker->size.idle_since = now;
      look_until (worker->core, idle_due (worker, now));
    }
  if (self->max_growth == 0)
    return;
  if (now >= worker->size.memory_due)
    {
      look_at_memory (worker, now);
      if (worker->size.leaving != NULL)
        mp_pool_core_dispatch (worker->core);
    }
  else
    {
      worker->size.memory_missed = TRUE;
      look_until (worker->core, worker->size.memory_due);
    }
}

/* Settings. */

static void
changed (MpPoolCore *core)
{
  MpPoolSize *self = &core->size;

  self->watches = self->idle_timeout_us >= 0 || self->max_age_us >= 0 || self->max_growth > 0;
  if (!self->running || core->state == MP_POOL_TERMINATED || core->failure != NULL)
    return;

  for (guint i = 0; self->max_growth > 0 && i < core->n_workers; i++)
    if (core->workers[i] != NULL && core->workers[i]->ready_time > 0 && core->workers[i]->size.memory == 0)
      look_at_memory (core->workers[i], g_get_monotonic_time ());
  make_places (core, self->n_workers);
  shrink (core);
  call_back (core);
  divide_cpus (core);
  g_clear_pointer (&self->start_timer, mp_hub_remove_timer);
  mp_pool_core_ensure_workers (core);
  look (core);
  mp_pool_core_dispatch (core);
  mp_hub_changed ();
}

void
mp_pool_size_begin (MpPoolCore *core)
{
  core->size.running = TRUE;
  make_places (core, core->size.n_workers);
}

/* Properties. */

enum
{
  PROP_N_WORKERS = MP_POOL_SIZE_FIRST_PROPERTY,
  PROP_MIN_WORKERS,
  PROP_IDLE_TIMEOUT_US,
  PROP_WORKER_MAX_AGE_US,
  PROP_WORKER_MAX_GROWTH,
  PROP_MAX_START_RATE,
};

typedef struct
{
  MpPoolCore *core;    /* (owned) */
  GParamSpec *pspec;   /* static: those of a static type stay */
} Change;

static void
change_free (gpointer data)
{
  Change *self = data;

  mp_pool_core_unref (self->core);
  g_slice_free (Change, self);
}

static void
change_tell (gpointer data)
{
  Change *self = data;
  g_autoptr(MpPool) pool = g_weak_ref_get (&self->core->pool);

  if (pool != NULL)
    g_object_notify_by_pspec (G_OBJECT (pool), self->pspec);
}

/* To those who made the pool, who may be others than those who set the property. */
static void
tell_of_change (MpPool     *pool,
                const char *name)
{
  MpPoolCore *core = mp_pool_get_core (pool);
  Change *change;

  if (mp_home_is_here (&core->size.home))
    {
      g_object_notify (G_OBJECT (pool), name);
      return;
    }
  change = g_slice_new (Change);
  change->core = mp_pool_core_ref (core);
  change->pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (pool), name);
  mp_hub_lock ();
  mp_hub_post (core->context, core, change_tell, change, change_free);
  mp_hub_unlock ();
}

gboolean
mp_pool_size_get_property (MpPool *pool,
                           guint   prop_id,
                           GValue *value)
{
  MpPoolCore *core = mp_pool_get_core (pool);
  MpPoolSize self;

  mp_hub_lock ();
  self = core->size;
  mp_hub_unlock ();

  switch (prop_id)
    {
    case PROP_N_WORKERS:
      g_value_set_uint (value, self.n_workers);
      return TRUE;
    case PROP_MIN_WORKERS:
      g_value_set_uint (value, self.min_workers);
      return TRUE;
    case PROP_IDLE_TIMEOUT_US:
      g_value_set_int64 (value, self.idle_timeout_us);
      return TRUE;
    case PROP_WORKER_MAX_AGE_US:
      g_value_set_int64 (value, self.max_age_us);
      return TRUE;
    case PROP_WORKER_MAX_GROWTH:
      g_value_set_uint64 (value, self.max_growth);
      return TRUE;
    case PROP_MAX_START_RATE:
      g_value_set_double (value, self.max_start_rate);
      return TRUE;
    default:
      return FALSE;
    }
}

/* FALSE: it is that already. */
static gboolean
set_number (MpPoolSize   *self,
            guint         prop_id,
            const GValue *value)
{
  MpPoolSize old = *self;

  switch (prop_id)
    {
    case PROP_N_WORKERS:
      {
        guint n = g_value_get_uint (value);

        __atomic_store_n (&self->n_workers, n > 0 ? n : MIN (mp_get_n_usable_cpus (), MP_POOL_MAX_WORKERS),
                          __ATOMIC_RELAXED);
        return self->n_workers != old.n_workers;
      }
    case PROP_MIN_WORKERS:
      self->min_workers = g_value_get_uint (value);
      return self->min_workers != old.min_workers;
    case PROP_IDLE_TIMEOUT_US:
      self->idle_timeout_us = g_value_get_int64 (value);
      return self->idle_timeout_us != old.idle_timeout_us;
    case PROP_WORKER_MAX_AGE_US:
      self->max_age_us = g_value_get_int64 (value);
      return self->max_age_us != old.max_age_us;
    case PROP_WORKER_MAX_GROWTH:
      self->max_growth = g_value_get_uint64 (value);
      return self->max_growth != old.max_growth;
    default:
      self->max_start_rate = g_value_get_double (value);
      return self->max_start_rate < old.max_start_rate || self->max_start_rate > old.max_start_rate;
    }
}

gboolean
mp_pool_size_set_property (MpPool       *pool,
                           guint         prop_id,
                           const GValue *value)
{
  MpPoolCore *core = mp_pool_get_core (pool);
  static const char *const names[] = {
    "n-workers", "min-workers", "idle-timeout-us", "worker-max-age-us", "worker-max-growth", "max-start-rate",
  };
  gboolean tell = FALSE;

  if (prop_id < PROP_N_WORKERS || prop_id > PROP_MAX_START_RATE)
    return FALSE;
  /* In a forked copy of the owner it is none of its concern. */
  if (!mp_pool_core_is_ours (core, NULL))
    return TRUE;

  mp_hub_lock ();
  if (set_number (&core->size, prop_id, value))
    {
      changed (core);
      tell = core->size.running;
    }
  mp_hub_unlock ();
  if (tell)
    tell_of_change (pool, names[prop_id - PROP_N_WORKERS]);
  return TRUE;
}

static void
install_bounds (GObjectClass *object_class,
                GParamFlags   flags)
{
  /**
   * MpPool:worker-max-age-us:
   *
   * How long a worker lives, in microseconds from when it was ready, before it is replaced by a fresh one; -1 for ever.
   *
   * It is replaced after what it runs then, and what it has not begun runs elsewhere. Of several that began together some
   * are replaced earlier, by a quarter at most, so that not all of them are away at the same time. However short that is, a
   * worker begins a task first, when one waits.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_WORKER_MAX_AGE_US,
                                   g_param_spec_int64 ("worker-max-age-us", NULL, NULL, -1, G_MAXINT64, -1, flags));

  /**
   * MpPool:worker-max-growth:
   *
   * By how many bytes a worker's memory may grow before it is replaced by a fresh one; 0 for any.
   *
   * What counts is resident memory of its own, without what it shares by files or memory objects, above what it was when
   * the worker was ready, its initializer included, or when this property was set. It is looked at after a task, not more
   * often than each tenth of a second; a task that runs is not disturbed.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_WORKER_MAX_GROWTH,
                                   g_param_spec_uint64 ("worker-max-growth", NULL, NULL, 0, G_MAXUINT64, 0, flags));

  /**
   * MpPool:max-start-rate:
   *
   * How many workers may be started in a second, on average; 0 for any number.
   *
   * As many, and at least one, may be started at once when there was no start for a second. A start that has to wait is
   * made later: no task is lost by that, nor refused.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_MAX_START_RATE,
                                   g_param_spec_double ("max-start-rate", NULL, NULL, 0, 1e6, 0, flags));
}

void
mp_pool_size_install (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  /**
   * MpPool:n-workers: (getter get_n_workers) (setter set_n_workers)
   *
   * The number of workers; with [property@Mp.Pool:idle-timeout-us] the largest.
   *
   * 0 stands for [func@Mp.get_n_usable_cpus] at that moment. See [method@Mp.Pool.set_n_workers].
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_N_WORKERS,
                                   g_param_spec_uint ("n-workers", NULL, NULL, 0, MP_POOL_MAX_WORKERS, 0, flags));

  /**
   * MpPool:min-workers:
   *
   * How many workers stay although they have nothing to do, when [property@Mp.Pool:idle-timeout-us] is set.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_MIN_WORKERS,
                                   g_param_spec_uint ("min-workers", NULL, NULL, 0, MP_POOL_MAX_WORKERS, 0, flags));

  /**
   * MpPool:idle-timeout-us:
   *
   * How long a worker that has nothing to do is kept, in microseconds; -1 for ever.
   *
   * When it is set, the pool begins with [property@Mp.Pool:min-workers] and starts others, up to
   * [property@Mp.Pool:n-workers], when tasks wait: the first at once, more when they have waited for a millisecond.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_IDLE_TIMEOUT_US,
                                   g_param_spec_int64 ("idle-timeout-us", NULL, NULL, -1, G_MAXINT64, -1, flags));
  install_bounds (object_class, flags);
}

/**
 * mp_pool_get_n_workers: (get-property n-workers)
 * @self: a pool
 *
 * The number of workers that the pool keeps; with [property@Mp.Pool:idle-timeout-us] the largest.
 *
 * Returns: the number of workers
 *
 * Since: 0.1
 */
guint
mp_pool_get_n_workers (MpPool *self)
{
  g_return_val_if_fail (MP_IS_POOL (self), 0);

  return mp_pool_size_get (mp_pool_get_core (self));
}

/**
 * mp_pool_set_n_workers: (set-property n-workers)
 * @self: a pool
 * @n_workers: the number of workers, at most 65536, which larger numbers count as; 0 for the number of usable CPUs
 *
 * Makes the pool larger or smaller.
 *
 * Workers that are missing are started at once. Those that are too many end: first those that are not ready yet, then those
 * that have nothing to do, then the others, each after the task that it runs; what it has not begun runs elsewhere. They
 * exit with the reason `"shrunk"`. Nothing waits for that.
 *
 * Pools that are made in the workers without a number take the share of the CPUs that the new number leaves to each.
 *
 * Any thread may call it. The notification is made in the main context of the pool: at once in the thread that made it.
 *
 * Since: 0.1
 */
void
mp_pool_set_n_workers (MpPool *self,
                       guint   n_workers)
{
  g_return_if_fail (MP_IS_POOL (self));

  g_object_set (self, "n-workers", MIN (n_workers, MP_POOL_MAX_WORKERS), NULL);
}
