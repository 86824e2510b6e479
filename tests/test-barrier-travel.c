/* test-barrier-travel.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include "instrument-test.h"

/* Barriers of processes that the library has started. */

static MpBarrier *
barrier_of (GVariant *handle)
{
  g_autoptr(GError) error = NULL;
  MpShareable *object = mp_shareable_from_variant (handle, &error);

  g_assert_no_error (error);
  g_assert_true (MP_IS_BARRIER (object));
  return MP_BARRIER (object);
}

static GVariant *
handle_of (MpBarrier *barrier)
{
  return mp_shareable_to_variant (MP_SHAREABLE (barrier));
}

static GVariant *
wait_there (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpBarrier) barrier = barrier_of (args);
  guint index;

  return mp_barrier_wait (barrier, &index, LONG, NULL, error) ? g_variant_new_uint32 (index) : NULL;
}

/* It has it, and says so; then it is killed, or goes on. */
static GVariant *
have_it (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) first = g_variant_get_child_value (args, 0);
  g_autoptr(GVariant) second = g_variant_get_child_value (args, 1);
  G_GNUC_UNUSED g_autoptr(MpBarrier) barrier = barrier_of (first);

  return wait_at_gate (second, NULL, error);
}

static GVariant *
have_it_and_fail (GVariant *args, gpointer user_data, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "no room");
  return NULL;
}

static GVariant *
have_it_and_exit (GVariant *args, gpointer user_data, GError **error)
{
  /* Never let go of. */
  barrier_of (args);
  exit (0);
}

static MpProcess *
start (const char *function, GVariant *args)
{
  g_autoptr(GVariant) own = g_variant_take_ref (args);
  MpProcess *process = mp_process_new (function, own);
  g_autoptr(GError) error = NULL;

  mp_process_start (process, LONG, NULL, &error);
  g_assert_no_error (error);
  return process;
}

static void
join (MpProcess *process)
{
  g_autoptr(GError) error = NULL;

  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
  g_object_unref (process);
}

static void
find_broken (MpBarrier *barrier, const char *reason)
{
  g_autofree char *message = g_strconcat ("barrier wait: broken: ", reason, NULL);
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_barrier_wait (barrier, NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_assert_cmpstr (error->message, ==, message);
}

static MpFuture *
submit_wait (MpPool *pool, MpBarrier *barrier)
{
  g_autoptr(GVariant) handle = handle_of (barrier);

  return submit (pool, MP_FUNCTION (wait_there), handle);
}

static void
test_pool (void)
{
  g_autoptr(MpBarrier) barrier = mp_barrier_new (3);
  MpPool *pool = mp_pool_new (2);

  for (guint i = 0; i < 20; i++)
    {
      g_autoptr(GAsyncResult) waited = NULL;
      MpFuture *futures[2];
      guint index = 0, seen = 0;

      for (guint k = 0; k < 2; k++)
        futures[k] = submit_wait (pool, barrier);
      mp_barrier_wait_async (barrier, NULL, result_cb, &waited);
      while (waited == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_true (mp_barrier_wait_finish (barrier, waited, &index, NULL));
      seen = 1u << index;
      for (guint k = 0; k < 2; k++)
        {
          g_autoptr(GError) error = NULL;
          g_autoptr(GVariant) result = mp_future_get (futures[k], LONG, NULL, &error);

          g_assert_no_error (error);
          seen |= 1u << g_variant_get_uint32 (result);
          g_object_unref (futures[k]);
        }
      g_assert_cmpuint (seen, ==, 7);
    }
  /* The workers have dropped it: their end means nothing. */
  finish (pool);
  g_assert_false (mp_barrier_is_broken (barrier));
}

/* An error of it is its own where it comes back. */
static void
test_pool_broken (void)
{
  g_autoptr(MpBarrier) barrier = mp_barrier_new (3);
  MpPool *pool = mp_pool_new (2);
  MpFuture *future = submit_wait (pool, barrier);
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;

  while (mp_barrier_get_n_waiting (barrier) == 0)
    g_main_context_iteration (NULL, FALSE);
  mp_barrier_abort (barrier, NULL);
  result = mp_future_get (future, LONG, NULL, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_object_unref (future);
  finish (pool);
}

static GVariant *
args_of (MpBarrier *barrier, Gate *gate)
{
  g_autoptr(GVariant) first = handle_of (barrier);

  return g_variant_new ("(@h@h)", first, gate_handle (gate));
}

/* It never waited. */
static void
test_killed (void)
{
  g_autoptr(MpBarrier) barrier = mp_barrier_new (3);
  Gate gate = gate_new ();
  MpProcess *holder = start (MP_FUNCTION (have_it), args_of (barrier, &gate));
  MpProcess *waiting = NULL;

  gate_await (&gate);
  waiting = start (MP_FUNCTION (wait_there), handle_of (barrier));
  while (mp_barrier_get_n_waiting (barrier) == 0)
    g_main_context_iteration (NULL, FALSE);
  mp_process_kill (holder, NULL);
  find_broken (barrier, "a process that had it has ended");
  join (holder);
  join (waiting);
  gate_clear (&gate);
}

static void
test_exited (void)
{
  g_autoptr(MpBarrier) barrier = mp_barrier_new (2);

  join (start (MP_FUNCTION (have_it_and_exit), handle_of (barrier)));
  find_broken (barrier, "a process that had it has ended");
  mp_barrier_reset (barrier, NULL);
  join (start (MP_FUNCTION (have_it_and_fail), handle_of (barrier)));
  find_broken (barrier, "a process that had it has ended");
}

/* It drops it, and then ends: that is in order; but then they are too few. */
static void
test_dropped (void)
{
  g_autoptr(MpBarrier) barrier = mp_barrier_new (2);
  Gate gate = gate_new ();
  MpProcess *holder = start (MP_FUNCTION (have_it), args_of (barrier, &gate));

  gate_await (&gate);
  gate_open (&gate);
  join (holder);
  gate_clear (&gate);
  g_usleep (200 * 1000);
  g_assert_false (mp_barrier_is_broken (barrier));
  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("the thread sanitizer has a thread that seems to be the program's");
      return;
    }
  find_broken (barrier, "all who have it wait, and are too few");
}

/* On its way in a pipe, it may still come to somebody. */
static void
test_in_flight (void)
{
  g_autoptr(MpBarrier) barrier = mp_barrier_new (2);
  g_autoptr(MpBarrier) same = NULL;
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  g_autoptr(GVariant) handle = handle_of (barrier);
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GError) error = NULL;
  gint64 begin;

  mp_pipe_new (TRUE, &first, &second, &error);
  mp_connection_send (first, handle, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (mp_barrier_wait (barrier, NULL, 1500 * 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  /* Received here, it is nobody else's. */
  message = mp_connection_recv (second, LONG, NULL, &error);
  g_assert_no_error (error);
  same = barrier_of (message);
  g_assert_true (mp_barrier_reset (same, NULL));
  g_assert_false (mp_barrier_is_broken (barrier));
  begin = g_get_monotonic_time ();
  g_assert_false (mp_barrier_wait (same, NULL, (UNDER_THREAD_SANITIZER ? 1 : 30) * G_USEC_PER_SEC, NULL, &error));
  g_assert_nonnull (error);
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - begin, <, 2 * G_USEC_PER_SEC);
}

static void
test_isolated (void)
{
  MpBarrier *barrier = g_object_new (MP_TYPE_BARRIER, "parties", 2, "isolated", TRUE, NULL);
  MpProcess *process = start (MP_FUNCTION (wait_there), handle_of (barrier));

  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (barrier)));
  g_assert_true (mp_barrier_wait (barrier, NULL, LONG, NULL, NULL));
  join (process);
  g_object_unref (barrier);
}

/* The object of this process goes, and with it this process's part. */
static void
test_maker_drops (void)
{
  MpBarrier *barrier = mp_barrier_new (2);
  g_autoptr(MpProcess) process = start (MP_FUNCTION (wait_there), handle_of (barrier));
  g_autoptr(GError) error = NULL;

  while (mp_barrier_get_n_waiting (barrier) == 0)
    g_main_context_iteration (NULL, FALSE);
  g_object_unref (barrier);
  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("the thread sanitizer has a thread that seems to be the program's");
      mp_process_kill (process, NULL);
    }
  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), !=, 0);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/barrier-travel/pool", test_pool);
  g_test_add_func ("/barrier-travel/pool-broken", test_pool_broken);
  g_test_add_func ("/barrier-travel/killed", test_killed);
  g_test_add_func ("/barrier-travel/exited", test_exited);
  g_test_add_func ("/barrier-travel/dropped", test_dropped);
  g_test_add_func ("/barrier-travel/in-flight", test_in_flight);
  g_test_add_func ("/barrier-travel/isolated", test_isolated);
  g_test_add_func ("/barrier-travel/maker-drops", test_maker_drops);

  return g_test_run ();
}
