/* test-pool-size-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-size-test.h"

#include <glib/gstdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A pool that changes its size while something is wrong: workers that do not end, do not start, are stopped or killed. */

static void
hang (void)
{
  for (;;)
    pause ();
}

static GVariant *
hang_at_exit (GVariant *args, gpointer user_data, GError **error)
{
  signal (SIGTERM, SIG_IGN);
  atexit (hang);
  return g_variant_new_int32 (getpid ());
}

/* Each of them would keep its place for ever: what waits for it runs all the same, some seconds later. */
static void
test_hangs_at_exit (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  MpPool *recycled = mp_pool_new_full (1, NULL, NULL, 1, context);
  MpPool *shrunk = mp_pool_new_full (2, NULL, NULL, 0, context);
  Events of_recycled, of_shrunk;
  Held held;
  int pid;

  events_init (&of_recycled, recycled);
  events_init (&of_shrunk, shrunk);
  /* This one is stopped, so that it does not even see that it is to end. */
  held_begin (&held, shrunk);
  pid = apply_int (shrunk, MP_FUNCTION (tell_pid), NULL);
  kill (pid, SIGSTOP);
  mp_pool_set_n_workers (shrunk, 1);
  pid = apply_int (recycled, MP_FUNCTION (hang_at_exit), NULL);
  g_assert_cmpint (apply_int (recycled, MP_FUNCTION (tell_pid), NULL), !=, pid);
  g_assert_cmpstr (of_recycled.reasons->pdata[0], ==, "recycled");
  g_assert_cmpint (of_recycled.last_status, ==, -SIGKILL);
  events_await_exits (&of_shrunk, 1);
  g_assert_cmpstr (of_shrunk.reasons->pdata[0], ==, "shrunk");
  g_assert_cmpint (of_shrunk.last_status, ==, -SIGKILL);
  held_end (&held);
  g_assert_cmpuint (of_shrunk.n_started, ==, 2);
  finish (recycled);
  finish (shrunk);
  events_clear (&of_recycled);
  events_clear (&of_shrunk);
}

static GVariant *
fail_where_file (GVariant *args, gpointer user_data, GError **error)
{
  if (!g_file_test (g_variant_get_string (args, NULL), G_FILE_TEST_EXISTS))
    return g_variant_new_boolean (TRUE);
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "not now");
  return NULL;
}

/* New workers fail in their initializer: those that work go on, and the pool grows when that is over. */
static void
test_initializer_fails (void)
{
  g_autofree char *directory = g_dir_make_tmp ("mp-size-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "fail", NULL);
  MpPool *pool = mp_pool_new_full (1, MP_FUNCTION (fail_where_file), g_variant_new_string (path), 0, NULL);
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 1);
  g_assert_true (g_file_set_contents (path, "", -1, NULL));
  mp_pool_set_n_workers (pool, 3);
  while (events_count (&events, "initializer failed") < 4)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (9)), ==, 81);
  g_unlink (path);
  check_n_at_work (pool, 3);
  /* Not a loop: each failure makes the next try later. */
  g_assert_cmpuint (events.n_started, <, 40);
  finish (pool);
  events_clear (&events);
  g_rmdir (directory);
}

/* The same where nobody works any more: the call that wants a worker fails with the cause. */
static void
test_initializer_fails_elastic (void)
{
  g_autofree char *directory = g_dir_make_tmp ("mp-size-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "fail", NULL);
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 2, "idle-timeout-us", (gint64) 1000,
                               "initializer", MP_FUNCTION (fail_where_file),
                               "initializer-args", g_variant_new_string (path), NULL);
  Events events;

  events_init (&events, pool);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (9)), ==, 81);
  events_await_exits (&events, 1);
  g_assert_true (g_file_set_contents (path, "", -1, NULL));
  expect_failure (pool, G_IO_ERROR, G_IO_ERROR_FAILED, "not now");
  events_clear (&events);
  g_unlink (path);
  g_rmdir (directory);
}

/* No descriptors for more: those that work go on, and the rest comes when there are some. */
static void
test_no_descriptors (void)
{
  MpPool *pool = mp_pool_new (1);
  struct rlimit limit, low;
  int last;

  check_n_at_work (pool, 1);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  last = dup (2);
  low = limit;
  low.rlim_cur = last + 2;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  close (last);
  mp_pool_set_n_workers (pool, 3);
  for (int i = 0; i < 200; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  check_n_at_work (pool, 3);
  finish (pool);
}

/* A copy of the owner has no say. */
static void
test_forked_copy (void)
{
  MpPool *pool = mp_pool_new (1);
  int pid, status = 0;
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 1);
  pid = fork ();
  if (pid == 0)
    {
      mp_pool_set_n_workers (pool, 4);
      g_object_set (pool, "idle-timeout-us", (gint64) 0, NULL);
      _exit (mp_pool_get_n_workers (pool));
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 1);
  check_n_at_work (pool, 1);
  g_assert_cmpuint (events.n_started, ==, 1);
  g_assert_cmpuint (events.n_exited, ==, 0);
  finish (pool);
  events_clear (&events);
}

/* Gone while everything was still to happen. */
static void
test_dropped (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 4, "min-workers", 2, "idle-timeout-us", (gint64) 5000,
                               "worker-max-age-us", (gint64) 4000, "worker-max-growth", (guint64) 1,
                               "max-start-rate", 100.0, NULL);
  gint64 end = 0;

  for (int i = 0; i < 20; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  for (int i = 0; i < 20; i++)
    g_object_unref (submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i)));
  g_assert_finalize_object (pool);
  end = g_get_monotonic_time () + 20 * 1000;
  while (g_get_monotonic_time () < end)
    g_main_context_iteration (NULL, FALSE);
}

static GVariant *
square_slowly (GVariant *args, gpointer user_data, GError **error)
{
  g_usleep (300);
  return square (args, user_data, error);
}

static void
remember_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  int *pids = user_data;

  pids[number] = pid;
}

static void
forget_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  int *pids = user_data;

  pids[number] = 0;
}

/* Somebody kills workers while the number changes: every task has its one end, and each death is one task's at most. */
static void
test_killed (void)
{
  MpPool *pool = mp_pool_new (2);
  const int n = is_slow () ? 200 : 2000;
  guint n_killed = 0, n_died = 0;
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);
  int pids[5] = { 0 };

  g_signal_connect (pool, "worker-started", G_CALLBACK (remember_cb), pids);
  g_signal_connect (pool, "worker-exited", G_CALLBACK (forget_cb), pids);
  for (int i = 0; i < n; i++)
    g_ptr_array_add (futures, submit (pool, MP_FUNCTION (square_slowly), g_variant_new_int32 (i)));
  for (int i = 0; i < n; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) result = mp_future_get (futures->pdata[i], LONG, NULL, &error);

      if (result != NULL)
        g_assert_cmpint (g_variant_get_int32 (result), ==, i * i);
      else if (g_error_matches (error, MP_ERROR, MP_ERROR_WORKER_DIED))
        n_died++;
      else
        g_error ("%s", error->message);
      if (i % 7 == 0)
        mp_pool_set_n_workers (pool, 1 + i / 7 % 5);
      if (i % 31 == 0 && pids[i / 31 % 5] != 0)
        n_killed += kill (pids[i / 31 % 5], SIGKILL) == 0;
    }
  g_assert_cmpuint (n_killed, >, 0);
  g_assert_cmpuint (n_died, <=, n_killed);
  g_test_message ("%u workers killed, %u tasks died", n_killed, n_died);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  if (is_under_valgrind ())
    g_test_add_data_func ("/pool-size-faults/forked-copy", get_reason_not_to_fork (), skip_test);
  else
    g_test_add_func ("/pool-size-faults/forked-copy", test_forked_copy);
  g_test_add_func ("/pool-size-faults/hangs-at-exit", test_hangs_at_exit);
  g_test_add_func ("/pool-size-faults/initializer", test_initializer_fails);
  g_test_add_func ("/pool-size-faults/initializer/elastic", test_initializer_fails_elastic);
  g_test_add_func ("/pool-size-faults/no-descriptors", test_no_descriptors);
  g_test_add_func ("/pool-size-faults/dropped", test_dropped);
  g_test_add_func ("/pool-size-faults/killed", test_killed);
  return g_test_run ();
}
