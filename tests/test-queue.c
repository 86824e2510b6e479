/* test-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "queue-test.h"

#define MANY 1000

static void
assert_failed (GError     **error,
               GQuark       domain,
               int          code,
               const char  *message)
{
  g_assert_error (*error, domain, code);
  g_assert_cmpstr ((*error)->message, ==, message);
  g_clear_error (error);
}

static void
test_order (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_queue_is_empty (own));
  for (guint i = 0; i < MANY; i++)
    {
      put_number (own, i);
      g_assert_cmpuint (mp_queue_get_length (own), ==, i + 1);
    }
  g_assert_false (mp_queue_is_empty (own));
  g_assert_false (mp_queue_is_full (own));
  g_assert_cmpuint (mp_queue_get_n_bytes (own), ==, MANY * 8);
  for (guint i = 0; i < MANY; i++)
    {
      g_assert_cmpuint (get_number (own), ==, i);
      g_assert_cmpuint (mp_queue_get_length (own), ==, MANY - i - 1);
    }
  g_assert_cmpuint (mp_queue_get_n_bytes (own), ==, 0);

  g_assert_null (mp_queue_try_get (own, &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_EMPTY, "queue get: the queue is empty");
  g_assert_null (mp_queue_get (own, 0, NULL, &error));
  assert_failed (&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "queue get: timed out");
  g_assert_null (mp_queue_get (own, 1000, NULL, &error));
  assert_failed (&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "queue get: timed out");
}

static void
test_values (void)
{
  static const char *const texts[] = {
    "()", "''", "'text'", "(1, 'two', [3.0, 4.5])", "<<<'deep'>>>", "{'a': <1>, 'b': <@ay []>}", "@as []", "@mi nothing",
    "[(uint64 1, uint64 2), (3, 4)]", "true", "@(ybnqiuxtd) (1, true, 2, 3, 4, 5, 6, 7, 8.0)",
  };
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      mp_queue_put (own, g_variant_new_parsed (texts[i]), LONG, NULL, &error);
      g_assert_no_error (error);
    }
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr(GVariant) expected = g_variant_ref_sink (g_variant_new_parsed (texts[i]));
      g_autoptr(GVariant) value = mp_queue_get (own, LONG, NULL, &error);

      g_assert_no_error (error);
      g_assert_false (g_variant_is_floating (value));
      g_assert_cmpvariant (value, expected);
    }
}

/* What was made from bytes that are no value comes as what GVariant reads in them. */
static void
test_not_normal (void)
{
  static const guint8 bad[] = { 'n', 'o', ' ', 'e', 'n', 'd' };
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;

  mp_queue_put (own, g_variant_new_from_data (G_VARIANT_TYPE_STRING, bad, sizeof bad, FALSE, NULL, NULL), LONG, NULL,
                &error);
  g_assert_no_error (error);
  value = mp_queue_get (own, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (g_variant_get_string (value, NULL), ==, "");
}

static void
test_refused (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 10);
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (lock));
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;
  guint n_fds = count_fds ();

  g_assert_false (mp_queue_put (own, handle, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_false (mp_queue_try_put (own, g_variant_new ("(iv)", 1, handle), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_cmpuint (count_fds (), ==, n_fds);
  mp_queue_put_async (own, handle, NULL, result_cb, &result);
  await_result (&result);
  g_assert_false (mp_queue_put_finish (own, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_clear_object (&result);
  g_assert_false (mp_queue_put (own, g_variant_new_string ("eleven.ch."), LONG, NULL, &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_TOO_LARGE,
                 "queue put: the item has 11 bytes, and the queue is for 10 at most");
  g_cancellable_cancel (cancellable);
  g_assert_false (mp_queue_put (own, g_variant_new_uint32 (1), LONG, cancellable, &error));
  assert_failed (&error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "queue put: cancelled");
  g_assert_null (mp_queue_get (own, LONG, cancellable, &error));
  assert_failed (&error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "queue get: cancelled");
  g_assert_true (mp_queue_is_empty (own));
}

static void
test_bytes (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL, number = NULL;
  guint8 buffer[100];
  gsize length = 0;
  guint tag = 0;

  put_sized (own, 1, 0);
  put_sized (own, 2, 1);
  put_sized (own, 3, 100);
  put_number (own, 4);
  put_sized (own, 5, 99);
  put_sized (own, 6, 20);
  mp_queue_put_tagged (own, buffer, 7, 65535, LONG, NULL, &error);
  g_assert_no_error (error);
  get_sized (own, 1, 0);
  get_sized (own, 2, 1);

  g_assert_false (mp_queue_get_bytes_into (own, buffer, 99, &length, 0, NULL, &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT,
                 "queue get: the next item has 100 bytes, the buffer 99");
  g_assert_cmpuint (length, ==, 100);
  g_assert_true (mp_queue_get_bytes_into (own, buffer, 100, &length, 0, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (length, ==, 100);
  g_assert_cmpuint (buffer[99], ==, (3 * 31 + 99) % 251);

  g_assert_false (mp_queue_get_bytes_into (own, buffer, 99, &length, 0, NULL, &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_INVALID_TYPE, "queue get: the next item is no bytes, but a value");
  g_assert_cmpuint (length, ==, 0);
  g_assert_null (mp_queue_try_get_bytes (own, &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_INVALID_TYPE, "queue get: the next item is no bytes, but a value");
  number = mp_queue_get_tagged (own, &tag, 0, NULL, &error);
  g_assert_cmpuint (g_variant_get_uint64 (number), ==, 4);
  g_assert_cmpuint (tag, ==, 0);
  g_clear_pointer (&number, g_variant_unref);

  value = mp_queue_try_get (own, &error);
  g_assert_cmpstr (g_variant_get_type_string (value), ==, "ay");
  g_assert_cmpuint (g_variant_get_size (value), ==, 99);
  g_clear_pointer (&value, g_variant_unref);
  get_sized (own, 6, 20);
  value = mp_queue_get_tagged (own, &tag, 0, NULL, &error);
  g_assert_cmpstr (g_variant_get_type_string (value), ==, "ay");
  g_assert_cmpuint (tag, ==, 65535);
  g_assert_cmpuint (mp_queue_get_n_bytes (own), ==, 0);
}

static void
test_bounds (void)
{
  g_autoptr(MpQueue) few = mp_queue_new (2, 0), small = mp_queue_new (0, 100);
  g_autoptr(GBytes) one = g_bytes_new_static ("", 1);
  g_autoptr(GError) error = NULL;

  g_assert_cmpuint (mp_queue_get_max_items (few), ==, 2);
  g_assert_cmpuint (mp_queue_get_max_bytes (small), ==, 100);
  put_number (few, 1);
  g_assert_false (mp_queue_is_full (few));
  put_number (few, 2);
  g_assert_true (mp_queue_is_full (few));
  g_assert_false (mp_queue_try_put (few, g_variant_new_uint64 (3), &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_FULL, "queue put: the queue is full");
  g_assert_false (mp_queue_put (few, g_variant_new_uint64 (3), 1000, NULL, &error));
  assert_failed (&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "queue put: timed out");
  g_assert_cmpuint (get_number (few), ==, 1);
  put_number (few, 3);
  g_assert_cmpuint (get_number (few), ==, 2);
  g_assert_cmpuint (get_number (few), ==, 3);

  put_sized (small, 1, 60);
  put_sized (small, 2, 40);
  put_sized (small, 3, 0);
  g_assert_false (mp_queue_try_put_bytes (small, one, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_clear_error (&error);
  get_sized (small, 1, 60);
  put_sized (small, 4, 60);
  g_assert_cmpuint (mp_queue_get_n_bytes (small), ==, 100);
  get_sized (small, 2, 40);
  get_sized (small, 3, 0);
  get_sized (small, 4, 60);
  put_sized (small, 5, 100);
  get_sized (small, 5, 100);
}

/* Sizes and numbers of items go up and down, so that all rings are used, begun, left and begun anew. */
static void
test_rings (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  guint64 put = 0, got = 0;
  g_autoptr(GArray) sizes = g_array_new (FALSE, FALSE, sizeof (gsize));
  guint n_rounds = g_getenv ("MP_TESTS_SLOW") != NULL ? 60 : 600;
  guint rings = 0;

  for (guint round = 0; round < n_rounds; round++)
    {
      gboolean is_big = round % 10 == 0;
      gsize most = (gsize) 1 << (round == 0 ? 21 : g_test_rand_int_range (0, is_big ? 22 : 14));
      guint n_put = round == 0 ? 60 : g_test_rand_int_range (0, is_big ? 16 : 300);
      guint n_got = round % 8 == 7 ? G_MAXUINT : (guint) g_test_rand_int_range (0, 250);

      for (guint i = 0; i < n_put; i++, put++)
        {
          gsize size = round == 0 ? most / 2 : (gsize) g_test_rand_int_range (0, most + 1);

          g_array_append_val (sizes, size);
          put_sized (own, put, size);
          rings |= 1u << MP_TAPE_RING (own->tape->header->put.state[own->tape->header->put.which & 1][0]);
        }
      for (guint i = 0; i < n_got && got < put; i++, got++)
        get_sized (own, got, g_array_index (sizes, gsize, got));
      g_assert_cmpuint (mp_queue_get_length (own), ==, put - got);
    }
  for (; got < put; got++)
    get_sized (own, got, g_array_index (sizes, gsize, got));
  g_assert_true (mp_queue_is_empty (own));
  g_assert_cmpuint (rings & 31, ==, 31);
}

/* What was drained is given back; what is used all the time takes no more. */
static void
test_memory (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  const guint64 warm = 512 << 10;

  for (guint i = 0; i < 200 * MANY; i++)
    {
      put_number (own, i);
      get_number (own);
    }
  g_assert_cmpuint (get_memory (own), <=, warm);

  for (guint i = 0; i < 100; i++)
    put_sized (own, i, 1 << 20);
  g_assert_cmpuint (get_memory (own), >=, 100 << 20);
  for (guint i = 0; i < 90; i++)
    get_sized (own, i, 1 << 20);
  g_assert_cmpuint (get_memory (own), <=, 20 << 20);
  for (guint i = 90; i < 100; i++)
    get_sized (own, i, 1 << 20);
  g_assert_cmpuint (get_memory (own), <=, 8 << 20);
  for (guint i = 0; i < 10; i++)
    {
      put_number (own, i);
      get_number (own);
    }
  g_assert_cmpuint (get_memory (own), <=, warm);
  /* Where memory stays, and is the same again and again. */
  g_assert_cmpuint (MP_TAPE_RING (own->tape->header->put.state[own->tape->header->put.which & 1][0]), ==, 0);
}

static void
test_huge (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  guint8 *data = NULL;
  gsize size = (gsize) 300 << 20;

  if (g_getenv ("MP_TESTS_SLOW") != NULL)
    size = 20 << 20;
  data = g_malloc0 (size);
  data[size - 1] = 7;
  bytes = g_bytes_new_take (data, size);
  put_number (own, 1);
  mp_queue_put_bytes (own, bytes, LONG, NULL, &error);
  g_assert_no_error (error);
  put_number (own, 2);
  g_assert_cmpuint (get_number (own), ==, 1);
  g_clear_pointer (&bytes, g_bytes_unref);
  bytes = mp_queue_get_bytes (own, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, size);
  g_assert_cmpuint (((const guint8 *) g_bytes_get_data (bytes, NULL))[size - 1], ==, 7);
  g_assert_cmpuint (get_number (own), ==, 2);
  put_number (own, 3);
  g_assert_cmpuint (get_number (own), ==, 3);
  g_assert_cmpuint (get_memory (own), <=, 1 << 20);
}

/* More than there is memory for is an error, and neither a signal nor the end of something else. */
static void
test_too_large (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  MpQueuePut put = { .item = { .kind = MP_TAPE_BYTES, .data = "", .size = (gsize) 30 << 30 } };
  g_autoptr(GError) error = NULL;

  if (sizeof (gsize) == 4)
    return;
  g_assert_false (mp_queue_run_put (own, &put, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  put.item.size = (gsize) 1 << 40;
  g_assert_false (mp_queue_run_put (own, &put, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  put_number (own, 1);
  g_assert_cmpuint (get_number (own), ==, 1);
}

/* One that cannot have a place tells why, whatever is asked of it. */
static void
refused_in_child (int socket)
{
  g_autoptr(MpQueue) first = NULL, second = NULL;
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;

  mp_arena_set_sizes_for_testing (64, 2);
  first = mp_queue_new (0, 0);
  for (guint i = 0; i < 63; i++)
    g_assert_nonnull (mp_lock_new ());
  second = mp_queue_new (3, 0);
  put_number (first, 1);
  g_assert_false (mp_queue_try_put (second, g_variant_new_uint64 (1), &error));
  assert_failed (&error, MP_ERROR, MP_ERROR_FULL,
                 "queue put: queue: all of the 64 places of this process are in use");
  g_assert_null (mp_queue_get (second, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_clear_error (&error);
  g_assert_false (mp_queue_close (second, &error));
  g_clear_error (&error);
  g_assert_cmpuint (mp_queue_get_length (second), ==, 0);
  g_assert_cmpuint (mp_queue_get_max_items (second), ==, 3);
  mp_queue_get_async (second, NULL, result_cb, &result);
  await_result (&result);
  g_assert_null (mp_queue_get_finish (second, result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_clear_error (&error);
  g_clear_object (&result);
  mp_queue_put_async (second, g_variant_new_uint64 (1), NULL, result_cb, &result);
  await_result (&result);
  g_assert_false (mp_queue_put_finish (second, result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_clear_object (&result);
}

static void
test_no_place (void)
{
  run_apart (refused_in_child);
}

/* Asynchronous calls. */

static void
test_async (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (2, 0);
  g_autoptr(GError) error = NULL;
  GAsyncResult *got[3] = { NULL }, *put[4] = { NULL };
  guint n_threads = 0;

  mp_queue_get_async (own, NULL, result_cb, &got[0]);
  n_threads = count_threads ();
  for (guint i = 1; i < 3; i++)
    mp_queue_get_async (own, NULL, result_cb, &got[i]);
  g_assert_cmpuint (count_threads (), <=, n_threads);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr(GVariant) value = NULL;

      put_number (own, i);
      await_result (&got[i]);
      value = mp_queue_get_finish (own, got[i], &error);
      g_assert_no_error (error);
      g_assert_cmpuint (g_variant_get_uint64 (value), ==, i);
      g_clear_object (&got[i]);
    }

  for (guint i = 0; i < 4; i++)
    mp_queue_put_async (own, g_variant_new_uint64 (i), NULL, result_cb, &put[i]);
  await_result (&put[1]);
  g_assert_null (put[2]);
  for (guint i = 0; i < 4; i++)
    {
      g_assert_cmpuint (get_number (own), ==, i);
      await_result (&put[i]);
      g_assert_true (mp_queue_put_finish (own, put[i], &error));
      g_clear_object (&put[i]);
      if (i < 2)
        await_result (&put[i + 2]);
    }
  g_assert_true (mp_queue_is_empty (own));
}

static void
note_cb (gpointer data)
{
  *(gboolean *) data = TRUE;
}

/* (transfer floating) */
static GVariant *
make_watched (gboolean *is_gone)
{
  g_autoptr(GBytes) bytes = g_bytes_new_with_free_func ("watched", 8, note_cb, is_gone);

  *is_gone = FALSE;
  return g_variant_new_from_bytes (G_VARIANT_TYPE_STRING, bytes, TRUE);
}

/* A value is kept as long as it is to be put, whoever else drops it, and no longer. */
static void
test_kept (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (1, 0);
  g_autoptr(GVariant) got = NULL;
  GVariant *value = NULL;
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;
  gboolean is_gone;

  g_assert_true (mp_queue_put (own, make_watched (&is_gone), LONG, NULL, &error));
  g_assert_true (is_gone);
  g_assert_false (mp_queue_try_put (own, make_watched (&is_gone), &error));
  g_assert_true (is_gone);
  g_clear_error (&error);

  value = g_variant_ref_sink (make_watched (&is_gone));
  mp_queue_put_async (own, value, NULL, result_cb, &result);
  g_variant_unref (value);
  g_assert_false (is_gone);
  g_variant_unref (mp_queue_get (own, LONG, NULL, NULL));
  await_result (&result);
  g_assert_true (mp_queue_put_finish (own, result, &error));
  g_clear_object (&result);
  g_assert_true (is_gone);
  got = mp_queue_get (own, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (g_variant_get_string (got, NULL), ==, "watched");
}

static void
test_async_kinds (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (1, 1000);
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = make_bytes (1, 100), got = NULL;
  g_autoptr(GVariant) value = NULL;
  GAsyncResult *result = NULL;
  guint tag = 0;

  mp_queue_put_bytes_async (own, bytes, NULL, result_cb, &result);
  await_result (&result);
  g_assert_true (mp_queue_put_bytes_finish (own, result, &error));
  g_clear_object (&result);
  mp_queue_get_bytes_async (own, NULL, result_cb, &result);
  await_result (&result);
  got = mp_queue_get_bytes_finish (own, result, &error);
  check_bytes (got, 1, 100);
  g_clear_object (&result);

  mp_queue_put_tagged_async (own, (const guint8 *) "tag", 3, 12, NULL, result_cb, &result);
  await_result (&result);
  g_assert_true (mp_queue_put_tagged_finish (own, result, &error));
  g_clear_object (&result);
  mp_queue_get_tagged_async (own, NULL, result_cb, &result);
  await_result (&result);
  value = mp_queue_get_tagged_finish (own, result, &tag, &error);
  g_assert_cmpuint (tag, ==, 12);
  g_assert_cmpuint (g_variant_get_size (value), ==, 3);
  g_clear_object (&result);

  /* A value is no bytes, and stays. */
  put_number (own, 1);
  mp_queue_get_bytes_async (own, NULL, result_cb, &result);
  await_result (&result);
  g_assert_null (mp_queue_get_bytes_finish (own, result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);
  g_clear_object (&result);
  g_assert_cmpuint (get_number (own), ==, 1);

  put_number (own, 1);
  mp_queue_put_async (own, g_variant_new ("(ay)", NULL), NULL, result_cb, &result);
  g_assert_cmpuint (get_number (own), ==, 1);
  await_result (&result);
  g_assert_true (mp_queue_put_finish (own, result, &error));
  g_clear_object (&result);
  bytes = (g_bytes_unref (bytes), make_bytes (1, 1001));
  mp_queue_put_bytes_async (own, bytes, NULL, result_cb, &result);
  await_result (&result);
  g_assert_false (mp_queue_put_bytes_finish (own, result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_object (&result);
}

static void
test_async_cancel (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (1, 0);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GAsyncResult *first = NULL, *second = NULL;
  g_autoptr(GVariant) value = NULL;

  mp_queue_get_async (own, cancellable, result_cb, &first);
  mp_queue_get_async (own, NULL, result_cb, &second);
  g_cancellable_cancel (cancellable);
  await_result (&first);
  g_assert_null (mp_queue_get_finish (own, first, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&first);
  put_number (own, 5);
  await_result (&second);
  value = mp_queue_get_finish (own, second, &error);
  g_assert_cmpuint (g_variant_get_uint64 (value), ==, 5);
  g_clear_object (&second);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (g_steal_pointer (&own));
}

/* Signals. */

typedef struct
{
  guint n_items;
  guint n_closed;
  guint stop_after;
  guint most;      /* in the queue while handlers run */
} Told;

static void
item_cb (MpQueue  *self,
         GVariant *value,
         guint     tag,
         gpointer  user_data)
{
  Told *told = user_data;

  g_assert_cmpuint (g_variant_get_uint64 (value), ==, told->n_items);
  if (++told->n_items == told->stop_after)
    mp_queue_stop (self);
}

static void
closed_cb (MpQueue  *self,
           GError   *error,
           gpointer  user_data)
{
  Told *told = user_data;

  g_assert_no_error (error);
  told->n_closed++;
}

static void
test_signals (void)
{
  MpQueue *own = mp_queue_new (0, 0);
  Told told = { 0 };

  g_signal_connect (own, "item", G_CALLBACK (item_cb), &told);
  g_signal_connect (own, "closed", G_CALLBACK (closed_cb), &told);
  mp_queue_stop (own);
  mp_queue_start (own);
  mp_queue_start (own);
  for (guint i = 0; i < MANY; i++)
    put_number (own, i);
  told.stop_after = 500;
  while (told.n_items < 500)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  /* The one more is in nobody's hands: there was none. */
  g_assert_cmpuint (told.n_items, ==, 500);
  g_assert_cmpuint (mp_queue_get_length (own), ==, MANY - 500);
  mp_queue_start (own);
  told.stop_after = 0;
  mp_queue_close (own, NULL);
  while (told.n_closed == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (told.n_items, ==, MANY);
  g_assert_cmpuint (told.n_closed, ==, 1);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (own);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/queue/order", test_order);
  g_test_add_func ("/queue/values", test_values);
  g_test_add_func ("/queue/not-normal", test_not_normal);
  g_test_add_func ("/queue/refused", test_refused);
  g_test_add_func ("/queue/bytes", test_bytes);
  g_test_add_func ("/queue/bounds", test_bounds);
  g_test_add_func ("/queue/rings", test_rings);
  g_test_add_func ("/queue/memory", test_memory);
  g_test_add_func ("/queue/huge", test_huge);
  g_test_add_func ("/queue/too-large", test_too_large);
  g_test_add_func ("/queue/no-place", test_no_place);
  g_test_add_func ("/queue/async", test_async);
  g_test_add_func ("/queue/kept", test_kept);
  g_test_add_func ("/queue/async-kinds", test_async_kinds);
  g_test_add_func ("/queue/async-cancel", test_async_cancel);
  g_test_add_func ("/queue/signals", test_signals);
  return g_test_run ();
}
