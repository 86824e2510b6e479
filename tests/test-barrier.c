/* test-barrier.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "barrier-test.h"

static void
test_alone (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (1);
  guint parties, n_waiting;
  gboolean broken, isolated;

  for (guint i = 0; i < 10; i++)
    g_assert_cmpuint (pass (), ==, 0);
  g_object_get (own, "parties", &parties, "n-waiting", &n_waiting, "broken", &broken, "isolated", &isolated, NULL);
  g_assert_cmpuint (parties, ==, 1);
  g_assert_cmpuint (n_waiting, ==, 0);
  g_assert_false (broken);
  g_assert_false (isolated);
}

#define N_PEERS  4
#define N_ROUNDS 100

static void
go_round (int socket)
{
  end_with_parent ();
  for (guint i = 0; i < N_ROUNDS; i++)
    tell (socket, pass ());
  hear (socket);
}

/* Each has a number of its own, in each round. */
static void
test_rounds (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (N_PEERS + 1);
  Peer peers[N_PEERS];

  for (guint i = 0; i < N_PEERS; i++)
    peers[i] = peer_start (go_round);
  for (guint round = 0; round < N_ROUNDS; round++)
    {
      guint seen = 1u << pass ();

      for (guint i = 0; i < N_PEERS; i++)
        seen |= 1u << hear (peers[i].socket);
      g_assert_cmpuint (seen, ==, (1u << (N_PEERS + 1)) - 1);
    }
  g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 0);
  g_assert_false (mp_barrier_is_broken (own));
  for (guint i = 0; i < N_PEERS; i++)
    {
      tell (peers[i].socket, 0);
      peer_join (&peers[i]);
    }
}

/* The last one has the highest number. */
static void
test_last (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer = peer_start (wait_and_stay);

  await_waiting (1);
  g_assert_cmpuint (pass (), ==, 1);
  g_assert_cmpuint (hear (peer.socket), ==, 0);
  g_assert_cmpuint (mp_barrier_get_parties (own), ==, 2);
  peer_kill (&peer);
}

static void
time_out (gint64 timeout_us)
{
  g_autoptr(GError) error = NULL;
  guint index = 7;

  g_assert_false (mp_barrier_wait (barrier, &index, timeout_us, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "barrier wait: timed out");
  g_assert_cmpuint (index, ==, 0);
}

static void
test_timeouts (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  const gint64 timeouts[] = { 0, 1, 30 * 1000 };

  for (guint i = 0; i < G_N_ELEMENTS (timeouts); i++)
    {
      Peer peer = peer_start (wait_and_stay);

      /* Who comes last is not too late. */
      await_waiting (1);
      g_assert_true (mp_barrier_wait (own, NULL, timeouts[i], NULL, NULL));
      g_assert_cmpuint (hear (peer.socket), ==, 0);
      tell (peer.socket, 0);
      peer_join (&peer);
      reset ();

      time_out (timeouts[i]);
      g_assert_true (mp_barrier_is_broken (own));
      g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 0);
      find_broken ("a wait timed out");
      reset ();
      g_assert_false (mp_barrier_is_broken (own));
    }
}

static void
test_huge_timeout (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer = peer_start (wait_and_stay);

  g_assert_true (mp_barrier_wait (own, NULL, G_MAXINT64, NULL, NULL));
  g_assert_cmpuint (hear (peer.socket), <, 2);
  peer_kill (&peer);
}

/* A wait that times out is the end for the others as well. */
static void
test_timeout_breaks (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Peer peer = peer_start (wait_and_stay);

  await_waiting (1);
  time_out (1000);
  g_assert_cmpuint (hear (peer.socket), ==, BROKEN);
  peer_kill (&peer);
}

static void
test_abort_and_reset (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Peer peers[2];

  for (guint i = 0; i < 2; i++)
    peers[i] = peer_start (wait_and_stay);
  await_waiting (2);
  abort_it ();
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmpuint (hear (peers[i].socket), ==, BROKEN);
      peer_kill (&peers[i]);
    }
  find_broken ("it was aborted");
  reset ();

  for (guint i = 0; i < 2; i++)
    peers[i] = peer_start (wait_and_stay);
  await_waiting (2);
  reset ();
  for (guint i = 0; i < 2; i++)
    g_assert_cmpuint (hear (peers[i].socket), ==, BROKEN);
  g_assert_false (mp_barrier_is_broken (own));
  for (guint i = 0; i < 2; i++)
    peer_kill (&peers[i]);
}

static void
test_cancelled (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (mp_barrier_wait (own, NULL, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  find_broken ("a wait was cancelled");
}

/* Threads. */

typedef struct
{
  int          tid;
  guint        index;
  GCancellable *cancellable;
  GError      *error;
} Thread;

static gpointer
thread_func (gpointer data)
{
  Thread *thread = data;

  g_atomic_int_set (&thread->tid, get_tid ());
  mp_barrier_wait (barrier, &thread->index, LONG, thread->cancellable, &thread->error);
  return NULL;
}

static GThread *
start_thread (Thread *thread)
{
  GThread *result = g_thread_new ("party", thread_func, thread);

  while (g_atomic_int_get (&thread->tid) == 0)
    g_thread_yield ();
  return result;
}

static void
test_cancelled_by_thread (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  Thread first = { .cancellable = cancellable }, second = { 0 };
  GThread *threads[] = { start_thread (&first), start_thread (&second) };

  await_waiting (2);
  g_cancellable_cancel (cancellable);
  for (guint i = 0; i < 2; i++)
    g_thread_join (threads[i]);
  g_assert_error (first.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_error (second.error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_assert_true (mp_barrier_is_broken (own));
  g_clear_error (&first.error);
  g_clear_error (&second.error);
}

/* Also when they come late: who has threads that do not wait can still come. */
static void
test_threads (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Thread data[2] = { { 0 }, { 0 } };
  GThread *threads[2];

  for (guint i = 0; i < 2; i++)
    threads[i] = start_thread (&data[i]);
  await_waiting (2);
  g_usleep (G_USEC_PER_SEC);
  g_assert_cmpuint (pass (), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      g_thread_join (threads[i]);
      g_assert_no_error (data[i].error);
    }
  g_assert_cmpuint (data[0].index + data[1].index, ==, 1);
}

/* Action. */

static int n_actions, n_destroyed;

static gboolean
action_cb (MpBarrier  *object,
           gpointer    user_data,
           GError    **error)
{
  g_assert_true (object == barrier);
  g_assert_cmpuint (mp_barrier_get_n_waiting (object), ==, mp_barrier_get_parties (object));
  n_actions++;
  if (user_data == NULL)
    return TRUE;
  if (GPOINTER_TO_INT (user_data) == 1)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "no room");
  return FALSE;
}

static void
destroy_cb (gpointer user_data)
{
  n_destroyed++;
}

static void
test_action (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer = peer_start (wait_and_stay);

  n_actions = n_destroyed = 0;
  mp_barrier_set_action (own, action_cb, NULL, destroy_cb);
  await_waiting (1);
  g_assert_cmpuint (pass (), ==, 1);
  g_assert_cmpint (n_actions, ==, 1);
  g_assert_cmpuint (hear (peer.socket), ==, 0);
  tell (peer.socket, 0);
  peer_join (&peer);

  g_assert_cmpint (n_destroyed, ==, 0);
  mp_barrier_set_action (own, action_cb, NULL, destroy_cb);
  g_assert_cmpint (n_destroyed, ==, 1);
  mp_barrier_set_action (own, NULL, NULL, NULL);
  g_assert_cmpint (n_destroyed, ==, 2);
  mp_barrier_set_action (own, action_cb, NULL, destroy_cb);
  g_clear_object (&own);
  g_assert_cmpint (n_destroyed, ==, 3);
}

/* Whoever comes last does it, if there is something set in that process. */
static void
test_action_of_another (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer;

  n_actions = 0;
  peer = peer_start (wait_and_stay);
  await_waiting (1);
  mp_barrier_set_action (own, action_cb, NULL, NULL);
  pass ();
  g_assert_cmpint (n_actions, ==, 1);
  hear (peer.socket);
  peer_kill (&peer);
}

static void
test_action_fails (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);

  for (int how = 1; how <= 2; how++)
    {
      Peer peer = peer_start (wait_and_stay);
      g_autoptr(GError) error = NULL;

      mp_barrier_set_action (own, action_cb, GINT_TO_POINTER (how), NULL);
      await_waiting (1);
      g_assert_false (mp_barrier_wait (own, NULL, LONG, NULL, &error));
      if (how == 1)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
      else
        g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
      g_assert_cmpuint (hear (peer.socket), ==, BROKEN);
      find_broken ("its action failed");
      tell (peer.socket, 0);
      peer_join (&peer);
      reset ();
    }
}

static gboolean
abort_cb (MpBarrier  *object,
          gpointer    user_data,
          GError    **error)
{
  if (user_data == NULL)
    return mp_barrier_abort (object, error);
  return mp_barrier_reset (object, error);
}

/* Somebody breaks it meanwhile, here the action itself. */
static void
test_action_and_abort (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);

  for (int how = 0; how < 2; how++)
    {
      Peer peer = peer_start (wait_and_stay);

      mp_barrier_set_action (own, abort_cb, GINT_TO_POINTER (how), NULL);
      await_waiting (1);
      find_broken (how == 0 ? "it was aborted" : "it was reset");
      g_assert_cmpuint (hear (peer.socket), ==, BROKEN);
      g_assert_cmpint (mp_barrier_is_broken (own), ==, how == 0);
      tell (peer.socket, 0);
      peer_join (&peer);
      reset ();
    }
}

/* Async. */

static guint
finish_async (GAsyncResult **result,
              GError       **error)
{
  guint index = G_MAXUINT;

  await_result (result);
  if (!mp_barrier_wait_finish (barrier, *result, &index, error))
    index = G_MAXUINT;
  g_clear_object (result);
  return index;
}

/* Several in one process, which does nothing but turn its main loop. */
static void
test_async (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (4);
  GAsyncResult *results[3] = { NULL };
  Peer peer = peer_start (wait_and_stay);
  guint seen = 0;

  for (guint i = 0; i < 3; i++)
    mp_barrier_wait_async (own, NULL, result_cb, &results[i]);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr(GError) error = NULL;

      seen |= 1u << finish_async (&results[i], &error);
      g_assert_no_error (error);
    }
  seen |= 1u << hear (peer.socket);
  g_assert_cmpuint (seen, ==, 15);
  peer_kill (&peer);
}

/* One object, asynchronous and blocking in the same thread, also a crowd. */
static void
test_async_and_blocking (void)
{
  enum { N = 200 };
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (N + 1);
  GAsyncResult *results[N] = { NULL };

  for (guint round = 0; round < 3; round++)
    {
      g_autofree gboolean *seen = g_new0 (gboolean, N);

      for (guint i = 0; i < N; i++)
        mp_barrier_wait_async (own, NULL, result_cb, &results[i]);
      await_waiting (N);
      g_assert_cmpuint (pass (), ==, N);
      for (guint i = 0; i < N; i++)
        {
          g_autoptr(GError) error = NULL;
          guint index = finish_async (&results[i], &error);

          g_assert_no_error (error);
          g_assert_cmpuint (index, <, N);
          g_assert_false (seen[index]);
          seen[index] = TRUE;
        }
    }
}

static void
test_async_action (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  GAsyncResult *results[2] = { NULL };
  g_autoptr(GError) error = NULL;

  n_actions = 0;
  mp_barrier_set_action (own, action_cb, NULL, NULL);
  for (guint i = 0; i < 2; i++)
    mp_barrier_wait_async (own, NULL, result_cb, &results[i]);
  g_assert_cmpint (n_actions, ==, 0);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpuint (finish_async (&results[i], &error), ==, i);
  g_assert_cmpint (n_actions, ==, 1);

  mp_barrier_set_action (own, action_cb, GINT_TO_POINTER (1), NULL);
  for (guint i = 0; i < 2; i++)
    mp_barrier_wait_async (own, NULL, result_cb, &results[i]);
  finish_async (&results[0], &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_clear_error (&error);
  finish_async (&results[1], &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
}

static void
test_async_cancelled (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *results[2] = { NULL };
  g_autoptr(GError) error = NULL;

  mp_barrier_wait_async (own, cancellable, result_cb, &results[0]);
  mp_barrier_wait_async (own, NULL, result_cb, &results[1]);
  g_cancellable_cancel (cancellable);
  /* At once, whatever the main loop does. */
  g_assert_true (mp_barrier_is_broken (own));
  finish_async (&results[0], &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  finish_async (&results[1], &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_clear_error (&error);

  /* Before it began. */
  reset ();
  mp_barrier_wait_async (own, cancellable, result_cb, &results[0]);
  finish_async (&results[0], &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (mp_barrier_is_broken (own));
}

/* All have come: what is so stays so. */
static void
test_async_cancelled_too_late (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *results[2] = { NULL };
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < 2; i++)
    mp_barrier_wait_async (own, cancellable, result_cb, &results[i]);
  g_cancellable_cancel (cancellable);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmpuint (finish_async (&results[i], &error), ==, i);
      g_assert_no_error (error);
    }
  g_assert_false (mp_barrier_is_broken (own));
}

/* The action has not been called yet, and is not any more. */
static void
test_async_cancelled_before_action (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (1);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;

  n_actions = 0;
  mp_barrier_set_action (own, action_cb, NULL, NULL);
  mp_barrier_wait_async (own, cancellable, result_cb, &result);
  g_cancellable_cancel (cancellable);
  finish_async (&result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (n_actions, ==, 0);
  g_assert_true (mp_barrier_is_broken (own));
}

/* Bad input. */

static void
test_bounds (void)
{
  g_autoptr(MpBarrier) largest = mp_barrier_new (MP_BARRIER_MAX_PARTIES);

  g_assert_cmpuint (mp_barrier_get_parties (largest), ==, MP_BARRIER_MAX_PARTIES);
  if (g_test_subprocess ())
    {
      g_log_set_always_fatal (G_LOG_FATAL_MASK);
      g_assert_null (mp_barrier_new (0));
      g_assert_null (mp_barrier_new (MP_BARRIER_MAX_PARTIES + 1));
      g_assert_false (mp_barrier_wait (largest, NULL, -2, NULL, NULL));
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("*parties > 0*parties <= *timeout_us >= -1*");
}

/* More calls of one process than can be counted. */
static void
test_too_many (void)
{
  enum { N = 1023 };
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (N + 2);
  GAsyncResult *results[N] = { NULL };
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < N; i++)
    mp_barrier_wait_async (own, NULL, result_cb, &results[i]);
  await_waiting (N);
  g_assert_false (mp_barrier_wait (own, NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_clear_error (&error);
  g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, N);
  abort_it ();
  for (guint i = 0; i < N; i++)
    {
      finish_async (&results[i], &error);
      g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
      g_clear_error (&error);
    }
}

/* Whatever the memory says, calls end. */
static void
test_damaged (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  g_autoptr(GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < 2000; i++)
    {
      guint64 state[2];

      for (guint k = 0; k < 2; k++)
        state[k] = (guint64) g_rand_int (rand) << 32 | g_rand_int (rand);
      if (g_rand_int_range (rand, 0, 2) == 0)
        state[1] = 0;
      g_assert_cmpint (mp_cell_try_take (get_slot_of (own)), !=, MP_CELL_BUSY);
      mp_cell_write_state (get_slot_of (own), state);
      mp_cell_give_back (get_slot_of (own));
      if (g_rand_int_range (rand, 0, 4) == 0)
        __atomic_fetch_or (&get_slot_of (own)->slot->word, MP_CELL_INCONSISTENT, __ATOMIC_SEQ_CST);
      switch (g_rand_int_range (rand, 0, 4))
        {
        case 0:
          mp_barrier_abort (own, NULL);
          break;
        case 1:
          mp_barrier_reset (own, NULL);
          break;
        default:
          mp_barrier_wait (own, NULL, g_rand_int_range (rand, 0, 100), NULL, NULL);
        }
      mp_barrier_get_n_waiting (own);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/barrier/alone", test_alone);
  g_test_add_func ("/barrier/rounds", test_rounds);
  g_test_add_func ("/barrier/last", test_last);
  g_test_add_func ("/barrier/timeouts", test_timeouts);
  g_test_add_func ("/barrier/huge-timeout", test_huge_timeout);
  g_test_add_func ("/barrier/timeout-breaks", test_timeout_breaks);
  g_test_add_func ("/barrier/abort-and-reset", test_abort_and_reset);
  g_test_add_func ("/barrier/cancelled", test_cancelled);
  g_test_add_func ("/barrier/cancelled-by-thread", test_cancelled_by_thread);
  g_test_add_func ("/barrier/threads", test_threads);
  g_test_add_func ("/barrier/action", test_action);
  g_test_add_func ("/barrier/action-of-another", test_action_of_another);
  g_test_add_func ("/barrier/action-fails", test_action_fails);
  g_test_add_func ("/barrier/action-and-abort", test_action_and_abort);
  g_test_add_func ("/barrier/async", test_async);
  g_test_add_func ("/barrier/async-and-blocking", test_async_and_blocking);
  g_test_add_func ("/barrier/async-action", test_async_action);
  g_test_add_func ("/barrier/async-cancelled", test_async_cancelled);
  g_test_add_func ("/barrier/async-cancelled-too-late", test_async_cancelled_too_late);
  g_test_add_func ("/barrier/async-cancelled-before-action", test_async_cancelled_before_action);
  g_test_add_func ("/barrier/bounds", test_bounds);
  g_test_add_func ("/barrier/too-many", test_too_many);
  g_test_add_func ("/barrier/damaged", test_damaged);

  return g_test_run ();
}
