/* test-pool.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <signal.h>
#include <stdlib.h>

#include "mp-glib/platform/mp-process-control-private.h"

/* Values, errors, workers and objects of a pool, with a main loop where it matters. */

static GVariant *
describe_type (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_string (g_variant_get_type_string (args));
}

static GVariant *
fail_from_ten (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  if (x < 10)
    return g_variant_new_int32 (x);
  g_set_error (error, g_quark_from_string ("test-pool-error"), x, "item %d is too large", x);
  return NULL;
}

static GVariant *
fail_with_details (GVariant *args, gpointer user_data, GError **error)
{
  GVariantDict details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr(GVariant) all = NULL;

  g_variant_dict_insert (&details, "traceback", "s", "line 1\nline 2");
  all = g_variant_ref_sink (g_variant_dict_end (&details));
  mp_invocation_set_error_details (mp_invocation_get_current (), all);
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "not here");
  return NULL;
}

static GVariant *
return_nothing (GVariant *args, gpointer user_data, GError **error)
{
  return NULL;
}

static GVariant *
square_chunk (GVariant *args, gpointer user_data, GError **error)
{
  gsize n = 0;
  const gint32 *numbers = g_variant_get_fixed_array (args, &n, sizeof (gint32));
  g_autofree gint32 *squares = g_new (gint32, n);

  for (gsize i = 0; i < n; i++)
    squares[i] = (guint32) numbers[i] * (guint32) numbers[i];
  return g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, squares, n, sizeof (gint32));
}

static GVariant *
tell_worker (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (mp_invocation_get_worker_number (mp_invocation_get_current ()));
}

/* Initializers, and what shows that they ran. */

static int initialized_with = -1;

static GVariant *
initialize (GVariant *args, gpointer user_data, GError **error)
{
  initialized_with = g_variant_get_int32 (args);
  return NULL;
}

static GVariant *
tell_initialized (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (initialized_with);
}

static GVariant *
count_calls (GVariant *args, gpointer user_data, GError **error)
{
  static int n;

  return g_variant_new ("(ii)", getpid (), ++n);
}

/* Objects. */

static GVariant *
give_pipe (GVariant *args, gpointer user_data, GError **error)
{
  static MpConnection *near, *far;

  if (!mp_pipe_new (TRUE, &near, &far, error) ||
      !mp_connection_send (near, g_variant_new_string ("from the worker"), LONG, NULL, error))
    return NULL;
  return mp_shareable_to_variant (MP_SHAREABLE (far));
}

/* Functions that answer later. */

static gboolean
answer_cb (gpointer user_data)
{
  MpInvocation *invocation = user_data;

  mp_invocation_return_value (invocation, g_variant_new_int32 (42));
  return G_SOURCE_REMOVE;
}

static void
answer_later (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  GSource *source = g_idle_source_new ();

  if (g_variant_is_of_type (args, G_VARIANT_TYPE_INT32) && g_variant_get_int32 (args) < 0)
    {
      g_autoptr(GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "less than nothing");

      mp_invocation_return_error (invocation, error);
      g_source_unref (source);
      return;
    }
  g_source_set_callback (source, answer_cb, g_object_ref (invocation), g_object_unref);
  g_source_attach (source, g_main_context_get_thread_default ());
  g_source_unref (source);
}

/* A pool in a worker. */
static GVariant *
sum_of_squares (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  g_autoptr(GVariant) result = mp_pool_map (pool, MP_FUNCTION (square), make_ints (g_variant_get_int32 (args)), 0, LONG,
                                            NULL, error);
  gsize n = 0;
  const gint32 *squares;
  int sum = 0;

  if (result == NULL)
    return NULL;
  squares = g_variant_get_fixed_array (result, &n, sizeof (gint32));
  for (gsize i = 0; i < n; i++)
    sum += squares[i];
  return g_variant_new_int32 (sum);
}

/* Tests. */

static void
test_start_methods (void)
{
  static const MpStartMethod methods[] = { MP_START_METHOD_FORK, MP_START_METHOD_SPAWN, MP_START_METHOD_FORKSERVER };
  g_auto(GStrv) threads = mp_platform_list_threads ();

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    {
      g_autoptr(MpContext) context = NULL;
      g_autoptr(GVariant) result = NULL;
      MpPool *pool = NULL;

      if (methods[i] == MP_START_METHOD_FORK && (threads == NULL || threads[0] != NULL))
        continue;
      context = mp_context_new (methods[i]);
      pool = mp_pool_new_full (2, MP_FUNCTION (initialize), g_variant_new_int32 (1), 2, context);
      result = map (pool, MP_FUNCTION (square), make_ints (100), 9);
      check_squares (result, 100);
      finish (pool);
    }
}

static void
test_apply (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) unit = NULL, big = NULL, empty = NULL;

  g_assert_cmpuint (mp_pool_get_n_workers (pool), ==, 2);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (7)), ==, 49);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), !=, getpid ());
  unit = apply (pool, MP_FUNCTION (describe_type), NULL);
  g_assert_cmpstr (g_variant_get_string (unit, NULL), ==, "()");
  big = apply (pool, MP_FUNCTION (echo), make_ints (100000));
  g_assert_cmpuint (g_variant_n_children (big), ==, 100000);
  empty = apply (pool, MP_FUNCTION (echo), g_variant_new ("as", NULL));
  g_assert_cmpstr (g_variant_get_type_string (empty), ==, "as");
  finish (pool);
}

static void
test_error_details (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (fail_with_details), NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL, same = NULL;
  const char *text = NULL;

  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_cmpstr (error->message, ==, "not here");
  g_assert_false (mp_future_is_successful (future));
  g_assert_true (mp_future_is_ready (future));
  details = mp_future_dup_error_details (future);
  g_assert_true (g_variant_lookup (details, "traceback", "&s", &text));
  g_assert_cmpstr (text, ==, "line 1\nline 2");
  g_assert_true (g_variant_lookup (details, "function", "&s", &text));
  g_assert_cmpstr (text, ==, "fail_with_details");
  g_assert_true (g_variant_lookup (details, "worker", "&s", &text));
  same = mp_error_dup_details (error);
  g_assert_nonnull (same);
  g_assert_true (g_variant_equal (details, same));
  finish (pool);
}

static void
expect_error (MpPool *pool, const char *function, GVariant *args, GQuark domain, int code, const char *part)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) result = mp_pool_apply (pool, function, args, LONG, NULL, &error);

  g_assert_null (result);
  g_assert_error (error, domain, code);
  g_assert_nonnull (strstr (error->message, part));
}

static void
test_bad_functions (void)
{
  MpPool *pool = mp_pool_new (1);
  const char *typed = MP_FUNCTION_FULL (echo, "i", "i", MP_FUNCTION_FLAGS_NONE);
  const char *wrong = MP_FUNCTION_FULL (echo, NULL, "s", MP_FUNCTION_FLAGS_NONE);
  g_autoptr(GError) error = NULL;

  expect_error (pool, "no-such-function", NULL, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION, "no-such-function");
  expect_error (pool, MP_FUNCTION (return_nothing), NULL, MP_ERROR, MP_ERROR_NO_RESULT, "return_nothing");
  expect_error (pool, typed, g_variant_new_string ("no"), MP_ERROR, MP_ERROR_INVALID_TYPE, "echo");
  expect_error (pool, wrong, g_variant_new_int32 (1), MP_ERROR, MP_ERROR_INVALID_TYPE, "echo");
  expect_error (pool, "", NULL, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "name");
  g_assert_null (mp_pool_submit (pool, typed, g_variant_new_string ("no"), &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);
  g_assert_null (mp_pool_map (pool, MP_FUNCTION (square), g_variant_new_int32 (1), 0, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  finish (pool);
}

static void
test_async (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GAsyncResult) applied = NULL, mapped = NULL, failed = NULL, got = NULL, waited = NULL, refused = NULL;
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (6));
  g_autoptr(GVariant) value = NULL, squares = NULL, result = NULL;
  g_autoptr(GError) error = NULL;

  mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (5), NULL, result_cb, &applied);
  mp_pool_map_async (pool, MP_FUNCTION (square), make_ints (1000), 0, NULL, result_cb, &mapped);
  mp_pool_apply_async (pool, MP_FUNCTION (return_nothing), NULL, NULL, result_cb, &failed);
  mp_pool_map_async (pool, MP_FUNCTION (square), g_variant_new_int32 (1), 0, NULL, result_cb, &refused);
  mp_future_get_async (future, NULL, result_cb, &got);
  mp_future_wait_async (future, NULL, result_cb, &waited);
  g_assert_null (applied);
  g_assert_null (refused);
  while (applied == NULL || mapped == NULL || failed == NULL || got == NULL || waited == NULL || refused == NULL)
    g_main_context_iteration (NULL, TRUE);

  value = mp_pool_apply_finish (pool, applied, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 25);
  squares = mp_pool_map_finish (pool, mapped, &error);
  g_assert_no_error (error);
  check_squares (squares, 1000);
  result = mp_future_get_finish (future, got, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (result), ==, 36);
  g_assert_true (mp_future_wait_finish (future, waited, &error));
  g_assert_null (mp_pool_apply_finish (pool, failed, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NO_RESULT);
  g_clear_error (&error);
  g_assert_null (mp_pool_map_finish (pool, refused, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);

  g_clear_object (&applied);
  g_clear_object (&mapped);
  g_clear_object (&failed);
  g_clear_object (&refused);
  finish (pool);
}

static void
test_async_cancel (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GCancellable) before = g_cancellable_new ();
  g_autoptr(GAsyncResult) queued = NULL, late = NULL, waiting = NULL;
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (5), cancellable, result_cb, &queued);
  mp_future_get_async (busy, cancellable, result_cb, &waiting);
  g_cancellable_cancel (cancellable);
  g_assert_null (queued);
  g_cancellable_cancel (before);
  mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (5), before, result_cb, &late);
  while (queued == NULL || late == NULL || waiting == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_pool_apply_finish (pool, queued, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (mp_pool_apply_finish (pool, late, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (mp_future_get_finish (busy, waiting, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  /* The task itself was not called off with the wait. */
  gate_open (&gate);
  get_int (busy);
  gate_clear (&gate);
  g_clear_object (&queued);
  g_clear_object (&late);
  finish (pool);
}

static gpointer
cancel_at_gate (gpointer data)
{
  gpointer *both = data;

  gate_await_in_thread (both[0]);
  g_cancellable_cancel (both[1]);
  return NULL;
}

static void
test_blocking_ends_early (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new (), other = gate_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  gpointer both[] = { &gate, cancellable };
  GThread *thread = NULL;
  g_autoptr(GVariant) pair = NULL;
  int n;
  g_autoptr(GError) error = NULL;

  thread = g_thread_new ("cancel", cancel_at_gate, both);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_thread_join (thread);

  /* What is queued behind it is dropped unsent or unheard; what comes then is served. */
  g_assert_null (mp_pool_map (pool, MP_FUNCTION (count_calls), make_ints (1000), 1, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (wait_at_gate), gate_handle (&other), 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  gate_open (&gate);
  gate_open (&other);
  pair = apply (pool, MP_FUNCTION (count_calls), NULL);
  g_variant_get (pair, "(ii)", NULL, &n);
  g_assert_cmpint (n, <, 200);
  gate_clear (&gate);
  gate_clear (&other);
  finish (pool);
}

static void
test_initializer (void)
{
  MpPool *pool = mp_pool_new_full (2, MP_FUNCTION (initialize), g_variant_new_int32 (77), 1, NULL);

  for (int i = 0; i < 10; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_initialized), NULL), ==, 77);
  finish (pool);
}

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  GHashTable *reasons = user_data;
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (reasons, reason));

  g_assert_cmpint (pid, >, 0);
  if (strcmp (reason, "recycled") == 0)
    g_assert_cmpint (status, ==, 0);
  g_hash_table_insert (reasons, g_strdup (reason), GUINT_TO_POINTER (n + 1));
}

static void
started_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  g_assert_cmpuint (number, <, mp_pool_get_n_workers (pool));
  g_assert_cmpint (pid, >, 0);
  ++*(guint *) user_data;
}

static void
test_recycling (void)
{
  MpPool *pool = mp_pool_new_full (2, NULL, NULL, 3, NULL);
  g_autoptr(GHashTable) reasons = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GHashTable) counts = g_hash_table_new (NULL, NULL);
  g_autoptr(GVariant) pairs = NULL;
  g_autoptr(GError) error = NULL;
  GVariantIter iter;
  guint n_seen = 0, n_full = 0;
  int pid, n;

  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), reasons);
  g_signal_connect (pool, "worker-started", G_CALLBACK (started_cb), &n_seen);
  pairs = map (pool, MP_FUNCTION (count_calls), make_ints (30), 1);
  g_variant_iter_init (&iter, pairs);
  while (g_variant_iter_next (&iter, "(ii)", &pid, &n))
    {
      g_assert_cmpint (n, <=, 3);
      g_hash_table_add (counts, GINT_TO_POINTER (pid));
      n_full += n == 3;
    }
  /* The last three may be two workers'. */
  g_assert_cmpuint (g_hash_table_size (counts), >=, 10);
  g_assert_cmpuint (n_full, >=, 9);
  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, &error));
  g_assert_cmpuint (GPOINTER_TO_UINT (g_hash_table_lookup (reasons, "recycled")), ==, n_full);
  g_assert_null (g_hash_table_lookup (reasons, "died"));
  g_assert_cmpuint (n_seen, >=, 10);
  g_assert_finalize_object (pool);
}

typedef struct
{
  guint  n_failed;
  char  *function;
  GError *error;
} Failures;

static void
failed_cb (MpPool *pool, const char *function, GError *error, GVariant *details, gpointer user_data)
{
  Failures *failures = user_data;

  failures->n_failed++;
  g_free (failures->function);
  failures->function = g_strdup (function);
  g_clear_error (&failures->error);
  failures->error = g_error_copy (error);
  g_assert_true (g_variant_is_of_type (details, G_VARIANT_TYPE_VARDICT));
}

static void
test_task_failed (void)
{
  MpPool *pool = mp_pool_new (1);
  Failures failures = { 0 };
  g_autoptr(GError) error = NULL;

  g_signal_connect (pool, "task-failed", G_CALLBACK (failed_cb), &failures);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (fail_from_ten), g_variant_new_int32 (10), LONG, NULL, &error));
  g_assert_cmpuint (failures.n_failed, ==, 1);
  g_assert_cmpstr (failures.function, ==, "fail_from_ten");
  g_assert_error (failures.error, g_quark_from_string ("test-pool-error"), 10);
  g_clear_error (&failures.error);
  g_free (failures.function);
  finish (pool);
}

static void
test_objects (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) handle = NULL, handle2 = NULL, word = NULL;
  g_autoptr(GObject) connection = NULL;
  g_autoptr(GVariantBuilder) builder = g_variant_builder_new (G_VARIANT_TYPE ("ah"));
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GError) error = NULL;
  Gate gates[3];

  handle = apply (pool, MP_FUNCTION (give_pipe), NULL);
  connection = G_OBJECT (mp_shareable_from_variant (handle, &error));
  g_assert_no_error (error);
  word = mp_connection_recv (MP_CONNECTION (connection), LONG, NULL, &error);
  g_assert_cmpstr (g_variant_get_string (word, NULL), ==, "from the worker");

  /* The items of a map; they are held from the call on. */
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    {
      gates[i] = gate_new ();
      g_variant_builder_add_value (builder, gate_handle (&gates[i]));
    }
  future = mp_pool_submit_map (pool, MP_FUNCTION (wait_at_gate), g_variant_builder_end (builder), 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    g_clear_object (&gates[i].far);
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    {
      gate_await (&gates[i]);
      gate_open (&gates[i]);
    }
  g_assert_true (mp_future_wait (future, LONG, NULL, &error));
  g_assert_true (mp_future_is_successful (future));
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    gate_clear (&gates[i]);

  finish (pool);

  /* The same before there is a worker to send them to. */
  pool = mp_pool_new (1);
  g_clear_object (&future);
  gates[0] = gate_new ();
  handle2 = g_variant_ref_sink (gate_handle (&gates[0]));
  future = mp_pool_submit_map (pool, MP_FUNCTION (wait_at_gate), g_variant_new_array (NULL, &handle2, 1), 1, &error);
  g_assert_no_error (error);
  g_clear_pointer (&handle2, g_variant_unref);
  g_clear_object (&gates[0].far);
  gate_await (&gates[0]);
  gate_open (&gates[0]);
  g_assert_true (mp_future_wait (future, LONG, NULL, &error));
  g_assert_true (mp_future_is_successful (future));
  gate_clear (&gates[0]);

  /* A handle that stands for nothing. */
  g_assert_null (mp_pool_submit (pool, MP_FUNCTION (echo), g_variant_new_handle (12345678), &error));
  g_assert_nonnull (error);
  finish (pool);
}

static gpointer
call_from_thread (gpointer data)
{
  for (int i = 0; i < 200; i++)
    {
      g_autoptr(GVariant) squares = NULL;

      g_assert_cmpint (apply_int (data, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
      if (i % 50 == 0)
        {
          squares = map (data, MP_FUNCTION (square), make_ints (100), 9);
          check_squares (squares, 100);
        }
    }
  return NULL;
}

static void
test_threads (void)
{
  MpPool *pool = mp_pool_new (2);
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("caller", call_from_thread, pool);
  call_from_thread (pool);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  finish (pool);
}

static void
test_async_functions (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) all = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = NULL;

  g_assert_cmpint (apply_int (pool, "answer-later", g_variant_new_int32 (1)), ==, 42);
  all = map (pool, "answer-later", make_ints (50), 7);
  g_assert_cmpuint (g_variant_n_children (all), ==, 50);
  g_assert_null (mp_pool_apply (pool, "answer-later", g_variant_new_int32 (-1), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);
  iter = mp_pool_imap (pool, "answer-later", g_variant_new_parsed ("[1, -1, 2]"), 3, &error);
  for (int i = 0; i < 3; i++)
    {
      g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

      g_assert_true ((value != NULL) == (i != 1));
      g_clear_error (&error);
    }
  finish (pool);
}

static void
test_nested (void)
{
  MpPool *pool = mp_pool_new (2);

  g_assert_cmpint (apply_int (pool, MP_FUNCTION (sum_of_squares), g_variant_new_int32 (10)), ==, 285);
  finish (pool);
}

/* What is queued behind a task that takes its time does not wait for it while others are idle. */
static void
test_work_is_taken_back (void)
{
  MpPool *pool = mp_pool_new (2);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) slow = NULL;
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);

  /* Both are up. */
  for (int i = 0; i < 20; i++)
    apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  expect_short (pool);
  slow = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  for (int i = 0; i < 100; i++)
    g_ptr_array_add (futures, submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i)));
  for (int i = 0; i < 100; i++)
    g_assert_cmpint (get_int (g_ptr_array_index (futures, i)), ==, i * i);
  g_assert_false (mp_future_is_ready (slow));
  gate_await (&gate);
  gate_open (&gate);
  get_int (slow);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  gate_clear (&gate);
  finish (pool);
}

static void
test_worker_numbers (void)
{
  MpPool *pool = mp_pool_new (3);
  Gate gates[3];
  MpFuture *futures[3];
  g_autoptr(GHashTable) pids = g_hash_table_new (NULL, NULL);

  for (int i = 0; i < 3; i++)
    {
      gates[i] = gate_new ();
      futures[i] = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gates[i]));
    }
  for (int i = 0; i < 3; i++)
    {
      g_hash_table_add (pids, GINT_TO_POINTER (gate_await (&gates[i])));
    }
  g_assert_cmpuint (g_hash_table_size (pids), ==, 3);
  for (int i = 0; i < 3; i++)
    {
      gate_open (&gates[i]);
      get_int (futures[i]);
      g_object_unref (futures[i]);
      gate_clear (&gates[i]);
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_worker), NULL), <, 3);
    }
  finish (pool);
}

static void
test_many (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) million = map (pool, MP_FUNCTION (square), make_ints (is_slow () ? 200000 : 1000000), 1);
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GVariant) chunks = NULL;

  check_squares (million, g_variant_n_children (million));
  /* Large results of several workers arrive at one time. */
  for (int i = 0; i < 20; i++)
    {
      chunks = map (pool, MP_CHUNK_FUNCTION (square_chunk), make_ints (1000000), 0);
      check_squares (chunks, 1000000);
      g_clear_pointer (&chunks, g_variant_unref);
    }

  for (int i = 0; i < 10000; i++)
    g_ptr_array_add (futures, submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i)));
  mp_pool_terminate (pool);
  for (int i = 0; i < 10000; i++)
    g_assert_true (mp_future_is_ready (g_ptr_array_index (futures, i)));
  finish (pool);
}

/* Beyond the bound of the property it is the bound, and not the default that GObject would make of it. */
static void
test_too_many (void)
{
  const char *argv[] = { "/nonexistent", NULL };
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpPool) pool = NULL;

  mp_context_set_worker_argv (context, argv);
  pool = mp_pool_new_full (100000, NULL, NULL, 0, context);
  g_assert_cmpuint (mp_pool_get_n_workers (pool), ==, 65536);
  mp_pool_terminate (pool);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void     (* func) (void);
  } tests[] = {
    { "/pool/start-methods", test_start_methods },   /* first: there is one thread yet */
    { "/pool/apply", test_apply },
    { "/pool/error-details", test_error_details },
    { "/pool/bad-functions", test_bad_functions },
    { "/pool/async", test_async },
    { "/pool/async/cancel", test_async_cancel },
    { "/pool/blocking-ends-early", test_blocking_ends_early },
    { "/pool/initializer", test_initializer },
    { "/pool/recycling", test_recycling },
    { "/pool/task-failed", test_task_failed },
    { "/pool/objects", test_objects },
    { "/pool/threads", test_threads },
    { "/pool/async-functions", test_async_functions },
    { "/pool/nested", test_nested },
    { "/pool/work-is-taken-back", test_work_is_taken_back },
    { "/pool/worker-numbers", test_worker_numbers },
    { "/pool/many", test_many },
    { "/pool/too-many", test_too_many },
  };

  mp_function_register_async ("answer-later", answer_later, NULL, NULL);
  mp_init ();
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add_func (tests[i].path, tests[i].func);

  return g_test_run ();
}
