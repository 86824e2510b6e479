/* mp-process-calls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process.h"

#include <signal.h>
#include <unistd.h>

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/process/mp-process-private.h"

/* What one does with a process: mp-process.c holds what it is. */

/* What holds for every call: @what names it. */
static gboolean
check_usable (MpProcess   *self,
              const char  *what,
              GError     **error)
{
  MpProcessCore *core = mp_process_get_core (self);
  gboolean closed = FALSE;

  if (core->owner_pid != getpid ())
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NOT_OWNER, "process %s: only the process %d, which made it, may do that",
                   what, core->owner_pid);
      return FALSE;
    }

  mp_hub_lock ();
  closed = core->closed;
  mp_hub_unlock ();
  if (closed)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "process %s: it has been closed", what);

  return !closed;
}

/* With the lock held: @error for a call that needs a process that has been started. */
static gboolean
check_started (MpProcessCore  *core,
               const char     *what,
               GError        **error)
{
  if (core->state == MP_PROCESS_NEW)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED, "process %s: it has not been started", what);

  return core->state != MP_PROCESS_NEW;
}

/**
 * mp_process_run:
 * @self: a process
 * @error: return location for an error
 *
 * Does here, in the calling process, what the process is for: calls [vfunc@Mp.Process.run].
 *
 * Returns: `TRUE` when that succeeded
 *
 * Since: 0.1
 */
gboolean
mp_process_run (MpProcess  *self,
                GError    **error)
{
  gboolean success = FALSE;
  GError *local_error = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  success = MP_PROCESS_GET_CLASS (self)->run (self, &local_error);
  /* Not every binding gives an error with its FALSE. */
  if (!success && local_error == NULL)
    g_set_error (&local_error, MP_ERROR, MP_ERROR_FAILED, "run of %s failed without an error",
                 mp_process_get_name (self));
  else if (success)
    g_clear_error (&local_error);
  if (local_error != NULL)
    g_propagate_error (error, local_error);

  return success;
}

static gboolean
check_startable (MpProcess  *self,
                 GError    **error)
{
  if (!check_usable (self, "start", error))
    return FALSE;
  if (mp_process_get_core (self)->kind == MP_PROCESS_CHILD)
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "process start: it is running already");

  return FALSE;
}

static gboolean
start_is_over (gpointer data)
{
  MpProcessCore *core = data;

  return core->ready || core->state >= MP_PROCESS_ENDED;
}

/**
 * mp_process_start:
 * @self: a process that has not been started
 * @timeout_us: microseconds, -1 for ever, 0 looks once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Starts the process, once, and waits until it is ready: it has reached [func@Mp.init] and is about to run its
 * function.
 *
 * `MP_ERROR_WORKER_START` tells of a process that ended before, with the cause and the last lines of its standard
 * error; `MP_ERROR_NOT_INITIALIZED` of an [func@Mp.init] that is missing here; `MP_ERROR_UNSAFE_FORK` of a fork asked
 * for while there are threads; `MP_ERROR_NO_SUCH_FUNCTION` and `MP_ERROR_INVALID_TYPE` of what can be checked before;
 * `G_IO_ERROR_EXISTS` of a second start, `G_IO_ERROR_CLOSED` of a start after [method@Mp.Process.close]. After
 * `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` and `MP_ERROR_INTERRUPTED` the process is killed, so that nothing runs
 * that its caller has given up. It may be started again only if nothing was tried: after the second to the fifth.
 *
 * Several processes boot at once when [method@Mp.Process.start_async] is used.
 *
 * Returns: `TRUE` when it is ready
 *
 * Since: 0.1
 */
gboolean
mp_process_start (MpProcess     *self,
                  gint64         timeout_us,
                  GCancellable  *cancellable,
                  GError       **error)
{
  g_autoptr(MpProcess) kept = NULL;
  MpProcessCore *core = NULL;
  GError *failure = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (!check_startable (self, error) || !mp_process_launch (self, error))
    return FALSE;

  /* A handler may drop the last reference of others. */
  kept = g_object_ref (self);
  core = mp_process_get_core (self);
  if (mp_hub_wait (core, start_is_over, core, "process start", timeout_us, cancellable, &failure))
    {
      mp_hub_lock ();
      failure = mp_process_core_copy_start_error (core);
      mp_hub_unlock ();
    }
  else
    {
      mp_hub_lock ();
      if (core->child != NULL)
        mp_child_end (core->child, 0);
      mp_hub_unlock ();
    }

  if (failure != NULL)
    g_propagate_error (error, failure);

  return failure == NULL;
}

static GTask *
make_task (MpProcess    *self,
           GCancellable *cancellable,
           gpointer      tag)
{
  GTask *task = g_task_new (self, cancellable, NULL, NULL);

  g_task_set_source_tag (task, tag);
  /* A result that is there stays one: the waiter looks after the cancellable itself. */
  g_task_set_check_cancellable (task, FALSE);

  return task;
}

/**
 * mp_process_start_async:
 * @self: a process that has not been started
 * @cancellable: (nullable): ends the start
 * @callback: (nullable) (scope async) (closure user_data): called when it is ready, or the start has failed
 * @user_data: data for @callback
 *
 * Starts the process without waiting: as [method@Mp.Process.start], with the same errors.
 *
 * @callback runs once, in the thread-default main context of the caller. How long a boot may take is the context's
 * [property@Mp.Context:boot-timeout]. When @cancellable is cancelled in time the process is killed.
 *
 * Since: 0.1
 */
void
mp_process_start_async (MpProcess           *self,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  MpProcessCore *core = NULL;
  GTask *task = NULL;
  GError *error = NULL;
  gboolean launched = FALSE;

  g_return_if_fail (MP_IS_PROCESS (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  core = mp_process_get_core (self);
  launched = !g_cancellable_set_error_if_cancelled (cancellable, &error) &&
             check_startable (self, &error) && mp_process_launch (self, &error);
  /* Only now: the first GTask of a program starts a thread, after which it could not be forked. */
  task = make_task (self, cancellable, mp_process_start_async);
  if (!launched)
    mp_process_core_fail (core, task, error, callback, user_data);
  else
    mp_process_core_await_start (core, task, callback, user_data);
}

/**
 * mp_process_start_finish:
 * @self: a process
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what [method@Mp.Process.start_async] began.
 *
 * Returns: `TRUE` when the process is ready
 *
 * Since: 0.1
 */
gboolean
mp_process_start_finish (MpProcess     *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_process_start_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/* What is wrong about a join from the beginning. */
static gboolean
check_joinable (MpProcess  *self,
                GError    **error)
{
  MpProcessCore *core = mp_process_get_core (self);
  gboolean started = FALSE;

  if (!check_usable (self, "join", error))
    return FALSE;
  if (core->kind == MP_PROCESS_SELF)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                           "process join: a process cannot join itself");
      return FALSE;
    }

  mp_hub_lock ();
  started = check_started (core, "join", error);
  mp_hub_unlock ();

  return started;
}

static gboolean
has_ended (gpointer data)
{
  MpProcessCore *core = data;

  return core->state >= MP_PROCESS_ENDED;
}

/**
 * mp_process_join:
 * @self: a process that has been started
 * @timeout_us: microseconds, -1 for ever, 0 looks once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until the process has ended, in whatever way: [method@Mp.Process.get_exit_status] tells in which.
 *
 * Its signals that are due are emitted before this returns, if the thread may acquire their context. Joining a second
 * time succeeds at once. Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` and `MP_ERROR_INTERRUPTED` (nothing has
 * happened to the process), `G_IO_ERROR_NOT_INITIALIZED` before the start, `G_IO_ERROR_INVALID_ARGUMENT` for the
 * current process, `G_IO_ERROR_CLOSED`, and the start's error if nothing could be started.
 *
 * Returns: `TRUE` when it has ended
 *
 * Since: 0.1
 */
gboolean
mp_process_join (MpProcess     *self,
                 gint64         timeout_us,
                 GCancellable  *cancellable,
                 GError       **error)
{
  g_autoptr(MpProcess) kept = NULL;
  MpProcessCore *core = NULL;
  GError *failure = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_joinable (self, error))
    return FALSE;

  kept = g_object_ref (self);
  core = mp_process_get_core (self);
  if (!mp_hub_wait (core, has_ended, core, "process join", timeout_us, cancellable, error))
    return FALSE;

  mp_hub_lock ();
  if (core->state == MP_PROCESS_FAILED)
    failure = mp_process_core_copy_start_error (core);
  mp_hub_unlock ();
  if (failure != NULL)
    g_propagate_error (error, failure);

  return failure == NULL;
}

/**
 * mp_process_join_async:
 * @self: a process that has been started
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the process has ended
 * @user_data: data for @callback
 *
 * Waits for the end of the process without blocking: as [method@Mp.Process.join], with the same errors.
 *
 * @callback runs once, in the thread-default main context of the caller; where that is the context of the process's
 * signals, after `exited`.
 *
 * Since: 0.1
 */
void
mp_process_join_async (MpProcess           *self,
                       GCancellable        *cancellable,
                       GAsyncReadyCallback  callback,
                       gpointer             user_data)
{
  MpProcessCore *core = NULL;
  GTask *task = NULL;
  GError *error = NULL;

  g_return_if_fail (MP_IS_PROCESS (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  core = mp_process_get_core (self);
  task = make_task (self, cancellable, mp_process_join_async);
  if (!check_joinable (self, &error))
    mp_process_core_fail (core, task, error, callback, user_data);
  else
    mp_process_core_await_end (core, task, callback, user_data);
}

/**
 * mp_process_join_finish:
 * @self: a process
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what [method@Mp.Process.join_async] began.
 *
 * Returns: `TRUE` when the process has ended
 *
 * Since: 0.1
 */
gboolean
mp_process_join_finish (MpProcess     *self,
                        GAsyncResult  *result,
                        GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_process_join_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

static gboolean
send_signal (MpProcess   *self,
             int          signum,
             const char  *what,
             GError     **error)
{
  MpProcessCore *core = NULL;
  GError *failure = NULL;
  gboolean success = FALSE;

  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_usable (self, what, error))
    return FALSE;

  core = mp_process_get_core (self);
  if (core->kind != MP_PROCESS_CHILD)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NOT_OWNER, "process %s: only the process that started it may do that",
                   what);
      return FALSE;
    }

  mp_hub_lock ();
  success = check_started (core, what, &failure) &&
            (core->child == NULL || mp_child_signal (core->child, signum, &failure));
  mp_hub_unlock ();

  /* It has ended, and we have not been told yet. */
  if (g_error_matches (failure, G_IO_ERROR, G_IO_ERROR_CLOSED))
    {
      g_clear_error (&failure);
      success = TRUE;
    }
  if (failure != NULL)
    g_propagate_error (error, failure);

  return success;
}

/**
 * mp_process_terminate:
 * @self: a process that has been started
 * @error: return location for an error
 *
 * Sends it SIGTERM, which ends it unless it has made other arrangements. Does not wait.
 *
 * One that has ended already is no error. Errors: `G_IO_ERROR_NOT_INITIALIZED` before the start, `G_IO_ERROR_CLOSED`,
 * `MP_ERROR_NOT_OWNER`, or what the system says. The processes that it has started end with it.
 *
 * Returns: `TRUE` on success
 *
 * Since: 0.1
 */
gboolean
mp_process_terminate (MpProcess  *self,
                      GError    **error)
{
  return send_signal (self, SIGTERM, "terminate", error);
}

/**
 * mp_process_kill:
 * @self: a process that has been started
 * @error: return location for an error
 *
 * Sends it SIGKILL, which ends it. Otherwise as [method@Mp.Process.terminate].
 *
 * Returns: `TRUE` on success
 *
 * Since: 0.1
 */
gboolean
mp_process_kill (MpProcess  *self,
                 GError    **error)
{
  return send_signal (self, SIGKILL, "kill", error);
}

/**
 * mp_process_interrupt:
 * @self: a process that has been started
 * @error: return location for an error
 *
 * Sends it SIGINT, as Ctrl-C does: it ends, or its language's handler runs (a KeyboardInterrupt in Python). Otherwise
 * as [method@Mp.Process.terminate].
 *
 * Returns: `TRUE` on success
 *
 * Since: 0.1
 */
gboolean
mp_process_interrupt (MpProcess  *self,
                      GError    **error)
{
  return send_signal (self, SIGINT, "interrupt", error);
}

/**
 * mp_process_get_sentinel:
 * @self: a process that has been started
 * @error: return location for an error
 *
 * Gives a descriptor that becomes readable when the process has ended, for `poll()`, `select()` and foreign event
 * loops. Only wait for it: nothing is to be read from it.
 *
 * It belongs to @self and lives as long, or until [method@Mp.Process.close]. Errors: `G_IO_ERROR_NOT_INITIALIZED`
 * before the start, `G_IO_ERROR_CLOSED`, `G_IO_ERROR_NOT_SUPPORTED` for the current process, and what the system says
 * when no descriptor is free.
 *
 * Returns: the descriptor, -1 on error
 *
 * Since: 0.1
 */
int
mp_process_get_sentinel (MpProcess  *self,
                         GError    **error)
{
  MpProcessCore *core = NULL;
  int sentinel = -1;

  g_return_val_if_fail (MP_IS_PROCESS (self), -1);
  g_return_val_if_fail (error == NULL || *error == NULL, -1);

  if (!check_usable (self, "sentinel", error))
    return -1;

  core = mp_process_get_core (self);
  if (core->kind == MP_PROCESS_SELF)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                           "process sentinel: the current process has none for itself");
      return -1;
    }

  mp_hub_lock ();
  if (check_started (core, "sentinel", error))
    sentinel = mp_process_core_get_sentinel (core, error);
  mp_hub_unlock ();

  return sentinel;
}

/**
 * mp_process_close:
 * @self: a process
 * @error: return location for an error
 *
 * Releases what the object holds, its sentinel first of all. Most calls fail with `G_IO_ERROR_CLOSED` from then on;
 * name, pid and exit status stay what they were. Closing twice is no error.
 *
 * Errors: `G_IO_ERROR_BUSY` while the process runs.
 *
 * Returns: `TRUE` when it is closed
 *
 * Since: 0.1
 */
gboolean
mp_process_close (MpProcess  *self,
                  GError    **error)
{
  MpProcessCore *core = NULL;
  gboolean alive = FALSE;

  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  alive = mp_process_is_alive (self);
  core = mp_process_get_core (self);
  if (alive)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_BUSY,
                           "process close: it is still running; join or terminate it first");
      return FALSE;
    }

  mp_hub_lock ();
  core->closed = TRUE;
  mp_fd_close (&core->sentinel);
  mp_hub_unlock ();

  return TRUE;
}
