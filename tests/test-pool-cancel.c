/* test-pool-cancel.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <fcntl.h>
#include <sys/wait.h>

/* Tasks that are called off, wherever they are and whatever they do about it; and nobody else is hit. */

#define SOON 1000   /* a grace that a test need not wait for */

static GVariant *
spin (GVariant *args, gpointer user_data, GError **error)
{
  volatile gboolean forever = TRUE;
  g_autoptr(GObject) gate = G_OBJECT (mp_shareable_from_variant (args, error));

  if (gate == NULL || !mp_connection_send (MP_CONNECTION (gate), g_variant_new_int32 (getpid ()), LONG, NULL, error))
    return NULL;
  while (forever)
    ;
  return NULL;
}

static GVariant *
spin_without_sigterm (GVariant *args, gpointer user_data, GError **error)
{
  signal (SIGTERM, SIG_IGN);
  return spin (args, user_data, error);
}

/* A map's items: the gate's handle, or nothing. */
static GVariant *
spin_or_square (GVariant *args, gpointer user_data, GError **error)
{
  gint32 handle = 0, x = 0;

  g_variant_get (args, "(hi)", &handle, &x);
  if (x == 0)
    {
      g_autoptr(GVariant) child = g_variant_get_child_value (args, 0);

      return spin (child, NULL, error);
    }
  return g_variant_new_int32 (x * x);
}

static GVariant *
leave_mark (GVariant *args, gpointer user_data, GError **error)
{
  const char *path = g_variant_get_string (args, NULL);
  int fd = open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

  g_assert_cmpint (write (fd, "x", 1), ==, 1);
  close (fd);
  return g_variant_new_int32 (1);
}

typedef struct
{
  MpPool  *pool;
  Gate     gate;
  GString *reasons;   /* of the workers that ended */
} Bench;

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  GString *reasons = user_data;

  g_string_append_printf (reasons, "%s %d;", reason, status);
}

static Bench
bench_new (guint n_workers, gint64 cancel_grace_us, gint64 terminate_grace_us)
{
  Bench bench = { mp_pool_new (n_workers), gate_new (), g_string_new (NULL) };
  gint64 found[2] = { 0, 0 };

  g_object_get (bench.pool, "cancel-grace-us", &found[0], "terminate-grace-us", &found[1], NULL);
  g_assert_cmpint (found[0], ==, G_USEC_PER_SEC / 2);
  g_assert_cmpint (found[1], ==, G_USEC_PER_SEC);
  g_object_set (bench.pool, "cancel-grace-us", cancel_grace_us, "terminate-grace-us", terminate_grace_us, NULL);
  g_signal_connect (bench.pool, "worker-exited", G_CALLBACK (exited_cb), bench.reasons);
  return bench;
}

static void
bench_clear (Bench *self, const char *reasons)
{
  finish (self->pool);
  if (reasons != NULL)
    g_assert_cmpstr (self->reasons->str, ==, reasons);
  g_string_free (self->reasons, TRUE);
  gate_clear (&self->gate);
}

static void
await_reason (Bench *self, const char *reason)
{
  while (strstr (self->reasons->str, reason) == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static void
expect_cancelled (MpFuture *future)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_future_get (future, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (mp_future_get_state (future), ==, MP_FUTURE_STATE_CANCELLED);
}

static int
count_marks (const char *path)
{
  g_autofree char *marks = NULL;
  gsize n = 0;

  return g_file_get_contents (path, &marks, &n, NULL) ? (int) n : 0;
}

static void
test_queued (void)
{
  Bench bench = bench_new (1, SOON, SOON);
  g_autofree char *path = g_strdup_printf ("%s/mp-cancel-%d", g_get_tmp_dir (), getpid ());
  g_autoptr(MpFuture) busy = submit (bench.pool, MP_FUNCTION (wait_at_gate), gate_handle (&bench.gate));
  MpFuture *queued[100];
  int pid = gate_await (&bench.gate);

  /* Some have been sent ahead, others have not. */
  for (guint i = 0; i < G_N_ELEMENTS (queued); i++)
    queued[i] = submit (bench.pool, MP_FUNCTION (leave_mark), g_variant_new_string (path));
  for (guint i = 0; i < G_N_ELEMENTS (queued); i += 2)
    {
      g_assert_true (mp_future_cancel (queued[i]));
      g_assert_false (mp_future_cancel (queued[i]));
      expect_cancelled (queued[i]);
    }
  gate_open (&bench.gate);
  g_assert_cmpint (get_int (busy), ==, pid);
  for (guint i = 0; i < G_N_ELEMENTS (queued); i++)
    {
      if (i % 2 == 1)
        g_assert_cmpint (get_int (queued[i]), ==, 1);
      g_object_unref (queued[i]);
    }
  g_assert_cmpint (count_marks (path), ==, 50);
  unlink (path);
  bench_clear (&bench, "pool closed 0;");
}

/* Of two signals that wait for a process the lower one is first: it must have stopped before it gets another. */
static void
stop (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", pid);
  gboolean stopped = FALSE;

  g_assert_cmpint (kill (pid, SIGSTOP), ==, 0);
  while (!stopped)
    {
      g_autofree char *stat = NULL;

      g_assert_true (g_file_get_contents (path, &stat, NULL, NULL));
      stopped = strstr (stat, ") T ") != NULL;
      g_thread_yield ();
    }
}

/* One that does nothing about it: SIGTERM, and SIGKILL. What waited behind it runs, in a new worker. */
static void
check_running (const char *function, const char *reasons, gboolean stopped)
{
  /* One that ends by SIGTERM may take its time. */
  gboolean by_kill = strstr (reasons, " -9;") != NULL;
  Bench bench = bench_new (1, SOON, by_kill ? SOON : LONG);
  g_autoptr(MpFuture) spinning = submit (bench.pool, function, gate_handle (&bench.gate));
  MpFuture *behind[10];
  int pid = gate_await (&bench.gate);

  for (guint i = 0; i < G_N_ELEMENTS (behind); i++)
    behind[i] = submit (bench.pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  if (stopped)
    stop (pid);
  g_assert_true (mp_future_cancel (spinning));
  expect_cancelled (spinning);
  for (guint i = 0; i < G_N_ELEMENTS (behind); i++)
    {
      g_assert_cmpint (get_int (behind[i]), ==, i * i);
      g_object_unref (behind[i]);
    }
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_assert_cmpint (apply_int (bench.pool, MP_FUNCTION (tell_pid), NULL), !=, pid);
  bench_clear (&bench, reasons);
}

static void
test_running (void)
{
  check_running (MP_FUNCTION (spin), "stopped -15;pool closed 0;", FALSE);
}

static void
test_ignores_sigterm (void)
{
  check_running (MP_FUNCTION (spin_without_sigterm), "stopped -9;pool closed 0;", FALSE);
}

static void
test_stopped_worker (void)
{
  check_running (MP_FUNCTION (spin), "stopped -9;pool closed 0;", TRUE);
}

/* One that returns in time costs no worker, and its result is nobody's. */
static void
test_returns (void)
{
  Bench bench = bench_new (1, LONG, LONG);
  g_autoptr(MpFuture) busy = submit (bench.pool, MP_FUNCTION (wait_at_gate), gate_handle (&bench.gate));
  g_autoptr(MpFuture) behind = submit (bench.pool, MP_FUNCTION (tell_pid), NULL);
  int pid = gate_await (&bench.gate);

  g_assert_true (mp_future_cancel (busy));
  expect_cancelled (busy);
  gate_open (&bench.gate);
  g_assert_cmpint (get_int (behind), ==, pid);
  g_assert_cmpint (apply_int (bench.pool, MP_FUNCTION (tell_pid), NULL), ==, pid);
  bench_clear (&bench, "pool closed 0;");
}

/* The others of the pool, and those of the same workers, all come to their result. */
static void
test_others (void)
{
  Bench bench = bench_new (3, SOON, SOON);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) map = NULL;
  g_autoptr(GVariant) squares = NULL;

  for (guint i = 0; i < 5; i++)
    {
      g_autoptr(MpFuture) spinning = submit (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate));

      g_clear_object (&map);
      g_clear_pointer (&squares, g_variant_unref);
      gate_await (&bench.gate);
      map = mp_pool_submit_map (bench.pool, MP_FUNCTION (square), make_ints (20000), 1, &error);
      g_assert_no_error (error);
      g_assert_true (mp_future_cancel (spinning));
      squares = mp_future_get (map, LONG, NULL, &error);
      g_assert_no_error (error);
      check_squares (squares, 20000);
    }
  bench_clear (&bench, NULL);
}

/* Its chunks: running in one worker, waiting in another, not sent yet. */
static void
test_map (void)
{
  Bench bench = bench_new (2, SOON, SOON);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GVariant) handle = g_variant_ref_sink (gate_handle (&bench.gate));
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(hi)"));
  for (int i = 0; i < 300; i++)
    g_variant_builder_add (&builder, "(@hi)", handle, i < 2 ? 0 : i);
  mp_pool_map_async (bench.pool, MP_FUNCTION (spin_or_square), g_variant_builder_end (&builder), 1, cancellable, result_cb,
                     &result);
  gate_await (&bench.gate);
  gate_await (&bench.gate);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_pool_map_finish (bench.pool, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  await_reason (&bench, "stopped -15;stopped -15;");
  g_assert_cmpint (apply_int (bench.pool, MP_FUNCTION (square), g_variant_new_int32 (5)), ==, 25);
  g_clear_object (&result);
  bench_clear (&bench, NULL);
}

/* By all the ways that there are. */
static void
test_ways (void)
{
  Bench bench = bench_new (1, 0, 0);
  g_autoptr(GError) error = NULL;

  for (int way = 0; way < 4; way++)
    {
      g_autoptr(GCancellable) cancellable = g_cancellable_new ();
      g_autoptr(MpTaskOptions) options = mp_task_options_new ();
      g_autoptr(MpFuture) future = NULL;
      g_autoptr(GAsyncResult) result = NULL;

      mp_task_options_set_cancellable (options, cancellable);
      if (way == 0)
        {
          future = mp_pool_submit_with (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate), options, &error);
          g_assert_no_error (error);
          gate_await (&bench.gate);
          g_cancellable_cancel (cancellable);
          expect_cancelled (future);
        }
      else if (way == 1)
        {
          mp_pool_apply_async (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate), cancellable, result_cb, &result);
          gate_await (&bench.gate);
          g_cancellable_cancel (cancellable);
          while (result == NULL)
            g_main_context_iteration (NULL, TRUE);
          g_assert_null (mp_pool_apply_finish (bench.pool, result, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        }
      else
        {
          /* The second waits for a worker, which is not replaced in so short a time. */
          gint64 timeout = way == 2 ? G_USEC_PER_SEC : 0;

          g_assert_null (mp_pool_apply (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate), timeout, NULL, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
          if (way == 2)
            gate_await (&bench.gate);
        }
      g_clear_error (&error);
      if (way < 3)
        await_reason (&bench, "stopped -9;");
      g_string_truncate (bench.reasons, 0);
    }
  bench_clear (&bench, NULL);
}

/* To stop waiting is not to call off. */
static void
test_waits (void)
{
  Bench bench = bench_new (1, 0, 0);
  g_autoptr(MpFuture) busy = submit (bench.pool, MP_FUNCTION (wait_at_gate), gate_handle (&bench.gate));
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  int pid = gate_await (&bench.gate);

  g_cancellable_cancel (cancellable);
  g_assert_null (mp_future_get (busy, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_null (mp_future_get (busy, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  gate_open (&bench.gate);
  g_assert_cmpint (get_int (busy), ==, pid);
  g_assert_false (mp_future_cancel (busy));
  g_assert_cmpint (get_int (busy), ==, pid);
  bench_clear (&bench, "pool closed 0;");
}

static void
cancel_other_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_cancellable_cancel (user_data);
}

/* A callback calls another task off, which runs; and that one's calls off one that waits. */
static void
test_from_callback (void)
{
  Bench bench = bench_new (2, 0, 0);
  g_autoptr(GCancellable) first = g_cancellable_new ();
  g_autoptr(GCancellable) second = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  mp_pool_apply_async (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate), first, cancel_other_cb, second);
  gate_await (&bench.gate);
  mp_pool_apply_async (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate), second, result_cb, &result);
  gate_await (&bench.gate);
  mp_pool_apply_async (bench.pool, MP_FUNCTION (square), g_variant_new_int32 (2), NULL, cancel_other_cb, first);
  g_cancellable_cancel (first);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_pool_apply_finish (bench.pool, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (apply_int (bench.pool, MP_FUNCTION (square), g_variant_new_int32 (5)), ==, 25);
  g_clear_object (&result);
  bench_clear (&bench, NULL);
}

/* The pool is closed, or terminated, or gone, while a task is being stopped. */
static void
test_ends (void)
{
  for (int how = 0; how < 3; how++)
    {
      Bench bench = bench_new (1, how == 0 ? SOON : LONG, LONG);
      g_autoptr(MpFuture) spinning = submit (bench.pool, MP_FUNCTION (spin), gate_handle (&bench.gate));
      int pid = gate_await (&bench.gate);

      g_assert_true (mp_future_cancel (spinning));
      if (how == 1)
        mp_pool_terminate (bench.pool);
      if (how == 2)
        {
          g_assert_finalize_object (bench.pool);
          while (kill (pid, 0) == 0)
            g_main_context_iteration (NULL, FALSE);
          bench.pool = mp_pool_new (1);
        }
      bench_clear (&bench, how == 0 ? "stopped -15;" : how == 1 ? "pool terminated -15;" : NULL);
    }
}

/* Again and again, at any moment of a task's life: each has one end, the pool works on, and no result is a wrong one. */
static void
test_any_moment (void)
{
  Bench bench = bench_new (2, SOON, SOON);
  guint n_results = 0, n_cancelled = 0;

  for (int i = 0; i < 2000; i++)
    {
      g_autoptr(MpFuture) one = submit (bench.pool, MP_FUNCTION (square), g_variant_new_int32 (i));
      g_autoptr(MpFuture) other = submit (bench.pool, MP_FUNCTION (square), g_variant_new_int32 (i + 1));

      mp_future_wait (one, g_test_rand_int_range (0, 150), NULL, NULL);
      if (mp_future_cancel (one))
        n_cancelled++;
      else
        n_results += get_int (one) == i * i;
      g_assert_cmpint (get_int (other), ==, (i + 1) * (i + 1));
    }
  g_test_message ("%u results, %u cancelled", n_results, n_cancelled);
  g_assert_cmpuint (n_results + n_cancelled, ==, 2000);
  bench_clear (&bench, NULL);
}

/* The board is shared with the worker, and a forked copy of the owner has it, too: to call a task off there is none of the
 * worker's concern. */
static void
test_forked_copy (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(GError) error = NULL;
  Gate gate = gate_new ();
  g_autoptr(MpFuture) future = NULL, behind = NULL;
  g_autoptr(GVariant) value = NULL;
  int worker, pid, status = -1;

  expect_short (pool);
  mp_task_options_set_cancellable (options, cancellable);
  future = mp_pool_submit_with (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), options, &error);
  g_assert_no_error (error);
  behind = mp_pool_submit_with (pool, MP_FUNCTION (tell_pid), NULL, options, &error);
  g_assert_no_error (error);
  worker = gate_await (&gate);

  pid = fork ();
  if (pid == 0)
    {
      g_cancellable_cancel (cancellable);
      _exit (mp_future_cancel (future) ? 1 : 0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  gate_open (&gate);
  value = mp_future_get (behind, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (value), ==, worker);
  g_assert_true (mp_future_is_successful (future));
  gate_clear (&gate);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-cancel/queued", test_queued);
  g_test_add_func ("/pool-cancel/running", test_running);
  g_test_add_func ("/pool-cancel/ignores-sigterm", test_ignores_sigterm);
  g_test_add_func ("/pool-cancel/stopped-worker", test_stopped_worker);
  g_test_add_func ("/pool-cancel/returns", test_returns);
  g_test_add_func ("/pool-cancel/others", test_others);
  g_test_add_func ("/pool-cancel/map", test_map);
  g_test_add_func ("/pool-cancel/ways", test_ways);
  g_test_add_func ("/pool-cancel/waits", test_waits);
  g_test_add_func ("/pool-cancel/from-callback", test_from_callback);
  g_test_add_func ("/pool-cancel/ends", test_ends);
  g_test_add_func ("/pool-cancel/any-moment", test_any_moment);
  if (is_under_valgrind ())
    g_test_add_data_func ("/pool-cancel/forked-copy", get_reason_not_to_fork (), skip_test);
  else
    g_test_add_func ("/pool-cancel/forked-copy", test_forked_copy);

  return g_test_run ();
}
