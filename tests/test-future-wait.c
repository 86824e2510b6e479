/* test-future-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* Waiting for several futures at once. */

static void
count_cb (MpFuture *future, gpointer user_data)
{
  (*(int *) user_data)++;
}

static void
test_all (void)
{
  MpPool *pools[2] = { mp_pool_new (1), mp_pool_new (1) };
  MpFuture *futures[200];
  g_autoptr(GError) error = NULL;
  int n_done = 0;

  for (int i = 0; i < 200; i++)
    {
      futures[i] = submit (pools[i % 2], MP_FUNCTION (square), g_variant_new_int32 (i));
      g_signal_connect (futures[i], "done", G_CALLBACK (count_cb), &n_done);
    }
  g_assert_true (mp_future_wait_all (futures, 200, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (n_done, ==, 200);
  g_assert_true (mp_future_wait_all (futures, 200, 0, NULL, &error));
  g_assert_true (mp_future_wait_all (NULL, 0, 0, NULL, &error));
  for (int i = 0; i < 200; i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, i * i);
      g_object_unref (futures[i]);
    }
  finish (pools[0]);
  finish (pools[1]);
}

static void
test_any (void)
{
  MpPool *pools[2] = { mp_pool_new (1), mp_pool_new (1) };
  Gate gate = gate_new ();
  MpFuture *futures[3] = { submit (pools[0], MP_FUNCTION (wait_at_gate), gate_handle (&gate)),
                           submit (pools[0], MP_FUNCTION (square), g_variant_new_int32 (2)),
                           submit (pools[1], MP_FUNCTION (square), g_variant_new_int32 (3)) };
  g_autoptr(GCancellable) cancelled = g_cancellable_new ();
  g_autoptr(MpFuture) first = NULL, second = NULL;
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  first = mp_future_wait_any (futures, 3, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (first == futures[2]);
  g_assert_null (mp_future_wait_any (futures, 2, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_false (mp_future_wait_all (futures, 3, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_cancellable_cancel (cancelled);
  g_assert_null (mp_future_wait_any (futures, 2, LONG, cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (mp_future_wait_any (NULL, 0, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);

  gate_open (&gate);
  second = mp_future_wait_any (futures, 2, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (second == futures[0]);
  g_assert_true (mp_future_wait_all (futures, 3, LONG, NULL, &error));
  g_assert_no_error (error);
  for (int i = 0; i < 3; i++)
    g_object_unref (futures[i]);
  gate_clear (&gate);
  finish (pools[0]);
  finish (pools[1]);
}

/* One that ends by its pool's end, and one that is called off, end a wait as any other. */
static void
test_ends (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpFuture *futures[2] = { submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate)),
                           submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2)) };
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  g_assert_true (mp_future_cancel (futures[1]));
  mp_pool_terminate (pool);
  g_assert_true (mp_future_wait_all (futures, 2, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mp_future_get_state (futures[0]), ==, MP_FUTURE_STATE_CANCELLED);
  g_object_unref (futures[0]);
  g_object_unref (futures[1]);
  gate_clear (&gate);
  finish (pool);
}

static gboolean
wait_result (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return TRUE;
}

static void
test_async (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpFuture *futures[2] = { submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate)),
                           submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2)) };
  g_autoptr(GAsyncResult) all = NULL, any = NULL, none = NULL, refused = NULL;
  g_autoptr(MpFuture) first = NULL;
  g_autoptr(GError) error = NULL;

  mp_future_wait_all_async (futures, 2, NULL, result_cb, &all);
  mp_future_wait_any_async (futures, 2, NULL, result_cb, &any);
  mp_future_wait_all_async (NULL, 0, NULL, result_cb, &none);
  mp_future_wait_any_async (NULL, 0, NULL, result_cb, &refused);
  gate_await (&gate);
  wait_result (&none);
  wait_result (&refused);
  g_assert_null (any);
  g_assert_true (mp_future_wait_all_finish (none, &error));
  g_assert_no_error (error);
  g_assert_null (mp_future_wait_any_finish (refused, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);

  gate_open (&gate);
  wait_result (&any);
  wait_result (&all);
  first = mp_future_wait_any_finish (any, &error);
  g_assert_no_error (error);
  g_assert_true (first == futures[0]);
  g_assert_true (mp_future_wait_all_finish (all, &error));
  g_assert_no_error (error);
  g_object_unref (futures[0]);
  g_object_unref (futures[1]);
  gate_clear (&gate);
  finish (pool);
}

/* Before the wait, during it, and when it is over but nobody has been told. */
static void
test_async_cancelled (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpFuture *future = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(GCancellable) before = g_cancellable_new (), during = g_cancellable_new (), late = g_cancellable_new ();
  GAsyncResult *results[3] = { NULL };
  g_autoptr(GError) error = NULL;

  g_cancellable_cancel (before);
  mp_future_wait_all_async (&future, 1, before, result_cb, &results[0]);
  mp_future_wait_any_async (&future, 1, during, result_cb, &results[1]);
  mp_future_wait_all_async (&future, 1, late, result_cb, &results[2]);
  g_cancellable_cancel (during);
  wait_result (&results[0]);
  wait_result (&results[1]);
  g_assert_null (results[2]);
  g_assert_false (mp_future_wait_all_finish (results[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (mp_future_wait_any_finish (results[1], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  gate_await (&gate);
  gate_open (&gate);
  while (!mp_future_is_ready (future))
    g_thread_yield ();
  g_cancellable_cancel (late);
  wait_result (&results[2]);
  g_assert_true (mp_future_wait_all_finish (results[2], &error));
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    g_object_unref (results[i]);
  g_object_unref (future);
  gate_clear (&gate);
  finish (pool);
}

/* Workers of all kinds do their part in a wait that is for several of them. */
static void
test_backends (void)
{
  MpPool *pools[3] = { mp_pool_new_for_backend (MP_BACKEND_PROCESSES, 1), mp_pool_new_for_backend (MP_BACKEND_THREADS, 1),
                       mp_pool_new_for_backend (MP_BACKEND_INLINE, 1) };
  g_autoptr(MpFutureList) list = mp_future_list_new ();
  g_autoptr(GError) error = NULL;
  MpFuture *futures[30];
  int n_done = 0;

  for (int i = 0; i < 30; i++)
    {
      futures[i] = submit (pools[i % 3], MP_FUNCTION (square), g_variant_new_int32 (i));
      g_signal_connect (futures[i], "done", G_CALLBACK (count_cb), &n_done);
      mp_future_list_add (list, futures[i]);
    }
  for (int i = 0; i < 15; i++)
    {
      g_autoptr(MpFuture) future = mp_future_list_next_done (list, LONG, NULL, &error);

      g_assert_no_error (error);
      g_assert_nonnull (future);
    }
  for (int i = 0; i < 3; i++)
    {
      g_autoptr(MpFuture) first = mp_future_wait_any (futures + i, 1, LONG, NULL, &error);

      g_assert_true (first == futures[i]);
    }
  g_assert_true (mp_future_wait_all (futures, 30, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (n_done, ==, 30);
  for (int i = 0; i < 30; i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, i * i);
      g_object_unref (futures[i]);
    }
  g_clear_object (&list);
  for (int i = 0; i < 3; i++)
    finish (pools[i]);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/future-wait/all", test_all);
  g_test_add_func ("/future-wait/any", test_any);
  g_test_add_func ("/future-wait/ends", test_ends);
  g_test_add_func ("/future-wait/async", test_async);
  g_test_add_func ("/future-wait/async-cancelled", test_async_cancelled);
  g_test_add_func ("/future-wait/backends", test_backends);
  return g_test_run ();
}
