/* mp-connection-async.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"

/* The asynchronous calls and the signals, in the main contexts that are concerned. */

/* Messages told by signals before others have their turn. */
#define MAX_MESSAGES_PER_TURN 64

static void dispatch_connection (gpointer      object,
                                 GMainContext *context);

static MpConnectionWatch *
ensure_watch (MpConnection *self,
              GMainContext *context)
{
  MpConnectionWatch *watch;
  guint i;

  for (i = 0; i < self->watches->len; i++)
    {
      watch = g_ptr_array_index (self->watches, i);
      if (watch->context == context)
        return watch;
    }

  watch = g_new0 (MpConnectionWatch, 1);
  watch->context = g_main_context_ref (context);
  watch->watch = mp_context_watch_new (context, G_OBJECT (self), dispatch_connection);
  g_ptr_array_add (self->watches, watch);
  return watch;
}

static void
watch_free (MpConnectionWatch *watch)
{
  mp_context_watch_free (watch->watch);
  g_main_context_unref (watch->context);
  g_free (watch);
}

/* Something for a signal is there that no descriptor tells of. */
static gboolean
has_news (MpConnection *self)
{
  return self->started &&
         (self->frame.kind != 0 || self->in_error != NULL ||
          (self->wire != NULL && (mp_wire_has_frame (self->wire) || mp_wire_may_have_more (self->wire))));
}

void
mp_connection_update_watches (MpConnection *self)
{
  GIOCondition wanted;
  guint i;

  if (self->poll_fd >= 0)
    mp_connection_update_fd (self);
  if (self->started || self->lingering)
    ensure_watch (self, self->context);
  if (self->watches->len == 0)
    return;

  wanted = mp_connection_get_wanted (self);
  for (i = self->watches->len; i-- > 0;)
    {
      MpConnectionWatch *watch = g_ptr_array_index (self->watches, i);
      gboolean own = watch->context == self->context;
      gboolean used = watch->n_ops > 0 || (own && (self->started || self->lingering));

      /* The connection's own one stays: there is often the next call soon. */
      if (self->closed ? !used : !used && !own)
        {
          g_ptr_array_remove_index_fast (self->watches, i);
          watch_free (watch);
          continue;
        }

      mp_context_watch_set (watch->watch, self->closed ? -1 : mp_wire_get_fd (self->wire), used ? wanted : 0,
                            own && has_news (self));
    }
}

MpOp *
mp_op_new (MpConnection        *self,
           gboolean             sends,
           MpMessageKind        kind,
           GCancellable        *cancellable,
           gpointer             source_tag,
           const char          *name,
           GAsyncReadyCallback  callback,
           gpointer             user_data)
{
  MpOp *op = g_new0 (MpOp, 1);

  g_atomic_ref_count_init (&op->ref_count);
  mp_home_init (&op->home);
  op->link.data = op;
  op->sends = sends;
  op->kind = kind;
  op->task = g_task_new (self, cancellable, NULL, NULL);
  op->callback = callback;
  op->user_data = user_data;
  op->posts = mp_hub_ref_context (g_task_get_context (op->task));
  g_task_set_source_tag (op->task, source_tag);
  g_task_set_name (op->task, name);
  /* What the result says is what happened to the message. */
  g_task_set_check_cancellable (op->task, FALSE);
  return op;
}

static void
nothing_cb (gpointer data)
{
}

/* To the task's context, or to a blocking call of the connection there; the reference to @op ends here. What another thread
 * may not free goes along, in one go: after the callback perhaps nobody comes to the context again. Who calls this has a
 * reference to the connection. */
static void
post_op (MpOp *op)
{
  MpConnection *self = g_task_get_source_object (op->task);
  gboolean is_home = mp_home_is_here (&op->home);

  mp_hub_lock ();
  mp_hub_post_task (g_object_ref (op->task), self, op->callback, op->user_data);
  if (!is_home)
    mp_hub_post (op->posts, self, nothing_cb, op, (GDestroyNotify) mp_op_unref);
  mp_hub_unlock ();
  if (is_home)
    mp_op_unref (op);

  pthread_mutex_lock (&self->lock);
  self->n_told++;
  mp_connection_wake (self);
  pthread_mutex_unlock (&self->lock);
}

/* Completes the call. The reference that its queue had ends here. */
static void
finish_op (MpOp *op)
{
  if (op->cancel_source != NULL)
    {
      g_source_destroy (op->cancel_source);
      g_clear_pointer (&op->cancel_source, g_source_unref);
    }

  if (op->task == NULL)
    ;   /* a message whose call has gone: it has left, or never will */
  else if (op->error != NULL)
    g_task_return_error (op->task, g_steal_pointer (&op->error));
  else if (op->sends || op->polls)
    g_task_return_boolean (op->task, TRUE);
  else if (op->fills)
    g_task_return_int (op->task, op->length);
  else if (op->kind == MP_MESSAGE_VALUE)
    g_task_return_pointer (op->task, g_steal_pointer (&op->value), (GDestroyNotify) g_variant_unref);
  else
    g_task_return_pointer (op->task, g_steal_pointer (&op->bytes), (GDestroyNotify) g_bytes_unref);

  if (op->task != NULL)
    post_op (op);
  else
    mp_op_unref (op);
}

void
mp_connection_finish_ops (GQueue *finished)
{
  GList *link;

  while ((link = g_queue_pop_head_link (finished)) != NULL)
    finish_op (link->data);
}

static gboolean
op_cancelled_cb (GCancellable *cancellable,
                 gpointer      user_data)
{
  MpOp *op = user_data;
  MpConnection *self = g_task_get_source_object (op->task);
  gboolean taken_back = FALSE;

  pthread_mutex_lock (&self->lock);
  if (op->state == MP_OP_QUEUED && mp_connection_take_back (self, op))
    {
      taken_back = TRUE;
      op->watch->n_ops--;
      op->watch = NULL;
      mp_connection_update_watches (self);
    }
  pthread_mutex_unlock (&self->lock);

  if (taken_back)
    {
      g_set_error (&op->error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled",
                   op->sends ? "connection send" : "connection receive");
      finish_op (op);
    }
  return G_SOURCE_REMOVE;
}

void
mp_op_start (MpOp   *op,
             GError *error)
{
  MpConnection *self = g_task_get_source_object (op->task);
  GCancellable *cancellable = g_task_get_cancellable (op->task);
  g_autoptr(GSource) cancel_source = NULL;
  GQueue finished = G_QUEUE_INIT;

  if (error == NULL && !g_cancellable_set_error_if_cancelled (cancellable, &error) && cancellable != NULL)
    {
      cancel_source = g_cancellable_source_new (cancellable);
      g_source_set_static_name (cancel_source, "MpConnection cancelled");
      g_atomic_ref_count_inc (&op->ref_count);
      g_source_set_callback (cancel_source, G_SOURCE_FUNC (op_cancelled_cb), op, (GDestroyNotify) mp_op_unref);
    }

  pthread_mutex_lock (&self->lock);
  if (error == NULL &&
      (op->sends ? mp_connection_check_out (self, &error) : mp_connection_check_in (self, &error)))
    {
      op->watch = ensure_watch (self, g_task_get_context (op->task));
      op->watch->n_ops++;
      op->state = MP_OP_QUEUED;
      g_queue_push_tail_link (op->sends ? &self->senders : &self->receivers, &op->link);
      if (cancel_source != NULL)
        {
          op->cancel_source = g_source_ref (cancel_source);
          g_source_attach (cancel_source, g_task_get_context (op->task));
        }
      mp_connection_pump (self, &finished);
    }
  pthread_mutex_unlock (&self->lock);

  if (error != NULL)
    {
      op->error = error;
      finish_op (op);
    }
  mp_connection_finish_ops (&finished);
}

static void
send_message_async (MpConnection        *self,
                    GVariant            *value,
                    GBytes              *bytes,
                    GCancellable        *cancellable,
                    gpointer             source_tag,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  MpOp *op = mp_op_new (self, TRUE, 0, cancellable, source_tag, "connection send", callback, user_data);
  GError *error = NULL;

  mp_op_init_send (op, self, value, bytes, &error);
  mp_op_start (op, error);
}

/**
 * mp_connection_send_async:
 * @self: a connection
 * @value: the message; a floating reference is taken
 * @cancellable: (nullable): takes the message back while none of it has left
 * @callback: (scope async) (closure user_data): called when the message has left, or cannot leave
 * @user_data: data for @callback
 *
 * Sends a value without blocking.
 *
 * Messages leave in the order of the calls, those of blocking calls included. @callback runs in the thread-default main
 * context of the caller, or in a blocking call of the connection in a thread that may acquire that. Once it has begun to
 * leave, a message is not taken back by @cancellable.
 *
 * Errors are those of [method@Mp.Connection.send], but for the time.
 *
 * Since: 0.1
 */
void
mp_connection_send_async (MpConnection        *self,
                          GVariant            *value,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  g_return_if_fail (MP_IS_CONNECTION (self));
  g_return_if_fail (value != NULL);

  send_message_async (self, value, NULL, cancellable, mp_connection_send_async, callback, user_data);
}

/**
 * mp_connection_send_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.send_async] began.
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_finish (MpConnection  *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_send_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_connection_send_bytes_async:
 * @self: a connection
 * @bytes: the message
 * @cancellable: (nullable): takes the message back while none of it has left
 * @callback: (scope async) (closure user_data): called when the message has left, or cannot leave
 * @user_data: data for @callback
 *
 * Sends bytes as one message without blocking.
 *
 * All else is as in [method@Mp.Connection.send_async].
 *
 * Since: 0.1
 */
void
mp_connection_send_bytes_async (MpConnection        *self,
                                GBytes              *bytes,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  g_return_if_fail (MP_IS_CONNECTION (self));
  g_return_if_fail (bytes != NULL);

  send_message_async (self, NULL, bytes, cancellable, mp_connection_send_bytes_async, callback, user_data);
}

/**
 * mp_connection_send_bytes_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.send_bytes_async] began.
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_bytes_finish (MpConnection  *self,
                                 GAsyncResult  *result,
                                 GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_send_bytes_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_connection_recv_async:
 * @self: a connection
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when there is a value, or will be none
 * @user_data: data for @callback
 *
 * Receives a value without blocking.
 *
 * Calls that wait get messages in the order in which they were made, blocking calls included, and before the signals of
 * a started connection. A call that is cancelled takes no message. @callback runs in the thread-default main context of
 * the caller, or in a blocking call of the connection in a thread that may acquire that.
 *
 * Errors are those of [method@Mp.Connection.recv], but for the time.
 *
 * Since: 0.1
 */
void
mp_connection_recv_async (MpConnection        *self,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  g_return_if_fail (MP_IS_CONNECTION (self));

  mp_op_start (mp_op_new (self, FALSE, MP_MESSAGE_VALUE, cancellable, mp_connection_recv_async, "connection receive",
                          callback, user_data), NULL);
}

/**
 * mp_connection_recv_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.recv_async] began.
 *
 * Returns: (transfer full): the value
 *
 * Since: 0.1
 */
GVariant *
mp_connection_recv_finish (MpConnection  *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_recv_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_connection_recv_bytes_async:
 * @self: a connection
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when there are bytes, or will be none
 * @user_data: data for @callback
 *
 * Receives a message of bytes without blocking.
 *
 * All else is as in [method@Mp.Connection.recv_async].
 *
 * Since: 0.1
 */
void
mp_connection_recv_bytes_async (MpConnection        *self,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  g_return_if_fail (MP_IS_CONNECTION (self));

  mp_op_start (mp_op_new (self, FALSE, MP_MESSAGE_BYTES, cancellable, mp_connection_recv_bytes_async,
                          "connection receive bytes", callback, user_data), NULL);
}

/**
 * mp_connection_recv_bytes_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.recv_bytes_async] began.
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_connection_recv_bytes_finish (MpConnection  *self,
                                 GAsyncResult  *result,
                                 GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_recv_bytes_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_connection_start:
 * @self: a connection
 *
 * Makes messages come as signals.
 *
 * From now on each message is told by [signal@Mp.Connection::message] or [signal@Mp.Connection::message-bytes], and the
 * end of the stream by [signal@Mp.Connection::closed], in the main context that was the thread-default one when the
 * connection was made. Receiving calls that wait have precedence. Of a sending end only `closed` can come.
 *
 * The connection is not kept alive by this. To start a closed or started one does nothing.
 *
 * Since: 0.1
 */
void
mp_connection_start (MpConnection *self)
{
  g_return_if_fail (MP_IS_CONNECTION (self));

  pthread_mutex_lock (&self->lock);
  if (!self->closed)
    {
      self->started = TRUE;
      mp_connection_update_watches (self);
    }
  pthread_mutex_unlock (&self->lock);
}

/**
 * mp_connection_stop:
 * @self: a connection
 *
 * Ends what [method@Mp.Connection.start] began.
 *
 * Messages wait again for a receiving call, or for the next start. When called in the connection's main context, no
 * signal comes after this call has returned.
 *
 * Since: 0.1
 */
void
mp_connection_stop (MpConnection *self)
{
  g_return_if_fail (MP_IS_CONNECTION (self));

  pthread_mutex_lock (&self->lock);
  self->started = FALSE;
  mp_connection_update_watches (self);
  /* What was read, and not told, is for others now. */
  mp_connection_wake (self);
  pthread_mutex_unlock (&self->lock);
}

/* With the lock held, which is let go of for the handlers. FALSE: nothing to tell now. */
static gboolean
tell_message (MpConnection *self)
{
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  gboolean ended;

  if (!self->started || self->receivers.head != NULL || !mp_connection_look (self) || self->frame.kind == 0)
    return FALSE;

  mp_connection_take (self, &value, &bytes, &error);
  ended = self->in_error != NULL;   /* then `closed` has it */
  mp_connection_update_fd (self);   /* the handler may look at it, or run for long while others do */
  pthread_mutex_unlock (&self->lock);
  if (value != NULL || bytes != NULL)
    mp_connection_tell_message (self, value, bytes);
  else if (!ended)
    g_warning ("A message of a connection was lost: %s", error->message);
  /* What a handler kept of them may be freed here for good, and run code of the user's. */
  g_clear_pointer (&value, g_variant_unref);
  g_clear_pointer (&bytes, g_bytes_unref);
  pthread_mutex_lock (&self->lock);

  return TRUE;
}

static void
tell_closed (MpConnection *self)
{
  g_autoptr(GError) error = NULL;

  self->started = FALSE;
  if (!g_error_matches (self->in_error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    error = g_error_copy (self->in_error);
  mp_connection_update_watches (self);

  pthread_mutex_unlock (&self->lock);
  mp_connection_tell_closed (self, error);
  pthread_mutex_lock (&self->lock);
}

static void
dispatch_connection (gpointer      object,
                     GMainContext *context)
{
  MpConnection *self = object;
  GQueue finished = G_QUEUE_INIT;
  guint n = 0;

  pthread_mutex_lock (&self->lock);
  mp_connection_pump (self, &finished);
  if (context == self->context)
    {
      while (n < MAX_MESSAGES_PER_TURN && tell_message (self))
        n++;
      mp_connection_pump (self, &finished);
      if (self->started && self->in_error != NULL && self->frame.kind == 0)
        tell_closed (self);
      else
        mp_connection_update_watches (self);
    }
  pthread_mutex_unlock (&self->lock);

  mp_connection_finish_ops (&finished);
}
