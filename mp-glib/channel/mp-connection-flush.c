/* mp-connection-flush.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

/**
 * mp_connection_flush:
 * @self: a connection
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until all that counts as sent has left.
 *
 * Something is left over by a call that ended in the middle of its message: because its time was over, by its
 * cancellable, or because it was interrupted ([func@Mp.set_interrupt_fd]). The other end waits for the rest of that
 * message; who wants to go on to something else, and runs no main loop, lets it leave by this call. What calls have to
 * send that were made before this one goes first. When nothing is left over this returns at once.
 *
 * May be called in any thread. Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CLOSED`,
 * `G_IO_ERROR_BROKEN_PIPE` when the other end is closed, `G_IO_ERROR_NOT_SUPPORTED` for the receiving end of a pipe.
 *
 * Returns: whether nothing is left over
 *
 * Since: 0.1
 */
gboolean
mp_connection_flush (MpConnection  *self,
                     gint64         timeout_us,
                     GCancellable  *cancellable,
                     GError       **error)
{
  MpOp op = { .state = MP_OP_IDLE, .sends = TRUE, .flushes = TRUE };
  gboolean ok;

  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);

  ok = mp_connection_run_op (self, &op, "connection flush", timeout_us, cancellable, error);
  mp_op_clear (&op);
  return ok;
}

/**
 * mp_connection_flush_async:
 * @self: a connection
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when nothing is left over
 * @user_data: data for @callback
 *
 * Waits without blocking until all that counts as sent has left.
 *
 * @callback runs in the thread-default main context of the caller, or in a blocking call of the connection in a thread
 * that may acquire that. All else is as in [method@Mp.Connection.flush].
 *
 * Since: 0.1
 */
void
mp_connection_flush_async (MpConnection        *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  MpOp *op;

  g_return_if_fail (MP_IS_CONNECTION (self));

  op = mp_op_new (self, TRUE, 0, cancellable, mp_connection_flush_async, "connection flush", callback, user_data);
  op->flushes = TRUE;
  mp_op_start (op, NULL);
}

/**
 * mp_connection_flush_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.flush_async] began.
 *
 * Returns: whether nothing is left over
 *
 * Since: 0.1
 */
gboolean
mp_connection_flush_finish (MpConnection  *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_flush_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
