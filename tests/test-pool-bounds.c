/* test-pool-bounds.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "items-test.h"

#include <stdio.h>

/* How much of an input is asked for, by whom, and what its function may do. */

static gsize
resident_bytes (void)
{
  g_autofree char *text = NULL;
  gsize pages = 0;

  g_file_get_contents ("/proc/self/statm", &text, NULL, NULL);
  g_assert_cmpint (sscanf (text, "%*u %" G_GSIZE_FORMAT, &pages), ==, 1);
  return pages * sysconf (_SC_PAGESIZE);
}

static GVariant *
echo_chunk (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_ref (args);
}

/* Long input takes no more memory than short one. */
static void
test_memory (void)
{
  const int most_items = is_slow () ? 200000 : 10000000;
  static const guint chunks[] = { 1000, 20000 };
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++)
    {
      /* Once is enough to see that it is a matter of chunks, and not of items. */
      int n = i == 0 ? most_items / 10 : most_items;
      Count count = count_to (n);
      g_autoptr(MpResultIter) iter = iterate_count (pool, MP_CHUNK_FUNCTION (echo_chunk), &count, chunks[i], i == 0);
      gsize before = 0, most = 0;
      int n_read = 0;
      gint64 sum = 0;

      while (TRUE)
        {
          g_autoptr(GError) error = NULL;
          g_autoptr(GVariant) batch = mp_result_iter_next_batch (iter, 4096, LONG, NULL, &error);

          g_assert_no_error (error);
          if (batch == NULL)
            break;
          for (gsize j = 0; j < g_variant_n_children (batch); j += 1000)
            sum += j;
          n_read += g_variant_n_children (batch);
          /* From here on, all has been in use that will be. */
          if (before == 0 && n_read > n / 10)
            before = resident_bytes ();
          most = MAX (most, resident_bytes ());
        }
      g_assert_cmpint (n_read, ==, n);
      g_assert_cmpint (sum, >=, 0);
      g_assert_cmpuint (mp_result_iter_get_n_items (iter), ==, n);
      g_test_message ("%d items: %" G_GSIZE_FORMAT " KiB more", n, (most - before) / 1024);
      if (!is_slow () && !UNDER_ADDRESS_SANITIZER)
        g_assert_cmpuint (most - before, <, 24 * 1024 * 1024);
    }
  finish (pool);
}

/* All that may be asked for has been when a task that was submitted later is done and nothing more is due. */
static void
settle (MpPool *pool, Count *count)
{
  int n = -1;

  while (n != count->n_asked)
    {
      n = count->n_asked;
      for (int i = 0; i < 10; i++)
        {
          apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
          g_main_context_iteration (NULL, FALSE);
        }
    }
}

static void
test_reader_stops (void)
{
  MpPool *pool = mp_pool_new (2);

  for (guint chunk_size = 1; chunk_size < 100; chunk_size += 30)
    {
      Count count = count_to (G_MAXINT);
      g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, chunk_size, TRUE);
      guint n_queued = 0;
      int n = 0;

      for (int x = 0; x < 1000; x++)
        next_int (iter);
      settle (pool, &count);
      n = count.n_asked;
      /* Two workers, 64 chunks each at the most. */
      g_assert_cmpint (n, >=, 1000);
      g_assert_cmpint (n, <=, 1000 + 2 * 65 * chunk_size);
      /* What was asked for is sent, as soon as a worker has done something. */
      for (g_object_get (pool, "n-queued", &n_queued, NULL); n_queued > 0; g_object_get (pool, "n-queued", &n_queued, NULL))
        g_main_context_iteration (NULL, TRUE);

      /* And it goes on where it stopped. */
      for (int x = 1000; x < 3000; x++)
        g_assert_cmpint (next_int (iter), ==, x * x);
      g_assert_cmpint (count.n_asked, >=, 3000);
      g_assert_finalize_object (g_steal_pointer (&iter));
      n = count.n_asked;
      while (!count.freed)
        settle (pool, &count);
      g_assert_cmpint (count.n_asked, <=, n + 1);
    }
  finish (pool);
}

/* A reader that has read little finds little computed ahead. */
static void
test_little_ahead (void)
{
  MpPool *pool = mp_pool_new (1);
  Count count = count_to (G_MAXINT);
  g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, 1, TRUE);

  next_int (iter);
  settle (pool, &count);
  g_assert_cmpint (count.n_asked, <, 20);
  g_clear_object (&iter);
  finish (pool);
}

/* Who waits for the pool's end gets all computed. */
static void
test_join (void)
{
  MpPool *pool = mp_pool_new (2);
  Count count = count_to (5000);
  g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, 10, TRUE);

  g_assert_cmpint (next_int (iter), ==, 0);
  finish (pool);
  g_assert_cmpint (count.n_asked, ==, 5001);
  for (int x = 1; x < 5000; x++)
    g_assert_cmpint (next_int (iter), ==, x * x);
  expect_end (iter);
}

/* The pool ends before its input. */
static void
test_pool_ends (void)
{
  for (int gone = 0; gone < 2; gone++)
    {
      MpPool *pool = mp_pool_new (1);
      Count count = count_to (G_MAXINT);
      g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, 1, TRUE);
      gboolean failed = FALSE;

      for (int x = 0; x < 100; x++)
        next_int (iter);
      if (gone)
        g_assert_finalize_object (pool);
      else
        mp_pool_terminate (pool);
      while (!failed)
        {
          g_autoptr(GError) error = NULL;
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

          failed = value == NULL;
          if (failed)
            g_assert_error (error, G_IO_ERROR, (gone ? G_IO_ERROR_CLOSED : G_IO_ERROR_CANCELLED));
        }
      expect_end (iter);
      if (!gone)
        finish (pool);
      g_assert_true (count.freed);
    }
}

/* An iterator that is closed is at its end for everybody, and its input is let go of. */
static void
test_close (void)
{
  MpPool *pool = mp_pool_new (2);

  for (int ordered = 0; ordered < 2; ordered++)
    {
      Count count = count_to (G_MAXINT);
      g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, 5, ordered);
      g_autoptr(MpResultIter) array = NULL;
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GVariant) handle = NULL;
      g_autoptr(GError) error = NULL;
      Gate gate = gate_new ();
      int n = 0;

      for (int x = 0; x < 103; x++)
        next_int (iter);
      settle (pool, &count);
      n = count.n_asked;
      mp_result_iter_close (iter);
      mp_result_iter_close (iter);
      expect_end (iter);
      g_assert_null (mp_result_iter_next_batch (iter, 0, LONG, NULL, &error));
      g_assert_no_error (error);
      while (!count.freed)
        settle (pool, &count);
      g_assert_cmpint (count.n_asked, ==, n);

      /* Somebody waits. */
      handle = g_variant_ref_sink (gate_handle (&gate));
      array = mp_pool_imap (pool, MP_FUNCTION (wait_at_gate), g_variant_new_array (NULL, &handle, 1), 1, &error);
      g_assert_no_error (error);
      gate_await (&gate);
      mp_result_iter_next_async (array, NULL, result_cb, &result);
      mp_result_iter_close (array);
      while (result == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_null (mp_result_iter_next_finish (array, result, &error));
      g_assert_no_error (error);
      gate_open (&gate);
      gate_clear (&gate);
    }
  finish (pool);
}

/* What the function that gives the items does besides. */

typedef struct
{
  MpPool       *pool;
  MpResultIter *iter;
  int           n;
  int           what;
  GError       *error;
} Mischief;

enum { TERMINATE, DROP, READ, APPLY, CLOSE, N_MISCHIEFS };

static GVariant *
do_mischief (gpointer user_data, GError **error)
{
  Mischief *self = user_data;
  g_autoptr(GVariant) value = NULL;

  if (self->n++ != 5)
    return self->n < 100 ? g_variant_new_int32 (self->n - 1) : NULL;

  switch (self->what)
    {
    case TERMINATE:
      mp_pool_terminate (self->pool);
      break;
    case DROP:
      g_clear_object (&self->iter);
      break;
    case READ:
      /* What has been computed comes; then it would wait for this very function. */
      while ((value = mp_result_iter_next (self->iter, LONG, NULL, &self->error)) != NULL)
        g_clear_pointer (&value, g_variant_unref);
      break;
    case APPLY:
      g_assert_cmpint (apply_int (self->pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
      break;
    default:
      mp_pool_close (self->pool);
    }
  return g_variant_new_int32 (5);
}

static void
test_mischief (void)
{
  for (int what = 0; what < N_MISCHIEFS; what++)
    {
      MpPool *pool = mp_pool_new (2);
      Mischief state = { pool, NULL, 0, what, NULL };
      MpItems *items = mp_items_new_for_func (do_mischief, &state, NULL);
      g_autoptr(GError) error = NULL;
      int n = 0;

      state.iter = iterate (pool, MP_FUNCTION (square), items, 1, TRUE);
      while (state.iter != NULL)
        {
          g_autoptr(GVariant) value = mp_result_iter_next (state.iter, LONG, NULL, &error);

          if (value == NULL)
            break;
          n++;
        }
      switch (what)
        {
        case TERMINATE:
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          break;
        case DROP:
          g_assert_null (state.iter);
          break;
        case READ:
          g_assert_error (state.error, G_IO_ERROR, G_IO_ERROR_PENDING);
          g_assert_no_error (error);
          break;
        default:
          g_assert_no_error (error);
          g_assert_cmpint (n, ==, 99);
        }
      g_clear_error (&state.error);
      g_clear_object (&state.iter);
      finish (pool);
    }
}

/* The reader is another thread: the items are asked for where the call was made. */

static gpointer
read_in_thread (gpointer data)
{
  MpResultIter *iter = data;

  for (int x = 0; x < 3000; x++)
    g_assert_cmpint (next_int (iter), ==, x * x);
  expect_end (iter);
  return NULL;
}

static gboolean
tick (gpointer data)
{
  ++*(int *) data;
  return G_SOURCE_CONTINUE;
}

static void
test_reader_in_thread (void)
{
  MpPool *pool = mp_pool_new (2);
  Count count = count_to (3000);
  g_autoptr(MpResultIter) iter = iterate_count (pool, MP_FUNCTION (square), &count, 1, TRUE);
  G_GNUC_UNUSED g_autoptr(GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  GThread *thread = NULL;

  /* It must own the context before the thread comes to it. */
  g_assert_true (g_main_context_acquire (NULL));
  thread = g_thread_new ("reader", read_in_thread, iter);
  while (!count.freed)
    g_main_context_iteration (NULL, TRUE);
  g_main_context_release (NULL);
  g_thread_join (thread);
  finish (pool);
}

/* A quick reader of an input without an end leaves the main loop time for other things. */
static void
read_on_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  G_GNUC_UNUSED g_autoptr(GVariant) batch = mp_result_iter_next_batch_finish (MP_RESULT_ITER (object), result, &error);

  if (error != NULL)
    {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      *(gboolean *) user_data = TRUE;
      return;
    }
  mp_result_iter_next_batch_async (MP_RESULT_ITER (object), 0, NULL, read_on_cb, user_data);
}

static void
test_main_loop (void)
{
  MpPool *pool = mp_pool_new (2);
  Count count = count_to (G_MAXINT);
  g_autoptr(MpResultIter) iter = iterate_count (pool, MP_CHUNK_FUNCTION (echo_chunk), &count, 100, FALSE);
  gboolean ended = FALSE;
  int n_ticks = 0;
  guint id = g_timeout_add (1, tick, &n_ticks);

  mp_result_iter_next_batch_async (iter, 0, NULL, read_on_cb, &ended);
  while (n_ticks < 50)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (id);
  g_assert_cmpint (count.n_asked, >, 1000);
  mp_pool_terminate (pool);
  while (!ended)
    g_main_context_iteration (NULL, TRUE);
  g_clear_object (&iter);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-bounds/memory", test_memory);
  g_test_add_func ("/pool-bounds/reader-stops", test_reader_stops);
  g_test_add_func ("/pool-bounds/little-ahead", test_little_ahead);
  g_test_add_func ("/pool-bounds/join", test_join);
  g_test_add_func ("/pool-bounds/pool-ends", test_pool_ends);
  g_test_add_func ("/pool-bounds/close", test_close);
  g_test_add_func ("/pool-bounds/mischief", test_mischief);
  g_test_add_func ("/pool-bounds/reader-in-thread", test_reader_in_thread);
  g_test_add_func ("/pool-bounds/main-loop", test_main_loop);

  return g_test_run ();
}
