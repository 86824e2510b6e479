/* mp-pool-room.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"
#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/base/mp-error.h"

/* Calls that ask whether there is room in the queue. The others are always accepted, and count. */

#define DEFAULT_MAX_QUEUED 16384

enum
{
  PROP_MAX_QUEUED = MP_POOL_ROOM_FIRST_PROPERTY,
  PROP_NEEDS_DRAIN,
  PROP_END
};
#define PROP(id) props[(id) - MP_POOL_ROOM_FIRST_PROPERTY]
static GParamSpec *props[PROP_END - MP_POOL_ROOM_FIRST_PROPERTY];

/* A call that waits for room: what its reply has. */
typedef struct
{
  MpJobWatch  watch;      /* it may end before it gets in */
  MpPoolCore *core;       /* (owned) */
  MpReply    *reply;      /* while it waits */
  MpJob      *job;        /* (owned) */
  char       *function;   /* (owned) */
  MpFuture   *future;     /* (owned) (nullable) */
  GError     *error;      /* (owned) (nullable) */
  gboolean    refused;    /* the pool does not know of the job */
} Pending;

void
mp_pool_room_init (MpPoolRoom *self)
{
  self->max_queued = DEFAULT_MAX_QUEUED;
  g_queue_init (&self->waiting);
}

static gboolean
has_room (MpPoolCore *core)
{
  return core->room.max_queued == 0 || core->n_pending < core->room.max_queued;
}

static gboolean
takes_nothing (MpPoolCore *core)
{
  return core->failure != NULL || core->state != MP_POOL_OPEN;
}

/* What its property should be. */
static gboolean
find_needs_drain (MpPoolCore *core)
{
  guint max = core->room.max_queued;

  if (max == 0)
    return FALSE;
  return core->n_pending >= max || (core->room.needs_drain && core->n_pending > max / 2);
}

/* Telling. */

static void
notify_cb (gpointer data)
{
  MpPoolCore *core = data;
  g_autoptr(MpPool) pool = g_weak_ref_get (&core->pool);
  gboolean needs_drain = FALSE, tell = FALSE;

  mp_hub_lock ();
  core->room.notifying = FALSE;
  needs_drain = core->room.needs_drain;
  mp_hub_unlock ();
  tell = needs_drain != core->room.told;
  core->room.told = needs_drain;
  if (tell && pool != NULL)
    g_object_notify_by_pspec (G_OBJECT (pool), PROP (PROP_NEEDS_DRAIN));
}

static void
set_needs_drain (MpPoolCore *core,
                 gboolean    needs_drain)
{
  if (core->room.needs_drain == needs_drain)
    return;

  core->room.needs_drain = needs_drain;
  if (core->room.notifying)
    return;
  core->room.notifying = TRUE;
  mp_hub_post (core->context, core, notify_cb, mp_pool_core_ref (core), (GDestroyNotify) mp_pool_core_unref);
}

/* Letting in. */

static void
let_in (MpPoolCore *core,
        Pending    *pending)
{
  mp_job_unwatch (&pending->watch);
  pending->refused = !mp_pool_core_submit (core, pending->job, pending->function, &pending->error);
  mp_reply_post (g_steal_pointer (&pending->reply));
}

static void
look (gpointer data)
{
  MpPoolCore *core = data;
  MpPoolRoom *self = &core->room;

  mp_hub_lock ();
  self->scheduled = FALSE;
  while (!g_queue_is_empty (&self->waiting) && (has_room (core) || takes_nothing (core)))
    let_in (core, ((MpReply *) g_queue_pop_head (&self->waiting))->data);
  set_needs_drain (core, find_needs_drain (core));
  mp_hub_changed ();
  mp_hub_unlock ();
  mp_pool_core_unref (core);
}

void
mp_pool_room_changed (MpPoolCore *core)
{
  MpPoolRoom *self = &core->room;

  if (G_LIKELY (self->needs_drain == find_needs_drain (core) &&
                (self->waiting.head == NULL || !(has_room (core) || takes_nothing (core)))))
    return;
  if (self->scheduled)
    return;

  self->scheduled = TRUE;
  mp_hub_run_unlocked (look, mp_pool_core_ref (core));
}

/* Calls. */

static MpJob *
make_job (MpPoolCore     *core,
          const char     *function,
          GVariant       *args,
          MpTaskOptions  *options,
          GError        **error)
{
  MpJob *job = mp_pool_make_call (core, function, args, error);

  if (job != NULL)
    mp_job_set_options (job, function, options);
  return job;
}

/**
 * mp_pool_try_submit:
 * @self: a pool
 * @function: the function's name
 * @args: (nullable): its argument; a floating reference is taken; `NULL` stands for an empty tuple
 * @options: (nullable): how to carry it out
 *
 * Calls a function in a worker if there is room in the queue.
 *
 * It is [method@Mp.Pool.submit_with], but for the error `MP_ERROR_FULL` when [property@Mp.Pool:max-queued] tasks wait, or
 * when others wait for room.
 *
 * Returns: (transfer full): the result to come
 *
 * Since: 0.1
 */
MpFuture *
mp_pool_try_submit (MpPool         *self,
                    const char     *function,
                    GVariant       *args,
                    MpTaskOptions  *options,
                    GError        **error)
{
  MpPoolCore *core = NULL;
  MpJob *job = NULL;
  MpFuture *future = NULL;
  gboolean accepted = FALSE;

  g_return_val_if_fail (MP_IS_POOL (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options), NULL);

  core = mp_pool_get_core (self);
  job = make_job (core, function, args, options, error);
  if (job == NULL)
    return NULL;

  future = mp_future_new (job);
  mp_job_listen (job);
  mp_hub_lock ();
  if (takes_nothing (core) || (has_room (core) && g_queue_is_empty (&core->room.waiting)))
    accepted = mp_pool_core_submit (core, job, function, error);
  else
    g_set_error (error, MP_ERROR, MP_ERROR_FULL, "pool: %" G_GSIZE_FORMAT " tasks wait already", core->n_pending);
  mp_hub_unlock ();
  if (!accepted)
    {
      mp_job_listen_no_more (job);
      g_clear_pointer (&future, mp_future_withdraw);
    }
  return future;
}

static void
withdraw (MpReply *reply)
{
  Pending *pending = reply->data;

  mp_job_unwatch (&pending->watch);
  g_queue_remove (&pending->core->room.waiting, reply);
  pending->reply = NULL;
  pending->refused = TRUE;
}

static void
give (MpReply *reply)
{
  Pending *pending = reply->data;

  if (pending->error != NULL)
    g_task_return_error (reply->task, g_steal_pointer (&pending->error));
  else
    g_task_return_pointer (reply->task, g_steal_pointer (&pending->future), g_object_unref);
}

static void
clear (MpReply *reply)
{
  Pending *pending = reply->data;

  /* Whoever called has had the time to connect to it. */
  if (pending->job != NULL)
    {
      mp_hub_lock ();
      mp_job_tell_withheld (pending->job);
      mp_hub_unlock ();
    }
  if (pending->refused && pending->job != NULL)
    mp_job_listen_no_more (pending->job);
  if (pending->refused && pending->future != NULL)
    mp_future_withdraw (g_steal_pointer (&pending->future));
  g_clear_object (&pending->future);
  g_clear_error (&pending->error);
  if (pending->job != NULL)
    mp_job_unref (pending->job);
  mp_pool_core_unref (pending->core);
  g_free (pending->function);
  g_free (pending);
}

static const MpReplyFuncs funcs = { withdraw, give, clear };

/* It was called off while it waited: its future says so. */
static void
ended_cb (MpJobWatch *watch)
{
  Pending *pending = (Pending *) watch;

  g_queue_remove (&pending->core->room.waiting, pending->reply);
  mp_reply_post (g_steal_pointer (&pending->reply));
}

/* With the lock held. */
static void
begin (MpPoolCore *core,
       Pending    *pending)
{
  if (pending->job == NULL)
    {
      mp_reply_post (g_steal_pointer (&pending->reply));
      return;
    }
  pending->job->function = mp_pool_core_number_function (core, pending->function);
  if (!mp_job_watch (pending->job, &pending->watch))
    {
      mp_reply_post (g_steal_pointer (&pending->reply));
      return;
    }
  if (takes_nothing (core) || (has_room (core) && g_queue_is_empty (&core->room.waiting)))
    let_in (core, pending);
  else
    g_queue_push_tail (&core->room.waiting, pending->reply);
}

/**
 * mp_pool_submit_async:
 * @self: a pool
 * @function: the function's name
 * @args: (nullable): its argument; a floating reference is taken; `NULL` stands for an empty tuple
 * @options: (nullable): how to carry it out
 * @cancellable: (nullable): ends the waiting for room; the task is dropped. Once it is in the queue, the cancellable of
 *   @options calls it off
 * @callback: (scope async) (closure user_data): called when the task is in the queue
 * @user_data: data for @callback
 *
 * Calls a function in a worker as soon as there is room in the queue.
 *
 * There is when fewer than [property@Mp.Pool:max-queued] tasks wait. Who submits the next task only then has a bounded queue,
 * however many tasks there are. Several calls that wait get their turn in their order.
 *
 * @callback runs in the thread-default main context of the caller, or in a blocking call on the pool in a thread that may
 * acquire that. A pool that is closed while a call waits refuses it, with `G_IO_ERROR_CLOSED`.
 *
 * Since: 0.1
 */
void
mp_pool_submit_async (MpPool              *self,
                      const char          *function,
                      GVariant            *args,
                      MpTaskOptions       *options,
                      GCancellable        *cancellable,
                      GAsyncReadyCallback  callback,
                      gpointer             user_data)
{
  MpPoolCore *core = NULL;
  Pending *pending = NULL;
  GTask *task = NULL;

  g_return_if_fail (MP_IS_POOL (self));
  g_return_if_fail (function != NULL);
  g_return_if_fail (options == NULL || MP_IS_TASK_OPTIONS (options));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  core = mp_pool_get_core (self);
  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_pool_submit_async);
  pending = g_new0 (Pending, 1);
  pending->watch.func = ended_cb;
  pending->core = mp_pool_core_ref (core);
  pending->function = g_strdup (function);
  pending->job = make_job (core, function, args, options, &pending->error);
  if (pending->job != NULL)
    {
      pending->future = mp_future_new (mp_job_ref (pending->job));
      pending->job->withheld = TRUE;
      mp_job_listen (pending->job);
    }
  pending->reply = mp_reply_new (core, task, callback, user_data, &funcs, pending);
  mp_hub_lock ();
  if (mp_reply_wait (pending->reply))
    begin (core, pending);
  else
    pending->refused = TRUE;
  mp_hub_changed ();
  mp_hub_unlock ();
}

/**
 * mp_pool_submit_finish:
 * @self: a pool
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Pool.submit_async].
 *
 * Returns: (transfer full): the result to come
 *
 * Since: 0.1
 */
MpFuture *
mp_pool_submit_finish (MpPool        *self,
                       GAsyncResult  *result,
                       GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/* Properties. */

/**
 * mp_pool_get_max_queued: (get-property max-queued)
 * @self: a pool
 *
 * The number of waiting tasks from which on the queue is full.
 *
 * Returns: the number of tasks; 0 for no bound
 *
 * Since: 0.1
 */
guint
mp_pool_get_max_queued (MpPool *self)
{
  guint max_queued = 0;

  g_return_val_if_fail (MP_IS_POOL (self), 0);

  mp_hub_lock ();
  max_queued = mp_pool_get_core (self)->room.max_queued;
  mp_hub_unlock ();

  return max_queued;
}

/**
 * mp_pool_set_max_queued: (set-property max-queued)
 * @self: a pool
 * @max_queued: the number of tasks; 0 for no bound
 *
 * Sets the number of waiting tasks from which on the queue is full.
 *
 * Nothing that waits is dropped.
 *
 * Since: 0.1
 */
void
mp_pool_set_max_queued (MpPool *self,
                        guint   max_queued)
{
  MpPoolCore *core = NULL;
  gboolean changed = FALSE;

  g_return_if_fail (MP_IS_POOL (self));

  core = mp_pool_get_core (self);
  mp_hub_lock ();
  changed = core->room.max_queued != max_queued;
  core->room.max_queued = max_queued;
  mp_pool_room_changed (core);
  mp_hub_unlock ();
  if (changed)
    g_object_notify_by_pspec (G_OBJECT (self), PROP (PROP_MAX_QUEUED));
}

/**
 * mp_pool_get_needs_drain: (get-property needs-drain)
 * @self: a pool
 *
 * Whether those who have more tasks should wait.
 *
 * Returns: `TRUE` from when [property@Mp.Pool:max-queued] tasks wait until half of that do
 *
 * Since: 0.1
 */
gboolean
mp_pool_get_needs_drain (MpPool *self)
{
  gboolean needs_drain = FALSE;

  g_return_val_if_fail (MP_IS_POOL (self), FALSE);

  mp_hub_lock ();
  needs_drain = mp_pool_get_core (self)->room.needs_drain;
  mp_hub_unlock ();

  return needs_drain;
}

gboolean
mp_pool_room_get_property (GObject *pool,
                           guint    prop_id,
                           GValue  *value)
{
  switch (prop_id)
    {
    case PROP_MAX_QUEUED:
      g_value_set_uint (value, mp_pool_get_max_queued (MP_POOL (pool)));
      return TRUE;
    case PROP_NEEDS_DRAIN:
      g_value_set_boolean (value, mp_pool_get_needs_drain (MP_POOL (pool)));
      return TRUE;
    default:
      return FALSE;
    }
}

gboolean
mp_pool_room_set_property (GObject      *pool,
                           guint         prop_id,
                           const GValue *value)
{
  if (prop_id != PROP_MAX_QUEUED)
    return FALSE;

  mp_pool_set_max_queued (MP_POOL (pool), g_value_get_uint (value));
  return TRUE;
}

void
mp_pool_room_install (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  /**
   * MpPool:max-queued: (getter get_max_queued) (setter set_max_queued)
   *
   * The number of waiting tasks from which on [method@Mp.Pool.try_submit] and [method@Mp.Pool.submit_async] find the queue
   * full; 0 stands for no bound.
   *
   * What waits is what no worker has been sent: each call, and each chunk of a map. The other calls are always accepted.
   *
   * Since: 0.1
   */
  PROP (PROP_MAX_QUEUED) = g_param_spec_uint ("max-queued", NULL, NULL, 0, G_MAXUINT, DEFAULT_MAX_QUEUED,
                                              flags | G_PARAM_READWRITE);

  /**
   * MpPool:needs-drain: (getter get_needs_drain)
   *
   * Whether those who have more tasks should wait: from when [property@Mp.Pool:max-queued] tasks wait until half of that
   * do.
   *
   * `notify` is emitted in the pool's main context, at most once for what happens between two turns of it.
   *
   * Since: 0.1
   */
  PROP (PROP_NEEDS_DRAIN) = g_param_spec_boolean ("needs-drain", NULL, NULL, FALSE, flags | G_PARAM_READABLE);

  for (guint i = 0; i < G_N_ELEMENTS (props); i++)
    g_object_class_install_property (object_class, MP_POOL_ROOM_FIRST_PROPERTY + i, props[i]);
}
