/* test-array.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"
#include "memory-test.h"

#include <sys/resource.h>

static MpArray *array;   /* of the test that runs: children made by fork() have it as well */

static void
test_types (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samples); i++)
    {
      g_autoptr(GVariant) sample = parse (samples[i]);
      GVariant *many[] = { sample, sample, sample, sample, sample };
      g_autoptr(GVariant) all = g_variant_ref_sink (g_variant_new_array (NULL, many, G_N_ELEMENTS (many)));
      g_autoptr(GError) error = NULL;
      g_autoptr(MpArray) zeros = mp_array_new (g_variant_get_type (sample), 5, &error);
      g_autoptr(MpArray) own = mp_array_new_from_variant (all, &error);
      g_autoptr(GVariant) copy = NULL;
      g_autoptr(GVariant) item = NULL;
      g_autoptr(GVariant) zero = NULL;
      g_autoptr(GVariant) part = NULL;
      g_autoptr(GBytes) bytes = NULL;

      g_assert_no_error (error);
      g_assert_cmpuint (mp_array_get_length (own), ==, 5);
      copy = mp_array_get_slice (own, 0, 5, &error);
      check_variant (copy, all);
      zero = mp_array_get_item (zeros, 4, &error);
      g_assert_true (g_variant_is_normal_form (zero));
      g_assert_true (mp_array_set_item (zeros, 4, sample, &error));
      item = mp_array_get_item (zeros, 4, &error);
      check_variant (item, sample);
      g_clear_pointer (&item, g_variant_unref);
      item = mp_array_get_item (zeros, 3, &error);
      check_variant (item, zero);

      part = g_variant_ref_sink (g_variant_new_array (NULL, many, 2));
      g_assert_true (mp_array_set_slice (zeros, 1, part, &error));
      g_clear_pointer (&copy, g_variant_unref);
      copy = mp_array_get_slice (zeros, 1, 2, &error);
      check_variant (copy, part);
      g_clear_pointer (&copy, g_variant_unref);
      copy = mp_array_get_slice (zeros, 5, 0, &error);
      g_assert_cmpuint (g_variant_n_children (copy), ==, 0);
      g_assert_no_error (error);
      bytes = mp_typed_memory_get_bytes (MP_TYPED_MEMORY (own), &error);
      g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), g_variant_get_data (all),
                       g_variant_get_size (all));
    }
}

/* (transfer full) */
static GVariantType *
make_long_type (gsize length)
{
  g_autofree char *text = g_strnfill (length, 'y');

  text[0] = '(';
  text[length - 1] = ')';
  return g_variant_type_new (text);
}

static void
test_long_type (void)
{
  g_autoptr(GVariantType) longest = make_long_type (4096);
  g_autoptr(GVariantType) too_long = make_long_type (4097);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) own = mp_array_new (longest, 2, &error);
  g_autoptr(GVariant) item = NULL;

  g_assert_no_error (error);
  item = mp_array_get_item (own, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (item), ==, 4094);
  g_assert_null (mp_array_new (too_long, 2, &error));
  check_invalid (error);
}

static void
test_refused (void)
{
  static const char *const types[] = { "s", "as", "v", "h", "(ih)", "mi", "*" };
  g_autoptr(GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_assert_null (mp_array_new (G_VARIANT_TYPE (types[i]), 3, &error));
      check_invalid (error);
    }
  g_assert_null (mp_array_new (G_VARIANT_TYPE_INT32, 0, &error));
  check_invalid (error);
  g_assert_null (mp_array_new_from_variant (g_variant_new_array (G_VARIANT_TYPE_INT32, NULL, 0), &error));
  check_invalid (error);
  g_assert_null (mp_array_new_from_variant (g_variant_new_int32 (3), &error));
  check_invalid (error);
  g_assert_null (mp_array_new_from_variant (g_variant_new_strv (NULL, 0), &error));
  check_invalid (error);

  g_assert_null (mp_array_new (G_VARIANT_TYPE_INT32, G_MAXSIZE, &error));
  check_refused (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_null (mp_array_new (G_VARIANT_TYPE_INT32, G_MAXSIZE / 4, &error));
  check_refused (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_null (mp_array_new (G_VARIANT_TYPE_INT32, G_MAXSIZE / 8, &error));
  check_refused (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  /* More than the machine has. */
  g_assert_null (mp_array_new (G_VARIANT_TYPE_INT64, G_GUINT64_CONSTANT (1) << 40, &error));
  check_refused (error, MP_ERROR, MP_ERROR_TOO_LARGE);
}

static void
refuse_at (MpArray *own,
           gsize    index)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_array_get_item (own, index, &error));
  check_invalid (error);
  g_assert_false (mp_array_set_item (own, index, g_variant_new_int64 (1), &error));
  check_invalid (error);
  mp_array_get_int (own, index, &error);
  check_invalid (error);
  g_assert_false (mp_array_set_int (own, index, 1, &error));
  check_invalid (error);
  mp_array_add_int (own, index, 1, &error);
  check_invalid (error);
  mp_array_add_double (own, index, 1, &error);
  check_invalid (error);
  g_assert_null (mp_array_exchange (own, index, g_variant_new_int64 (1), &error));
  check_invalid (error);
  g_assert_false (mp_array_compare_exchange (own, index, g_variant_new_int64 (1), g_variant_new_int64 (1), NULL, &error));
  check_invalid (error);
}

static void
test_out_of_range (void)
{
  static const gsize slices[][2] = { { 0, 4 }, { 3, 1 }, { 4, 0 }, { 1, G_MAXSIZE }, { G_MAXSIZE, 1 }, { G_MAXSIZE, G_MAXSIZE } };
  const gint64 numbers[] = { 1, 2, 3, 4 };
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) own = mp_array_new (G_VARIANT_TYPE_INT64, 3, &error);
  g_autoptr(GVariant) all = NULL;

  refuse_at (own, 3);
  refuse_at (own, G_MAXSIZE);
  refuse_at (own, G_MAXSIZE / 8 + 1);
  for (gsize i = 0; i < G_N_ELEMENTS (slices); i++)
    {
      g_assert_null (mp_array_get_slice (own, slices[i][0], slices[i][1], &error));
      check_invalid (error);
    }
  g_assert_false (mp_array_set_slice (own, 0, g_variant_new_fixed_array (G_VARIANT_TYPE_INT64, numbers, 4, 8), &error));
  check_invalid (error);
  g_assert_false (mp_array_set_slice (own, 2, g_variant_new_fixed_array (G_VARIANT_TYPE_INT64, numbers, 2, 8), &error));
  check_invalid (error);
  g_assert_false (mp_array_set_slice (own, 0, g_variant_new_int64 (2), &error));
  check_invalid (error);
  g_assert_false (mp_array_set_slice (own, 0, g_variant_new_fixed_array (G_VARIANT_TYPE_UINT64, numbers, 2, 8), &error));
  check_invalid (error);
  /* Nothing of that was done. */
  all = mp_array_get_slice (own, 0, 3, &error);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpint (((const gint64 *) g_variant_get_data (all))[i], ==, 0);
}

static void
test_numbers (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) ints = mp_array_new (G_VARIANT_TYPE_INT16, 3, &error);
  g_autoptr(MpArray) reals = mp_array_new (G_VARIANT_TYPE_DOUBLE, 3, &error);
  g_autoptr(GVariant) before = NULL;
  gboolean swapped = FALSE;

  g_assert_true (mp_array_set_int (ints, 1, G_MAXINT16, &error));
  g_assert_cmpint (mp_array_add_int (ints, 1, 1, &error), ==, G_MAXINT16);
  g_assert_cmpint (mp_array_get_int (ints, 1, &error), ==, G_MININT16);
  g_assert_cmpint (mp_array_get_int (ints, 0, &error), ==, 0);
  g_assert_cmpint (mp_array_get_int (ints, 2, &error), ==, 0);
  before = mp_array_exchange (ints, 2, g_variant_new_int16 (5), &error);
  g_assert_cmpint (g_variant_get_int16 (before), ==, 0);
  g_assert_true (mp_array_compare_exchange (ints, 2, g_variant_new_int16 (5), g_variant_new_int16 (6), &swapped, &error));
  g_assert_true (swapped);
  g_assert_cmpint (mp_array_get_int (ints, 2, &error), ==, 6);
  g_assert_true (mp_array_set_double (reals, 2, 0.5, &error));
  g_assert_cmpfloat (mp_array_add_double (reals, 2, 0.5, &error), ==, 0.5);
  g_assert_cmpfloat (mp_array_get_double (reals, 2, &error), ==, 1);
  g_assert_no_error (error);
}

/* What others leave in memory is in normal form for those who read it. */
static void
test_any_bytes (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) own = mp_array_new (G_VARIANT_TYPE ("(nbx)"), 2, &error);
  g_autoptr(GVariant) got = NULL;
  g_autoptr(GVariant) expected = g_variant_ref_sink (g_variant_new_parsed ("[(int16 -1, true, int64 -1), (-1, true, -1)]"));
  gsize size = 0;
  gpointer data = mp_typed_memory_get_data (MP_TYPED_MEMORY (own), &size);

  memset (data, 0xff, size);
  got = mp_array_get_slice (own, 0, 2, &error);
  check_variant (got, expected);
}

/* One that came in another form is written in the usual one. */
static void
test_not_normal (void)
{
  static const guint8 bytes[] = { 7, 2, 0, 3, 1, 9 };
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) own = mp_array_new (G_VARIANT_TYPE ("(yb)"), 3, &error);
  g_autoptr(GVariant) strange = g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE ("a(yb)"), bytes, sizeof bytes,
                                                                             FALSE, NULL, NULL));
  g_autoptr(MpArray) from_strange = mp_array_new_from_variant (strange, &error);
  g_autoptr(GVariant) short_one = g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE ("(yb)"), bytes, 1, FALSE,
                                                                               NULL, NULL));
  g_autoptr(GVariant) got = NULL;

  g_assert_no_error (error);
  got = mp_array_get_slice (from_strange, 0, 3, &error);
  g_assert_true (g_variant_is_normal_form (got));
  g_assert_true (mp_array_set_item (own, 0, short_one, &error));
  g_clear_pointer (&got, g_variant_unref);
  got = mp_array_get_slice (own, 0, 3, &error);
  g_assert_true (g_variant_is_normal_form (got));
}

static void
test_bytes_outlive (void)
{
  g_autoptr(GError) error = NULL;
  MpArray *own = mp_array_new (G_VARIANT_TYPE_BYTE, 100000, &error);
  g_autoptr(GBytes) bytes = mp_typed_memory_get_bytes (MP_TYPED_MEMORY (own), &error);
  guint n_fds = count_fds ();

  mp_array_set_int (own, 99999, 7, &error);
  g_assert_finalize_object (own);
  g_assert_cmpint (((const guint8 *) g_bytes_get_data (bytes, NULL))[99999], ==, 7);
  g_clear_pointer (&bytes, g_bytes_unref);
  g_assert_cmpuint (count_fds (), ==, n_fds - 1);
}

static void
test_locks (void)
{
  g_autoptr(MpRLock) lock = mp_rlock_new ();
  g_autoptr(MpLock) isolated = mp_lock_new_isolated ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) own = mp_array_new (G_VARIANT_TYPE_BYTE, 1, &error);
  g_autoptr(MpArray) given = mp_array_new_full (G_VARIANT_TYPE_BYTE, 1, MP_SHAREABLE (lock), &error);
  g_autoptr(MpArray) none = mp_array_new_full (G_VARIANT_TYPE_BYTE, 100, NULL, &error);
  g_autoptr(MpArray) alone = mp_array_new_full (G_VARIANT_TYPE_BYTE, 100, MP_SHAREABLE (isolated), &error);

  g_assert_true (MP_IS_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (own))));
  g_assert_true ((gpointer) mp_typed_memory_get_lock (MP_TYPED_MEMORY (given)) == lock);
  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (given)));
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (none)));
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (alone)));
}

static void
no_descriptors (int socket)
{
  const struct rlimit limit = { 0, 0 };
  g_autoptr(GError) error = NULL;

  setrlimit (RLIMIT_NOFILE, &limit);
  g_assert_null (mp_array_new (G_VARIANT_TYPE_BYTE, 10, &error));
  g_assert_nonnull (error);
}

static void
small_files (int socket)
{
  const struct rlimit limit = { 4096, 4096 };
  g_autoptr(GError) error = NULL;

  setrlimit (RLIMIT_FSIZE, &limit);
  g_assert_null (mp_array_new (G_VARIANT_TYPE_BYTE, 1 << 20, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_true (g_str_has_prefix (error->message, "array creation: "));
}

static void
test_no_room (void)
{
  /* Valgrind has limits of its own. */
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    run_apart (no_descriptors);
  run_apart (small_files);
}

#define N_ADDS (g_getenv ("MP_TESTS_SLOW") == NULL ? 500000u : 2000u)

static void
add_everywhere (int socket)
{
  end_with_parent ();
  if (socket >= 0)
    hear (socket);
  for (guint i = 0, n = N_ADDS; i < n; i++)
    mp_array_add_int (array, i % mp_array_get_length (array), 1, NULL);
}

static gpointer
add_thread (gpointer data)
{
  add_everywhere (-1);
  return NULL;
}

static void
test_processes_and_threads (void)
{
  for (const char *kind = "ynqiuxt"; *kind != 0; kind++)
    {
      const char type[] = { *kind, 0 };
      g_autoptr(GError) error = NULL;
      g_autoptr(MpArray) own = array = mp_array_new (G_VARIANT_TYPE (type), 10, &error);
      g_autoptr(MpValue) sum = mp_value_new (G_VARIANT_TYPE (type), NULL, &error);
      Peer peers[2] = { peer_start (add_everywhere), peer_start (add_everywhere) };
      GThread *thread = g_thread_new ("add", add_thread, NULL);

      tell (peers[0].socket, 1);
      tell (peers[1].socket, 1);
      add_everywhere (-1);
      g_thread_join (thread);
      peer_join (&peers[0]);
      peer_join (&peers[1]);
      mp_value_add_int (sum, 4 * N_ADDS / 10, &error);
      for (gsize i = 0; i < 10; i++)
        g_assert_cmpint (mp_array_get_int (own, i, &error), ==, mp_value_get_int (sum, &error));
    }
}

/* It lives as long as anybody, here a copy of its maker. */
static void
outlive (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  hear (socket);
  for (gsize i = 0; i < mp_array_get_length (array); i++)
    g_assert_cmpint (mp_array_add_int (array, i, 1, &error), ==, (gint64) i);
  tell (socket, mp_array_get_int (array, mp_array_get_length (array) - 1, &error));
}

static void
test_fork (void)
{
  g_autoptr(GError) error = NULL;
  MpArray *own = array = mp_array_new (G_VARIANT_TYPE_UINT32, 5000, &error);
  Peer peer = peer_start (outlive);

  for (gsize i = 0; i < 5000; i++)
    mp_array_set_int (own, i, i, &error);
  g_assert_finalize_object (own);
  tell (peer.socket, 1);
  g_assert_cmpuint (hear (peer.socket), ==, 5000);
  peer_join (&peer);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/array/types", test_types);
  g_test_add_func ("/array/long-type", test_long_type);
  g_test_add_func ("/array/refused", test_refused);
  g_test_add_func ("/array/out-of-range", test_out_of_range);
  g_test_add_func ("/array/numbers", test_numbers);
  g_test_add_func ("/array/any-bytes", test_any_bytes);
  g_test_add_func ("/array/not-normal", test_not_normal);
  g_test_add_func ("/array/bytes-outlive", test_bytes_outlive);
  g_test_add_func ("/array/locks", test_locks);
  g_test_add_func ("/array/no-room", test_no_room);
  g_test_add_func ("/array/processes-and-threads", test_processes_and_threads);
  g_test_add_func ("/array/fork", test_fork);

  return g_test_run ();
}
