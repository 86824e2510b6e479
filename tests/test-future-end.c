/* test-future-end.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* How far a future is, how it is called off, and who is told of its end. */

static GVariant *
fail (GVariant *args, gpointer user_data, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "it is not there");
  return NULL;
}

static void
count_cb (MpFuture *future, gpointer user_data)
{
  (*(int *) user_data)++;
}

static void
notify_cb (MpFuture *future, GParamSpec *pspec, gpointer user_data)
{
  g_assert_cmpint (mp_future_get_state (future), >=, MP_FUTURE_STATE_SUCCEEDED);
  (*(int *) user_data)++;
}

static void
run_until (int *count, int n)
{
  while (*count < n)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_state (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(MpFuture) fails = submit (pool, MP_FUNCTION (fail), NULL);
  g_autofree char *function = NULL;
  MpFutureState state;
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  g_assert_cmpint (mp_future_get_state (waits), ==, MP_FUTURE_STATE_RUNNING);
  g_assert_cmpint (mp_future_get_state (next), ==, MP_FUTURE_STATE_QUEUED);
  gate_open (&gate);
  g_assert_true (mp_future_wait (fails, LONG, NULL, &error));
  g_assert_no_error (error);
  g_object_get (waits, "state", &state, "function", &function, NULL);
  g_assert_cmpint (state, ==, MP_FUTURE_STATE_SUCCEEDED);
  g_assert_cmpstr (function, ==, "wait_at_gate");
  g_assert_cmpstr (mp_future_get_function (next), ==, "square");
  g_assert_cmpint (mp_future_get_state (fails), ==, MP_FUTURE_STATE_FAILED);
  gate_clear (&gate);
  finish (pool);
}

static void
test_state_of_map (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  GVariant *handle = gate_handle (&gate);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) map = mp_pool_submit_map (pool, MP_FUNCTION (wait_at_gate), g_variant_new_array (NULL, &handle, 1),
                                                1, &error);

  g_assert_no_error (error);
  g_assert_cmpint (mp_future_get_state (map), ==, MP_FUTURE_STATE_QUEUED);
  gate_await (&gate);
  g_assert_cmpint (mp_future_get_state (map), ==, MP_FUTURE_STATE_RUNNING);
  gate_open (&gate);
  g_assert_true (mp_future_wait (map, LONG, NULL, &error));
  g_assert_cmpint (mp_future_get_state (map), ==, MP_FUTURE_STATE_SUCCEEDED);
  gate_clear (&gate);
  finish (pool);
}

/* Who is told need not keep the future; whoever blocks is told, too. */
static void
test_done (void)
{
  MpPool *pool = mp_pool_new (2);
  int n_done = 0, n_notified = 0;

  for (int i = 0; i < 100; i++)
    {
      g_autoptr(MpFuture) future = submit (pool, i % 2 == 0 ? MP_FUNCTION (square) : MP_FUNCTION (fail),
                                           g_variant_new_int32 (i));

      g_signal_connect (future, "done", G_CALLBACK (count_cb), &n_done);
      g_signal_connect (future, "notify::state", G_CALLBACK (notify_cb), &n_notified);
    }
  run_until (&n_done, 50);
  finish (pool);
  g_assert_cmpint (n_done, ==, 100);
  g_assert_cmpint (n_notified, ==, 100);
}

/* Looking and fetching are enough, without a wait. */
static void
test_done_by_get (void)
{
  MpPool *pool = mp_pool_new (1);
  MpFuture *future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  int n_done = 0;

  g_signal_connect (future, "done", G_CALLBACK (count_cb), &n_done);
  while (!mp_future_is_ready (future))
    g_thread_yield ();
  g_assert_cmpint (n_done, ==, 0);
  g_assert_cmpint (get_int (future), ==, 9);
  g_assert_cmpint (n_done, ==, 1);
  g_assert_finalize_object (future);
  finish (pool);
}

/* A handler that waits is no reason for the others not to be told before its wait is over. */
static void
wait_in_handler_cb (MpFuture *future, gpointer user_data)
{
  MpFuture *other = user_data;
  int n_done = 0;

  g_signal_connect (other, "done", G_CALLBACK (count_cb), &n_done);
  g_assert_true (mp_future_wait (other, LONG, NULL, NULL));
  g_assert_cmpint (n_done, ==, 1);
}

static void
test_done_waits (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  g_autoptr(MpFuture) second = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (4));
  int n_done = 0;

  g_signal_connect (first, "done", G_CALLBACK (wait_in_handler_cb), second);
  g_signal_connect (first, "done", G_CALLBACK (count_cb), &n_done);
  /* Both have ended before the first is told of. */
  while (!mp_future_is_ready (first) || !mp_future_is_ready (second))
    g_thread_yield ();
  run_until (&n_done, 1);
  finish (pool);
}

static gpointer
submit_in_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpFuture) future = NULL;
  int n_done = 0;

  g_main_context_push_thread_default (context);
  future = submit (data, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_signal_connect (future, "done", G_CALLBACK (count_cb), &n_done);
  while (n_done == 0)
    g_main_context_iteration (context, TRUE);
  g_assert_cmpint (get_int (future), ==, 25);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* In the context of the call, although nobody turns the pool's. */
static void
test_done_in_thread (void)
{
  MpPool *pool = mp_pool_new (1);
  GThread *threads[3];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("submitter", submit_in_thread, pool);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  finish (pool);
}

static void
terminate_cb (MpFuture *future, gpointer user_data)
{
  g_assert_cmpint (mp_future_get_state (future), ==, MP_FUTURE_STATE_FAILED);
  mp_pool_terminate (user_data);
}

static void
test_terminate_in_handler (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFuture) fails = submit (pool, MP_FUNCTION (fail), NULL);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  int n_done = 0;

  g_signal_connect (fails, "done", G_CALLBACK (terminate_cb), pool);
  g_signal_connect (waits, "done", G_CALLBACK (count_cb), &n_done);
  g_signal_connect (next, "done", G_CALLBACK (count_cb), &n_done);
  run_until (&n_done, 2);
  g_assert_cmpint (mp_future_get_state (waits), ==, MP_FUTURE_STATE_CANCELLED);
  g_assert_cmpint (mp_future_get_state (next), ==, MP_FUTURE_STATE_CANCELLED);
  gate_clear (&gate);
  finish (pool);
}

static void
failed_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);
  int *n = user_data, code = *n == 0 ? G_IO_ERROR_NOT_FOUND : G_IO_ERROR_CANCELLED;

  g_assert_null (value);
  g_assert_error (error, G_IO_ERROR, code);
  if ((*n)++ == 0)
    {
      g_autoptr(GError) join_error = NULL;

      mp_pool_terminate (MP_POOL (object));
      g_assert_true (mp_pool_join (MP_POOL (object), LONG, NULL, &join_error));
      g_assert_no_error (join_error);
      /* The join has run the others' callbacks. */
      g_assert_cmpint (*n, ==, 11);
    }
}

static void
test_terminate_in_callback (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  int n = 0;

  mp_pool_apply_async (pool, MP_FUNCTION (fail), NULL, NULL, failed_cb, &n);
  for (int i = 0; i < 10; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), NULL, failed_cb, &n);
  run_until (&n, 11);
  g_assert_cmpint (n, ==, 11);
  gate_clear (&gate);
  finish (pool);
}

static void
test_cancel (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(MpFuture) last = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (6));
  g_autoptr(GError) error = NULL;
  int n_done = 0;

  g_signal_connect (next, "done", G_CALLBACK (count_cb), &n_done);
  gate_await (&gate);
  g_assert_true (mp_future_cancel (next));
  g_assert_false (mp_future_cancel (next));
  g_assert_cmpint (mp_future_get_state (next), ==, MP_FUTURE_STATE_CANCELLED);
  g_assert_null (mp_future_get (next, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (n_done, ==, 1);
  g_assert_true (mp_future_cancel (waits));
  g_assert_cmpint (mp_future_get_state (waits), ==, MP_FUTURE_STATE_CANCELLED);
  gate_open (&gate);
  g_assert_cmpint (get_int (last), ==, 36);
  g_assert_false (mp_future_cancel (last));
  g_assert_cmpint (get_int (last), ==, 36);
  gate_clear (&gate);
  finish (pool);
}

static void
cancel_other_cb (MpFuture *future, gpointer user_data)
{
  g_assert_true (mp_future_cancel (user_data));
}

static void
test_cancel_in_handler (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(GError) error = NULL;

  g_signal_connect (first, "done", G_CALLBACK (cancel_other_cb), waits);
  g_assert_null (mp_future_get (waits, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  gate_open (&gate);
  gate_clear (&gate);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/future-end/state", test_state);
  g_test_add_func ("/future-end/state-of-map", test_state_of_map);
  g_test_add_func ("/future-end/done", test_done);
  g_test_add_func ("/future-end/done-by-get", test_done_by_get);
  g_test_add_func ("/future-end/done-waits", test_done_waits);
  g_test_add_func ("/future-end/done-in-thread", test_done_in_thread);
  g_test_add_func ("/future-end/terminate-in-handler", test_terminate_in_handler);
  g_test_add_func ("/future-end/terminate-in-callback", test_terminate_in_callback);
  g_test_add_func ("/future-end/cancel", test_cancel);
  g_test_add_func ("/future-end/cancel-in-handler", test_cancel_in_handler);
  return g_test_run ();
}
