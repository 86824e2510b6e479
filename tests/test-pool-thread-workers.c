/* test-pool-thread-workers.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <pthread.h>
#include <string.h>

/* What only a pool of threads has. */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int n_inside;      /* (mutex) in block() */
static int n_returned;    /* (mutex) from there */
static gboolean released; /* (mutex) */

/* Waits for nothing but release(). */
static GVariant *
block (GVariant *args, gpointer user_data, GError **error)
{
  pthread_mutex_lock (&mutex);
  n_inside++;
  pthread_cond_broadcast (&cond);
  while (!released)
    pthread_cond_wait (&cond, &mutex);
  n_returned++;
  pthread_cond_broadcast (&cond);
  pthread_mutex_unlock (&mutex);
  return g_variant_ref (args);
}

/* Until so many are in block() at one time. Threads begin to work when the main loop turns. */
static void
await_inside (int n)
{
  pthread_mutex_lock (&mutex);
  while (n_inside < n)
    {
      pthread_mutex_unlock (&mutex);
      g_main_context_iteration (NULL, FALSE);
      g_thread_yield ();
      pthread_mutex_lock (&mutex);
    }
  pthread_mutex_unlock (&mutex);
}

static void
release (int n)
{
  pthread_mutex_lock (&mutex);
  released = TRUE;
  pthread_cond_broadcast (&cond);
  while (n_returned < n)
    pthread_cond_wait (&cond, &mutex);
  released = FALSE;
  n_inside = n_returned = 0;
  pthread_mutex_unlock (&mutex);
}

static GVariant *
tell_thread (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_uint64 ((guintptr) g_thread_self ());
}

static GVariant *
tell_address (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_uint64 ((guintptr) g_variant_get_data (args));
}

static GVariant *
tell_object (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpShareable) object = mp_shareable_from_variant (args, error);

  return g_variant_new_uint64 ((guintptr) object);
}

static GVariant *
end_thread (GVariant *args, gpointer user_data, GError **error)
{
  if (g_variant_get_int32 (args) == 13)
    {
      mp_invocation_get_current ();
      g_thread_exit (NULL);
    }
  return g_variant_ref (args);
}

static void
end_thread_later (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  g_thread_exit (NULL);
}

static GVariant *
sum_in_own_pool (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpPool) pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 2);

  return mp_pool_map (pool, MP_FUNCTION (square), make_ints (10), 1, LONG, NULL, error);
}

static void
test_own_threads (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 3);
  g_autoptr(GVariant) id = apply (pool, MP_FUNCTION (tell_thread), NULL);
  MpFuture *futures[3];

  g_assert_cmpuint (g_variant_get_uint64 (id), !=, (guintptr) g_thread_self ());
  /* All at one time. */
  for (int i = 0; i < 3; i++)
    futures[i] = submit (pool, MP_FUNCTION (block), g_variant_new_int32 (i));
  await_inside (3);
  release (3);
  for (int i = 0; i < 3; i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, i);
      g_object_unref (futures[i]);
    }
  finish (pool);
}

/* No copies are made, of values or of objects. */
static void
test_no_copies (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 1);
  g_autoptr(GVariant) big = g_variant_ref_sink (make_ints (100000));
  g_autoptr(GVariant) address = apply (pool, MP_FUNCTION (tell_address), big);
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (lock));
  g_autoptr(GVariant) object = apply (pool, MP_FUNCTION (tell_object), handle);

  g_assert_cmpuint (g_variant_get_uint64 (address), ==, (guintptr) g_variant_get_data (big));
  g_assert_cmpuint (g_variant_get_uint64 (object), ==, (guintptr) lock);
  finish (pool);
}

/* What is queued behind a task that takes long goes to others. */
static void
test_taken_back (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 2);
  g_autoptr(MpFuture) blocked = submit (pool, MP_FUNCTION (block), g_variant_new_int32 (1));
  MpFuture *futures[100];

  for (int i = 0; i < 100; i++)
    futures[i] = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  for (int i = 0; i < 100; i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, i * i);
      g_object_unref (futures[i]);
    }
  g_assert_false (mp_future_is_ready (blocked));
  release (1);
  g_assert_cmpint (get_int (blocked), ==, 1);
  finish (pool);
}

static void
exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  GString *text = user_data;

  g_string_append_printf (text, "%u %s %s;", number, reason, status == MP_EXIT_STATUS_UNKNOWN ? "unknown" : "known");
}

static void
wait_for_text (GString *text)
{
  while (text->len == 0)
    g_main_context_iteration (NULL, TRUE);
}

static MpPool *
impatient_pool (GString *text)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "backend", MP_BACKEND_THREADS, "n-workers", 1, "cancel-grace-us",
                               (gint64) 10000, "terminate-grace-us", (gint64) 10000, NULL);

  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), text);
  return pool;
}

/* A thread that does not let go of a task is given up. */
static void
test_cancelled (void)
{
  g_autoptr(GString) text = g_string_new (NULL);
  MpPool *pool = impatient_pool (text);
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (block), g_variant_new_int32 (1));
  g_autoptr(MpFuture) behind = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (5));
  g_autoptr(GError) error = NULL;

  await_inside (1);
  g_assert_true (mp_future_cancel (future));
  g_assert_null (mp_future_get (future, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (get_int (behind), ==, 25);
  wait_for_text (text);
  g_assert_cmpstr (text->str, ==, "0 stopped unknown;");
  release (1);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (6)), ==, 36);
  finish (pool);
}

static void
test_time_out (void)
{
  g_autoptr(GString) text = g_string_new (NULL);
  MpPool *pool = impatient_pool (text);
  g_autoptr(MpTaskOptions) options = g_object_new (MP_TYPE_TASK_OPTIONS, "run-timeout-us", (gint64) 20000, NULL);
  g_autoptr(MpFuture) future = mp_pool_submit_with (pool, MP_FUNCTION (block), g_variant_new_int32 (1), options, NULL);
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "task “block” ran in worker 0 for more than the 20.000 ms that it had");
  wait_for_text (text);
  g_assert_cmpstr (text->str, ==, "0 stopped unknown;");
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (6)), ==, 36);
  release (1);
  finish (pool);
}

static GVariant *
wait_until_told (GVariant *args, gpointer user_data, GError **error)
{
  GCancellable *cancellable = mp_invocation_get_cancellable (mp_invocation_get_current ());

  pthread_mutex_lock (&mutex);
  n_inside++;
  pthread_cond_broadcast (&cond);
  pthread_mutex_unlock (&mutex);
  while (!g_cancellable_is_cancelled (cancellable))
    g_usleep (1000);
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "told");
  return NULL;
}

/* One that listens keeps its thread. */
static void
test_listens (void)
{
  g_autoptr(GString) text = g_string_new (NULL);
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 1);
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) before = apply (pool, MP_FUNCTION (tell_thread), NULL), after = NULL;

  future = submit (pool, MP_FUNCTION (wait_until_told), NULL);
  g_signal_connect (pool, "worker-exited", G_CALLBACK (exited_cb), text);
  await_inside (1);
  n_inside = 0;
  g_assert_true (mp_future_cancel (future));
  after = apply (pool, MP_FUNCTION (tell_thread), NULL);
  g_assert_true (g_variant_equal (before, after));
  g_assert_cmpuint (text->len, ==, 0);
  g_signal_handlers_disconnect_by_data (pool, text);
  finish (pool);
}

/* A function that ends its thread is to a pool of threads what a crash is to one of processes. */
static void
test_thread_exit (void)
{
  g_autoptr(GString) text = g_string_new (NULL);
  MpPool *pool = impatient_pool (text);
  g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (end_thread), make_ints (30), 1, NULL);
  g_autoptr(GError) later = NULL;

  for (int i = 0; i < 30; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

      if (i == 13)
        {
          g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
          g_assert_cmpstr (error->message, ==, "function “end_thread”: worker 0 ended its thread while it ran it");
        }
      else
        {
          g_assert_no_error (error);
          g_assert_cmpint (g_variant_get_int32 (value), ==, i);
        }
    }
  g_assert_cmpstr (text->str, ==, "0 died unknown;");
  g_assert_null (mp_pool_apply (pool, "end-thread-later", NULL, LONG, NULL, &later));
  g_assert_error (later, MP_ERROR, MP_ERROR_WORKER_DIED);
  finish (pool);
}

static void
test_terminated (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 2);
  G_GNUC_UNUSED g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (block), g_variant_new_int32 (1));
  G_GNUC_UNUSED g_autoptr(MpFuture) second = submit (pool, MP_FUNCTION (block), g_variant_new_int32 (1));
  g_autoptr(GError) error = NULL;

  await_inside (2);
  mp_pool_terminate (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_finalize_object (pool);
  release (2);
}

static void
test_dropped (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 2);
  g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (block), g_variant_new_int32 (1));
  g_autoptr(GError) error = NULL;

  await_inside (1);
  g_assert_finalize_object (pool);
  g_assert_null (mp_future_get (future, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  release (1);
}

static void
free_cb (gpointer data)
{
  g_assert_true (g_thread_self () == ((GThread **) data)[0]);
  ((GThread **) data)[1] = g_thread_self ();
}

static GVariant *
drop_bytes (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_uint64 (g_variant_get_size (args));
}

/* What a call was given is freed where the call was made, when all is over, too. */
static void
test_freed_at_home (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 2);

  for (int i = 0; i < 200; i++)
    {
      static const char text[] = "0123456789012345678901234567890123456789";
      GThread *threads[2] = { g_thread_self (), NULL };
      GVariant *value = g_variant_new_from_data (G_VARIANT_TYPE_BYTESTRING, text, sizeof text, TRUE, free_cb, threads);
      g_autoptr(MpFuture) future = submit (pool, i % 2 == 0 ? MP_FUNCTION (drop_bytes) : MP_FUNCTION (echo), value);

      if (i % 3 == 0)
        mp_future_cancel (future);
      else
        mp_future_wait (future, LONG, NULL, NULL);
      g_clear_object (&future);
      while (threads[1] == NULL)
        g_main_context_iteration (NULL, TRUE);
    }
  finish (pool);
}

static void
test_nested (void)
{
  MpPool *pool = mp_pool_new_for_backend (MP_BACKEND_THREADS, 2);
  g_autoptr(GVariant) all = map (pool, MP_FUNCTION (sum_in_own_pool), make_ints (6), 1);

  g_assert_cmpstr (g_variant_get_type_string (all), ==, "aai");
  finish (pool);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void     (* func) (void);
  } tests[] = {
    { "/pool-thread-workers/own-threads", test_own_threads },
    { "/pool-thread-workers/no-copies", test_no_copies },
    { "/pool-thread-workers/taken-back", test_taken_back },
    { "/pool-thread-workers/cancelled", test_cancelled },
    { "/pool-thread-workers/time-out", test_time_out },
    { "/pool-thread-workers/listens", test_listens },
    { "/pool-thread-workers/thread-exit", test_thread_exit },
    { "/pool-thread-workers/terminated", test_terminated },
    { "/pool-thread-workers/dropped", test_dropped },
    { "/pool-thread-workers/freed-at-home", test_freed_at_home },
    { "/pool-thread-workers/nested", test_nested },
  };

  /* Not mp_init(): no process is started. */
  mp_function_register_async ("end-thread-later", end_thread_later, NULL, NULL);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    if (tests[i].func == test_thread_exit && is_under_valgrind ())
      g_test_add_data_func (tests[i].path, "what the thread had is lost with it, as valgrind sees it", skip_test);
    else
      g_test_add_func (tests[i].path, tests[i].func);

  return g_test_run ();
}
