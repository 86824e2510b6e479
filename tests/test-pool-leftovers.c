/* test-pool-leftovers.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <glib/gstdio.h>

/* What is left when a pool has been dropped; copies of a worker and of the owner made by fork(); a worker that speaks
 * out of turn; a worker that lacks descriptors; what an iterator has not given; a fork server that dies. */

static GVariant *
defy (GVariant *args, gpointer user_data, GError **error)
{
  signal (SIGTERM, SIG_IGN);
  return wait_at_gate (args, user_data, error);
}

/* What its copy logs is no word of the worker's. */
static GVariant *
have_copy_log (GVariant *args, gpointer user_data, GError **error)
{
  int pid = fork ();

  if (pid == 0)
    {
      if (freopen ("/dev/null", "w", stdout) == NULL || freopen ("/dev/null", "w", stderr) == NULL)
        _exit (1);
      g_message ("from a copy of the worker");
      _exit (0);
    }
  waitpid (pid, NULL, 0);
  raise (SIGKILL);
  return NULL;
}

/* Speaks on the worker's socket. */
static GVariant *
babble (GVariant *args, gpointer user_data, GError **error)
{
  const char noise[64] = "nonsense nonsense nonsense nonsense nonsense nonsense nonsense";

  for (int fd = 3; fd < 64; fd++)
    {
      struct sockaddr_storage address;
      socklen_t length = sizeof address;

      if (getsockname (fd, (struct sockaddr *) &address, &length) == 0)
        send (fd, noise, sizeof noise, MSG_NOSIGNAL);
    }
  for (;;)
    pause ();
  return NULL;
}

/* Says that it was called, and takes its worker along. */
static GVariant *
mark_and_die (GVariant *args, gpointer user_data, GError **error)
{
  int fd = open (g_variant_get_string (args, NULL), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

  g_assert_cmpint (write (fd, "x", 1), ==, 1);
  close (fd);
  raise (SIGKILL);
  return NULL;
}

static guint
count_children (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/children", getpid ());
  g_autofree char *text = NULL;
  guint n = 0;

  g_file_get_contents (path, &text, NULL, NULL);
  for (const char *c = text; c != NULL && *c != '\0'; c++)
    n += *c == ' ';
  return n;
}

static gboolean
tick_cb (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static gboolean
be_late (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* By nothing but the main loop: no object of the library is there to ask. */
static void
await_children (guint n)
{
  gboolean late = FALSE;
  guint deadline = g_timeout_add_seconds (20, be_late, &late);
  guint tick = g_timeout_add (5, tick_cb, NULL);

  while (!late && count_children () > n)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
  if (!late)
    g_source_remove (deadline);
  g_assert_false (late);
}

static guint
count_descriptors (void)
{
  g_autoptr(GDir) directory = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (directory) != NULL)
    n++;
  return n;
}

/* Whether any child has not ended; those that nobody has waited for have. */
static gboolean
any_child_runs (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/children", getpid ());
  g_autofree char *text = NULL;
  g_auto(GStrv) pids = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  pids = g_strsplit (text != NULL ? text : "", " ", -1);
  for (guint i = 0; pids[i] != NULL; i++)
    {
      g_autofree char *stat_path = g_strdup_printf ("/proc/%s/stat", pids[i]);
      g_autofree char *stat = NULL;

      if (*pids[i] != '\0' && g_file_get_contents (stat_path, &stat, NULL, NULL) && strstr (stat, ") Z ") == NULL)
        return TRUE;
    }
  return FALSE;
}

/* A program that makes pools and drops them, and neither waits for anything nor has a main loop. */
static void
test_dropped_often (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  MpPool *pool = mp_pool_new_full (1, NULL, NULL, 0, context);
  guint n = 0;

  apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  g_object_unref (pool);
  for (guint i = 0; i < 20; i++)
    {
      while (any_child_runs ())
        g_thread_yield ();
      pool = mp_pool_new_full (1, NULL, NULL, 0, context);
      g_object_unref (pool);
      if (i == 2)
        n = count_descriptors ();
    }
  g_assert_cmpuint (count_descriptors (), <=, n + 8);
  while (any_child_runs ())
    g_thread_yield ();
}

static void
test_dropped_idle (gconstpointer data)
{
  guint n = count_children ();   /* the default context's fork server */
  MpContext *context = mp_context_new (GPOINTER_TO_INT (data));
  MpPool *pool = mp_pool_new_full (2, NULL, NULL, 0, context);

  apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  g_assert_finalize_object (pool);
  g_assert_finalize_object (context);
  await_children (n);
}

static void
test_dropped_busy (gconstpointer data)
{
  guint n = count_children ();
  MpContext *context = mp_context_new (GPOINTER_TO_INT (data));
  MpPool *pool = mp_pool_new_full (2, NULL, NULL, 0, context);
  Gate gate = gate_new ();
  MpFuture *future = submit (pool, MP_FUNCTION (defy), gate_handle (&gate));

  gate_await (&gate);
  g_assert_finalize_object (pool);
  g_assert_finalize_object (context);
  g_object_unref (future);
  await_children (n);
  gate_clear (&gate);
}

/* The socket is the worker's, which may be in the midst of a frame. */
static void
test_logging_copy (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL;

  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (have_copy_log), NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  details = mp_error_dup_details (error);
  g_assert_false (g_variant_lookup (details, "log", "as", NULL));
  finish (pool);
}

static void
test_babbler (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (babble), NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  finish (pool);
}

static gboolean
use_often (MpPool *pool)
{
  for (int i = 0; i < 500; i++)
    {
      g_autoptr(GVariant) result = NULL;

      result = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (i), LONG, NULL, NULL);

      if (result == NULL || g_variant_get_int32 (result) != i * i)
        return FALSE;
    }
  return TRUE;
}

/* The program forks by itself while it has a pool, and its copy uses the library too, at the same time. */
static void
test_busy_copy (gconstpointer data)
{
  MpContext *context = NULL;
  MpPool *pool = NULL;
  int pid, status = -1;

  if (is_under_valgrind ())
    {
      g_test_skip (get_reason_not_to_fork ());
      return;
    }
  context = mp_context_new (GPOINTER_TO_INT (data));
  pool = mp_pool_new_full (2, NULL, NULL, 0, context);
  g_assert_true (use_often (pool));
  pid = fork ();
  if (pid == 0)
    {
      MpPool *own = mp_pool_new_full (2, NULL, NULL, 0, context);
      gboolean good = use_often (own);

      mp_pool_close (own);
      good = mp_pool_join (own, LONG, NULL, NULL) && good;
      g_object_unref (own);
      _exit (good ? 0 : 1);
    }
  g_assert_true (use_often (pool));
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  finish (pool);
  g_assert_finalize_object (context);
}

/* All descriptors are taken but @n_free. */
static GArray *
take_descriptors (guint n_free)
{
  GArray *taken = g_array_new (FALSE, FALSE, sizeof (int));
  int fd;

  while ((fd = fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0)
    g_array_append_val (taken, fd);
  for (guint i = 0; i < n_free; i++)
    {
      close (g_array_index (taken, int, taken->len - 1));
      g_array_set_size (taken, taken->len - 1);
    }
  return taken;
}

static void
give_descriptors (GArray *taken)
{
  for (guint i = 0; i < taken->len; i++)
    close (g_array_index (taken, int, i));
  g_array_unref (taken);
}

/* Whatever could not be given to a worker: a task is begun once, or never. */
static void
test_shortage (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_autofree char *dir = NULL;
  g_autofree char *path = NULL;
  struct rlimit old, limit;
  MpPool *warm = NULL;
  gsize length = 0;

  if (!limit_is_real ())
    return;
  dir = g_dir_make_tmp (NULL, NULL);
  path = g_build_filename (dir, "marks", NULL);
  warm = mp_pool_new_full (1, NULL, NULL, 0, context);
  apply_int (warm, MP_FUNCTION (square), g_variant_new_int32 (1));
  getrlimit (RLIMIT_NOFILE, &old);
  limit = (struct rlimit) { 128, old.rlim_max };
  setrlimit (RLIMIT_NOFILE, &limit);
  for (guint n_free = 0; n_free < 16; n_free++)
    {
      GArray *taken = take_descriptors (n_free);
      MpPool *pool = mp_pool_new_full (1, NULL, NULL, 0, context);
      g_autoptr(GError) error = NULL;
      g_autofree char *marks = NULL;

      g_assert_null (mp_pool_apply (pool, MP_FUNCTION (mark_and_die), g_variant_new_string (path), LONG, NULL, &error));
      give_descriptors (taken);
      length = g_file_get_contents (path, &marks, &length, NULL) ? length : 0;
      if (g_error_matches (error, MP_ERROR, MP_ERROR_WORKER_DIED))
        g_assert_cmpuint (length, ==, 1);
      else
        g_assert_cmpuint (length, ==, 0);
      unlink (path);
      mp_pool_terminate (pool);
      finish (pool);
    }
  setrlimit (RLIMIT_NOFILE, &old);
  g_assert_cmpuint (length, ==, 1);
  finish (warm);
  g_rmdir (dir);
}

/* The iterator is read after the pool's end. */
static void
test_unread (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (square), make_ints (1000), 1, &error);
  GVariant *item = NULL;
  int n = 0;

  g_assert_no_error (error);
  mp_pool_close (pool);
  mp_pool_join (pool, LONG, NULL, &error);
  g_assert_no_error (error);
  while ((item = mp_result_iter_next (iter, LONG, NULL, &error)) != NULL)
    {
      g_assert_cmpint (g_variant_get_int32 (item), ==, n * n);
      g_variant_unref (item);
      n++;
    }
  g_assert_no_error (error);
  g_assert_cmpint (n, ==, 1000);
  g_object_unref (pool);
}

/* Many starts fail by one death, which is not the program's fault. */
static void
test_server_killed (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORKSERVER);
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/children", getpid ());
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  MpPool *warm = NULL, *pool = NULL;
  int server = 0;

  g_file_get_contents (path, &before, NULL, NULL);
  warm = mp_pool_new_full (1, NULL, NULL, 0, context);
  apply_int (warm, MP_FUNCTION (square), g_variant_new_int32 (1));
  g_file_get_contents (path, &after, NULL, NULL);
  g_assert_true (g_str_has_prefix (after, before));
  g_assert_cmpint (sscanf (after + strlen (before), "%d", &server), ==, 1);

  kill (server, SIGSTOP);
  pool = mp_pool_new_full (8, NULL, NULL, 0, context);
  kill (server, SIGKILL);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (5)), ==, 25);
  finish (pool);
  finish (warm);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-leftovers/dropped-often", test_dropped_often);
  g_test_add_data_func ("/pool-leftovers/dropped-idle/spawn", GINT_TO_POINTER (MP_START_METHOD_SPAWN),
                        test_dropped_idle);
  g_test_add_data_func ("/pool-leftovers/dropped-idle/forkserver", GINT_TO_POINTER (MP_START_METHOD_FORKSERVER),
                        test_dropped_idle);
  g_test_add_data_func ("/pool-leftovers/dropped-busy/spawn", GINT_TO_POINTER (MP_START_METHOD_SPAWN),
                        test_dropped_busy);
  g_test_add_data_func ("/pool-leftovers/dropped-busy/forkserver", GINT_TO_POINTER (MP_START_METHOD_FORKSERVER),
                        test_dropped_busy);
  g_test_add_func ("/pool-leftovers/logging-copy", test_logging_copy);
  g_test_add_func ("/pool-leftovers/babbler", test_babbler);
  g_test_add_data_func ("/pool-leftovers/busy-copy/spawn", GINT_TO_POINTER (MP_START_METHOD_SPAWN), test_busy_copy);
  g_test_add_data_func ("/pool-leftovers/busy-copy/forkserver", GINT_TO_POINTER (MP_START_METHOD_FORKSERVER),
                        test_busy_copy);
  g_test_add_data_func ("/pool-leftovers/shortage/spawn", GINT_TO_POINTER (MP_START_METHOD_SPAWN), test_shortage);
  g_test_add_data_func ("/pool-leftovers/shortage/forkserver", GINT_TO_POINTER (MP_START_METHOD_FORKSERVER),
                        test_shortage);
  g_test_add_func ("/pool-leftovers/unread", test_unread);
  g_test_add_func ("/pool-leftovers/server-killed", test_server_killed);

  return g_test_run ();
}
