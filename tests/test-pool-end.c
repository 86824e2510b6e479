/* test-pool-end.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <signal.h>

/* Close, terminate and join: from outside, from callbacks, at once. */

static void
test_close_and_join (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GAsyncResult) joined = NULL, early = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_pool_join (pool, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_error (&error);
  mp_pool_join_async (pool, NULL, result_cb, &early);
  future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (9));
  mp_pool_close (pool);
  mp_pool_close (pool);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (9), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  mp_pool_join_async (pool, NULL, result_cb, &joined);
  while (joined == NULL || early == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_pool_join_finish (pool, joined, &error));
  g_assert_no_error (error);
  g_assert_false (mp_pool_join_finish (pool, early, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_true (mp_future_is_ready (future));
  g_assert_cmpint (get_int (future), ==, 81);
  g_assert_true (mp_pool_join (pool, 0, NULL, &error));
  mp_pool_terminate (pool);
  g_assert_true (mp_pool_join (pool, 0, NULL, &error));
  g_clear_object (&joined);
  g_clear_object (&early);
  g_assert_finalize_object (pool);
}

static void
test_terminate (void)
{
  MpPool *pool = mp_pool_new (2);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(GAsyncResult) queued = NULL;
  g_autoptr(GError) error = NULL;
  int pid = gate_await (&gate);

  mp_pool_apply_async (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), NULL, result_cb, &queued);
  mp_pool_terminate (pool);
  mp_pool_terminate (pool);
  mp_pool_close (pool);
  g_assert_true (mp_future_is_ready (busy));
  g_assert_null (mp_future_get (busy, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_true (mp_pool_join (pool, LONG, NULL, &error));
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_assert_nonnull (queued);
  g_assert_null (mp_pool_apply_finish (pool, queued, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_object (&queued);
  gate_clear (&gate);
  g_assert_finalize_object (pool);
}

/* Before any worker has come up. */
static void
test_terminate_at_once (void)
{
  for (guint i = 0; i < 3; i++)
    {
      MpPool *pool = mp_pool_new (4);
      g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
      g_autoptr(GError) error = NULL;

      if (i == 0)
        mp_pool_terminate (pool);
      else if (i == 1)
        mp_pool_close (pool);
      if (i < 2)
        mp_pool_join (pool, LONG, NULL, &error);
      g_assert_no_error (error);
      g_assert_finalize_object (pool);
      g_assert_true (mp_future_is_ready (future));
      g_assert_true (mp_future_is_successful (future) == (i == 1));
    }
}

static void
join_in_callback (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  G_GNUC_UNUSED g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);

  g_assert_no_error (error);
  mp_pool_close (MP_POOL (object));
  g_assert_true (mp_pool_join (MP_POOL (object), LONG, NULL, &error));
  g_assert_no_error (error);
  *(gboolean *) user_data = TRUE;
}

static void
test_join_in_callback (void)
{
  MpPool *pool = mp_pool_new (2);
  gboolean joined = FALSE;

  mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (2), NULL, join_in_callback, &joined);
  while (!joined)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (pool);
}

static void
terminate_in_callback (GObject *object, GAsyncResult *result, gpointer user_data)
{
  int *n_left = user_data;

  mp_pool_terminate (MP_POOL (object));
  (*n_left)--;
}

static void
test_terminate_in_callback (void)
{
  MpPool *pool = mp_pool_new (2);
  int n_left = 1000;

  for (int i = 0; i < 1000; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (i), NULL, terminate_in_callback, &n_left);
  while (n_left > 0)
    g_main_context_iteration (NULL, TRUE);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-end/close-and-join", test_close_and_join);
  g_test_add_func ("/pool-end/terminate", test_terminate);
  g_test_add_func ("/pool-end/terminate/at-once", test_terminate_at_once);
  g_test_add_func ("/pool-end/terminate/in-callback", test_terminate_in_callback);
  g_test_add_func ("/pool-end/join-in-callback", test_join_in_callback);
  return g_test_run ();
}
