/* test-connection-doze.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-lane-test.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"
#include "mp-glib/platform/mp-spin-private.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A call that sleeps by the memory that it shares with the other end, where only what comes that way wakes it: all else
 * that ends a call ends this one. */

typedef struct
{
  Pipe          pipe;
  GThread      *thread;
  GCancellable *cancellable;
  GError       *error;       /* how it ended */
  guint32       n_sent;
  guint         n_received;  /* atomic */
} Sleepy;

static gpointer
receive_all (gpointer data)
{
  Sleepy *self = data;
  GVariant *value;

  while ((value = mp_connection_recv (self->pipe.second, LONG_TIME, self->cancellable, &self->error)) != NULL)
    {
      g_assert_cmpuint (g_variant_get_uint32 (value), ==, self->n_received);
      g_atomic_int_inc (&self->n_received);
      g_variant_unref (value);
    }
  return NULL;
}

static gboolean
is_dozing (MpConnection *connection)
{
  gboolean result;

  pthread_mutex_lock (&connection->lock);
  result = connection->wire != NULL && connection->wire->lane_in.dozes;
  pthread_mutex_unlock (&connection->lock);
  return result;
}

/* Until it is seen to sleep so, which it does between messages that come soon after each other. */
static void
make_drowsy (Sleepy *self)
{
  gboolean found = FALSE;

  while (!found)
    {
      send_number (self->pipe.first, self->n_sent++);
      while ((guint) g_atomic_int_get (&self->n_received) != self->n_sent)
        sched_yield ();
      for (guint i = 0; i < 100 && !found; i++)
        {
          sched_yield ();
          found = is_dozing (self->pipe.second);
        }
    }
}

static void
sleepy_open (Sleepy *self)
{
  *self = (Sleepy) { .cancellable = g_cancellable_new () };
  lane_open (&self->pipe);
}

static void
sleepy_start (Sleepy *self)
{
  self->thread = g_thread_new ("sleepy", receive_all, self);
  make_drowsy (self);
}

static void
sleepy_begin (Sleepy *self)
{
  sleepy_open (self);
  sleepy_start (self);
}

static void
sleepy_end (Sleepy *self,
            GQuark  domain,
            int     code)
{
  g_thread_join (self->thread);
  g_assert_error (self->error, domain, code);
  g_assert_cmpuint (self->n_received, ==, self->n_sent);
  g_assert_false (is_dozing (self->pipe.second));
  g_clear_error (&self->error);
  g_object_unref (self->cancellable);
  pipe_clear (&self->pipe);
}

static void
test_messages (void)
{
  Sleepy sleepy;

  sleepy_begin (&sleepy);
  for (guint i = 0; i < 200; i++)
    make_drowsy (&sleepy);
  g_cancellable_cancel (sleepy.cancellable);
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Another thread looks for what there is at the end at which one sleeps, and goes: the next message wakes that one. */
static void
test_looker (void)
{
  Sleepy sleepy;

  sleepy_begin (&sleepy);
  for (guint i = 0; i < 50; i++)
    {
      mp_connection_set_doze_for_testing (LONG_TIME);
      make_drowsy (&sleepy);
      g_assert_false (mp_connection_poll (sleepy.pipe.second, 0, NULL, NULL));
      mp_connection_set_doze_for_testing (-1);
      send_number (sleepy.pipe.first, sleepy.n_sent++);
      while ((guint) g_atomic_int_get (&sleepy.n_received) != sleepy.n_sent)
        sched_yield ();
    }
  g_cancellable_cancel (sleepy.cancellable);
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* An asynchronous call that is over is in nobody's way, nor are signals that are no longer wanted. */
static void
test_after_async (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  Sleepy sleepy;

  sleepy_open (&sleepy);
  mp_connection_start (sleepy.pipe.second);
  mp_connection_stop (sleepy.pipe.second);
  mp_connection_send_async (sleepy.pipe.second, g_variant_new_uint32 (7), NULL, keep_result_cb, &result);
  wait_for_result (&result);
  g_assert_true (mp_connection_send_finish (sleepy.pipe.second, result, NULL));
  g_assert_cmpuint (recv_number (sleepy.pipe.first), ==, 7);
  g_clear_object (&result);

  sleepy_start (&sleepy);
  g_cancellable_cancel (sleepy.cancellable);
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_own_end_closed (void)
{
  Sleepy sleepy;

  mp_connection_set_doze_for_testing (LONG_TIME);
  sleepy_begin (&sleepy);
  g_assert_true (mp_connection_close (sleepy.pipe.second, NULL));
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_connection_set_doze_for_testing (-1);
}

static void
test_other_end_closed (void)
{
  Sleepy sleepy;

  sleepy_begin (&sleepy);
  g_assert_true (mp_connection_close (sleepy.pipe.first, NULL));
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* Messages that do not come by memory: too long, or from another process that has the same end. */
static void
test_by_socket (void)
{
  g_autoptr(GBytes) large = make_large (200000);
  Sleepy sleepy;
  pid_t pid;

  sleepy_begin (&sleepy);
  pid = fork ();
  if (pid == 0)
    {
      gboolean ok = mp_connection_send (sleepy.pipe.first, g_variant_new_uint32 (sleepy.n_sent), LONG_TIME, NULL, NULL);

      copy_end (ok);
    }
  sleepy.n_sent++;
  assert_copy_ended_well (pid);
  while ((guint) g_atomic_int_get (&sleepy.n_received) != sleepy.n_sent)
    sched_yield ();

  make_drowsy (&sleepy);
  g_assert_true (mp_connection_send_bytes (sleepy.pipe.first, large, LONG_TIME, NULL, NULL));
  sleepy_end (&sleepy, MP_ERROR, MP_ERROR_INVALID_TYPE);
}

/* After the first message of a process that has no ring the others have not to wait until a sleep is over. */
static void
test_second_sender (void)
{
  const guint n = 50;
  int turns[2];
  Sleepy sleepy;
  guint8 turn = 0;
  pid_t pid;

  g_assert_cmpint (mp_socket_pair (turns, 0), ==, 0);
  sleepy_begin (&sleepy);
  pid = fork ();
  if (pid == 0)
    {
      gboolean ok = close (turns[0]) == 0;

      for (guint i = 0; ok && i <= n; i++)
        ok = read (turns[1], &turn, 1) == 1 &&
             mp_connection_send (sleepy.pipe.first, g_variant_new_uint32 (sleepy.n_sent + 2 * i), LONG_TIME, NULL, NULL);
      copy_end (ok);
    }

  for (guint i = 0; i <= n; i++)
    {
      gint64 begin = g_get_monotonic_time ();

      g_assert_cmpint (write (turns[0], &turn, 1), ==, 1);
      sleepy.n_sent++;
      while ((guint) g_atomic_int_get (&sleepy.n_received) != sleepy.n_sent)
        {
          g_assert_cmpint (g_get_monotonic_time () - begin, <, LONG_TIME / 2);
          sched_yield ();
        }
      mp_connection_set_doze_for_testing (LONG_TIME);
      if (i < n)
        send_number (sleepy.pipe.first, sleepy.n_sent++);
    }
  mp_connection_set_doze_for_testing (-1);
  assert_copy_ended_well (pid);
  mp_fd_close (&turns[0]);
  mp_fd_close (&turns[1]);
  g_cancellable_cancel (sleepy.cancellable);
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Killed in the midst of sending, while the other end sleeps ever again. */
static void
test_killed_sender (void)
{
  for (guint round = 0; round < 50; round++)
    {
      g_autoptr(GError) error = NULL;
      gboolean killed = FALSE;
      guint32 n = 0;
      pid_t pid;
      Pipe pipe;

      pipe_open (&pipe);
      pid = fork ();
      if (pid == 0)
        {
          mp_connection_close (pipe.second, NULL);
          for (;; n++)
            {
              send_number (pipe.first, n);
              g_assert_cmpuint (recv_number (pipe.first), ==, n);
            }
        }

      mp_connection_close (pipe.first, NULL);
      for (;; n++)
        {
          g_autoptr(GVariant) value = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);

          if (value == NULL)
            break;
          g_assert_cmpuint (g_variant_get_uint32 (value), ==, n);
          if (!killed && n == 300 + round)
            killed = kill (pid, SIGKILL) == 0;
          mp_connection_send (pipe.second, value, LONG_TIME, NULL, NULL);
        }
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_assert_true (killed);
      g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
      pipe_clear (&pipe);
    }
}

/* What waits for the descriptor, in a loop of another kind, is told although a call has slept without it before. */
static void
test_descriptor (void)
{
  Sleepy sleepy;
  int fd;

  sleepy_begin (&sleepy);
  fd = mp_connection_get_fd (sleepy.pipe.second);
  make_drowsy (&sleepy);
  g_cancellable_cancel (sleepy.cancellable);
  g_thread_join (sleepy.thread);
  g_assert_error (sleepy.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  for (guint i = 0; i < 100; i++)
    {
      GPollFD poll_fd = { fd, G_IO_IN, 0 };

      g_assert_false (mp_connection_poll (sleepy.pipe.second, 0, NULL, NULL));
      g_assert_cmpint (g_poll (&poll_fd, 1, 0), ==, 0);
      send_number (sleepy.pipe.first, i);
      g_assert_cmpint (g_poll (&poll_fd, 1, LONG_TIME / 1000), ==, 1);
      g_assert_cmpuint (recv_number (sleepy.pipe.second), ==, i);
    }
  g_clear_error (&sleepy.error);
  g_object_unref (sleepy.cancellable);
  pipe_clear (&sleepy.pipe);
}

static void
test_time (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  lane_open (&pipe);
  for (guint i = 0; i < 100; i++)
    {
      gint64 begin = g_get_monotonic_time ();

      g_assert_null (mp_connection_recv (pipe.second, 3000, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_assert_cmpint (g_get_monotonic_time () - begin, >=, 3000);
      g_clear_error (&error);
      send_number (pipe.first, i);
      g_assert_cmpuint (recv_number (pipe.second), ==, i);
    }
  pipe_clear (&pipe);
}

/* A copy of the process that is made meanwhile has no thread that sleeps there. */
static void
test_copy (void)
{
  Sleepy sleepy;
  pid_t pid;

  sleepy_open (&sleepy);
  mp_connection_set_doze_for_testing (LONG_TIME);
  sleepy_start (&sleepy);
  pid = fork ();
  if (pid == 0)
    {
      mp_connection_poll (sleepy.pipe.second, 0, NULL, NULL);
      copy_end (!sleepy.pipe.second->wire->lane_in.dozes);
    }

  assert_copy_ended_well (pid);
  mp_connection_set_doze_for_testing (-1);
  mp_connection_close (sleepy.pipe.second, NULL);
  sleepy_end (&sleepy, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

int
main (int    argc,
      char **argv)
{
  mp_spin_set_for_testing (FALSE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/connection-doze/messages", test_messages);
  g_test_add_func ("/connection-doze/looker", test_looker);
  g_test_add_func ("/connection-doze/after-async", test_after_async);
  g_test_add_func ("/connection-doze/own-end-closed", test_own_end_closed);
  g_test_add_func ("/connection-doze/other-end-closed", test_other_end_closed);
  g_test_add_func ("/connection-doze/by-socket", test_by_socket);
  g_test_add_func ("/connection-doze/second-sender", test_second_sender);
  g_test_add_func ("/connection-doze/killed-sender", test_killed_sender);
  g_test_add_func ("/connection-doze/descriptor", test_descriptor);
  g_test_add_func ("/connection-doze/time", test_time);
  g_test_add_func ("/connection-doze/copy", test_copy);
  return g_test_run ();
}
