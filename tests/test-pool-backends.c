/* test-pool-backends.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <string.h>

/* What is the same with all backends: each test is run with processes, threads and in the caller. */

typedef struct
{
  const char *name;
  MpBackend   backend;
} Kind;

static MpPool *
pool_for (gconstpointer data, guint n_workers)
{
  return mp_pool_new_for_backend (((const Kind *) data)->backend, n_workers);
}

static GVariant *
halve (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  if (x % 2 == 0)
    return g_variant_new_int32 (x / 2);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%d is odd", x);
  return NULL;
}

static GVariant *
tell_type (GVariant *args, gpointer user_data, GError **error)
{
  if (g_variant_is_of_type (args, G_VARIANT_TYPE_INT32))
    return g_variant_ref (args);
  return g_variant_new_string (g_variant_get_type_string (args));
}

static GVariant *
say_nothing (GVariant *args, gpointer user_data, GError **error)
{
  return NULL;
}

static GVariant *
double_all (GVariant *args, gpointer user_data, GError **error)
{
  gsize n = 0;
  const gint32 *items = g_variant_get_fixed_array (args, &n, sizeof (gint32));
  g_autofree gint32 *results = g_new (gint32, n);

  for (gsize i = 0; i < n; i++)
    results[i] = 2 * items[i];
  return g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, results, n, sizeof (gint32));
}

static GVariant *
drop_one (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_array (G_VARIANT_TYPE_INT32, NULL, 0);
}

static GVariant *
tell_number (GVariant *args, gpointer user_data, GError **error)
{
  MpInvocation *invocation = mp_invocation_get_current ();

  return g_variant_new ("(is)", mp_invocation_get_worker_number (invocation), mp_invocation_get_function (invocation));
}

static GVariant *
say_more (GVariant *args, gpointer user_data, GError **error)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "type", "s", "Silly");
  mp_invocation_set_error_details (mp_invocation_get_current (), g_variant_dict_end (&dict));
  g_set_error_literal (error, MP_ERROR, MP_ERROR_FULL, "no more");
  return NULL;
}

static GVariant *
make_lock (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpLock) lock = mp_lock_new ();

  return mp_shareable_to_variant (MP_SHAREABLE (lock));
}

static int n_initialized;   /* (atomic) */

static GVariant *
set_up (GVariant *args, gpointer user_data, GError **error)
{
  g_atomic_int_add (&n_initialized, g_variant_get_int32 (args));
  return NULL;
}

static GVariant *
tell_set_up (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (g_atomic_int_get (&n_initialized));
}

static GVariant *
fail_set_up (GVariant *args, gpointer user_data, GError **error)
{
  g_set_error_literal (error, MP_ERROR, MP_ERROR_FULL, "no room here");
  return NULL;
}

static gboolean
answer_cb (gpointer data)
{
  MpInvocation *invocation = data;

  mp_invocation_return_value (invocation, g_variant_new_string ("later"));
  return G_SOURCE_REMOVE;
}

static void
answer_later (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  g_autoptr(GSource) source = g_idle_source_new ();

  g_source_set_callback (source, answer_cb, g_object_ref (invocation), g_object_unref);
  g_source_attach (source, g_main_context_get_thread_default ());
}

static void
answer_at_once (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  mp_invocation_return_value (invocation, g_variant_new_string ("at once"));
}

/* Calls. */

static void
test_apply (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  MpBackend backend = MP_BACKEND_PROCESSES;

  g_object_get (pool, "backend", &backend, NULL);
  g_assert_cmpint (backend, ==, ((const Kind *) kind)->backend);
  g_assert_cmpint (mp_pool_get_backend (pool), ==, backend);
  for (int i = 0; i < 100; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  finish (pool);
}

static void
test_values (gconstpointer kind)
{
  static const char *const texts[] = { "()", "(1, 'two', [3.0])", "{'a': <1>, 'b': <'x'>}", "@aay []", "[<1>, <'a'>]",
                                       "@mi nothing" };
  MpPool *pool = pool_for (kind, 1);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_parsed (texts[i]));
      g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (echo), value);

      g_assert_true (g_variant_equal (value, result));
    }
  finish (pool);
}

/* Bytes that are no value in normal form come as their normal form. */
static void
test_abnormal_values (gconstpointer kind)
{
  static const guint8 bytes[] = { 'n', 'o', ' ', 'e', 'n', 'd' };
  g_autoptr(GVariant) bad = NULL, result = NULL;
  MpPool *pool = pool_for (kind, 1);

  bad = g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE_STRING, bytes, sizeof bytes, FALSE, NULL, NULL));
  result = apply (pool, MP_FUNCTION (echo), bad);
  g_assert_true (g_variant_is_normal_form (result));
  g_assert_cmpstr (g_variant_get_string (result, NULL), ==, "");
  finish (pool);
}

static void
test_errors (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 1);
  const struct { const char *function; GQuark domain; int code; } calls[] = {
    { MP_FUNCTION (halve), G_IO_ERROR, G_IO_ERROR_INVALID_DATA },
    { MP_FUNCTION (say_nothing), MP_ERROR, MP_ERROR_NO_RESULT },
    { "nobody-has-it", MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION },
    { MP_FUNCTION_FULL (square, "i", "s", MP_FUNCTION_FLAGS_NONE), MP_ERROR, MP_ERROR_INVALID_TYPE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr(GError) error = NULL;
      GVariant *result = mp_pool_apply (pool, calls[i].function, g_variant_new_int32 (7), LONG, NULL, &error);

      g_assert_null (result);
      g_assert_error (error, calls[i].domain, calls[i].code);
    }
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  finish (pool);
}

static void
test_error_details (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 1);
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (say_more), NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL;
  const char *type = NULL, *function = NULL, *worker = NULL;
  int pid = 0;

  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  details = mp_future_dup_error_details (future);
  g_assert_true (g_variant_lookup (details, "type", "&s", &type));
  g_assert_true (g_variant_lookup (details, "function", "&s", &function));
  g_assert_true (g_variant_lookup (details, "worker", "&s", &worker));
  g_assert_true (g_variant_lookup (details, "pid", "i", &pid));
  g_assert_cmpstr (type, ==, "Silly");
  g_assert_cmpstr (function, ==, "say_more");
  g_assert_true (g_str_has_prefix (worker, "Worker-"));
  g_assert_cmpint (pid == getpid (), ==, ((const Kind *) kind)->backend != MP_BACKEND_PROCESSES);
  finish (pool);
}

static void
test_map (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 3);
  const guint chunk_sizes[] = { 0, 1, 7, 1000 };

  for (guint i = 0; i < G_N_ELEMENTS (chunk_sizes); i++)
    {
      g_autoptr(GVariant) squares = map (pool, MP_FUNCTION (square), make_ints (500), chunk_sizes[i]);
      g_autoptr(GVariant) doubles = map (pool, MP_CHUNK_FUNCTION (double_all), make_ints (500), chunk_sizes[i]);
      gsize n = 0;
      const gint32 *numbers = g_variant_get_fixed_array (doubles, &n, sizeof (gint32));

      check_squares (squares, 500);
      g_assert_cmpuint (n, ==, 500);
      for (gsize j = 0; j < n; j++)
        g_assert_cmpint (numbers[j], ==, 2 * j);
    }
  finish (pool);
}

static void
test_map_of_strings (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  g_autoptr(GVariant) words = g_variant_ref_sink (g_variant_new_parsed ("['one', 'two', 'three', 'four', 'five']"));
  g_autoptr(GVariant) boxes = g_variant_ref_sink (g_variant_new_parsed ("[<1>, <'two'>, <@ad []>, <4>]"));
  g_autoptr(GVariant) same = map (pool, MP_FUNCTION (echo), words, 2);
  g_autoptr(GVariant) types = map (pool, MP_FUNCTION (tell_type), boxes, 3);
  g_autofree char *text = g_variant_print (types, FALSE);
  g_autoptr(GVariant) none = map (pool, MP_FUNCTION (echo), g_variant_new_parsed ("@as []"), 0);

  g_assert_true (g_variant_equal (same, words));
  g_assert_cmpstr (text, ==, "[<1>, <'s'>, <'ad'>, <4>]");
  g_assert_cmpuint (g_variant_n_children (none), ==, 0);
  finish (pool);
}

static void
test_map_errors (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  g_autoptr(GError) error = NULL, second = NULL;

  g_assert_null (mp_pool_map (pool, MP_FUNCTION (halve), make_ints (10), 3, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_assert_cmpstr (error->message, ==, "1 is odd");
  g_assert_null (mp_pool_map (pool, MP_CHUNK_FUNCTION (drop_one), make_ints (10), 3, LONG, NULL, &second));
  g_assert_error (second, MP_ERROR, MP_ERROR_INVALID_TYPE);
  finish (pool);
}

static void
test_imap (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 3);

  for (guint chunk_size = 1; chunk_size <= 3; chunk_size++)
    {
      g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (halve), make_ints (20), chunk_size, NULL);

      for (int i = 0; i < 20; i++)
        {
          g_autoptr(GError) error = NULL;
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

          if (i % 2 == 0)
            g_assert_cmpint (g_variant_get_int32 (value), ==, i / 2);
          else
            g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
        }
      g_assert_null (mp_result_iter_next (iter, LONG, NULL, NULL));
    }
  finish (pool);
}

static void
test_imap_unordered (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 4);
  g_autoptr(MpResultIter) iter = mp_pool_imap_unordered (pool, MP_FUNCTION (square), make_ints (100), 1, NULL);
  int sum = 0;
  GVariant *value = NULL;

  while ((value = mp_result_iter_next (iter, LONG, NULL, NULL)) != NULL)
    {
      sum += g_variant_get_int32 (value);
      g_variant_unref (value);
    }
  g_assert_cmpint (sum, ==, 328350);
  finish (pool);
}

static GVariant *
next_number (gpointer user_data, GError **error)
{
  int *next = user_data;

  return *next < 1000 ? g_variant_new_int32 ((*next)++) : NULL;
}

static MpLock *given_lock;   /* (owned): of the last item */

/* Once given it is held by the pool. */
static GVariant *
next_lock (gpointer user_data, GError **error)
{
  int *next = user_data;

  g_clear_object (&given_lock);
  if ((*next)++ == 10)
    return NULL;
  given_lock = mp_lock_new ();
  return mp_shareable_to_variant (MP_SHAREABLE (given_lock));
}

static GVariant *
take_lock (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GObject) lock = G_OBJECT (mp_shareable_from_variant (args, error));

  if (lock == NULL || !mp_lock_acquire (MP_LOCK (lock), LONG, NULL, error))
    return NULL;
  mp_lock_release (MP_LOCK (lock), NULL);
  return g_variant_new_boolean (TRUE);
}

/* Items that come one by one. */
static void
test_items (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 3);
  int next = 0;
  g_autoptr(MpItems) numbers = mp_items_new_for_func (next_number, &next, NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) squares = mp_pool_map_with (pool, MP_FUNCTION (square), numbers, 7, NULL, LONG, NULL, &error);
  g_autoptr(MpItems) locks = NULL;
  g_autoptr(GVariant) taken = NULL;

  g_assert_no_error (error);
  check_squares (squares, 1000);
  next = 0;
  locks = mp_items_new_for_func (next_lock, &next, NULL);
  taken = mp_pool_map_with (pool, MP_FUNCTION (take_lock), locks, 3, NULL, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (taken), ==, 10);
  finish (pool);
}

static void
test_async_calls (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  GAsyncResult *results[20] = { NULL };

  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (i), NULL, result_cb, &results[i]);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autoptr(GVariant) value = NULL;

      while (results[i] == NULL)
        g_main_context_iteration (NULL, TRUE);
      value = mp_pool_apply_finish (pool, results[i], NULL);
      g_assert_cmpint (g_variant_get_int32 (value), ==, i * i);
      g_clear_object (&results[i]);
    }
  finish (pool);
}

static void
test_async_functions (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  g_autoptr(GVariant) later = apply (pool, "answer-later", NULL);
  g_autoptr(GVariant) now = apply (pool, "answer-at-once", NULL);
  g_autoptr(GVariant) items = map (pool, "answer-later", make_ints (7), 2);
  GAsyncResult *result = NULL;
  g_autoptr(GVariant) looped = NULL;

  g_assert_cmpstr (g_variant_get_string (later, NULL), ==, "later");
  g_assert_cmpstr (g_variant_get_string (now, NULL), ==, "at once");
  g_assert_cmpuint (g_variant_n_children (items), ==, 7);
  mp_pool_apply_async (pool, "answer-later", NULL, NULL, result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  looped = mp_pool_apply_finish (pool, result, NULL);
  g_assert_cmpstr (g_variant_get_string (looped, NULL), ==, "later");
  g_clear_object (&result);
  finish (pool);
}

static void
test_invocation (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 3);
  g_autoptr(GVariant) all = map (pool, MP_FUNCTION (tell_number), make_ints (30), 1);

  for (guint i = 0; i < 30; i++)
    {
      int number = -1;
      const char *function = NULL;

      g_variant_get_child (all, i, "(i&s)", &number, &function);
      g_assert_cmpint (number, >=, 0);
      g_assert_cmpint (number, <, 3);
      g_assert_cmpstr (function, ==, "tell_number");
    }
  g_assert_null (mp_invocation_get_current ());
  finish (pool);
}

static void
test_objects (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  Gate gate = gate_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) handle = g_variant_ref_sink (gate_handle (&gate));
  g_autoptr(GVariant) given = apply (pool, MP_FUNCTION (make_lock), NULL);
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) back = NULL, stale = NULL;
  g_autoptr(GObject) lock = G_OBJECT (mp_shareable_from_variant (given, &error));

  /* It lives as long as the value that it came in. */
  g_assert_no_error (error);
  g_assert_true (MP_IS_LOCK (lock));

  /* Its owner lets go of it when it has been submitted. */
  future = submit (pool, MP_FUNCTION (echo), handle);
  g_clear_object (&gate.far);
  back = mp_future_get (future, LONG, NULL, &error);
  g_assert_no_error (error);
  gate.far = MP_CONNECTION (mp_shareable_from_variant (back, &error));
  g_assert_no_error (error);
  gate_open (&gate);
  stale = mp_connection_recv (gate.far, LONG, NULL, &error);
  g_assert_no_error (error);
  gate_clear (&gate);
  finish (pool);
}

static void
test_stale_object (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 1);
  Gate gate = gate_new ();
  g_autoptr(GVariant) handle = g_variant_ref_sink (gate_handle (&gate));
  g_autoptr(GError) error = NULL;

  gate_clear (&gate);
  g_assert_null (mp_pool_submit (pool, MP_FUNCTION (echo), handle, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  finish (pool);
}

static GVariant *
report (GVariant *args, gpointer user_data, GError **error)
{
  MpInvocation *invocation = mp_invocation_get_current ();

  for (int i = 1; i <= 100; i++)
    mp_invocation_report (invocation, i / 100.0, g_variant_new_int32 (i));
  return g_variant_new_int64 (mp_invocation_get_deadline (invocation) > 0);
}

static void
progress_cb (MpFuture *future, double fraction, GVariant *value, gpointer user_data)
{
  *(int *) user_data = g_variant_get_int32 (value);
}

static void
test_progress (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 1);
  g_autoptr(MpTaskOptions) options = g_object_new (MP_TYPE_TASK_OPTIONS, "run-timeout-us", LONG, NULL);
  g_autoptr(MpFuture) future = mp_pool_submit_with (pool, MP_FUNCTION (report), NULL, options, NULL);
  g_autoptr(GVariant) has_deadline = NULL;
  int last = 0;

  g_signal_connect (future, "progress", G_CALLBACK (progress_cb), &last);
  while (!mp_future_is_ready (future) || last < 100)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (last, ==, 100);
  has_deadline = mp_future_get (future, 0, NULL, NULL);
  g_assert_cmpint (g_variant_get_int64 (has_deadline), ==, 1);
  finish (pool);
}

/* Workers. */

static GString *events;

static void
started_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  g_string_append_printf (events, "+%u", number);
  g_assert_cmpint (pid > 0, ==, mp_pool_get_backend (pool) == MP_BACKEND_PROCESSES);
}

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  g_string_append_printf (events, "-%u %s %d ", number, reason, status);
}

static MpPool *
watched_pool (gconstpointer kind, guint n_workers, const char *initializer, guint tasks_per_worker)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "backend", ((const Kind *) kind)->backend, "n-workers", n_workers,
                               "initializer", initializer, "initializer-args", g_variant_new_int32 (1),
                               "tasks-per-worker", tasks_per_worker, NULL);

  events = g_string_new (NULL);
  g_signal_connect (pool, "worker-started", G_CALLBACK (started_cb), NULL);
  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), NULL);
  return pool;
}

static void
expect_events (const char *expected)
{
  g_assert_cmpstr (events->str, ==, expected);
  g_string_free (events, TRUE);
  events = NULL;
}

static void
test_signals (gconstpointer kind)
{
  MpPool *pool = watched_pool (kind, 1, NULL, 0);

  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (4)), ==, 16);
  finish (pool);
  expect_events ("+0-0 pool closed 0 ");
}

static void
test_recycling (gconstpointer kind)
{
  MpPool *pool = watched_pool (kind, 1, NULL, 2);

  for (int i = 0; i < 6; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  mp_pool_close (pool);
  mp_pool_join (pool, LONG, NULL, NULL);
  g_assert_true (g_str_has_prefix (events->str, "+0-0 recycled 0 +0-0 recycled 0 +0-0 recycled 0 "));
  g_string_free (events, TRUE);
  g_assert_finalize_object (pool);
}

static void
test_initializer (gconstpointer kind)
{
  MpPool *pool = NULL;

  n_initialized = 0;
  pool = watched_pool (kind, 1, MP_FUNCTION (set_up), 1);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_set_up), NULL), ==, 1);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_set_up), NULL), ==,
                   ((const Kind *) kind)->backend == MP_BACKEND_PROCESSES ? 1 : 2);
  finish (pool);
  g_string_free (events, TRUE);
}

static void
test_failing_initializer (gconstpointer kind)
{
  MpPool *pool = watched_pool (kind, 1, MP_FUNCTION (fail_set_up), 0);

  expect_failure (pool, MP_ERROR, MP_ERROR_FULL, "the initializer “fail_set_up” failed in worker 0: no room here");
  expect_events ("+0-0 initializer failed 0 +0-0 initializer failed 0 +0-0 initializer failed 0 ");
}

/* Ends. */

static void
test_terminate (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  MpFuture *futures[50];
  guint n_ended = 0;

  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    futures[i] = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  mp_pool_terminate (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_future_get (futures[i], 0, NULL, &error);

      if (value == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      n_ended += mp_future_is_ready (futures[i]);
      g_object_unref (futures[i]);
    }
  g_assert_cmpuint (n_ended, ==, G_N_ELEMENTS (futures));
  g_assert_finalize_object (pool);
}

static void
test_close (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(GError) error = NULL;

  mp_pool_close (pool);
  g_assert_null (mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  g_assert_cmpint (get_int (future), ==, 25);
  g_assert_finalize_object (pool);
}

static void
test_dropped (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 2);
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(GError) error = NULL;

  g_assert_finalize_object (pool);
  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static void
test_many (gconstpointer kind)
{
  MpPool *pool = pool_for (kind, 4);
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);

  for (int i = 0; i < 5000; i++)
    g_ptr_array_add (futures, submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i)));
  for (int i = 0; i < 5000; i++)
    g_assert_cmpint (get_int (futures->pdata[i]), ==, i * i);
  finish (pool);
}

int
main (int argc, char **argv)
{
  static const Kind kinds[] = {
    { "processes", MP_BACKEND_PROCESSES },
    { "threads", MP_BACKEND_THREADS },
    { "inline", MP_BACKEND_INLINE },
  };
  static const struct
  {
    const char    *name;
    GTestDataFunc  func;
  } tests[] = {
    { "apply", test_apply },
    { "values", test_values },
    { "abnormal-values", test_abnormal_values },
    { "errors", test_errors },
    { "error-details", test_error_details },
    { "map", test_map },
    { "map/strings", test_map_of_strings },
    { "map/errors", test_map_errors },
    { "imap", test_imap },
    { "imap/unordered", test_imap_unordered },
    { "items", test_items },
    { "async-calls", test_async_calls },
    { "async-functions", test_async_functions },
    { "invocation", test_invocation },
    { "progress", test_progress },
    { "objects", test_objects },
    { "objects/stale", test_stale_object },
    { "signals", test_signals },
    { "recycling", test_recycling },
    { "initializer", test_initializer },
    { "initializer/fails", test_failing_initializer },
    { "terminate", test_terminate },
    { "close", test_close },
    { "dropped", test_dropped },
    { "many", test_many },
  };

  mp_function_register_async ("answer-later", answer_later, NULL, NULL);
  mp_function_register_async ("answer-at-once", answer_at_once, NULL, NULL);
  mp_init ();
  g_test_init (&argc, &argv, NULL);
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
      {
        g_autofree char *path = g_strdup_printf ("/pool-backends/%s/%s", kinds[k].name, tests[i].name);

        g_test_add_data_func (path, &kinds[k], tests[i].func);
      }

  return g_test_run ();
}
