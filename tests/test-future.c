/* test-future.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* What was submitted to a pool, before it is there, when it is, and after the pool's end. */

static void
test_future (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(GCancellable) cancelled = g_cancellable_new ();
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  g_assert_false (mp_future_is_ready (waits));
  g_assert_false (mp_future_is_successful (waits));
  g_assert_false (mp_future_wait (waits, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_null (mp_future_get (next, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_cancellable_cancel (cancelled);
  g_assert_null (mp_future_get (next, LONG, cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  gate_open (&gate);
  g_assert_true (mp_future_wait (next, LONG, NULL, &error));
  g_assert_cmpint (get_int (next), ==, 25);
  g_assert_cmpint (get_int (next), ==, 25);
  g_assert_true (mp_future_is_successful (next));
  g_assert_true (mp_future_is_ready (waits));
  gate_clear (&gate);
  finish (pool);
}

static void
test_future_map (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) future = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (500), 7, &error);
  g_autoptr(GVariant) result = NULL;

  g_assert_no_error (error);
  while (!mp_future_is_ready (future))
    g_thread_yield ();
  result = mp_future_get (future, 0, NULL, &error);
  g_assert_no_error (error);
  check_squares (result, 500);
  finish (pool);
}

static void
test_future_outlives_pool (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) queued = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  g_assert_finalize_object (pool);
  g_assert_null (mp_future_get (busy, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_null (mp_future_get (queued, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  gate_clear (&gate);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/future/wait", test_future);
  g_test_add_func ("/future/map", test_future_map);
  g_test_add_func ("/future/outlives-pool", test_future_outlives_pool);
  return g_test_run ();
}
