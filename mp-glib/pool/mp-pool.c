/* mp-pool.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/pool/mp-pool-view-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-init.h"

/**
 * MpPool:
 *
 * Workers that run functions: processes, if nothing else is asked for.
 *
 * A pool starts its workers by itself and hands them tasks: a call of a function by [method@Mp.Pool.apply] and
 * [method@Mp.Pool.submit], one for each item of an array by [method@Mp.Pool.map] and [method@Mp.Pool.imap]. What a function
 * is, and how it is named, is told at [func@Mp.function_register] and `MP_FUNCTION()`; [func@Mp.init] must stand near the
 * top of the program.
 *
 * ```c
 * g_autoptr(MpPool) pool = mp_pool_new (0);  // a worker for each CPU
 * g_autoptr(GError) error = NULL;
 * g_autoptr(GVariant) squares = mp_pool_map (pool, MP_FUNCTION (square), g_variant_new_parsed ("[1, 2, 3]"),
 *                                            0, -1, NULL, &error);
 * ```
 *
 * Nothing here waits for a worker to start, neither the constructor nor the asynchronous calls. A pool that can start no
 * workers, or whose initializer fails, becomes a failed one after few tries: all that is pending ends with the cause, and so
 * does every later call.
 *
 * ## Tasks
 *
 * Every task reaches exactly one end: its result, its error, or `MP_ERROR_WORKER_DIED` when its worker died while it ran.
 * That is the one that was running, or for a map the chunk; what was queued behind it runs in another worker, and the worker
 * is replaced. A task that has begun is never begun again.
 *
 * Tasks begin in the order in which they were submitted. A worker is sent some ahead, so that it need not wait for its
 * owner; what it has not begun is taken back when another worker is idle.
 *
 * Errors come out as what the function set: same domain, code and message, with the details that
 * [func@Mp.Error.dup_details] gives.
 *
 * ## Cancelling
 *
 * [method@Mp.Future.cancel], the cancellable of an asynchronous call or of [class@Mp.TaskOptions], and the cancellable or the
 * timeout of [method@Mp.Pool.apply] and [method@Mp.Pool.map], whose result nobody else can get, call the task off. For the
 * caller that is its end, at once. What waits is dropped, wherever it waits. What runs is stopped: the worker is told, and
 * the function may ask ([method@Mp.Invocation.is_cancelled], [method@Mp.Invocation.get_cancellable]); when it has not
 * returned after [property@Mp.Pool:cancel-grace-us] its worker gets SIGTERM, after [property@Mp.Pool:terminate-grace-us]
 * more SIGKILL, and is replaced. Nothing else is hit by that: a worker begins no other task before it has answered.
 *
 * The cancellable and the timeout of [method@Mp.Future.get] and of [class@Mp.ResultIter] end the waiting only: the result
 * can be asked for again.
 *
 * ## Items
 *
 * The items of a map are any array: `ai`, `as`, `a(ii)`, `ay`, … The function gets them one by one; from an `av` each is
 * taken out of its variant first. A function with several arguments takes a tuple: then map is what Python calls starmap.
 * The results are an array too: of the results' type when all have one type, else `av`. Without items it has the function's
 * declared result type, else it is an `av`.
 *
 * A function declared with `MP_FUNCTION_FLAGS_CHUNK` gets a whole chunk of items as one array, and returns the array of their
 * results.
 *
 * ## Threads and main contexts
 *
 * Any thread may call a pool. Its signals are emitted in the main context that was thread-default when it was made; the
 * callback of an asynchronous call runs in the one that was thread-default at that call. A blocking call on the pool, or on a
 * future or an iterator of it, made in a thread that may acquire such a context, runs them too: a program without a main
 * loop gets all of them there.
 *
 * A value that a call was given is freed in the thread that made the call, or in its main context.
 *
 * ## Size
 *
 * The number of workers may be changed while they work, by [method@Mp.Pool.set_n_workers]. A pool with
 * [property@Mp.Pool:idle-timeout-us] follows its work by itself: workers that have nothing to do end, and are started again
 * when there is something. Workers are replaced by fresh ones after a number of tasks
 * ([property@Mp.Pool:tasks-per-worker]), at an age ([property@Mp.Pool:worker-max-age-us]) or when they have grown
 * ([property@Mp.Pool:worker-max-growth]). None of it costs a task, nor runs one twice. One that should have ended and is still
 * there after five seconds gets SIGTERM, and SIGKILL a second later.
 *
 * ## Backends
 *
 * Workers are processes unless [property@Mp.Pool:backend] says something else. The calls, their errors, signals and promises
 * are the same with all; values need not be encoded where they stay in this process, but are checked as those that travel.
 *
 * With `MP_BACKEND_THREADS` each worker is a thread, which calls the functions of this process. A thread cannot be killed: a
 * task that is called off is told so, and one that has to end and does not is given up after the time that a process would
 * get. For the pool its worker has ended then, with the exit status `MP_EXIT_STATUS_UNKNOWN`, and another takes its place; the
 * thread goes when the function returns. Functions of JavaScript cannot run in threads: a program in GJS gets
 * `G_IO_ERROR_NOT_SUPPORTED`.
 *
 * With `MP_BACKEND_INLINE` a task runs in the program itself: in a blocking call on the pool, or in its main context, never in
 * a call that only submits. It is meant for tests of an application, for which it brings about what may happen in a pool:
 * the workers are made up, and when which of them runs a task, how late ([property@Mp.Pool:inline-max-delay-us]) and whether
 * it dies ([property@Mp.Pool:inline-death-rate]) is decided by [property@Mp.Pool:inline-seed] alone. A task cannot be
 * interrupted there, and a blocking call returns late when its time is up during one. While an asynchronous function has
 * not answered a blocking call turns the pool's main context; in JavaScript promises do not get on within another one.
 *
 * ## Ends
 *
 * [method@Mp.Pool.close] lets the pool finish what it has, [method@Mp.Pool.terminate] ends it at once,
 * [method@Mp.Pool.join] waits for the end. They may be called from any callback of the pool, in any order and as often as
 * wanted. A pool that is finalized ends its workers; its tasks that are pending end with `G_IO_ERROR_CLOSED`.
 *
 * Since: 0.1
 */
struct _MpPool
{
  GObject     parent_instance;

  guint       tasks_per_worker;
  char       *initializer;        /* (owned) (nullable) */
  GVariant   *initializer_args;   /* (owned) (nullable) */
  MpContext  *context;            /* (owned) */
  MpPoolCore *core;               /* (owned) */
  MpPoolView *view;               /* (owned) */
};

enum
{
  PROP_0,
  PROP_INITIALIZER,
  PROP_INITIALIZER_ARGS,
  PROP_TASKS_PER_WORKER,
  PROP_CONTEXT,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

enum
{
  SIGNAL_WORKER_STARTED,
  SIGNAL_WORKER_EXITED,
  SIGNAL_TASK_FAILED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (MpPool, mp_pool, G_TYPE_OBJECT)

/* A signal on its way to the pool's context. */
typedef struct
{
  MpPoolCore *core;          /* (owned) */
  guint       signal;
  guint       number;
  int         pid, status;
  const char *reason;        /* static */
  char       *function;      /* (owned) (nullable) */
  GError     *error;         /* (owned) (nullable) */
  GVariant   *details;       /* (owned) (nullable) */
} Notice;

static void
notice_free (gpointer data)
{
  Notice *self = data;

  mp_pool_core_unref (self->core);
  g_free (self->function);
  g_clear_error (&self->error);
  g_clear_pointer (&self->details, g_variant_unref);
  g_slice_free (Notice, self);
}

static void
notice_emit (gpointer data)
{
  Notice *self = data;
  g_autoptr(MpPool) pool = g_weak_ref_get (&self->core->pool);

  if (pool == NULL)
    return;

  switch (self->signal)
    {
    case SIGNAL_WORKER_STARTED:
      g_signal_emit (pool, signals[self->signal], 0, self->number, self->pid);
      break;
    case SIGNAL_WORKER_EXITED:
      g_signal_emit (pool, signals[self->signal], 0, self->number, self->pid, self->status, self->reason);
      break;
    default:
      g_signal_emit (pool, signals[self->signal], 0, self->function, self->error, self->details);
    }
}

static Notice *
notice_post (MpPoolCore *core,
             guint       signal,
             guint       number,
             int         pid)
{
  Notice *self = g_slice_new0 (Notice);

  self->core = mp_pool_core_ref (core);
  self->signal = signal;
  self->number = number;
  self->pid = pid;
  mp_hub_post (core->context, core, notice_emit, self, notice_free);

  return self;
}

void
mp_pool_post_started (MpPoolCore *core,
                      guint       number,
                      int         pid)
{
  notice_post (core, SIGNAL_WORKER_STARTED, number, pid);
}

void
mp_pool_post_exited (MpPoolCore *core,
                     guint       number,
                     int         pid,
                     int         exit_status,
                     const char *reason)
{
  Notice *notice = notice_post (core, SIGNAL_WORKER_EXITED, number, pid);

  notice->status = exit_status;
  notice->reason = reason;
}

void
mp_pool_post_failed (MpPoolCore   *core,
                     const char   *function,
                     const GError *error,
                     GVariant     *details)
{
  Notice *notice = notice_post (core, SIGNAL_TASK_FAILED, 0, 0);

  notice->function = g_strdup (function);
  notice->error = g_error_copy (error);
  notice->details = details != NULL ? g_variant_ref (details) : NULL;
}

static void
mp_pool_constructed (GObject *object)
{
  MpPool *self = MP_POOL (object);

  G_OBJECT_CLASS (mp_pool_parent_class)->constructed (object);

  if (self->context == NULL)
    self->context = g_object_ref (mp_context_get_default ());
  mp_pool_backend_begin (self->core);
  mp_pool_core_start (self->core, self->tasks_per_worker, self->context, self->initializer, self->initializer_args);
}

static void
mp_pool_finalize (GObject *object)
{
  MpPool *self = MP_POOL (object);

  /* A forked copy of the owner can do nothing right with it, and leaves it as it is. */
  if (self->core != NULL && mp_pool_core_is_ours (self->core, NULL))
    {
      mp_pool_core_orphan (self->core);
      mp_pool_core_unref (self->core);
    }
  mp_pool_view_free (self->view);
  g_clear_object (&self->context);
  g_clear_pointer (&self->initializer, g_free);
  g_clear_pointer (&self->initializer_args, g_variant_unref);

  G_OBJECT_CLASS (mp_pool_parent_class)->finalize (object);
}

static void
mp_pool_get_property (GObject    *object,
                      guint       prop_id,
                      GValue     *value,
                      GParamSpec *pspec)
{
  MpPool *self = MP_POOL (object);

  switch (prop_id)
    {
    case PROP_INITIALIZER:
      g_value_set_string (value, self->initializer);
      break;
    case PROP_INITIALIZER_ARGS:
      g_value_set_variant (value, self->initializer_args);
      break;
    case PROP_TASKS_PER_WORKER:
      g_value_set_uint (value, self->tasks_per_worker);
      break;
    case PROP_CONTEXT:
      g_value_set_object (value, self->context);
      break;
    default:
      if (!mp_pool_view_get_property (self, prop_id, value) && !mp_pool_size_get_property (self, prop_id, value) &&
          !mp_pool_room_get_property (object, prop_id, value) &&
          !mp_pool_control_get_property (self, prop_id, value) &&
          !mp_pool_backend_get_property (self, prop_id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_pool_set_property (GObject      *object,
                      guint         prop_id,
                      const GValue *value,
                      GParamSpec   *pspec)
{
  MpPool *self = MP_POOL (object);

  switch (prop_id)
    {
    case PROP_INITIALIZER:
      self->initializer = g_value_dup_string (value);
      break;
    case PROP_INITIALIZER_ARGS:
      self->initializer_args = g_value_dup_variant (value);
      break;
    case PROP_TASKS_PER_WORKER:
      self->tasks_per_worker = g_value_get_uint (value);
      break;
    case PROP_CONTEXT:
      self->context = g_value_dup_object (value);
      break;
    default:
      if (!mp_pool_size_set_property (self, prop_id, value) && !mp_pool_view_set_property (self, prop_id, value) &&
          !mp_pool_room_set_property (object, prop_id, value) &&
          !mp_pool_control_set_property (self, prop_id, value) &&
          !mp_pool_backend_set_property (self, prop_id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  /**
   * MpPool:initializer:
   *
   * The name of a function that each worker calls before its first task.
   *
   * Its result does not matter, and it need not give one. When it fails, the worker is given up; a pool whose workers fail
   * so again and again fails with that error.
   *
   * Since: 0.1
   */
  props[PROP_INITIALIZER] = g_param_spec_string ("initializer", NULL, NULL, NULL, flags);

  /**
   * MpPool:initializer-args:
   *
   * The argument of the initializer; `NULL` stands for an empty tuple.
   *
   * Since: 0.1
   */
  props[PROP_INITIALIZER_ARGS] = g_param_spec_variant ("initializer-args", NULL, NULL, G_VARIANT_TYPE_ANY, NULL, flags);

  /**
   * MpPool:tasks-per-worker:
   *
   * After how many tasks a worker is replaced by a fresh one; 0 stands for never.
   *
   * A chunk of a map counts as one task.
   *
   * Since: 0.1
   */
  props[PROP_TASKS_PER_WORKER] = g_param_spec_uint ("tasks-per-worker", NULL, NULL, 0, G_MAXUINT - 1, 0, flags);

  /**
   * MpPool:context:
   *
   * How workers are started; `NULL` at construction stands for [func@Mp.Context.get_default].
   *
   * Since: 0.1
   */
  props[PROP_CONTEXT] = g_param_spec_object ("context", NULL, NULL, MP_TYPE_CONTEXT, flags);

  g_object_class_install_properties (object_class, N_PROPS, props);
  mp_pool_view_install_properties (object_class);
}

static void
mp_pool_class_init (MpPoolClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = mp_pool_constructed;
  object_class->finalize = mp_pool_finalize;
  object_class->get_property = mp_pool_get_property;
  object_class->set_property = mp_pool_set_property;
  install_properties (object_class);
  mp_pool_size_install (object_class);
  mp_pool_room_install (object_class);
  mp_pool_control_install (object_class);
  mp_pool_backend_install (object_class);

  /**
   * MpPool::worker-started:
   * @self: the pool
   * @number: the worker's number in the pool, from 0
   * @pid: its process; 0 when it is none
   *
   * Emitted when a worker has been started.
   *
   * Since: 0.1
   */
  signals[SIGNAL_WORKER_STARTED] =
    g_signal_new ("worker-started", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                  G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_INT);

  /**
   * MpPool::worker-exited:
   * @self: the pool
   * @number: the worker's number in the pool, from 0; the one that replaces it has the same
   * @pid: its process; 0 when it is none
   * @exit_status: how it ended, as [method@Mp.Process.get_exit_status] says it
   * @reason: `"pool closed"`, `"pool terminated"`, `"pool failed"`, `"recycled"` (it had done its number of tasks),
   *   `"idle"`, `"shrunk"`, `"too old"`, `"too large"` (what it was allowed of that), `"stopped"` (it went on with a task
   *   that was called off), `"died"`, `"did not start"`, `"initializer failed"` or `"protocol error"`
   *
   * Emitted when a worker has ended. A thread that was given up is one whose status is unknown.
   *
   * Since: 0.1
   */
  signals[SIGNAL_WORKER_EXITED] =
    g_signal_new ("worker-exited", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                  G_TYPE_NONE, 4, G_TYPE_UINT, G_TYPE_INT, G_TYPE_INT, G_TYPE_STRING);

  /**
   * MpPool::task-failed:
   * @self: the pool
   * @name: what the task is called: [property@Mp.TaskOptions:name], or else its function's name, as messages show it
   * @error: the error
   * @details: (nullable): what is known of it, see [method@Mp.Future.dup_error_details]
   *
   * Emitted when a task, or a chunk of a map, has ended with an error; not for those that end with their pool.
   *
   * Since: 0.1
   */
  signals[SIGNAL_TASK_FAILED] =
    g_signal_new ("task-failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                  G_TYPE_NONE, 3, G_TYPE_STRING, G_TYPE_ERROR, G_TYPE_VARIANT);
}

static void
mp_pool_init (MpPool *self)
{
  self->core = mp_pool_core_new (self);
  self->view = mp_pool_view_new (self);
}

MpPoolCore *
mp_pool_get_core (MpPool *self)
{
  return self->core;
}

MpPoolView *
mp_pool_get_view (MpPool *self)
{
  return self->view;
}

/**
 * mp_pool_new:
 * @n_workers: the number of workers, at most 65536, which larger numbers count as; 0 for the number of usable CPUs
 *
 * Makes a pool of workers that are started in the default way.
 *
 * It does not wait for them. What goes wrong with their start is the error of the calls that are made.
 *
 * Returns: (transfer full): a pool
 *
 * Since: 0.1
 */
MpPool *
mp_pool_new (guint n_workers)
{
  return g_object_new (MP_TYPE_POOL, "n-workers", MIN (n_workers, MP_POOL_MAX_WORKERS), NULL);
}

/**
 * mp_pool_new_full:
 * @n_workers: the number of workers, at most 65536, which larger numbers count as; 0 for the number of usable CPUs
 * @initializer: (nullable): the name of a function that each worker calls first
 * @initializer_args: (nullable): its argument; a floating reference is taken
 * @tasks_per_worker: after how many tasks a worker is replaced; 0 for never
 * @context: (nullable): how the workers are started
 *
 * Makes a pool.
 *
 * Returns: (transfer full): a pool
 *
 * Since: 0.1
 */
MpPool *
mp_pool_new_full (guint       n_workers,
                  const char *initializer,
                  GVariant   *initializer_args,
                  guint       tasks_per_worker,
                  MpContext  *context)
{
  g_autoptr(GVariant) args = initializer_args != NULL ? g_variant_ref_sink (initializer_args) : NULL;

  g_return_val_if_fail (context == NULL || MP_IS_CONTEXT (context), NULL);

  return g_object_new (MP_TYPE_POOL,
                       "n-workers", MIN (n_workers, MP_POOL_MAX_WORKERS),
                       "initializer", initializer,
                       "initializer-args", args,
                       "tasks-per-worker", tasks_per_worker,
                       "context", context,
                       NULL);
}

/**
 * mp_pool_close:
 * @self: a pool
 *
 * Lets the pool finish what it has, and take nothing more.
 *
 * Later calls are refused with `G_IO_ERROR_CLOSED`. The workers end when all is done.
 *
 * Since: 0.1
 */
void
mp_pool_close (MpPool *self)
{
  g_return_if_fail (MP_IS_POOL (self));

  if (!mp_pool_core_is_ours (self->core, NULL))
    return;
  mp_hub_lock ();
  mp_pool_core_close (self->core);
  mp_hub_unlock ();
}

/**
 * mp_pool_terminate:
 * @self: a pool
 *
 * Ends the pool at once.
 *
 * All that is pending ends with `G_IO_ERROR_CANCELLED`. Workers get SIGTERM, and SIGKILL when that does not end them within
 * 0.2 s. It does not wait for them: [method@Mp.Pool.join] does.
 *
 * Since: 0.1
 */
void
mp_pool_terminate (MpPool *self)
{
  g_return_if_fail (MP_IS_POOL (self));

  if (!mp_pool_core_is_ours (self->core, NULL))
    return;
  mp_hub_lock ();
  mp_pool_core_terminate (self->core);
  mp_hub_unlock ();
}

static gboolean
check_joinable (MpPool  *self,
                GError **error)
{
  gboolean open = FALSE;

  if (!mp_pool_core_is_ours (self->core, error))
    return FALSE;

  mp_hub_lock ();
  open = self->core->state == MP_POOL_OPEN;
  if (!open)
    mp_imap_lift_bounds (self->core);
  mp_hub_unlock ();
  if (open)
    g_set_error_literal (error, MP_ERROR, MP_ERROR_FAILED, "pool join: the pool must be closed or terminated first");
  return !open;
}

/**
 * mp_pool_join:
 * @self: a pool
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits until all is done and all workers have ended.
 *
 * The pool must have been closed or terminated, else the error is `MP_ERROR_FAILED`. Callbacks and signals of the pool that
 * are due run meanwhile, in a thread that may acquire their main context. May be called from such a callback.
 *
 * An iterator of [method@Mp.Pool.imap] that has not been read to its end does not hold it up: what it has to give is
 * computed and kept.
 *
 * Returns: `TRUE` when the pool has ended; `FALSE` with an error: the above, `G_IO_ERROR_TIMED_OUT`,
 *   `G_IO_ERROR_CANCELLED` or `MP_ERROR_INTERRUPTED`
 *
 * Since: 0.1
 */
gboolean
mp_pool_join (MpPool        *self,
              gint64         timeout_us,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr(MpPool) pool = NULL;

  g_return_val_if_fail (MP_IS_POOL (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  pool = g_object_ref (self);
  return check_joinable (self, error) &&
         mp_hub_wait (self->core, mp_pool_core_is_over, self->core, "pool join", timeout_us, cancellable, error);
}

static void
give_joined (MpWaiter *waiter)
{
  g_task_return_boolean (waiter->task, TRUE);
}

/**
 * mp_pool_join_async:
 * @self: a pool
 * @cancellable: (nullable): ends the waiting
 * @callback: (scope async) (closure user_data): called when the pool has ended
 * @user_data: data for @callback
 *
 * Waits until all is done and all workers have ended, without blocking.
 *
 * See [method@Mp.Pool.join].
 *
 * Since: 0.1
 */
void
mp_pool_join_async (MpPool              *self,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  GError *error = NULL;
  GTask *task = NULL;

  g_return_if_fail (MP_IS_POOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_pool_join_async);
  if (check_joinable (self, &error))
    mp_waiter_add (self->core, NULL, task, callback, user_data, give_joined, FALSE);
  else
    mp_waiter_return_failed (task, error, self->core, callback, user_data);
}

/**
 * mp_pool_join_finish:
 * @self: a pool
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.Pool.join_async].
 *
 * Returns: `TRUE` when the pool has ended
 *
 * Since: 0.1
 */
gboolean
mp_pool_join_finish (MpPool        *self,
                     GAsyncResult  *result,
                     GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
