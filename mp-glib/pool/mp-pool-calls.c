/* mp-pool-calls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"
#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/process/mp-function-private.h"

/* The calls that hand a pool its tasks. */

MpJob *
mp_pool_make_call (MpPoolCore  *core,
                   const char  *function,
                   GVariant    *args,
                   GError     **error)
{
  MpJob *job = NULL;

  if (!mp_pool_core_is_ours (core, error))
    {
      if (args != NULL)
        g_variant_unref (g_variant_ref_sink (args));
      return NULL;
    }

  job = mp_job_new_call (core, args, error);
  if (job != NULL && !mp_function_check_args (function, job->value, FALSE, error))
    g_clear_pointer (&job, mp_job_unref);
  return job;
}

static MpJob *
make_map (MpPoolCore  *core,
          MpJobKind    kind,
          const char  *function,
          GVariant    *items,
          guint        chunk_size,
          GError     **error)
{
  if (!mp_pool_core_is_ours (core, error))
    {
      g_variant_unref (g_variant_ref_sink (items));
      return NULL;
    }
  if (kind == MP_JOB_MAP)
    return mp_job_new_map (core, kind, function, items, chunk_size, error);
  return mp_job_new_imap (core, kind == MP_JOB_IMAP, function, items, chunk_size, error);
}

MpJob *
mp_pool_hand_over (MpPoolCore  *core,
                   MpJob       *job,
                   const char  *function,
                   GError     **error)
{
  gboolean accepted = FALSE;

  if (job == NULL)
    return NULL;

  mp_job_listen (job);
  mp_hub_lock ();
  accepted = mp_pool_core_submit (core, job, function, error);
  mp_hub_unlock ();
  if (!accepted)
    {
      mp_job_listen_no_more (job);
      g_clear_pointer (&job, mp_job_unref);
    }
  return job;
}

MpFuture *
mp_pool_hand_over_future (MpPoolCore  *core,
                          MpJob       *job,
                          const char  *function,
                          GError     **error)
{
  MpFuture *future = NULL;

  if (job == NULL)
    return NULL;

  future = mp_future_new (job);
  if (mp_pool_hand_over (core, mp_job_ref (job), function, error) == NULL)
    g_clear_pointer (&future, mp_future_withdraw);
  else
    mp_job_unref (job);
  return future;
}

GVariant *
mp_pool_run (MpPool        *self,
             MpJob         *job,
             const char    *function,
             const char    *what,
             gint64         timeout_us,
             GCancellable  *cancellable,
             GError       **error)
{
  G_GNUC_UNUSED g_autoptr(MpPool) pool = g_object_ref (self);
  GVariant *value = NULL;

  if (job != NULL)
    job->brief = TRUE;
  job = mp_pool_hand_over (mp_pool_get_core (self), job, function, error);
  if (job == NULL)
    return NULL;

  if (mp_job_wait (job, what, timeout_us, cancellable, TRUE, error))
    value = mp_job_dup_result (job, error);
  mp_job_unref (job);

  return value;
}

void
mp_pool_run_async (MpPool              *self,
                   MpJob               *job,
                   GError              *error,
                   const char          *function,
                   gpointer             source_tag,
                   GCancellable        *cancellable,
                   GAsyncReadyCallback  callback,
                   gpointer             user_data)
{
  MpPoolCore *core = mp_pool_get_core (self);
  GTask *task = g_task_new (self, cancellable, NULL, NULL);

  g_task_set_source_tag (task, source_tag);
  job = mp_pool_hand_over (core, job, function, &error);
  if (job == NULL)
    {
      mp_waiter_return_failed (task, error, core, callback, user_data);
      return;
    }
  mp_waiter_add (core, job, task, callback, user_data, mp_waiter_give_result, TRUE);
  mp_job_unref (job);
}

/**
 * mp_pool_apply:
 * @self: a pool
 * @function: the function's name
 * @args: (nullable): its argument; a floating reference is taken; `NULL` stands for an empty tuple
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): calls the task off
 *
 * Calls a function in a worker and waits for its result.
 *
 * A wait that ends early calls the task off, because nobody could ask for the result: see [class@Mp.Pool], *Cancelling*.
 *
 * Errors: the function's own; `MP_ERROR_NO_SUCH_FUNCTION`, `MP_ERROR_INVALID_TYPE` and `MP_ERROR_NO_RESULT` when it cannot be
 * called so or breaks its word; `MP_ERROR_WORKER_DIED` when its worker died while it ran; what failed the pool
 * (`MP_ERROR_WORKER_START`, `MP_ERROR_NOT_INITIALIZED`, the initializer's error, …); `G_IO_ERROR_CLOSED` when the pool is
 * closed; `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` and `MP_ERROR_INTERRUPTED` when the wait ended first.
 *
 * Callbacks and signals of the pool that are due run meanwhile, in a thread that may acquire their main context.
 *
 * Returns: (transfer full): the result
 *
 * Since: 0.1
 */
GVariant *
mp_pool_apply (MpPool        *self,
               const char    *function,
               GVariant      *args,
               gint64         timeout_us,
               GCancellable  *cancellable,
               GError       **error)
{
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  job = mp_pool_make_call (mp_pool_get_core (self), function, args, error);
  return mp_pool_run (self, job, function, "pool apply", timeout_us, cancellable, error);
}

/**
 * mp_pool_apply_async:
 * @self: a pool
 * @function: the function's name
 * @args: (nullable): its argument; a floating reference is taken; `NULL` stands for an empty tuple
 * @cancellable: (nullable): calls the task off
 * @callback: (scope async) (closure user_data): called when the result is there
 * @user_data: data for @callback
 *
 * Calls a function in a worker without waiting.
 *
 * The pool lives at least until @callback has run. That is in the thread-default main context of the caller, or in a blocking
 * call on the pool in a thread that may acquire that.
 *
 * Since: 0.1
 */
void
mp_pool_apply_async (MpPool              *self,
                     const char          *function,
                     GVariant            *args,
                     GCancellable        *cancellable,
                     GAsyncReadyCallback  callback,
                     gpointer             user_data)
{
  GError *error = NULL;
  MpJob *job = NULL;

  g_return_if_fail (MP_IS_POOL (self));
  g_return_if_fail (function != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  job = mp_pool_make_call (mp_pool_get_core (self), function, args, &error);
  mp_pool_run_async (self, job, error, function, mp_pool_apply_async, cancellable, callback, user_data);
}

/**
 * mp_pool_apply_finish:
 * @self: a pool
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Pool.apply_async].
 *
 * Returns: (transfer full): the result
 *
 * Since: 0.1
 */
GVariant *
mp_pool_apply_finish (MpPool        *self,
                      GAsyncResult  *result,
                      GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_pool_map:
 * @self: a pool
 * @function: the function's name
 * @items: an array; a floating reference is taken
 * @chunk_size: how many items make one task; 0 for four tasks for each worker, or more, of 128 KiB at most
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): calls the tasks off
 *
 * Calls a function for each item and waits for the results.
 *
 * The results have the order of the items. When a call fails, the rest of its chunk is left out; the other chunks run to
 * their end, and then the error of the first failing chunk, by its place, is given.
 *
 * What is no array is refused with `G_IO_ERROR_INVALID_ARGUMENT`; other errors as with [method@Mp.Pool.apply].
 *
 * Returns: (transfer full): an array of the results
 *
 * Since: 0.1
 */
GVariant *
mp_pool_map (MpPool        *self,
             const char    *function,
             GVariant      *items,
             guint          chunk_size,
             gint64         timeout_us,
             GCancellable  *cancellable,
             GError       **error)
{
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (items != NULL, NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  job = make_map (mp_pool_get_core (self), MP_JOB_MAP, function, items, chunk_size, error);
  return mp_pool_run (self, job, function, "pool map", timeout_us, cancellable, error);
}

/**
 * mp_pool_map_async:
 * @self: a pool
 * @function: the function's name
 * @items: an array; a floating reference is taken
 * @chunk_size: how many items make one task; 0 for four tasks for each worker, or more, of 128 KiB at most
 * @cancellable: (nullable): calls the tasks off
 * @callback: (scope async) (closure user_data): called when all results are there
 * @user_data: data for @callback
 *
 * Calls a function for each item without waiting.
 *
 * See [method@Mp.Pool.map] and [method@Mp.Pool.apply_async].
 *
 * Since: 0.1
 */
void
mp_pool_map_async (MpPool              *self,
                   const char          *function,
                   GVariant            *items,
                   guint                chunk_size,
                   GCancellable        *cancellable,
                   GAsyncReadyCallback  callback,
                   gpointer             user_data)
{
  GError *error = NULL;
  MpJob *job = NULL;

  g_return_if_fail (MP_IS_POOL (self));
  g_return_if_fail (function != NULL);
  g_return_if_fail (items != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  job = make_map (mp_pool_get_core (self), MP_JOB_MAP, function, items, chunk_size, &error);
  mp_pool_run_async (self, job, error, function, mp_pool_map_async, cancellable, callback, user_data);
}

/**
 * mp_pool_map_finish:
 * @self: a pool
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Pool.map_async].
 *
 * Returns: (transfer full): an array of the results
 *
 * Since: 0.1
 */
GVariant *
mp_pool_map_finish (MpPool        *self,
                    GAsyncResult  *result,
                    GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_pool_submit:
 * @self: a pool
 * @function: the function's name
 * @args: (nullable): its argument; a floating reference is taken; `NULL` stands for an empty tuple
 *
 * Calls a function in a worker, for a result to be fetched later.
 *
 * Never blocks. An error is one of the call itself: a bad argument, or a pool that takes nothing any more.
 *
 * Returns: (transfer full): the result to come
 *
 * Since: 0.1
 */
MpFuture *
mp_pool_submit (MpPool      *self,
                const char  *function,
                GVariant    *args,
                GError     **error)
{
  MpPoolCore *core = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);

  core = mp_pool_get_core (self);
  return mp_pool_hand_over_future (core, mp_pool_make_call (core, function, args, error), function, error);
}

/**
 * mp_pool_submit_with:
 * @self: a pool
 * @function: the function's name
 * @args: (nullable): its argument; a floating reference is taken; `NULL` stands for an empty tuple
 * @options: (nullable): how to carry it out
 *
 * Calls a function in a worker in a way of its own, for a result to be fetched later.
 *
 * It is [method@Mp.Pool.submit] with a priority, deadlines, attempts, a name and a cancellable, see the properties of
 * [class@Mp.TaskOptions].
 *
 * One that does not begin, or does not end, in its time ends with `G_IO_ERROR_TIMED_OUT`; one that runs is stopped then, as
 * when it is called off. One with several attempts ends as the last of them did; its error then says how many workers it
 * killed, and the details have `"attempts"` and `"killed-workers"`.
 *
 * Returns: (transfer full): the result to come
 *
 * Since: 0.1
 */
MpFuture *
mp_pool_submit_with (MpPool         *self,
                     const char     *function,
                     GVariant       *args,
                     MpTaskOptions  *options,
                     GError        **error)
{
  MpPoolCore *core = NULL;
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options), NULL);

  core = mp_pool_get_core (self);
  job = mp_pool_make_call (core, function, args, error);
  if (job != NULL)
    mp_job_set_options (job, function, options);
  return mp_pool_hand_over_future (core, job, function, error);
}

/**
 * mp_pool_submit_map:
 * @self: a pool
 * @function: the function's name
 * @items: an array; a floating reference is taken
 * @chunk_size: how many items make one task; 0 for four tasks for each worker, or more, of 128 KiB at most
 *
 * Calls a function for each item, for the results to be fetched later.
 *
 * See [method@Mp.Pool.map] and [method@Mp.Pool.submit].
 *
 * Returns: (transfer full): the array of results to come
 *
 * Since: 0.1
 */
MpFuture *
mp_pool_submit_map (MpPool      *self,
                    const char  *function,
                    GVariant    *items,
                    guint        chunk_size,
                    GError     **error)
{
  MpPoolCore *core = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (items != NULL, NULL);

  core = mp_pool_get_core (self);
  return mp_pool_hand_over_future (core, make_map (core, MP_JOB_MAP, function, items, chunk_size, error), function, error);
}

static MpResultIter *
iterate (MpPool      *self,
         MpJobKind    kind,
         const char  *function,
         GVariant    *items,
         guint        chunk_size,
         GError     **error)
{
  MpPoolCore *core = mp_pool_get_core (self);
  MpJob *job = mp_pool_hand_over (core, make_map (core, kind, function, items, chunk_size, error), function, error);

  return job != NULL ? mp_result_iter_new (job) : NULL;
}

/**
 * mp_pool_imap:
 * @self: a pool
 * @function: the function's name
 * @items: an array; a floating reference is taken
 * @chunk_size: how many items make one task; 0 for 1
 *
 * Calls a function for each item, and gives the results one by one in the order of the items.
 *
 * Only some chunks are sent ahead of what has been read, see [class@Mp.ResultIter]. When a call fails, the others of its
 * chunk are made all the same. Errors as with [method@Mp.Pool.submit_map].
 *
 * Returns: (transfer full): the results
 *
 * Since: 0.1
 */
MpResultIter *
mp_pool_imap (MpPool      *self,
              const char  *function,
              GVariant    *items,
              guint        chunk_size,
              GError     **error)
{
  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (items != NULL, NULL);

  return iterate (self, MP_JOB_IMAP, function, items, chunk_size, error);
}

/**
 * mp_pool_imap_unordered:
 * @self: a pool
 * @function: the function's name
 * @items: an array; a floating reference is taken
 * @chunk_size: how many items make one task; 0 for 1
 *
 * Calls a function for each item, and gives the results as they come.
 *
 * See [method@Mp.Pool.imap].
 *
 * Returns: (transfer full): the results
 *
 * Since: 0.1
 */
MpResultIter *
mp_pool_imap_unordered (MpPool      *self,
                        const char  *function,
                        GVariant    *items,
                        guint        chunk_size,
                        GError     **error)
{
  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (items != NULL, NULL);

  return iterate (self, MP_JOB_IMAP_UNORDERED, function, items, chunk_size, error);
}
