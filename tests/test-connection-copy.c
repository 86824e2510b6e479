/* test-connection-copy.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections in the copy of a process, forked while other threads use them. */

#include "config.h"

#include "connection-kinds-test.h"
#include "instrument-test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SIZE (G_GUINT64_CONSTANT (1) << 26)

static gpointer
recv_thread (gpointer data)
{
  recv_ok (data, "2");
  return NULL;
}

/* Until a thread waits in the kernel. */
static void
wait_for_poll (MpConnection *connection)
{
  gboolean polls = FALSE;

  while (!polls)
    {
      pthread_mutex_lock (&connection->lock);
      polls = connection->n_polling > 0;
      pthread_mutex_unlock (&connection->lock);
      g_thread_yield ();
    }
}

static void
assert_child_passed (pid_t pid)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

/* Gives the copy a connection of its own in the place of one that others have, too. */
static void
take_apart (Pipe *pipe)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  g_assert_cmpint (dup2 (fds[0], mp_wire_get_fd (pipe->first->wire)), >=, 0);
  g_assert_cmpint (dup2 (fds[1], mp_wire_get_fd (pipe->second->wire)), >=, 0);
  close (fds[0]);
  close (fds[1]);
}

/* The copy's calls are not behind those of a thread that it does not have, and it closes what that polls. */
static void
test_receiver (gconstpointer data)
{
  Pipe pipe;
  GThread *thread;
  pid_t pid;
  int fd;

  kind_open (GPOINTER_TO_INT (data), &pipe);
  thread = g_thread_new ("receiver", recv_thread, pipe.second);
  wait_for_poll (pipe.second);
  pid = fork ();
  if (pid == 0)
    {
      alarm (20);
      take_apart (&pipe);
      send_ok (pipe.first, g_variant_new_int32 (1));
      recv_ok (pipe.second, "1");
      fd = mp_wire_get_fd (pipe.second->wire);
      mp_connection_close (pipe.second, NULL);
      _exit (fcntl (fd, F_GETFD) == -1 ? 0 : 1);
    }

  assert_child_passed (pid);
  send_ok (pipe.first, g_variant_new_int32 (2));
  g_thread_join (thread);
  pipe_clear (&pipe);
}

static guint
drain (int fd)
{
  static guint8 buffer[65536];
  guint all = 0;
  gssize n;

  while ((n = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
    all += n;
  return all;
}

/* A copy that closes a connection sends nothing of the message that its parent has begun. */
static void
test_close (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (50000000);
  g_autoptr(GAsyncResult) sent = NULL;
  g_autoptr(GAsyncResult) received = NULL;
  g_autoptr(GBytes) got = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe;
  pid_t pid;
  int fd;

  kind_open (GPOINTER_TO_INT (data), &pipe);
  mp_connection_send_bytes_async (pipe.first, bytes, NULL, keep_result_cb, &sent);
  g_assert_cmpuint (mp_wire_get_pending (pipe.first->wire), >, 0);
  fd = mp_wire_get_fd (pipe.second->wire);
  pid = fork ();
  if (pid == 0)
    {
      alarm (20);
      take_apart (&pipe);
      g_assert_false (mp_connection_close (pipe.first, NULL));
      _exit (drain (fd) == 0 ? 0 : 1);
    }

  assert_child_passed (pid);
  mp_connection_recv_bytes_async (pipe.second, NULL, keep_result_cb, &received);
  while (sent == NULL || received == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_connection_send_bytes_finish (pipe.first, sent, &error));
  g_assert_no_error (error);
  got = mp_connection_recv_bytes_finish (pipe.second, received, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (got, bytes));
  g_clear_object (&received);
  g_clear_object (&sent);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  add_kind_tests ("/connection-copy/receiver", test_receiver);
  add_kind_tests ("/connection-copy/close", test_close);

  return g_test_run ();
}
