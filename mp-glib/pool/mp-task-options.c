/* mp-task-options.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-task-options.h"

/**
 * MpTaskOptions:
 *
 * How a call of a pool is to be carried out.
 *
 * A call copies what it needs: the same options may be used for any number of calls, and changing them later changes
 * nothing of the calls that were made. What the call does with them is told at [method@Mp.Pool.submit_with].
 *
 * It is not thread-safe.
 *
 * Since: 0.1
 */
struct _MpTaskOptions
{
  GObject       parent_instance;

  int           priority;
  gint64        queue_timeout_us, run_timeout_us;
  guint         max_attempts;
  gboolean      idempotent;
  GCancellable *cancellable;   /* (owned) (nullable) */
  char         *name;          /* (owned) (nullable) */
};

enum
{
  PROP_0,
  PROP_PRIORITY,
  PROP_QUEUE_TIMEOUT_US,
  PROP_RUN_TIMEOUT_US,
  PROP_MAX_ATTEMPTS,
  PROP_IDEMPOTENT,
  PROP_CANCELLABLE,
  PROP_NAME,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (MpTaskOptions, mp_task_options, G_TYPE_OBJECT)

static void
mp_task_options_finalize (GObject *object)
{
  MpTaskOptions *self = MP_TASK_OPTIONS (object);

  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->name, g_free);

  G_OBJECT_CLASS (mp_task_options_parent_class)->finalize (object);
}

static void
mp_task_options_get_property (GObject    *object,
                              guint       prop_id,
                              GValue     *value,
                              GParamSpec *pspec)
{
  MpTaskOptions *self = MP_TASK_OPTIONS (object);

  switch (prop_id)
    {
    case PROP_PRIORITY:
      g_value_set_int (value, self->priority);
      break;
    case PROP_QUEUE_TIMEOUT_US:
      g_value_set_int64 (value, self->queue_timeout_us);
      break;
    case PROP_RUN_TIMEOUT_US:
      g_value_set_int64 (value, self->run_timeout_us);
      break;
    case PROP_MAX_ATTEMPTS:
      g_value_set_uint (value, self->max_attempts);
      break;
    case PROP_IDEMPOTENT:
      g_value_set_boolean (value, self->idempotent);
      break;
    case PROP_CANCELLABLE:
      g_value_set_object (value, self->cancellable);
      break;
    case PROP_NAME:
      g_value_set_string (value, self->name);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_task_options_set_property (GObject      *object,
                              guint         prop_id,
                              const GValue *value,
                              GParamSpec   *pspec)
{
  MpTaskOptions *self = MP_TASK_OPTIONS (object);

  switch (prop_id)
    {
    case PROP_PRIORITY:
      mp_task_options_set_priority (self, g_value_get_int (value));
      break;
    case PROP_QUEUE_TIMEOUT_US:
      mp_task_options_set_queue_timeout_us (self, g_value_get_int64 (value));
      break;
    case PROP_RUN_TIMEOUT_US:
      mp_task_options_set_run_timeout_us (self, g_value_get_int64 (value));
      break;
    case PROP_MAX_ATTEMPTS:
      mp_task_options_set_max_attempts (self, g_value_get_uint (value));
      break;
    case PROP_IDEMPOTENT:
      mp_task_options_set_idempotent (self, g_value_get_boolean (value));
      break;
    case PROP_CANCELLABLE:
      mp_task_options_set_cancellable (self, g_value_get_object (value));
      break;
    case PROP_NAME:
      mp_task_options_set_name (self, g_value_get_string (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

/* When it begins and ends. */
static void
make_order_properties (GParamFlags flags)
{
  /**
   * MpTaskOptions:priority: (getter get_priority) (setter set_priority)
   *
   * How urgent the task is; 0 at first.
   *
   * Among the tasks that wait, those with a higher number begin first; those with the same begin in the order in which they
   * were submitted. What has begun is not interrupted.
   *
   * Since: 0.1
   */
  props[PROP_PRIORITY] = g_param_spec_int ("priority", NULL, NULL, G_MININT, G_MAXINT, 0, flags);

  /**
   * MpTaskOptions:queue-timeout-us: (getter get_queue_timeout_us) (setter set_queue_timeout_us)
   *
   * How long the task may wait before it begins, in microseconds; -1, as at first, for ever.
   *
   * One that has not begun by then ends with `G_IO_ERROR_TIMED_OUT`.
   *
   * Since: 0.1
   */
  props[PROP_QUEUE_TIMEOUT_US] = g_param_spec_int64 ("queue-timeout-us", NULL, NULL, -1, G_MAXINT64, -1, flags);

  /**
   * MpTaskOptions:run-timeout-us: (getter get_run_timeout_us) (setter set_run_timeout_us)
   *
   * How long the task may run, in microseconds; -1, as at first, for ever.
   *
   * It counts from the moment when the worker begins it. One that is not through by then ends with `G_IO_ERROR_TIMED_OUT`, and
   * is stopped as a cancelled one is. Of a map each chunk has as long.
   *
   * Since: 0.1
   */
  props[PROP_RUN_TIMEOUT_US] = g_param_spec_int64 ("run-timeout-us", NULL, NULL, -1, G_MAXINT64, -1, flags);
}

static void
mp_task_options_class_init (MpTaskOptionsClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = mp_task_options_finalize;
  object_class->get_property = mp_task_options_get_property;
  object_class->set_property = mp_task_options_set_property;

  make_order_properties (flags);

  /**
   * MpTaskOptions:max-attempts: (getter get_max_attempts) (setter set_max_attempts)
   *
   * How often the task may be begun; 1 at first.
   *
   * More than 1 counts only for a task that is idempotent: [property@Mp.TaskOptions:idempotent], or a function declared with
   * `MP_FUNCTION_FLAGS_IDEMPOTENT`. One whose worker died, that ran out of time or that failed is then begun anew, in a worker
   * that has nothing else in hand.
   *
   * Since: 0.1
   */
  props[PROP_MAX_ATTEMPTS] = g_param_spec_uint ("max-attempts", NULL, NULL, 1, G_MAXUINT16, 1, flags);

  /**
   * MpTaskOptions:idempotent: (getter get_idempotent) (setter set_idempotent)
   *
   * Whether to run the task twice does the same as to run it once; `FALSE` at first.
   *
   * See [property@Mp.TaskOptions:max-attempts].
   *
   * Since: 0.1
   */
  props[PROP_IDEMPOTENT] = g_param_spec_boolean ("idempotent", NULL, NULL, FALSE, flags);

  /**
   * MpTaskOptions:cancellable: (getter get_cancellable) (setter set_cancellable)
   *
   * Stops the task when it is cancelled; `NULL` at first.
   *
   * The task ends with `G_IO_ERROR_CANCELLED`, wherever it is, see [class@Mp.Pool].
   *
   * Since: 0.1
   */
  props[PROP_CANCELLABLE] = g_param_spec_object ("cancellable", NULL, NULL, G_TYPE_CANCELLABLE, flags);

  /**
   * MpTaskOptions:name: (getter get_name) (setter set_name)
   *
   * What lists and messages call the task; `NULL` at first, for the name of its function.
   *
   * Since: 0.1
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_task_options_init (MpTaskOptions *self)
{
  self->queue_timeout_us = self->run_timeout_us = -1;
  self->max_attempts = 1;
}

/**
 * mp_task_options_new:
 *
 * Makes options that change nothing.
 *
 * Returns: (transfer full): the options
 *
 * Since: 0.1
 */
MpTaskOptions *
mp_task_options_new (void)
{
  return g_object_new (MP_TYPE_TASK_OPTIONS, NULL);
}

/**
 * mp_task_options_get_priority: (get-property priority)
 * @self: options
 *
 * How urgent the task is; 0 at first.
 *
 * See [property@Mp.TaskOptions:priority].
 *
 * Returns: the priority
 *
 * Since: 0.1
 */
int
mp_task_options_get_priority (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), 0);

  return self->priority;
}

/**
 * mp_task_options_set_priority: (set-property priority)
 * @self: options
 * @priority: the priority
 *
 * Sets [property@Mp.TaskOptions:priority].
 *
 * Since: 0.1
 */
void
mp_task_options_set_priority (MpTaskOptions *self,
                              int            priority)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));

  if (self->priority == priority)
    return;

  self->priority = priority;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PRIORITY]);
}

/**
 * mp_task_options_get_queue_timeout_us: (get-property queue-timeout-us)
 * @self: options
 *
 * How long the task may wait before it begins, in microseconds; -1, as at first, for ever.
 *
 * See [property@Mp.TaskOptions:queue-timeout-us].
 *
 * Returns: the time in microseconds; -1 for ever
 *
 * Since: 0.1
 */
gint64
mp_task_options_get_queue_timeout_us (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), -1);

  return self->queue_timeout_us;
}

/**
 * mp_task_options_set_queue_timeout_us: (set-property queue-timeout-us)
 * @self: options
 * @timeout_us: the time in microseconds; -1 for ever
 *
 * Sets [property@Mp.TaskOptions:queue-timeout-us].
 *
 * Since: 0.1
 */
void
mp_task_options_set_queue_timeout_us (MpTaskOptions *self,
                                      gint64         timeout_us)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));
  g_return_if_fail (timeout_us >= -1);

  if (self->queue_timeout_us == timeout_us)
    return;

  self->queue_timeout_us = timeout_us;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_QUEUE_TIMEOUT_US]);
}

/**
 * mp_task_options_get_run_timeout_us: (get-property run-timeout-us)
 * @self: options
 *
 * How long the task may run, in microseconds; -1, as at first, for ever.
 *
 * See [property@Mp.TaskOptions:run-timeout-us].
 *
 * Returns: the time in microseconds; -1 for ever
 *
 * Since: 0.1
 */
gint64
mp_task_options_get_run_timeout_us (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), -1);

  return self->run_timeout_us;
}

/**
 * mp_task_options_set_run_timeout_us: (set-property run-timeout-us)
 * @self: options
 * @timeout_us: the time in microseconds; -1 for ever
 *
 * Sets [property@Mp.TaskOptions:run-timeout-us].
 *
 * Since: 0.1
 */
void
mp_task_options_set_run_timeout_us (MpTaskOptions *self,
                                    gint64         timeout_us)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));
  g_return_if_fail (timeout_us >= -1);

  if (self->run_timeout_us == timeout_us)
    return;

  self->run_timeout_us = timeout_us;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_RUN_TIMEOUT_US]);
}

/**
 * mp_task_options_get_max_attempts: (get-property max-attempts)
 * @self: options
 *
 * How often the task may be begun; 1 at first.
 *
 * See [property@Mp.TaskOptions:max-attempts].
 *
 * Returns: the number of attempts
 *
 * Since: 0.1
 */
guint
mp_task_options_get_max_attempts (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), 1);

  return self->max_attempts;
}

/**
 * mp_task_options_set_max_attempts: (set-property max-attempts)
 * @self: options
 * @max_attempts: the number of attempts, from 1 to 65535
 *
 * Sets [property@Mp.TaskOptions:max-attempts].
 *
 * Since: 0.1
 */
void
mp_task_options_set_max_attempts (MpTaskOptions *self,
                                  guint          max_attempts)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));
  g_return_if_fail (max_attempts >= 1 && max_attempts <= G_MAXUINT16);

  if (self->max_attempts == max_attempts)
    return;

  self->max_attempts = max_attempts;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MAX_ATTEMPTS]);
}

/**
 * mp_task_options_get_idempotent: (get-property idempotent)
 * @self: options
 *
 * Whether to run the task twice does the same as to run it once; `FALSE` at first.
 *
 * See [property@Mp.TaskOptions:idempotent].
 *
 * Returns: whether it is
 *
 * Since: 0.1
 */
gboolean
mp_task_options_get_idempotent (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), FALSE);

  return self->idempotent;
}

/**
 * mp_task_options_set_idempotent: (set-property idempotent)
 * @self: options
 * @idempotent: whether it is
 *
 * Sets [property@Mp.TaskOptions:idempotent].
 *
 * Since: 0.1
 */
void
mp_task_options_set_idempotent (MpTaskOptions *self,
                                gboolean       idempotent)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));

  idempotent = !!idempotent;
  if (self->idempotent == idempotent)
    return;

  self->idempotent = idempotent;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IDEMPOTENT]);
}

/**
 * mp_task_options_get_cancellable: (get-property cancellable)
 * @self: options
 *
 * Stops the task when it is cancelled; `NULL` at first.
 *
 * See [property@Mp.TaskOptions:cancellable].
 *
 * Returns: (transfer none) (nullable): the cancellable
 *
 * Since: 0.1
 */
GCancellable *
mp_task_options_get_cancellable (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), NULL);

  return self->cancellable;
}

/**
 * mp_task_options_set_cancellable: (set-property cancellable)
 * @self: options
 * @cancellable: (nullable): what cancels the task
 *
 * Sets [property@Mp.TaskOptions:cancellable].
 *
 * Since: 0.1
 */
void
mp_task_options_set_cancellable (MpTaskOptions *self,
                                 GCancellable  *cancellable)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  if (g_set_object (&self->cancellable, cancellable))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CANCELLABLE]);
}

/**
 * mp_task_options_get_name: (get-property name)
 * @self: options
 *
 * What lists and messages call the task; `NULL` at first, for the name of its function.
 *
 * See [property@Mp.TaskOptions:name].
 *
 * Returns: (nullable): the name
 *
 * Since: 0.1
 */
const char *
mp_task_options_get_name (MpTaskOptions *self)
{
  g_return_val_if_fail (MP_IS_TASK_OPTIONS (self), NULL);

  return self->name;
}

/**
 * mp_task_options_set_name: (set-property name)
 * @self: options
 * @name: (nullable): the name
 *
 * Sets [property@Mp.TaskOptions:name].
 *
 * Since: 0.1
 */
void
mp_task_options_set_name (MpTaskOptions *self,
                          const char    *name)
{
  g_return_if_fail (MP_IS_TASK_OPTIONS (self));

  if (g_strcmp0 (self->name, name) == 0)
    return;

  g_free (self->name);
  self->name = g_strdup (name);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_NAME]);
}
