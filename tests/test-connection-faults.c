/* test-connection-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-test.h"
#include "instrument-test.h"
#include "wait-test.h"

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A connection whose descriptor is something else. */
static void
test_travel_forged (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;
  MpWire *wire;
  Pipe pipe;
  int fds[2];

  pipe_open (&pipe);
  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  wire = mp_wire_new (fds[0], G_MAXINT64);
  connection = mp_connection_new_from_fd (fds[1], NULL);

  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.first));
  g_assert_true (mp_value_encode (handle, &encoded, NULL));
  close (g_array_index (encoded.fds, int, 0));
  g_array_index (encoded.fds, int, 0) = mp_fd_memory_file ("no socket", 8);
  mp_wire_queue_value (wire, 1, 0, NULL, 0, &encoded);   /* 1: a value */
  mp_encoded_clear (&encoded);
  g_assert_true (mp_wire_flush (wire, NULL));
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_true (mp_connection_is_closed (connection));
  mp_wire_free (wire);
  pipe_clear (&pipe);
}

static void
test_travel (void)
{
  g_autoptr(MpConnection) arrived = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GVariant) part = NULL;
  g_autoptr(GError) error = NULL;
  Pipe road, pipe;

  pipe_open (&road);
  pipe_open (&pipe);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  send_ok (road.first, g_variant_new ("(s@h@h)", "twice", handle, handle));
  g_assert_true (mp_connection_close (pipe.second, NULL));

  message = mp_connection_recv (road.second, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  part = g_variant_get_child_value (message, 2);
  g_clear_pointer (&message, g_variant_unref);
  arrived = MP_CONNECTION (mp_shareable_from_variant (part, &error));
  g_assert_no_error (error);
  g_assert_true (arrived != pipe.second);
  g_clear_pointer (&part, g_variant_unref);

  send_ok (pipe.first, g_variant_new_string ("to the traveller"));
  recv_ok (arrived, "'to the traveller'");
  send_ok (arrived, g_variant_new_string ("from it"));
  recv_ok (pipe.first, "'from it'");
  pipe_clear (&pipe);
  pipe_clear (&road);
}

static void
test_travel_refused (void)
{
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;
  Pipe road, pipe;

  pipe_open (&road);
  pipe_open (&pipe);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));

  /* A message has come in that would stay behind. */
  send_ok (pipe.first, g_variant_new_int32 (1));
  g_assert_true (mp_connection_poll (pipe.second, LONG_TIME, NULL, NULL));
  g_assert_false (mp_connection_send (road.first, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);
  recv_ok (pipe.second, "1");

  mp_connection_recv_async (pipe.second, NULL, keep_result_cb, &result);
  g_assert_false (mp_connection_send (road.first, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);

  mp_connection_close (pipe.second, NULL);
  g_assert_false (mp_connection_send (road.first, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  wait_for_result (&result);
  g_object_unref (result);

  pipe_clear (&pipe);
  g_assert_false (mp_connection_send (road.first, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);

  /* The road is as good as before. */
  send_ok (road.first, g_variant_new_int32 (2));
  recv_ok (road.second, "2");
  pipe_clear (&road);
}

/* No room for one more descriptor: the message is lost with a clear error, and the connection goes on. */
static void
test_descriptor_limit (void)
{
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  struct rlimit limit, low;
  int fds[64];
  guint n = 0, i;
  Pipe road, pipe;

  if (!limit_is_real ())
    return;

  pipe_open (&road);
  pipe_open (&pipe);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  send_ok (road.first, handle);
  send_ok (road.first, g_variant_new_int32 (2));

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  low = limit;
  low.rlim_cur = 64;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  while (n < G_N_ELEMENTS (fds) && (fds[n] = mp_fd_dup (0)) >= 0)
    n++;
  value = mp_connection_recv (road.second, LONG_TIME, NULL, &error);
  for (i = 0; i < n; i++)
    close (fds[i]);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);

  g_assert_null (value);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  recv_ok (road.second, "2");
  send_ok (road.first, handle);
  value = mp_connection_recv (road.second, LONG_TIME, NULL, NULL);
  g_assert_nonnull (value);
  pipe_clear (&road);
  pipe_clear (&pipe);
}

static void
check_bad_peer (gconstpointer data,
                gsize         size,
                int           code)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GError) error = NULL;
  Log log = { NULL };
  char byte;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  connection = mp_connection_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  connect_log (connection, &log);
  g_assert_cmpint (write (fds[1], data, size), ==, size);
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, code);
  g_clear_error (&error);

  /* It is cut off, and the error stays. */
  g_assert_true (mp_connection_is_closed (connection));
  g_assert_cmpint (read (fds[1], &byte, 1), ==, 0);
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, code);
  g_string_free (log.text, TRUE);
  close (fds[1]);
}

static void
test_bad_peer (void)
{
  const MpFrameHeader unknown = { 8, 0, 77, 0 };
  const MpFrameHeader too_long = { G_MAXUINT64, 0, 1, 0 };
  const MpFrameHeader many_fds = { 8, 0, 1, 5000 };
  const MpFrameHeader no_fds = { 0, 0, 1, 1 };
  const MpFrameHeader no_value = { 8, 0, 1, 0 };
  guint8 frame[24] = { 0 };

  memcpy (frame, &unknown, sizeof unknown);
  check_bad_peer (frame, sizeof frame, MP_ERROR_PROTOCOL);
  check_bad_peer (&too_long, sizeof too_long, MP_ERROR_TOO_LARGE);
  check_bad_peer (&many_fds, sizeof many_fds, MP_ERROR_PROTOCOL);
  check_bad_peer (&no_fds, sizeof no_fds, MP_ERROR_PROTOCOL);
  memcpy (frame, &no_value, sizeof no_value);
  check_bad_peer (frame, sizeof frame, MP_ERROR_PROTOCOL);
}

static void
test_bad_peer_signal (void)
{
  g_autoptr(MpConnection) connection = NULL;
  Log log = { NULL };
  char byte;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  connection = mp_connection_new_from_fd (fds[0], NULL);
  connect_log (connection, &log);
  mp_connection_start (connection);
  g_assert_cmpint (write (fds[1], "this is no message at all", 25), ==, 25);
  while (log.n_closed == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (log.text->str, ==, "bad");
  g_assert_cmpint (read (fds[1], &byte, 1), <=, 0);
  g_string_free (log.text, TRUE);
  close (fds[1]);
}

static void
test_new_from_fd (void)
{
  g_autoptr(GError) error = NULL;
  int fds[2];

  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  g_assert_null (mp_connection_new_from_fd (fds[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (mp_connection_new_from_fd (-1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  close (fds[0]);
  close (fds[1]);
}

/* A peer that dies in the middle of a message: what came before it is received, then the end. */
static void
test_killed_peer (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GBytes) bytes = make_large (8000000);
  g_autoptr(GError) error = NULL;
  int fds[2], status;
  pid_t pid;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      MpWire *wire = mp_wire_new (fds[1], G_MAXINT64);
      MpPiece piece = { "whole", 5, NULL };

      close (fds[0]);
      mp_wire_queue (wire, 2, 0, &piece, 1, NULL, 0);   /* 2: bytes */
      piece = (MpPiece) { g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), bytes };
      mp_wire_queue (wire, 2, 0, &piece, 1, NULL, 0);
      mp_wire_flush (wire, NULL);
      raise (SIGKILL);
    }

  close (fds[1]);
  connection = mp_connection_new_from_fd (fds[0], NULL);
  g_clear_pointer (&bytes, g_bytes_unref);
  bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem ("whole", 5, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
}

static void
test_max_size (void)
{
  g_autoptr(GBytes) bytes = make_large (1001);
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  g_object_set (pipe.first, "max-message-size", G_GUINT64_CONSTANT (1000), NULL);
  g_assert_false (mp_connection_send_bytes (pipe.first, bytes, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  g_assert_true (mp_connection_send_bytes (pipe.second, bytes, LONG_TIME, NULL, NULL));
  g_assert_null (mp_connection_recv_bytes (pipe.first, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  pipe_clear (&pipe);
}

static gpointer
cancel_sleeper (gpointer data)
{
  Waiter *sleeper = data;

  waiter_await_asleep (sleeper, "poll");
  g_cancellable_cancel (sleeper->cancellable);
  return NULL;
}

/* Of a process that was forked by a thread that had slept before. */
static void
cancel_many_calls (MpConnection *connection)
{
  Waiter canceller = { .objects = NULL };

  g_atomic_int_set (&canceller.tid, syscall (SYS_gettid));
  for (guint i = 0; i < 200; i++)
    {
      g_autoptr(GCancellable) cancellable = g_cancellable_new ();
      g_autoptr(GError) error = NULL;

      canceller.cancellable = cancellable;
      canceller.thread = g_thread_new ("canceller", cancel_sleeper, &canceller);
      g_assert_null (mp_connection_recv (connection, LONG_TIME, cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (canceller.thread);
    }
}

/* What wakes a thread is not what wakes its forked copy: the one would take the other's call away. */
static void
test_forked_sleeper (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe, quiet;
  int status;
  pid_t pid;

  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("a forked copy may have no new threads there");
      return;
    }
  pipe_open (&pipe);
  pipe_open (&quiet);
  g_assert_null (mp_connection_recv (pipe.second, 1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  pid = fork ();
  if (pid == 0)
    {
      cancel_many_calls (quiet.first);
      send_ok (pipe.first, g_variant_new_int32 (1));
      _exit (0);
    }

  recv_ok (pipe.second, "1");
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  pipe_clear (&quiet);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-faults/travel", test_travel);
  g_test_add_func ("/connection-faults/travel-forged", test_travel_forged);
  g_test_add_func ("/connection-faults/travel-refused", test_travel_refused);
  g_test_add_func ("/connection-faults/descriptor-limit", test_descriptor_limit);
  g_test_add_func ("/connection-faults/bad-peer", test_bad_peer);
  g_test_add_func ("/connection-faults/bad-peer-signal", test_bad_peer_signal);
  g_test_add_func ("/connection-faults/new-from-fd", test_new_from_fd);
  g_test_add_func ("/connection-faults/killed-peer", test_killed_peer);
  g_test_add_func ("/connection-faults/max-size", test_max_size);
  g_test_add_func ("/connection-faults/forked-sleeper", test_forked_sleeper);

  return g_test_run ();
}
