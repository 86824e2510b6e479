/* mp-invocation.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-invocation-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/process/mp-worker-private.h"

/**
 * MpInvocation:
 *
 * A call that is being answered in this worker.
 *
 * A function that was registered with [func@Mp.function_register_async] is given one, and answers by
 * [method@Mp.Invocation.return_value] or [method@Mp.Invocation.return_error], at once or later. Any other function can
 * ask for its own with [func@Mp.Invocation.get_current].
 *
 * It is used in the thread that the function was called in, a worker's main thread or a thread that stands for a worker;
 * only the two answers may come from another one.
 *
 * Since: 0.1
 */
struct _MpInvocation
{
  GObject           parent_instance;

  const MpFunction *function;
  int               worker_number;
  GVariant         *details;       /* (owned) (nullable) */
  MpInvocationTask  task;
  MpBoard          *board;         /* (nullable): NULL once it is over */
  GCancellable     *cancellable;   /* (owned) (nullable): made when it is asked for */

  /* Asynchronous ones only. */
  MpInvocationDone  done;          /* NULL: synchronous */
  gpointer          data;
  GMainContext     *context;       /* (owned) */
  int               answered;      /* (atomic) */
};

/* An answer on its way to the worker's main context. */
typedef struct
{
  const MpFunction *function;
  MpInvocationDone  done;
  gpointer          data;
  MpInvocation     *invocation;    /* (owned) (nullable) */
  GVariant         *value;         /* (owned) (nullable) */
  GError           *error;         /* (owned) (nullable) */
  GVariant         *details;       /* (owned) (nullable) */
} Answer;

G_DEFINE_FINAL_TYPE (MpInvocation, mp_invocation, G_TYPE_OBJECT)

/* The running call of each thread. */
static __thread const MpInvocationHost *running_host;   /* (nullable) */
static __thread const MpFunction *running;              /* (nullable) */
static __thread MpInvocation *running_object;           /* (owned) (nullable): made when it is asked for */

/* The task that it belongs to is somebody else's concern from here on. */
static void
close_call (MpInvocation *self)
{
  self->board = NULL;
  self->task.report = NULL;
  if (self->cancellable != NULL)
    mp_invocation_unwatch (self->cancellable);
}

static gboolean
deliver_cb (gpointer user_data)
{
  Answer *answer = user_data;

  if (answer->invocation != NULL)
    close_call (answer->invocation);
  if (answer->value != NULL && !mp_function_check_result (answer->function, answer->value, &answer->error))
    g_clear_pointer (&answer->value, g_variant_unref);
  answer->done (answer->value, answer->error, answer->details, answer->data);
  return G_SOURCE_REMOVE;
}

static void
answer_free (gpointer data)
{
  Answer *answer = data;

  g_clear_pointer (&answer->value, g_variant_unref);
  g_clear_error (&answer->error);
  g_clear_pointer (&answer->details, g_variant_unref);
  g_clear_object (&answer->invocation);
  g_free (answer);
}

/* Takes @value and @error. In the worker's own thread at once, so that the next task need not wait for another turn of
 * the loop. */
static void
deliver (MpInvocation *self, GVariant *value, GError *error, gboolean alive)
{
  Answer *answer = g_new0 (Answer, 1);

  if (alive)
    answer->invocation = g_object_ref (self);
  answer->function = self->function;
  answer->done = self->done;
  answer->data = self->data;
  answer->value = value;
  answer->error = error;
  answer->details = g_steal_pointer (&self->details);
  g_main_context_invoke_full (self->context, G_PRIORITY_DEFAULT, deliver_cb, answer, answer_free);
}

/* Whether the answer that is about to be given is the first one. */
static gboolean
claim_answer (MpInvocation *self)
{
  return g_atomic_int_compare_and_exchange (&self->answered, FALSE, TRUE);
}

static void
mp_invocation_finalize (GObject *object)
{
  MpInvocation *self = MP_INVOCATION (object);

  if (self->done != NULL && claim_answer (self))
    deliver (self, NULL, g_error_new (MP_ERROR, MP_ERROR_NO_RESULT,
                                      "function “%s” dropped its invocation without an answer",
                                      mp_function_display_name (self->function->name)), FALSE);
  if (self->cancellable != NULL)
    mp_invocation_unwatch (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->details, g_variant_unref);
  g_clear_pointer (&self->context, g_main_context_unref);

  G_OBJECT_CLASS (mp_invocation_parent_class)->finalize (object);
}

static void
mp_invocation_class_init (MpInvocationClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_invocation_finalize;
}

static void
mp_invocation_init (MpInvocation *self)
{
}

static MpInvocation *
invocation_new (const MpFunction *function)
{
  MpInvocation *self = g_object_new (MP_TYPE_INVOCATION, NULL);
  MpInvocationHost host = mp_invocation_get_host ();

  self->function = function;
  self->worker_number = host.number;
  self->task.deadline = -1;
  if (host.task != NULL)
    {
      self->task = *host.task;
      self->board = host.board;
    }
  return self;
}

/**
 * mp_invocation_get_current:
 *
 * The call that this thread is answering.
 *
 * Of an asynchronous function only while the function itself runs, not in what it leaves to later.
 *
 * Returns: (transfer none) (nullable): the call, which lives until the function returns unless it is referenced; `NULL`
 *   outside of a function
 *
 * Since: 0.1
 */
MpInvocation *
mp_invocation_get_current (void)
{
  if (running == NULL)
    return NULL;
  if (running_object == NULL)
    running_object = invocation_new (running);
  return running_object;
}

/**
 * mp_invocation_get_function:
 * @self: a call
 *
 * The name of the function that was called.
 *
 * For a function named by `MP_FUNCTION()` it is the part that a reader knows.
 *
 * Returns: the name
 *
 * Since: 0.1
 */
const char *
mp_invocation_get_function (MpInvocation *self)
{
  g_return_val_if_fail (MP_IS_INVOCATION (self), NULL);

  return mp_function_display_name (self->function->name);
}

/**
 * mp_invocation_get_worker_number:
 * @self: a call
 *
 * The number of this worker in its pool, from 0.
 *
 * A worker that takes the place of another has that one's number: at no time do two live workers of a pool share one.
 *
 * Returns: the number, -1 when the call does not come from a pool
 *
 * Since: 0.1
 */
int
mp_invocation_get_worker_number (MpInvocation *self)
{
  g_return_val_if_fail (MP_IS_INVOCATION (self), -1);

  return self->worker_number;
}

/**
 * mp_invocation_is_cancelled:
 * @self: a call
 *
 * Whether the call has been called off, or has run out of its time.
 *
 * Nobody waits for the answer then. A function that goes on all the same is ended with its worker after
 * [property@Mp.Pool:cancel-grace-us]. To ask costs a look at memory.
 *
 * Returns: `TRUE` when the function should return
 *
 * Since: 0.1
 */
gboolean
mp_invocation_is_cancelled (MpInvocation *self)
{
  g_return_val_if_fail (MP_IS_INVOCATION (self), FALSE);

  if (!mp_invocation_task_is_stopped (&self->task, self->board))
    return self->cancellable != NULL && g_cancellable_is_cancelled (self->cancellable);
  if (self->cancellable != NULL && !g_cancellable_is_cancelled (self->cancellable))
    g_cancellable_cancel (self->cancellable);
  return TRUE;
}

/**
 * mp_invocation_get_cancellable:
 * @self: a call
 *
 * A cancellable that is cancelled when the call is called off, or has run out of its time.
 *
 * It can be handed to whatever takes one. That of an asynchronous function is cancelled on its main context. That of
 * another function is cancelled while the function runs, so its handlers run in a thread of the library's, as they do for
 * any cancellable that another thread cancels; in GJS, which has no threads, it is cancelled when
 * [method@Mp.Invocation.is_cancelled] is asked.
 *
 * Returns: (transfer none): the cancellable, of this call only
 *
 * Since: 0.1
 */
GCancellable *
mp_invocation_get_cancellable (MpInvocation *self)
{
  g_return_val_if_fail (MP_IS_INVOCATION (self), NULL);

  if (self->cancellable == NULL)
    {
      self->cancellable = g_cancellable_new ();
      if (mp_invocation_task_is_stopped (&self->task, self->board))
        g_cancellable_cancel (self->cancellable);
      else if (self->board != NULL && (self->done != NULL || !mp_script_is_here ()))
        mp_invocation_watch (&self->task, self->board, self->cancellable, self->context);
    }
  return self->cancellable;
}

/**
 * mp_invocation_get_deadline:
 * @self: a call
 *
 * Until when the call is to be through.
 *
 * See [property@Mp.TaskOptions:run-timeout-us]. All the calls of a chunk have the same.
 *
 * Returns: the time as g_get_monotonic_time() gives it, in microseconds; -1 when there is no bound
 *
 * Since: 0.1
 */
gint64
mp_invocation_get_deadline (MpInvocation *self)
{
  g_return_val_if_fail (MP_IS_INVOCATION (self), -1);

  return self->task.deadline;
}

/**
 * mp_invocation_report:
 * @self: a call
 * @fraction: how much of it is done, from 0 to 1
 * @value: (nullable): what else there is to say; a floating reference is taken
 *
 * Tells the caller how far the call is.
 *
 * It arrives as [signal@Mp.Future::progress] and [property@Mp.Future:fraction]. To tell it often costs little: what comes
 * within 10 ms of what was told last is kept, and told with the next, or before the result. @value is a value without
 * objects.
 *
 * Nothing happens when nobody listens, or when the call has been answered.
 *
 * Since: 0.1
 */
void
mp_invocation_report (MpInvocation *self,
                      double        fraction,
                      GVariant     *value)
{
  g_autoptr(GVariant) own = value != NULL ? g_variant_ref_sink (value) : NULL;

  g_return_if_fail (MP_IS_INVOCATION (self));
  g_return_if_fail (fraction >= 0 && fraction <= 1);

  if (self->task.report != NULL)
    self->task.report (fraction, own, self->task.data);
}

/**
 * mp_invocation_set_error_details:
 * @self: a call
 * @details: a `a{sv}`
 *
 * Says more about the error that this call is about to fail with.
 *
 * What a language binding knows of an exception (`"type"`, `"traceback"`, `"blob"`) goes to the caller beside the
 * error, see [func@Mp.Error.dup_details]. Without an error it is forgotten.
 *
 * Since: 0.1
 */
void
mp_invocation_set_error_details (MpInvocation *self,
                                 GVariant     *details)
{
  g_return_if_fail (MP_IS_INVOCATION (self));
  g_return_if_fail (details != NULL && g_variant_is_of_type (details, G_VARIANT_TYPE_VARDICT));

  g_clear_pointer (&self->details, g_variant_unref);
  self->details = g_variant_ref_sink (details);
}

/**
 * mp_invocation_return_value:
 * @self: a call of an asynchronous function
 * @value: the result
 *
 * Answers the call.
 *
 * The first answer counts: another one is a programming error. A call that was not made to an asynchronous function is
 * answered by returning from it.
 *
 * Since: 0.1
 */
void
mp_invocation_return_value (MpInvocation *self,
                            GVariant     *value)
{
  g_return_if_fail (MP_IS_INVOCATION (self));
  g_return_if_fail (value != NULL);
  g_return_if_fail (self->done != NULL);

  g_variant_ref_sink (value);
  if (claim_answer (self))
    {
      g_clear_pointer (&self->details, g_variant_unref);
      deliver (self, value, NULL, TRUE);
      return;
    }
  g_critical ("function “%s” answered a call twice", mp_function_display_name (self->function->name));
  g_variant_unref (value);
}

/**
 * mp_invocation_return_error:
 * @self: a call of an asynchronous function
 * @error: the error
 *
 * Answers the call with an error.
 *
 * See [method@Mp.Invocation.return_value].
 *
 * Since: 0.1
 */
void
mp_invocation_return_error (MpInvocation *self,
                            const GError *error)
{
  g_return_if_fail (MP_IS_INVOCATION (self));
  g_return_if_fail (error != NULL);
  g_return_if_fail (self->done != NULL);

  if (claim_answer (self))
    deliver (self, NULL, g_error_copy (error), TRUE);
  else
    g_critical ("function “%s” answered a call twice", mp_function_display_name (self->function->name));
}

void
mp_invocation_enter (const MpInvocationHost *host,
                     MpInvocationOuter      *outer)
{
  *outer = (MpInvocationOuter) { running_host, running, running_object };
  running_host = host;
  running = NULL;
  running_object = NULL;
}

void
mp_invocation_leave (MpInvocationOuter *outer)
{
  g_assert (running_object == NULL);
  running_host = outer->host;
  running = outer->function;
  running_object = outer->object;
}

MpInvocationHost
mp_invocation_get_host (void)
{
  MpWorker *worker = NULL;

  if (running_host != NULL)
    return *running_host;

  worker = mp_worker_get ();
  if (worker == NULL)
    return (MpInvocationHost) { -1, NULL, NULL, g_main_context_default (), NULL };
  return (MpInvocationHost) { worker->role == MP_ROLE_POOL_WORKER ? (int) worker->number : -1, worker->name, worker->board,
                              worker->context, worker->task };
}

void
mp_invocation_begin (const MpFunction *function)
{
  running = function;
}

gboolean
mp_invocation_was_asked_for (void)
{
  return running_object != NULL;
}

GVariant *
mp_invocation_end (void)
{
  GVariant *details = NULL;

  running = NULL;
  if (running_object == NULL)
    return NULL;
  details = g_steal_pointer (&running_object->details);
  close_call (running_object);
  g_clear_object (&running_object);
  return details;
}

void
mp_invocation_call_async (const MpFunction  *function,
                          GVariant          *args,
                          MpInvocationDone   done,
                          gpointer           data)
{
  g_autoptr(MpInvocation) self = invocation_new (function);

  self->done = done;
  self->data = data;
  self->context = g_main_context_ref (mp_invocation_get_host ().context);
  running = function;
  running_object = g_object_ref (self);
  mp_script_count_call ();
  function->async_func (self, args, function->user_data);
  /* One in JavaScript that was run holds the call, or has answered it. */
  if (G_UNLIKELY (self->done != NULL && g_atomic_int_get (&G_OBJECT (self)->ref_count) == 2) && mp_script_collect ())
    function->async_func (self, args, function->user_data);
  running = NULL;
  g_clear_object (&running_object);
}
