/* mp-connection-bytes.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

/* Messages of bytes from and to a part of what the caller has. */

/* (transfer full) */
static GBytes *
get_part (GBytes  *bytes,
          gsize    offset,
          gssize   size,
          GError **error)
{
  gsize available = g_bytes_get_size (bytes);

  if (offset > available)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "Cannot send from %" G_GSIZE_FORMAT " on: there are %" G_GSIZE_FORMAT " bytes", offset, available);
      return NULL;
    }
  if (size < -1 || (size >= 0 && (gsize) size > available - offset))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "Cannot send %" G_GSSIZE_FORMAT " bytes from %" G_GSIZE_FORMAT " on: there are %" G_GSIZE_FORMAT,
                   size, offset, available);
      return NULL;
    }

  return g_bytes_new_from_bytes (bytes, offset, size >= 0 ? (gsize) size : available - offset);
}

/**
 * mp_connection_send_bytes_full:
 * @self: a connection
 * @bytes: what the message is a part of
 * @offset: where the message begins in @bytes
 * @size: bytes of the message, -1 for all from @offset on
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Sends a part of bytes as one message, and waits until it has left.
 *
 * They are not copied. A part that is not within @bytes is `G_IO_ERROR_INVALID_ARGUMENT`. All else is as in
 * [method@Mp.Connection.send_bytes].
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_bytes_full (MpConnection  *self,
                               GBytes        *bytes,
                               gsize          offset,
                               gssize         size,
                               gint64         timeout_us,
                               GCancellable  *cancellable,
                               GError       **error)
{
  g_autoptr(GBytes) part = NULL;

  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);
  g_return_val_if_fail (bytes != NULL, FALSE);

  part = get_part (bytes, offset, size, error);
  return part != NULL && mp_connection_send_bytes (self, part, timeout_us, cancellable, error);
}

/**
 * mp_connection_send_bytes_full_async:
 * @self: a connection
 * @bytes: what the message is a part of
 * @offset: where the message begins in @bytes
 * @size: bytes of the message, -1 for all from @offset on
 * @cancellable: (nullable): takes the message back while none of it has left
 * @callback: (scope async) (closure user_data): called when the message has left, or cannot leave
 * @user_data: data for @callback
 *
 * Sends a part of bytes as one message without blocking.
 *
 * All else is as in [method@Mp.Connection.send_bytes_full] and [method@Mp.Connection.send_async].
 *
 * Since: 0.1
 */
void
mp_connection_send_bytes_full_async (MpConnection        *self,
                                     GBytes              *bytes,
                                     gsize                offset,
                                     gssize               size,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data)
{
  g_autoptr(GBytes) part = NULL;
  GError *error = NULL;
  MpOp *op;

  g_return_if_fail (MP_IS_CONNECTION (self));
  g_return_if_fail (bytes != NULL);

  op = mp_op_new (self, TRUE, MP_MESSAGE_BYTES, cancellable, mp_connection_send_bytes_full_async, "connection send",
                  callback, user_data);
  part = get_part (bytes, offset, size, &error);
  if (part != NULL)
    mp_op_init_send (op, self, NULL, part, &error);
  mp_op_start (op, error);
}

/**
 * mp_connection_send_bytes_full_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.send_bytes_full_async] began.
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_bytes_full_finish (MpConnection  *self,
                                      GAsyncResult  *result,
                                      GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_send_bytes_full_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_connection_send_data:
 * @self: a connection
 * @data: (array length=size) (element-type guint8): the message
 * @size: bytes of it
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Sends memory of the caller's as one message, and waits until it has left.
 *
 * It is sent from where it lies, and is the caller's again when the call returns. When that is so before the message
 * has left wholly, what is left of it is copied. All else is as in [method@Mp.Connection.send_bytes].
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_data (MpConnection  *self,
                         const guint8  *data,
                         gsize          size,
                         gint64         timeout_us,
                         GCancellable  *cancellable,
                         GError       **error)
{
  g_autoptr(GBytes) bytes = NULL;
  MpOp op = { .state = MP_OP_IDLE, .borrowed = TRUE };
  gboolean ok;

  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);
  g_return_val_if_fail (data != NULL || size == 0, FALSE);

  bytes = g_bytes_new_static (data, size);
  ok = mp_op_init_send (&op, self, NULL, bytes, error) &&
       mp_connection_run_op (self, &op, "connection send", timeout_us, cancellable, error);
  mp_op_clear (&op);
  return ok;
}

/**
 * mp_connection_recv_bytes_full:
 * @self: a connection
 * @max_length: the longest message that is wanted
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Receives a message of bytes, if it is not too long.
 *
 * One that is longer stays where it is: that is `MP_ERROR_TOO_LARGE`, whose details ([func@Mp.Error.dup_details]) have
 * its `length`, and a call with a larger @max_length gets it. Unlike `MP_ERROR_TOO_LARGE` for a message beyond
 * [property@Mp.Connection:max-message-size], this leaves the connection as it was. All else is as in
 * [method@Mp.Connection.recv_bytes].
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_connection_recv_bytes_full (MpConnection  *self,
                               guint64        max_length,
                               gint64         timeout_us,
                               GCancellable  *cancellable,
                               GError       **error)
{
  MpOp op = { .state = MP_OP_IDLE, .kind = MP_MESSAGE_BYTES, .bounded = TRUE, .max_length = max_length };
  GBytes *bytes = NULL;

  g_return_val_if_fail (MP_IS_CONNECTION (self), NULL);

  if (mp_connection_run_op (self, &op, "connection receive", timeout_us, cancellable, error))
    bytes = g_steal_pointer (&op.bytes);
  mp_op_clear (&op);
  return bytes;
}

/**
 * mp_connection_recv_bytes_full_async:
 * @self: a connection
 * @max_length: the longest message that is wanted
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when there are bytes, or will be none
 * @user_data: data for @callback
 *
 * Receives a message of bytes without blocking, if it is not too long.
 *
 * All else is as in [method@Mp.Connection.recv_bytes_full] and [method@Mp.Connection.recv_async].
 *
 * Since: 0.1
 */
void
mp_connection_recv_bytes_full_async (MpConnection        *self,
                                     guint64              max_length,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data)
{
  MpOp *op;

  g_return_if_fail (MP_IS_CONNECTION (self));

  op = mp_op_new (self, FALSE, MP_MESSAGE_BYTES, cancellable, mp_connection_recv_bytes_full_async,
                  "connection receive bytes", callback, user_data);
  op->bounded = TRUE;
  op->max_length = max_length;
  mp_op_start (op, NULL);
}

/**
 * mp_connection_recv_bytes_full_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.recv_bytes_full_async] began.
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_connection_recv_bytes_full_finish (MpConnection  *self,
                                      GAsyncResult  *result,
                                      GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_recv_bytes_full_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
set_buffer (MpOp   *op,
            guint8 *buffer,
            gsize   size)
{
  op->fills = op->bounded = TRUE;
  op->buffer = buffer;
  op->max_length = size;
}

/**
 * mp_connection_recv_bytes_into: (skip)
 * @self: a connection
 * @buffer: (array length=size): where the message goes
 * @size: room in @buffer, in bytes
 * @length: (out) (optional): bytes of the message
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Receives a message of bytes into memory of the caller's.
 *
 * When @buffer is too short for the message, that is `MP_ERROR_BUFFER_TOO_SHORT`; nothing is written to @buffer, and
 * the error carries the whole message: [func@Mp.Error.dup_message_bytes] gives it. To have it stay where it is use
 * [method@Mp.Connection.recv_bytes_full]. What is in @buffer after any other error is what was there before. All else
 * is as in [method@Mp.Connection.recv_bytes].
 *
 * Returns: whether a message has been received
 *
 * Since: 0.1
 */
gboolean
mp_connection_recv_bytes_into (MpConnection  *self,
                               guint8        *buffer,
                               gsize          size,
                               gsize         *length,
                               gint64         timeout_us,
                               GCancellable  *cancellable,
                               GError       **error)
{
  MpOp op = { .state = MP_OP_IDLE, .kind = MP_MESSAGE_BYTES };
  gboolean ok;

  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);
  g_return_val_if_fail (buffer != NULL || size == 0, FALSE);

  set_buffer (&op, buffer, size);
  ok = mp_connection_run_op (self, &op, "connection receive", timeout_us, cancellable, error);
  if (length != NULL)
    *length = ok ? op.length : 0;
  mp_op_clear (&op);
  return ok;
}

/**
 * mp_connection_recv_bytes_into_async: (skip)
 * @self: a connection
 * @buffer: (array length=size): where the message goes; it must be there until @callback is called
 * @size: room in @buffer, in bytes
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when there is a message, or will be none
 * @user_data: data for @callback
 *
 * Receives a message of bytes into memory of the caller's without blocking.
 *
 * All else is as in [method@Mp.Connection.recv_bytes_into] and [method@Mp.Connection.recv_async].
 *
 * Since: 0.1
 */
void
mp_connection_recv_bytes_into_async (MpConnection        *self,
                                     guint8              *buffer,
                                     gsize                size,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data)
{
  MpOp *op;

  g_return_if_fail (MP_IS_CONNECTION (self));
  g_return_if_fail (buffer != NULL || size == 0);

  op = mp_op_new (self, FALSE, MP_MESSAGE_BYTES, cancellable, mp_connection_recv_bytes_into_async,
                  "connection receive bytes", callback, user_data);
  set_buffer (op, buffer, size);
  mp_op_start (op, NULL);
}

/**
 * mp_connection_recv_bytes_into_finish: (skip)
 * @self: a connection
 * @result: what the callback got
 * @length: (out) (optional): bytes of the message
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.recv_bytes_into_async] began.
 *
 * Returns: whether a message has been received
 *
 * Since: 0.1
 */
gboolean
mp_connection_recv_bytes_into_finish (MpConnection  *self,
                                      GAsyncResult  *result,
                                      gsize         *length,
                                      GError       **error)
{
  gssize n;

  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_recv_bytes_into_async), FALSE);

  n = g_task_propagate_int (G_TASK (result), error);
  if (length != NULL)
    *length = MAX (n, 0);
  return n >= 0;
}
