/* test-pool-inline.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <string.h>

/* What only a pool that runs its tasks in the caller has. */

static GString *log_text;   /* what happened */

static GVariant *
note (GVariant *args, gpointer user_data, GError **error)
{
  int number = mp_invocation_get_worker_number (mp_invocation_get_current ());

  g_string_append_printf (log_text, "%d@%d ", g_variant_get_int32 (args), number);
  return g_variant_ref (args);
}

static MpPool *
inline_pool (guint n_workers, guint64 seed, double death_rate, guint64 max_delay_us)
{
  return g_object_new (MP_TYPE_POOL, "backend", MP_BACKEND_INLINE, "n-workers", n_workers, "inline-seed", seed,
                       "inline-death-rate", death_rate, "inline-max-delay-us", max_delay_us, NULL);
}

static void
turn_until_quiet (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* Never in submit itself. */
static void
test_when (void)
{
  MpPool *pool = inline_pool (1, 1, 0, 0);
  g_autoptr(MpFuture) future = NULL, second = NULL;

  log_text = g_string_new (NULL);
  turn_until_quiet ();
  future = submit (pool, MP_FUNCTION (note), g_variant_new_int32 (1));
  g_assert_cmpstr (log_text->str, ==, "");
  turn_until_quiet ();
  g_assert_cmpstr (log_text->str, ==, "1@0 ");
  g_assert_true (mp_future_is_ready (future));

  second = submit (pool, MP_FUNCTION (note), g_variant_new_int32 (2));
  g_assert_cmpstr (log_text->str, ==, "1@0 ");
  g_assert_cmpint (get_int (second), ==, 2);
  g_assert_cmpstr (log_text->str, ==, "1@0 2@0 ");
  finish (pool);
  g_string_free (log_text, TRUE);
}

static gpointer
wait_in_thread (gpointer data)
{
  return GINT_TO_POINTER (get_int (data));
}

/* Only where the pool's main context may run. */
static void
test_where (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpFuture) future = NULL;
  GThread *thread = NULL;
  MpPool *pool = NULL;

  log_text = g_string_new (NULL);
  g_main_context_acquire (context);
  g_main_context_push_thread_default (context);
  pool = inline_pool (1, 1, 0, 0);
  g_main_context_pop_thread_default (context);
  future = submit (pool, MP_FUNCTION (note), g_variant_new_int32 (1));
  turn_until_quiet ();
  g_assert_cmpstr (log_text->str, ==, "");

  /* Another thread may wait for what runs here. */
  thread = g_thread_new ("waits", wait_in_thread, future);
  while (!mp_future_is_ready (future))
    g_main_context_iteration (context, TRUE);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, 1);
  g_assert_cmpstr (log_text->str, ==, "1@0 ");
  finish (pool);
  g_main_context_release (context);
  g_string_free (log_text, TRUE);
}

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  g_string_append_printf (log_text, "-%u:%s:%d ", number, reason, status);
}

/* All that happens to 40 tasks. */
static char *
tell_of (guint64 seed, double death_rate, guint64 max_delay_us)
{
  MpPool *pool = inline_pool (4, seed, death_rate, max_delay_us);
  MpFuture *futures[40];

  log_text = g_string_new (NULL);
  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), NULL);
  for (int i = 0; i < 40; i++)
    futures[i] = submit (pool, MP_FUNCTION (note), g_variant_new_int32 (i));
  for (int i = 0; i < 40; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_future_get (futures[i], LONG, NULL, &error);

      if (value != NULL)
        g_assert_cmpint (g_variant_get_int32 (value), ==, i);
      else
        g_string_append_printf (log_text, "!%d:%s ", i, error->message);
      g_object_unref (futures[i]);
    }
  finish (pool);
  return g_string_free (log_text, FALSE);
}

static void
test_seed (void)
{
  g_autofree char *first = tell_of (1, 0.2, 0);
  g_autofree char *same = tell_of (1, 0.2, 0);
  g_autofree char *other = tell_of (2, 0.2, 0);
  g_autofree char *late = tell_of (1, 0.2, 500);
  g_autofree char *late_same = tell_of (1, 0.2, 500);

  g_assert_cmpstr (first, ==, same);
  g_assert_cmpstr (first, !=, other);
  g_assert_cmpstr (late, ==, late_same);
  g_assert_cmpstr (late, !=, first);
  /* It is the same everywhere, too. */
  g_test_message ("%s", first);
}

/* One worker does one task after another. */
static void
test_order (void)
{
  MpPool *pool = inline_pool (1, 99, 0, 100);
  g_autoptr(GVariant) all = NULL;

  log_text = g_string_new (NULL);
  all = map (pool, MP_FUNCTION (note), make_ints (5), 1);
  g_assert_cmpstr (log_text->str, ==, "0@0 1@0 2@0 3@0 4@0 ");
  finish (pool);
  g_string_free (log_text, TRUE);
}

static int n_calls;

static GVariant *
count (GVariant *args, gpointer user_data, GError **error)
{
  n_calls++;
  return g_variant_ref (args);
}

static void
test_deaths (void)
{
  MpPool *pool = inline_pool (3, 7, 0.5, 0);
  g_autoptr(MpResultIter) iter = NULL;
  guint n_died = 0, n_before = 0;

  n_calls = 0;
  iter = mp_pool_imap (pool, MP_FUNCTION (count), make_ints (1000), 1, NULL);
  for (int i = 0; i < 1000; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);
      g_autoptr(GVariant) details = NULL;
      int signum = 0;

      if (value != NULL)
        {
          g_assert_cmpint (g_variant_get_int32 (value), ==, i);
          continue;
        }
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      details = mp_error_dup_details (error);
      g_assert_true (g_variant_lookup (details, "signal", "i", &signum));
      g_assert_cmpint (signum, ==, SIGKILL);
      n_died++;
      n_before += strstr (error->message, "before the call") != NULL;
    }
  g_assert_cmpuint (n_died, >, 400);
  g_assert_cmpuint (n_died, <, 600);
  g_assert_cmpuint (n_before, >, 100);
  g_assert_cmpuint (n_before, <, n_died);
  g_assert_cmpint (n_calls, ==, 1000 - n_before);
  finish (pool);
}

/* All die, and the pool goes on. */
static void
test_certain_death (void)
{
  MpPool *pool = inline_pool (2, 7, 1, 0);

  for (int i = 0; i < 200; i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_null (mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (i), LONG, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
    }
  finish (pool);
}

/* A task of which a worker dies is done again if that is asked for. */
static void
test_attempts (void)
{
  MpPool *pool = inline_pool (2, 3, 0.3, 0);
  g_autoptr(MpTaskOptions) options = g_object_new (MP_TYPE_TASK_OPTIONS, "max-attempts", 50, "idempotent", TRUE, NULL);

  for (int i = 0; i < 100; i++)
    {
      g_autoptr(MpFuture) future = mp_pool_submit_with (pool, MP_FUNCTION (square), g_variant_new_int32 (i), options, NULL);

      g_assert_cmpint (get_int (future), ==, i * i);
    }
  finish (pool);
}

static void
test_delay (void)
{
  MpPool *pool = inline_pool (1, 5, 0, 200000);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) future = NULL;
  gint64 begun = g_get_monotonic_time ();

  /* None of the first three is begun at once. */
  for (int i = 0; i < 3; i++)
    {
      g_assert_null (mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (3), 0, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_clear_error (&error);
    }
  future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  g_assert_cmpint (get_int (future), ==, 9);
  g_assert_cmpint (g_get_monotonic_time () - begun, <, 10 * G_USEC_PER_SEC);
  finish (pool);
}

static MpPool *current_pool;

static GVariant *
call_own_pool (GVariant *args, gpointer user_data, GError **error)
{
  int depth = g_variant_get_int32 (args);

  if (depth == 0)
    return g_variant_new_int32 (mp_invocation_get_worker_number (mp_invocation_get_current ()) >= 0);
  return mp_pool_apply (current_pool, MP_FUNCTION (call_own_pool), g_variant_new_int32 (depth - 1), LONG, NULL, error);
}

static void
test_nested (void)
{
  current_pool = inline_pool (4, 1, 0, 0);
  g_assert_cmpint (apply_int (current_pool, MP_FUNCTION (call_own_pool), g_variant_new_int32 (3)), ==, 1);
  g_assert_null (mp_invocation_get_current ());
  finish (current_pool);
}

static GVariant *
end_own_pool (GVariant *args, gpointer user_data, GError **error)
{
  mp_pool_terminate (current_pool);
  g_assert_true (mp_pool_join (current_pool, LONG, NULL, NULL));
  if (g_variant_get_boolean (args))
    g_clear_object (&current_pool);
  return g_variant_new_int32 (1);
}

static void
test_ended_by_its_task (void)
{
  for (int drop = 0; drop < 2; drop++)
    {
      g_autoptr(MpFuture) future = NULL, other = NULL;
      g_autoptr(GError) error = NULL;

      current_pool = inline_pool (1, 1, 0, 0);
      future = submit (current_pool, MP_FUNCTION (end_own_pool), g_variant_new_boolean (drop));
      other = submit (current_pool, MP_FUNCTION (square), g_variant_new_int32 (1));
      g_assert_null (mp_future_get (future, LONG, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_assert_true (mp_future_is_ready (other));
      turn_until_quiet ();
      g_clear_object (&current_pool);
    }
}

static void
called_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_string_append_printf (log_text, "cb%d ", GPOINTER_TO_INT (user_data));
}

/* What is due comes before another task runs. */
static void
test_callbacks (void)
{
  MpPool *pool = inline_pool (3, 1, 0, 0);

  for (int looped = 0; looped < 2; looped++)
    {
      g_auto(GStrv) words = NULL;

      log_text = g_string_new (NULL);
      for (int i = 0; i < 20; i++)
        mp_pool_apply_async (pool, MP_FUNCTION (note), g_variant_new_int32 (i), NULL, called_cb, GINT_TO_POINTER (i));
      if (looped)
        turn_until_quiet ();
      else
        while (log_text->str[0] == '\0' || strstr (log_text->str, "cb19") == NULL)
          g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1)), ==, 1);
      words = g_strsplit (log_text->str, " ", -1);
      g_assert_cmpuint (g_strv_length (words), ==, 41);
      for (int i = 0; i < 40; i += 2)
        g_assert_cmpint (atoi (words[i]), ==, atoi (words[i + 1] + strlen ("cb")));
      g_string_free (log_text, TRUE);
    }
  finish (pool);
}

static void
cancel_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_cancellable_cancel (user_data);
}

/* Called off in the callback of the one before. */
static void
test_cancelled (void)
{
  MpPool *pool = inline_pool (1, 1, 0, 0);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;

  n_calls = 0;
  mp_pool_apply_async (pool, MP_FUNCTION (count), g_variant_new_int32 (1), NULL, cancel_cb, cancellable);
  mp_pool_apply_async (pool, MP_FUNCTION (count), g_variant_new_int32 (2), cancellable, result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_pool_apply_finish (pool, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (n_calls, ==, 1);
  g_clear_object (&result);
  finish (pool);
}

static GVariant *
cancel_itself (GVariant *args, gpointer user_data, GError **error)
{
  MpFuture **future = (MpFuture **) (guintptr) g_variant_get_uint64 (args);

  g_assert_true (mp_future_cancel (*future));
  g_assert_false (mp_future_cancel (*future));
  return g_variant_new_int32 (1);
}

static void
test_cancelled_by_itself (void)
{
  MpPool *pool = inline_pool (1, 1, 0, 0);
  MpFuture *future = NULL;
  g_autoptr(GError) error = NULL;

  future = submit (pool, MP_FUNCTION (cancel_itself), g_variant_new_uint64 ((guintptr) &future));
  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_object_unref (future);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (2)), ==, 4);
  finish (pool);
}

static MpInvocation *kept;

static void
keep (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  kept = g_object_ref (invocation);
}

/* An asynchronous function answers when nobody is there any more. */
static void
test_late_answer (void)
{
  MpPool *pool = inline_pool (1, 1, 0, 0);
  g_autoptr(MpFuture) future = submit (pool, "keep", NULL);

  while (kept == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_finalize_object (pool);
  g_assert_true (mp_future_is_ready (future));
  mp_invocation_return_value (kept, g_variant_new_int32 (1));
  g_clear_object (&kept);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void     (* func) (void);
  } tests[] = {
    { "/pool-inline/when", test_when },
    { "/pool-inline/where", test_where },
    { "/pool-inline/seed", test_seed },
    { "/pool-inline/order", test_order },
    { "/pool-inline/deaths", test_deaths },
    { "/pool-inline/certain-death", test_certain_death },
    { "/pool-inline/attempts", test_attempts },
    { "/pool-inline/delay", test_delay },
    { "/pool-inline/nested", test_nested },
    { "/pool-inline/ended-by-its-task", test_ended_by_its_task },
    { "/pool-inline/callbacks", test_callbacks },
    { "/pool-inline/cancelled", test_cancelled },
    { "/pool-inline/cancelled-by-itself", test_cancelled_by_itself },
    { "/pool-inline/late-answer", test_late_answer },
  };

  /* Not mp_init(): no process is started. */
  mp_function_register_async ("keep", keep, NULL, NULL);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add_func (tests[i].path, tests[i].func);

  return g_test_run ();
}
