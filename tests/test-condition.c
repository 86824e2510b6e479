/* test-condition.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "condition-test.h"
#include "mp-glib/sync/mp-sync-object-private.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <sys/mman.h>

static guint *shared_number;

static void
wait_long (void)
{
  g_autoptr(GError) error = NULL;

  mp_condition_wait (condition, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
use (MpCondition *one)
{
  condition = one;
  if (shared_number == NULL)
    shared_number = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *shared_number = 0;
}

static guint
look (void)
{
  return __atomic_load_n (shared_number, __ATOMIC_SEQ_CST);
}

/* Waits once, tells, waits for leave to end. */
static void
wait_once (int socket)
{
  end_with_parent ();
  lock ();
  wait_long ();
  __atomic_add_fetch (shared_number, 1, __ATOMIC_SEQ_CST);
  unlock ();
  tell (socket, 1);
  hear (socket);
}

/* For what is about to happen to them: until it is killed or released. */
static Peer
waiter_start (guint n_waiting)
{
  Peer peer = peer_start (wait_once);

  await_waiting (n_waiting);
  await_asleep (peer.pid, peer.pid);
  return peer;
}

static void
waiter_join (Peer *peer)
{
  g_assert_cmpuint (hear (peer->socket), ==, 1);
  tell (peer->socket, 1);
  peer_join (peer);
}

/* Nobody dies, nobody notifies: it is not the time. */
static void
check_times_out (gint64 timeout_us)
{
  g_autoptr(GError) error = NULL;

  lock ();
  g_assert_false (mp_condition_wait (condition, timeout_us, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "condition wait: timed out");
  unlock ();
}

static void
check_empty (void)
{
  lock ();
  g_assert_cmpuint (mp_condition_get_n_waiting (condition), ==, 0);
  unlock ();
  check_times_out (0);
}

static void
test_lock (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(MpLock) plain = mp_lock_new ();
  g_autoptr(MpCondition) given = mp_condition_new (MP_SHAREABLE (plain));
  g_autoptr(MpSemaphore) semaphore = mp_semaphore_new (1);
  MpShareable *found = NULL;

  g_assert_true (MP_IS_RLOCK (mp_condition_get_lock (own)));
  g_object_get (given, "lock", &found, NULL);
  g_assert_true (found == MP_SHAREABLE (plain));
  g_object_unref (found);

  g_assert_true (mp_condition_try_acquire (given));
  g_assert_true (mp_lock_is_locked (plain));
  g_assert_false (mp_condition_try_acquire (given));
  g_assert_true (mp_condition_release (given, NULL));
  g_assert_true (mp_condition_try_acquire (own) && mp_condition_try_acquire (own));
  g_assert_true (mp_condition_release (own, NULL) && mp_condition_release (own, NULL));
  g_assert_false (mp_condition_release (own, NULL));

  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*is_lock*");
  g_assert_null (mp_condition_new (MP_SHAREABLE (semaphore)));
  g_test_assert_expected_messages ();
}

static void
check_not_owner (MpCondition *one)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_condition_wait (one, -1, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_true (g_str_has_prefix (error->message, "condition wait: this "));
  g_clear_error (&error);
  g_assert_false (mp_condition_notify (one, 1, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_true (g_str_has_prefix (error->message, "condition notify: this "));
  g_clear_error (&error);
  g_assert_false (mp_condition_notify_all (one, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
}

static gpointer
not_owner_thread (gpointer data)
{
  check_not_owner (data);
  return NULL;
}

static void
check_own_not_owner (int socket)
{
  check_not_owner (condition);
}

/* Not without the lock: of the process or the thread, as it is. */
static void
test_not_owner (void)
{
  g_autoptr(MpLock) plain = mp_lock_new ();
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(MpCondition) given = mp_condition_new (MP_SHAREABLE (plain));

  check_not_owner (own);
  check_not_owner (given);
  use (own);
  lock ();
  g_thread_join (g_thread_new ("not-owner", not_owner_thread, own));
  run_apart (check_own_not_owner);
  unlock ();
  use (given);
  lock ();
  run_apart (check_own_not_owner);
  g_assert_true (mp_condition_notify (given, 1, NULL));
  unlock ();
}

static void
test_time (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  gint64 begin = 0;

  use (own);
  begin = g_get_monotonic_time ();
  check_times_out (30000);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 30000);
  check_empty ();

  /* Cancelled before it begins: the lock was not given up. */
  g_cancellable_cancel (cancellable);
  lock ();
  g_assert_false (mp_condition_wait (own, G_MAXINT64, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (mp_rlock_get_depth ((MpRLock *) mp_condition_get_lock (own)), ==, 1);
  unlock ();
  check_empty ();
}

/* A notification for nobody is none for those who come later. */
static void
test_nobody (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);

  use (own);
  notify (1);
  lock ();
  g_assert_true (mp_condition_notify_all (own, NULL));
  unlock ();
  check_times_out (1000);
  notify (0);
  check_empty ();
}

static void
test_notify (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  Peer peers[4];

  use (own);
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = waiter_start (i + 1);
  notify (0);
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 4);
  notify (1);
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 3);
  while (look () != 1)
    g_thread_yield ();
  notify (2);
  while (look () != 3)
    g_thread_yield ();
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 1);
  notify (1000);
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    waiter_join (&peers[i]);
  g_assert_cmpuint (look (), ==, 4);
  check_empty ();
}

static void
test_notify_all (void)
{
  g_autoptr(MpLock) plain = mp_lock_new ();
  g_autoptr(MpCondition) given = mp_condition_new (MP_SHAREABLE (plain));
  Peer peers[3];

  use (given);
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = waiter_start (i + 1);
  lock ();
  g_assert_true (mp_condition_notify_all (given, NULL));
  g_assert_cmpuint (mp_condition_get_n_waiting (given), ==, 0);
  g_assert_cmpuint (look (), ==, 0);
  unlock ();
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    waiter_join (&peers[i]);
  check_empty ();
}

/* The one who waited is stopped, so the notification is still there. One who comes later must not get it. */
static void
test_newcomer (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  Peer first;

  use (own);
  first = waiter_start (1);
  kill (first.pid, SIGSTOP);
  lock ();
  g_assert_true (mp_condition_notify (own, 1, NULL));
  unlock ();
  check_times_out (3 * MP_CELL_SLICE_US);
  kill (first.pid, SIGCONT);
  waiter_join (&first);
  check_empty ();
}

/* The one that is woken is stopped: another one, who waited as well, goes on in its place. */
static void
test_stopped (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  Peer first, second;

  use (own);
  first = waiter_start (1);
  second = waiter_start (2);
  kill (first.pid, SIGSTOP);
  notify (1);
  g_assert_cmpuint (hear (second.socket), ==, 1);
  tell (second.socket, 1);
  peer_join (&second);
  kill (first.pid, SIGCONT);
  notify (1);
  waiter_join (&first);
}

static void
wait_deep (int socket)
{
  MpRLock *rlock = (MpRLock *) mp_condition_get_lock (condition);

  end_with_parent ();
  lock ();
  lock ();
  lock ();
  wait_long ();
  g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 3);
  unlock ();
  unlock ();
  g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 1);
  unlock ();
  g_assert_false (mp_rlock_is_locked (rlock));
}

/* Had more than once it is given up wholly, and comes back so. */
static void
test_depth (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  Peer peer;

  use (own);
  peer = peer_start (wait_deep);
  await_waiting (1);
  notify (1);
  peer_join (&peer);
}

static gboolean
is_three (gpointer data)
{
  ++*(guint *) data;
  return look () == 3;
}

static void
raise_number (int socket)
{
  end_with_parent ();
  for (guint i = 1; i <= 3; i++)
    {
      await_waiting (1);
      lock ();
      __atomic_store_n (shared_number, i, __ATOMIC_SEQ_CST);
      g_assert_true (mp_condition_notify (condition, 1, NULL));
      unlock ();
    }
}

static void
test_wait_for (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(GError) error = NULL;
  Peer peer;
  guint n_looks = 0;

  use (own);
  g_assert_false (mp_condition_wait_for (own, is_three, &n_looks, 0, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_assert_cmpuint (n_looks, ==, 0);

  lock ();
  g_assert_false (mp_condition_wait_for (own, is_three, &n_looks, 2000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_cmpuint (n_looks, ==, 2);

  peer = peer_start (raise_number);
  g_assert_true (mp_condition_wait_for (own, is_three, &n_looks, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (n_looks, >=, 2 + 4);
  g_assert_true (mp_condition_wait_for (own, is_three, &n_looks, 0, NULL, &error));
  unlock ();
  peer_join (&peer);
}

static gpointer
cancel_thread (gpointer data)
{
  await_waiting (1);
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancelled (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GThread *thread = NULL;

  use (own);
  thread = g_thread_new ("cancel", cancel_thread, cancellable);
  lock ();
  g_assert_false (mp_condition_wait (own, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (error->message, ==, "condition wait: cancelled");
  unlock ();
  g_thread_join (thread);
  check_empty ();
}

static gpointer
crowd_thread (gpointer data)
{
  lock ();
  wait_long ();
  g_atomic_int_inc ((guint *) data);
  unlock ();
  return NULL;
}

/* Threads of one process are told apart. */
static void
test_threads (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  GThread *threads[5];
  guint n_released = 0;

  use (own);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("waiter", crowd_thread, &n_released);
  await_waiting (5);
  notify (2);
  while (g_atomic_int_get (&n_released) < 2)
    g_thread_yield ();
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 3);
  notify (3);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  check_empty ();
}

static void
test_interrupted (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(GError) error = NULL;
  int fds[2];

  use (own);
  g_assert_true (g_unix_open_pipe (fds, FD_CLOEXEC, NULL));
  g_assert_cmpint (write (fds[1], "", 1), ==, 1);
  mp_set_interrupt_fd (fds[0]);
  lock ();
  g_assert_false (mp_condition_wait (own, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
  unlock ();
  mp_set_interrupt_fd (-1);
  check_empty ();
  close (fds[0]);
  close (fds[1]);
}

/* Two conditions with one lock. */
static void
test_common_lock (void)
{
  g_autoptr(MpRLock) rlock = mp_rlock_new ();
  g_autoptr(MpCondition) one = mp_condition_new (MP_SHAREABLE (rlock));
  g_autoptr(MpCondition) other = mp_condition_new (MP_SHAREABLE (rlock));
  Peer peer;

  use (one);
  peer = waiter_start (1);
  lock ();
  g_assert_true (mp_condition_notify_all (other, NULL));
  g_assert_cmpuint (mp_condition_get_n_waiting (one), ==, 1);
  g_assert_true (mp_condition_notify_all (one, NULL));
  unlock ();
  waiter_join (&peer);
}

static void
wait_short_and_often (int socket)
{
  end_with_parent ();
  for (guint i = 0; i < 300; i++)
    {
      lock ();
      mp_condition_wait (condition, i % 7 * 100, NULL, NULL);
      unlock ();
    }
}

static void
notify_often (int socket)
{
  end_with_parent ();
  for (guint i = 0; i < 3000; i++)
    notify (1 + i % 3);
}

/* Whoever comes and goes, the counts are right at the end, and the counts of merges have gone round. */
static void
test_crowd (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  Peer peers[4];

  use (own);
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (i == 0 ? notify_often : wait_short_and_often);
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_join (&peers[i]);
  check_empty ();
}

static void
test_scope (void)
{
  g_autoptr(MpCondition) own = mp_condition_new (NULL);
  g_autoptr(GError) error = NULL;
  MpRLock *rlock = (MpRLock *) mp_condition_get_lock (own);

  {
    g_autoptr(MpConditionLocker) locker = mp_condition_locker_new (own, &error);

    g_assert_nonnull (locker);
    g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 1);
  }
  g_assert_false (mp_rlock_is_locked (rlock));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/condition/lock", test_lock);
  g_test_add_func ("/condition/not-owner", test_not_owner);
  g_test_add_func ("/condition/time", test_time);
  g_test_add_func ("/condition/nobody", test_nobody);
  g_test_add_func ("/condition/notify", test_notify);
  g_test_add_func ("/condition/notify-all", test_notify_all);
  g_test_add_func ("/condition/newcomer", test_newcomer);
  g_test_add_func ("/condition/stopped", test_stopped);
  g_test_add_func ("/condition/depth", test_depth);
  g_test_add_func ("/condition/wait-for", test_wait_for);
  g_test_add_func ("/condition/cancelled", test_cancelled);
  g_test_add_func ("/condition/threads", test_threads);
  g_test_add_func ("/condition/interrupted", test_interrupted);
  g_test_add_func ("/condition/common-lock", test_common_lock);
  g_test_add_func ("/condition/crowd", test_crowd);
  g_test_add_func ("/condition/scope", test_scope);

  return g_test_run ();
}
