/* mp-listener-calls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

/* The calls that wait for a client, and the signals that come instead of them. */

static void
op_init (MpListenerAccept *op,
         MpListenerCore   *core,
         GCancellable     *cancellable)
{
  op->link.data = op;
  op->cancellable = cancellable;
  op->core = mp_listener_core_ref (core);
}

static void
op_clear (MpListenerAccept *op)
{
  g_clear_pointer (&op->client, mp_listener_client_free);
  g_clear_error (&op->error);
  g_clear_pointer (&op->core, mp_listener_core_unref);
}

static void
op_unref (MpListenerAccept *op)
{
  if (!g_atomic_ref_count_dec (&op->ref_count))
    return;

  op_clear (op);
  g_clear_pointer (&op->posts, mp_hub_unref_context);
  g_free (op);
}

/* Puts it into the queue. FALSE: its end has come at once. */
static gboolean
op_queue (MpListenerAccept *op)
{
  MpListenerCore *core = op->core;
  gboolean closed;

  mp_hub_lock ();
  mp_listener_core_prepare (core);
  closed = core->closed;
  if (!closed)
    {
      op->queued = TRUE;
      op->pid = core->pid;
      g_queue_push_tail_link (&core->accepts, &op->link);
      /* Not before: from now on any thread may end the call. */
      if (op->cancel_source != NULL)
        g_source_attach (op->cancel_source, op->posts);
    }
  mp_hub_unlock ();

  if (closed)
    g_set_error (&op->error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The listener is closed");
  return !closed;
}

/* FALSE: its end has come. */
static gboolean
op_take_back (MpListenerAccept *op)
{
  gboolean queued;

  mp_hub_lock ();
  queued = op->queued;
  op->queued = FALSE;
  /* A forked copy begins anew, without the queue of its parent: in that there are calls of threads that it has not got. */
  mp_listener_core_prepare (op->core);
  if (queued && op->pid == op->core->pid)
    {
      g_queue_unlink (&op->core->accepts, &op->link);
      mp_listener_core_settle (op->core);
    }
  mp_hub_unlock ();

  return queued;
}

static gboolean
op_is_done (gpointer data)
{
  MpListenerAccept *op = data;

  return !op->queued;
}

/**
 * mp_listener_accept:
 * @self: a listener
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits for the next client that has shown that it has the key.
 *
 * The handshakes of all clients go on meanwhile, side by side: one that fails, stalls or goes costs itself only, and is
 * told of by [signal@Mp.Listener::client-failed]. Those that have not come to their end when this call returns go on
 * with the next call.
 *
 * The connection belongs to the main context that is the caller's thread-default one, and carries messages of at most
 * [property@Mp.Listener:max-message-size]. May be called in any thread, and in several at a time; calls get clients in
 * the order in which they were made.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `MP_ERROR_INTERRUPTED`, `G_IO_ERROR_CLOSED` when the listener
 * is closed, and `G_IO_ERROR_BUSY` in a copy of the process that a callback of the call forked. That no descriptors are
 * left is none: the clients wait, and so does this call.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_listener_accept (MpListener    *self,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  MpListenerAccept op = { .blocking = TRUE };
  MpConnection *connection = NULL;
  GError *local_error = NULL;

  g_return_val_if_fail (MP_IS_LISTENER (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "listener accept: cancelled");
      return NULL;
    }

  op_init (&op, mp_listener_get_core (self), cancellable);
  if (op_queue (&op))
    {
      mp_listener_core_drive (op.core);
      if (!mp_hub_wait (op.core, op_is_done, &op, "listener accept", timeout_us, cancellable, &local_error) &&
          op_take_back (&op))
        g_propagate_error (&op.error, g_steal_pointer (&local_error));
      g_clear_error (&local_error);
    }

  if (op.client != NULL)
    connection = mp_handshake_finish (&op.client->handshake, op.core->max_message_size);
  else
    g_propagate_error (error, g_steal_pointer (&op.error));
  op_clear (&op);
  return connection;
}

static void
finish_accept (MpListenerAccept *op)
{
  GTask *task = g_steal_pointer (&op->task);

  if (op->cancel_source != NULL)
    {
      g_source_destroy (op->cancel_source);
      g_clear_pointer (&op->cancel_source, g_source_unref);
    }

  /* The connection is made by who asks for the result: in the context that it is to belong to. */
  if (op->client != NULL)
    g_task_return_pointer (task, g_steal_pointer (&op->client), (GDestroyNotify) mp_listener_client_free);
  else
    g_task_return_error (task, g_steal_pointer (&op->error));

  mp_hub_lock ();
  mp_hub_post_task (task, op->core, op->callback, op->user_data);
  mp_hub_unlock ();
  op_unref (op);
}

void
mp_listener_finish_accepts (GQueue *finished)
{
  GList *link;

  while ((link = g_queue_pop_head_link (finished)) != NULL)
    finish_accept (link->data);
}

static gboolean
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  MpListenerAccept *op = user_data;

  if (op_take_back (op))
    {
      g_set_error (&op->error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "listener accept: cancelled");
      finish_accept (op);
    }
  return G_SOURCE_REMOVE;
}

static void
watch_cancellable (MpListenerAccept *op,
                   GCancellable     *cancellable)
{
  GSource *source = g_cancellable_source_new (cancellable);

  g_source_set_static_name (source, "MpListener cancelled");
  g_atomic_ref_count_inc (&op->ref_count);
  g_source_set_callback (source, G_SOURCE_FUNC (cancelled_cb), op, (GDestroyNotify) op_unref);
  op->cancel_source = source;
}

/**
 * mp_listener_accept_async:
 * @self: a listener
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when there is a client, or will be none
 * @user_data: data for @callback
 *
 * Waits for the next client without blocking.
 *
 * @callback runs in the thread-default main context of the caller, or in a blocking call of the listener in a thread
 * that may acquire that. Handshakes go on while that context runs. A call that is cancelled takes no client.
 *
 * Errors are those of [method@Mp.Listener.accept], but for the time.
 *
 * Since: 0.1
 */
void
mp_listener_accept_async (MpListener          *self,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  MpListenerAccept *op;
  MpListenerCore *core;

  g_return_if_fail (MP_IS_LISTENER (self));

  core = mp_listener_get_core (self);
  op = g_new0 (MpListenerAccept, 1);
  g_atomic_ref_count_init (&op->ref_count);
  op_init (op, core, cancellable);
  op->task = g_task_new (self, cancellable, NULL, NULL);
  op->callback = callback;
  op->user_data = user_data;
  op->posts = mp_hub_ref_context (g_task_get_context (op->task));
  g_task_set_source_tag (op->task, mp_listener_accept_async);
  g_task_set_name (op->task, "listener accept");
  /* What the result says is what happened to the client. */
  g_task_set_check_cancellable (op->task, FALSE);

  if (g_cancellable_set_error_if_cancelled (cancellable, &op->error))
    {
      finish_accept (op);
      return;
    }

  if (cancellable != NULL)
    watch_cancellable (op, cancellable);
  if (op_queue (op))
    mp_listener_core_drive (core);
  else
    finish_accept (op);
}

/**
 * mp_listener_accept_finish:
 * @self: a listener
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Listener.accept_async] began.
 *
 * The connection belongs to the main context that is the thread-default one here.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_listener_accept_finish (MpListener    *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  MpListenerClient *client;
  MpConnection *connection;

  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_listener_accept_async), NULL);

  client = g_task_propagate_pointer (G_TASK (result), error);
  if (client == NULL)
    return NULL;

  connection = mp_handshake_finish (&client->handshake, mp_listener_get_core (self)->max_message_size);
  mp_listener_client_free (client);
  return connection;
}

/**
 * mp_listener_start:
 * @self: a listener
 *
 * Makes clients come as signals.
 *
 * From now on each client is told by [signal@Mp.Listener::connection], in the main context that was the thread-default
 * one when the listener was made, while that runs. Calls of [method@Mp.Listener.accept] that wait have precedence.
 * While the handlers are busy clients wait: no more are taken from the socket than can be told soon.
 *
 * The listener is not kept alive by this. To start one that is closed or started does nothing.
 *
 * Since: 0.1
 */
void
mp_listener_start (MpListener *self)
{
  MpListenerCore *core;
  GMainContext *posts;
  gboolean begins;

  g_return_if_fail (MP_IS_LISTENER (self));

  core = mp_listener_get_core (self);
  posts = mp_hub_ref_context (core->context);
  mp_hub_lock ();
  mp_listener_core_prepare (core);
  begins = !core->started && !core->closed;
  if (begins)
    {
      core->started = TRUE;
      core->posts = g_steal_pointer (&posts);
    }
  mp_hub_unlock ();

  g_clear_pointer (&posts, mp_hub_unref_context);
  if (begins)
    mp_listener_core_drive (core);
}

/**
 * mp_listener_stop:
 * @self: a listener
 *
 * Ends what [method@Mp.Listener.start] began.
 *
 * Clients wait again for [method@Mp.Listener.accept], or for the next start. When called in the listener's main
 * context, no signal of a connection comes after this call has returned.
 *
 * Since: 0.1
 */
void
mp_listener_stop (MpListener *self)
{
  g_return_if_fail (MP_IS_LISTENER (self));

  mp_listener_core_stop (mp_listener_get_core (self));
}

/**
 * mp_listener_close:
 * @self: a listener
 *
 * Stops listening.
 *
 * Calls under way end with `G_IO_ERROR_CLOSED`, those of other threads too, and no more signals come. Clients that have
 * not been accepted are cut off; connections that have been go on. The file of a UNIX socket is removed, unless another
 * listener has taken its place, or the listener was made by another process, which this one is a forked copy of.
 *
 * To close twice does nothing. A listener that is finalized is closed.
 *
 * Since: 0.1
 */
void
mp_listener_close (MpListener *self)
{
  g_return_if_fail (MP_IS_LISTENER (self));

  mp_listener_core_close (mp_listener_get_core (self));
}

/**
 * mp_listener_is_closed:
 * @self: a listener
 *
 * Gets whether [method@Mp.Listener.close] was called.
 *
 * Returns: whether the listener is closed
 *
 * Since: 0.1
 */
gboolean
mp_listener_is_closed (MpListener *self)
{
  gboolean closed;

  g_return_val_if_fail (MP_IS_LISTENER (self), TRUE);

  mp_hub_lock ();
  closed = mp_listener_get_core (self)->closed;
  mp_hub_unlock ();

  return closed;
}

/**
 * mp_listener_get_fd:
 * @self: a listener
 *
 * Gets a descriptor to wait with.
 *
 * For an event loop of another kind: while it is readable there is something for the listener to do, and
 * [method@Mp.Listener.accept] with no time is to be called. That gives a connection, or goes on with handshakes and
 * ends with `G_IO_ERROR_TIMED_OUT`. It is an epoll descriptor, which stays the listener's, and is not to be read from.
 *
 * Returns: the descriptor, -1 when the listener is closed
 *
 * Since: 0.1
 */
int
mp_listener_get_fd (MpListener *self)
{
  MpListenerCore *core;
  int fd;

  g_return_val_if_fail (MP_IS_LISTENER (self), -1);

  core = mp_listener_get_core (self);
  mp_hub_lock ();
  mp_listener_core_prepare (core);
  fd = core->closed ? -1 : core->poll_fd;
  mp_hub_unlock ();

  return fd;
}
