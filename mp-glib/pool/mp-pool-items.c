/* mp-pool-items.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/pool/mp-items-private.h"

/* The calls that take items of any kind. */

static MpJob *
make_job (MpPool         *self,
          MpJobKind       kind,
          const char     *function,
          MpItems        *items,
          guint           chunk_size,
          MpTaskOptions  *options,
          GError        **error)
{
  MpPoolCore *core = mp_pool_get_core (self);
  GVariant *array = mp_items_get_array (items);
  MpJob *job = NULL;

  if (!mp_pool_core_is_ours (core, error))
    return NULL;

  if (array == NULL)
    job = mp_job_new_fed (core, kind, function, items, chunk_size, error);
  else if (!mp_items_claim (items, error))
    job = NULL;
  else if (kind == MP_JOB_MAP)
    job = mp_job_new_map (core, kind, function, array, chunk_size, error);
  else
    job = mp_job_new_imap (core, kind == MP_JOB_IMAP, function, array, chunk_size, error);
  if (job != NULL)
    mp_job_set_options (job, function, options);

  return job;
}

/**
 * mp_pool_imap_with:
 * @self: a pool
 * @function: the function's name
 * @items: what to call it with, item by item
 * @chunk_size: how many items make one task; 0 for 1
 * @ordered: whether the results come in the order of the items, or as they are there
 * @options: (nullable): how to carry it out
 *
 * Calls a function for each item, and gives the results one by one.
 *
 * As [method@Mp.Pool.imap], with items that are asked for only as far ahead of the reader as it needs them: who stops reading
 * stops the input, and input that has no end takes no more memory than a short one.
 *
 * The error of an input that fails comes in the place of the item, behind all other results, and then the end: see
 * [class@Mp.Items].
 *
 * While such an iterator is not read to its end, [method@Mp.Pool.join] of a closed pool reads all of the input, and keeps the
 * results; drop the iterator before, when it has no end.
 *
 * Returns: (transfer full): the results
 *
 * Since: 0.1
 */
MpResultIter *
mp_pool_imap_with (MpPool         *self,
                   const char     *function,
                   MpItems        *items,
                   guint           chunk_size,
                   gboolean        ordered,
                   MpTaskOptions  *options,
                   GError        **error)
{
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (MP_IS_ITEMS (items), NULL);
  g_return_val_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options), NULL);

  job = make_job (self, ordered ? MP_JOB_IMAP : MP_JOB_IMAP_UNORDERED, function, items, chunk_size, options, error);
  job = mp_pool_hand_over (mp_pool_get_core (self), job, function, error);
  return job != NULL ? mp_result_iter_new (job) : NULL;
}

/**
 * mp_pool_submit_map_with:
 * @self: a pool
 * @function: the function's name
 * @items: what to call it with, item by item
 * @chunk_size: how many items make one task; 0 for four tasks for each worker, or for 16 when their number is not known
 * @options: (nullable): how to carry it out
 *
 * Calls a function for each item, for the results to be fetched later.
 *
 * As [method@Mp.Pool.submit_map], with items that are asked for as the pool has room for them: see [class@Mp.Items]. When the
 * input fails, what came before it is computed, and then its error is given, unless a call has failed before.
 *
 * Returns: (transfer full): the array of results to come
 *
 * Since: 0.1
 */
MpFuture *
mp_pool_submit_map_with (MpPool         *self,
                         const char     *function,
                         MpItems        *items,
                         guint           chunk_size,
                         MpTaskOptions  *options,
                         GError        **error)
{
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (MP_IS_ITEMS (items), NULL);
  g_return_val_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options), NULL);

  job = make_job (self, MP_JOB_MAP, function, items, chunk_size, options, error);
  return mp_pool_hand_over_future (mp_pool_get_core (self), job, function, error);
}

/**
 * mp_pool_map_with:
 * @self: a pool
 * @function: the function's name
 * @items: what to call it with, item by item
 * @chunk_size: how many items make one task; 0 for four tasks for each worker, or for 16 when their number is not known
 * @options: (nullable): how to carry it out
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting, and calls the map off
 *
 * Calls a function for each item and waits for the results.
 *
 * As [method@Mp.Pool.map], with items as [method@Mp.Pool.submit_map_with] takes them.
 *
 * Returns: (transfer full): an array of the results
 *
 * Since: 0.1
 */
GVariant *
mp_pool_map_with (MpPool         *self,
                  const char     *function,
                  MpItems        *items,
                  guint           chunk_size,
                  MpTaskOptions  *options,
                  gint64          timeout_us,
                  GCancellable   *cancellable,
                  GError        **error)
{
  MpJob *job = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (MP_IS_ITEMS (items), NULL);
  g_return_val_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  job = make_job (self, MP_JOB_MAP, function, items, chunk_size, options, error);
  return mp_pool_run (self, job, function, "pool map", timeout_us, cancellable, error);
}

/**
 * mp_pool_map_with_async:
 * @self: a pool
 * @function: the function's name
 * @items: what to call it with, item by item
 * @chunk_size: how many items make one task; 0 for four tasks for each worker, or for 16 when their number is not known
 * @options: (nullable): how to carry it out
 * @cancellable: (nullable): calls it off
 * @callback: (scope async) (closure user_data): called when all results are there
 * @user_data: data for @callback
 *
 * Calls a function for each item without waiting.
 *
 * See [method@Mp.Pool.map_with] and [method@Mp.Pool.map_async].
 *
 * Since: 0.1
 */
void
mp_pool_map_with_async (MpPool              *self,
                        const char          *function,
                        MpItems             *items,
                        guint                chunk_size,
                        MpTaskOptions       *options,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  GError *error = NULL;
  MpJob *job = NULL;

  g_return_if_fail (MP_IS_POOL (self));
  g_return_if_fail (function != NULL);
  g_return_if_fail (MP_IS_ITEMS (items));
  g_return_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  job = make_job (self, MP_JOB_MAP, function, items, chunk_size, options, &error);
  mp_pool_run_async (self, job, error, function, mp_pool_map_with_async, cancellable, callback, user_data);
}

/**
 * mp_pool_map_with_finish:
 * @self: a pool
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Pool.map_with_async].
 *
 * Returns: (transfer full): an array of the results
 *
 * Since: 0.1
 */
GVariant *
mp_pool_map_with_finish (MpPool        *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
