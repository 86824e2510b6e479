/* test-pool-map.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* Items of all kinds, cut into chunks and put together again, at once and one by one. */

static GVariant *
text_or_number (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  return x % 10 == 7 ? g_variant_new_string ("seven") : g_variant_new_int32 (x);
}

/* Of one type for the first half. */
static GVariant *
number_then_text (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  return x >= 50 ? g_variant_new_string ("late") : g_variant_new_int32 (x);
}

static GVariant *
greet (GVariant *args, gpointer user_data, GError **error)
{
  g_autofree char *text = g_strdup_printf ("hello %s", g_variant_get_string (args, NULL));

  return g_variant_new_string (text);
}

static GVariant *
add_pair (GVariant *args, gpointer user_data, GError **error)
{
  int a, b;

  g_variant_get (args, "(ii)", &a, &b);
  return g_variant_new_int32 (a + b);
}

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
fail_odd (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  if (x % 2 == 0)
    return g_variant_new_int32 (x);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "odd: %d", x);
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
lose_one (GVariant *args, gpointer user_data, GError **error)
{
  gsize n = 0;
  const gint32 *numbers = g_variant_get_fixed_array (args, &n, sizeof (gint32));

  return g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, n - 1, sizeof (gint32));
}

static void
test_map_numbers (void)
{
  static const int sizes[] = { 1, 2, 3, 7, 8, 9, 100, 4097 };
  static const guint chunks[] = { 0, 1, 3, 1000 };
  MpPool *pool = mp_pool_new (3);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint j = 0; j < G_N_ELEMENTS (chunks); j++)
      {
        g_autoptr(GVariant) result = map (pool, MP_FUNCTION (square), make_ints (sizes[i]), chunks[j]);

        check_squares (result, sizes[i]);
      }
  finish (pool);
}

/* The same items back, whatever they are and however they are cut. */
static void
test_map_types (void)
{
  static const char * const texts[] = {
    "[true, false, true]", "@ay [1, 2, 3, 4, 5]", "@an [-1, 2]", "@ax [1, 2, 3]", "[1.5, -0.5, 2e300]",
    "['a', 'bc', '', 'def']", "[(1, 2), (3, 4), (5, 6)]", "[('x', 1), ('longer', 2)]", "{'one': 1, 'two': 2}",
    "[[1, 2], [], [3]]", "[@mi 1, nothing]", "[@(yx) (1, 2), (3, 4)]", "[(), ()]", "@ad []",
  };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    for (guint chunk_size = 0; chunk_size < 3; chunk_size++)
      {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) items = g_variant_parse (NULL, texts[i], NULL, NULL, &error);
        g_autoptr(GVariant) result = NULL;

        g_assert_no_error (error);
        result = map (pool, MP_FUNCTION (echo), items, chunk_size);
        if (g_variant_n_children (items) > 0)
          g_assert_true (g_variant_equal (items, result));
        else
          g_assert_cmpstr (g_variant_get_type_string (result), ==, "av");
      }
  finish (pool);
}

static void
test_map_boxed (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) uniform = NULL, mixed = NULL, types = NULL;
  g_autofree char *text = NULL;
  g_autofree const char **names = NULL;

  /* Each item comes out of its variant. */
  uniform = map (pool, MP_FUNCTION (square), g_variant_new_parsed ("[<1>, <2>, <3>]"), 0);
  g_assert_cmpstr (g_variant_get_type_string (uniform), ==, "ai");
  types = map (pool, MP_FUNCTION (describe_type), g_variant_new_parsed ("[<1>, <'a'>, <(1, 2)>]"), 2);
  names = g_variant_get_strv (types, NULL);
  g_assert_cmpstr (names[0], ==, "i");
  g_assert_cmpstr (names[2], ==, "(ii)");
  mixed = map (pool, MP_FUNCTION (echo), g_variant_new_parsed ("[<1>, <'a'>, <(1, 2)>]"), 1);
  text = g_variant_print (mixed, FALSE);
  g_assert_cmpstr (text, ==, "[<1>, <'a'>, <(1, 2)>]");
  finish (pool);
}

static void
check_mixed (GVariant *result, int n, gboolean late)
{
  g_assert_cmpstr (g_variant_get_type_string (result), ==, "av");
  g_assert_cmpuint (g_variant_n_children (result), ==, n);
  for (int i = 0; i < n; i++)
    {
      g_autoptr(GVariant) box = g_variant_get_child_value (result, i);
      g_autoptr(GVariant) item = g_variant_get_variant (box);

      if (late ? i >= 50 : i % 10 == 7)
        g_assert_cmpstr (g_variant_get_string (item, NULL), ==, late ? "late" : "seven");
      else
        g_assert_cmpint (g_variant_get_int32 (item), ==, i);
    }
}

static void
test_map_mixed_results (void)
{
  static const guint chunks[] = { 0, 1, 4, 10, 50, 100 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++)
    {
      g_autoptr(GVariant) mixed = map (pool, MP_FUNCTION (text_or_number), make_ints (100), chunks[i]);
      g_autoptr(GVariant) late = map (pool, MP_FUNCTION (number_then_text), make_ints (100), chunks[i]);

      check_mixed (mixed, 100, FALSE);
      check_mixed (late, 100, TRUE);
    }
  finish (pool);
}

static void
test_map_strings_and_tuples (void)
{
  static const char * const names[] = { "a", "b", "c", "d", "e", NULL };
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) greetings = NULL, sums = NULL;
  g_autofree const char **strings = NULL;
  g_autofree char *text = NULL;

  greetings = map (pool, MP_FUNCTION (greet), g_variant_new_strv (names, -1), 2);
  strings = g_variant_get_strv (greetings, NULL);
  g_assert_cmpuint (g_strv_length ((char **) strings), ==, 5);
  g_assert_cmpstr (strings[4], ==, "hello e");
  sums = map (pool, MP_FUNCTION (add_pair), g_variant_new_parsed ("[(1, 2), (3, 4), (5, 6)]"), 0);
  text = g_variant_print (sums, FALSE);
  g_assert_cmpstr (text, ==, "[3, 7, 11]");
  finish (pool);
}

static void
test_map_empty (void)
{
  MpPool *pool = mp_pool_new (1);
  const char *declared = MP_FUNCTION_FULL (square, "i", "i", MP_FUNCTION_FLAGS_NONE);
  g_autoptr(GVariant) undeclared = map (pool, MP_FUNCTION (square), make_ints (0), 0);
  g_autoptr(GVariant) typed = map (pool, declared, make_ints (0), 0);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = NULL;

  g_assert_cmpstr (g_variant_get_type_string (undeclared), ==, "av");
  g_assert_cmpstr (g_variant_get_type_string (typed), ==, "ai");
  iter = mp_pool_imap (pool, declared, make_ints (0), 0, &error);
  g_assert_no_error (error);
  g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
  g_assert_no_error (error);
  finish (pool);
}

static void
test_map_error (void)
{
  static const guint chunks[] = { 0, 1, 3 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++)
    {
      g_autoptr(GError) error = NULL;

      /* The first by its place, and a domain of its own comes through. */
      g_assert_null (mp_pool_map (pool, MP_FUNCTION (fail_from_ten), make_ints (100), chunks[i], LONG, NULL, &error));
      g_assert_error (error, g_quark_from_string ("test-pool-error"), error->code);
      g_assert_cmpint (error->code, >=, 10);
      g_assert_cmpint (error->code, <=, i == 0 ? 13 : 12);
      if (chunks[i] == 1)
        g_assert_cmpstr (error->message, ==, "item 10 is too large");
    }
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  finish (pool);
}

/* Fails when it is let go, with the number that it was given. */
static GVariant *
fail_at_gate (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) number = g_variant_get_child_value (args, 0);
  g_autoptr(GVariant) gate = g_variant_get_child_value (args, 1);
  g_autoptr(GVariant) result = wait_at_gate (gate, NULL, error);

  if (result != NULL)
    g_set_error_literal (error, g_quark_from_string ("test-pool-error"), g_variant_get_int32 (number), "let go");
  return NULL;
}

static void
count_failure_cb (MpPool *pool, const char *function, GError *error, GVariant *details, gpointer user_data)
{
  ++*(guint *) user_data;
}

/* The first by its place is not the first in time. */
static void
test_map_first_error (void)
{
  MpPool *pool = mp_pool_new (2);
  Gate gates[2] = { gate_new (), gate_new () };
  g_autoptr(GVariantBuilder) builder = g_variant_builder_new (G_VARIANT_TYPE ("a(ih)"));
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GError) error = NULL;
  guint n_failed = 0;

  g_signal_connect (pool, "task-failed", G_CALLBACK (count_failure_cb), &n_failed);
  for (int i = 0; i < 2; i++)
    g_variant_builder_add (builder, "(i@h)", i, gate_handle (&gates[i]));
  future = mp_pool_submit_map (pool, MP_FUNCTION (fail_at_gate), g_variant_builder_end (builder), 1, &error);
  g_assert_no_error (error);
  for (int i = 1; i >= 0; i--)
    {
      gate_await (&gates[i]);
      gate_open (&gates[i]);
      while (n_failed < (guint) (2 - i))
        g_main_context_iteration (NULL, TRUE);
    }
  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, g_quark_from_string ("test-pool-error"), 0);
  gate_clear (&gates[0]);
  gate_clear (&gates[1]);
  finish (pool);
}

/* Two large results that are there at one time: that of a worker has been sent when its next task has begun. */
static void
test_map_large_at_once (void)
{
  MpPool *pool = mp_pool_new (2);
  Gate gates[2] = { gate_new (), gate_new () };
  MpFuture *waiting[2];
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;

  /* Both are up. */
  for (int i = 0; i < 2; i++)
    waiting[i] = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gates[i]));
  for (int i = 0; i < 2; i++)
    gate_await (&gates[i]);
  for (int i = 0; i < 2; i++)
    {
      gate_open (&gates[i]);
      get_int (waiting[i]);
      g_object_unref (waiting[i]);
    }

  future = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (40000), 20000, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 2; i++)
    waiting[i] = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gates[i]));
  /* Nobody reads the results meanwhile; unless a worker had something to give back still, and needs an owner. */
  for (int i = 0; i < 2; i++)
    if (mp_connection_poll (gates[i].near, G_USEC_PER_SEC / 5, NULL, NULL))
      gate_await_in_thread (&gates[i]);
    else
      gate_await (&gates[i]);
  result = mp_future_get (future, LONG, NULL, &error);
  g_assert_no_error (error);
  check_squares (result, 40000);
  for (int i = 0; i < 2; i++)
    {
      gate_open (&gates[i]);
      get_int (waiting[i]);
      g_object_unref (waiting[i]);
      gate_clear (&gates[i]);
    }
  finish (pool);
}

static void
test_chunk_function (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) result = map (pool, MP_CHUNK_FUNCTION (square_chunk), make_ints (1000), 0);
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;

  check_squares (result, 1000);
  g_assert_null (mp_pool_map (pool, MP_CHUNK_FUNCTION (lose_one), make_ints (10), 5, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);

  iter = mp_pool_imap (pool, MP_CHUNK_FUNCTION (square_chunk), make_ints (10), 3, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 10; i++)
    {
      g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpint (g_variant_get_int32 (value), ==, i * i);
    }
  g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
  g_assert_no_error (error);
  finish (pool);
}

static void
check_iter (MpPool *pool, gboolean ordered, int n, guint chunk_size)
{
  g_autofree gboolean *seen = g_new0 (gboolean, n + 1);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = NULL;

  if (ordered)
    iter = mp_pool_imap (pool, MP_FUNCTION (square), make_ints (n), chunk_size, &error);
  else
    iter = mp_pool_imap_unordered (pool, MP_FUNCTION (echo), make_ints (n), chunk_size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, n);
  for (int i = 0; i < n; i++)
    {
      g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);
      int x;

      g_assert_no_error (error);
      x = g_variant_get_int32 (value);
      if (ordered)
        {
          g_assert_cmpint (x, ==, i * i);
        }
      else
        {
          g_assert_cmpint (x, <, n);
          g_assert_false (seen[x]);
          seen[x] = TRUE;
        }
    }
  for (int i = 0; i < 2; i++)
    {
      g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
      g_assert_no_error (error);
    }
}

static void
test_imap (void)
{
  static const int sizes[] = { 1, 2, 10, 1000, 5000 };
  static const guint chunks[] = { 0, 1, 3, 100 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint j = 0; j < G_N_ELEMENTS (chunks); j++)
      {
        check_iter (pool, TRUE, sizes[i], chunks[j]);
        check_iter (pool, FALSE, sizes[i], chunks[j]);
      }
  finish (pool);
}

/* One worker alone has chunks whose errors stand elsewhere one after the other. */
static void
check_imap_errors (guint n_workers)
{
  MpPool *pool = mp_pool_new (n_workers);

  for (guint chunk_size = 1; chunk_size < 5; chunk_size++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (fail_odd), make_ints (30), chunk_size, &error);

      for (int i = 0; i < 30; i++)
        {
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);
          g_autofree char *text = g_strdup_printf ("odd: %d", i);

          if (i % 2 == 0)
            {
              g_assert_no_error (error);
              g_assert_cmpint (g_variant_get_int32 (value), ==, i);
              continue;
            }
          g_assert_null (value);
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
          g_assert_cmpstr (error->message, ==, text);
          g_clear_error (&error);
        }
      g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
      g_assert_no_error (error);
    }
  finish (pool);
}

static void
test_imap_errors (void)
{
  check_imap_errors (1);
  check_imap_errors (2);
}

static void
test_imap_async (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (square), make_ints (3), 1, &error);
  GAsyncResult *results[5] = { NULL };

  for (int i = 0; i < 5; i++)
    mp_result_iter_next_async (iter, NULL, result_cb, &results[i]);
  for (int i = 0; i < 5; i++)
    {
      g_autoptr(GVariant) value = NULL;

      while (results[i] == NULL)
        g_main_context_iteration (NULL, TRUE);
      value = mp_result_iter_next_finish (iter, results[i], &error);
      g_assert_no_error (error);
      if (i < 3)
        g_assert_cmpint (g_variant_get_int32 (value), ==, i * i);
      else
        g_assert_null (value);
      g_object_unref (results[i]);
    }
  finish (pool);
}

static int n_started;

static GVariant *
count_start (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (++n_started);
}

/* A reader that takes its time does not find all computed: the last one says how many had been begun before it. */
static void
test_imap_is_bounded (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (count_start), make_ints (100000), 1, &error);
  G_GNUC_UNUSED g_autoptr(GVariant) first = mp_result_iter_next (iter, LONG, NULL, &error);
  int n;

  g_assert_no_error (error);
  /* All that may run has run when this has. */
  n = apply_int (pool, MP_FUNCTION (count_start), NULL);
  g_assert_cmpint (n, >, 1);
  g_assert_cmpint (n, <, 100);
  g_assert_finalize_object (g_steal_pointer (&iter));
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (count_start), NULL), <, 100);
  finish (pool);
}

static void
test_imap_timeout (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(GVariant) handle = g_variant_ref_sink (gate_handle (&gate));
  g_autoptr(GError) error = NULL;
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;

  iter = mp_pool_imap (pool, MP_FUNCTION (wait_at_gate), g_variant_new_array (NULL, &handle, 1), 1, &error);
  g_assert_no_error (error);
  gate_await (&gate);
  g_assert_null (mp_result_iter_next (iter, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  mp_result_iter_next_async (iter, cancellable, result_cb, &result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_result_iter_next_finish (iter, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  gate_open (&gate);
  value = mp_result_iter_next (iter, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (value);
  gate_clear (&gate);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-map/numbers", test_map_numbers);
  g_test_add_func ("/pool-map/types", test_map_types);
  g_test_add_func ("/pool-map/boxed", test_map_boxed);
  g_test_add_func ("/pool-map/mixed-results", test_map_mixed_results);
  g_test_add_func ("/pool-map/strings-and-tuples", test_map_strings_and_tuples);
  g_test_add_func ("/pool-map/empty", test_map_empty);
  g_test_add_func ("/pool-map/error", test_map_error);
  g_test_add_func ("/pool-map/first-error", test_map_first_error);
  g_test_add_func ("/pool-map/large-at-once", test_map_large_at_once);
  g_test_add_func ("/pool-map/chunk-function", test_chunk_function);
  g_test_add_func ("/pool-map/imap", test_imap);
  g_test_add_func ("/pool-map/imap/errors", test_imap_errors);
  g_test_add_func ("/pool-map/imap/async", test_imap_async);
  g_test_add_func ("/pool-map/imap/is-bounded", test_imap_is_bounded);
  g_test_add_func ("/pool-map/imap/timeout", test_imap_timeout);

  return g_test_run ();
}
