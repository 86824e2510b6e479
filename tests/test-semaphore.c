/* test-semaphore.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"
#include "mp-glib/sync/mp-sync-object-private.h"

#include <fcntl.h>
#include <glib-unix.h>

static MpSemaphore *semaphore;   /* of the test that runs: children made by fork() have it as well */

static void
down (void)
{
  g_autoptr(GError) error = NULL;

  mp_semaphore_acquire (semaphore, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
up (void)
{
  g_autoptr(GError) error = NULL;

  mp_semaphore_release (semaphore, &error);
  g_assert_no_error (error);
}

static void
test_units (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (2);
  g_autoptr(GError) error = NULL;

  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 2);
  down ();
  g_assert_true (mp_semaphore_try_acquire (own));
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 0);
  g_assert_cmpuint (mp_semaphore_get_n_held (own), ==, 2);
  g_assert_false (mp_semaphore_try_acquire (own));
  g_assert_false (mp_semaphore_acquire (own, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "semaphore acquire: timed out");
  up ();
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 1);
  up ();
  g_assert_true (mp_semaphore_get_returns_units (own));
  g_assert_cmpuint (mp_semaphore_get_n_held (own), ==, 0);
  /* One more than it had: it is a signal. */
  up ();
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 3);
  g_assert_false (mp_semaphore_get_returns_units (own));
}

static void
test_bounds (void)
{
  g_autoptr(MpBoundedSemaphore) bounded = mp_bounded_semaphore_new (1);
  g_autoptr(MpSemaphore) full = mp_semaphore_new (G_MAXINT32);
  g_autoptr(GError) error = NULL;

  g_assert_cmpuint (mp_bounded_semaphore_get_maximum (bounded), ==, 1);
  g_assert_false (mp_semaphore_release (MP_SEMAPHORE (bounded), &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_assert_true (mp_semaphore_get_returns_units (MP_SEMAPHORE (bounded)));
  g_assert_true (mp_semaphore_try_acquire (MP_SEMAPHORE (bounded)));
  g_assert_true (mp_semaphore_release (MP_SEMAPHORE (bounded), &error));
  g_assert_no_error (error);

  g_assert_false (mp_semaphore_release (full, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpuint (mp_semaphore_get_value (full), ==, G_MAXINT32);
}

static void
hold_two (int socket)
{
  end_with_parent ();
  down ();
  down ();
  tell (socket, mp_semaphore_get_n_held (semaphore));
  pause ();
}

/* What the dead had comes back, to one who sleeps and to one who only looks, and nothing else does. */
static void
test_killed (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (3);
  Peer peer;
  gint64 begin = 0;

  down ();
  peer = peer_start (hold_two);
  g_assert_cmpuint (hear (peer.socket), ==, 2);
  g_assert_cmpuint (mp_semaphore_get_n_held (own), ==, 1);
  g_assert_false (mp_semaphore_try_acquire (own));
  peer_kill (&peer);

  begin = g_get_monotonic_time ();
  down ();
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_MOST_US);
  g_assert_true (mp_semaphore_try_acquire (own));
  g_assert_false (mp_semaphore_try_acquire (own));
  g_assert_cmpuint (mp_semaphore_get_n_held (own), ==, 3);
  g_assert_true (mp_semaphore_get_returns_units (own));
}

/* Nobody waits, nobody acquires: one only asks how many there are. */
static void
test_killed_value (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (3);
  Peer peer = peer_start (hold_two);
  gint64 deadline = 0;

  g_assert_cmpuint (hear (peer.socket), ==, 2);
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 1);
  peer_kill (&peer);

  deadline = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;
  while (mp_semaphore_get_value (own) != 3)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_usleep (1000);
    }
  g_assert_true (mp_semaphore_get_returns_units (own));
}

static void
sleep_for_unit (int socket)
{
  end_with_parent ();
  tell (socket, get_tid ());
  down ();
  tell (socket, mp_semaphore_get_n_held (semaphore));
  hear (socket);
}

static void
test_sleepers_woken_by_death (void)
{
  G_GNUC_UNUSED g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (2);
  Peer holder = peer_start (hold_two);
  Peer sleepers[2];
  guint i;

  g_assert_cmpuint (hear (holder.socket), ==, 2);
  for (i = 0; i < G_N_ELEMENTS (sleepers); i++)
    {
      sleepers[i] = peer_start (sleep_for_unit);
      await_asleep (sleepers[i].pid, hear (sleepers[i].socket));
    }
  peer_kill (&holder);
  for (i = 0; i < G_N_ELEMENTS (sleepers); i++)
    g_assert_cmpuint (hear (sleepers[i].socket), ==, 1);
  for (i = 0; i < G_N_ELEMENTS (sleepers); i++)
    {
      tell (sleepers[i].socket, 1);
      peer_join (&sleepers[i]);
    }
  /* They have ended with it, in order, but without a release. */
  down ();
  down ();
}

/* The one whose index it was is dead, too, but what it had is not this one's. */
static void
test_index_reused (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (4);
  Peer peer = peer_start (hold_two);

  hear (peer.socket);
  peer_kill (&peer);
  peer = peer_start (hold_two);
  g_assert_cmpuint (hear (peer.socket), ==, 2);
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 2);
  peer_kill (&peer);
  down ();
  down ();
  down ();
  down ();
  g_assert_false (mp_semaphore_try_acquire (own));
}

static void
raise_three (int socket)
{
  up ();
  up ();
  up ();
}

static void
take_one_and_die (int socket)
{
  end_with_parent ();
  down ();
  tell (socket, 1);
  pause ();
}

/* Released by one who has none: nothing comes back. */
static void
test_signal (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (0);
  Peer peer;

  run_apart (raise_three);
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 3);
  g_assert_false (mp_semaphore_get_returns_units (own));
  peer = peer_start (take_one_and_die);
  hear (peer.socket);
  peer_kill (&peer);
  down ();
  down ();
  g_assert_false (mp_semaphore_try_acquire (own));
  g_assert_cmpuint (mp_semaphore_get_n_held (own), ==, 0);
}

static void
test_signal_from_the_start (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new_full (1, FALSE, TRUE);
  Peer peer = peer_start (take_one_and_die);
  gboolean isolated = FALSE;

  hear (peer.socket);
  peer_kill (&peer);
  g_assert_false (mp_semaphore_try_acquire (own));
  g_object_get (own, "isolated", &isolated, NULL);
  g_assert_true (isolated);
}

static void
test_async (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (0);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) first = NULL;
  g_autoptr(GAsyncResult) second = NULL;
  g_autoptr(GAsyncResult) third = NULL;
  g_autoptr(GError) error = NULL;

  mp_semaphore_acquire_async (own, NULL, result_cb, &first);
  mp_semaphore_acquire_async (own, cancellable, result_cb, &second);
  mp_semaphore_acquire_async (own, NULL, result_cb, &third);
  g_cancellable_cancel (cancellable);
  await_result (&second);
  g_assert_false (mp_semaphore_acquire_finish (own, second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  run_apart (raise_three);
  await_result (&first);
  await_result (&third);
  g_assert_true (mp_semaphore_acquire_finish (own, first, &error));
  g_assert_true (mp_semaphore_acquire_finish (own, third, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 1);
}

/* The death alone: nobody releases. */
static void
test_async_after_death (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (2);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  Peer peer = peer_start (hold_two);

  hear (peer.socket);
  mp_semaphore_acquire_async (own, NULL, result_cb, &result);
  peer_kill (&peer);
  await_result (&result);
  g_assert_true (mp_semaphore_acquire_finish (own, result, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_semaphore_get_n_held (own), ==, 1);
}

static void
take_and_give (int socket)
{
  end_with_parent ();
  for (guint i = 0; i < 20000; i++)
    {
      down ();
      up ();
    }
}

/* Nothing is lost or made when many go at it. */
static void
test_crowd (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (2);
  Peer peers[4];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (take_and_give);
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_join (&peers[i]);
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 2);
  g_assert_true (mp_semaphore_get_returns_units (own));
}

/* Also by one who does not wait as long as one waits for a whole slice. */
static void
test_short_waits_after_death (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (2);
  g_autoptr(GError) error = NULL;
  Peer peer = peer_start (hold_two);

  hear (peer.socket);
  g_assert_false (mp_semaphore_acquire (own, MP_CELL_SLICE_US / 10, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  peer_kill (&peer);
  mp_semaphore_acquire (own, MP_CELL_SLICE_US / 10, NULL, &error);
  g_assert_no_error (error);
}

typedef struct
{
  pid_t    tid;         /* atomic */
  int      readable;
  gboolean is_there;
} Releaser;

static gpointer
release_thread (gpointer data)
{
  Releaser *releaser = data;

  mp_set_interrupt_fd (releaser->readable);
  g_atomic_int_set (&releaser->tid, get_tid ());
  releaser->is_there = mp_semaphore_release (semaphore, NULL);
  mp_set_interrupt_fd (-1);
  return NULL;
}

/* What is given back is given back, also when a signal has come and another one is just at it. */
static void
test_release_is_not_interrupted (void)
{
  g_autoptr(MpSemaphore) own = semaphore = mp_semaphore_new (1);
  const MpSlotRef *slot = &((MpSyncObject *) own)->sync.slot;
  Releaser releaser = { 0, -1, FALSE };
  GThread *thread = NULL;
  int fds[2];

  g_assert_true (g_unix_open_pipe (fds, FD_CLOEXEC, NULL));
  g_assert_cmpint (write (fds[1], "", 1), ==, 1);
  releaser.readable = fds[0];
  down ();
  g_assert_cmpint (mp_cell_try_take (slot), ==, MP_CELL_TAKEN);
  thread = g_thread_new ("release", release_thread, &releaser);
  while (g_atomic_int_get (&releaser.tid) == 0)
    g_thread_yield ();
  await_asleep (getpid (), releaser.tid);
  g_assert_true (mp_cell_give_back (slot));
  g_thread_join (thread);
  g_assert_true (releaser.is_there);
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 1);
  close (fds[0]);
  close (fds[1]);
}

static void
test_scope (void)
{
  g_autoptr(MpSemaphore) own = mp_semaphore_new (1);
  g_autoptr(GError) error = NULL;

  {
    g_autoptr(MpSemaphoreLocker) locker = mp_semaphore_locker_new (own, &error);

    g_assert_nonnull (locker);
    g_assert_cmpuint (mp_semaphore_get_value (own), ==, 0);
  }
  g_assert_cmpuint (mp_semaphore_get_value (own), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/semaphore/units", test_units);
  g_test_add_func ("/semaphore/bounds", test_bounds);
  g_test_add_func ("/semaphore/killed", test_killed);
  g_test_add_func ("/semaphore/killed-value", test_killed_value);
  g_test_add_func ("/semaphore/sleepers-woken-by-death", test_sleepers_woken_by_death);
  g_test_add_func ("/semaphore/index-reused", test_index_reused);
  g_test_add_func ("/semaphore/signal", test_signal);
  g_test_add_func ("/semaphore/signal-from-the-start", test_signal_from_the_start);
  g_test_add_func ("/semaphore/async", test_async);
  g_test_add_func ("/semaphore/async-after-death", test_async_after_death);
  g_test_add_func ("/semaphore/crowd", test_crowd);
  g_test_add_func ("/semaphore/short-waits-after-death", test_short_waits_after_death);
  g_test_add_func ("/semaphore/release-is-not-interrupted", test_release_is_not_interrupted);
  g_test_add_func ("/semaphore/scope", test_scope);

  return g_test_run ();
}
