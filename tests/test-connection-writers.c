/* test-connection-writers.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-lane-test.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Several who send from one end: what one sends when another has sent comes after that, whatever way it takes. */

/* Another one who has @from, as another process has it. */
static MpConnection *
give (MpConnection *from)
{
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (from));
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  MpConnection *arrived;
  Pipe road;

  pipe_open (&road);
  send_ok (road.first, handle);
  value = mp_connection_recv (road.second, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  arrived = MP_CONNECTION (mp_shareable_from_variant (value, &error));
  g_assert_no_error (error);
  pipe_clear (&road);
  return arrived;
}

static void
assert_numbers (MpConnection *connection,
                guint32       first,
                guint32       n)
{
  guint32 i;

  for (i = 0; i < n; i++)
    g_assert_cmpuint (recv_number (connection), ==, first + i);
}

/* @data: who gave the end away is the other one, and not a third. */
static void
test_turns (gconstpointer data)
{
  g_autoptr(MpConnection) one = NULL;
  g_autoptr(MpConnection) other = NULL;
  guint32 i;
  Pipe pipe;

  pipe_open (&pipe);
  one = give (pipe.second);
  other = data != NULL ? g_object_ref (pipe.second) : give (pipe.second);
  warm_up (one, pipe.first);

  /* Nobody reads meanwhile. */
  send_number (one, 100);
  send_number (other, 101);
  send_number (one, 102);
  send_number (other, 103);
  for (i = 104; i < 400; i++)
    send_number (i % 3 == 0 ? one : other, i);
  assert_numbers (pipe.first, 100, 300);

  g_assert_false (uses_lane (one));
  for (i = 0; i < 1000; i++)
    {
      send_number (one, i);
      g_assert_cmpuint (recv_number (pipe.first), ==, i);
    }
  g_assert_false (uses_lane (one));
  g_clear_object (&one);
  g_clear_object (&other);
  pipe_clear (&pipe);
}

/* The one who reads sleeps by the ring when its writer comes to leave it. */
static gpointer
recv_some (gpointer data)
{
  MpConnection *connection = data;

  assert_numbers (connection, 100, 200);
  return NULL;
}

static void
test_sleeper (void)
{
  g_autoptr(MpConnection) one = NULL;
  g_autoptr(MpConnection) other = NULL;
  GThread *thread;
  guint32 i;
  Pipe pipe;

  pipe_open (&pipe);
  one = give (pipe.second);
  other = give (pipe.second);
  warm_up (one, pipe.first);
  thread = g_thread_new ("reader", recv_some, pipe.first);
  for (i = 100; i < 300; i++)
    send_number (i < 200 || i % 2 == 0 ? one : other, i);
  g_thread_join (thread);
  g_clear_object (&one);
  g_clear_object (&other);
  pipe_clear (&pipe);
}

/* Others only have it, or have sent before, or read: who sends alone does so by memory. */
static void
test_alone (void)
{
  g_autoptr(MpConnection) one = NULL;
  g_autoptr(MpConnection) other = NULL;
  g_autoptr(MpConnection) last = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  send_number (pipe.second, 1);
  one = give (pipe.second);
  other = give (pipe.second);
  g_assert_cmpuint (recv_number (pipe.first), ==, 1);
  warm_up (one, pipe.first);

  /* Given on. */
  last = give (one);
  warm_up (last, pipe.first);
  g_clear_object (&last);
  send_number (other, 2);
  g_assert_cmpuint (recv_number (pipe.first), ==, 2);
  g_clear_object (&one);
  g_clear_object (&other);
  pipe_clear (&pipe);
}

/* One that goes one way only. */
static void
test_directions (void)
{
  g_autoptr(MpConnection) reader = NULL;
  g_autoptr(MpConnection) writer = NULL;
  g_autoptr(MpConnection) one = NULL;
  g_autoptr(MpConnection) other = NULL;
  g_autoptr(GError) error = NULL;

  mp_pipe_new (FALSE, &reader, &writer, &error);
  g_assert_no_error (error);
  one = give (writer);
  other = give (reader);
  mp_connection_close (reader, NULL);
  warm_up (one, other);
  send_number (one, 1);
  send_number (writer, 2);
  send_number (one, 3);
  assert_numbers (other, 1, 3);
}

/* Processes in turn, and one of them is killed. */
static void
test_processes (void)
{
  MpConnection *ends[3];
  Pipe pipe, turns[3];
  pid_t pids[3];
  guint32 i;

  pipe_open (&pipe);
  for (i = 0; i < 3; i++)
    {
      ends[i] = give (pipe.second);
      pipe_open (&turns[i]);
      pids[i] = fork ();
      if (pids[i] != 0)
        continue;

      for (;;)
        {
          g_autoptr(GVariant) number = mp_connection_recv (turns[i].second, LONG_TIME, NULL, NULL);

          if (number == NULL || !mp_connection_send (ends[i], number, LONG_TIME, NULL, NULL) ||
              !mp_connection_send (turns[i].second, number, LONG_TIME, NULL, NULL))
            _exit (1);
        }
    }

  for (i = 0; i < 1000; i++)
    {
      guint who = i < 300 ? 0 : i < 600 ? i % 2 : 1 + i % 2;

      if (i == 600)
        {
          g_assert_cmpint (kill (pids[0], SIGKILL), ==, 0);
          g_assert_cmpint (waitpid (pids[0], NULL, 0), ==, pids[0]);
        }
      send_number (turns[who].first, i);
      g_assert_cmpuint (recv_number (turns[who].first), ==, i);
      if (i < 250)
        g_assert_cmpuint (recv_number (pipe.first), ==, i);
    }
  g_assert_true (has_lane (pipe.first));
  assert_numbers (pipe.first, 250, 750);

  for (i = 0; i < 3; i++)
    {
      if (i > 0)
        {
          g_assert_cmpint (kill (pids[i], SIGKILL), ==, 0);
          g_assert_cmpint (waitpid (pids[i], NULL, 0), ==, pids[i]);
        }
      g_object_unref (ends[i]);
      pipe_clear (&turns[i]);
    }
  pipe_clear (&pipe);
}

/* One that is closed leaves the way to the next. */
static void
test_closed (void)
{
  g_autoptr(MpConnection) one = NULL;
  g_autoptr(MpConnection) other = NULL;
  g_autoptr(GError) error = NULL;
  guint32 i;
  Pipe pipe;

  pipe_open (&pipe);
  one = give (pipe.second);
  other = give (pipe.second);
  warm_up (one, pipe.first);
  for (i = 100; i < 200; i++)
    send_number (one, i);
  mp_connection_close (one, NULL);
  send_number (other, 200);
  assert_numbers (pipe.first, 100, 101);
  g_assert_false (has_lane (pipe.first));
  warm_up (other, pipe.first);
  g_assert_true (has_lane (pipe.first));
  mp_connection_close (other, NULL);
  mp_connection_close (pipe.second, NULL);
  g_assert_null (mp_connection_recv (pipe.first, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  pipe_clear (&pipe);
}

typedef void (*InCopy) (MpConnection *connection);

static void
run_copy (MpConnection *connection,
          InCopy        func)
{
  pid_t pid = fork ();
  int status;

  if (pid == 0)
    {
      func (connection);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

static void
close_it (MpConnection *connection)
{
  mp_connection_close (connection, NULL);
}

static void
give_it (MpConnection *connection)
{
  g_object_unref (give (connection));
}

/* What fork() has made is none of those whom the page knows: it leaves alone what the first process says there. */
static void
test_copy_leaves (gconstpointer data)
{
  g_autoptr(MpConnection) one = NULL;
  g_autoptr(MpConnection) other = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  one = give (pipe.second);
  other = give (pipe.second);
  warm_up (one, pipe.first);
  run_copy (one, (InCopy) data);

  send_number (other, 100);
  mp_connection_close (other, NULL);
  send_number (one, 101);
  assert_numbers (pipe.first, 100, 2);
  g_clear_object (&one);
  pipe_clear (&pipe);
}

static void
send_100 (MpConnection *connection)
{
  send_number (connection, 100);
}

/* … and is one more when it sends. */
static void
test_copy_sends (void)
{
  g_autoptr(MpConnection) one = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  one = give (pipe.second);
  warm_up (one, pipe.first);
  run_copy (one, send_100);
  send_number (one, 101);
  assert_numbers (pipe.first, 100, 2);
  g_clear_object (&one);
  pipe_clear (&pipe);
}

static guint
count_fds (void)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Who has no descriptors for it gives no end away, and keeps it as it was. */
static void
test_full (void)
{
  g_autoptr(GVariant) handle = NULL;
  struct rlimit old, limit;
  guint n_fds, n_free, n_failed = 0;
  gboolean ok = FALSE;
  Pipe pipe;

  lane_open (&pipe);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &old), ==, 0);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  n_fds = count_fds ();
  for (n_free = 0; !ok; n_free++)
    {
      g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
      g_autoptr(GError) error = NULL;
      MpEncoded encoded;
      guint i;
      int fd;

      send_number (pipe.first, n_free);
      limit = old;
      limit.rlim_cur = 100;
      g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
      while ((fd = fcntl (0, F_DUPFD_CLOEXEC, 0)) >= 0)
        g_array_append_val (fds, fd);
      for (i = 0; i < n_free; i++)
        close (g_array_index (fds, int, --fds->len));

      ok = mp_value_encode (handle, &encoded, &error);
      if (ok)
        mp_encoded_clear (&encoded);
      else
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
      n_failed += !ok;
      g_assert_cmpuint (recv_number (pipe.second), ==, n_free);

      for (i = 0; i < fds->len; i++)
        close (g_array_index (fds, int, i));
      g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &old), ==, 0);
      g_assert_cmpuint (count_fds (), <=, n_fds + 1);   /* the page */
      send_number (pipe.second, n_free);
      g_assert_cmpuint (recv_number (pipe.first), ==, n_free);
    }

  g_assert_cmpuint (n_failed, >, 2);
  g_clear_pointer (&handle, g_variant_unref);
  pipe_clear (&pipe);
}

/* Memory that is none, or is not sealed, is refused. */
static void
test_bad_page (void)
{
  g_autoptr(GError) error = NULL;
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  g_assert_null (mp_wire_writers_adopt (fds[0], &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  close (fds[1]);

  g_assert_null (mp_wire_writers_adopt (mp_fd_memory_file ("small", 8), &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/connection-writers/turns", NULL, test_turns);
  g_test_add_data_func ("/connection-writers/turns-with-first", GINT_TO_POINTER (1), test_turns);
  g_test_add_func ("/connection-writers/sleeper", test_sleeper);
  g_test_add_func ("/connection-writers/alone", test_alone);
  g_test_add_func ("/connection-writers/directions", test_directions);
  g_test_add_func ("/connection-writers/processes", test_processes);
  g_test_add_func ("/connection-writers/closed", test_closed);
  g_test_add_data_func ("/connection-writers/copy-closes", close_it, test_copy_leaves);
  g_test_add_data_func ("/connection-writers/copy-gives", give_it, test_copy_leaves);
  g_test_add_func ("/connection-writers/copy-sends", test_copy_sends);
  g_test_add_func ("/connection-writers/full", test_full);
  g_test_add_func ("/connection-writers/bad-page", test_bad_page);
  return g_test_run ();
}
