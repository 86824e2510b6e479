/* test-pool-progress.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* What a running function hears from its caller, and tells him. */

static GVariant *
report_steps (GVariant *args, gpointer user_data, GError **error)
{
  int n = g_variant_get_int32 (args);

  for (int i = 1; i <= n; i++)
    mp_invocation_report (mp_invocation_get_current (), (double) i / n, g_variant_new ("(is)", i, "steps"));
  return g_variant_new_int32 (n);
}

static GVariant *
report_and_wait (GVariant *args, gpointer user_data, GError **error)
{
  mp_invocation_report (mp_invocation_get_current (), 0.25, NULL);
  return wait_at_gate (args, user_data, error);
}

/* Sleeps in what knows nothing but a cancellable. */
static GVariant *
wait_for_cancellable (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GObject) gate = G_OBJECT (mp_shareable_from_variant (args, error));
  GCancellable *cancellable = mp_invocation_get_cancellable (mp_invocation_get_current ());
  g_autoptr(GVariant) word = NULL;
  g_autoptr(GError) own_error = NULL;

  g_assert_true (mp_invocation_get_cancellable (mp_invocation_get_current ()) == cancellable);
  if (gate == NULL || !mp_connection_send (MP_CONNECTION (gate), g_variant_new_int32 (getpid ()), LONG, NULL, error))
    return NULL;
  word = mp_connection_recv (MP_CONNECTION (gate), LONG, cancellable, &own_error);
  g_assert_error (own_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (mp_invocation_is_cancelled (mp_invocation_get_current ()));
  mp_connection_send (MP_CONNECTION (gate), g_variant_new_string ("cancelled"), LONG, NULL, NULL);
  return g_variant_new_int32 (getpid ());
}

static void
cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  MpInvocation *invocation = user_data;
  GMainContext *context = g_main_context_get_thread_default ();   /* NULL, too, stands for one that is owned */

  g_assert_true (g_main_context_is_owner (context != NULL ? context : g_main_context_default ()));
  mp_invocation_return_value (invocation, g_variant_new_int32 (getpid ()));
  g_object_unref (invocation);
}

static void
answer_when_cancelled (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  g_autoptr(GObject) gate = G_OBJECT (mp_shareable_from_variant (args, NULL));

  g_signal_connect (mp_invocation_get_cancellable (invocation), "cancelled", G_CALLBACK (cancelled_cb),
                    g_object_ref (invocation));
  mp_connection_send (MP_CONNECTION (gate), g_variant_new_int32 (getpid ()), LONG, NULL, NULL);
}

typedef struct
{
  guint   n, n_notified;
  double  last;
  int     last_step;
  gboolean done;
} Seen;

static void
progress_cb (MpFuture *future, double fraction, GVariant *value, gpointer user_data)
{
  Seen *seen = user_data;

  g_assert_false (seen->done);
  g_assert_cmpfloat (fraction, >=, seen->last);
  seen->last = fraction;
  seen->n++;
  if (value != NULL)
    g_variant_get (value, "(i&s)", &seen->last_step, NULL);
}

static void
notify_cb (GObject *object, GParamSpec *pspec, gpointer user_data)
{
  Seen *seen = user_data;

  seen->n_notified++;
}

static void
done_cb (MpFuture *future, gpointer user_data)
{
  Seen *seen = user_data;

  seen->done = TRUE;
}

static void
see (MpFuture *future, Seen *seen)
{
  *seen = (Seen) { 0 };
  g_signal_connect (future, "progress", G_CALLBACK (progress_cb), seen);
  g_signal_connect (future, "notify::fraction", G_CALLBACK (notify_cb), seen);
  g_signal_connect (future, "done", G_CALLBACK (done_cb), seen);
}

/* A million steps are told in time, the last is not lost, and no more are told than can be seen. */
static void
test_steps (gconstpointer data)
{
  MpPool *pool = mp_pool_new_for_backend (GPOINTER_TO_INT (data), 1);
  g_autoptr(MpFuture) future = NULL;
  gint64 begin = g_get_monotonic_time ();
  Seen seen;

  future = submit (pool, MP_FUNCTION (report_steps), g_variant_new_int32 (300000));
  see (future, &seen);
  while (!seen.done)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpfloat (seen.last, ==, 1.0);
  g_assert_cmpint (seen.last_step, ==, 300000);
  g_assert_cmpuint (seen.n, <=, (g_get_monotonic_time () - begin) / 16000 + 2);
  g_assert_cmpuint (seen.n_notified, ==, seen.n + 1);
  g_assert_cmpfloat (mp_future_get_fraction (future), ==, 1.0);
  finish (pool);
}

static void
test_running (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (report_and_wait), gate_handle (&gate));
  Seen seen;

  see (future, &seen);
  g_assert_cmpfloat (mp_future_get_fraction (future), ==, 0);
  gate_await (&gate);
  while (seen.n == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpfloat (mp_future_get_fraction (future), ==, 0.25);
  gate_open (&gate);
  get_int (future);
  g_assert_true (seen.done);
  finish (pool);
  gate_clear (&gate);
}

/* Without a future, in a map, in a blocking call: whoever reports need not know. */
static void
test_others (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) map_future = NULL;
  g_autoptr(GVariant) result = NULL;
  Seen seen;

  g_assert_cmpint (apply_int (pool, MP_FUNCTION (report_steps), g_variant_new_int32 (100)), ==, 100);
  g_variant_unref (map (pool, MP_FUNCTION (report_steps), make_ints (100), 3));
  map_future = mp_pool_submit_map (pool, MP_FUNCTION (report_steps), make_ints (2000), 1, &error);
  g_assert_no_error (error);
  see (map_future, &seen);
  while (!seen.done)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (seen.n, >, 0);
  result = mp_future_get (map_future, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (result), ==, 2000);
  finish (pool);
}

static void
test_cancellable (gconstpointer data)
{
  MpPool *pool = mp_pool_new_for_backend (GPOINTER_TO_INT (data), 1);
  Gate gate = gate_new ();
  int pid = 0;

  g_object_set (pool, "cancel-grace-us", (gint64) LONG, NULL);
  for (int i = 0; i < 3; i++)
    {
      g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (wait_for_cancellable), gate_handle (&gate));
      g_autoptr(GVariant) word = NULL;

      pid = gate_await (&gate);
      g_assert_true (mp_future_cancel (future));
      word = mp_connection_recv (gate.near, LONG, NULL, NULL);
      g_assert_cmpstr (g_variant_get_string (word, NULL), ==, "cancelled");
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), ==, pid);
    }
  finish (pool);
  gate_clear (&gate);
}

static void
test_cancellable_async (gconstpointer data)
{
  MpPool *pool = mp_pool_new_for_backend (GPOINTER_TO_INT (data), 1);
  Gate gate = gate_new ();

  g_object_set (pool, "cancel-grace-us", (gint64) LONG, NULL);
  for (int i = 0; i < 3; i++)
    {
      g_autoptr(MpFuture) future = submit (pool, "answer-when-cancelled", gate_handle (&gate));
      int pid = gate_await (&gate);

      g_assert_true (mp_future_cancel (future));
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), ==, pid);
    }
  finish (pool);
  gate_clear (&gate);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_function_register_async ("answer-when-cancelled", answer_when_cancelled, NULL, NULL);
  mp_init ();

  g_test_add_data_func ("/pool-progress/steps", GINT_TO_POINTER (MP_BACKEND_PROCESSES), test_steps);
  g_test_add_data_func ("/pool-progress/steps/threads", GINT_TO_POINTER (MP_BACKEND_THREADS), test_steps);
  g_test_add_data_func ("/pool-progress/steps/inline", GINT_TO_POINTER (MP_BACKEND_INLINE), test_steps);
  g_test_add_func ("/pool-progress/running", test_running);
  g_test_add_func ("/pool-progress/others", test_others);
  g_test_add_data_func ("/pool-progress/cancellable", GINT_TO_POINTER (MP_BACKEND_PROCESSES), test_cancellable);
  g_test_add_data_func ("/pool-progress/cancellable/threads", GINT_TO_POINTER (MP_BACKEND_THREADS), test_cancellable);
  g_test_add_data_func ("/pool-progress/cancellable-async", GINT_TO_POINTER (MP_BACKEND_PROCESSES),
                        test_cancellable_async);
  g_test_add_data_func ("/pool-progress/cancellable-async/threads", GINT_TO_POINTER (MP_BACKEND_THREADS),
                        test_cancellable_async);

  return g_test_run ();
}
