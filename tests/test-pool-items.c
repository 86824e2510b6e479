/* test-pool-items.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "items-test.h"

/* Input that is asked for as there is room: lists, and functions that give one item after another. */

static void
test_imap (void)
{
  static const int sizes[] = { 0, 1, 2, 10, 1000, 5000 };
  static const guint chunks[] = { 0, 1, 3, 100 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint j = 0; j < G_N_ELEMENTS (chunks); j++)
      {
        Count count = count_to (sizes[i]);
        g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, chunks[j], TRUE);

        for (int x = 0; x < sizes[i]; x++)
          g_assert_cmpint (next_int (iter), ==, x * x);
        expect_end (iter);
        g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, sizes[i]);
        g_assert_cmpint (count.n_asked, ==, sizes[i] + 1);
        g_assert_true (count.freed);
      }
  finish (pool);
}

static void
test_unordered (void)
{
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 5; chunk_size++)
    {
      Count count = count_to (1001);
      gboolean seen[1001] = { FALSE };
      g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (echo), &count, chunk_size, FALSE);

      for (int i = 0; i < 1001; i++)
        {
          int x = next_int (iter);

          g_assert_cmpint (x, <, 1001);
          g_assert_false (seen[x]);
          seen[x] = TRUE;
        }
      expect_end (iter);
    }
  finish (pool);
}

static void
test_array (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(MpItems) items = mp_items_new_for_array (make_ints (100));
  g_autoptr(MpItems) others = mp_items_new_for_array (make_ints (100));
  g_autoptr(MpItems) no_array = mp_items_new_for_array (g_variant_new_int32 (1));
  g_autoptr(MpResultIter) iter = iterate (pool, MP_FUNCTION (square), g_object_ref (items), 3, TRUE);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) result = NULL;

  g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, 100);
  for (int x = 0; x < 100; x++)
    g_assert_cmpint (next_int (iter), ==, x * x);
  expect_end (iter);

  result = mp_pool_map_with (pool, MP_FUNCTION (square), others, 0, NULL, LONG, NULL, &error);
  g_assert_no_error (error);
  check_squares (result, 100);

  /* Each can be used once. */
  g_assert_null (mp_pool_imap_with (pool, MP_FUNCTION (square), items, 1, TRUE, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (mp_pool_submit_map_with (pool, MP_FUNCTION (square), no_array, 1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  finish (pool);
}

/* Wherever the functions run. */
static void
test_backends (void)
{
  static const MpBackend backends[] = { MP_BACKEND_THREADS, MP_BACKEND_INLINE };

  for (guint i = 0; i < G_N_ELEMENTS (backends); i++)
    for (guint chunk_size = 1; chunk_size < 20; chunk_size += 6)
      {
        MpPool *pool = mp_pool_new_for_backend (backends[i], 2);
        Count count = count_to (1000), again = count_to (1000);
        g_autoptr(MpItems) items = mp_items_new_for_func (count_up, &again, count_freed);
        g_autoptr(MpResultIter) iter = NULL;
        g_autoptr(GVariant) result = NULL;
        g_autoptr(GError) error = NULL;

        count.fail_at = 700;
        iter = iterate_count (pool, MP_FUNCTION (square), &count, chunk_size, TRUE);
        for (int x = 0; x < 700; x++)
          g_assert_cmpint (next_int (iter), ==, x * x);
        expect_error (iter, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "no 700");
        expect_end (iter);
        result = mp_pool_map_with (pool, MP_FUNCTION (square), items, chunk_size, NULL, LONG, NULL, &error);
        g_assert_no_error (error);
        check_squares (result, 1000);
        finish (pool);
      }
}

/* The length is not known before the end has been seen. */
static void
test_length (void)
{
  MpPool *pool = mp_pool_new (1);
  Count count = count_to (1000);
  g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, 1, TRUE);

  g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, G_MAXSIZE);
  next_int (iter);
  g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, G_MAXSIZE);
  for (int x = 1; x < 1000; x++)
    next_int (iter);
  expect_end (iter);
  g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, 1000);
  finish (pool);
}

/* The error stands where the item would be, and everything before it comes first. */
static void
test_error (void)
{
  static const int places[] = { 0, 1, 7, 99, 100, 1234 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    for (guint chunk_size = 1; chunk_size < 20; chunk_size += 6)
      for (int ordered = 0; ordered < 2; ordered++)
        {
          Count count = count_to (10000);
          g_autoptr(MpResultIter) iter = NULL;
          g_autofree char *text = g_strdup_printf ("no %d", places[i]);
          gint64 sum = 0;

          count.fail_at = places[i];
          iter = iterate_count (pool, MP_FUNCTION (echo), &count, chunk_size, ordered);
          for (int x = 0; x < places[i]; x++)
            {
              int y = next_int (iter);

              sum += y;
              if (ordered)
                g_assert_cmpint (y, ==, x);
            }
          g_assert_cmpint (sum, ==, (gint64) places[i] * (places[i] - 1) / 2);
          expect_error (iter, G_IO_ERROR, G_IO_ERROR_NO_SPACE, text);
          g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, places[i] + 1);
          expect_end (iter);
          g_assert_false (count.asked_after);
          g_assert_true (count.freed);
        }
  finish (pool);
}

static GVariant *
die_at_five (GVariant *args, gpointer user_data, GError **error)
{
  if (g_variant_get_int32 (args) == 5)
    raise (SIGKILL);
  return g_variant_ref (args);
}

/* A worker's death costs its chunk; the input goes on. */
static void
test_death (void)
{
  for (guint chunk_size = 1; chunk_size < 4; chunk_size++)
    {
      MpPool *pool = mp_pool_new (2);
      Count count = count_to (100);
      g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (die_at_five), &count, chunk_size, TRUE);

      for (int x = 0; x < 100; x++)
        if (x / chunk_size == 5 / chunk_size)
          expect_error (iter, MP_ERROR, MP_ERROR_WORKER_DIED, "die_at_five");
        else
          g_assert_cmpint (next_int (iter), ==, x);
      expect_end (iter);
      finish (pool);
    }
}

/* Items of any types. */

static GVariant *
type_of (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_string (g_variant_get_type_string (args));
}

typedef struct
{
  const char *const *texts;
  guint              position;
} Texts;

static GVariant *
next_text (gpointer user_data, GError **error)
{
  Texts *self = user_data;
  const char *text = self->texts[self->position];

  if (text == NULL)
    return NULL;
  self->position++;
  return g_variant_parse (NULL, text, NULL, NULL, error);
}

static void
test_types (void)
{
  static const char *const texts[] = {
    "1", "2", "'a'", "'b'", "<'boxed'>", "<<7>>", "(1, 'x')", "[1, 2]", "@as []", "()", "1.5", "2.5", "{'k': <1>}", "true", NULL
  };
  static const char *const types[] = {
    "i", "i", "s", "s", "s", "i", "(is)", "ai", "as", "()", "d", "d", "a{sv}", "b"
  };
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 16; chunk_size++)
    {
      Texts state = { texts, 0 };
      g_autoptr(MpResultIter) iter = iterate (pool, MP_FUNCTION (type_of), mp_items_new_for_func (next_text, &state, NULL),
                                              chunk_size, TRUE);

      for (guint i = 0; i < G_N_ELEMENTS (types); i++)
        {
          g_autoptr(GError) error = NULL;
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

          g_assert_no_error (error);
          g_assert_cmpstr (g_variant_get_string (value, NULL), ==, types[i]);
        }
      expect_end (iter);
    }
  finish (pool);
}

static GVariant *
add_chunk (GVariant *args, gpointer user_data, GError **error)
{
  gsize n = 0;
  const gint32 *numbers = g_variant_get_fixed_array (args, &n, sizeof *numbers);
  g_autofree gint32 *results = g_new (gint32, n);

  for (gsize i = 0; i < n; i++)
    results[i] = numbers[i] + 1;
  return g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, results, n, sizeof *results);
}

/* What the function is declared not to take ends the input at its place. */
static void
test_declared (void)
{
  static const char *const texts[] = { "1", "2", "'a'", "4", NULL };
  const char *by_item = MP_FUNCTION_FULL (echo, "i", "i", 0);
  const char *by_chunk = MP_FUNCTION_FULL (add_chunk, "ai", "ai", MP_FUNCTION_FLAGS_CHUNK);
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 6; chunk_size++)
    {
      Texts state = { texts, 0 };
      g_autoptr(MpResultIter) iter = iterate (pool, by_item, mp_items_new_for_func (next_text, &state, NULL), chunk_size, TRUE);
      Count count = count_to (7);
      g_autoptr(MpResultIter) chunks = NULL;
      g_autoptr(MpResultIter) wrong = NULL;

      g_assert_cmpint (next_int (iter), ==, 1);
      g_assert_cmpint (next_int (iter), ==, 2);
      expect_error (iter, MP_ERROR, MP_ERROR_INVALID_TYPE, "echo");
      expect_end (iter);

      chunks = iterate_count (pool, by_chunk, &count, chunk_size, TRUE);
      for (int x = 0; x < 7; x++)
        g_assert_cmpint (next_int (chunks), ==, x + 1);
      expect_end (chunks);

      state.position = 2;
      wrong = iterate (pool, by_chunk, mp_items_new_for_func (next_text, &state, NULL), chunk_size, TRUE);
      expect_error (wrong, MP_ERROR, MP_ERROR_INVALID_TYPE, "add_chunk");
      expect_end (wrong);
    }
  finish (pool);
}

/* Maps. */

static void
test_map (void)
{
  static const int sizes[] = { 0, 1, 10, 1000, 20000 };
  static const guint chunks[] = { 0, 1, 7, 1000 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint j = 0; j < G_N_ELEMENTS (chunks); j++)
      {
        Count count = count_to (sizes[i]), again = count_to (sizes[i]);
        g_autoptr(MpItems) items = mp_items_new_for_func (count_up, &count, count_freed);
        g_autoptr(MpItems) others = mp_items_new_for_func (count_up, &again, count_freed);
        g_autoptr(GVariant) result = NULL, later = NULL;
        g_autoptr(MpFuture) future = NULL;
        g_autoptr(GError) error = NULL;
        const char *function = MP_FUNCTION_FULL (square, "i", "i", 0);

        result = mp_pool_map_with (pool, function, items, chunks[j], NULL, LONG, NULL, &error);
        g_assert_no_error (error);
        check_squares (result, sizes[i]);
        future = mp_pool_submit_map_with (pool, function, others, chunks[j], NULL, &error);
        g_assert_no_error (error);
        later = mp_future_get (future, LONG, NULL, &error);
        g_assert_no_error (error);
        check_squares (later, sizes[i]);
      }
  finish (pool);
}

static void
test_map_of_texts (void)
{
  static const char *const texts[] = { "'a'", "'b'", "'c'", "'d'", "'e'", NULL };
  static const char *const mixed[] = { "1", "2", "3", "'d'", "'e'", "6", NULL };
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 7; chunk_size++)
    {
      Texts state = { texts, 0 }, others = { mixed, 0 };
      g_autoptr(MpItems) items = mp_items_new_for_func (next_text, &state, NULL);
      g_autoptr(MpItems) more = mp_items_new_for_func (next_text, &others, NULL);
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) result = mp_pool_map_with (pool, MP_FUNCTION (echo), items, chunk_size, NULL, LONG, NULL, &error);
      g_autoptr(GVariant) second = mp_pool_map_with (pool, MP_FUNCTION (echo), more, chunk_size, NULL, LONG, NULL, &error);
      g_autoptr(GVariant) expected = g_variant_new_parsed ("['a', 'b', 'c', 'd', 'e']");
      g_autoptr(GVariant) expected_mixed = g_variant_new_parsed ("[<1>, <2>, <3>, <'d'>, <'e'>, <6>]");

      g_assert_no_error (error);
      g_assert_cmpvariant (result, expected);
      g_assert_cmpvariant (second, expected_mixed);
    }
  finish (pool);
}

static GVariant *
fail_at_seven (GVariant *args, gpointer user_data, GError **error)
{
  if (g_variant_get_int32 (args) != 7)
    return g_variant_ref (args);
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "seven");
  return NULL;
}

static void
test_map_error (void)
{
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 10; chunk_size += 4)
    {
      Count count = count_to (100), longer = count_to (100);
      g_autoptr(MpItems) items = mp_items_new_for_func (count_up, &count, count_freed);
      g_autoptr(MpItems) others = mp_items_new_for_func (count_up, &longer, count_freed);
      g_autoptr(GError) error = NULL;

      count.fail_at = 5;
      g_assert_null (mp_pool_map_with (pool, MP_FUNCTION (fail_at_seven), items, chunk_size, NULL, LONG, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
      g_clear_error (&error);
      /* That of a call comes first when its place does. */
      longer.fail_at = 50;
      g_assert_null (mp_pool_map_with (pool, MP_FUNCTION (fail_at_seven), others, chunk_size, NULL, LONG, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
    }
  finish (pool);
}

static void
test_map_async (void)
{
  MpPool *pool = mp_pool_new (2);
  Count count = count_to (1000);
  g_autoptr(MpItems) items = mp_items_new_for_func (count_up, &count, count_freed);
  g_autoptr(GAsyncResult) result = NULL, refused = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;

  mp_pool_map_with_async (pool, MP_FUNCTION (square), items, 10, NULL, NULL, result_cb, &result);
  mp_pool_map_with_async (pool, MP_FUNCTION (square), items, 10, NULL, NULL, result_cb, &refused);
  /* Nobody is asked before this function has returned to the main loop. */
  g_assert_cmpint (count.n_asked, ==, 0);
  while (result == NULL || refused == NULL)
    g_main_context_iteration (NULL, TRUE);
  value = mp_pool_map_with_finish (pool, result, &error);
  g_assert_no_error (error);
  check_squares (value, 1000);
  g_assert_null (mp_pool_map_with_finish (pool, refused, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_object (&result);
  g_clear_object (&refused);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-items/imap", test_imap);
  g_test_add_func ("/pool-items/unordered", test_unordered);
  g_test_add_func ("/pool-items/array", test_array);
  g_test_add_func ("/pool-items/backends", test_backends);
  g_test_add_func ("/pool-items/length", test_length);
  g_test_add_func ("/pool-items/error", test_error);
  g_test_add_func ("/pool-items/death", test_death);
  g_test_add_func ("/pool-items/types", test_types);
  g_test_add_func ("/pool-items/declared", test_declared);
  g_test_add_func ("/pool-items/map", test_map);
  g_test_add_func ("/pool-items/map/texts", test_map_of_texts);
  g_test_add_func ("/pool-items/map/error", test_map_error);
  g_test_add_func ("/pool-items/map/async", test_map_async);

  return g_test_run ();
}
