/* test-barrier-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "barrier-test.h"

#include "mp-glib/base/mp-shareable-private.h"

/* What becomes of those who wait at a barrier when somebody dies, drops it, is stopped, or interferes. */

static void
test_killed_in_wait (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Peer peer = peer_start (wait_and_stay);

  await_waiting (1);
  peer_kill (&peer);
  find_broken ("a process that had it has ended");
  g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 0);

  /* It does not break it once more. */
  reset ();
  peer = peer_start (wait_and_stay);
  await_waiting (1);
  g_usleep (3 * MP_CELL_SLICE_US);
  g_assert_false (mp_barrier_is_broken (own));
  peer_kill (&peer);
}

/* Those who wait already. */
static void
test_others_are_woken (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (4);
  Peer peers[3];
  gint64 begin;

  for (guint i = 0; i < 3; i++)
    peers[i] = peer_start (wait_and_stay);
  await_waiting (3);
  begin = g_get_monotonic_time ();
  peer_kill (&peers[1]);
  g_assert_cmpuint (hear (peers[0].socket), ==, BROKEN);
  g_assert_cmpuint (hear (peers[2].socket), ==, BROKEN);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, SOON_US);
  peer_kill (&peers[0]);
  peer_kill (&peers[2]);
}

/* Nobody waits, and it shows all the same; and the one who would be the last does not pass with a dead one. */
static void
test_killed_and_nobody_waits (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer = peer_start (wait_and_stay);

  await_waiting (1);
  peer_kill (&peer);
  find_broken ("a process that had it has ended");

  reset ();
  peer = peer_start (wait_and_stay);
  await_waiting (1);
  peer_kill (&peer);
  while (!mp_barrier_is_broken (own))
    g_thread_yield ();
}

/* It had passed, and ends without having dropped it. */
static void
test_ended (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer = peer_start (wait_once);

  pass ();
  hear (peer.socket);
  peer_join (&peer);
  find_broken ("a process that had it has ended");
}

/* Somebody else has its index by then. */
static void
test_index_reused (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  guint n_reused = g_atomic_int_get (&mp_arena_counts.n_indices_reused);
  Peer peer = peer_start (wait_and_stay);

  pass ();
  peer_kill (&peer);
  peer = peer_start (wait_and_stay);
  g_assert_cmpuint (g_atomic_int_get (&mp_arena_counts.n_indices_reused), >, n_reused);
  g_assert_cmpuint (hear (peer.socket), ==, BROKEN);
  peer_kill (&peer);
  find_broken ("a process that had it has ended");
}

/* Also when the other one only has it; and one that died while it waited is not counted any more. */
static void
test_index_reused_unseen (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Peer peer = peer_start (wait_and_stay);

  await_waiting (1);
  peer_kill (&peer);
  peer = peer_start (wait_and_stay);
  g_assert_cmpuint (hear (peer.socket), ==, BROKEN);
  g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 0);
  peer_kill (&peer);
}

static void
have_it (int socket)
{
  tell (socket, 0);
  hear (socket);
}

/* A copy that does nothing with it is none of those who have it. */
static void
test_copy (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer copy = peer_start (have_it);
  Peer peer = peer_start (wait_and_stay);

  hear (copy.socket);
  peer_kill (&copy);
  await_waiting (1);
  g_usleep (3 * MP_CELL_SLICE_US);
  g_assert_false (mp_barrier_is_broken (own));
  pass ();
  hear (peer.socket);
  peer_kill (&peer);
}

/* In the midst of a wait. */
static void
fork_cb (GObject      *source_object,
         GAsyncResult *result,
         gpointer      user_data)
{
  int *pid = user_data;

  *pid = fork ();
}

static void
test_fork_in_wait (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  Peer peer;
  g_autoptr(GError) error = NULL;
  int pid = -1;
  gboolean passed;

  /* A callback of the barrier's that the wait runs. */
  g_cancellable_cancel (cancellable);
  mp_barrier_wait_async (own, cancellable, fork_cb, &pid);
  reset ();
  passed = mp_barrier_wait (own, NULL, 100 * 1000, NULL, &error);
  if (pid == 0)
    {
      g_assert_false (passed);
      leave ();
    }
  g_assert_cmpint (pid, >, 0);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  wait_well (pid);
  g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 0);
  reset ();
  peer = peer_start (wait_and_stay);
  pass ();
  peer_kill (&peer);
}

/* Too few. */

static const char *
reason_not_to_count_threads (void)
{
  return UNDER_THREAD_SANITIZER ? "the thread sanitizer has a thread that seems to be the program's" : NULL;
}

static void
test_too_few (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Peer peer = peer_start (wait_and_stay);

  await_waiting (1);
  find_broken ("all who have it wait, and are too few");
  g_assert_cmpuint (hear (peer.socket), ==, BROKEN);
  peer_kill (&peer);
}

static void
test_too_few_alone (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;

  find_broken ("all who have it wait, and are too few");
  reset ();
  mp_barrier_wait_async (own, NULL, result_cb, &result);
  await_result (&result);
  g_assert_false (mp_barrier_wait_finish (own, result, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_clear_object (&result);
}

/* An asynchronous call's own thread, while it is at work, may come any time. */
static void
test_busy (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;

  mp_barrier_wait_async (own, NULL, result_cb, &result);
  g_usleep (10 * MP_CELL_SLICE_US);
  mp_barrier_wait (own, NULL, LONG, NULL, &error);
  g_assert_no_error (error);
  await_result (&result);
  g_assert_true (mp_barrier_wait_finish (own, result, NULL, &error));
  g_assert_no_error (error);
  g_clear_object (&result);
}

/* As long as there is one who has it and does not wait, or to whom it is being sent, there is hope. */
static void
test_enough (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) described = NULL;
  Peer copy = peer_start (have_it);
  Peer peer = peer_start (wait_and_stay);
  g_autoptr(GError) error = NULL;
  gint64 begin;

  hear (copy.socket);
  g_assert_false (mp_barrier_wait (own, NULL, G_USEC_PER_SEC, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  hear (peer.socket);
  peer_kill (&peer);
  peer_kill (&copy);

  reset ();
  described = MP_SHAREABLE_GET_IFACE (own)->describe (MP_SHAREABLE (own), fds, &error);
  g_assert_no_error (error);
  g_assert_false (mp_barrier_wait (own, NULL, G_USEC_PER_SEC, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  close_fds ((int *) (gpointer) fds->data, fds->len);

  reset ();
  begin = g_get_monotonic_time ();
  find_broken ("all who have it wait, and are too few");
  g_assert_cmpint (g_get_monotonic_time () - begin, >, 3 * MP_CELL_SLICE_US);
}

/* One that has it, and then kills itself in its action. */
static gboolean
die_cb (MpBarrier  *object,
        gpointer    user_data,
        GError    **error)
{
  raise (SIGKILL);
  return TRUE;
}

static void
wait_and_die (int socket)
{
  await_waiting (1);
  mp_barrier_set_action (barrier, die_cb, NULL, NULL);
  pass ();
}

static void
test_killed_in_action (void)
{
  G_GNUC_UNUSED g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer peer = peer_start (wait_and_die);

  find_broken ("a process that had it has ended");
  wait_status (peer.pid);
  close (peer.socket);
}

/* One who was released, and does not get to run, is not forgotten: the next round but one waits for it. */
static void
pass_twice (int socket)
{
  wait_once (socket);
  wait_once (socket);
  hear (socket);
}

static void
test_slow_one (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  Peer slow = peer_start (wait_and_stay);
  Peer quick[2];

  await_waiting (1);
  await_asleep (slow.pid, slow.pid);
  kill (slow.pid, SIGSTOP);
  pass ();
  g_assert_cmpuint (get_word_of (own).recent, ==, 1);

  /* Round 2 passes without it. */
  quick[0] = peer_start (wait_and_stay);
  await_waiting (1);
  pass ();
  g_assert_cmpuint (hear (quick[0].socket), ==, 0);
  g_assert_cmpuint (get_word_of (own).old, ==, 1);

  /* To round 3 nobody comes, but the calls keep to their time. */
  quick[1] = peer_start (pass_twice);
  await_asleep (quick[1].pid, quick[1].pid);
  g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 0);

  kill (slow.pid, SIGCONT);
  g_assert_cmpuint (hear (slow.socket), ==, 0);
  await_waiting (1);
  pass ();
  g_assert_cmpuint (hear (quick[1].socket), ==, 0);

  /* Broken, reset, and passed afterwards: who slept through it all still learns what was. */
  await_waiting (1);
  await_asleep (quick[1].pid, quick[1].pid);
  kill (quick[1].pid, SIGSTOP);
  abort_it ();
  reset ();
  peer_kill (&quick[0]);
  peer_kill (&slow);
  reset ();
  quick[0] = peer_start (wait_and_stay);
  await_waiting (1);
  pass ();
  g_assert_cmpuint (hear (quick[0].socket), ==, 0);
  kill (quick[1].pid, SIGCONT);
  g_assert_cmpuint (hear (quick[1].socket), ==, BROKEN);
  peer_kill (&quick[1]);
  peer_kill (&quick[0]);
}

/* Stopped with the cell held. */

static void
take_cell_and_stay (int socket)
{
  end_with_parent ();
  g_assert_cmpint (mp_cell_try_take (get_slot_of (barrier)), ==, MP_CELL_TAKEN);
  tell (socket, 0);
  hear (socket);
  mp_cell_give_back (get_slot_of (barrier));
  tell (socket, 0);
  hear (socket);
}

static void
test_cell_held (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *result = NULL;
  Peer waiting = peer_start (wait_and_stay);
  Peer holder;
  g_autoptr(GError) error = NULL;

  await_waiting (1);
  mp_barrier_wait_async (own, cancellable, result_cb, &result);
  holder = peer_start (take_cell_and_stay);
  hear (holder.socket);

  /* A call that comes to nothing, and one that is called off. */
  g_assert_false (mp_barrier_wait (own, NULL, 50 * 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  await_result (&result);
  g_assert_false (mp_barrier_wait_finish (own, result, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_object (&result);

  /* What they left behind is done as soon as that is possible. */
  g_assert_cmpuint (mp_async_count (), >, 0);
  g_assert_false (get_word_of (own).broken);
  tell (holder.socket, 0);
  hear (holder.socket);
  g_assert_cmpuint (hear (waiting.socket), ==, BROKEN);
  while (mp_async_count () > 0)
    g_thread_yield ();
  g_assert_cmpuint (get_word_of (own).recent, ==, 0);
  g_assert_cmpuint (get_word_of (own).old, ==, 0);
  peer_kill (&holder);
  peer_kill (&waiting);
}

/* Interrupted by a signal, and going on: it is the same one. */
static void
test_interrupted (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (2);
  g_autoptr(GError) error = NULL;
  Peer peer;
  guint index;
  int fds[2];
  char byte;

  g_assert_no_errno (pipe (fds));
  mp_set_interrupt_fd (fds[0]);
  for (guint i = 0; i < 5; i++)
    {
      g_assert_cmpint (write (fds[1], "", 1), ==, 1);
      g_assert_false (mp_barrier_wait (own, &index, LONG, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
      g_clear_error (&error);
      g_assert_cmpuint (mp_barrier_get_n_waiting (own), ==, 1);
      g_assert_cmpint (read (fds[0], &byte, 1), ==, 1);
    }
  peer = peer_start (wait_and_stay);
  g_assert_cmpuint (pass (), ==, 0);
  g_assert_cmpuint (hear (peer.socket), ==, 1);

  /* And never again. */
  g_assert_cmpint (write (fds[1], "", 1), ==, 1);
  g_assert_false (mp_barrier_wait (own, &index, LONG, NULL, NULL));
  mp_set_interrupt_fd (-1);
  g_object_ref (own);
  abort_it ();
  find_broken ("it was aborted");
  reset ();
  g_object_unref (own);
  g_assert_cmpuint (get_word_of (own).recent, ==, 0);
  peer_kill (&peer);
  close (fds[0]);
  close (fds[1]);
}

/* All at once: rounds, with somebody who breaks and mends. */

static void
wait_again_and_again (int socket)
{
  end_with_parent ();
  for (;;)
    {
      g_autoptr(GError) error = NULL;

      if (!mp_barrier_wait (barrier, NULL, LONG, NULL, &error))
        g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
    }
}

static void
test_race (void)
{
  g_autoptr(MpBarrier) own = barrier = mp_barrier_new (3);
  Peer peers[3];

  for (guint i = 0; i < 3; i++)
    peers[i] = peer_start (wait_again_and_again);
  for (guint i = 0; i < (is_slow () ? 50 : 500); i++)
    {
      if (i % 3 == 0)
        abort_it ();
      reset ();
      /* They get through. */
      for (guint k = 0, round = get_word_of (own).round; k < 5; k++, round = get_word_of (own).round)
        while (get_word_of (own).round == round)
          g_thread_yield ();
      if (i % 20 == 0)
        {
          peer_kill (&peers[i / 20 % 3]);
          peers[i / 20 % 3] = peer_start (wait_again_and_again);
          while (!mp_barrier_is_broken (own))
            g_thread_yield ();
          reset ();
        }
    }
  for (guint i = 0; i < 3; i++)
    peer_kill (&peers[i]);
  find_broken ("a process that had it has ended");
  reset ();
  g_assert_cmpuint (get_word_of (own).recent, ==, 0);
  g_assert_cmpuint (get_word_of (own).old, ==, 0);
}

/* The object goes while there is a wait of it. */
static void
test_unref_in_wait (void)
{
  MpBarrier *own = barrier = mp_barrier_new (2);
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;

  mp_barrier_wait_async (own, NULL, result_cb, &result);
  g_object_unref (own);
  g_object_add_weak_pointer (G_OBJECT (own), (gpointer *) &own);
  abort_it ();
  await_result (&result);
  g_assert_false (mp_barrier_wait_finish (barrier, result, NULL, &error));
  g_clear_object (&result);
  while (own != NULL)
    g_main_context_iteration (NULL, FALSE);
}

static void
add_counting (const char *path,
              GTestFunc   func)
{
  const char *reason = reason_not_to_count_threads ();

  if (reason != NULL)
    g_test_add_data_func (path, reason, skip_test);
  else
    g_test_add_func (path, func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/barrier-faults/killed-in-wait", test_killed_in_wait);
  g_test_add_func ("/barrier-faults/others-are-woken", test_others_are_woken);
  g_test_add_func ("/barrier-faults/killed-and-nobody-waits", test_killed_and_nobody_waits);
  g_test_add_func ("/barrier-faults/ended", test_ended);
  g_test_add_func ("/barrier-faults/index-reused", test_index_reused);
  g_test_add_func ("/barrier-faults/index-reused-unseen", test_index_reused_unseen);
  g_test_add_func ("/barrier-faults/copy", test_copy);
  g_test_add_func ("/barrier-faults/fork-in-wait", test_fork_in_wait);
  add_counting ("/barrier-faults/too-few", test_too_few);
  add_counting ("/barrier-faults/too-few-alone", test_too_few_alone);
  add_counting ("/barrier-faults/busy", test_busy);
  add_counting ("/barrier-faults/enough", test_enough);
  g_test_add_func ("/barrier-faults/killed-in-action", test_killed_in_action);
  g_test_add_func ("/barrier-faults/slow-one", test_slow_one);
  g_test_add_func ("/barrier-faults/cell-held", test_cell_held);
  g_test_add_func ("/barrier-faults/interrupted", test_interrupted);
  g_test_add_func ("/barrier-faults/race", test_race);
  g_test_add_func ("/barrier-faults/unref-in-wait", test_unref_in_wait);

  return g_test_run ();
}
