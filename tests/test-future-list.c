/* test-future-list.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <sys/wait.h>

/* Futures in a list: as they end, how many have, and what a view sees of it. */

static MpFuture *
next_done (MpFutureList *list)
{
  g_autoptr(GError) error = NULL;
  MpFuture *future = mp_future_list_next_done (list, LONG, NULL, &error);

  g_assert_no_error (error);
  return future;
}

static void
test_model (void)
{
  MpPool *pool = mp_pool_new (1);
  MpFutureList *list = mp_future_list_new ();
  Gate gate = gate_new ();
  g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) second = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2));
  g_autoptr(MpFuture) item = NULL;
  guint n_items = 0, n_done = 0;
  double fraction = 1;

  g_assert_true (g_list_model_get_item_type (G_LIST_MODEL (list)) == MP_TYPE_FUTURE);
  g_assert_cmpfloat (mp_future_list_get_fraction (list), ==, 0);
  mp_future_list_add (list, first);
  mp_future_list_add (list, second);
  item = g_list_model_get_item (G_LIST_MODEL (list), 1);
  g_assert_true (item == second);
  g_assert_null (g_list_model_get_item (G_LIST_MODEL (list), 2));
  gate_await (&gate);
  g_object_get (list, "n-items", &n_items, "n-done", &n_done, "fraction", &fraction, NULL);
  g_assert_cmpuint (n_items, ==, 2);
  g_assert_cmpuint (n_done, ==, 0);
  g_assert_cmpfloat (fraction, ==, 0);
  gate_open (&gate);
  g_assert_true (mp_future_list_wait_all (list, LONG, NULL, NULL));
  g_assert_cmpuint (mp_future_list_get_n_done (list), ==, 2);
  g_assert_cmpfloat (mp_future_list_get_fraction (list), ==, 1);

  g_assert_true (mp_future_list_remove (list, first));
  g_assert_false (mp_future_list_remove (list, first));
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (list)), ==, 1);
  g_assert_cmpuint (mp_future_list_get_n_done (list), ==, 1);
  g_assert_finalize_object (list);
  gate_clear (&gate);
  finish (pool);
}

/* Each once, in the order of their ends. */
static void
test_next (void)
{
  MpPool *pools[2] = { mp_pool_new (1), mp_pool_new (2) };
  MpFutureList *list = mp_future_list_new ();
  Gate gate = gate_new ();
  g_autoptr(MpFuture) slow = submit (pools[0], MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) behind = submit (pools[0], MP_FUNCTION (square), g_variant_new_int32 (3));
  g_autoptr(MpFuture) last = NULL, late = NULL, again = NULL;
  g_autoptr(GHashTable) seen = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
  g_autoptr(GError) error = NULL;

  gate_await (&gate);
  mp_future_list_add (list, slow);
  mp_future_list_add (list, behind);
  for (int i = 0; i < 500; i++)
    {
      g_autoptr(MpFuture) future = submit (pools[1], MP_FUNCTION (square), g_variant_new_int32 (i));

      mp_future_list_add (list, future);
    }
  for (int i = 0; i < 500; i++)
    {
      MpFuture *future = next_done (list);

      g_assert_true (mp_future_is_ready (future));
      g_assert_true (future != slow && future != behind);
      g_assert_true (g_hash_table_add (seen, future));
    }
  g_assert_null (mp_future_list_next_done (list, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpuint (mp_future_list_get_n_done (list), ==, 500);
  gate_open (&gate);
  g_assert_true (g_hash_table_add (seen, next_done (list)));
  last = next_done (list);
  g_assert_true (last == behind);
  g_assert_null (next_done (list));

  /* One that comes when all have been given, and has ended. */
  late = submit (pools[0], MP_FUNCTION (square), g_variant_new_int32 (4));
  get_int (late);
  mp_future_list_add (list, late);
  again = next_done (list);
  g_assert_true (again == late);
  g_assert_null (next_done (list));
  g_assert_finalize_object (list);
  gate_clear (&gate);
  finish (pools[0]);
  finish (pools[1]);
}

/* What is taken out is not given, wherever it stands. */
static void
test_remove (void)
{
  MpPool *pool = mp_pool_new (1);
  MpFutureList *list = mp_future_list_new ();
  MpFuture *futures[5];
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) given = NULL, other = NULL;

  for (int i = 0; i < 5; i++)
    {
      futures[i] = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
      mp_future_list_add (list, futures[i]);
    }
  mp_future_list_add (list, waits);
  g_assert_true (mp_future_list_remove (list, futures[4]));
  g_assert_true (mp_future_list_remove (list, waits));
  gate_await (&gate);
  gate_open (&gate);
  g_assert_true (mp_future_list_wait_all (list, LONG, NULL, NULL));
  get_int (futures[4]);
  g_assert_cmpuint (mp_future_list_get_n_done (list), ==, 4);
  given = next_done (list);
  g_assert_true (given == futures[0]);
  g_assert_true (mp_future_list_remove (list, futures[0]));
  g_assert_true (mp_future_list_remove (list, futures[3]));
  g_assert_true (mp_future_list_remove (list, futures[1]));
  other = next_done (list);
  g_assert_true (other == futures[2]);
  g_assert_null (next_done (list));
  for (int i = 0; i < 5; i++)
    g_object_unref (futures[i]);
  g_object_unref (list);
  gate_clear (&gate);
  finish (pool);
}

static void
wait_result (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_async (void)
{
  MpPool *pool = mp_pool_new (1);
  MpFutureList *list = mp_future_list_new ();
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) next = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2));
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *results[4] = { NULL };
  g_autoptr(GAsyncResult) all = NULL, any = NULL;
  g_autoptr(MpFuture) first = NULL, second = NULL, some = NULL;
  g_autoptr(GError) error = NULL;

  mp_future_list_add (list, waits);
  mp_future_list_add (list, next);
  mp_future_list_next_done_async (list, cancellable, result_cb, &results[0]);
  for (int i = 1; i < 4; i++)
    mp_future_list_next_done_async (list, NULL, result_cb, &results[i]);
  mp_future_list_wait_all_async (list, NULL, result_cb, &all);
  mp_future_list_wait_any_async (list, NULL, result_cb, &any);
  gate_await (&gate);
  g_cancellable_cancel (cancellable);
  wait_result (&results[0]);
  g_assert_null (mp_future_list_next_done_finish (list, results[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (results[1]);

  gate_open (&gate);
  wait_result (&results[3]);
  wait_result (&all);
  wait_result (&any);
  first = mp_future_list_next_done_finish (list, results[1], &error);
  g_assert_true (first == waits);
  second = mp_future_list_next_done_finish (list, results[2], &error);
  g_assert_true (second == next);
  g_assert_null (mp_future_list_next_done_finish (list, results[3], &error));
  g_assert_no_error (error);
  g_assert_true (mp_future_list_wait_all_finish (list, all, &error));
  some = mp_future_list_wait_any_finish (list, any, &error);
  g_assert_true (some == waits);
  for (int i = 0; i < 4; i++)
    g_object_unref (results[i]);
  g_clear_object (&all);
  g_clear_object (&any);
  g_assert_finalize_object (list);
  gate_clear (&gate);
  finish (pool);
}

/* Who waits for one that is taken out hears that there is none left. */
static void
test_remove_awaited (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFutureList) list = mp_future_list_new ();
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  mp_future_list_add (list, waits);
  mp_future_list_next_done_async (list, NULL, result_cb, &result);
  gate_await (&gate);
  g_assert_null (result);
  mp_future_list_remove (list, waits);
  wait_result (&result);
  g_assert_null (mp_future_list_next_done_finish (list, result, &error));
  g_assert_no_error (error);
  gate_open (&gate);
  gate_clear (&gate);
  finish (pool);
}

typedef struct
{
  guint n_notified, n_done;
  double fraction;
} Seen;

static void
notify_cb (MpFutureList *list, GParamSpec *pspec, gpointer user_data)
{
  Seen *seen = user_data;

  seen->n_notified++;
  g_assert_cmpuint (mp_future_list_get_n_done (list), >=, seen->n_done);
  g_assert_cmpfloat (mp_future_list_get_fraction (list), >=, seen->fraction);
  seen->n_done = mp_future_list_get_n_done (list);
  seen->fraction = mp_future_list_get_fraction (list);
}

/* Many ends are told at once, and the last is told in any case. */
static void
test_notify (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(MpFutureList) list = mp_future_list_new ();
  Seen seen = { 0 };

  for (int i = 0; i < 1000; i++)
    {
      g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));

      mp_future_list_add (list, future);
    }
  g_signal_connect (list, "notify::n-done", G_CALLBACK (notify_cb), &seen);
  while (seen.n_done < 1000)
    g_main_context_iteration (NULL, TRUE);
  /* Unless it took longer than a frame for each. */
  g_assert_cmpuint (seen.n_notified, <, 1000);
  g_assert_cmpfloat (seen.fraction, ==, 1);
  finish (pool);
}

/* A map counts by its chunks. */
static void
test_fraction_of_map (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFutureList) list = mp_future_list_new ();
  Gate gate = gate_new ();
  GVariant *handles[2] = { gate_handle (&gate), gate_handle (&gate) };
  Seen seen = { 0 };
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) map = mp_pool_submit_map (pool, MP_FUNCTION (wait_at_gate), g_variant_new_array (NULL, handles, 2),
                                                1, &error);

  g_assert_no_error (error);
  mp_future_list_add (list, map);
  g_signal_connect (list, "notify::fraction", G_CALLBACK (notify_cb), &seen);
  gate_await (&gate);
  gate_open (&gate);
  gate_await (&gate);
  while (seen.fraction == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpfloat (mp_future_list_get_fraction (list), ==, 0.5);
  g_assert_cmpuint (mp_future_list_get_n_done (list), ==, 0);
  gate_open (&gate);
  g_assert_true (mp_future_list_wait_all (list, LONG, NULL, &error));
  g_assert_cmpfloat (mp_future_list_get_fraction (list), ==, 1);
  gate_clear (&gate);
  finish (pool);
}

static GVariant *
report_at_gate (GVariant *args, gpointer user_data, GError **error)
{
  mp_invocation_report (mp_invocation_get_current (), 0.5, NULL);
  return wait_at_gate (args, user_data, error);
}

/* So does a call by what it tells of itself. */
static void
test_fraction_of_call (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFutureList) list = mp_future_list_new ();
  Gate gate = gate_new ();
  g_autoptr(MpFuture) reports = submit (pool, MP_FUNCTION (report_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) behind = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  g_autoptr(GError) error = NULL;
  Seen seen = { 0 };

  mp_future_list_add (list, reports);
  mp_future_list_add (list, behind);
  g_signal_connect (list, "notify::fraction", G_CALLBACK (notify_cb), &seen);
  while (seen.fraction == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpfloat (seen.fraction, ==, 0.25);
  g_assert_cmpuint (mp_future_list_get_n_done (list), ==, 0);
  gate_await (&gate);
  gate_open (&gate);
  g_assert_true (mp_future_list_wait_all (list, LONG, NULL, &error));
  g_assert_cmpfloat (mp_future_list_get_fraction (list), ==, 1);
  gate_clear (&gate);
  finish (pool);
}

static void
test_cancel (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpFutureList) list = mp_future_list_new ();
  Gate gate = gate_new ();
  g_autoptr(MpFuture) done = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  g_autoptr(MpFuture) waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) queued = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2));
  g_autoptr(MpFuture) other = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  g_autoptr(GError) error = NULL;

  mp_future_list_add (list, done);
  mp_future_list_add (list, waits);
  mp_future_list_add (list, queued);
  gate_await (&gate);
  get_int (done);
  g_assert_cmpuint (mp_future_list_cancel (list), ==, 2);
  g_assert_true (mp_future_list_wait_all (list, LONG, NULL, &error));
  g_assert_cmpint (mp_future_get_state (done), ==, MP_FUTURE_STATE_SUCCEEDED);
  g_assert_cmpint (mp_future_get_state (queued), ==, MP_FUTURE_STATE_CANCELLED);
  gate_open (&gate);
  g_assert_cmpint (get_int (other), ==, 9);
  gate_clear (&gate);
  finish (pool);
}

/* In a forked copy of the owner nothing of it ever ends, and no wait lasts for ever. */
static void
test_forked_copy (void)
{
  MpPool *pool = mp_pool_new (1);
  MpFutureList *list = mp_future_list_new ();
  Gate gate = gate_new ();
  MpFuture *waits = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  int pid = 0, status = -1;

  mp_future_list_add (list, waits);
  gate_await (&gate);
  pid = fork ();
  if (pid == 0)
    {
      GError *errors[4] = { NULL };

      mp_future_list_next_done (list, LONG, NULL, &errors[0]);
      mp_future_list_wait_all (list, LONG, NULL, &errors[1]);
      mp_future_wait_any (&waits, 1, LONG, NULL, &errors[2]);
      mp_pool_try_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, &errors[3]);
      for (int i = 0; i < 4; i++)
        if (!g_error_matches (errors[i], MP_ERROR, MP_ERROR_NOT_OWNER))
          _exit (1 + i);
      if (mp_future_cancel (waits))
        _exit (5);
      g_object_unref (list);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  gate_open (&gate);
  g_assert_true (mp_future_list_wait_all (list, LONG, NULL, NULL));
  g_object_unref (waits);
  g_object_unref (list);
  gate_clear (&gate);
  finish (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/future-list/model", test_model);
  g_test_add_func ("/future-list/next", test_next);
  g_test_add_func ("/future-list/remove", test_remove);
  g_test_add_func ("/future-list/async", test_async);
  g_test_add_func ("/future-list/remove-awaited", test_remove_awaited);
  g_test_add_func ("/future-list/notify", test_notify);
  g_test_add_func ("/future-list/fraction-of-map", test_fraction_of_map);
  g_test_add_func ("/future-list/fraction-of-call", test_fraction_of_call);
  g_test_add_func ("/future-list/cancel", test_cancel);
  if (is_under_valgrind ())
    g_test_add_data_func ("/future-list/forked-copy", get_reason_not_to_fork (), skip_test);
  else
    g_test_add_func ("/future-list/forked-copy", test_forked_copy);
  return g_test_run ();
}
