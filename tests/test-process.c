/* test-process.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process-test.h"

/* What the processes run. */

static GVariant *
done (void)
{
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return done ();
}

static GVariant *
exit_with (GVariant *args, gpointer user_data, GError **error)
{
  exit (g_variant_get_int32 (args));
}

static GVariant *
die_by (GVariant *args, gpointer user_data, GError **error)
{
  kill (getpid (), g_variant_get_int32 (args));
  while (TRUE)
    pause ();
  return NULL;
}

static GVariant *
abort_now (GVariant *args, gpointer user_data, GError **error)
{
  abort ();
}

static GVariant *
hang (GVariant *args, gpointer user_data, GError **error)
{
  while (TRUE)
    pause ();
  return NULL;
}

static GVariant *
fail (GVariant *args, gpointer user_data, GError **error)
{
  mp_invocation_set_error_details (mp_invocation_get_current (), g_variant_new_parsed ("{'type': <'Test'>}"));
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "no room for %s", g_variant_get_string (args, NULL));
  return NULL;
}

/* Mebibytes, and bytes that are left. */
static GVariant *
count_bytes (GVariant *args, gpointer user_data, GError **error)
{
  gsize size = g_variant_get_size (args);

  exit ((int) (size / (1024 * 1024) + size % (1024 * 1024)));
}

static GVariant *
no_result (GVariant *args, gpointer user_data, GError **error)
{
  return NULL;
}

static GVariant *
describe_myself (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GObject) connection = G_OBJECT (mp_shareable_from_variant (args, error));
  g_autoptr(MpProcess) child = mp_process_new (NULL, NULL);
  MpProcess *self = mp_process_get_current ();
  MpProcess *parent = mp_process_get_parent ();
  struct pollfd sentinel = { .events = POLLIN };

  if (connection == NULL)
    return NULL;
  sentinel.fd = mp_process_get_sentinel (parent, error);
  if (sentinel.fd < 0 || poll (&sentinel, 1, 0) != 0)
    return NULL;
  if (!mp_connection_send (MP_CONNECTION (connection),
                           g_variant_new ("(sibbsibsbb)",
                                          mp_process_get_name (self), mp_process_get_pid (self),
                                          mp_process_is_alive (self), mp_process_get_daemon (self),
                                          mp_process_get_name (parent), mp_process_get_pid (parent),
                                          mp_process_is_alive (parent),
                                          mp_process_get_name (child), mp_process_get_daemon (child),
                                          mp_process_kill (parent, NULL)),
                           LONG, NULL, error))
    return NULL;
  return done ();
}

static GVariant *
join_myself (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GError) local_error = NULL;

  g_assert_false (mp_process_join (mp_process_get_current (), -1, NULL, &local_error));
  g_assert_error (local_error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  return done ();
}

/* A process in a process, @args deep, whose end becomes its own. */
static GVariant *
nest (GVariant *args, gpointer user_data, GError **error)
{
  gint32 depth = g_variant_get_int32 (args);
  g_autoptr(MpProcess) child = NULL;
  int status;

  if (depth == 0)
    exit (7);
  child = mp_process_new (MP_FUNCTION (nest), g_variant_new_int32 (depth - 1));
  if (!mp_process_start (child, LONG, NULL, error) || !mp_process_join (child, LONG, NULL, error))
    return NULL;
  g_assert_true (g_str_has_suffix (mp_process_get_name (child), ":1"));
  status = mp_process_get_exit_status (child);
  exit (status + 1);
}

static gboolean
answer_later_cb (gpointer data)
{
  mp_invocation_return_value (data, done ());
  return G_SOURCE_REMOVE;
}

static void
answer_later (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  g_autoptr(GSource) source = g_idle_source_new ();

  /* Not the default context: that is not a forked process's. */
  g_source_set_callback (source, answer_later_cb, g_object_ref (invocation), g_object_unref);
  g_source_attach (source, g_main_context_get_thread_default ());
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

/* The tests. */

static void
test_exit_status (void)
{
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (nothing), NULL), ==, 0);
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (exit_with), g_variant_new_int32 (0)), ==, 0);
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (exit_with), g_variant_new_int32 (3)), ==, 3);
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (exit_with), g_variant_new_int32 (255)), ==, 255);
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (die_by), g_variant_new_int32 (SIGKILL)), ==, -SIGKILL);
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (die_by), g_variant_new_int32 (SIGTERM)), ==, -SIGTERM);
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (abort_now), NULL), ==, -SIGABRT);
  g_assert_cmpint (run_to_the_end (NULL, NULL), ==, 0);
}

static void
check_error (const char *function, GVariant *args, GQuark domain, int code, const char *text)
{
  g_autoptr(MpProcess) process = process_new (function, args);
  g_autoptr(GError) error = NULL;

  mp_process_set_capture_output (process, TRUE);
  g_assert_null (mp_process_dup_error (process));
  start (process);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 1);
  error = mp_process_dup_error (process);
  g_assert_error (error, domain, code);
  g_assert_nonnull (strstr (error->message, text));
}

static void
keep_stderr_cb (MpProcess *process, const char *stream, const char *text, gpointer user_data)
{
  GString *string = user_data;

  g_assert_cmpstr (stream, ==, "stderr");
  g_string_append (string, text);
}

static void
test_error (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (fail), g_variant_new_string ("you"));
  g_autoptr(GString) output = g_string_new (NULL);
  g_autofree char *expected = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL;
  const char *type = NULL;

  mp_process_set_capture_output (process, TRUE);
  g_signal_connect (process, "line", G_CALLBACK (keep_stderr_cb), output);
  start (process);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 1);
  expected = g_strdup_printf ("mp-glib: %s: no room for you", mp_process_get_name (process));
  g_assert_cmpstr (output->str, ==, expected);
  error = mp_process_dup_error (process);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
  g_assert_cmpstr (error->message, ==, "no room for you");
  details = mp_error_dup_details (error);
  g_assert_nonnull (details);
  g_assert_true (g_variant_lookup (details, "type", "&s", &type));
  g_assert_cmpstr (type, ==, "Test");

  check_error (MP_FUNCTION (no_result), NULL, MP_ERROR, MP_ERROR_NO_RESULT, "no_result");
  check_error ("nobody-knows-me", NULL, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION, "nobody-knows-me");
}

static void
test_bad_arguments (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION_FULL (exit_with, "i", NULL, 0), g_variant_new_string ("x"));
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_assert_cmpint (mp_process_get_pid (process), ==, 0);
  g_assert_false (mp_process_is_alive (process));

  /* Nothing was started: with other arguments it can be. */
  g_object_set (process, "args", g_variant_new_int32 (4), NULL);
  start (process);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 4);
}

static void
test_large_arguments (void)
{
  const guint n_mebibytes = is_slow () ? 8 : 64;
  const gsize size = n_mebibytes * 1024 * 1024 + 3;
  g_autoptr(GBytes) bytes = g_bytes_new_take (g_malloc0 (size), size);

  g_assert_cmpint (run_to_the_end (MP_FUNCTION (count_bytes), g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING,
                                                                                        bytes, TRUE)),
                   ==, n_mebibytes + 3);
}

static void
test_order_of_calls (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (hang), NULL);
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_process_is_alive (process));
  g_assert_cmpint (mp_process_get_pid (process), ==, 0);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, MP_EXIT_STATUS_RUNNING);
  g_assert_false (mp_process_join (process, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED);
  g_clear_error (&error);
  g_assert_false (mp_process_kill (process, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED);
  g_clear_error (&error);
  g_assert_cmpint (mp_process_get_sentinel (process, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED);
  g_clear_error (&error);

  start (process);
  g_assert_true (mp_process_is_alive (process));
  g_assert_cmpint (mp_process_get_pid (process), >, 0);
  g_assert_cmpint (kill (mp_process_get_pid (process), 0), ==, 0);
  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_false (mp_process_close (process, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);

  g_assert_true (mp_process_kill (process, NULL));
  join (process);
  join (process);
  g_assert_true (mp_process_kill (process, NULL));
  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_clear_error (&error);

  g_assert_true (mp_process_close (process, NULL));
  g_assert_true (mp_process_close (process, NULL));
  g_assert_false (mp_process_join (process, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (mp_process_terminate (process, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_cmpint (mp_process_get_sentinel (process, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_false (mp_process_is_alive (process));
  g_assert_cmpint (mp_process_get_exit_status (process), ==, -SIGKILL);
}

static void
test_end_by_signal (void)
{
  gboolean (* const calls[]) (MpProcess *, GError **) = { mp_process_terminate, mp_process_kill, mp_process_interrupt };
  const int signals[] = { SIGTERM, SIGKILL, SIGINT };

  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr(MpProcess) process = process_new (MP_FUNCTION (hang), NULL);
      g_autoptr(GError) error = NULL;

      start (process);
      g_assert_cmpint (mp_process_get_exit_status (process), ==, MP_EXIT_STATUS_RUNNING);
      g_assert_true (calls[i] (process, &error));
      g_assert_no_error (error);
      join (process);
      g_assert_cmpint (mp_process_get_exit_status (process), ==, -signals[i]);
    }
}

/* Without any call that waits, looking is enough. */
static void
test_is_alive_polled (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (exit_with), g_variant_new_int32 (9));

  start (process);
  while (mp_process_is_alive (process))
    g_thread_yield ();
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 9);
}

static gpointer
cancel_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_join_gives_up (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (hang), NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  gint64 begin;
  GThread *thread;

  start (process);
  g_assert_false (mp_process_join (process, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  begin = g_get_monotonic_time ();
  g_assert_false (mp_process_join (process, 30000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 30000);
  g_clear_error (&error);

  thread = g_thread_new ("cancel", cancel_thread, cancellable);
  g_assert_false (mp_process_join (process, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);

  g_assert_true (mp_process_is_alive (process));
  mp_process_kill (process, NULL);
  join (process);
}

static void
test_join_async (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpProcess) process = waiting_process_new (&connection);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) early = NULL;
  g_autoptr(GAsyncResult) started = NULL;
  g_autoptr(GAsyncResult) one = NULL;
  g_autoptr(GAsyncResult) two = NULL;
  g_autoptr(GAsyncResult) cancelled = NULL;
  g_autoptr(GAsyncResult) late = NULL;
  g_autoptr(GError) error = NULL;

  mp_process_join_async (process, NULL, result_cb, &early);
  mp_process_start_async (process, NULL, result_cb, &started);
  g_assert_null (early);
  while (started == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_process_start_finish (process, started, &error));
  g_assert_no_error (error);
  g_assert_nonnull (early);
  g_assert_false (mp_process_join_finish (process, early, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED);
  g_clear_error (&error);

  mp_process_join_async (process, NULL, result_cb, &one);
  mp_process_join_async (process, cancellable, result_cb, &cancelled);
  mp_process_join_async (process, NULL, result_cb, &two);
  g_cancellable_cancel (cancellable);
  while (cancelled == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (mp_process_join_finish (process, cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (one);

  give_word (connection);
  while (one == NULL || two == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_process_join_finish (process, one, &error));
  g_assert_true (mp_process_join_finish (process, two, &error));
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);

  mp_process_join_async (process, NULL, result_cb, &late);
  g_assert_null (late);
  while (late == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_process_join_finish (process, late, &error));
}

/* Asynchronous calls and no main loop: a blocking call on the same object completes them. */
static void
test_async_without_loop (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (nothing), NULL);
  g_autoptr(GAsyncResult) started = NULL;
  g_autoptr(GAsyncResult) joined = NULL;

  mp_process_start_async (process, NULL, result_cb, &started);
  mp_process_join_async (process, NULL, result_cb, &joined);
  g_assert_null (started);
  join (process);
  g_assert_nonnull (started);
  g_assert_nonnull (joined);
  g_assert_true (mp_process_start_finish (process, started, NULL));
  g_assert_true (mp_process_join_finish (process, joined, NULL));
}

static void
test_start_cancelled (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (hang), NULL);
  g_autoptr(MpProcess) other = process_new (MP_FUNCTION (hang), NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  mp_process_start_async (process, cancellable, result_cb, &result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  if (!mp_process_start_finish (process, result, &error))
    {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      while (mp_process_is_alive (process))
        g_main_context_iteration (NULL, FALSE);
    }
  else
    {
      mp_process_kill (process, NULL);
      join (process);
    }
  g_clear_error (&error);

  /* Cancelled before: nothing begins. */
  g_assert_false (mp_process_start (other, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (mp_process_get_pid (other), ==, 0);
  start (other);
  mp_process_kill (other, NULL);
  join (other);
}

static void
test_sentinel (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpProcess) process = waiting_process_new (&connection);
  g_autoptr(MpProcess) late = process_new (MP_FUNCTION (nothing), NULL);
  struct pollfd sentinel = { .events = POLLIN };
  g_autoptr(GError) error = NULL;

  start (process);
  sentinel.fd = mp_process_get_sentinel (process, &error);
  g_assert_no_error (error);
  g_assert_cmpint (sentinel.fd, >=, 0);
  g_assert_cmpint (mp_process_get_sentinel (process, NULL), ==, sentinel.fd);
  g_assert_cmpint (poll (&sentinel, 1, 0), ==, 0);
  give_word (connection);
  /* Where there are pidfds, nobody need look after the process. */
  if (!is_under_valgrind ())
    {
      g_assert_cmpint (poll (&sentinel, 1, 10000), ==, 1);
      g_assert_true (sentinel.revents & POLLIN);
    }
  join (process);
  g_assert_cmpint (poll (&sentinel, 1, 0), ==, 1);

  start (late);
  join (late);
  sentinel.fd = mp_process_get_sentinel (late, &error);
  g_assert_no_error (error);
  g_assert_cmpint (poll (&sentinel, 1, 0), ==, 1);
}

static void
test_current_and_parent (void)
{
  g_autoptr(MpConnection) near = NULL;
  g_autoptr(MpConnection) far = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) answer = NULL;
  g_autofree char *grandchild = NULL;
  g_autoptr(GError) error = NULL;
  const char *name, *parent_name, *child_name;
  int pid, parent_pid;
  gboolean alive, daemon, parent_alive, child_daemon, killed;

  g_assert_null (mp_process_get_parent ());
  g_assert_cmpstr (mp_process_get_name (mp_process_get_current ()), ==, "MainProcess");
  g_assert_cmpint (mp_process_get_pid (mp_process_get_current ()), ==, getpid ());
  g_assert_true (mp_process_is_alive (mp_process_get_current ()));
  g_assert_false (mp_process_join (mp_process_get_current (), 0, NULL, NULL));
  g_assert_false (mp_process_start (mp_process_get_current (), 0, NULL, NULL));

  mp_pipe_new (TRUE, &near, &far, NULL);
  handle = mp_shareable_to_variant (MP_SHAREABLE (far));
  process = process_new (MP_FUNCTION (describe_myself), handle);
  mp_process_set_daemon (process, TRUE);
  g_assert_true (g_str_has_prefix (mp_process_get_name (process), "Process-"));
  start (process);
  answer = mp_connection_recv (near, LONG, NULL, &error);
  g_assert_no_error (error);
  g_variant_get (answer, "(&sibb&sib&sbb)", &name, &pid, &alive, &daemon, &parent_name, &parent_pid, &parent_alive,
                 &child_name, &child_daemon, &killed);
  g_assert_cmpstr (name, ==, mp_process_get_name (process));
  g_assert_cmpint (pid, ==, mp_process_get_pid (process));
  g_assert_true (alive);
  g_assert_true (daemon);
  g_assert_cmpstr (parent_name, ==, "MainProcess");
  g_assert_cmpint (parent_pid, ==, getpid ());
  g_assert_true (parent_alive);
  grandchild = g_strconcat (name, ":1", NULL);
  g_assert_cmpstr (child_name, ==, grandchild);
  g_assert_true (child_daemon);
  g_assert_false (killed);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
}

static void
test_join_itself (void)
{
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (join_myself), NULL), ==, 0);
}

static void
test_nested (void)
{
  g_assert_cmpint (run_to_the_end (MP_FUNCTION (nest), g_variant_new_int32 (2)), ==, 9);
}

static void
test_asynchronous_function (void)
{
  g_assert_cmpint (run_to_the_end ("answer-later", NULL), ==, 0);
}

static void
test_run_here (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (fail), g_variant_new_string ("me"));
  g_autoptr(MpProcess) good = process_new (MP_FUNCTION (nothing), NULL);
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_process_run (process, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
  g_clear_error (&error);
  g_assert_true (mp_process_run (good, &error));
  g_assert_no_error (error);
}

static void
test_settings_after_start (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr(MpProcess) process = process_new (MP_FUNCTION (hang), NULL);

      start (process);
      mp_process_set_detached (process, TRUE);
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*CRITICAL*set_flag*is_new*");
}

static void
test_many_at_once (void)
{
  const guint n = is_slow () ? 4 : 200;
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  guint n_started = 0;

  for (guint i = 0; i < n; i++)
    {
      MpProcess *process = process_new (MP_FUNCTION (exit_with), g_variant_new_int32 ((gint32) i));

      g_ptr_array_add (processes, process);
      if (method == MP_START_METHOD_FORK)
        start (process);
      else
        mp_process_start_async (process, NULL, NULL, NULL);
    }
  for (guint i = 0; i < n; i++)
    {
      MpProcess *process = g_ptr_array_index (processes, i);

      join (process);
      g_assert_cmpint (mp_process_get_exit_status (process), ==, i);
      n_started++;
    }
  g_assert_cmpuint (n_started, ==, n);
}

/* Neither descriptors nor zombies are left. */
static void
test_again_and_again (void)
{
  guint n_fds = 0;

  for (guint i = 0; i < 20; i++)
    {
      g_autoptr(MpProcess) process = process_new (MP_FUNCTION (exit_with), g_variant_new_int32 (1));

      start (process);
      g_assert_cmpint (mp_process_get_sentinel (process, NULL), >=, 0);
      join (process);
      g_assert_cmpint (mp_process_get_exit_status (process), ==, 1);
      /* Not a zombie: there is nothing of that number. */
      g_assert_cmpint (kill (mp_process_get_pid (process), 0), ==, -1);
      g_clear_object (&process);
      if (i == 0)
        n_fds = count_fds ();
      g_assert_cmpuint (count_fds (), ==, n_fds);
    }
}

static const ProcessTest tests[] =
{
  TEST (exit_status),
  TEST (error),
  TEST (bad_arguments),
  TEST (large_arguments),
  TEST (order_of_calls),
  TEST (end_by_signal),
  TEST (is_alive_polled),
  TEST_NO_FORK (join_async),
  TEST_NO_FORK (async_without_loop),
  TEST_NO_FORK (start_cancelled),
  TEST (sentinel),
  TEST (current_and_parent),
  TEST (join_itself),
  TEST (nested),
  TEST (asynchronous_function),
  TEST (run_here),
  TEST (settings_after_start),
  TEST (many_at_once),
  TEST (again_and_again),
  TEST (join_gives_up),
};

int
main (int argc, char **argv)
{
  mp_function_register_async ("answer-later", answer_later, NULL, NULL);
  mp_init ();

  g_test_init (&argc, &argv, NULL);
  add_tests ("/process", tests, G_N_ELEMENTS (tests));

  return g_test_run ();
}
