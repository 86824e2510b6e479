/* test-pool-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "mp-glib/platform/mp-process-control-private.h"

/* Workers that die: idle, busy, in every phase, again and again; workers that do not start; a shortage of descriptors; large
 * values. */

static GVariant *
end_badly (GVariant *args, gpointer user_data, GError **error)
{
  int how = g_variant_get_int32 (args);

  if (how == 0)
    exit (0);
  if (how == 1)
    _exit (3);
  if (how == 2)
    abort ();
  raise (SIGKILL);
  return NULL;
}

/* Dies on the one item, if that is among the others. */
static GVariant *
die_at_seven (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  if (x == 7)
    raise (SIGKILL);
  return g_variant_new_int32 (x * x);
}

static GVariant *
say_and_die (GVariant *args, gpointer user_data, GError **error)
{
  fputs ("the last words\n", stderr);
  signal (SIGSEGV, SIG_DFL);   /* sanitizers have more to say */
  raise (SIGSEGV);
  return NULL;
}

static GVariant *
fail_initializer (GVariant *args, gpointer user_data, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no such thing");
  return NULL;
}

static GVariant *
die_in_initializer (GVariant *args, gpointer user_data, GError **error)
{
  exit (5);
}

static GVariant *
count_bytes (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_uint64 (g_variant_get_size (args));
}

/* Appends a byte to a file: how often it was called. */
static GVariant *
leave_mark (GVariant *args, gpointer user_data, GError **error)
{
  const char *path;
  int number, fd;

  g_variant_get (args, "(&si)", &path, &number);
  fd = open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  g_assert_cmpint (write (fd, &number, sizeof number), ==, sizeof number);
  close (fd);
  return g_variant_new_int32 (number);
}

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  GString *reasons = user_data;

  g_string_append_printf (reasons, "%s;", reason);
}

static void
expect_death (MpPool *pool, const char *function, GVariant *args, const char *part)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL;
  int pid = 0;

  g_assert_null (mp_pool_apply (pool, function, args, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_assert_nonnull (strstr (error->message, part));
  details = mp_error_dup_details (error);
  g_assert_nonnull (details);
  g_assert_true (g_variant_lookup (details, "pid", "i", &pid));
  g_assert_cmpint (pid, >, 0);
  g_assert_cmpint (kill (pid, 0), ==, -1);
}

static void
test_ends_in_task (void)
{
  static const char * const parts[] = {
    "exited with status 0", "exited with status 3", "signal 6 (SIGABRT)", "signal 9 (SIGKILL)"
  };
  MpPool *pool = mp_pool_new (2);

  for (int how = 0; how < 4; how++)
    {
      expect_death (pool, MP_FUNCTION (end_badly), g_variant_new_int32 (how), parts[how]);
      expect_death (pool, MP_FUNCTION (end_badly), g_variant_new_int32 (how), "end_badly");
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (how)), ==, how * how);
    }
  finish (pool);
}

static void
test_death_in_map (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = NULL;
  guint n_deaths = 0;

  g_assert_null (mp_pool_map (pool, MP_FUNCTION (die_at_seven), make_ints (100), 5, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_clear_error (&error);

  /* One item is lost, or its chunk. */
  for (guint chunk_size = 1; chunk_size <= 4; chunk_size += 3)
    {
      n_deaths = 0;
      iter = mp_pool_imap (pool, MP_FUNCTION (die_at_seven), make_ints (100), chunk_size, &error);
      for (int i = 0; i < 100; i++)
        {
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

          if (value != NULL)
            {
              g_assert_cmpint (g_variant_get_int32 (value), ==, i * i);
              continue;
            }
          g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
          g_clear_error (&error);
          n_deaths++;
        }
      g_assert_cmpuint (n_deaths, ==, chunk_size);
      g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
      g_assert_no_error (error);
      g_clear_object (&iter);
    }
  finish (pool);
}

/* Readers wait already: the end of a unit makes room for the next one at the very moment of the death. */
static void
test_death_with_readers (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (die_at_seven), make_ints (32), 4, &error);
  GAsyncResult *results[32] = { NULL };
  guint n_deaths = 0;

  for (int i = 0; i < 32; i++)
    mp_result_iter_next_async (iter, NULL, result_cb, &results[i]);
  for (int i = 0; i < 32; i++)
    {
      g_autoptr(GVariant) value = NULL;

      while (results[i] == NULL)
        g_main_context_iteration (NULL, TRUE);
      value = mp_result_iter_next_finish (iter, results[i], &error);
      g_object_unref (results[i]);
      if (value != NULL)
        {
          g_assert_cmpint (g_variant_get_int32 (value), ==, i * i);
          continue;
        }
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      g_clear_error (&error);
      n_deaths++;
    }
  g_assert_cmpuint (n_deaths, ==, 4);
  finish (pool);
}

static void
test_last_words (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_AUTO);
  MpPool *pool = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL;
  g_autofree const char **lines = NULL;
  int signum = 0;

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  pool = mp_pool_new_full (1, NULL, NULL, 0, context);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (say_and_die), NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  details = mp_error_dup_details (error);
  g_assert_true (g_variant_lookup (details, "stderr", "^a&s", &lines));
  g_assert_cmpstr (lines[0], ==, "the last words");
  g_assert_true (g_variant_lookup (details, "signal", "i", &signum));
  g_assert_cmpint (signum, ==, SIGSEGV);
  finish (pool);
}

static void
test_kill_idle (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GString) reasons = g_string_new (NULL);

  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), reasons);
  for (int i = 0; i < 10; i++)
    {
      int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

      /* Sometimes the owner knows of it before the next task, sometimes not. */
      kill (pid, SIGKILL);
      while (i % 2 == 0 && strlen (reasons->str) < 5 * (gsize) (i + 1))
        g_main_context_iteration (NULL, TRUE);
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), !=, pid);
    }
  while (strlen (reasons->str) < 50)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (g_str_has_prefix (reasons->str, "died;died;died;died;died;died;died;died;died;died;"));
  finish (pool);
}

static void
test_kill_busy (void)
{
  MpPool *pool = mp_pool_new (1);

  for (int i = 0; i < 5; i++)
    {
      Gate gate = gate_new ();
      g_autoptr(MpFuture) busy = NULL, next = NULL, last = NULL;
      g_autoptr(GError) error = NULL;
      int pid;

      expect_short (pool);
      busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
      next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
      last = submit (pool, MP_FUNCTION (tell_pid), NULL);
      pid = gate_await (&gate);
      kill (pid, SIGKILL);
      g_assert_null (mp_future_get (busy, LONG, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      /* What was queued behind it, in that very worker, runs elsewhere. */
      g_assert_cmpint (get_int (next), ==, 25);
      g_assert_cmpint (get_int (last), !=, pid);
      gate_clear (&gate);
    }
  finish (pool);
}

/* What it had not begun runs in the order in which it was submitted. */
static void
test_kill_keeps_order (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autofree char *directory = g_dir_make_tmp ("mp-pool-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "marks", NULL);
  g_autofree char *marks = NULL;
  g_autoptr(MpFuture) busy = NULL;
  gsize size = 0;

  expect_short (pool);
  busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  for (int i = 0; i < 100; i++)
    g_object_unref (submit (pool, MP_FUNCTION (leave_mark), g_variant_new ("(si)", path, i)));
  kill (gate_await (&gate), SIGKILL);
  apply_int (pool, MP_FUNCTION (tell_pid), NULL);
  g_assert_true (g_file_get_contents (path, &marks, &size, NULL));
  g_assert_cmpuint (size, ==, 100 * sizeof (int));
  for (int i = 0; i < 100; i++)
    g_assert_cmpint (((int *) (gpointer) marks)[i], ==, i);
  g_assert_cmpint (unlink (path), ==, 0);
  g_assert_cmpint (rmdir (directory), ==, 0);
  gate_clear (&gate);
  finish (pool);
}

/* Kills workers at random while thousands of tasks go by: each has one end, no result is wrong, none is run twice. */
typedef struct
{
  GPtrArray *pids;
  guint      n_killed;
  guint      n_done;
} Slaughter;

static void
remember_pid_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  Slaughter *self = user_data;

  g_ptr_array_set_size (self->pids, MAX (self->pids->len, number + 1));
  self->pids->pdata[number] = GINT_TO_POINTER (pid);
}

static void
done_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  Slaughter *self = g_object_get_data (object, "slaughter");
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);

  self->n_done++;
  if (value != NULL)
    g_assert_cmpint (g_variant_get_int32 (value), ==, GPOINTER_TO_INT (user_data));
  else
    g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
}

static guint
read_marks (const char *path, guint n)
{
  g_autofree char *contents = NULL;
  g_autofree guint8 *seen = g_new0 (guint8, n);
  gsize size = 0;

  g_assert_true (g_file_get_contents (path, &contents, &size, NULL));
  for (gsize i = 0; i < size / sizeof (int); i++)
    {
      guint number = ((int *) (gpointer) contents)[i];

      g_assert_cmpuint (number, <, n);
      g_assert_cmpuint (seen[number], ==, 0);
      seen[number] = 1;
    }
  return size / sizeof (int);
}

static void
test_slaughter (void)
{
  const guint n_tasks = g_test_slow () ? 20000 : 4000;
  MpPool *pool = mp_pool_new (3);
  g_autofree char *directory = g_dir_make_tmp ("mp-pool-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "marks", NULL);
  Slaughter self = { g_ptr_array_new (), 0, 0 };
  guint n_marks;

  g_object_set_data (G_OBJECT (pool), "slaughter", &self);
  g_signal_connect (pool, "worker-started", G_CALLBACK (remember_pid_cb), &self);
  for (guint i = 0; i < n_tasks; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (leave_mark), g_variant_new ("(si)", path, i), NULL, done_cb,
                         GUINT_TO_POINTER (i));
  while (self.n_done < n_tasks)
    {
      guint before = self.n_done;

      g_main_context_iteration (NULL, TRUE);
      /* Not faster than they do anything. */
      if (self.n_done > before && self.pids->len > 0 && g_random_int_range (0, 4) == 0)
        {
          int pid = GPOINTER_TO_INT (self.pids->pdata[g_random_int_range (0, self.pids->len)]);

          if (pid != 0 && kill (pid, SIGKILL) == 0)
            self.n_killed++;
        }
    }
  g_test_message ("%u workers killed", self.n_killed);
  g_assert_cmpuint (self.n_killed, >, 0);
  n_marks = read_marks (path, n_tasks);
  g_assert_cmpuint (n_marks, <=, n_tasks);
  g_assert_cmpuint (n_marks + self.n_killed, >=, n_tasks);
  g_assert_cmpint (unlink (path), ==, 0);
  g_assert_cmpint (rmdir (directory), ==, 0);
  finish (pool);
  g_ptr_array_unref (self.pids);
}

/* Killed as soon as there is a pid: in the start itself, or just behind it. */
static void
kill_at_start_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  int *n = user_data;

  if (*n > 0)
    {
      (*n)--;
      kill (pid, SIGKILL);
    }
}

static void
test_kill_at_start (void)
{
  static const MpStartMethod methods[] = { MP_START_METHOD_SPAWN, MP_START_METHOD_FORKSERVER };

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    {
      g_autoptr(MpContext) context = mp_context_new (methods[i]);
      MpPool *pool = mp_pool_new_full (2, NULL, NULL, 0, context);
      int n = 6;

      g_signal_connect (pool, "worker-started", G_CALLBACK (kill_at_start_cb), &n);
      while (n > 0)
        g_main_context_iteration (NULL, TRUE);
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (4)), ==, 16);
      finish (pool);
    }
}

static void
test_initializer_fails (void)
{
  expect_failure (pool_of (2, MP_FUNCTION (fail_initializer), NULL), G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no such thing");
  g_assert_cmpuint (n_workers_started, <=, 6);
  expect_failure (pool_of (2, MP_FUNCTION (die_in_initializer), NULL), MP_ERROR, MP_ERROR_WORKER_START,
                  "exited with status 5");
  g_assert_cmpuint (n_workers_started, <=, 6);
  expect_failure (pool_of (1, "no-such-initializer", NULL), MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION, "no-such-initializer");
}

static MpContext *
context_of_program (const char *path, const char *argument)
{
  const char *argv[] = { path, argument, NULL };
  MpContext *context = mp_context_new (MP_START_METHOD_SPAWN);

  mp_context_set_worker_argv (context, argv);
  return context;
}

static void
test_program_fails (void)
{
  g_autoptr(MpContext) missing = context_of_program ("/nonexistent/program", NULL);
  g_autoptr(MpContext) exits = context_of_program ("/bin/false", NULL);
  g_autoptr(MpContext) hangs = context_of_program ("/bin/sleep", "1000");

  mp_context_set_boot_timeout (hangs, G_USEC_PER_SEC / 4);
  expect_failure (pool_of (2, NULL, missing), MP_ERROR, MP_ERROR_WORKER_START, "/nonexistent/program");
  g_assert_cmpuint (n_workers_started, ==, 0);
  expect_failure (pool_of (2, NULL, exits), MP_ERROR, MP_ERROR_WORKER_START, "exited with status 1");
  g_assert_cmpuint (n_workers_started, <=, 6);
  expect_failure (pool_of (2, NULL, hangs), MP_ERROR, MP_ERROR_WORKER_START, "");
  g_assert_cmpuint (n_workers_started, <=, 6);
}

static gpointer
wait_in_thread (gpointer data)
{
  GAsyncQueue **queues = data;

  g_async_queue_push (queues[0], queues);   /* by now it has its name */
  g_async_queue_pop (queues[1]);
  return NULL;
}

static void
test_fork_with_threads (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORK);
  GAsyncQueue *queues[] = { g_async_queue_new (), g_async_queue_new () };
  GThread *thread = g_thread_new ("in the way", wait_in_thread, queues);

  g_async_queue_pop (queues[0]);
  expect_failure (pool_of (2, NULL, context), MP_ERROR, MP_ERROR_UNSAFE_FORK, "in the way");
  g_async_queue_push (queues[1], queues);
  g_thread_join (thread);
  g_async_queue_unref (queues[0]);
  g_async_queue_unref (queues[1]);
}

/* With all descriptors taken. */
static GArray *
take_descriptors (struct rlimit *old)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (int));
  struct rlimit limit;
  int fd;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, old), ==, 0);
  limit = *old;
  limit.rlim_cur = 256;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  while ((fd = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    g_array_append_val (fds, fd);
  g_assert_cmpint (errno, ==, EMFILE);
  return fds;
}

static void
give_descriptors_back (GArray *fds, const struct rlimit *old)
{
  for (guint i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_array_unref (fds);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, old), ==, 0);
}

static void
test_descriptor_limit (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  struct rlimit old;
  GArray *fds;
  int pid, other;

  /* Both are up. */
  pid = other = apply_int (pool, MP_FUNCTION (tell_pid), NULL);
  while (other == pid)
    {
      g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (tell_pid), NULL);
      g_autoptr(MpFuture) second = submit (pool, MP_FUNCTION (tell_pid), NULL);

      pid = get_int (first);
      other = get_int (second);
    }

  /* One dies: the other goes on alone, and gets company as soon as that is possible. */
  fds = take_descriptors (&old);
  kill (pid, SIGKILL);
  for (int i = 0; i < 20; i++)
    {
      g_autoptr(GVariant) result = mp_pool_apply (pool, MP_FUNCTION (tell_pid), NULL, LONG, NULL, &error);

      if (result == NULL)
        g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      g_clear_error (&error);
    }
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), ==, other);
  give_descriptors_back (fds, &old);
  pid = other;
  while (pid == other)
    {
      g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (tell_pid), NULL);
      g_autoptr(MpFuture) second = submit (pool, MP_FUNCTION (tell_pid), NULL);

      pid = get_int (first) != other ? get_int (first) : get_int (second);
    }
  finish (pool);

  /* A pool that cannot even begin says so, if that lasts. */
  fds = take_descriptors (&old);
  pool = mp_pool_new (1);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (tell_pid), NULL, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  give_descriptors_back (fds, &old);
  finish (pool);
}

static void
test_large (void)
{
  const gsize size = (is_slow () ? 8u : 300u) << 20;
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GBytes) bytes = g_bytes_new_take (g_malloc0 (size), size);
  g_autoptr(GVariant) length = NULL, same = NULL;

  length = apply (pool, MP_FUNCTION (count_bytes), g_variant_new_from_bytes (G_VARIANT_TYPE ("ay"), bytes, TRUE));
  g_assert_cmpuint (g_variant_get_uint64 (length), ==, size);
  same = apply (pool, MP_FUNCTION (echo), g_variant_new_from_bytes (G_VARIANT_TYPE ("ay"), bytes, TRUE));
  g_assert_cmpuint (g_variant_get_size (same), ==, size);
  finish (pool);
}

/* The worker is killed while a large argument is on its way to it, or a large result from it. */
static void
test_kill_in_transfer (void)
{
  const gsize size = (is_slow () ? 8u : 32u) << 20;
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GBytes) bytes = g_bytes_new_take (g_malloc0 (size), size);

  for (int i = 0; i < 6; i++)
    {
      g_autoptr(MpFuture) future = NULL;
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) result = NULL;
      int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

      future = submit (pool, MP_FUNCTION (echo), g_variant_new_from_bytes (G_VARIANT_TYPE ("ay"), bytes, TRUE));
      for (int j = 0; j < 60 * i; j++)
        mp_future_is_ready (future);
      kill (pid, SIGKILL);
      result = mp_future_get (future, LONG, NULL, &error);
      if (result != NULL)
        g_assert_cmpuint (g_variant_get_size (result), ==, size);
      else
        g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
    }
  finish (pool);
}

static void
test_sigterm_ignored (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  G_GNUC_UNUSED g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (ignore_sigterm), gate_handle (&gate));
  int pid = gate_await (&gate);
  g_autoptr(GError) error = NULL;

  mp_pool_terminate (pool);
  g_assert_true (mp_pool_join (pool, 5 * G_USEC_PER_SEC, NULL, &error));
  g_assert_cmpint (kill (pid, 0), ==, -1);
  gate_clear (&gate);
  g_assert_finalize_object (pool);
}

/* Workers of a pool that is dropped busy are gone soon after. */
static void
test_finalized_busy (void)
{
  MpPool *pool = mp_pool_new (2);
  Gate gate = gate_new ();
  G_GNUC_UNUSED g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  int pid = gate_await (&gate);

  g_assert_finalize_object (pool);
  while (kill (pid, 0) == 0)
    g_main_context_iteration (NULL, TRUE);
  gate_clear (&gate);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-faults/ends-in-task", test_ends_in_task);
  g_test_add_func ("/pool-faults/death-in-map", test_death_in_map);
  g_test_add_func ("/pool-faults/death-with-readers", test_death_with_readers);
  g_test_add_func ("/pool-faults/last-words", test_last_words);
  g_test_add_func ("/pool-faults/kill-idle", test_kill_idle);
  g_test_add_func ("/pool-faults/kill-busy", test_kill_busy);
  g_test_add_func ("/pool-faults/kill-keeps-order", test_kill_keeps_order);
  g_test_add_func ("/pool-faults/slaughter", test_slaughter);
  g_test_add_func ("/pool-faults/kill-at-start", test_kill_at_start);
  g_test_add_func ("/pool-faults/initializer-fails", test_initializer_fails);
  g_test_add_func ("/pool-faults/program-fails", test_program_fails);
  g_test_add_func ("/pool-faults/fork-with-threads", test_fork_with_threads);
  g_test_add_func ("/pool-faults/descriptor-limit", test_descriptor_limit);
  g_test_add_func ("/pool-faults/large", test_large);
  g_test_add_func ("/pool-faults/kill-in-transfer", test_kill_in_transfer);
  g_test_add_func ("/pool-faults/sigterm-ignored", test_sigterm_ignored);
  g_test_add_func ("/pool-faults/finalized-busy", test_finalized_busy);

  return g_test_run ();
}
