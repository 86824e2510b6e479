/* mp-future.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

/**
 * MpFuture:
 *
 * A result that is still to come.
 *
 * It is made by [method@Mp.Pool.submit] and [method@Mp.Pool.submit_map]. Every future reaches exactly one end: a result, or
 * an error. It may outlive its pool: what was pending then ends with `G_IO_ERROR_CLOSED`. Dropping a future calls nothing
 * off.
 *
 * Any thread may use it.
 *
 * Since: 0.1
 */
struct _MpFuture
{
  GObject parent_instance;

  MpJob *job;   /* (owned) */
};

G_DEFINE_FINAL_TYPE (MpFuture, mp_future, G_TYPE_OBJECT)

static void
mp_future_finalize (GObject *object)
{
  mp_job_unref (MP_FUTURE (object)->job);

  G_OBJECT_CLASS (mp_future_parent_class)->finalize (object);
}

static void
mp_future_class_init (MpFutureClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_future_finalize;
}

static void
mp_future_init (MpFuture *self)
{
}

MpFuture *
mp_future_new (MpJob *job)
{
  MpFuture *self = g_object_new (MP_TYPE_FUTURE, NULL);

  self->job = job;

  return self;
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
    value = mp_job_dup_result (job, error);
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
