/* test-wait-futures.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"
#include "wait-test.h"

#include <sys/wait.h>

/* Waiting for futures together with other objects. */

static void
test_ends (void)
{
  MpPool *pools[2] = { mp_pool_new (1), mp_pool_new (1) };
  Gate gate = gate_new ();
  gpointer objects[4];

  objects[0] = submit (pools[0], MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  objects[1] = submit (pools[0], MP_FUNCTION (square), g_variant_new_int32 (2));
  objects[2] = submit (pools[1], MP_FUNCTION (square), g_variant_new_int32 (3));
  objects[3] = objects[2];
  assert_ready (objects, 4, LONG, "2 3");
  assert_ready (objects, 2, 0, "");
  assert_ready (objects, 2, 1, "");
  gate_await (&gate);
  gate_open (&gate);
  assert_ready (objects, 1, LONG, "0");
  assert_ready (objects + 1, 1, LONG, "0");
  assert_ready (objects, 3, 0, "0 1 2");
  g_assert_cmpint (get_int (objects[2]), ==, 9);

  for (guint i = 0; i < 3; i++)
    g_object_unref (objects[i]);
  gate_clear (&gate);
  finish (pools[0]);
  finish (pools[1]);
}

static void
test_with_others (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
  g_autoptr(GError) error = NULL;
  gpointer objects[3] = { queue, NULL, gate.near };

  objects[1] = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  assert_ready (objects, 3, LONG, "2");
  gate_await (&gate);
  assert_ready (objects, 3, 0, "");
  mp_queue_put (queue, g_variant_new_int32 (1), LONG, NULL, &error);
  g_assert_no_error (error);
  assert_ready (objects, 3, LONG, "0");
  gate_open (&gate);
  assert_ready (objects + 1, 1, LONG, "0");
  assert_ready (objects, 3, LONG, "0 1");

  g_object_unref (objects[1]);
  gate_clear (&gate);
  finish (pool);
}

static void
test_failed (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  gpointer objects[2] = { submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate)),
                          submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2)) };

  kill (gate_await (&gate), SIGKILL);
  assert_ready (objects, 1, LONG, "0");
  g_assert_cmpint (mp_future_get_state (objects[0]), ==, MP_FUTURE_STATE_FAILED);
  g_assert_true (mp_future_cancel (objects[1]) || mp_future_is_ready (objects[1]));
  assert_ready (objects, 2, 0, "0 1");

  g_object_unref (objects[0]);
  g_object_unref (objects[1]);
  gate_clear (&gate);
  finish (pool);
}

static void
done_cb (MpFuture *future, gpointer user_data)
{
  (*(guint *) user_data)++;
}

/* In every backend, in a thread that runs what is due. */
static void
test_backends (void)
{
  static const MpBackend backends[] = { MP_BACKEND_PROCESSES, MP_BACKEND_THREADS, MP_BACKEND_INLINE };

  for (guint i = 0; i < G_N_ELEMENTS (backends); i++)
    {
      MpPool *pool = mp_pool_new_for_backend (backends[i], 2);
      guint n_done = 0;

      for (int k = 0; k < 20; k++)
        {
          gpointer objects[1] = { submit (pool, MP_FUNCTION (square), g_variant_new_int32 (k)) };

          g_signal_connect (objects[0], "done", G_CALLBACK (done_cb), &n_done);
          assert_ready (objects, 1, LONG, "0");
          while (n_done < (guint) k + 1)
            assert_ready (objects, 1, LONG, "0");
          g_assert_cmpint (get_int (objects[0]), ==, k * k);
          g_object_unref (objects[0]);
        }
      g_assert_cmpuint (n_done, ==, 20);
      finish (pool);
    }
}

/* Another thread sees to the end. */
static void
test_thread (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  gpointer objects[1] = { submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate)) };
  Waiter waiters[2] = { { .objects = NULL }, { .objects = NULL } };
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();

  gate_await (&gate);
  waiters[1].cancellable = cancellable;
  waiter_begin (&waiters[0], objects, 1);
  waiter_begin (&waiters[1], objects, 1);
  g_cancellable_cancel (cancellable);
  waiter_end (&waiters[1], NULL);
  g_assert_error (waiters[1].error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_error_free (waiters[1].error);
  gate_open (&gate);
  waiter_end (&waiters[0], "0");

  g_object_unref (objects[0]);
  gate_clear (&gate);
  finish (pool);
}

static void
test_async (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpWaitable *objects[1] = { NULL };
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(GError) error = NULL;

  objects[0] = MP_WAITABLE (submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate)));
  mp_wait_async (objects, 1, LONG, NULL, result_cb, &result);
  gate_await (&gate);
  g_assert_null (result);
  gate_open (&gate);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  ready = mp_wait_finish (result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, 1);
  g_assert_true (ready->pdata[0] == objects[0]);

  g_object_unref (objects[0]);
  gate_clear (&gate);
  finish (pool);
}

/* Nobody waits for what its parent has begun. */
static void
test_forked (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  gpointer objects[1] = { submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate)) };
  int status;
  pid_t pid;

  gate_await (&gate);
  pid = fork ();
  if (pid == 0)
    {
      g_autoptr(GError) error = NULL;

      wait_numbers (objects, 1, LONG, NULL, &error);
      /* Not by an exit: valgrind would count what is its parent's. */
      kill (getpid (), g_error_matches (error, MP_ERROR, MP_ERROR_NOT_OWNER) ? SIGKILL : SIGABRT);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  gate_open (&gate);
  assert_ready (objects, 1, LONG, "0");

  g_object_unref (objects[0]);
  gate_clear (&gate);
  finish (pool);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/wait/futures/ends", test_ends);
  g_test_add_func ("/wait/futures/with-others", test_with_others);
  g_test_add_func ("/wait/futures/failed", test_failed);
  g_test_add_func ("/wait/futures/backends", test_backends);
  g_test_add_func ("/wait/futures/thread", test_thread);
  g_test_add_func ("/wait/futures/async", test_async);
  g_test_add_func ("/wait/futures/forked", test_forked);

  return g_test_run ();
}
