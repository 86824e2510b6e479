/* test-pool-batch.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-test.h"

/* Results of an iterator, many at once. */

#define N_MOST 5000

static GVariant *
fail_odd (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  if (x % 2 == 0)
    return g_variant_ref (args);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "odd: %d", x);
  return NULL;
}

/* Of another type for each item. */
static GVariant *
vary (GVariant *args, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (args);

  switch (x % 5)
    {
    case 0:
      return g_variant_new_string ("text");
    case 1:
      return g_variant_new_uint64 (x);
    case 2:
      return g_variant_new_variant (g_variant_new_boolean (TRUE));
    case 3:
      return g_variant_new_tuple (NULL, 0);
    default:
      return g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0);
    }
}

static GVariant *
tell (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_take_string (g_strdup_printf ("%d", g_variant_get_int32 (args)));
}

static GVariant *
die_at_five (GVariant *args, gpointer user_data, GError **error)
{
  if (g_variant_get_int32 (args) == 5)
    raise (SIGKILL);
  return g_variant_ref (args);
}

static MpResultIter *
iterate (MpPool *pool, gboolean ordered, const char *function, GVariant *items, guint chunk_size)
{
  g_autoptr(GError) error = NULL;
  MpResultIter *iter = ordered ? mp_pool_imap (pool, function, items, chunk_size, &error)
                               : mp_pool_imap_unordered (pool, function, items, chunk_size, &error);

  g_assert_no_error (error);
  return iter;
}

/* What is written byte by byte is what GVariant would have written. */
static void
check_form (GVariant *batch)
{
  g_autoptr(GVariant) bare = g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE ("a(tbv)"), g_variant_get_data (batch),
                                                                          g_variant_get_size (batch), FALSE, NULL, NULL));
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(tbv)"));
  g_autoptr(GVariant) again = NULL;

  g_assert_cmpstr (g_variant_get_type_string (batch), ==, "a(tbv)");
  g_assert_false (g_variant_is_floating (batch));
  g_assert_true (g_variant_is_normal_form (bare));
  for (gsize i = 0; i < g_variant_n_children (batch); i++)
    {
      g_autoptr(GVariant) value = NULL;
      gboolean succeeded;
      guint64 number;

      g_variant_get_child (batch, i, "(tbv)", &number, &succeeded, &value);
      g_variant_builder_add (&builder, "(tbv)", number, succeeded, value);
    }
  again = g_variant_ref_sink (g_variant_builder_end (&builder));
  g_assert_cmpmem (g_variant_get_data (batch), g_variant_get_size (batch), g_variant_get_data (again),
                   g_variant_get_size (again));
}

/* Reads to the end; what each item has come to, by its number. */
static GPtrArray *
read_all (MpResultIter *iter, guint max_items, gboolean ordered)
{
  GPtrArray *all = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  gsize n = mp_result_iter_get_n_items (iter), n_seen = 0;

  g_ptr_array_set_size (all, n);
  while (TRUE)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) batch = mp_result_iter_next_batch (iter, max_items, LONG, NULL, &error);

      g_assert_no_error (error);
      if (batch == NULL)
        break;
      check_form (batch);
      g_assert_cmpuint (g_variant_n_children (batch), >, 0);
      if (max_items > 0)
        g_assert_cmpuint (g_variant_n_children (batch), <=, max_items);
      for (gsize i = 0; i < g_variant_n_children (batch); i++)
        {
          GVariant *item = g_variant_get_child_value (batch, i);
          guint64 number;

          g_variant_get_child (item, 0, "t", &number);
          g_assert_cmpuint (number, <, n);
          if (ordered)
            g_assert_cmpuint (number, ==, n_seen);
          g_assert_null (g_ptr_array_index (all, number));
          g_ptr_array_index (all, number) = item;
          n_seen++;
        }
    }
  g_assert_cmpuint (n_seen, ==, n);
  return all;
}

static void
check_error (GVariant *item, GQuark domain, int code, const char *part)
{
  g_autoptr(GVariant) error = NULL;
  const char *name, *message;
  gboolean succeeded;
  int found;

  g_variant_get (item, "(tbv)", NULL, &succeeded, &error);
  g_assert_false (succeeded);
  g_assert_cmpstr (g_variant_get_type_string (error), ==, "(sisa{sv})");
  g_variant_get (error, "(&si&s@a{sv})", &name, &found, &message, NULL);
  g_assert_cmpstr (name, ==, g_quark_to_string (domain));
  g_assert_cmpint (found, ==, code);
  if (strstr (message, part) == NULL)
    g_error ("“%s” has no “%s”", message, part);
}

static void
check_int (GVariant *item, int x)
{
  g_autoptr(GVariant) value = NULL;
  gboolean succeeded;

  g_variant_get (item, "(tbv)", NULL, &succeeded, &value);
  g_assert_true (succeeded);
  g_assert_cmpint (g_variant_get_int32 (value), ==, x);
}

static void
test_batch (void)
{
  static const int sizes[] = { 0, 1, 7, 1000, N_MOST };
  static const guint chunks[] = { 0, 3, 100 };
  static const guint mosts[] = { 0, 1, 7, 10000 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint j = 0; j < G_N_ELEMENTS (chunks); j++)
      for (guint k = 0; k < G_N_ELEMENTS (mosts); k++)
        for (int ordered = 0; ordered < 2; ordered++)
          {
            g_autoptr(MpResultIter) iter = iterate (pool, ordered, MP_FUNCTION (square), make_ints (sizes[i]), chunks[j]);
            g_autoptr(GPtrArray) all = read_all (iter, mosts[k], ordered);

            for (int x = 0; x < sizes[i]; x++)
              check_int (g_ptr_array_index (all, x), x * x);
          }
  finish (pool);
}

static void
test_types (void)
{
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 8; chunk_size++)
    {
      g_autoptr(MpResultIter) iter = iterate (pool, TRUE, MP_FUNCTION (vary), make_ints (50), chunk_size);
      g_autoptr(GPtrArray) all = read_all (iter, 10, TRUE);
      g_autoptr(MpResultIter) texts = iterate (pool, TRUE, MP_FUNCTION (tell), make_ints (300), chunk_size);
      g_autoptr(GPtrArray) all_texts = read_all (texts, 0, TRUE);

      for (int x = 0; x < 50; x++)
        {
          g_autoptr(GVariant) arg = g_variant_ref_sink (g_variant_new_int32 (x));
          g_autoptr(GVariant) expected = g_variant_ref_sink (vary (arg, NULL, NULL));
          g_autoptr(GVariant) value = NULL;

          g_variant_get (g_ptr_array_index (all, x), "(tbv)", NULL, NULL, &value);
          g_assert_cmpvariant (value, expected);
        }
      for (int x = 0; x < 300; x++)
        {
          g_autofree char *text = NULL;
          g_autoptr(GVariant) value = NULL;

          g_variant_get (g_ptr_array_index (all_texts, x), "(tbv)", NULL, NULL, &value);
          text = g_strdup_printf ("%d", x);
          g_assert_cmpstr (g_variant_get_string (value, NULL), ==, text);
        }
    }
  finish (pool);
}

static void
test_errors (void)
{
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 5; chunk_size++)
    for (guint most = 0; most < 4; most++)
      {
        g_autoptr(MpResultIter) iter = iterate (pool, TRUE, MP_FUNCTION (fail_odd), make_ints (30), chunk_size);
        g_autoptr(GPtrArray) all = read_all (iter, most, TRUE);

        for (int x = 0; x < 30; x++)
          {
            g_autofree char *text = g_strdup_printf ("odd: %d", x);

            if (x % 2 == 0)
              check_int (g_ptr_array_index (all, x), x);
            else
              check_error (g_ptr_array_index (all, x), G_IO_ERROR, G_IO_ERROR_EXISTS, text);
          }
      }
  finish (pool);
}

/* A death costs its chunk, and says who died. */
static void
test_death (void)
{
  for (guint chunk_size = 1; chunk_size < 4; chunk_size++)
    {
      MpPool *pool = mp_pool_new (2);
      g_autoptr(MpResultIter) iter = iterate (pool, FALSE, MP_FUNCTION (die_at_five), make_ints (20), chunk_size);
      g_autoptr(GPtrArray) all = read_all (iter, 2, FALSE);

      for (guint x = 0; x < 20; x++)
        {
          g_autoptr(GVariant) details = NULL;
          int pid = 0;

          if (x / chunk_size != 5 / chunk_size)
            {
              check_int (g_ptr_array_index (all, x), x);
              continue;
            }
          check_error (g_ptr_array_index (all, x), MP_ERROR, MP_ERROR_WORKER_DIED, "die_at_five");
          g_variant_get (g_ptr_array_index (all, x), "(tbv)", NULL, NULL, &details);
          g_variant_get (details, "(sis@a{sv})", NULL, NULL, NULL, &details);
          g_assert_true (g_variant_lookup (details, "pid", "i", &pid));
          g_assert_cmpint (pid, >, 1);
          g_variant_unref (g_steal_pointer (&details));
        }
      finish (pool);
    }
}

/* A handle holds nothing: until the result has been sent, this does. */
static MpConnection *sent[8];

static GVariant *
make_pipe (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpConnection) near = NULL, far = NULL;
  g_autoptr(GVariant) handle = NULL;

  if (!mp_pipe_new (TRUE, &near, &far, error) || !mp_connection_send (near, args, LONG, NULL, error))
    return NULL;
  handle = mp_shareable_to_variant (MP_SHAREABLE (far));
  g_set_object (&sent[g_variant_get_int32 (args)], far);
  return g_variant_new ("(i@h)", getpid (), handle);
}

/* Objects in results are there as long as any part of the batch is. */
static void
test_objects (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpResultIter) iter = iterate (pool, TRUE, MP_FUNCTION (make_pipe), make_ints (4), 2);
  g_autoptr(GPtrArray) all = read_all (iter, 0, TRUE);
  g_autoptr(GVariant) kept = NULL;

  for (int x = 0; x < 4; x++)
    {
      g_autoptr(GVariant) value = NULL, handle = NULL, word = NULL;
      g_autoptr(GError) error = NULL;
      g_autoptr(GObject) far = NULL;

      g_variant_get (g_ptr_array_index (all, x), "(tbv)", NULL, NULL, &value);
      handle = g_variant_get_child_value (value, 1);
      far = G_OBJECT (mp_shareable_from_variant (handle, &error));
      g_assert_no_error (error);
      word = mp_connection_recv (MP_CONNECTION (far), LONG, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpint (g_variant_get_int32 (word), ==, x);
      if (x == 0)
        kept = g_steal_pointer (&handle);
    }
  g_ptr_array_set_size (all, 0);
  g_assert_nonnull (mp_shareable_from_variant (kept, NULL));
  finish (pool);
}

static void
test_async (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(MpResultIter) iter = iterate (pool, TRUE, MP_FUNCTION (square), make_ints (100), 1);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  guint64 expected = 0;
  gboolean more = TRUE;

  while (more)
    {
      g_autoptr(GAsyncResult) result = NULL, given_up = NULL, single = NULL;
      g_autoptr(GVariant) batch = NULL, value = NULL;
      g_autoptr(GError) error = NULL;

      /* One that is called off takes nothing with it, and one that wants a single item stands in the same row. */
      mp_result_iter_next_batch_async (iter, 3, cancellable, result_cb, &given_up);
      mp_result_iter_next_batch_async (iter, 9, NULL, result_cb, &result);
      mp_result_iter_next_async (iter, NULL, result_cb, &single);
      if (expected == 0)
        g_cancellable_cancel (cancellable);
      while (result == NULL || given_up == NULL || single == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_null (mp_result_iter_next_batch_finish (iter, given_up, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&error);

      batch = mp_result_iter_next_batch_finish (iter, result, &error);
      g_assert_no_error (error);
      for (gsize i = 0; batch != NULL && i < g_variant_n_children (batch); i++, expected++)
        {
          guint64 number;

          g_variant_get_child (batch, i, "(tbv)", &number, NULL, NULL);
          g_assert_cmpuint (number, ==, expected);
        }
      value = mp_result_iter_next_finish (iter, single, &error);
      g_assert_no_error (error);
      if (value != NULL)
        {
          g_assert_cmpuint (g_variant_get_int32 (value), ==, expected * expected);
          expected++;
        }
      more = value != NULL;
    }
  g_assert_cmpuint (expected, ==, 100);
  finish (pool);
}

/* The end of a pool is an error once, after what has arrived. */
static void
test_end (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(GVariant) handle = g_variant_ref_sink (gate_handle (&gate));
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;

  iter = iterate (pool, TRUE, MP_FUNCTION (wait_at_gate), g_variant_new_array (NULL, &handle, 1), 1);
  gate_await (&gate);
  g_assert_null (mp_result_iter_next_batch (iter, 0, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  mp_pool_terminate (pool);
  g_assert_null (mp_result_iter_next_batch (iter, 0, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (mp_result_iter_next_batch (iter, 0, LONG, NULL, &error));
  g_assert_no_error (error);
  gate_clear (&gate);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-batch/numbers", test_batch);
  g_test_add_func ("/pool-batch/types", test_types);
  g_test_add_func ("/pool-batch/errors", test_errors);
  g_test_add_func ("/pool-batch/death", test_death);
  g_test_add_func ("/pool-batch/objects", test_objects);
  g_test_add_func ("/pool-batch/async", test_async);
  g_test_add_func ("/pool-batch/end", test_end);

  return g_test_run ();
}
