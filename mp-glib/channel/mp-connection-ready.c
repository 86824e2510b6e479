/* mp-connection-ready.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

/* What tells event loops of other kinds that there is something to receive. The socket alone does not: messages that
 * were read along with an earlier one are in this process. */

/* A forked copy of this process shares the epoll set with it, and must not change it: it only lets go. */
static gboolean
is_of_this_process (MpConnection *self)
{
  return self->n_forks == (guint) g_atomic_int_get (&mp_connection_n_forks);
}

void
mp_connection_close_fd (MpConnection *self)
{
  if (self->poll_fd >= 0)
    mp_connection_forget_socket (self);
  mp_fd_close (&self->poll_fd);
  mp_fd_close (&self->ready_fd);
  self->ready = FALSE;
}

/* Another process may have the socket too, which would keep it in the set. */
void
mp_connection_forget_socket (MpConnection *self)
{
  if (self->poll_fd >= 0 && self->wire != NULL && is_of_this_process (self))
    mp_poll_remove (self->poll_fd, mp_wire_get_fd (self->wire));
}

/* Whether a receiving call would give something without reading from the socket. */
static gboolean
holds_something (MpConnection *self)
{
  return self->frame.kind != 0 || self->in_error != NULL ||
         (self->wire != NULL && !self->closed && mp_wire_has_news (self->wire));
}

void
mp_connection_update_fd (MpConnection *self)
{
  gboolean ready;

  if (self->poll_fd < 0)
    return;
  if (!is_of_this_process (self))
    {
      mp_connection_close_fd (self);
      return;
    }

  /* What neither the socket tells of nor is here yet. */
  if (self->wire != NULL && !self->closed && mp_wire_may_have_more (self->wire))
    mp_connection_look (self);
  ready = holds_something (self);
  if (ready == self->ready)
    return;
  self->ready = ready;
  MP_TORTURE_POINT ("connection-telling");
  if (ready)
    mp_fd_signal (self->ready_fd);
  else
    mp_fd_clear_signal (self->ready_fd);
}

static void
open_fd (MpConnection *self)
{
  self->n_forks = g_atomic_int_get (&mp_connection_n_forks);
  self->poll_fd = mp_poll_new ();
  self->ready_fd = mp_fd_eventfd ();
  self->ready = FALSE;
  if (self->poll_fd >= 0 && self->ready_fd >= 0 && mp_poll_add (self->poll_fd, self->ready_fd, G_IO_IN, 0) == 0 &&
      mp_poll_add (self->poll_fd, mp_wire_get_fd (self->wire), G_IO_IN, 0) == 0)
    return;

  mp_connection_close_fd (self);
}

/**
 * mp_connection_get_fd:
 * @self: a connection
 *
 * Gets a descriptor for an event loop of another kind, `select()` and the like.
 *
 * It is readable whenever a whole message is there, or the end of the stream: also when the message has been read from
 * the socket along with an earlier one. It may be readable for a moment when only a part of a message has come in;
 * [method@Mp.Connection.poll] with no time tells, and takes in what there is. Of the sending end of a pipe it is
 * readable when the other end is closed.
 *
 * The descriptor is for waiting only, not for reading and writing. It stays the connection's, and is the same until
 * [method@Mp.Connection.close], which closes it. The copy of this process that `fork()` makes has to ask for one of its
 * own. It is made at the first call; a connection that is never asked has the descriptor of its socket and no other.
 *
 * May be called in any thread.
 *
 * Returns: the descriptor; -1 when the connection is closed, or this process can open no more files
 *
 * Since: 0.1
 */
int
mp_connection_get_fd (MpConnection *self)
{
  int fd;

  g_return_val_if_fail (MP_IS_CONNECTION (self), -1);

  pthread_mutex_lock (&self->lock);
  mp_connection_update_fd (self);
  if (self->poll_fd < 0 && self->wire != NULL && !self->closed)
    {
      open_fd (self);
      mp_connection_update_fd (self);
    }
  fd = self->poll_fd;
  pthread_mutex_unlock (&self->lock);

  return fd;
}

/**
 * mp_connection_poll_async:
 * @self: a connection
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when there is something to receive
 * @user_data: data for @callback
 *
 * Waits without blocking until a receiving call would not block.
 *
 * That is so when a whole message is there, and at the end of the stream. Receiving calls made before this one get
 * their messages first. @callback runs in the thread-default main context of the caller, or in a blocking call of the
 * connection in a thread that may acquire that; what was seen may have been taken by another call meanwhile.
 *
 * Errors: `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CLOSED` when this end is closed, `G_IO_ERROR_NOT_SUPPORTED` for the
 * sending end of a pipe.
 *
 * Since: 0.1
 */
void
mp_connection_poll_async (MpConnection        *self,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  MpOp *op;

  g_return_if_fail (MP_IS_CONNECTION (self));

  op = mp_op_new (self, FALSE, 0, cancellable, mp_connection_poll_async, "connection poll", callback, user_data);
  op->polls = TRUE;
  mp_op_start (op, NULL);
}

/**
 * mp_connection_poll_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [method@Mp.Connection.poll_async] began.
 *
 * Returns: whether there is something to receive; `FALSE` only with an error
 *
 * Since: 0.1
 */
gboolean
mp_connection_poll_finish (MpConnection  *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_connection_poll_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
