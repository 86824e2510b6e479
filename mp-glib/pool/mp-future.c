/* mp-future.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"

#include "mp-glib/mp-enum-types.h"
#include "mp-glib/pool/mp-pool-control-private.h"

/**
 * MpFuture:
 *
 * A result that is still to come.
 *
 * It is made by [method@Mp.Pool.submit], [method@Mp.Pool.submit_map] and their like. Every future reaches exactly one end: a
 * result, or an error. It may outlive its pool: what was pending then ends with `G_IO_ERROR_CLOSED`. Dropping a future calls
 * nothing off: [method@Mp.Future.cancel] does.
 *
 * There are many ways to hear of the end: [method@Mp.Future.get] and [method@Mp.Future.wait] block for it,
 * [method@Mp.Future.get_async] and [method@Mp.Future.wait_async] call back, [signal@Mp.Future::done] is emitted, and
 * [method@Mp.Future.get_state] looks. For several there are [func@Mp.Future.wait_all], [func@Mp.Future.wait_any] and
 * [class@Mp.FutureList]; [func@Mp.wait] waits for futures together with connections, processes and queues.
 *
 * The signals are emitted in the main context that was thread-default when the call was made, or in a blocking call on
 * the same pool in a thread that may acquire that. The future lives at least until then: whoever has connected to one need
 * not keep it.
 *
 * Any thread may use it.
 *
 * Since: 0.1
 */
struct _MpFuture
{
  GObject parent_instance;

  MpJob        *job;       /* (owned) */
  GMainContext *context;   /* (owned) (nullable) the hub's reference to that of the call, if it is not the pool's */
};

enum
{
  PROP_0,
  PROP_STATE,
  PROP_FUNCTION,
  PROP_NAME,
  PROP_FRACTION,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

enum
{
  SIGNAL_DONE,
  SIGNAL_PROGRESS,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE_WITH_CODE (MpFuture, mp_future, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_WAITABLE, mp_future_waitable_init))

static void
mp_future_finalize (GObject *object)
{
  MpFuture *self = MP_FUTURE (object);

  if (self->context != NULL)
    mp_hub_unref_context (self->context);
  mp_job_unref (self->job);

  G_OBJECT_CLASS (mp_future_parent_class)->finalize (object);
}

static void
mp_future_get_property (GObject    *object,
                        guint       prop_id,
                        GValue     *value,
                        GParamSpec *pspec)
{
  MpFuture *self = MP_FUTURE (object);

  switch (prop_id)
    {
    case PROP_STATE:
      g_value_set_enum (value, mp_future_get_state (self));
      break;
    case PROP_FUNCTION:
      g_value_set_string (value, mp_future_get_function (self));
      break;
    case PROP_NAME:
      g_value_set_string (value, mp_future_get_name (self));
      break;
    case PROP_FRACTION:
      g_value_set_double (value, mp_future_get_fraction (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
install_signals (MpFutureClass *klass)
{
  /**
   * MpFuture::progress:
   * @self: the future
   * @fraction: how much is done, as [property@Mp.Future:fraction]
   * @value: (nullable): what else the function told by [method@Mp.Invocation.report]
   *
   * Emitted when the task has told how far it is, or a part of a map has ended.
   *
   * Once in 16 ms at most: of what is told more often the last counts. What was told last is emitted before the end.
   *
   * Since: 0.1
   */
  signals[SIGNAL_PROGRESS] = g_signal_new ("progress", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                           G_TYPE_NONE, 2, G_TYPE_DOUBLE, G_TYPE_VARIANT);

  /**
   * MpFuture::done:
   * @self: the future
   *
   * Emitted once, when the task has ended, well or not.
   *
   * Since: 0.1
   */
  signals[SIGNAL_DONE] = g_signal_new ("done", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                       G_TYPE_NONE, 0);
}

static void
mp_future_class_init (MpFutureClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->finalize = mp_future_finalize;
  object_class->get_property = mp_future_get_property;

  /**
   * MpFuture:state: (getter get_state)
   *
   * How far the task is.
   *
   * `notify` is emitted when it has ended; that it has begun is seen by looking.
   *
   * Since: 0.1
   */
  props[PROP_STATE] = g_param_spec_enum ("state", NULL, NULL, MP_TYPE_FUTURE_STATE, MP_FUTURE_STATE_QUEUED, flags);

  /**
   * MpFuture:function: (getter get_function)
   *
   * The name of the function, as messages show it.
   *
   * Since: 0.1
   */
  props[PROP_FUNCTION] = g_param_spec_string ("function", NULL, NULL, NULL, flags);

  /**
   * MpFuture:name: (getter get_name)
   *
   * What the task is called in lists and messages: as [property@Mp.TaskOptions:name] says, else as its function.
   *
   * Since: 0.1
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);

  /**
   * MpFuture:fraction: (getter get_fraction)
   *
   * How much of the task is done, from 0 to 1.
   *
   * Of a call it is what the function told last by [method@Mp.Invocation.report], of a map the part of its items that have
   * ended; 1 when it has ended, well or not. `notify` is emitted once in 16 ms at most, and before the end.
   *
   * Since: 0.1
   */
  props[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, 0, 1, 0, flags);

  g_object_class_install_properties (object_class, N_PROPS, props);
  install_signals (klass);
}

static void
mp_future_init (MpFuture *self)
{
}

/* Takes @job. */
static MpFuture *
make (MpJob *job)
{
  MpFuture *self = g_object_new (MP_TYPE_FUTURE, NULL);

  self->job = job;
  /* The pool's is looked after as long as the pool lives. */
  if (job->home.context != job->core->context)
    self->context = mp_hub_ref_context (job->home.context);

  return self;
}

MpFuture *
mp_future_new (MpJob *job)
{
  MpFuture *self = make (job);

  job->future = g_object_ref (self);

  return self;
}

MpFuture *
mp_future_find (MpJob *job)
{
  MpFuture *self = NULL, *kept = NULL;

  /* The job lets go of it in the context of the call: who has that knows that it stays for the moment. */
  if (job->home.context == job->core->context && g_main_context_acquire (job->home.context))
    {
      mp_hub_lock ();
      self = job->future;
      mp_hub_unlock ();
      if (self != NULL)
        g_object_ref (self);
      g_main_context_release (job->home.context);
      if (self != NULL)
        return self;
    }

  self = make (mp_job_ref (job));
  kept = g_object_ref (self);
  mp_hub_lock ();
  if (!job->done && job->future == NULL)
    g_atomic_pointer_set (&job->future, g_steal_pointer (&kept));
  mp_hub_unlock ();
  g_clear_object (&kept);

  return self;
}

void
mp_future_withdraw (MpFuture *self)
{
  MpFuture *kept = NULL;

  /* If it was called off before it was refused, it is about to tell of that. */
  mp_hub_lock ();
  if (!self->job->done)
    kept = g_steal_pointer (&self->job->future);
  mp_hub_unlock ();
  g_clear_object (&kept);
  g_object_unref (self);
}

MpJob *
mp_future_get_job (MpFuture *self)
{
  return self->job;
}

void
mp_future_emit_progress (MpFuture *self,
                         double    fraction,
                         GVariant *value)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
  g_signal_emit (self, signals[SIGNAL_PROGRESS], 0, fraction, value);
}

void
mp_future_emit_done (MpFuture *self)
{
  mp_job_tell_progress (self->job, self);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
  g_signal_emit (self, signals[SIGNAL_DONE], 0);
}

static gboolean
is_done (MpJob *job)
{
  gboolean done = FALSE;

  mp_hub_lock ();
  done = job->done;
  mp_hub_unlock ();

  return done;
}

/**
 * mp_future_get_fraction: (get-property fraction)
 * @self: a future
 *
 * How much of the task is done.
 *
 * See [property@Mp.Future:fraction].
 *
 * Returns: from 0 to 1
 *
 * Since: 0.1
 */
double
mp_future_get_fraction (MpFuture *self)
{
  double fraction = 0;

  g_return_val_if_fail (MP_IS_FUTURE (self), 0);

  mp_hub_lock ();
  fraction = mp_job_get_fraction (self->job);
  mp_hub_unlock ();

  return fraction;
}

/**
 * mp_future_get:
 * @self: a future
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits for the result and gives it.
 *
 * May be called as often as wanted. An error is the task's own, as [method@Mp.Pool.apply] describes, or one of the wait:
 * `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` or `MP_ERROR_INTERRUPTED`; the task goes on in these cases, and
 * [method@Mp.Future.is_ready] tells them from its own.
 *
 * Callbacks and signals of the pool that are due run meanwhile, in a thread that may acquire their main context.
 *
 * Returns: (transfer full): the result
 *
 * Since: 0.1
 */
GVariant *
mp_future_get (MpFuture      *self,
               gint64         timeout_us,
               GCancellable  *cancellable,
               GError       **error)
{
  GVariant *value = NULL;
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_FUTURE (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  job = mp_job_ref (self->job);
  if (mp_pool_core_is_ours (job->core, error) &&
      (is_done (job) || mp_job_wait (job, "pool task", timeout_us, cancellable, FALSE, error)))
    {
      mp_job_tell_due (job);
      value = mp_job_dup_result (job, error);
    }
  mp_job_unref (job);

  return value;
}

static void
give_end (MpWaiter *waiter)
{
  g_task_return_boolean (waiter->task, TRUE);
}

/**
 * mp_future_get_async:
 * @self: a future
 * @cancellable: (nullable): ends the waiting; the task goes on
 * @callback: (scope async) (closure user_data): called when the result is there
 * @user_data: data for @callback
 *
 * Waits for the result without blocking.
 *
 * @callback runs in the thread-default main context of the caller, or in a blocking call on the same pool in a thread that
 * may acquire that.
 *
 * Since: 0.1
 */
void
mp_future_get_async (MpFuture            *self,
                     GCancellable        *cancellable,
                     GAsyncReadyCallback  callback,
                     gpointer             user_data)
{
  GTask *task = NULL;

  g_return_if_fail (MP_IS_FUTURE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_future_get_async);
  mp_waiter_add (self->job->core, self->job, task, callback, user_data, mp_waiter_give_result, FALSE);
}

/**
 * mp_future_get_finish:
 * @self: a future
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Future.get_async].
 *
 * Returns: (transfer full): the result
 *
 * Since: 0.1
 */
GVariant *
mp_future_get_finish (MpFuture      *self,
                      GAsyncResult  *result,
                      GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_future_wait:
 * @self: a future
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits until the task has ended, well or not.
 *
 * Returns: `TRUE` when it has ended, `FALSE` with `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` or
 *   `MP_ERROR_INTERRUPTED` when the wait has ended first
 *
 * Since: 0.1
 */
gboolean
mp_future_wait (MpFuture      *self,
                gint64         timeout_us,
                GCancellable  *cancellable,
                GError       **error)
{
  gboolean ended = FALSE;
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_FUTURE (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  job = mp_job_ref (self->job);
  ended = mp_pool_core_is_ours (job->core, error) &&
          mp_job_wait (job, "pool task", timeout_us, cancellable, FALSE, error);
  mp_job_unref (job);

  return ended;
}

/**
 * mp_future_wait_async:
 * @self: a future
 * @cancellable: (nullable): ends the waiting
 * @callback: (scope async) (closure user_data): called when the task has ended
 * @user_data: data for @callback
 *
 * Waits for the end of the task without blocking.
 *
 * See [method@Mp.Future.get_async].
 *
 * Since: 0.1
 */
void
mp_future_wait_async (MpFuture            *self,
                      GCancellable        *cancellable,
                      GAsyncReadyCallback  callback,
                      gpointer             user_data)
{
  GTask *task = NULL;

  g_return_if_fail (MP_IS_FUTURE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_future_wait_async);
  mp_waiter_add (self->job->core, self->job, task, callback, user_data, give_end, FALSE);
}

/**
 * mp_future_wait_finish:
 * @self: a future
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Future.wait_async].
 *
 * Returns: `TRUE` when the task has ended, `FALSE` with `G_IO_ERROR_CANCELLED`
 *
 * Since: 0.1
 */
gboolean
mp_future_wait_finish (MpFuture      *self,
                       GAsyncResult  *result,
                       GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_future_is_ready:
 * @self: a future
 *
 * Whether the task has ended, well or not.
 *
 * It looks for what has arrived, so that a loop around it sees its end without a main loop, but runs no callbacks.
 *
 * Returns: `TRUE` when it has ended
 *
 * Since: 0.1
 */
gboolean
mp_future_is_ready (MpFuture *self)
{
  gboolean ready = FALSE;
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_FUTURE (self), FALSE);

  if (is_done (self->job))
    return TRUE;
  if (!mp_pool_core_is_ours (self->job->core, NULL))
    return FALSE;

  /* A key that owns nothing: nobody's callbacks are due for it. */
  job = mp_job_ref (self->job);
  ready = mp_hub_wait (job, mp_job_is_done, job, "pool task", 0, NULL, NULL);
  mp_job_unref (job);

  return ready;
}

/**
 * mp_future_is_successful:
 * @self: a future
 *
 * Whether the task has ended with a result.
 *
 * Returns: `TRUE` when it has; `FALSE` when it has failed, or not ended yet
 *
 * Since: 0.1
 */
gboolean
mp_future_is_successful (MpFuture *self)
{
  g_return_val_if_fail (MP_IS_FUTURE (self), FALSE);

  return mp_future_is_ready (self) && self->job->error == NULL;
}

/**
 * mp_future_dup_error_details:
 * @self: a future
 *
 * What is known of the task's error beyond its text.
 *
 * A dictionary with, as far as they apply, `"type"` (the exception's name), `"traceback"`, `"function"`, `"worker"`,
 * `"pid"`, `"exit-status"`, `"signal"`, `"stderr"` (last lines) and `"log"` (last records).
 *
 * Returns: (transfer full) (nullable): an `a{sv}`; `NULL` when the task has not failed or nothing more is known
 *
 * Since: 0.1
 */
GVariant *
mp_future_dup_error_details (MpFuture *self)
{
  g_return_val_if_fail (MP_IS_FUTURE (self), NULL);

  if (!is_done (self->job) || self->job->details == NULL)
    return NULL;
  return g_variant_ref (self->job->details);
}

/**
 * mp_future_get_state: (get-property state)
 * @self: a future
 *
 * How far the task is.
 *
 * It looks for what has arrived, as [method@Mp.Future.is_ready] does. A map runs as soon as one of its chunks has begun.
 *
 * Returns: the state
 *
 * Since: 0.1
 */
MpFutureState
mp_future_get_state (MpFuture *self)
{
  MpFutureState state;

  g_return_val_if_fail (MP_IS_FUTURE (self), MP_FUTURE_STATE_QUEUED);

  mp_future_is_ready (self);
  mp_hub_lock ();
  state = mp_job_get_state (self->job);
  mp_hub_unlock ();

  return state;
}

/**
 * mp_future_get_function: (get-property function)
 * @self: a future
 *
 * The name of the function, as messages show it: for `MP_FUNCTION()` what stands in the parentheses.
 *
 * Returns: the name
 *
 * Since: 0.1
 */
const char *
mp_future_get_function (MpFuture *self)
{
  const char *name = NULL;

  g_return_val_if_fail (MP_IS_FUTURE (self), NULL);

  mp_hub_lock ();
  name = mp_pool_core_name_of (self->job->core, self->job->function);
  mp_hub_unlock ();

  return name;
}

/**
 * mp_future_get_name: (get-property name)
 * @self: a future
 *
 * What the task is called in lists and messages.
 *
 * Returns: the name
 *
 * Since: 0.1
 */
const char *
mp_future_get_name (MpFuture *self)
{
  const char *name = NULL;

  g_return_val_if_fail (MP_IS_FUTURE (self), NULL);

  mp_hub_lock ();
  name = mp_job_get_name (self->job);
  mp_hub_unlock ();

  return name;
}

/**
 * mp_future_cancel:
 * @self: a future
 *
 * Calls the task off: it ends with `G_IO_ERROR_CANCELLED`, at once for who waits for it.
 *
 * What waits in the queue is dropped. What runs is stopped: its worker is told, and when that does not help within
 * [property@Mp.Pool:cancel-grace-us], it is ended. No other task is touched.
 *
 * Returns: `TRUE` when this call has decided its end, `FALSE` when it had ended before, with whatever
 *
 * Since: 0.1
 */
gboolean
mp_future_cancel (MpFuture *self)
{
  gboolean decided = FALSE;

  g_return_val_if_fail (MP_IS_FUTURE (self), FALSE);

  if (!mp_pool_core_is_ours (self->job->core, NULL))
    return FALSE;

  mp_hub_lock ();
  decided = mp_job_cancel (self->job, NULL);
  mp_hub_unlock ();

  return decided;
}
