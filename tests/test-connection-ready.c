/* test-connection-ready.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-test.h"
#include "instrument-test.h"

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* As an event loop of another kind looks. */
static gboolean
is_readable (int    fd,
             gint64 timeout_us)
{
  GPollFD poll_fd = { fd, G_IO_IN, 0 };

  g_assert_cmpint (mp_poll_fds (&poll_fd, 1, timeout_us), >=, 0);
  g_assert_cmpint (poll_fd.revents & (G_IO_NVAL | G_IO_ERR), ==, 0);
  return poll_fd.revents != 0;
}

static void
test_fd (void)
{
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe;
  int fd;

  pipe_open (&pipe);
  fd = mp_connection_get_fd (pipe.first);
  g_assert_cmpint (fd, >, 2);
  g_assert_cmpint (mp_connection_get_fd (pipe.first), ==, fd);
  g_assert_false (is_readable (fd, 0));

  /* Three come in with one read: the socket has nothing then. */
  send_ok (pipe.second, g_variant_new_int32 (1));
  send_ok (pipe.second, g_variant_new_int32 (2));
  send_ok (pipe.second, g_variant_new_int32 (3));
  g_assert_true (is_readable (fd, LONG_TIME));
  recv_ok (pipe.first, "1");
  g_assert_true (is_readable (fd, 0));
  g_assert_true (mp_connection_poll (pipe.first, 0, NULL, NULL));
  g_assert_true (is_readable (fd, 0));
  recv_ok (pipe.first, "2");
  g_assert_true (is_readable (fd, 0));
  bytes = mp_connection_recv_bytes (pipe.first, LONG_TIME, NULL, &error);   /* leaves it there */
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_assert_true (is_readable (fd, 0));
  recv_ok (pipe.first, "3");
  g_assert_false (is_readable (fd, 0));
  send_ok (pipe.second, g_variant_new_int32 (4));
  g_assert_true (is_readable (fd, LONG_TIME));
  recv_ok (pipe.first, "4");

  /* The end stays. */
  g_assert_true (mp_connection_close (pipe.second, NULL));
  g_assert_true (is_readable (fd, LONG_TIME));
  g_clear_error (&error);
  g_assert_null (mp_connection_recv (pipe.first, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_true (is_readable (fd, 0));
  g_assert_cmpint (mp_connection_get_fd (pipe.first), ==, fd);
  g_assert_true (mp_connection_close (pipe.first, NULL));
  g_assert_cmpint (mp_connection_get_fd (pipe.first), ==, -1);
  pipe_clear (&pipe);
}

/* Asked for when messages have been read along already. */
static void
test_fd_late (void)
{
  Pipe pipe;
  int fd;

  pipe_open (&pipe);
  send_ok (pipe.second, g_variant_new_int32 (1));
  send_ok (pipe.second, g_variant_new_int32 (2));
  recv_ok (pipe.first, "1");
  fd = mp_connection_get_fd (pipe.first);
  g_assert_true (is_readable (fd, 0));
  recv_ok (pipe.first, "2");
  g_assert_false (is_readable (fd, 0));
  pipe_clear (&pipe);
}

static void
look_within_cb (MpConnection *connection,
                GVariant     *value,
                gpointer      user_data)
{
  int *fd = user_data;

  /* The second one has come in with the first. */
  g_assert_cmpint (is_readable (*fd, 0), ==, g_variant_get_int32 (value) == 1);
  if (g_variant_get_int32 (value) == 2)
    *fd = -1;
}

/* A handler that looks whether there is another message. */
static void
test_fd_within (void)
{
  Pipe pipe;
  int fd;

  pipe_open (&pipe);
  fd = mp_connection_get_fd (pipe.first);
  g_signal_connect (pipe.first, "message", G_CALLBACK (look_within_cb), &fd);
  send_ok (pipe.second, g_variant_new_int32 (1));
  send_ok (pipe.second, g_variant_new_int32 (2));
  mp_connection_start (pipe.first);
  while (fd >= 0)
    g_main_context_iteration (NULL, TRUE);
  pipe_clear (&pipe);
}

/* A part of a message: it wakes at most once, until there is more. */
static void
test_fd_part (void)
{
  g_autoptr(MpConnection) connection = NULL;
  const MpFrameHeader header = { 8, 0, 2, 0 };
  const guint8 payload[8] = "12345678";
  g_autoptr(GBytes) bytes = NULL;
  int fds[2], fd;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  connection = mp_connection_new_from_fd (fds[0], NULL);
  fd = mp_connection_get_fd (connection);
  g_assert_cmpint (write (fds[1], &header, sizeof header), ==, sizeof header);
  g_assert_true (is_readable (fd, LONG_TIME));
  g_assert_false (mp_connection_poll (connection, 0, NULL, NULL));
  g_assert_false (is_readable (fd, 0));
  g_assert_cmpint (write (fds[1], payload, 7), ==, 7);
  g_assert_true (is_readable (fd, LONG_TIME));
  g_assert_false (mp_connection_poll (connection, 0, NULL, NULL));
  g_assert_false (is_readable (fd, 0));
  g_assert_cmpint (write (fds[1], payload + 7, 1), ==, 1);
  g_assert_true (is_readable (fd, LONG_TIME));
  g_assert_true (mp_connection_poll (connection, 0, NULL, NULL));
  g_assert_true (is_readable (fd, 0));
  bytes = mp_connection_recv_bytes (connection, 0, NULL, NULL);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), payload, 8);
  g_assert_false (is_readable (fd, 0));
  close (fds[1]);
}

/* A peer that is cut off: whoever waits for the descriptor is told, though the socket is closed. */
static void
test_fd_bad_peer (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GError) error = NULL;
  int fds[2], fd;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  connection = mp_connection_new_from_fd (fds[0], NULL);
  fd = mp_connection_get_fd (connection);
  g_assert_cmpint (write (fds[1], "this is no message at all", 25), ==, 25);
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_true (mp_connection_is_closed (connection));
  g_assert_true (is_readable (fd, 0));
  close (fds[1]);
}

/* An end that another process has too, and a copy of this process. */
static void
test_fd_fork (void)
{
  int fd, status;
  Pipe pipe;
  pid_t pid;

  pipe_open (&pipe);
  fd = mp_connection_get_fd (pipe.first);
  pid = fork ();
  if (pid == 0)
    {
      int own = mp_connection_get_fd (pipe.first);
      gboolean ok = own >= 0 && !is_readable (own, 0);

      mp_connection_close (pipe.second, NULL);
      ok = ok && mp_connection_send (pipe.first, g_variant_new_int32 (1), LONG_TIME, NULL, NULL);
      ok = ok && mp_connection_close (pipe.first, NULL) && mp_connection_get_fd (pipe.first) == -1;
      _exit (ok ? 0 : 1);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  /* The child has taken nothing out of this one's set. */
  recv_ok (pipe.second, "1");
  g_assert_false (is_readable (fd, 0));
  send_ok (pipe.second, g_variant_new_int32 (2));
  g_assert_true (is_readable (fd, LONG_TIME));
  recv_ok (pipe.first, "2");
  g_assert_false (is_readable (fd, 0));
  pipe_clear (&pipe);
}

/* A socket that another process has too, so that it is not closed when this one closes it. */
static void
test_fd_forget (void)
{
  g_autoptr(MpConnection) connection = NULL;
  int fds[2], copy, fd;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  copy = mp_fd_dup (fds[0]);
  connection = mp_connection_new_from_fd (fds[0], NULL);
  fd = mp_fd_dup (mp_connection_get_fd (connection));   /* as a set of a set has it */
  mp_connection_close (connection, NULL);
  g_assert_cmpint (write (fds[1], "1", 1), ==, 1);
  g_assert_false (is_readable (fd, 0));
  close (fd);
  close (copy);
  close (fds[1]);
}

static void
test_fd_simplex (void)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  int fd;

  g_assert_true (mp_pipe_new (FALSE, &first, &second, NULL));
  fd = mp_connection_get_fd (second);
  g_assert_false (is_readable (fd, 0));
  mp_connection_close (first, NULL);
  g_assert_true (is_readable (fd, LONG_TIME));
}

/* Without room for descriptors there is none, and all else works. */
static void
test_fd_limit (void)
{
  struct rlimit limit, low;
  int fds[64];
  guint n = 0, i;
  Pipe pipe;

  if (!limit_is_real ())
    return;

  pipe_open (&pipe);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  low = limit;
  low.rlim_cur = 64;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  while (n < G_N_ELEMENTS (fds) && (fds[n] = mp_fd_dup (0)) >= 0)
    n++;
  g_assert_cmpint (mp_connection_get_fd (pipe.first), ==, -1);
  close (fds[--n]);
  g_assert_cmpint (mp_connection_get_fd (pipe.first), ==, -1);
  for (i = 0; i < n; i++)
    close (fds[i]);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);

  send_ok (pipe.second, g_variant_new_int32 (1));
  g_assert_true (is_readable (mp_connection_get_fd (pipe.first), LONG_TIME));
  recv_ok (pipe.first, "1");
  pipe_clear (&pipe);
}

static void
test_poll_async (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GAsyncResult *results[4] = { NULL };
  GVariant *value;
  guint i;
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_recv_async (pipe.first, NULL, keep_result_cb, &results[0]);
  mp_connection_poll_async (pipe.first, NULL, keep_result_cb, &results[1]);
  mp_connection_poll_async (pipe.first, cancellable, keep_result_cb, &results[2]);
  g_cancellable_cancel (cancellable);
  wait_for_result (&results[2]);
  g_assert_false (mp_connection_poll_finish (pipe.first, results[2], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  /* The first message is for who wants to receive it. */
  send_ok (pipe.second, g_variant_new_int32 (1));
  wait_for_result (&results[0]);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (results[1]);
  value = mp_connection_recv_finish (pipe.first, results[0], &error);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 1);
  g_variant_unref (value);
  send_ok (pipe.second, g_variant_new_int32 (2));
  wait_for_result (&results[1]);
  g_assert_true (mp_connection_poll_finish (pipe.first, results[1], &error));
  recv_ok (pipe.first, "2");

  mp_connection_poll_async (pipe.first, NULL, keep_result_cb, &results[3]);
  mp_connection_close (pipe.second, NULL);
  wait_for_result (&results[3]);
  g_assert_true (mp_connection_poll_finish (pipe.first, results[3], &error));
  g_assert_no_error (error);
  for (i = 0; i < G_N_ELEMENTS (results); i++)
    g_clear_object (&results[i]);

  mp_connection_close (pipe.first, NULL);
  mp_connection_poll_async (pipe.first, NULL, keep_result_cb, &results[0]);
  wait_for_result (&results[0]);
  g_assert_false (mp_connection_poll_finish (pipe.first, results[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_object_unref (results[0]);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-ready/fd", test_fd);
  g_test_add_func ("/connection-ready/fd-late", test_fd_late);
  g_test_add_func ("/connection-ready/fd-within", test_fd_within);
  g_test_add_func ("/connection-ready/fd-part", test_fd_part);
  g_test_add_func ("/connection-ready/fd-bad-peer", test_fd_bad_peer);
  g_test_add_func ("/connection-ready/fd-fork", test_fd_fork);
  g_test_add_func ("/connection-ready/fd-forget", test_fd_forget);
  g_test_add_func ("/connection-ready/fd-simplex", test_fd_simplex);
  g_test_add_func ("/connection-ready/fd-limit", test_fd_limit);
  g_test_add_func ("/connection-ready/poll-async", test_poll_async);

  return g_test_run ();
}
