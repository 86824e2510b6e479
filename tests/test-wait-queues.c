/* test-wait-queues.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wait-test.h"

#include "mp-glib/arena/mp-async-private.h"

#include <signal.h>
#include <sys/wait.h>

/* Waiting for queues. */

static void
put_ok (gpointer queue,
        guint32  number)
{
  g_autoptr(GError) error = NULL;

  mp_queue_put (queue, g_variant_new_uint32 (number), LONG_TIME, NULL, &error);
  g_assert_no_error (error);
}

static void
get_ok (gpointer queue,
        guint32  number)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_queue_try_get (queue, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_get_uint32 (value), ==, number);
}

static void
test_items (void)
{
  gpointer objects[3] = { mp_queue_new (0, 0), mp_simple_queue_new (), mp_joinable_queue_new (0, 0) };

  assert_ready (objects, 3, 0, "");
  assert_ready (objects, 3, 1, "");
  put_ok (objects[2], 2);
  assert_ready (objects, 3, LONG_TIME, "2");
  put_ok (objects[0], 0);
  put_ok (objects[1], 1);
  assert_ready (objects, 3, LONG_TIME, "0 1 2");
  for (guint i = 0; i < 3; i++)
    get_ok (objects[i], i);
  assert_ready (objects, 3, 0, "");
  g_assert_cmpuint (mp_async_count (), ==, 0);
  for (guint i = 0; i < 3; i++)
    g_assert_finalize_object (objects[i]);
}

static void
test_wakes (void)
{
  gpointer objects[2] = { mp_queue_new (0, 0), mp_queue_new (0, 0) };
  const guint n_rounds = is_slow () ? 20 : 200;

  for (guint i = 0; i < n_rounds; i++)
    {
      Waiter waiters[2] = { { NULL }, { NULL } };

      for (guint k = 0; k < 2; k++)
        waiter_begin (&waiters[k], objects, 2);
      put_ok (objects[i % 2], i);
      for (guint k = 0; k < 2; k++)
        waiter_end (&waiters[k], i % 2 == 0 ? "0" : "1");
      get_ok (objects[i % 2], i);
    }
  g_assert_cmpuint (mp_async_count (), ==, 0);
  for (guint i = 0; i < 2; i++)
    g_assert_finalize_object (objects[i]);
}

/* Those that get come first; what is told of and got by somebody else is not there any more. */
static void
test_getters_first (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GVariant) value = NULL;
  gpointer objects[1] = { mp_queue_new (0, 0) };
  Waiter waiter = { NULL };

  /* Or a thread that waits runs the callback. */
  g_assert_true (g_main_context_acquire (NULL));
  mp_queue_get_async (objects[0], NULL, keep_result_cb, &result);
  waiter_begin (&waiter, objects, 1);
  put_ok (objects[0], 1);
  wait_for_result (&result);
  value = mp_queue_get_finish (objects[0], result, NULL);
  g_assert_cmpuint (g_variant_get_uint32 (value), ==, 1);
  put_ok (objects[0], 2);
  waiter_end (&waiter, "0");
  get_ok (objects[0], 2);
  g_clear_object (&result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_main_context_release (NULL);
  g_assert_finalize_object (objects[0]);
}

/* What was told of, and has been got by somebody else when it is looked for. */
static void
test_got_by_others (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  MpWaitable *objects[1] = { MP_WAITABLE (mp_queue_new (0, 0)) };

  mp_wait_async (objects, 1, -1, NULL, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (mp_async_count (), ==, 1);
  put_ok (objects[0], 1);
  while (mp_async_count () > 0)
    g_thread_yield ();
  get_ok (objects[0], 1);
  while (mp_async_count () == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (result);

  put_ok (objects[0], 2);
  wait_for_result (&result);
  ready = mp_wait_finish (result, NULL);
  g_assert_cmpuint (ready->len, ==, 1);
  g_clear_object (&result);
  get_ok (objects[0], 2);
  g_clear_pointer (&ready, g_ptr_array_unref);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (objects[0]);
}

/* Waits among asynchronous calls do not change whose turn it is. */
static void
number_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr(GVariant) value = mp_queue_get_finish (MP_QUEUE (object), result, NULL);

  guint number = g_variant_get_uint32 (value);

  g_array_append_val ((GArray *) user_data, number);
}

static void
test_order_of_getters (void)
{
  g_autoptr(GArray) numbers = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  MpWaitable *objects[1] = { MP_WAITABLE (mp_queue_new (0, 0)) };
  GAsyncResult *results[5] = { NULL };

  for (guint i = 0; i < 5; i++)
    {
      mp_wait_async (objects, 1, -1, cancellable, keep_result_cb, &results[i]);
      while (g_main_context_iteration (NULL, FALSE))
        ;
      mp_queue_get_async (MP_QUEUE (objects[0]), NULL, number_cb, numbers);
    }
  for (guint i = 0; i < 5; i++)
    put_ok (objects[0], i);
  while (numbers->len < 5)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < 5; i++)
    g_assert_cmpuint (g_array_index (numbers, guint, i), ==, i);

  g_cancellable_cancel (cancellable);
  for (guint i = 0; i < 5; i++)
    {
      wait_for_result (&results[i]);
      g_object_unref (results[i]);
    }
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (mp_async_count (), ==, 0);
  g_assert_finalize_object (objects[0]);
}

/* Nobody is left who could put: also that is what a getting call would not wait for. */
static void
test_end (void)
{
  gpointer objects[1] = { mp_queue_new (0, 0) };
  Waiter waiter = { NULL };

  put_ok (objects[0], 1);
  get_ok (objects[0], 1);
  waiter_begin (&waiter, objects, 1);
  g_assert_true (mp_queue_close (objects[0], NULL));
  waiter_end (&waiter, "0");
  assert_ready (objects, 1, LONG_TIME, "0");
  g_assert_finalize_object (objects[0]);
}

/* A process that is killed while it is the last who could put. */
static void
test_killed (void)
{
  gpointer objects[1] = { mp_queue_new (0, 0) };
  Waiter waiter = { NULL };
  gint64 before;
  pid_t pid;

  pid = fork ();
  if (pid == 0)
    {
      put_ok (objects[0], 1);
      for (;;)
        pause ();
    }
  assert_ready (objects, 1, LONG_TIME, "0");
  get_ok (objects[0], 1);
  waiter_begin (&waiter, objects, 1);
  kill (pid, SIGKILL);
  before = g_get_monotonic_time ();
  waiter_end (&waiter, "0");
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - before, <, G_USEC_PER_SEC);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  g_assert_finalize_object (objects[0]);
}

/* A wait needs one thread and two descriptors, however many queues there are. */
static guint
count_threads (void)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
test_many (void)
{
  const guint n = is_slow () ? 50 : 300;
  g_autofree gpointer *objects = g_new (gpointer, n);
  g_autofree char *last = g_strdup_printf ("%u", n - 1);
  Waiter waiter = { NULL };
  guint n_fds, n_threads;

  for (guint i = 0; i < n; i++)
    objects[i] = mp_queue_new (0, 0);
  assert_ready (objects, n, 1, "");
  n_fds = count_fds ();
  n_threads = count_threads ();
  waiter_begin (&waiter, objects, n);
  g_assert_cmpuint (count_fds (), <=, n_fds + 3);
  g_assert_cmpuint (count_threads (), <=, n_threads + 2);
  put_ok (objects[n - 1], 1);
  waiter_end (&waiter, last);
  for (guint i = 0; i < n; i++)
    g_assert_finalize_object (objects[i]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wait-queues/killed", test_killed);
  g_test_add_func ("/wait-queues/items", test_items);
  g_test_add_func ("/wait-queues/wakes", test_wakes);
  g_test_add_func ("/wait-queues/getters-first", test_getters_first);
  g_test_add_func ("/wait-queues/got-by-others", test_got_by_others);
  g_test_add_func ("/wait-queues/order-of-getters", test_order_of_getters);
  g_test_add_func ("/wait-queues/end", test_end);
  g_test_add_func ("/wait-queues/many", test_many);

  return g_test_run ();
}
