/* test-connection-lane.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-lane-test.h"

#include "mp-glib/arena/mp-ring-state-private.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Pipes that are used so much that they come to share memory: all is as before. */

#define MANY 20000

static gsize
get_size (guint32 i)
{
  return i % 97 == 0 ? 100000 + i : i % 13 == 0 ? 15000 + i % 3000 : i % 500;
}

static gpointer
send_many (gpointer data)
{
  MpConnection *connection = data;
  g_autoptr(GBytes) source = make_large (200000);
  guint32 i;

  for (i = 0; i < MANY; i++)
    {
      g_autoptr(GBytes) bytes = g_bytes_new_from_bytes (source, i % 1000, get_size (i));
      g_autoptr(GError) error = NULL;

      mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
    }
  return NULL;
}

static void
recv_many (MpConnection *connection)
{
  g_autoptr(GBytes) source = make_large (200000);
  guint32 i;

  for (i = 0; i < MANY; i++)
    {
      g_autoptr(GBytes) expected = g_bytes_new_from_bytes (source, i % 1000, get_size (i));
      g_autoptr(GError) error = NULL;
      g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (bytes, expected));
    }
}

/* Of all lengths, both ways at once: in order and whole. */
static void
test_lengths (void)
{
  GThread *threads[2];
  Pipe pipe;

  pipe_open (&pipe);
  threads[0] = g_thread_new ("there", send_many, pipe.first);
  threads[1] = g_thread_new ("back", send_many, pipe.second);
  /* Both at once: one alone would fill its pipe and wait for the other. */
  recv_many (pipe.second);
  recv_many (pipe.first);
  g_thread_join (threads[0]);
  g_thread_join (threads[1]);
  pipe_clear (&pipe);
}

/* The one who reads has stopped: memory is full, then the socket, then the time is over. Nothing is lost of it. */
static void
test_full (void)
{
  g_autoptr(GError) error = NULL;
  guint32 n = 0, i;
  Pipe pipe;

  lane_open (&pipe);
  while (mp_connection_send (pipe.first, g_variant_new_uint32 (n), 10000, NULL, &error))
    n++;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpuint (n, >, 3000);
  for (i = 0; i < n; i++)
    g_assert_cmpuint (recv_number (pipe.second), ==, i);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, NULL));

  warm_up (pipe.first, pipe.second);
  pipe_clear (&pipe);
}

static void
test_objects (void)
{
  Pipe pipe, other;
  guint i;

  lane_open (&pipe);
  pipe_open (&other);
  for (i = 0; i < 5; i++)
    {
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (other.first));
      g_autoptr(GVariant) message = NULL;
      g_autoptr(GVariant) part = NULL;
      g_autoptr(MpConnection) arrived = NULL;
      g_autoptr(GError) error = NULL;

      send_number (pipe.first, 1);
      send_ok (pipe.first, g_variant_new ("(@h)", handle));
      send_number (pipe.first, 2);
      g_assert_cmpuint (recv_number (pipe.second), ==, 1);
      message = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      part = g_variant_get_child_value (message, 0);
      arrived = MP_CONNECTION (mp_shareable_from_variant (part, &error));
      g_assert_no_error (error);
      send_ok (arrived, g_variant_new_int32 (i));
      recv_ok (other.second, i == 0 ? "0" : i == 1 ? "1" : i == 2 ? "2" : i == 3 ? "3" : "4");
      g_assert_cmpuint (recv_number (pipe.second), ==, 2);
    }
  pipe_clear (&pipe);
  pipe_clear (&other);
}

/* An end whose other end is in the middle of it: what was sent before and after arrives in order. @data: it goes on
 * twice. */
static void
test_travel (gconstpointer data)
{
  guint n_times = GPOINTER_TO_UINT (data), i;
  MpConnection *arrived;
  Pipe pipe, road;

  lane_open (&pipe);
  pipe_open (&road);
  arrived = g_object_ref (pipe.second);
  for (i = 0; i < n_times; i++)
    {
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (arrived));
      g_autoptr(GVariant) value = NULL;
      g_autoptr(GError) error = NULL;
      MpConnection *next;

      send_number (arrived, 11);
      send_number (pipe.first, 1);
      send_ok (road.first, handle);
      send_number (pipe.first, 2);
      g_assert_true (mp_connection_close (arrived, NULL));
      send_number (pipe.first, 3);
      value = mp_connection_recv (road.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      next = MP_CONNECTION (mp_shareable_from_variant (value, &error));
      g_assert_no_error (error);
      send_number (next, 12);
      g_object_unref (arrived);
      arrived = next;

      g_assert_cmpuint (recv_number (pipe.first), ==, 11);
      g_assert_cmpuint (recv_number (pipe.first), ==, 12);
    }
  for (i = 0; i < 3 * n_times; i++)
    g_assert_cmpuint (recv_number (arrived), ==, i % 3 + 1);
  warm_up (pipe.first, arrived);
  warm_up (arrived, pipe.first);

  mp_connection_close (pipe.first, NULL);
  g_assert_null (mp_connection_recv (arrived, LONG_TIME, NULL, NULL));
  g_object_unref (arrived);
  pipe_clear (&pipe);
  pipe_clear (&road);
}

/* An end that comes to a process which can open no more files: that is an error, and not what came later first. */
static void
test_travel_full (void)
{
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GVariant) value = NULL;
  g_autoptr(MpConnection) arrived = NULL;
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  struct rlimit old, limit;
  Pipe pipe, road;
  guint i;
  int fd;

  lane_open (&pipe);
  pipe_open (&road);
  send_number (pipe.first, 1);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  send_ok (road.first, handle);
  g_assert_true (mp_connection_close (pipe.second, NULL));

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &old), ==, 0);
  limit = old;
  limit.rlim_cur = 100;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  while ((fd = fcntl (0, F_DUPFD_CLOEXEC, 0)) >= 0)
    g_array_append_val (fds, fd);
  for (i = 0; i < 2; i++)
    close (g_array_index (fds, int, --fds->len));
  value = mp_connection_recv (road.second, LONG_TIME, NULL, &error);
  if (value != NULL)
    arrived = MP_CONNECTION (mp_shareable_from_variant (value, &error));
  for (i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &old), ==, 0);

  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_assert_null (arrived);
  pipe_clear (&pipe);
  pipe_clear (&road);
}

/* What could not be sent after all goes on where it was. */
static void
test_travel_not (void)
{
  g_autoptr(GVariant) handle = NULL;
  MpEncoded encoded;
  Pipe pipe;

  lane_open (&pipe);
  send_number (pipe.first, 1);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  g_assert_true (mp_value_encode (handle, &encoded, NULL));
  mp_encoded_clear (&encoded);
  send_number (pipe.first, 2);
  g_assert_cmpuint (recv_number (pipe.second), ==, 1);
  g_assert_cmpuint (recv_number (pipe.second), ==, 2);
  send_number (pipe.second, 3);
  g_assert_cmpuint (recv_number (pipe.first), ==, 3);
  g_clear_pointer (&handle, g_variant_unref);
  pipe_clear (&pipe);
}

/* … and also when the ring has been damaged since, so that another process could not take it. */
static void
test_travel_damaged (void)
{
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;
  Pipe pipe;

  lane_open (&pipe);
  send_number (pipe.first, 1);
  send_number (pipe.first, 2);
  pipe.first->wire->lane_out.ring->header->magic = 0;
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  g_assert_false (mp_value_encode (handle, &encoded, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpuint (recv_number (pipe.second), ==, 1);
  g_assert_cmpuint (recv_number (pipe.second), ==, 2);
  send_number (pipe.first, 3);
  g_assert_cmpuint (recv_number (pipe.second), ==, 3);
  g_clear_pointer (&handle, g_variant_unref);
  pipe_clear (&pipe);
}

/* A copy of the process that sends has the same end, and not the memory. */
static void
test_fork (void)
{
  guint32 n_here = 0, n_there = 0, i;
  int status;
  pid_t pid;
  Pipe pipe;

  lane_open (&pipe);
  pid = fork ();
  if (pid == 0)
    {
      for (i = 0; i < 3000; i++)
        if (!mp_connection_send (pipe.first, g_variant_new_uint32 (1000000 + i), LONG_TIME, NULL, NULL))
          _exit (1);
      _exit (0);
    }

  for (i = 0; i < 3000 || n_there < 3000; i++)
    {
      guint32 number;

      if (i < 3000)
        send_number (pipe.first, i);
      number = recv_number (pipe.second);
      if (number >= 1000000)
        g_assert_cmpuint (number - 1000000, ==, n_there++);
      else
        g_assert_cmpuint (number, ==, n_here++);
    }
  while (n_here < 3000)
    g_assert_cmpuint (recv_number (pipe.second), ==, n_here++);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  g_assert_true (has_lane (pipe.second));
  pipe_clear (&pipe);
}

/* One that has the socket only is heard although memory is never empty. */
static void
test_fair (void)
{
  guint32 number = 0, i;
  int status;
  pid_t pid;
  Pipe pipe;

  lane_open (&pipe);
  pid = fork ();
  if (pid == 0)
    _exit (!mp_connection_send (pipe.first, g_variant_new_uint32 (1000000), LONG_TIME, NULL, NULL));
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  send_number (pipe.first, 0);
  for (i = 0; i < 1000 && number != 1000000; i++)
    {
      send_number (pipe.first, i);
      number = recv_number (pipe.second);
    }
  g_assert_cmpuint (number, ==, 1000000);
  pipe_clear (&pipe);
}

/* Killed while it sends: whole messages in order, then the end. */
static void
test_killed_sender (void)
{
  guint round;

  for (round = 0; round < 20; round++)
    {
      g_autoptr(GError) error = NULL;
      gboolean killed = FALSE;
      guint32 n = 0;
      pid_t pid;
      int status;
      Pipe pipe;

      pipe_open (&pipe);
      pid = fork ();
      if (pid == 0)
        {
          mp_connection_close (pipe.second, NULL);
          for (;;)
            if (!mp_connection_send (pipe.first, g_variant_new_uint32 (n++), -1, NULL, NULL))
              _exit (1);
        }

      mp_connection_close (pipe.first, NULL);
      for (;;)
        {
          g_autoptr(GVariant) value = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);

          if (value == NULL)
            break;
          g_assert_cmpuint (g_variant_get_uint32 (value), ==, n);
          if (++n >= 1000 + 100 * round && !killed && has_lane (pipe.second))
            killed = kill (pid, SIGKILL) == 0;
        }
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_assert_cmpuint (n, >=, 1000 + 100 * round);
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_true (WIFSIGNALED (status));
      pipe_clear (&pipe);
    }
}

/* Killed while it receives: who sends comes to know it. */
static void
test_killed_receiver (void)
{
  g_autoptr(GError) error = NULL;
  int status;
  pid_t pid;
  Pipe pipe;

  pipe_open (&pipe);
  pid = fork ();
  if (pid == 0)
    {
      guint i;

      mp_connection_close (pipe.first, NULL);
      for (i = 0; i < 2000; i++)
        mp_connection_recv (pipe.second, -1, NULL, NULL);
      raise (SIGKILL);
    }

  mp_connection_close (pipe.second, NULL);
  while (mp_connection_send (pipe.first, g_variant_new_uint32 (1), LONG_TIME, NULL, &error))
    ;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  pipe_clear (&pipe);
}

/* One that has closed is known at once. What it had sent is there. */
static void
test_closed (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  lane_open (&pipe);
  send_number (pipe.second, 1);
  send_number (pipe.second, 2);
  mp_connection_close (pipe.second, NULL);
  g_assert_false (mp_connection_send (pipe.first, g_variant_new_uint32 (1), LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  g_clear_error (&error);
  g_assert_cmpuint (recv_number (pipe.first), ==, 1);
  g_assert_cmpuint (recv_number (pipe.first), ==, 2);
  g_assert_null (mp_connection_recv (pipe.first, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  pipe_clear (&pipe);
}

static gboolean
is_readable (MpConnection *connection,
             int           timeout_ms)
{
  struct pollfd pollfd = { mp_connection_get_fd (connection), POLLIN, 0 };

  g_assert_cmpint (pollfd.fd, >=, 0);
  return poll (&pollfd, 1, timeout_ms) > 0;
}

static gpointer
send_one (gpointer data)
{
  send_number (data, 5);
  return NULL;
}

/* Whoever waits by a descriptor. */
static void
test_descriptor (void)
{
  GThread *thread;
  guint i;
  Pipe pipe;

  lane_open (&pipe);
  for (i = 0; i < 200; i++)
    {
      /* Said to be readable for nothing, it says so once. */
      while (is_readable (pipe.second, 0))
        g_assert_false (mp_connection_poll (pipe.second, 0, NULL, NULL));
      thread = g_thread_new ("sender", send_one, pipe.first);
      g_assert_true (is_readable (pipe.second, 60000));
      g_assert_true (mp_connection_poll (pipe.second, LONG_TIME, NULL, NULL));
      g_thread_join (thread);
      send_number (pipe.first, 6);
      g_assert_true (is_readable (pipe.second, 0));
      g_assert_cmpuint (recv_number (pipe.second), ==, 5);
      g_assert_true (is_readable (pipe.second, 0));
      g_assert_cmpuint (recv_number (pipe.second), ==, 6);
    }
  g_assert_true (has_lane (pipe.second));
  pipe_clear (&pipe);
}

static void
count_cb (MpConnection *connection,
          GVariant     *value,
          gpointer      user_data)
{
  guint32 *n = user_data;

  g_assert_cmpuint (g_variant_get_uint32 (value), ==, (*n)++);
}

static gpointer
send_numbers (gpointer data)
{
  guint32 i;

  for (i = 0; i < MANY; i++)
    send_number (data, i);
  return NULL;
}

static void
test_signals (void)
{
  guint32 n = 0;
  GThread *thread;
  Pipe pipe;

  lane_open (&pipe);
  g_signal_connect (pipe.second, "message", G_CALLBACK (count_cb), &n);
  mp_connection_start (pipe.second);
  thread = g_thread_new ("sender", send_numbers, pipe.first);
  while (n < MANY)
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (thread);
  mp_connection_stop (pipe.second);
  send_number (pipe.first, 7);
  g_assert_cmpuint (recv_number (pipe.second), ==, 7);
  pipe_clear (&pipe);
}

static void
test_async (void)
{
  guint32 i;
  Pipe pipe;

  lane_open (&pipe);
  for (i = 0; i < 500; i++)
    {
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GAsyncResult) sent = NULL;
      g_autoptr(GVariant) value = NULL;

      mp_connection_recv_async (pipe.second, NULL, keep_result_cb, &result);
      while (g_main_context_iteration (NULL, FALSE))
        ;
      mp_connection_send_async (pipe.first, g_variant_new_uint32 (i), NULL, keep_result_cb, &sent);
      wait_for_result (&result);
      wait_for_result (&sent);
      value = mp_connection_recv_finish (pipe.second, result, NULL);
      g_assert_cmpuint (g_variant_get_uint32 (value), ==, i);
      g_assert_true (mp_connection_send_finish (pipe.first, sent, NULL));
    }
  g_assert_true (has_lane (pipe.second));
  pipe_clear (&pipe);
}

static gboolean
has_taken_ring (MpConnection *connection)
{
  gboolean result;

  pthread_mutex_lock (&connection->lock);
  result = connection->wire->lane_in.records.ring != NULL;
  pthread_mutex_unlock (&connection->lock);
  return result;
}

/* Two processes that send from one end each offer memory. That of the one who uses it first is read to its end, though
 * its writer has gone when the other's offer is found. */
static void
test_two_offers (void)
{
  g_autoptr(GError) error = NULL;
  guint32 n = 0, i;
  int status;
  pid_t pid;
  Pipe pipe;

  pipe_open (&pipe);
  while (!has_taken_ring (pipe.second))
    {
      send_number (pipe.first, n);
      g_assert_cmpuint (recv_number (pipe.second), ==, n++);
    }
  pid = fork ();
  if (pid == 0)
    {
      for (i = 0; i < 300; i++)
        if (!mp_connection_send (pipe.first, g_variant_new_uint32 (i), LONG_TIME, NULL, NULL))
          _exit (1);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  for (i = 0; i < 10; i++)
    send_number (pipe.first, 1000 + i);
  g_assert_true (uses_lane (pipe.first));
  mp_connection_close (pipe.first, NULL);
  for (i = 0, n = 1000; i < 310; i++)
    {
      guint32 number = recv_number (pipe.second);

      if (number >= 1000)
        g_assert_cmpuint (number, ==, n++);
    }
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  pipe_clear (&pipe);
}

/* A copy of the process goes on with the receiving, while this one still has the memory and reads no more. */
static void
test_forked_reader (void)
{
  char byte = 0;
  int fds[2], status;
  pid_t pid;
  Pipe pipe;

  lane_open (&pipe);
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      g_autoptr(GVariant) value = mp_connection_recv (pipe.second, 0, NULL, NULL);

      if (value != NULL || write (fds[1], &byte, 1) != 1)
        _exit (1);
      _exit (recv_number (pipe.second) == 5 ? 0 : 2);
    }

  g_assert_cmpint (read (fds[0], &byte, 1), ==, 1);
  send_number (pipe.first, 5);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  close (fds[0]);
  close (fds[1]);
  pipe_clear (&pipe);
}

/* One that is killed while it is awake, so that nobody rings: those who send to it come to know it soon. */
static void
test_killed_awake (void)
{
  g_autoptr(GError) error = NULL;
  guint32 n = 0;
  int status;
  pid_t pid;
  Pipe pipe;

  pipe_open (&pipe);
  pid = fork ();
  if (pid == 0)
    {
      mp_connection_close (pipe.first, NULL);
      while ((n = recv_number (pipe.second)) != G_MAXUINT32)
        send_number (pipe.second, n);
      mp_wire_watch_lane (pipe.second->wire);
      raise (SIGKILL);
    }

  mp_connection_close (pipe.second, NULL);
  for (n = 0; n < 1000 && !uses_lane (pipe.first); n++)
    {
      send_number (pipe.first, n);
      g_assert_cmpuint (recv_number (pipe.first), ==, n);
    }
  g_assert_true (uses_lane (pipe.first));
  send_number (pipe.first, G_MAXUINT32);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  for (n = 0; mp_connection_send (pipe.first, g_variant_new_uint32 (n), LONG_TIME, NULL, &error); n++)
    ;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  g_assert_cmpuint (n, <=, 100);
  pipe_clear (&pipe);
}

/* One that is killed while it is asleep, and could not be woken: the first message already was sent to nobody. */
static void
test_killed_asleep (void)
{
  g_autoptr(GError) error = NULL;
  int status;
  pid_t pid;
  Pipe pipe;

  pipe_open (&pipe);
  pid = fork ();
  if (pid == 0)
    {
      guint32 n;

      mp_connection_close (pipe.first, NULL);
      while ((n = recv_number (pipe.second)) != G_MAXUINT32)
        send_number (pipe.second, n);
      g_assert_null (mp_connection_recv (pipe.second, 0, NULL, NULL));
      raise (SIGKILL);
    }

  mp_connection_close (pipe.second, NULL);
  for (guint32 n = 0; n < 1000 && !uses_lane (pipe.first); n++)
    {
      send_number (pipe.first, n);
      g_assert_cmpuint (recv_number (pipe.first), ==, n);
    }
  g_assert_true (uses_lane (pipe.first));
  send_number (pipe.first, G_MAXUINT32);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_false (mp_connection_send (pipe.first, g_variant_new_uint32 (0), LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  pipe_clear (&pipe);
}

/* The other end says this, with that descriptor (taken). @expected: as an error; -1: none. */
static void
check_peer (guint16  kind,
            int      fd,
            MpRing  *ring,
            gint     expected)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GError) error = NULL;
  MpFrameHeader header = { 0, 0, kind, fd >= 0 ? 1 : 0 };
  const MpFrameHeader go = { 0, ring != NULL ? mp_ring_get_id (ring) : 0, MP_WIRE_LANE_GO, 0 };
  struct iovec iov[2] = { { &header, sizeof header }, { (gpointer) &go, sizeof go } };
  int fds[2];

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  connection = mp_connection_new_taking (fds[1], MP_CONNECTION_DUPLEX, 1000);
  g_assert_cmpint (mp_socket_send (fds[0], iov, ring != NULL ? 2 : 1, &fd, fd >= 0 ? 1 : 0, FALSE), >, 0);
  g_assert_null (mp_connection_recv (connection, 0, NULL, &error));
  if (expected >= 0)
    g_assert_error (error, MP_ERROR, expected);
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mp_fd_close (&fd);
  close (fds[0]);
}

static MpRing *
make_ring (gconstpointer data,
           gsize         size)
{
  MpRing *ring = mp_ring_new (4096, NULL);

  g_assert_true (mp_ring_take_end (ring, MP_RING_WRITER, NULL));
  g_assert_true (mp_ring_try_write (ring, data, size, NULL));
  return ring;
}

static void
check_record (gconstpointer data,
              gsize         size,
              gint          expected)
{
  MpRing *ring = make_ring (data, size);

  check_peer (MP_WIRE_LANE_OFFER, mp_fd_dup (mp_ring_get_fd (ring)), ring, expected);
  mp_ring_free (ring);
}

/* What a bad peer puts into the memory, or says of it. */
static void
test_bad_peer (void)
{
  struct { MpFrameHeader header; guint8 rest[16]; } record = { { 0, 0, 0, 0 }, { 0 } };
  const MpFrameHeader ends[2] = { { 0, 0, MP_WIRE_LANE_END, 0 }, { 0, 0, MP_WIRE_LANE_END, 0 } };
  int fds[2];

  check_peer (MP_WIRE_LANE_GO, -1, NULL, MP_ERROR_PROTOCOL);
  check_peer (MP_WIRE_LANE_END, -1, NULL, MP_ERROR_PROTOCOL);
  check_peer (MP_WIRE_LANE_OFFER, -1, NULL, MP_ERROR_PROTOCOL);
  check_peer (MP_WIRE_LANE_OFFER, mp_fd_memory_file ("no ring", 8192), NULL, MP_ERROR_PROTOCOL);
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  check_peer (MP_WIRE_LANE_OFFER, fds[0], NULL, MP_ERROR_PROTOCOL);
  close (fds[1]);

  check_record (&record, sizeof record, MP_ERROR_PROTOCOL);           /* a head of zeros */
  check_record (&record, 8, MP_ERROR_PROTOCOL);                       /* less than a head */
  record.header = (MpFrameHeader) { G_MAXUINT64, 0, 1, 0 };
  check_record (&record, sizeof record, MP_ERROR_PROTOCOL);
  record.header = (MpFrameHeader) { G_MAXUINT64 - 20, 0, 1, 0 };
  check_record (&record, sizeof record, MP_ERROR_PROTOCOL);
  record.header = (MpFrameHeader) { 16, 0, 1, 1 };
  check_record (&record, sizeof record, MP_ERROR_PROTOCOL);           /* with descriptors */
  record.header = (MpFrameHeader) { 16, 0, 77, 0 };
  check_record (&record, sizeof record, MP_ERROR_PROTOCOL);           /* of a kind that does not exist */
  record.header = (MpFrameHeader) { 12, 0, 2, 0 };
  record.rest[15] = 1;
  check_record (&record, sizeof record, MP_ERROR_PROTOCOL);           /* bytes behind its end */
  check_record (ends, sizeof ends, MP_ERROR_PROTOCOL);
  check_record (ends, sizeof ends[0], -1);
}

static void
test_too_large (void)
{
  struct { MpFrameHeader header; guint8 rest[1008]; } record = { { 1001, 0, 2, 0 }, { 0 } };

  check_record (&record, sizeof record, MP_ERROR_TOO_LARGE);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/connection-lane/lengths", test_lengths);
  g_test_add_func ("/connection-lane/full", test_full);
  g_test_add_func ("/connection-lane/objects", test_objects);
  g_test_add_data_func ("/connection-lane/travel", GUINT_TO_POINTER (1), test_travel);
  g_test_add_data_func ("/connection-lane/travel-on", GUINT_TO_POINTER (2), test_travel);
  g_test_add_func ("/connection-lane/travel-full", test_travel_full);
  g_test_add_func ("/connection-lane/travel-not", test_travel_not);
  g_test_add_func ("/connection-lane/travel-damaged", test_travel_damaged);
  g_test_add_func ("/connection-lane/fork", test_fork);
  g_test_add_func ("/connection-lane/fair", test_fair);
  g_test_add_func ("/connection-lane/killed-sender", test_killed_sender);
  g_test_add_func ("/connection-lane/killed-receiver", test_killed_receiver);
  g_test_add_func ("/connection-lane/closed", test_closed);
  g_test_add_func ("/connection-lane/descriptor", test_descriptor);
  g_test_add_func ("/connection-lane/signals", test_signals);
  g_test_add_func ("/connection-lane/async", test_async);
  g_test_add_func ("/connection-lane/two-offers", test_two_offers);
  g_test_add_func ("/connection-lane/forked-reader", test_forked_reader);
  g_test_add_func ("/connection-lane/killed-awake", test_killed_awake);
  g_test_add_func ("/connection-lane/killed-asleep", test_killed_asleep);
  g_test_add_func ("/connection-lane/bad-peer", test_bad_peer);
  g_test_add_func ("/connection-lane/too-large", test_too_large);
  return g_test_run ();
}
