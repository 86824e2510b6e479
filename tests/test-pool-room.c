/* test-pool-room.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* A queue that is to hold so much, and those who ask it. */

/* One worker, that waits at a gate and was sent all that it can be sent ahead: what comes next waits in the queue. It begins
 * its tasks one by one, because each is large. */
typedef struct
{
  MpPool *pool;
  Gate gate;
  MpFuture *waits;
  GPtrArray *ahead;   /* (element-type MpFuture) */
} Jam;

static GVariant *
large (int i)
{
  g_autofree guint8 *bytes = g_malloc0 (1200 * 1000);

  bytes[0] = i;
  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, 1200 * 1000, 1);
}

static GVariant *
first_byte (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) byte = g_variant_get_child_value (args, 0);

  return g_variant_new_int32 (g_variant_get_byte (byte));
}

static Jam
jam_new (guint max_queued)
{
  Jam jam = { mp_pool_new (1), gate_new (), NULL, g_ptr_array_new_with_free_func (g_object_unref) };

  mp_pool_set_max_queued (jam.pool, max_queued);
  jam.waits = submit (jam.pool, MP_FUNCTION (wait_at_gate), gate_handle (&jam.gate));
  gate_await (&jam.gate);
  return jam;
}

static void
jam_end (Jam *jam)
{
  gate_open (&jam->gate);
  for (guint i = 0; i < jam->ahead->len; i++)
    g_assert_cmpint (get_int (g_ptr_array_index (jam->ahead, i)), ==, i);
  g_assert_cmpint (get_int (jam->waits), >, 0);
  g_object_unref (jam->waits);
  g_ptr_array_unref (jam->ahead);
  gate_clear (&jam->gate);
  finish (jam->pool);
}

/* As much as there is room for. */
static guint
fill (Jam *jam)
{
  g_autoptr(GError) error = NULL;

  while (TRUE)
    {
      MpFuture *future = mp_pool_try_submit (jam->pool, MP_FUNCTION (first_byte), large (jam->ahead->len), NULL, &error);

      if (future == NULL)
        break;
      g_ptr_array_add (jam->ahead, future);
      g_assert_cmpuint (jam->ahead->len, <, 100);
    }
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  return jam->ahead->len;
}

static void
count_notify_cb (MpPool *pool, GParamSpec *pspec, gpointer user_data)
{
  int *counts = user_data;

  counts[mp_pool_get_needs_drain (pool) ? 1 : 0]++;
}

static void
test_full (void)
{
  Jam jam = jam_new (4);
  int n_notified[2] = { 0, 0 };
  guint n = 0, max_queued = 0;
  gboolean needs_drain = FALSE;

  g_signal_connect (jam.pool, "notify::needs-drain", G_CALLBACK (count_notify_cb), n_notified);
  g_assert_false (mp_pool_get_needs_drain (jam.pool));
  n = fill (&jam);
  g_assert_cmpuint (n, >=, 4);
  g_object_get (jam.pool, "max-queued", &max_queued, "needs-drain", &needs_drain, NULL);
  g_assert_cmpuint (max_queued, ==, 4);
  g_assert_true (needs_drain);
  while (n_notified[1] == 0)
    g_main_context_iteration (NULL, TRUE);

  /* The bound is for those who ask. */
  g_ptr_array_add (jam.ahead, submit (jam.pool, MP_FUNCTION (first_byte), large (jam.ahead->len)));
  g_assert_cmpuint (fill (&jam), ==, n + 1);
  mp_pool_set_max_queued (jam.pool, 6);
  g_assert_cmpuint (fill (&jam), ==, n + 2);
  /* Half full is not yet empty enough. */
  mp_pool_set_max_queued (jam.pool, 7);
  g_assert_true (mp_pool_get_needs_drain (jam.pool));
  mp_pool_set_max_queued (jam.pool, 0);
  g_assert_false (mp_pool_get_needs_drain (jam.pool));
  while (n_notified[0] == 0)
    g_main_context_iteration (NULL, TRUE);
  mp_pool_set_max_queued (jam.pool, 6);
  while (n_notified[1] == 1)
    g_main_context_iteration (NULL, TRUE);

  gate_open (&jam.gate);
  while (n_notified[0] == 1)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (mp_pool_get_needs_drain (jam.pool));
  g_assert_cmpint (n_notified[1], ==, 2);
  jam_end (&jam);
}

static MpFuture *
submitted (MpPool *pool, GAsyncResult **result)
{
  g_autoptr(GError) error = NULL;
  MpFuture *future = NULL;

  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  future = mp_pool_submit_finish (pool, *result, &error);
  g_assert_no_error (error);
  g_clear_object (result);
  return future;
}

/* They are let in one after the other, and nobody overtakes them. */
static void
test_wait_for_room (void)
{
  Jam jam = jam_new (2);
  GAsyncResult *results[5] = { NULL };
  MpFuture *futures[5];
  g_autoptr(GAsyncResult) at_once = NULL;
  g_autoptr(MpFuture) first = NULL;

  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (7), NULL, NULL, result_cb, &at_once);
  first = submitted (jam.pool, &at_once);
  fill (&jam);
  for (int i = 0; i < 5; i++)
    mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (i), NULL, NULL, result_cb, &results[i]);
  for (int i = 0; i < 10; i++)
    g_main_context_iteration (NULL, FALSE);
  for (int i = 0; i < 5; i++)
    g_assert_null (results[i]);

  gate_open (&jam.gate);
  for (int i = 0; i < 5; i++)
    {
      futures[i] = submitted (jam.pool, &results[i]);
      g_assert_cmpint (get_int (futures[i]), ==, i * i);
      g_object_unref (futures[i]);
    }
  g_assert_cmpint (get_int (first), ==, 49);
  jam_end (&jam);
}

/* A larger bound is room, too. */
static void
test_more_room (void)
{
  Jam jam = jam_new (1);
  g_autoptr(GAsyncResult) result = NULL, other = NULL;
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GError) error = NULL;

  fill (&jam);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (3), NULL, NULL, result_cb, &result);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (4), NULL, NULL, result_cb, &other);
  mp_pool_set_max_queued (jam.pool, 2);
  future = submitted (jam.pool, &result);
  g_assert_null (other);
  g_assert_null (mp_pool_try_submit (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (3), NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  mp_pool_set_max_queued (jam.pool, 0);
  g_object_unref (submitted (jam.pool, &other));
  jam_end (&jam);
}

/* Neither is what was called off in the way. */
static void
test_less_in_it (void)
{
  Jam jam = jam_new (1);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(MpFuture) future = NULL;
  guint last = fill (&jam) - 1;

  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (3), NULL, NULL, result_cb, &result);
  g_main_context_iteration (NULL, FALSE);
  g_assert_null (result);
  g_assert_true (mp_future_cancel (g_ptr_array_index (jam.ahead, last)));
  future = submitted (jam.pool, &result);
  g_ptr_array_set_size (jam.ahead, last);
  gate_open (&jam.gate);
  g_assert_cmpint (get_int (future), ==, 9);
  jam_end (&jam);
}

/* Before the call, while it waits, and by the options' cancellable. */
static void
test_cancel (void)
{
  Jam jam = jam_new (1);
  g_autoptr(GCancellable) before = g_cancellable_new (), during = g_cancellable_new (), task = g_cancellable_new ();
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  GAsyncResult *results[4] = { NULL };
  g_autoptr(MpFuture) cancelled = NULL, last = NULL;
  g_autoptr(GError) error = NULL;

  fill (&jam);
  g_cancellable_cancel (before);
  mp_task_options_set_cancellable (options, task);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, before, result_cb, &results[0]);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (2), NULL, during, result_cb, &results[1]);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (3), options, NULL, result_cb, &results[2]);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (4), NULL, NULL, result_cb, &results[3]);
  g_cancellable_cancel (during);
  g_cancellable_cancel (task);
  for (int i = 0; i < 2; i++)
    {
      while (results[i] == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_null (mp_pool_submit_finish (jam.pool, results[i], &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&error);
      g_clear_object (&results[i]);
    }
  cancelled = submitted (jam.pool, &results[2]);
  g_assert_cmpint (mp_future_get_state (cancelled), ==, MP_FUTURE_STATE_CANCELLED);
  g_assert_cmpstr (mp_future_get_function (cancelled), ==, "square");
  g_assert_null (results[3]);
  gate_open (&jam.gate);
  last = submitted (jam.pool, &results[3]);
  g_assert_cmpint (get_int (last), ==, 16);
  jam_end (&jam);
}

static void
check_refused (MpPool *pool, GAsyncResult **result)
{
  g_autoptr(GError) error = NULL;

  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_pool_submit_finish (pool, *result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_object (result);
}

static void
test_close (void)
{
  Jam jam = jam_new (1);
  g_autoptr(GAsyncResult) result = NULL, late = NULL;
  g_autoptr(GError) error = NULL;

  fill (&jam);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, NULL, result_cb, &result);
  mp_pool_close (jam.pool);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, NULL, result_cb, &late);
  check_refused (jam.pool, &result);
  check_refused (jam.pool, &late);
  g_assert_null (mp_pool_try_submit (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (3), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  jam_end (&jam);
}

static void
test_terminate (void)
{
  Jam jam = jam_new (1);
  g_autoptr(GAsyncResult) result = NULL;

  fill (&jam);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, NULL, result_cb, &result);
  mp_pool_terminate (jam.pool);
  check_refused (jam.pool, &result);
  g_assert_cmpint (mp_future_get_state (jam.waits), ==, MP_FUTURE_STATE_CANCELLED);
  g_object_unref (jam.waits);
  g_ptr_array_unref (jam.ahead);
  gate_clear (&jam.gate);
  finish (jam.pool);
}

/* A bad argument is the call's error, and not that of its turn. */
static void
test_bad_call (void)
{
  Jam jam = jam_new (1);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  fill (&jam);
  mp_pool_submit_async (jam.pool, MP_FUNCTION (square), g_variant_new_handle (12345), NULL, NULL, result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_pool_submit_finish (jam.pool, result, &error));
  g_assert_nonnull (error);
  g_clear_object (&result);
  jam_end (&jam);
}

typedef struct
{
  MpPool *pool;
  guint n_submitted, n_done, n_in, max_in;
} Stream;

static void feed_cb (GObject *object, GAsyncResult *result, gpointer user_data);

static void
stream_done_cb (MpFuture *future, gpointer user_data)
{
  ((Stream *) user_data)->n_done++;
}

static void
feed_next (Stream *stream)
{
  if (stream->n_submitted == 20000)
    return;
  stream->n_submitted++;
  mp_pool_submit_async (stream->pool, MP_FUNCTION (square), g_variant_new_int32 (stream->n_submitted), NULL, NULL, feed_cb,
                        stream);
}

static void
feed_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  Stream *stream = user_data;
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) future = mp_pool_submit_finish (MP_POOL (object), result, &error);

  g_assert_no_error (error);
  g_signal_connect (future, "done", G_CALLBACK (stream_done_cb), stream);
  stream->max_in = MAX (stream->max_in, stream->n_submitted - stream->n_done);
  feed_next (stream);
}

/* However many tasks there are, few are in the pool at one time, and none is lost. */
static void
test_stream (void)
{
  Stream stream = { mp_pool_new (2) };

  mp_pool_set_max_queued (stream.pool, 100);
  feed_next (&stream);
  while (stream.n_done < 20000)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (stream.n_done, ==, 20000);
  g_test_message ("at most %u at one time", stream.max_in);
  g_assert_cmpuint (stream.max_in, <, 5000);
  finish (stream.pool);
}

static void
count_done_cb (MpFuture *future, gpointer user_data)
{
  ++*(guint *) user_data;
}

static void
connect_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(MpFuture) future = mp_pool_submit_finish (MP_POOL (object), result, NULL);

  g_assert_nonnull (future);
  g_signal_connect (future, "done", G_CALLBACK (count_done_cb), user_data);
}

/* The task has ended before its future is given, and what tells of ends is under way already: whoever connects then still
 * hears of it. */
static void
test_done_when_given (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFuture) before = mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL);
  g_autoptr(MpFuture) behind = NULL;
  guint n_done = 0;

  while (!mp_future_is_ready (before))
    g_thread_yield ();
  mp_pool_submit_async (pool, MP_FUNCTION (square), g_variant_new_int32 (2), NULL, NULL, connect_cb, &n_done);
  behind = mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3), NULL);
  while (!mp_future_is_ready (behind))
    g_thread_yield ();

  while (n_done == 0)
    g_main_context_iteration (NULL, TRUE);
  finish (pool);
  g_assert_cmpuint (n_done, ==, 1);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-room/full", test_full);
  g_test_add_func ("/pool-room/wait", test_wait_for_room);
  g_test_add_func ("/pool-room/more", test_more_room);
  g_test_add_func ("/pool-room/less", test_less_in_it);
  g_test_add_func ("/pool-room/cancel", test_cancel);
  g_test_add_func ("/pool-room/close", test_close);
  g_test_add_func ("/pool-room/terminate", test_terminate);
  g_test_add_func ("/pool-room/bad-call", test_bad_call);
  g_test_add_func ("/pool-room/done-when-given", test_done_when_given);
  g_test_add_func ("/pool-room/stream", test_stream);
  return g_test_run ();
}
