/* test-pool-options.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* MpTaskOptions, and what a call takes from them. */

static void
count_cb (GObject *object, GParamSpec *pspec, gpointer user_data)
{
  guint *n = user_data;

  (*n)++;
}

static void
test_values (void)
{
  MpTaskOptions *options = mp_task_options_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  guint n = 0;

  g_assert_cmpint (mp_task_options_get_priority (options), ==, 0);
  g_assert_cmpint (mp_task_options_get_queue_timeout_us (options), ==, -1);
  g_assert_cmpint (mp_task_options_get_run_timeout_us (options), ==, -1);
  g_assert_cmpuint (mp_task_options_get_max_attempts (options), ==, 1);
  g_assert_false (mp_task_options_get_idempotent (options));
  g_assert_null (mp_task_options_get_cancellable (options));
  g_assert_null (mp_task_options_get_name (options));

  g_signal_connect (options, "notify", G_CALLBACK (count_cb), &n);
  for (int i = 0; i < 2; i++)
    g_object_set (options,
                  "priority", -3,
                  "queue-timeout-us", (gint64) 1,
                  "run-timeout-us", (gint64) 2,
                  "max-attempts", 4,
                  "idempotent", TRUE,
                  "cancellable", cancellable,
                  "name", "a name",
                  NULL);
  g_assert_cmpuint (n, ==, 7);
  g_assert_cmpint (mp_task_options_get_priority (options), ==, -3);
  g_assert_cmpint (mp_task_options_get_queue_timeout_us (options), ==, 1);
  g_assert_cmpint (mp_task_options_get_run_timeout_us (options), ==, 2);
  g_assert_cmpuint (mp_task_options_get_max_attempts (options), ==, 4);
  g_assert_true (mp_task_options_get_idempotent (options));
  g_assert_true (mp_task_options_get_cancellable (options) == cancellable);
  g_assert_cmpstr (mp_task_options_get_name (options), ==, "a name");
  g_assert_finalize_object (options);
}

/* What was cancelled before it was submitted does not begin; a refused one leaves nothing behind. */
static void
test_cancelled_before (void)
{
  MpPool *pool = mp_pool_new (1);
  MpTaskOptions *options = mp_task_options_new ();
  GCancellable *cancellable = g_cancellable_new ();
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;

  mp_task_options_set_cancellable (options, cancellable);
  g_cancellable_cancel (cancellable);
  future = mp_pool_submit_with (pool, MP_FUNCTION (square), g_variant_new_int32 (3), options, &error);
  g_assert_no_error (error);
  g_assert_true (mp_future_is_ready (future));
  value = mp_future_get (future, 0, NULL, &error);
  g_assert_null (value);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_nonnull (strstr (error->message, "square"));
  g_clear_error (&error);
  g_clear_object (&future);

  g_cancellable_reset (cancellable);
  mp_pool_close (pool);
  g_assert_null (mp_pool_submit_with (pool, MP_FUNCTION (square), g_variant_new_int32 (3), options, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  finish (pool);
  g_assert_finalize_object (options);
  g_assert_finalize_object (cancellable);
}

/* The cancellable of a task that is through lets go of it. */
static void
test_outlived (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  GCancellable *cancellable = g_cancellable_new ();
  MpFuture *future = NULL;
  g_autoptr(GError) error = NULL;

  mp_task_options_set_cancellable (options, cancellable);
  future = mp_pool_submit_with (pool, MP_FUNCTION (square), g_variant_new_int32 (3), options, &error);
  g_assert_no_error (error);
  mp_task_options_set_cancellable (options, NULL);
  g_assert_cmpint (get_int (future), ==, 9);
  g_cancellable_cancel (cancellable);
  g_assert_cmpint (get_int (future), ==, 9);
  g_object_unref (future);
  finish (pool);
  g_assert_finalize_object (cancellable);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-options/values", test_values);
  g_test_add_func ("/pool-options/cancelled-before", test_cancelled_before);
  g_test_add_func ("/pool-options/outlived", test_outlived);

  return g_test_run ();
}
