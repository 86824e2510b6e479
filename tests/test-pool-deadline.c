/* test-pool-deadline.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <stdio.h>

/* Bounds in time: in the queue, and while a task runs; and attempts of a task that may be run twice. */

static GVariant *
spin (GVariant *args, gpointer user_data, GError **error)
{
  volatile gboolean forever = TRUE;

  while (forever)
    ;
  return NULL;
}

/* How long it has, in µs; -1: for ever. */
static GVariant *
tell_deadline (GVariant *args, gpointer user_data, GError **error)
{
  gint64 deadline = mp_invocation_get_deadline (mp_invocation_get_current ());

  return g_variant_new_int64 (deadline < 0 ? -1 : deadline - g_get_monotonic_time ());
}

static GVariant *
return_when_cancelled (GVariant *args, gpointer user_data, GError **error)
{
  while (!mp_invocation_is_cancelled (mp_invocation_get_current ()))
    ;
  return g_variant_new_int32 (getpid ());
}

/* (path, how, until): fails in one way or another until it has been called so often. */
static GVariant *
fail_at_first (GVariant *args, gpointer user_data, GError **error)
{
  const char *path = NULL, *how = NULL;
  int until = 0;
  FILE *file = NULL;
  long n = 0;

  g_variant_get (args, "(&s&si)", &path, &how, &until);
  file = fopen (path, "ae");
  fputs ("x", file);
  fflush (file);
  n = ftell (file);
  fclose (file);
  if (n >= until)
    return g_variant_new_int32 (n);
  if (g_str_equal (how, "die"))
    raise (SIGKILL);
  if (g_str_equal (how, "spin"))
    return spin (args, NULL, error);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "not yet, at %ld", n);
  return NULL;
}

static MpFuture *
submit_with (MpPool *pool, const char *function, GVariant *args, const char *property, ...)
{
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(GError) error = NULL;
  MpFuture *future = NULL;
  va_list list;

  va_start (list, property);
  g_object_set_valist (G_OBJECT (options), property, list);
  va_end (list);
  future = mp_pool_submit_with (pool, function, args, options, &error);
  g_assert_no_error (error);
  return future;
}

static void
expect_error (MpFuture *future, GQuark domain, int code, const char *part)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, domain, code);
  if (strstr (error->message, part) == NULL)
    g_error ("“%s” has no “%s”", error->message, part);
}

static void
test_queue (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = submit_with (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate),
                                          "queue-timeout-us", (gint64) LONG, NULL);
  g_autoptr(MpFuture) late = NULL, patient = NULL;
  int pid = gate_await (&gate);

  late = submit_with (pool, MP_FUNCTION (tell_pid), NULL, "queue-timeout-us", (gint64) 20000, "name", "the late one", NULL);
  patient = submit_with (pool, MP_FUNCTION (tell_pid), NULL, "queue-timeout-us", (gint64) LONG, NULL);
  expect_error (late, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "task “the late one” waited for a worker for the 20.000 ms");
  g_assert_cmpint (mp_future_get_state (late), ==, MP_FUTURE_STATE_FAILED);
  gate_open (&gate);
  g_assert_cmpint (get_int (busy), ==, pid);
  g_assert_cmpint (get_int (patient), ==, pid);
  finish (pool);
  gate_clear (&gate);
}

/* What has begun before its time in the queue is over is not hit. */
static void
test_begun (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = NULL;
  g_autoptr(MpFuture) behind = NULL;
  g_autoptr(GError) error = NULL;
  int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

  busy = submit_with (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate),
                      "queue-timeout-us", (gint64) G_USEC_PER_SEC / 2, NULL);
  behind = submit (pool, MP_FUNCTION (tell_pid), NULL);
  gate_await (&gate);
  g_assert_false (mp_future_wait (busy, G_USEC_PER_SEC * 6 / 10, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  gate_open (&gate);
  g_assert_cmpint (get_int (busy), ==, pid);
  g_assert_cmpint (get_int (behind), ==, pid);
  finish (pool);
  gate_clear (&gate);
}

static void
test_busy_loop (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFuture) spinning = NULL, behind = NULL;
  gint64 begin = 0;
  int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

  g_object_set (pool, "cancel-grace-us", (gint64) 0, NULL);
  begin = g_get_monotonic_time ();
  spinning = submit_with (pool, MP_FUNCTION (spin), NULL, "run-timeout-us", (gint64) 50000, NULL);
  behind = submit (pool, MP_FUNCTION (tell_pid), NULL);
  expect_error (spinning, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "task “spin” ran in worker 0");
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 50000);
  g_assert_cmpint (get_int (behind), !=, pid);
  finish (pool);
}

/* The time counts from the moment when it begins, and each has its own. */
static void
test_run_begins (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) waiting = NULL, told = NULL, spinning = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) left = NULL, none = NULL;
  int pid = gate_await (&gate);

  waiting = submit_with (pool, MP_FUNCTION (tell_pid), NULL, "run-timeout-us", (gint64) 100000, NULL);
  g_assert_false (mp_future_wait (waiting, 150000, NULL, NULL));
  gate_open (&gate);
  g_assert_cmpint (get_int (busy), ==, pid);
  g_assert_cmpint (get_int (waiting), ==, pid);

  told = submit_with (pool, MP_FUNCTION (tell_deadline), NULL, "run-timeout-us", (gint64) LONG, NULL);
  left = mp_future_get (told, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int64 (left), >, 0);
  g_assert_cmpint (g_variant_get_int64 (left), <=, LONG);
  none = apply (pool, MP_FUNCTION (tell_deadline), NULL);
  g_assert_cmpint (g_variant_get_int64 (none), ==, -1);

  /* One that sees to it itself costs no worker. */
  spinning = submit_with (pool, MP_FUNCTION (return_when_cancelled), NULL, "run-timeout-us", (gint64) 10000, NULL);
  expect_error (spinning, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "10.000 ms");
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), ==, pid);
  finish (pool);
  gate_clear (&gate);
}

static GVariant *
fail_args (const char *path, const char *how, int until)
{
  return g_variant_new ("(ssi)", path, how, until);
}

static guint
get_detail (MpFuture *future, const char *name)
{
  g_autoptr(GVariant) details = mp_future_dup_error_details (future);
  guint n = 0;

  g_assert_nonnull (details);
  g_assert_true (g_variant_lookup (details, name, "u", &n));
  return n;
}

static void
test_attempts (void)
{
  static const char * const hows[] = { "die", "error", "spin" };
  MpPool *pool = mp_pool_new (2);
  g_autofree char *path = g_strdup_printf ("%s/mp-attempts-%d", g_get_tmp_dir (), getpid ());

  g_object_set (pool, "cancel-grace-us", (gint64) 0, "terminate-grace-us", (gint64) 0, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (hows); i++)
    {
      g_autoptr(MpFuture) third = submit_with (pool, MP_FUNCTION (fail_at_first), fail_args (path, hows[i], 3),
                                               "max-attempts", 3, "idempotent", TRUE, "run-timeout-us", (gint64) 100000, NULL);

      g_assert_cmpint (get_int (third), ==, 3);
      unlink (path);
    }
  finish (pool);
}

/* One that kills its workers is named, and what it did is told; it did no harm to the others. */
static void
test_killer (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autofree char *path = g_strdup_printf ("%s/mp-killer-%d", g_get_tmp_dir (), getpid ());
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) map = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (5000), 1, &error);
  g_autoptr(MpFuture) killer = submit_with (pool, MP_FUNCTION (fail_at_first), fail_args (path, "die", 100),
                                            "max-attempts", 4, "idempotent", TRUE, "name", "the killer", NULL);
  g_autoptr(GVariant) squares = NULL;

  expect_error (killer, MP_ERROR, MP_ERROR_WORKER_DIED, "task “the killer” killed 4 workers in 4 attempts: ");
  g_assert_cmpuint (get_detail (killer, "attempts"), ==, 4);
  g_assert_cmpuint (get_detail (killer, "killed-workers"), ==, 4);
  squares = mp_future_get (map, LONG, NULL, &error);
  g_assert_no_error (error);
  check_squares (squares, 5000);
  unlink (path);
  finish (pool);
}

/* Nobody is run twice unasked: not without a number, not without the word of the caller or the function. */
static void
test_unasked (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autofree char *path = g_strdup_printf ("%s/mp-unasked-%d", g_get_tmp_dir (), getpid ());

  for (int way = 0; way < 3; way++)
    {
      g_autoptr(MpFuture) future = NULL;

      if (way == 0)
        future = submit_with (pool, MP_FUNCTION (fail_at_first), fail_args (path, "error", 2), "max-attempts", 5, NULL);
      else if (way == 1)
        future = submit_with (pool, MP_FUNCTION (fail_at_first), fail_args (path, "error", 2), "idempotent", TRUE, NULL);
      else
        future = submit_with (pool, MP_FUNCTION_FULL (fail_at_first, NULL, NULL, MP_FUNCTION_FLAGS_IDEMPOTENT),
                              fail_args (path, "error", 2), "max-attempts", 2, NULL);
      if (way < 2)
        expect_error (future, G_IO_ERROR, G_IO_ERROR_BUSY, "not yet, at 1");
      else
        g_assert_cmpint (get_int (future), ==, 2);
      unlink (path);
    }
  finish (pool);
}

static GVariant *
spin_for (GVariant *args, gpointer user_data, GError **error)
{
  gint64 until = g_get_monotonic_time () + g_variant_get_int32 (args);

  while (g_get_monotonic_time () < until)
    ;
  return g_variant_ref (args);
}

/* Tasks that take just the time that they have, and are stopped without mercy: none but those that were too late comes to
 * grief, also when the next one has begun in the meantime. */
static void
test_just_in_time (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(GError) error = NULL;

  g_object_set (pool, "cancel-grace-us", G_GINT64_CONSTANT (0), "terminate-grace-us", G_GINT64_CONSTANT (0), NULL);
  mp_task_options_set_run_timeout_us (options, 100);
  for (int round = 0; round < 40; round++)
    {
      g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);

      expect_short (pool);
      for (int i = 0; i < 100; i++)
        {
          g_ptr_array_add (futures, mp_pool_submit_with (pool, MP_FUNCTION (spin_for), g_variant_new_int32 (60 + i % 50),
                                                         i % 2 == 0 ? options : NULL, &error));
          g_assert_no_error (error);
        }
      for (int i = 0; i < 100; i++)
        {
          G_GNUC_UNUSED g_autoptr(GVariant) value = mp_future_get (futures->pdata[i], LONG, NULL, &error);

          if (i % 2 == 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
            g_clear_error (&error);
          g_assert_no_error (error);
        }
    }
}

static GVariant *
count_to_ten (gpointer user_data, GError **error)
{
  int *n = user_data;

  return *n < 10 ? g_variant_new_int32 ((*n)++) : NULL;
}

static void
run_until (gint64 until)
{
  while (g_get_monotonic_time () < until)
    g_main_context_iteration (NULL, FALSE);
}

/* Who reads results slowly has not let his tasks wait for a worker: they have begun. */
static void
test_slow_reader (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(GError) error = NULL;

  mp_task_options_set_queue_timeout_us (options, G_USEC_PER_SEC);
  for (int fed = 0; fed < 2; fed++)
    {
      int n = 0, n_read = 0;
      g_autoptr(MpItems) items = fed ? mp_items_new_for_func (count_to_ten, &n, NULL)
                                     : mp_items_new_for_array (make_ints (10));
      gint64 until = g_get_monotonic_time () + G_USEC_PER_SEC * 6 / 5;
      g_autoptr(MpResultIter) iter = mp_pool_imap_with (pool, MP_FUNCTION (square), items, 1, TRUE, options, &error);

      g_assert_no_error (error);
      for (; n_read < 10; n_read++)
        {
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

          g_assert_no_error (error);
          g_assert_cmpint (g_variant_get_int32 (value), ==, n_read * n_read);
          if (n_read == 0)
            run_until (until);
        }
    }
}

/* Items that are asked for wait in the queue as others do. */
static void
test_fed_queue (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(GError) error = NULL;
  Gate gate = gate_new ();
  g_autoptr(MpFuture) first = mp_pool_submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), &error);
  int n = 0;
  g_autoptr(MpItems) items = mp_items_new_for_func (count_to_ten, &n, NULL);
  g_autoptr(MpFuture) map = NULL;
  g_autoptr(GVariant) value = NULL;

  gate_await (&gate);
  mp_task_options_set_queue_timeout_us (options, 10000);
  map = mp_pool_submit_map_with (pool, MP_FUNCTION (square), items, 1, options, &error);
  g_assert_no_error (error);
  value = mp_future_get (map, LONG / 12, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "waited"));
  g_clear_error (&error);
  gate_open (&gate);
  g_assert_true (mp_future_wait (first, LONG, NULL, &error));
  gate_clear (&gate);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-deadline/queue", test_queue);
  g_test_add_func ("/pool-deadline/begun", test_begun);
  g_test_add_func ("/pool-deadline/busy-loop", test_busy_loop);
  g_test_add_func ("/pool-deadline/run-begins", test_run_begins);
  g_test_add_func ("/pool-deadline/attempts", test_attempts);
  g_test_add_func ("/pool-deadline/killer", test_killer);
  g_test_add_func ("/pool-deadline/unasked", test_unasked);
  g_test_add_func ("/pool-deadline/just-in-time", test_just_in_time);
  g_test_add_func ("/pool-deadline/slow-reader", test_slow_reader);
  g_test_add_func ("/pool-deadline/fed-queue", test_fed_queue);

  return g_test_run ();
}
