/* mp-future-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"

/* Waiting for several futures, of one pool or more. Each is watched, so that it takes no look at all of them when one
 * has ended. */

typedef struct _Gather Gather;

typedef struct
{
  MpJobWatch  watch;
  Gather     *gather;
  MpFuture   *future;    /* (owned) */
} Member;

struct _Gather
{
  gsize     n_members;
  Member   *members;     /* (owned) (array length=n_members) */
  gboolean  any;         /* the first end is enough */
  gsize     n_left;      /* that have not ended */
  Member   *first;       /* (nullable) the one that has ended first */
  MpReply  *reply;       /* (nullable) of an asynchronous call */
};

static gboolean
is_over (gpointer data)
{
  Gather *self = data;

  return self->any ? self->first != NULL : self->n_left == 0;
}

static void
unwatch (Gather *self)
{
  for (gsize i = 0; i < self->n_members; i++)
    mp_job_unwatch (&self->members[i].watch);
}

static void
ended_cb (MpJobWatch *watch)
{
  Member *member = (Member *) watch;
  Gather *self = member->gather;

  self->n_left--;
  if (self->first == NULL)
    self->first = member;
  if (self->reply != NULL && is_over (self))
    {
      unwatch (self);
      mp_reply_post (g_steal_pointer (&self->reply));
    }
}

static Gather *
gather_new (MpFuture **futures,
            gsize      n_futures,
            gboolean   any)
{
  Gather *self = g_new0 (Gather, 1);

  self->n_members = self->n_left = n_futures;
  self->members = g_new0 (Member, n_futures);
  self->any = any;
  for (gsize i = 0; i < n_futures; i++)
    {
      self->members[i].watch.func = ended_cb;
      self->members[i].gather = self;
      self->members[i].future = g_object_ref (futures[i]);
    }
  return self;
}

static void
gather_free (Gather *self)
{
  for (gsize i = 0; i < self->n_members; i++)
    g_object_unref (self->members[i].future);
  g_free (self->members);
  g_free (self);
}

/* With the lock held. */
static void
begin (Gather *self)
{
  for (gsize i = 0; i < self->n_members; i++)
    {
      Member *member = &self->members[i];

      if (mp_job_watch (mp_future_get_job (member->future), &member->watch))
        continue;
      self->n_left--;
      if (self->first == NULL)
        self->first = member;
    }
}

static gboolean
check (MpFuture **futures,
       gsize      n_futures,
       gboolean   any,
       GError   **error)
{
  for (gsize i = 0; i < n_futures; i++)
    if (!mp_pool_core_is_ours (mp_future_get_job (futures[i])->core, error))
      return FALSE;
  if (any && n_futures == 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "wait for any future: there are none");
      return FALSE;
    }
  return TRUE;
}

/* Whose callbacks a blocking call runs. */
static GPtrArray *
list_cores (MpFuture **futures,
            gsize      n_futures)
{
  GPtrArray *cores = g_ptr_array_new ();
  MpPoolCore *last = NULL;

  for (gsize i = 0; i < n_futures; i++)
    {
      MpPoolCore *core = mp_future_get_job (futures[i])->core;

      if (core != last && !g_ptr_array_find (cores, core, NULL))
        g_ptr_array_add (cores, core);
      last = core;
    }
  return cores;
}

/* @first: for any, (out) (transfer full). */
static gboolean
wait_blocking (MpFuture     **futures,
               gsize          n_futures,
               gboolean       any,
               MpFuture     **first,
               const char    *what,
               gint64         timeout_us,
               GCancellable  *cancellable,
               GError       **error)
{
  g_autoptr(GPtrArray) cores = NULL;
  Gather *gather = NULL;
  gboolean over = FALSE;

  if (!check (futures, n_futures, any, error))
    return FALSE;

  cores = list_cores (futures, n_futures);
  gather = gather_new (futures, n_futures, any);
  mp_hub_lock ();
  begin (gather);
  mp_hub_unlock ();
  over = mp_hub_wait_for_owners ((const gconstpointer *) cores->pdata, cores->len, is_over, gather, what, timeout_us,
                                 cancellable, error);
  mp_hub_lock ();
  unwatch (gather);
  mp_hub_unlock ();
  if (over && any)
    *first = g_object_ref (gather->first->future);
  gather_free (gather);

  return over;
}

static void
withdraw (MpReply *reply)
{
  Gather *self = reply->data;

  self->reply = NULL;
  unwatch (self);
}

static void
give (MpReply *reply)
{
  Gather *self = reply->data;

  if (self->any)
    g_task_return_pointer (reply->task, g_object_ref (self->first->future), g_object_unref);
  else
    g_task_return_boolean (reply->task, TRUE);
}

static void
clear (MpReply *reply)
{
  gather_free (reply->data);
}

static void
give_error (MpReply *reply)
{
  g_task_return_error (reply->task, reply->data);
}

static const MpReplyFuncs funcs = { withdraw, give, clear };
static const MpReplyFuncs error_funcs = { NULL, give_error, NULL };

void
mp_future_gather (GTask                *task,
                  MpFuture            **futures,
                  gsize                 n_futures,
                  gboolean              any,
                  GAsyncReadyCallback   callback,
                  gpointer              user_data)
{
  GError *error = NULL;
  Gather *gather = NULL;
  MpReply *reply = NULL;

  if (!check (futures, n_futures, any, &error))
    {
      reply = mp_reply_new (task, task, callback, user_data, &error_funcs, error);
      mp_hub_lock ();
      mp_reply_post (reply);
      mp_hub_unlock ();
      return;
    }

  gather = gather_new (futures, n_futures, any);
  reply = mp_reply_new (n_futures > 0 ? mp_future_get_job (futures[0])->core : (gpointer) gather, task, callback,
                        user_data, &funcs, gather);
  mp_hub_lock ();
  if (mp_reply_wait (reply))
    {
      begin (gather);
      gather->reply = reply;
      if (is_over (gather))
        {
          unwatch (gather);
          mp_reply_post (g_steal_pointer (&gather->reply));
        }
    }
  mp_hub_changed ();
  mp_hub_unlock ();
}

/**
 * mp_future_wait_all:
 * @futures: (array length=n_futures): the futures, of whatever pools
 * @n_futures: how many they are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits until all tasks have ended, well or not.
 *
 * Callbacks and signals of their pools that are due run meanwhile, in a thread that may acquire their main context.
 *
 * Returns: `TRUE` when all have ended, `FALSE` with `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` or
 *   `MP_ERROR_INTERRUPTED` when the wait has ended first
 *
 * Since: 0.1
 */
gboolean
mp_future_wait_all (MpFuture     **futures,
                    gsize          n_futures,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  g_return_val_if_fail (futures != NULL || n_futures == 0, FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return wait_blocking (futures, n_futures, FALSE, NULL, "wait for all futures", timeout_us, cancellable, error);
}

/**
 * mp_future_wait_all_async:
 * @futures: (array length=n_futures): the futures, of whatever pools
 * @n_futures: how many they are
 * @cancellable: (nullable): ends the waiting; the tasks go on
 * @callback: (scope async) (closure user_data): called when all have ended
 * @user_data: data for @callback
 *
 * Waits until all tasks have ended, without blocking.
 *
 * @callback gets `NULL` as its source. It runs in the thread-default main context of the caller, or in a blocking call on
 * the pool of the first of them in a thread that may acquire that.
 *
 * Since: 0.1
 */
void
mp_future_wait_all_async (MpFuture            **futures,
                          gsize                 n_futures,
                          GCancellable         *cancellable,
                          GAsyncReadyCallback   callback,
                          gpointer              user_data)
{
  g_return_if_fail (futures != NULL || n_futures == 0);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  mp_future_gather (g_task_new (NULL, cancellable, NULL, NULL), futures, n_futures, FALSE, callback, user_data);
}

/**
 * mp_future_wait_all_finish:
 * @result: what the callback was given
 *
 * The outcome of [func@Mp.Future.wait_all_async].
 *
 * Returns: `TRUE` when all tasks have ended, `FALSE` with `G_IO_ERROR_CANCELLED`
 *
 * Since: 0.1
 */
gboolean
mp_future_wait_all_finish (GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_future_wait_any:
 * @futures: (array length=n_futures): the futures, of whatever pools
 * @n_futures: how many they are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits until one of the tasks has ended, well or not.
 *
 * When some have ended before the call, it is the first of them in the order given. Without futures the error is
 * `G_IO_ERROR_INVALID_ARGUMENT`; others are those of [func@Mp.Future.wait_all]. Who wants one after the other uses
 * [method@Mp.FutureList.next_done].
 *
 * Returns: (transfer full): the future that has ended
 *
 * Since: 0.1
 */
MpFuture *
mp_future_wait_any (MpFuture     **futures,
                    gsize          n_futures,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  MpFuture *first = NULL;

  g_return_val_if_fail (futures != NULL || n_futures == 0, NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  wait_blocking (futures, n_futures, TRUE, &first, "wait for any future", timeout_us, cancellable, error);
  return first;
}

/**
 * mp_future_wait_any_async:
 * @futures: (array length=n_futures): the futures, of whatever pools
 * @n_futures: how many they are
 * @cancellable: (nullable): ends the waiting; the tasks go on
 * @callback: (scope async) (closure user_data): called when one has ended
 * @user_data: data for @callback
 *
 * Waits until one of the tasks has ended, without blocking.
 *
 * See [func@Mp.Future.wait_any] and [func@Mp.Future.wait_all_async].
 *
 * Since: 0.1
 */
void
mp_future_wait_any_async (MpFuture            **futures,
                          gsize                 n_futures,
                          GCancellable         *cancellable,
                          GAsyncReadyCallback   callback,
                          gpointer              user_data)
{
  g_return_if_fail (futures != NULL || n_futures == 0);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  mp_future_gather (g_task_new (NULL, cancellable, NULL, NULL), futures, n_futures, TRUE, callback, user_data);
}

/**
 * mp_future_wait_any_finish:
 * @result: what the callback was given
 *
 * The outcome of [func@Mp.Future.wait_any_async].
 *
 * Returns: (transfer full): the future that has ended
 *
 * Since: 0.1
 */
MpFuture *
mp_future_wait_any_finish (GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
