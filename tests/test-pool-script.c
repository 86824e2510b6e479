/* test-pool-script.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <signal.h>

/* A program that never turns a main context: everything happens in its blocking calls, and nothing is left behind. */

static GVariant *
die (GVariant *args, gpointer user_data, GError **error)
{
  raise (SIGKILL);
  return NULL;
}

typedef struct
{
  GThread *thread;
  guint    n;
  int      sum;
} Tally;

static void
add_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);
  Tally *tally = user_data;

  g_assert_true (g_thread_self () == tally->thread);
  tally->n++;
  if (value != NULL)
    tally->sum += g_variant_get_int32 (value);
  else
    g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
}

static gboolean
never_cb (gpointer user_data)
{
  g_assert_not_reached ();
  return G_SOURCE_REMOVE;
}

static void
test_callbacks (void)
{
  MpPool *pool = mp_pool_new (2);
  Tally tally = { g_thread_self (), 0, 0 };
  guint id = g_idle_add (never_cb, NULL);   /* the pool's callbacks, and nothing else of the context */
  g_autoptr(GVariant) result = NULL;

  for (int i = 0; i < 100; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (i), NULL, add_cb, &tally);
  g_assert_cmpuint (tally.n, ==, 0);
  result = map (pool, MP_FUNCTION (square), make_ints (10), 0);
  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  g_assert_cmpuint (tally.n, ==, 100);
  g_assert_cmpint (tally.sum, ==, 328350);
  g_source_remove (id);
  g_assert_finalize_object (pool);
}

static void
chain_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  Tally *tally = user_data;
  int n_left = 20 - (int) tally->n;

  add_cb (object, result, user_data);
  /* A blocking call in a callback, and another asynchronous one. */
  tally->sum += apply_int (MP_POOL (object), MP_FUNCTION (square), g_variant_new_int32 (1));
  if (n_left > 0)
    mp_pool_apply_async (MP_POOL (object), MP_FUNCTION (square), g_variant_new_int32 (1), NULL, chain_cb, tally);
}

static void
test_chain (void)
{
  MpPool *pool = mp_pool_new (1);
  Tally tally = { g_thread_self (), 0, 0 };

  mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, chain_cb, &tally);
  while (tally.n < 21)
    apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  g_assert_cmpint (tally.sum, ==, 42);
  finish (pool);
}

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  if (strcmp (reason, "died") == 0)
    ++*(guint *) user_data;
}

static void
failed_cb (MpPool *pool, const char *function, GError *error, GVariant *details, gpointer user_data)
{
  g_assert_cmpstr (function, ==, "die");
  ++*(guint *) user_data;
}

static void
test_signals (void)
{
  MpPool *pool = mp_pool_new (1);
  guint n_died = 0, n_failed = 0;
  g_autoptr(GError) error = NULL;

  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), &n_died);
  g_signal_connect (pool, "task-failed", G_CALLBACK (failed_cb), &n_failed);
  for (guint i = 1; i < 5; i++)
    {
      g_assert_null (mp_pool_apply (pool, MP_FUNCTION (die), NULL, LONG, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      g_clear_error (&error);
      g_assert_cmpuint (n_failed, ==, i);
      g_assert_cmpuint (n_died, ==, i);
    }
  finish (pool);
}

static void
terminate_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;

  mp_pool_terminate (MP_POOL (object));
  g_assert_true (mp_pool_join (MP_POOL (object), LONG, NULL, &error));
  g_assert_no_error (error);
  ++*(guint *) user_data;
}

static void
test_terminate_in_callback (void)
{
  MpPool *pool = mp_pool_new (2);
  guint n = 0;

  for (int i = 0; i < 50; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (i), NULL, terminate_cb, &n);
  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  g_assert_cmpuint (n, ==, 50);
  g_assert_finalize_object (pool);
}

static void
count_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);

  g_assert_null (value);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  ++*(guint *) user_data;
}

/* The handler of a cancellable runs where it is cancelled; the callback only in a blocking call. */
static void
test_cancel (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  guint n = 0;

  for (int i = 0; i < 10; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (i), cancellable, count_cb, &n);
  g_cancellable_cancel (cancellable);
  g_assert_cmpuint (n, ==, 0);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  g_assert_cmpuint (n, ==, 10);
  finish (pool);
}

/* A context that no thread turns: its callbacks run in whichever thread's blocking call can acquire it. */
static gpointer
call_with_own_context (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  Tally tally = { g_thread_self (), 0, 0 };

  g_main_context_push_thread_default (context);
  for (int i = 0; i < 50; i++)
    mp_pool_apply_async (data, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, add_cb, &tally);
  while (tally.n < 50)
    apply_int (data, MP_FUNCTION (square), g_variant_new_int32 (1));
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_own_contexts (void)
{
  MpPool *pool = mp_pool_new (2);

  for (int i = 0; i < 3; i++)
    g_thread_join (g_thread_new ("caller", call_with_own_context, pool));
  finish (pool);
}

static void
next_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_result_iter_next_finish (MP_RESULT_ITER (object), result, &error);
  Tally *tally = user_data;

  g_assert_no_error (error);
  if (value == NULL)
    {
      tally->sum = -1;
      return;
    }
  tally->n++;
  mp_result_iter_next_async (MP_RESULT_ITER (object), NULL, next_cb, tally);
}

static void
test_iterator (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  MpResultIter *iter = mp_pool_imap (pool, MP_FUNCTION (square), make_ints (200), 3, &error);
  Tally tally = { g_thread_self (), 0, 0 };

  g_assert_no_error (error);
  mp_result_iter_next_async (iter, NULL, next_cb, &tally);
  mp_pool_close (pool);
  /* The pool may have ended before all its results are taken. */
  while (tally.sum == 0)
    g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  g_assert_cmpuint (tally.n, ==, 200);
  g_assert_finalize_object (iter);
  g_assert_finalize_object (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-script/callbacks", test_callbacks);
  g_test_add_func ("/pool-script/chain", test_chain);
  g_test_add_func ("/pool-script/signals", test_signals);
  g_test_add_func ("/pool-script/terminate-in-callback", test_terminate_in_callback);
  g_test_add_func ("/pool-script/cancel", test_cancel);
  g_test_add_func ("/pool-script/own-contexts", test_own_contexts);
  g_test_add_func ("/pool-script/iterator", test_iterator);

  return g_test_run ();
}
