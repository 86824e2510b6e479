/* mp-result-iter.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include "mp-glib/base/mp-error-private.h"

/**
 * MpResultIter:
 *
 * The results of a [method@Mp.Pool.imap], one by one.
 *
 * It is made by [method@Mp.Pool.imap], which gives the results in the order of the items, and by
 * [method@Mp.Pool.imap_unordered], which gives them as they come. Each item has its own outcome: one that failed gives its
 * error, and the next call goes on with the next item.
 *
 * Chunks are sent ahead of the reader as it needs them: who reads slowly does not find the whole input computed and its
 * results in memory.
 *
 * An iterator does not keep its pool alive. When that is finalized, is terminated or gives up, the iterator gives
 * what has arrived, then the error once, then the end; see [method@Mp.ResultIter.next]. An iterator that is dropped
 * calls off what has not been sent yet.
 *
 * Any thread may use it; each result goes to one caller.
 *
 * Since: 0.1
 */
struct _MpResultIter
{
  GObject parent_instance;

  MpJob *job;   /* (owned) */
};

G_DEFINE_FINAL_TYPE (MpResultIter, mp_result_iter, G_TYPE_OBJECT)

/* What a wait for the next item is about: taken as soon as it is there, so that nobody else gets it. */
typedef struct
{
  MpJob    *job;
  GThread  *thread;    /* who waits: take_next() is called in any */
  MpAnswer  answer;
  gboolean  taken;
} Next;

static void
mp_result_iter_finalize (GObject *object)
{
  MpResultIter *self = MP_RESULT_ITER (object);

  if (mp_pool_core_is_ours (self->job->core, NULL))
    mp_job_abandon (self->job);
  mp_job_unref (self->job);

  G_OBJECT_CLASS (mp_result_iter_parent_class)->finalize (object);
}

static void
mp_result_iter_class_init (MpResultIterClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_result_iter_finalize;
}

static void
mp_result_iter_init (MpResultIter *self)
{
}

MpResultIter *
mp_result_iter_new (MpJob *job)
{
  MpResultIter *self = g_object_new (MP_TYPE_RESULT_ITER, NULL);

  self->job = job;

  return self;
}

/* Moves the item out of @answer. */
static GVariant *
unpack (MpAnswer  *answer,
        GError   **error)
{
  if (answer->error != NULL)
    {
      if (answer->details != NULL)
        mp_error_attach_details (answer->error, answer->details);
      g_propagate_error (error, g_steal_pointer (&answer->error));
      g_clear_pointer (&answer->details, g_variant_unref);
      return NULL;
    }
  return g_steal_pointer (&answer->value);
}

/* The function that gives the items waits for what only it can bring about. */
static gboolean
is_stuck (MpJob    *job,
          GThread  *thread,
          MpAnswer *answer)
{
  if (job->feed == NULL || job->n_out > 0 || job->n_ready > 0 || !mp_feed_is_read_by (job->feed, thread))
    return FALSE;

  answer->error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_PENDING, "pool imap: its next item is just being asked for");
  return TRUE;
}

static gboolean
take_next (gpointer data)
{
  Next *next = data;

  if (!next->taken)
    next->taken = mp_imap_take (next->job, &next->answer) || is_stuck (next->job, next->thread, &next->answer);
  return next->taken;
}

/**
 * mp_result_iter_next:
 * @self: a result iterator
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits for the next result.
 *
 * `NULL` without an error says that there are no more. An item that failed gives its own error, and the next call gives the
 * next item. When the wait itself ends early, with `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` or
 * `MP_ERROR_INTERRUPTED`, no item is lost.
 *
 * A pool that comes to its end before the items do gives one error for all that is left, in the place of the next
 * item, and then `NULL`: `G_IO_ERROR_CANCELLED` when it was terminated, `G_IO_ERROR_CLOSED` when it is gone, and when
 * it has given up what made it do so, `MP_ERROR_WORKER_START` for instance. Whoever must account for every item
 * counts them: [method@Mp.ResultIter.get_n_items].
 *
 * Callbacks and signals of the pool that are due run meanwhile, in a thread that may acquire their main context.
 *
 * Returns: (transfer full) (nullable): the result
 *
 * Since: 0.1
 */
GVariant *
mp_result_iter_next (MpResultIter  *self,
                     gint64         timeout_us,
                     GCancellable  *cancellable,
                     GError       **error)
{
  Next next = { NULL };
  GVariant *value = NULL;

  g_return_val_if_fail (MP_IS_RESULT_ITER (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  next.job = mp_job_ref (self->job);
  next.thread = g_thread_self ();
  if (mp_pool_core_is_ours (self->job->core, error) &&
      mp_hub_wait (next.job->core, take_next, &next, "pool imap", timeout_us, cancellable, error))
    value = unpack (&next.answer, error);
  mp_answer_clear (&next.answer);
  mp_job_unref (next.job);

  return value;
}

static void
give_next (MpWaiter *waiter)
{
  GError *error = NULL;
  GVariant *value = unpack (&waiter->answer, &error);

  if (error != NULL)
    g_task_return_error (waiter->task, error);
  else
    g_task_return_pointer (waiter->task, value, (GDestroyNotify) g_variant_unref);
}

/**
 * mp_result_iter_next_async:
 * @self: a result iterator
 * @cancellable: (nullable): ends the waiting; no item is lost
 * @callback: (scope async) (closure user_data): called when the next result is there
 * @user_data: data for @callback
 *
 * Waits for the next result without blocking.
 *
 * Several may be under way: they get the items one after another. @callback runs in the thread-default main context of the
 * caller, or in a blocking call on the same pool in a thread that may acquire that.
 *
 * Since: 0.1
 */
void
mp_result_iter_next_async (MpResultIter        *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  GTask *task = NULL;

  g_return_if_fail (MP_IS_RESULT_ITER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_result_iter_next_async);
  mp_waiter_add (self->job->core, self->job, task, callback, user_data, give_next, FALSE);
}

/**
 * mp_result_iter_next_finish:
 * @self: a result iterator
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.ResultIter.next_async].
 *
 * `NULL` without an error says that there are no more. The errors are those of [method@Mp.ResultIter.next].
 *
 * Returns: (transfer full) (nullable): the result
 *
 * Since: 0.1
 */
GVariant *
mp_result_iter_next_finish (MpResultIter  *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

typedef struct
{
  MpJob    *job;
  GThread  *thread;
  MpBatch  *batch;
  gboolean  taken;
} NextBatch;

static gboolean
take_batch (gpointer data)
{
  NextBatch *next = data;

  if (!next->taken)
    next->taken = mp_imap_take_batch (next->job, next->batch) || is_stuck (next->job, next->thread, &next->batch->end);
  return next->taken;
}

/* Without items: how it ends. */
static GVariant *
unpack_batch (MpBatch  *batch,
              GError  **error)
{
  return batch->n_items > 0 ? mp_batch_pack (batch) : unpack (&batch->end, error);
}

/**
 * mp_result_iter_next_batch:
 * @self: a result iterator
 * @max_items: how many results at most; 0 for as many as there are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits for the next result, and gives all that are there.
 *
 * That saves most of the cost of small results. The array has, for each of them, the number of its item in the input, from
 * 0; whether it has succeeded; and its result, or its error as a `(sisa{sv})` of domain, code, message and details (as
 * [method@Mp.Future.dup_error_details] has them).
 *
 * `NULL` without an error says that there are no more. An error is one of the wait, or that of a pool that has come to its
 * end before the items did: see [method@Mp.ResultIter.next].
 *
 * Objects that came in the results live as long as any part of the array.
 *
 * Returns: (transfer full) (nullable): an `a(tbv)` of at least one result
 *
 * Since: 0.1
 */
GVariant *
mp_result_iter_next_batch (MpResultIter  *self,
                           guint          max_items,
                           gint64         timeout_us,
                           GCancellable  *cancellable,
                           GError       **error)
{
  NextBatch next = { NULL };
  GVariant *value = NULL;

  g_return_val_if_fail (MP_IS_RESULT_ITER (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  next.job = mp_job_ref (self->job);
  next.thread = g_thread_self ();
  next.batch = mp_batch_new (max_items);
  if (mp_pool_core_is_ours (self->job->core, error) &&
      mp_hub_wait (next.job->core, take_batch, &next, "pool imap", timeout_us, cancellable, error))
    value = unpack_batch (next.batch, error);
  mp_batch_free (next.batch);
  mp_job_unref (next.job);

  return value;
}

static void
give_batch (MpWaiter *waiter)
{
  GError *error = NULL;
  GVariant *value = unpack_batch (mp_batch_of (waiter), &error);

  if (error != NULL)
    g_task_return_error (waiter->task, error);
  else
    g_task_return_pointer (waiter->task, value, (GDestroyNotify) g_variant_unref);
  g_task_set_task_data (waiter->task, NULL, NULL);
}

MpBatch *
mp_batch_of (MpWaiter *waiter)
{
  return waiter->give == give_batch ? g_task_get_task_data (waiter->task) : NULL;
}

/**
 * mp_result_iter_next_batch_async:
 * @self: a result iterator
 * @max_items: how many results at most; 0 for as many as there are
 * @cancellable: (nullable): ends the waiting; no item is lost
 * @callback: (scope async) (closure user_data): called when some results are there
 * @user_data: data for @callback
 *
 * Waits for the next result without blocking, and gives all that are there then.
 *
 * See [method@Mp.ResultIter.next_batch] and [method@Mp.ResultIter.next_async].
 *
 * Since: 0.1
 */
void
mp_result_iter_next_batch_async (MpResultIter        *self,
                                 guint                max_items,
                                 GCancellable        *cancellable,
                                 GAsyncReadyCallback  callback,
                                 gpointer             user_data)
{
  GTask *task = NULL;

  g_return_if_fail (MP_IS_RESULT_ITER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_result_iter_next_batch_async);
  g_task_set_task_data (task, mp_batch_new (max_items), (GDestroyNotify) mp_batch_free);
  mp_waiter_add (self->job->core, self->job, task, callback, user_data, give_batch, FALSE);
}

/**
 * mp_result_iter_next_batch_finish:
 * @self: a result iterator
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.ResultIter.next_batch_async].
 *
 * `NULL` without an error says that there are no more. The errors are those of [method@Mp.ResultIter.next_batch].
 *
 * Returns: (transfer full) (nullable): an `a(tbv)` of at least one result
 *
 * Since: 0.1
 */
GVariant *
mp_result_iter_next_batch_finish (MpResultIter  *self,
                                  GAsyncResult  *result,
                                  GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_result_iter_close:
 * @self: a result iterator
 *
 * Ends it before its time.
 *
 * What has not been computed is called off, what has been is dropped, and its input is not asked for any more. Whoever waits
 * for the next result gets the end, as does everybody from now on. What runs is stopped, as [method@Mp.Future.cancel] does. A
 * dropped iterator does the same by itself, but for what runs, or was sent to a worker ahead: that goes on, and nobody hears
 * of it. This is for languages that drop what nobody needs only some time later, too.
 *
 * Since: 0.1
 */
void
mp_result_iter_close (MpResultIter *self)
{
  g_return_if_fail (MP_IS_RESULT_ITER (self));

  if (!mp_pool_core_is_ours (self->job->core, NULL))
    return;
  mp_hub_lock ();
  mp_imap_close (self->job);
  mp_hub_changed ();
  mp_hub_unlock ();
}

/**
 * mp_result_iter_get_n_items:
 * @self: a result iterator
 *
 * The number of items of the input, and so of the results and errors that there are in all.
 *
 * Of input that is asked for as it is needed ([method@Mp.Pool.imap_with]) it is known when its end has been seen. If it has
 * failed there, that error counts as one item more, once all the others are there.
 *
 * Returns: the number of items; `G_MAXSIZE` when it is not known yet
 *
 * Since: 0.1
 */
gsize
mp_result_iter_get_n_items (MpResultIter *self)
{
  gsize n_items = G_MAXSIZE;

  g_return_val_if_fail (MP_IS_RESULT_ITER (self), 0);

  if (self->job->feed == NULL)
    return mp_map_get_n_items (self->job->map);

  mp_hub_lock ();
  if (!mp_feed_is_open (self->job->feed))
    n_items = mp_map_get_n_items (self->job->map);
  mp_hub_unlock ();

  return n_items;
}
