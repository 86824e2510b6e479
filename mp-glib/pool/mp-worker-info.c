/* mp-worker-info.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-worker-info-private.h"

#include "mp-glib/mp-enum-types.h"

/**
 * MpWorkerInfo:
 *
 * What is known of one worker of a pool.
 *
 * These are the items of [property@Mp.Pool:workers]. Their properties follow the worker, with `notify` in the pool's main
 * context at most once in 16 ms; an item whose worker has ended leaves the list, and never changes again. It is to be used
 * in the thread that runs that context.
 *
 * Since: 0.1
 */
struct _MpWorkerInfo
{
  GObject        parent_instance;

  char          *name;    /* (owned) */
  MpWorkerFacts  facts;   /* its strings are owned */
};

enum
{
  PROP_0,
  PROP_NUMBER,
  PROP_PID,
  PROP_NAME,
  PROP_STATE,
  PROP_CURRENT_TASK,
  PROP_N_TASKS_DONE,
  PROP_START_TIME,
  PROP_TASK_START_TIME,
  PROP_BUSY_TIME,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (MpWorkerInfo, mp_worker_info, G_TYPE_OBJECT)

void
mp_worker_facts_clear (MpWorkerFacts *self)
{
  g_clear_pointer (&self->task, g_free);
}

static void
mp_worker_info_finalize (GObject *object)
{
  MpWorkerInfo *self = MP_WORKER_INFO (object);

  mp_worker_facts_clear (&self->facts);
  g_free (self->name);

  G_OBJECT_CLASS (mp_worker_info_parent_class)->finalize (object);
}

static void
mp_worker_info_get_property (GObject    *object,
                             guint       prop_id,
                             GValue     *value,
                             GParamSpec *pspec)
{
  MpWorkerInfo *self = MP_WORKER_INFO (object);

  switch (prop_id)
    {
    case PROP_NUMBER:
      g_value_set_uint (value, self->facts.number);
      break;
    case PROP_PID:
      g_value_set_int (value, self->facts.pid);
      break;
    case PROP_NAME:
      g_value_set_string (value, self->name);
      break;
    case PROP_STATE:
      g_value_set_enum (value, self->facts.state);
      break;
    case PROP_CURRENT_TASK:
      g_value_set_string (value, self->facts.task);
      break;
    case PROP_N_TASKS_DONE:
      g_value_set_uint64 (value, self->facts.n_done);
      break;
    case PROP_START_TIME:
      g_value_set_int64 (value, self->facts.start_time);
      break;
    case PROP_TASK_START_TIME:
      g_value_set_int64 (value, self->facts.task_start_time);
      break;
    case PROP_BUSY_TIME:
      g_value_set_int64 (value, self->facts.busy_time);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

/* Who it is. */
static void
specify_worker (GParamFlags flags)
{
  /**
   * MpWorkerInfo:number: (getter get_number)
   *
   * The worker's number in its pool, from 0.
   *
   * The one that replaces it has the same.
   *
   * Since: 0.1
   */
  props[PROP_NUMBER] = g_param_spec_uint ("number", NULL, NULL, 0, G_MAXUINT, 0, flags);

  /**
   * MpWorkerInfo:pid: (getter get_pid)
   *
   * Its process; 0 while it is not known, and for a worker that is none.
   *
   * Since: 0.1
   */
  props[PROP_PID] = g_param_spec_int ("pid", NULL, NULL, G_MININT, G_MAXINT, 0, flags);

  /**
   * MpWorkerInfo:name: (getter get_name)
   *
   * Its name, as in log records: “Worker-1”.
   *
   * It is never given again in the same pool.
   *
   * Since: 0.1
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);

  /**
   * MpWorkerInfo:start-time: (getter get_start_time)
   *
   * When it was started, in microseconds as [func@GLib.get_monotonic_time] counts them.
   *
   * Since: 0.1
   */
  props[PROP_START_TIME] = g_param_spec_int64 ("start-time", NULL, NULL, 0, G_MAXINT64, 0, flags);
}

/* What it does. */
static void
specify_work (GParamFlags flags)
{
  /**
   * MpWorkerInfo:state: (getter get_state)
   *
   * What it does.
   *
   * Since: 0.1
   */
  props[PROP_STATE] = g_param_spec_enum ("state", NULL, NULL, MP_TYPE_WORKER_STATE, MP_WORKER_STATE_STARTING, flags);

  /**
   * MpWorkerInfo:current-task: (getter get_current_task)
   *
   * The name of the task that it runs: that of its options, else its function's.
   *
   * `NULL` when it runs none.
   *
   * Since: 0.1
   */
  props[PROP_CURRENT_TASK] = g_param_spec_string ("current-task", NULL, NULL, NULL, flags);

  /**
   * MpWorkerInfo:n-tasks-done: (getter get_n_tasks_done)
   *
   * How many tasks it has ended, well or not.
   *
   * A chunk of a map counts as one.
   *
   * Since: 0.1
   */
  props[PROP_N_TASKS_DONE] = g_param_spec_uint64 ("n-tasks-done", NULL, NULL, 0, G_MAXUINT64, 0, flags);

  /**
   * MpWorkerInfo:task-start-time: (getter get_task_start_time)
   *
   * When its task began, in microseconds as [func@GLib.get_monotonic_time] counts them.
   *
   * -1 when it runs none.
   *
   * Since: 0.1
   */
  props[PROP_TASK_START_TIME] = g_param_spec_int64 ("task-start-time", NULL, NULL, -1, G_MAXINT64, -1, flags);

  /**
   * MpWorkerInfo:busy-time: (getter get_busy_time)
   *
   * For how long it has run tasks that have ended, in microseconds.
   *
   * Since: 0.1
   */
  props[PROP_BUSY_TIME] = g_param_spec_int64 ("busy-time", NULL, NULL, 0, G_MAXINT64, 0, flags);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  specify_worker (flags);
  specify_work (flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_worker_info_class_init (MpWorkerInfoClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = mp_worker_info_finalize;
  object_class->get_property = mp_worker_info_get_property;
  install_properties (object_class);
}

static void
mp_worker_info_init (MpWorkerInfo *self)
{
}

/**
 * mp_worker_info_get_number: (get-property number)
 * @self: a worker
 *
 * The worker's number in its pool, from 0.
 *
 * Returns: the worker's number in its pool, from 0
 *
 * Since: 0.1
 */
guint
mp_worker_info_get_number (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), 0);

  return self->facts.number;
}

/**
 * mp_worker_info_get_pid: (get-property pid)
 * @self: a worker
 *
 * Its process; 0 while it is not known, and for a worker that is none.
 *
 * Returns: its process; 0 while it is not known, and for a worker that is none
 *
 * Since: 0.1
 */
int
mp_worker_info_get_pid (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), 0);

  return self->facts.pid;
}

/**
 * mp_worker_info_get_name: (get-property name)
 * @self: a worker
 *
 * Its name, as in log records: “Worker-1”.
 *
 * Returns: its name
 *
 * Since: 0.1
 */
const char *
mp_worker_info_get_name (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), NULL);

  return self->name;
}

/**
 * mp_worker_info_get_state: (get-property state)
 * @self: a worker
 *
 * What it does.
 *
 * Returns: what it does
 *
 * Since: 0.1
 */
MpWorkerState
mp_worker_info_get_state (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), MP_WORKER_STATE_ENDED);

  return self->facts.state;
}

/**
 * mp_worker_info_get_current_task: (get-property current-task)
 * @self: a worker
 *
 * The name of the task that it runs: that of its options, else its function's.
 *
 * Returns: (nullable): the name of the task that it runs; `NULL` when it runs none
 *
 * Since: 0.1
 */
const char *
mp_worker_info_get_current_task (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), NULL);

  return self->facts.task;
}

/**
 * mp_worker_info_get_n_tasks_done: (get-property n-tasks-done)
 * @self: a worker
 *
 * How many tasks it has ended, well or not.
 *
 * Returns: how many tasks it has ended, well or not
 *
 * Since: 0.1
 */
guint64
mp_worker_info_get_n_tasks_done (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), 0);

  return self->facts.n_done;
}

/**
 * mp_worker_info_get_start_time: (get-property start-time)
 * @self: a worker
 *
 * When it was started, in microseconds as [func@GLib.get_monotonic_time] counts them.
 *
 * Returns: when it was started, in microseconds as [func@GLib.get_monotonic_time] counts them
 *
 * Since: 0.1
 */
gint64
mp_worker_info_get_start_time (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), 0);

  return self->facts.start_time;
}

/**
 * mp_worker_info_get_task_start_time: (get-property task-start-time)
 * @self: a worker
 *
 * When its task began, in microseconds as [func@GLib.get_monotonic_time] counts them.
 *
 * Returns: when its task began, in microseconds as [func@GLib.get_monotonic_time] counts them; -1 when it runs none
 *
 * Since: 0.1
 */
gint64
mp_worker_info_get_task_start_time (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), 0);

  return self->facts.task_start_time;
}

/**
 * mp_worker_info_get_busy_time: (get-property busy-time)
 * @self: a worker
 *
 * For how long it has run tasks that have ended, in microseconds.
 *
 * Returns: for how long it has run tasks that have ended, in microseconds
 *
 * Since: 0.1
 */
gint64
mp_worker_info_get_busy_time (MpWorkerInfo *self)
{
  g_return_val_if_fail (MP_IS_WORKER_INFO (self), 0);

  return self->facts.busy_time;
}

guint
mp_worker_info_get_serial (MpWorkerInfo *self)
{
  return self->facts.serial;
}

MpWorkerInfo *
mp_worker_info_new (MpWorkerFacts *facts)
{
  MpWorkerInfo *self = g_object_new (MP_TYPE_WORKER_INFO, NULL);

  self->facts = *facts;
  facts->task = NULL;
  self->name = g_strdup_printf ("Worker-%u", facts->serial);

  return self;
}

/* What has changed, all of it there before any of it is told. */
void
mp_worker_info_update (MpWorkerInfo  *self,
                       MpWorkerFacts *facts)
{
  GObject *object = G_OBJECT (self);
  MpWorkerFacts old = self->facts;

  self->facts = *facts;
  facts->task = NULL;
  g_object_freeze_notify (object);
  if (old.pid != self->facts.pid)
    g_object_notify_by_pspec (object, props[PROP_PID]);
  if (old.state != self->facts.state)
    g_object_notify_by_pspec (object, props[PROP_STATE]);
  if (g_strcmp0 (old.task, self->facts.task) != 0)
    g_object_notify_by_pspec (object, props[PROP_CURRENT_TASK]);
  if (old.n_done != self->facts.n_done)
    g_object_notify_by_pspec (object, props[PROP_N_TASKS_DONE]);
  if (old.task_start_time != self->facts.task_start_time)
    g_object_notify_by_pspec (object, props[PROP_TASK_START_TIME]);
  if (old.busy_time != self->facts.busy_time)
    g_object_notify_by_pspec (object, props[PROP_BUSY_TIME]);
  g_object_thaw_notify (object);
  mp_worker_facts_clear (&old);
}

void
mp_worker_info_end (MpWorkerInfo *self)
{
  MpWorkerFacts facts = self->facts;

  facts.state = MP_WORKER_STATE_ENDED;
  facts.task = NULL;
  facts.task_start_time = -1;
  mp_worker_info_update (self, &facts);
}
