/* mp-challenge.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-challenge.h"

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/platform/mp-deadline-private.h"

/* Authentication by messages of a connection that there is already: one half of what listeners and clients do. */

/* The next message of ours, if there is one. @deadline: -1: none. */
static gboolean
send_pending (MpConnection  *connection,
              MpAuth        *auth,
              gint64         deadline,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr(GBytes) message = mp_auth_dup_message (auth);

  return message == NULL ||
         mp_connection_send_bytes (connection, message, mp_deadline_left (deadline), cancellable, error);
}

static gboolean
run (MpAuthRole     role,
     MpConnection  *connection,
     GBytes        *authkey,
     gboolean       allow_md5,
     gint64         timeout_us,
     GCancellable  *cancellable,
     GError       **error)
{
  g_autoptr(MpAuth) auth = mp_auth_new (role, authkey, allow_md5, error);
  gint64 deadline = mp_deadline_after (timeout_us);

  if (auth == NULL || !send_pending (connection, auth, deadline, cancellable, error))
    return FALSE;

  while (!mp_auth_is_done (auth))
    {
      g_autoptr(GBytes) message = NULL;
      const guint8 *data;
      gsize size;

      message = mp_connection_recv_bytes_full (connection, MP_AUTH_MAX_MESSAGE, mp_deadline_left (deadline),
                                               cancellable, error);
      if (message == NULL)
        return FALSE;

      data = g_bytes_get_data (message, &size);
      if (!mp_auth_take_message (auth, data, size, error))
        {
          /* The news of it: there is no more to be done when it does not get through. */
          send_pending (connection, auth, deadline, cancellable, NULL);
          return FALSE;
        }
      if (!send_pending (connection, auth, deadline, cancellable, error))
        return FALSE;
    }

  return TRUE;
}

typedef struct
{
  MpAuth              *auth;       /* (owned) */
  GError              *error;      /* (owned) (nullable): to be returned when the news has been sent */
  GMainContext        *posts;      /* (owned): the hub's reference to the task's context */
  GAsyncReadyCallback  callback;   /* of the task, which was made without: a blocking call may run it, too */
  gpointer             user_data;
} Challenge;

static void
challenge_free (gpointer data)
{
  Challenge *self = data;

  g_clear_pointer (&self->auth, mp_auth_free);
  g_clear_error (&self->error);
  g_clear_pointer (&self->posts, mp_hub_unref_context);
  g_free (self);
}

/* Takes @task, and @error: NULL, it went well. */
static void
complete (GTask  *task,
          GError *error)
{
  Challenge *self = g_task_get_task_data (task);

  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);

  mp_hub_lock ();
  mp_hub_post_task (task, g_task_get_source_object (task), self->callback, self->user_data);
  mp_hub_unlock ();
}

static void go_on (GTask *task);

static void
received_cb (GObject      *object,
             GAsyncResult *result,
             gpointer      user_data)
{
  GTask *task = user_data;
  Challenge *self = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr(GBytes) message = mp_connection_recv_bytes_full_finish (MP_CONNECTION (object), result, &error);
  const guint8 *data;
  gsize size;

  if (message == NULL)
    {
      complete (task, error);
      return;
    }

  data = g_bytes_get_data (message, &size);
  mp_auth_take_message (self->auth, data, size, &self->error);
  go_on (task);
}

static void
sent_cb (GObject      *object,
         GAsyncResult *result,
         gpointer      user_data)
{
  GTask *task = user_data;
  Challenge *self = g_task_get_task_data (task);
  GError *error = NULL;

  mp_connection_send_bytes_finish (MP_CONNECTION (object), result, &error);
  if (error != NULL && self->error == NULL)
    complete (task, error);
  else
    {
      g_clear_error (&error);
      go_on (task);
    }
}

/* Takes @task. */
static void
go_on (GTask *task)
{
  Challenge *self = g_task_get_task_data (task);
  MpConnection *connection = g_task_get_source_object (task);
  GCancellable *cancellable = g_task_get_cancellable (task);
  g_autoptr(GBytes) message = mp_auth_dup_message (self->auth);

  if (message != NULL)
    mp_connection_send_bytes_async (connection, message, cancellable, sent_cb, task);
  else if (self->error != NULL || mp_auth_is_done (self->auth))
    complete (task, g_steal_pointer (&self->error));
  else
    mp_connection_recv_bytes_full_async (connection, MP_AUTH_MAX_MESSAGE, cancellable, received_cb, task);
}

static void
run_async (MpAuthRole           role,
           MpConnection        *connection,
           GBytes              *authkey,
           gboolean             allow_md5,
           GCancellable        *cancellable,
           gpointer             source_tag,
           GAsyncReadyCallback  callback,
           gpointer             user_data)
{
  GTask *task = g_task_new (connection, cancellable, NULL, NULL);
  Challenge *self = g_new0 (Challenge, 1);
  GError *error = NULL;

  g_task_set_source_tag (task, source_tag);
  g_task_set_name (task, role == MP_AUTH_DELIVER ? "deliver challenge" : "answer challenge");
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, self, challenge_free);
  self->posts = mp_hub_ref_context (g_task_get_context (task));
  self->callback = callback;
  self->user_data = user_data;
  self->auth = mp_auth_new (role, authkey, allow_md5, &error);
  if (self->auth == NULL)
    complete (task, error);
  else
    go_on (task);
}

static gboolean
finish (GAsyncResult  *result,
        gpointer       source_tag,
        GError       **error)
{
  g_return_val_if_fail (G_IS_TASK (result), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, source_tag), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_deliver_challenge:
 * @connection: a connection that can send and receive
 * @authkey: the key, not empty
 * @allow_md5: whether the answer may be in the form of CPython before version 3.12, see
 *   [property@Mp.ClientOptions:allow-md5]
 * @timeout_us: microseconds to wait, -1 for ever
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Has the other side of a connection show that it has a key.
 *
 * It is to call [func@Mp.answer_challenge], or the function of that name of CPython. Then the sides change, for both to
 * know: listeners and clients do this by themselves. The key does not leave the process. Nothing else may be received or
 * sent meanwhile.
 *
 * After an error the connection is good for nothing but to be closed. May be called in any thread.
 *
 * Errors: `MP_ERROR_AUTHENTICATION` when it has not shown it; `MP_ERROR_PROTOCOL`, `MP_ERROR_TOO_LARGE` and
 * `MP_ERROR_INVALID_TYPE` when what comes is no answer; `G_IO_ERROR_INVALID_ARGUMENT` for a key that is empty; those of
 * [method@Mp.Connection.send_bytes] and [method@Mp.Connection.recv_bytes].
 *
 * Returns: whether it has the key
 *
 * Since: 0.1
 */
gboolean
mp_deliver_challenge (MpConnection  *connection,
                      GBytes        *authkey,
                      gboolean       allow_md5,
                      gint64         timeout_us,
                      GCancellable  *cancellable,
                      GError       **error)
{
  g_return_val_if_fail (MP_IS_CONNECTION (connection), FALSE);
  g_return_val_if_fail (authkey != NULL, FALSE);

  return run (MP_AUTH_DELIVER, connection, authkey, allow_md5, timeout_us, cancellable, error);
}

/**
 * mp_deliver_challenge_async:
 * @connection: a connection that can send and receive
 * @authkey: the key, not empty
 * @allow_md5: whether the answer may be in the form of CPython before version 3.12
 * @cancellable: (nullable): ends it
 * @callback: (scope async) (closure user_data): called when it is known
 * @user_data: data for @callback
 *
 * Has the other side of a connection show that it has a key, without blocking.
 *
 * @callback runs in the thread-default main context of the caller, or in a blocking call of the connection in a thread
 * that may acquire that. All else is as in [func@Mp.deliver_challenge].
 *
 * Since: 0.1
 */
void
mp_deliver_challenge_async (MpConnection        *connection,
                            GBytes              *authkey,
                            gboolean             allow_md5,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_return_if_fail (MP_IS_CONNECTION (connection));
  g_return_if_fail (authkey != NULL);

  run_async (MP_AUTH_DELIVER, connection, authkey, allow_md5, cancellable, mp_deliver_challenge_async, callback,
             user_data);
}

/**
 * mp_deliver_challenge_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [func@Mp.deliver_challenge_async] began.
 *
 * Returns: whether the other side has the key
 *
 * Since: 0.1
 */
gboolean
mp_deliver_challenge_finish (GAsyncResult  *result,
                             GError       **error)
{
  return finish (result, mp_deliver_challenge_async, error);
}

/**
 * mp_answer_challenge:
 * @connection: a connection that can send and receive
 * @authkey: the key, not empty
 * @allow_md5: whether the form of CPython before version 3.12 may be answered, see
 *   [property@Mp.ClientOptions:allow-md5]
 * @timeout_us: microseconds to wait, -1 for ever
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Shows the other side of a connection that this one has a key.
 *
 * The other side is to call [func@Mp.deliver_challenge], or the function of that name of CPython. Errors are the same,
 * `MP_ERROR_AUTHENTICATION` when the other side has another key.
 *
 * Returns: whether the other side was content
 *
 * Since: 0.1
 */
gboolean
mp_answer_challenge (MpConnection  *connection,
                     GBytes        *authkey,
                     gboolean       allow_md5,
                     gint64         timeout_us,
                     GCancellable  *cancellable,
                     GError       **error)
{
  g_return_val_if_fail (MP_IS_CONNECTION (connection), FALSE);
  g_return_val_if_fail (authkey != NULL, FALSE);

  return run (MP_AUTH_ANSWER, connection, authkey, allow_md5, timeout_us, cancellable, error);
}

/**
 * mp_answer_challenge_async:
 * @connection: a connection that can send and receive
 * @authkey: the key, not empty
 * @allow_md5: whether the form of CPython before version 3.12 may be answered
 * @cancellable: (nullable): ends it
 * @callback: (scope async) (closure user_data): called when it is known
 * @user_data: data for @callback
 *
 * Shows the other side of a connection that this one has a key, without blocking.
 *
 * @callback runs in the thread-default main context of the caller, or in a blocking call of the connection in a thread
 * that may acquire that. All else is as in [func@Mp.answer_challenge].
 *
 * Since: 0.1
 */
void
mp_answer_challenge_async (MpConnection        *connection,
                           GBytes              *authkey,
                           gboolean             allow_md5,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_return_if_fail (MP_IS_CONNECTION (connection));
  g_return_if_fail (authkey != NULL);

  run_async (MP_AUTH_ANSWER, connection, authkey, allow_md5, cancellable, mp_answer_challenge_async, callback,
             user_data);
}

/**
 * mp_answer_challenge_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [func@Mp.answer_challenge_async] began.
 *
 * Returns: whether the other side was content
 *
 * Since: 0.1
 */
gboolean
mp_answer_challenge_finish (GAsyncResult  *result,
                            GError       **error)
{
  return finish (result, mp_answer_challenge_async, error);
}
