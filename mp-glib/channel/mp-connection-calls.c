/* mp-connection-calls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <errno.h>

/* The blocking calls. Each thread that waits polls the socket for itself, and does for all calls what can be done. */

/* A thread that got no descriptor to be woken by looks again after this time. */
#define BLIND_SLEEP_US 20000
/* Of a sleep that ends by what comes by the lane, and by nothing else. A timer that is due before the next tick of the
 * system's clock, of which there are 100 to 1000 in a second, has to be set in the processor: that costs more than all
 * the rest. */
#define DOZE_US 10000
#define MAX_DOZE_SKIP 256

typedef struct
{
  const char   *what;
  gint64        deadline;      /* -1: none */
  GCancellable *cancellable;   /* (nullable) */
  gulong        cancel_id;     /* 0: not connected yet */
  int           event_fd;      /* atomic: what the cancellable writes to */
} Wait;

static Wait
wait_init (const char   *what,
           gint64        timeout_us,
           GCancellable *cancellable)
{
  Wait wait = { what, mp_deadline_after (timeout_us), cancellable, 0, -1 };

  return wait;
}

static void
wait_clear (Wait *wait)
{
  if (wait->cancel_id != 0)
    g_cancellable_disconnect (wait->cancellable, wait->cancel_id);
}

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  Wait *wait = user_data;

  mp_fd_signal (g_atomic_int_get (&wait->event_fd));
}

static gboolean
set_cancelled (Wait    *wait,
               GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", wait->what);
  return FALSE;
}

/* Sleeps, without the lock, until there may be something to do. FALSE with error: the wait is over without it. @awake:
 * does not sleep, but looks for what ends the wait. */
static gboolean
sleep_once (MpConnection  *self,
            Wait          *wait,
            GIOCondition   condition,
            gboolean       awake,
            GError       **error)
{
  GPollFD fds[3];
  MpSleeper sleeper = { { NULL }, mp_fd_get_thread_event (), NULL };
  gint64 timeout_us = mp_deadline_left (wait->deadline);
  int saved_errno = 0;

  if (timeout_us == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s: timed out", wait->what);
      return FALSE;
    }
  if (awake)
    timeout_us = 0;
  else if (sleeper.event_fd < 0 && (timeout_us < 0 || timeout_us > BLIND_SLEEP_US))
    timeout_us = BLIND_SLEEP_US;

  sleeper.link.data = &sleeper;
  g_queue_push_tail_link (&self->sleepers, &sleeper.link);
  self->n_polling++;
  fds[0] = (GPollFD) { mp_wire_get_fd (self->wire), condition, 0 };
  fds[1] = (GPollFD) { sleeper.event_fd, G_IO_IN, 0 };
  pthread_mutex_unlock (&self->lock);

  /* Not under the lock, because the cancellable has one of its own. A handler that only writes to a descriptor needs
   * none of the care that handlers need; g_cancellable_make_pollfd() would abort when no descriptors are left. */
  if (wait->cancel_id == 0 && wait->cancellable != NULL && sleeper.event_fd >= 0)
    {
      g_atomic_int_set (&wait->event_fd, sleeper.event_fd);
      wait->cancel_id = g_cancellable_connect (wait->cancellable, G_CALLBACK (cancelled_cb), wait, NULL);
    }
  fds[2] = (GPollFD) { mp_hub_get_interrupt_fd (), G_IO_IN, 0 };
  if (mp_poll_fds (fds, G_N_ELEMENTS (fds), timeout_us) < 0)
    saved_errno = errno;

  pthread_mutex_lock (&self->lock);
  g_queue_unlink (&self->sleepers, &sleeper.link);
  mp_connection_end_polling (self);
  if (saved_errno == 0 && fds[1].revents != 0)
    mp_fd_clear_signal (sleeper.event_fd);

  if (saved_errno != 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: cannot wait: %s", wait->what,
                 g_strerror (saved_errno));
  else if (g_cancellable_is_cancelled (wait->cancellable))
    set_cancelled (wait, error);
  else if (fds[2].fd >= 0 && fds[2].revents != 0)
    g_set_error (error, MP_ERROR, MP_ERROR_INTERRUPTED, "%s: interrupted by a signal", wait->what);
  else
    return TRUE;
  return FALSE;
}

/* Lets the asynchronous calls of this connection that are done be told, as far as this thread may do it. TRUE: that took
 * a while, in which anything may have happened. */
static gboolean
tell_others (MpConnection *self,
             GQueue       *finished)
{
  gboolean any = finished->head != NULL;
  guint n_told = self->n_told;

  pthread_mutex_unlock (&self->lock);
  mp_connection_finish_ops (finished);
  any |= mp_hub_run_due (self) > 0;
  pthread_mutex_lock (&self->lock);
  /* Who posts counts it then, and wakes those who sleep: one that came in between would find nobody asleep. */
  return any || self->n_told != n_told;
}

/* Looks for what comes by shared memory, for about as long as it would take to fall asleep and be woken. FALSE: that is
 * not to be done now. */
static gboolean
look_for_a_while (MpConnection *self,
                  MpOp         *op,
                  Wait         *wait)
{
  gint64 until = 0;
  gboolean again;

  if (!op->sends && self->wire != NULL && mp_wire_has_lane (self->wire) && mp_deadline_left (wait->deadline) != 0)
    until = mp_spin_begin (&self->spin);
  if (until == 0)
    return FALSE;

  mp_wire_watch_lane (self->wire);
  self->n_polling++;
  do
    {
      pthread_mutex_unlock (&self->lock);
      again = mp_spin_again (until) && !g_cancellable_is_cancelled (wait->cancellable);
      pthread_mutex_lock (&self->lock);
    }
  while (again && op->state != MP_OP_IDLE && !self->closed && !mp_wire_look_at_lane (self->wire));
  mp_spin_end (&self->spin, until, op->state == MP_OP_IDLE || self->closed || mp_wire_look_at_lane (self->wire));
  mp_connection_end_polling (self);
  return TRUE;
}

/* What is expected is a message that comes by the lane, and soon. Then neither the socket need be looked at nor the other
 * end write to it, which costs more than all the rest. Only for a call that is alone, because others wait for the socket;
 * and in between the socket has its turn. */
static gboolean
may_doze (MpConnection *self,
          MpOp         *op,
          Wait         *wait)
{
  gint64 now;

  if (op->sends || self->wire == NULL || !mp_wire_has_lane (self->wire) || mp_deadline_left (wait->deadline) == 0 ||
      self->receivers.head != NULL || self->senders.head != NULL || self->in_wire.head != NULL || self->started ||
      self->lingering || self->sleepers.head != NULL || self->n_polling > 0)
    return FALSE;

  now = g_get_monotonic_time ();
  if (now >= self->look_due)
    {
      self->look_due = now + DOZE_US;
      return FALSE;
    }
  /* Else what that one sends has to wait until the sleep is over. */
  if (mp_wire_take_shared (self->wire))
    self->doze_last_skip = self->doze_skip = MAX_DOZE_SKIP;
  if (self->doze_skip == 0)
    return TRUE;

  self->doze_skip--;
  return FALSE;
}

static gint64 longest_doze = DOZE_US;   /* atomic */

void
mp_connection_set_doze_for_testing (gint64 time_us)
{
  __atomic_store_n (&longest_doze, time_us >= 0 ? time_us : DOZE_US, __ATOMIC_RELAXED);
}

/* The end of the stream, signals, the cancellable and what others send by the socket are seen when it is over. */
static void
doze (MpConnection *self,
      MpOp         *op,
      Wait         *wait)
{
  gint64 longest = __atomic_load_n (&longest_doze, __ATOMIC_RELAXED);
  gint64 left = mp_deadline_left (wait->deadline);
  MpFutexWait futex;

  if (self->wire == NULL || self->closed || !mp_wire_begin_doze (self->wire, &futex))
    return;

  self->n_polling++;
  pthread_mutex_unlock (&self->lock);
  MP_TORTURE_POINT ("doze-begins");
  mp_futex_wait (futex.word, futex.expected, left < 0 ? longest : MIN (left, longest));
  MP_TORTURE_POINT ("doze-over");
  pthread_mutex_lock (&self->lock);
  mp_wire_end_doze (self->wire);
  if (op->state == MP_OP_IDLE || mp_wire_look_at_lane (self->wire))
    self->doze_last_skip = 0;
  else
    self->doze_last_skip = self->doze_skip = CLAMP (2 * self->doze_last_skip, 1, MAX_DOZE_SKIP);
  mp_connection_end_polling (self);
}

/* @dozes: that it may do then, so that the socket is not looked at. */
static void
begin (MpConnection *self,
       MpOp         *op,
       gboolean      dozes,
       GQueue       *finished)
{
  if (dozes)
    mp_wire_leave_socket (self->wire, TRUE);
  mp_connection_begin (self, op, finished);
  if (dozes && self->wire != NULL)
    mp_wire_leave_socket (self->wire, FALSE);
}

/* Begins a call and waits until it is done. Takes it back when the time is over first. */
static gboolean
run_op (MpConnection  *self,
        MpOp          *op,
        Wait          *wait,
        GError       **error)
{
  GQueue finished = G_QUEUE_INIT;
  GError *local_error = NULL;
  gboolean ok, dozes, looked = FALSE;

  if (g_cancellable_is_cancelled (wait->cancellable))
    return set_cancelled (wait, error);

  op->blocking = TRUE;
  op->thread = pthread_self ();
  op->link.data = op;

  mp_connection_lock_in_turn (self);
  ok = op->sends ? mp_connection_check_out (self, error) : mp_connection_check_in (self, error);
  if (ok)
    {
      dozes = may_doze (self, op, wait);
      begin (self, op, dozes, &finished);
      while (op->state != MP_OP_IDLE && local_error == NULL)
        {
          gboolean told = tell_others (self, &finished);

          if (op->state != MP_OP_IDLE)
            {
              looked = !looked && !told && look_for_a_while (self, op, wait);
              if (dozes && !looked && !told)
                doze (self, op, wait);
              if (!dozes && !looked)
                sleep_once (self, wait, mp_connection_get_wanted (self), told, &local_error);
            }
          dozes = FALSE;
          mp_connection_pump (self, &finished);
        }

      /* It may have been done in the last moment. Else what waits behind it may go now. */
      if (op->state != MP_OP_IDLE)
        {
          if (mp_connection_take_back (self, op))
            g_propagate_error (&op->error, g_steal_pointer (&local_error));
          mp_connection_pump (self, &finished);
        }
      g_clear_error (&local_error);
    }
  pthread_mutex_unlock (&self->lock);

  mp_connection_finish_ops (&finished);
  mp_hub_run_due (self);
  if (op->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&op->error));
      ok = FALSE;
    }
  return ok;
}

gboolean
mp_connection_run_op (MpConnection  *self,
                      MpOp          *op,
                      const char    *what,
                      gint64         timeout_us,
                      GCancellable  *cancellable,
                      GError       **error)
{
  Wait wait = wait_init (what, timeout_us, cancellable);
  gboolean ok = run_op (self, op, &wait, error);

  wait_clear (&wait);
  return ok;
}

static gboolean
send_message (MpConnection  *self,
              GVariant      *value,
              GBytes        *bytes,
              gint64         timeout_us,
              GCancellable  *cancellable,
              GError       **error)
{
  MpOp op = { .state = MP_OP_IDLE };
  gboolean ok;

  ok = mp_op_init_send (&op, self, value, bytes, error) &&
       mp_connection_run_op (self, &op, "connection send", timeout_us, cancellable, error);
  mp_op_clear (&op);
  return ok;
}

static gboolean
recv_message (MpConnection   *self,
              MpMessageKind   kind,
              GVariant      **value,
              GBytes        **bytes,
              gint64          timeout_us,
              GCancellable   *cancellable,
              GError        **error)
{
  MpOp op = { .state = MP_OP_IDLE, .kind = kind };
  gboolean ok;

  ok = mp_connection_run_op (self, &op, "connection receive", timeout_us, cancellable, error);
  if (ok && value != NULL)
    *value = g_steal_pointer (&op.value);
  if (ok && bytes != NULL)
    *bytes = g_steal_pointer (&op.bytes);
  mp_op_clear (&op);
  return ok;
}

/**
 * mp_connection_send:
 * @self: a connection
 * @value: the message; a floating reference is taken
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Sends a value, and waits until it has left.
 *
 * A message leaves as a whole or not at all. When the time is over before its first byte has left, it is taken back,
 * and the error says so. From its first byte on it counts as sent: the call then returns `TRUE` when the time is over,
 * and what is left of the message goes with the next call on this connection, or by itself while the main context runs
 * in which the connection was made.
 *
 * A message of any length leaves without the other side reading as long as it fits into the socket's buffer; do not
 * rely on it.
 *
 * Objects whose handles are in @value travel along, see [iface@Mp.Shareable]. May be called in any thread.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CLOSED`, `G_IO_ERROR_BROKEN_PIPE` when the other
 * end is closed, `G_IO_ERROR_NOT_SUPPORTED` for the receiving end of a pipe, and for objects over TCP;
 * `G_IO_ERROR_PERMISSION_DENIED` for an object that is not isolated, where the other side is
 * [property@Mp.Connection:foreign]; `MP_ERROR_TOO_LARGE`, and those of handles.
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send (MpConnection  *self,
                    GVariant      *value,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);
  g_return_val_if_fail (value != NULL, FALSE);

  return send_message (self, value, NULL, timeout_us, cancellable, error);
}

/**
 * mp_connection_send_bytes:
 * @self: a connection
 * @bytes: the message
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Sends bytes as one message, and waits until it has left.
 *
 * The other side receives it with [method@Mp.Connection.recv_bytes]. All else is as in [method@Mp.Connection.send].
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_bytes (MpConnection  *self,
                          GBytes        *bytes,
                          gint64         timeout_us,
                          GCancellable  *cancellable,
                          GError       **error)
{
  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);
  g_return_val_if_fail (bytes != NULL, FALSE);

  return send_message (self, NULL, bytes, timeout_us, cancellable, error);
}

/**
 * mp_connection_recv:
 * @self: a connection
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Receives a value.
 *
 * Calls that wait get messages in the order in which they were made. A call whose time is over takes nothing: what has
 * come in of the next message is kept. May be called in any thread.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`; `G_IO_ERROR_CLOSED` when this end is closed, or when the
 * other end is and all whole messages have been received; `G_IO_ERROR_NOT_SUPPORTED` for the sending end of a pipe;
 * `MP_ERROR_INVALID_TYPE` when the next message holds bytes, which stays there; `G_IO_ERROR_TOO_MANY_OPEN_FILES` when
 * the message came with descriptors for which this process has no room, and is lost; likewise `MP_ERROR_FAILED` and
 * `MP_ERROR_FULL` when it has no room for an object. After `MP_ERROR_PROTOCOL` and `MP_ERROR_TOO_LARGE`, which say
 * that the other side sent what it should not have sent, the connection is closed.
 *
 * Returns: (transfer full): the value
 *
 * Since: 0.1
 */
GVariant *
mp_connection_recv (MpConnection  *self,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  GVariant *value = NULL;

  g_return_val_if_fail (MP_IS_CONNECTION (self), NULL);

  recv_message (self, MP_MESSAGE_VALUE, &value, NULL, timeout_us, cancellable, error);
  return value;
}

/**
 * mp_connection_recv_bytes:
 * @self: a connection
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Receives a message of bytes.
 *
 * A message that was sent as a value stays where it is: that is `MP_ERROR_INVALID_TYPE`. All else is as in
 * [method@Mp.Connection.recv].
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_connection_recv_bytes (MpConnection  *self,
                          gint64         timeout_us,
                          GCancellable  *cancellable,
                          GError       **error)
{
  GBytes *bytes = NULL;

  g_return_val_if_fail (MP_IS_CONNECTION (self), NULL);

  recv_message (self, MP_MESSAGE_BYTES, NULL, &bytes, timeout_us, cancellable, error);
  return bytes;
}

/**
 * mp_connection_poll:
 * @self: a connection
 * @timeout_us: microseconds to wait, -1 for ever, 0 to look once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until a receiving call would not block.
 *
 * That is so when a whole message is there, and at the end of the stream, where the receiving call gives the error.
 * Unlike the other blocking calls this one returns `FALSE` without an error when the time is over.
 *
 * May be called in any thread; what it saw may have been taken by another thread meanwhile. Errors:
 * `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CLOSED` when this end is closed, `G_IO_ERROR_NOT_SUPPORTED`.
 *
 * Returns: whether there is something to receive
 *
 * Since: 0.1
 */
gboolean
mp_connection_poll (MpConnection  *self,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  Wait wait = wait_init ("connection poll", timeout_us, cancellable);
  GQueue finished = G_QUEUE_INIT;
  GError *local_error = NULL;
  gboolean found = FALSE, told;

  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);

  if (g_cancellable_is_cancelled (cancellable))
    return set_cancelled (&wait, error);

  mp_connection_lock_in_turn (self);
  while (local_error == NULL && mp_connection_check_in (self, &local_error))
    {
      mp_connection_pump (self, &finished);
      told = tell_others (self, &finished);
      /* Meanwhile another thread may have read the message, or closed the connection. */
      if (self->closed && self->in_error == NULL)
        continue;
      found = self->receivers.head == NULL && mp_connection_look (self);
      if (found)
        break;
      if (!sleep_once (self, &wait, mp_connection_get_wanted (self) | G_IO_IN, told, &local_error) && !self->closed)
        found = self->receivers.head == NULL && mp_connection_look (self);
    }
  mp_connection_pump (self, &finished);
  pthread_mutex_unlock (&self->lock);

  mp_connection_finish_ops (&finished);
  mp_hub_run_due (self);
  wait_clear (&wait);
  if (found || g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    g_clear_error (&local_error);
  if (local_error != NULL)
    g_propagate_error (error, local_error);
  return found;
}
