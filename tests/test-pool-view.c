/* test-pool-view.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"
#include "mp-glib/pool/mp-pool-tally-private.h"

/* What a pool shows of itself to a user interface: how far it is, its statistics. */

static GVariant *
fail (GVariant *args, gpointer user_data, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "it does");
  return NULL;
}

static GVariant *
fail_odd (GVariant *args, gpointer user_data, GError **error)
{
  if (g_variant_get_int32 (args) % 2 == 0)
    return g_variant_ref (args);
  return fail (args, user_data, error);
}

static GVariant *
die (GVariant *args, gpointer user_data, GError **error)
{
  kill (getpid (), SIGKILL);
  return NULL;
}

static guint64
get_count (MpPool *pool, const char *name)
{
  guint64 n = 0;

  g_object_get (pool, name, &n, NULL);
  return n;
}

static double
get_fraction (MpPool *pool)
{
  double fraction = -1;

  g_object_get (pool, "fraction", &fraction, NULL);
  return fraction;
}

static void
check_counts (MpPool *pool, guint n_queued, guint n_running, guint n_done, guint n_failed)
{
  g_assert_cmpuint (get_count (pool, "n-queued"), ==, n_queued);
  g_assert_cmpuint (get_count (pool, "n-running"), ==, n_running);
  g_assert_cmpuint (get_count (pool, "n-done"), ==, n_done);
  g_assert_cmpuint (get_count (pool, "n-failed"), ==, n_failed);
}

static gint64
lookup_time (MpPool *pool, const char *key)
{
  g_autoptr(GVariant) statistics = mp_pool_dup_statistics (pool);
  gint64 time = -1;

  g_assert_true (g_variant_lookup (statistics, key, "x", &time));
  return time;
}

static void
test_histogram (void)
{
  MpHistogram *times = g_new0 (MpHistogram, 1);

  g_assert_cmpint (mp_histogram_find (times, 0.5), ==, 0);
  for (int i = 1; i <= 50; i++)
    mp_histogram_add (times, i);
  g_assert_cmpint (mp_histogram_find (times, 0.5), ==, 25);
  g_assert_cmpint (mp_histogram_find (times, 0.99), ==, 50);
  g_assert_cmpint (mp_histogram_find (times, 1), ==, 50);

  /* Alone, each value is found again to a thirty-second. */
  for (gint64 value = 1; value < G_GINT64_CONSTANT (1) << MP_HISTOGRAM_MAX_BITS; value = value * 5 / 4 + 1)
    {
      gint64 found = 0;

      memset (times, 0, sizeof *times);
      mp_histogram_add (times, value);
      times->max = G_MAXINT64;
      found = mp_histogram_find (times, 0.5);
      g_assert_cmpint (ABS (found - value), <=, value / 32);
    }

  /* Whatever a worker tells. */
  memset (times, 0, sizeof *times);
  mp_histogram_add (times, G_MAXINT64);
  mp_histogram_add (times, G_MININT64);
  g_assert_cmpuint (times->n, ==, 2);
  g_assert_cmpint (mp_histogram_find (times, 0.5), ==, 0);
  g_assert_cmpint (times->max, ==, (G_GINT64_CONSTANT (1) << MP_HISTOGRAM_MAX_BITS) - 1);
  g_free (times);
}

static void
test_counts (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) running = NULL;
  g_autoptr(MpFuture) map = NULL;
  g_autoptr(GError) error = NULL;

  check_counts (pool, 0, 0, 0, 0);
  g_assert_cmpfloat (get_fraction (pool), ==, 0);

  running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  gate_await (&gate);
  check_counts (pool, 0, 1, 0, 0);
  map = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (10), 4, &error);
  g_assert_no_error (error);
  check_counts (pool, 3, 1, 0, 0);
  g_assert_cmpfloat (get_fraction (pool), ==, 0);

  gate_open (&gate);
  get_int (running);
  g_assert_true (mp_future_wait (map, LONG, NULL, NULL));
  check_counts (pool, 0, 0, 4, 0);
  g_assert_cmpfloat (get_fraction (pool), ==, 1);

  /* All was done: it begins anew. */
  g_clear_object (&running);
  running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  gate_await (&gate);
  check_counts (pool, 0, 1, 4, 0);
  g_assert_cmpfloat (get_fraction (pool), ==, 0);
  gate_open (&gate);
  get_int (running);
  g_assert_cmpfloat (get_fraction (pool), ==, 1);
  gate_clear (&gate);
  finish (pool);
}

static void
test_failures (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(MpFuture) failing = submit (pool, MP_FUNCTION (fail), NULL);
  g_autoptr(MpFuture) dying = submit (pool, MP_FUNCTION (die), NULL);
  g_autoptr(MpFuture) map = mp_pool_submit_map (pool, MP_FUNCTION (fail_odd), make_ints (6), 1, NULL);
  g_autoptr(MpResultIter) items = mp_pool_imap (pool, MP_FUNCTION (fail_odd), make_ints (6), 1, NULL);
  g_autoptr(GVariant) last = NULL;

  g_assert_true (mp_future_wait (failing, LONG, NULL, NULL));
  g_assert_true (mp_future_wait (dying, LONG, NULL, NULL));
  g_assert_true (mp_future_wait (map, LONG, NULL, NULL));
  for (int i = 0; i < 6; i++)
    {
      g_autoptr(GVariant) item = mp_result_iter_next (items, LONG, NULL, NULL);

      g_assert_true ((item != NULL) == (i % 2 == 0));
    }
  last = mp_result_iter_next (items, LONG, NULL, NULL);
  g_assert_null (last);
  check_counts (pool, 0, 0, 6, 8);
  finish (pool);
}

static void
test_called_off (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  G_GNUC_UNUSED g_autoptr(MpFuture) running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  G_GNUC_UNUSED g_autoptr(MpFuture) map = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (1000), 1, NULL);
  g_autoptr(GVariant) statistics = NULL;
  guint64 n_cancelled = 0;

  gate_await (&gate);
  check_counts (pool, 1000, 1, 0, 0);
  mp_pool_terminate (pool);
  check_counts (pool, 0, 0, 0, 0);
  g_assert_cmpfloat (get_fraction (pool), ==, 1);
  statistics = mp_pool_dup_statistics (pool);
  g_assert_true (g_variant_lookup (statistics, "n-cancelled", "t", &n_cancelled));
  g_assert_cmpuint (n_cancelled, ==, 1001);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  gate_clear (&gate);
  g_assert_finalize_object (pool);
}

typedef struct
{
  guint   n_told;
  guint64 last;
  double  fraction;
} Told;

static void
count_told_cb (MpPool *pool, GParamSpec *pspec, gpointer user_data)
{
  Told *told = user_data;
  guint64 n = get_count (pool, "n-done");

  g_assert_cmpuint (n, >=, told->last);
  told->last = n;
  told->n_told++;
}

static void
fraction_told_cb (MpPool *pool, GParamSpec *pspec, gpointer user_data)
{
  Told *told = user_data;
  double fraction = get_fraction (pool);

  g_assert_cmpfloat (fraction, >=, told->fraction);
  told->fraction = fraction;
}

static GVariant *
give_number (GObject *item, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (3);
}

static GVariant *
give_some (gpointer user_data, GError **error)
{
  int *n = user_data;

  return (*n)-- > 0 ? g_variant_new_int32 (3) : NULL;
}

static void
read_items (MpResultIter *iter, int n)
{
  for (int i = 0; i < n; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) item = mp_result_iter_next (iter, LONG, NULL, &error);

      g_assert_no_error (error);
      g_assert_nonnull (item);
    }
}

static GVariant *
report_half (GVariant *args, gpointer user_data, GError **error)
{
  mp_invocation_report (mp_invocation_get_current (), 0.5, NULL);
  return wait_at_gate (args, user_data, error);
}

/* A call says that it is half done. */
static void
test_reports (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  GAsyncResult *result = NULL;
  g_autoptr(GVariant) pid = NULL;
  Told told = { 0 };

  g_signal_connect (pool, "notify::fraction", G_CALLBACK (fraction_told_cb), &told);
  mp_pool_apply_async (pool, MP_FUNCTION (report_half), gate_handle (&gate), NULL, result_cb, &result);
  gate_await (&gate);
  while (told.fraction < 0.5)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpfloat (told.fraction, ==, 0.5);
  gate_open (&gate);
  while (result == NULL || told.fraction < 1)
    g_main_context_iteration (NULL, TRUE);
  pid = mp_pool_apply_finish (pool, result, NULL);
  g_assert_nonnull (pid);
  g_object_unref (result);
  gate_clear (&gate);
  finish (pool);
}

/* Items that are asked for as there is room: a model's length is known beforehand, a callback's is not. */
static void
test_items (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GListStore) store = g_list_store_new (G_TYPE_OBJECT);
  g_autoptr(GObject) object = g_object_new (G_TYPE_OBJECT, NULL);
  g_autoptr(MpItems) model = NULL;
  g_autoptr(MpItems) callback = NULL;
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;
  int n_left = 2000;

  for (int i = 0; i < 4000; i++)
    g_list_store_append (store, object);
  model = mp_items_new_for_model (G_LIST_MODEL (store), give_number, NULL, NULL);
  iter = mp_pool_imap_with (pool, MP_FUNCTION (square), model, 1, TRUE, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (get_fraction (pool), <, 0.1);
  read_items (iter, 2000);
  g_assert_cmpfloat (get_fraction (pool), >=, 0.5);
  g_assert_cmpfloat (get_fraction (pool), <, 0.6);
  read_items (iter, 2000);
  g_assert_cmpfloat (get_fraction (pool), ==, 1);
  g_assert_cmpuint (get_count (pool, "n-done"), ==, 4000);
  g_clear_object (&iter);

  callback = mp_items_new_for_func (give_some, &n_left, NULL);
  iter = mp_pool_imap_with (pool, MP_FUNCTION (square), callback, 1, TRUE, NULL, &error);
  g_assert_no_error (error);
  read_items (iter, 2000);
  g_assert_null (mp_result_iter_next (iter, LONG, NULL, NULL));
  g_assert_cmpfloat (get_fraction (pool), ==, 1);
  check_counts (pool, 0, 0, 6000, 0);
  finish (pool);
}

/* All kinds of workers are counted alike. */
static void
test_backends (void)
{
  const MpBackend backends[] = { MP_BACKEND_PROCESSES, MP_BACKEND_THREADS, MP_BACKEND_INLINE };

  for (guint i = 0; i < G_N_ELEMENTS (backends); i++)
    {
      MpPool *pool = mp_pool_new_for_backend (backends[i], 2);
      GListModel *workers = mp_pool_get_workers (pool);
      G_GNUC_UNUSED g_autoptr(GVariant) squares = map (pool, MP_FUNCTION (square), make_ints (100), 1);
      g_autoptr(MpFuture) failing = submit (pool, MP_FUNCTION (fail), NULL);
      guint64 n = 0;

      g_assert_true (mp_future_wait (failing, LONG, NULL, NULL));
      check_counts (pool, 0, 0, 100, 1);
      g_assert_cmpfloat (get_fraction (pool), ==, 1);
      g_assert_cmpint (lookup_time (pool, "waiting-time-max"), >=, lookup_time (pool, "waiting-time-median"));
      while (n < 101)
        {
          g_main_context_iteration (NULL, FALSE);
          n = 0;
          for (guint j = 0; j < g_list_model_get_n_items (workers); j++)
            {
              g_autoptr(MpWorkerInfo) info = g_list_model_get_item (workers, j);

              n += mp_worker_info_get_n_tasks_done (info);
              g_assert_true ((mp_worker_info_get_pid (info) > 0) == (backends[i] == MP_BACKEND_PROCESSES) ||
                             mp_worker_info_get_state (info) == MP_WORKER_STATE_STARTING);
            }
        }
      g_assert_cmpuint (n, ==, 101);
      finish (pool);
    }
}

static void
test_throttled (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(MpFuture) map = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (40000), 1, NULL);
  Told told = { 0 };
  gint64 begun = g_get_monotonic_time ();

  g_signal_connect (pool, "notify::n-done", G_CALLBACK (count_told_cb), &told);
  g_signal_connect (pool, "notify::fraction", G_CALLBACK (fraction_told_cb), &told);
  while (told.last < 40000)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (told.n_told, <=, (g_get_monotonic_time () - begun) / 16000 + 2);
  g_assert_cmpfloat (told.fraction, ==, 1);
  g_assert_true (mp_future_is_ready (map));
  finish (pool);
}

/* Blocking calls run what is told, and one from inside leaves what is told meanwhile for later. */
static void
wait_inside_cb (MpPool *pool, GParamSpec *pspec, gpointer user_data)
{
  guint *n_told = user_data;
  gint64 until = g_get_monotonic_time () + 40000;   /* longer than a frame */

  ++*n_told;
  while (*n_told == 1 && g_get_monotonic_time () < until)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
}

static void
test_wait_inside (void)
{
  MpPool *pool = mp_pool_new (1);
  guint n_told = 0;
  Told told = { 0 };

  g_signal_connect (pool, "notify::n-done", G_CALLBACK (wait_inside_cb), &n_told);
  g_signal_connect (pool, "notify::n-done", G_CALLBACK (count_told_cb), &told);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  while (n_told == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  while (told.last < get_count (pool, "n-done"))
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (n_told, >=, 2);
  finish (pool);
}

static void
test_times (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  G_GNUC_UNUSED g_autoptr(MpFuture) running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) next = NULL;
  g_autoptr(GVariant) statistics = NULL;
  gint64 begun = 0, passed = 0, age = 0;
  double utilisation = -1;
  guint n_workers = 0;

  gate_await (&gate);
  begun = g_get_monotonic_time ();
  next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  while ((passed = g_get_monotonic_time () - begun) < 5000)
    g_main_context_iteration (NULL, FALSE);
  gate_open (&gate);
  get_int (next);

  g_assert_cmpint (lookup_time (pool, "run-time-max"), >=, passed);
  g_assert_cmpint (lookup_time (pool, "run-time-p99"), >=, passed - passed / 32);
  g_assert_cmpint (lookup_time (pool, "run-time-median"), <=, lookup_time (pool, "run-time-p99"));
  g_assert_cmpint (lookup_time (pool, "waiting-time-max"), >=, passed);
  g_assert_cmpint (lookup_time (pool, "run-time-total"), >=, lookup_time (pool, "run-time-max"));
  statistics = mp_pool_dup_statistics (pool);
  g_assert_true (g_variant_lookup (statistics, "utilisation", "d", &utilisation));
  g_assert_cmpfloat (utilisation, >, 0);
  g_assert_cmpfloat (utilisation, <=, 1);
  g_assert_true (g_variant_lookup (statistics, "n-workers", "u", &n_workers));
  g_assert_cmpuint (n_workers, ==, 1);
  g_assert_true (g_variant_lookup (statistics, "age", "x", &age));
  g_assert_cmpint (age, >=, passed);
  gate_clear (&gate);
  finish (pool);
}

/* With a telling under way. */
static void
test_dropped (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  g_assert_finalize_object (pool);
  g_assert_false (mp_future_get (future, LONG, NULL, &error) != NULL);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-view/histogram", test_histogram);
  g_test_add_func ("/pool-view/counts", test_counts);
  g_test_add_func ("/pool-view/failures", test_failures);
  g_test_add_func ("/pool-view/called-off", test_called_off);
  g_test_add_func ("/pool-view/reports", test_reports);
  g_test_add_func ("/pool-view/items", test_items);
  g_test_add_func ("/pool-view/backends", test_backends);
  g_test_add_func ("/pool-view/throttled", test_throttled);
  g_test_add_func ("/pool-view/wait-inside", test_wait_inside);
  g_test_add_func ("/pool-view/times", test_times);
  g_test_add_func ("/pool-view/dropped", test_dropped);
  return g_test_run ();
}
