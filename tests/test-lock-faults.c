/* test-lock-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* What happens to a lock when processes die, stop or fork, at the worst of times. */

static guint
count_abandoned (void)
{
  return g_atomic_int_get (&mp_arena_counts.n_abandoned);
}

static gboolean
is_slow (void)
{
  return g_getenv ("MP_TESTS_SLOW") != NULL;
}

/* A sleeper has it now, within the time in which a death has to show. */
static guint64
check_told (Peer     *sleeper,
            gboolean  abandoned)
{
  gint64 begin = g_get_monotonic_time ();
  guint64 n_lost_wakes;

  hear (sleeper->socket);
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_MOST_US);
  g_assert_cmpuint (hear (sleeper->socket), ==, abandoned);
  n_lost_wakes = hear (sleeper->socket);
  tell (sleeper->socket, 1);
  peer_join (sleeper);
  return n_lost_wakes;
}

static void
check_abandoned (MpLock *lock)
{
  g_autoptr(GError) error = NULL;

  /* Until it is marked, for every owner. */
  g_assert_true (mp_lock_is_abandoned (lock));
  release (lock);
  g_assert_true (mp_lock_is_abandoned (lock));
  g_assert_false (mp_lock_is_locked (lock));
  acquire (lock);
  g_assert_true (mp_lock_is_abandoned (lock));
  g_assert_true (mp_lock_mark_consistent (lock, &error));
  g_assert_no_error (error);
  g_assert_false (mp_lock_is_abandoned (lock));
  release (lock);
  g_assert_true (mp_lock_try_acquire (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  release (lock);
  g_assert_cmpuint (get_word (lock), ==, 0);
}

static void
test_killed_with_sleeper (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer owner = owner_start (), sleeper = sleeper_start ();

  peer_kill (&owner);
  check_told (&sleeper, TRUE);
  acquire (lock);
  check_abandoned (lock);
}

static void
test_killed_before_sleep (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer owner = owner_start ();
  guint before = count_abandoned ();
  gint64 begin;

  peer_kill (&owner);
  begin = g_get_monotonic_time ();
  acquire (lock);
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - begin, <, MP_CELL_SLICE_US);
  g_assert_cmpuint (count_abandoned (), ==, before + 1);
  check_abandoned (lock);
}

static void
test_killed_and_tried (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GError) error = NULL;
  Peer owner = owner_start ();
  guint before = count_abandoned ();

  g_assert_false (mp_lock_try_acquire (lock));
  peer_kill (&owner);
  g_assert_false (mp_lock_is_locked (lock));
  g_assert_true (mp_lock_is_abandoned (lock));
  g_assert_false (mp_lock_mark_consistent (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_true (mp_lock_try_acquire (lock));
  g_assert_cmpuint (count_abandoned (), ==, before + 1);
  check_abandoned (lock);
}

static void
test_killed_and_tried_with_no_time (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GError) error = NULL;
  Peer owner = owner_start ();

  g_assert_false (mp_lock_acquire (lock, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  peer_kill (&owner);
  g_assert_true (mp_lock_acquire (lock, 0, NULL, &error));
  g_assert_no_error (error);
  check_abandoned (lock);
}

/* What a dead process held is not locked: nobody can release it. */
static void
test_killed_and_released (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GError) error = NULL;
  Peer owner = owner_start (), sleeper = sleeper_start ();

  /* Stopped, so that it does not take the lock itself. */
  kill (sleeper.pid, SIGSTOP);
  peer_kill (&owner);
  g_assert_false (mp_lock_release (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_true (mp_lock_is_abandoned (lock));
  kill (sleeper.pid, SIGCONT);
  check_told (&sleeper, TRUE);
  acquire (lock);
  check_abandoned (lock);
}

static void
test_killed_async (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GAsyncResult) next = NULL;
  Peer owner = owner_start ();
  guint before = count_abandoned ();
  gint64 begin;

  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  mp_lock_acquire_async (lock, NULL, result_cb, &next);
  begin = g_get_monotonic_time ();
  peer_kill (&owner);
  finish (lock, &result);
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_MOST_US);
  g_assert_cmpuint (count_abandoned (), ==, before + 1);
  g_assert_true (mp_lock_is_abandoned (lock));
  release (lock);
  finish (lock, &next);
  check_abandoned (lock);
}

/* Sleeps for the lock as one does, and dies as soon as it is woken, before it takes it. */
static void
sleep_and_die (int socket)
{
  const MpSlotRef *slot = mp_lock_get_slot (shared);
  guint32 *lower = (guint32 *) &slot->slot->word + (G_BYTE_ORDER == G_BIG_ENDIAN ? 1 : 0);

  __atomic_fetch_or (&slot->slot->word, MP_CELL_WAITERS, __ATOMIC_SEQ_CST);
  mp_futex_wait (lower, __atomic_load_n (lower, __ATOMIC_SEQ_CST), -1);
  kill (getpid (), SIGKILL);
}

static void
join_killed (Peer *peer)
{
  int status = wait_status (peer->pid);

  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  mp_fd_close (&peer->socket);
}

/* The next one is not woken, but looks. */
static void
test_killed_when_woken (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer first, second;

  acquire (lock);
  first = peer_start (sleep_and_die);
  await_asleep (first.pid, first.pid);
  second = sleeper_start ();
  release (lock);
  join_killed (&first);
  g_assert_cmpuint (check_told (&second, FALSE), ==, 1);
  g_assert_false (mp_lock_is_abandoned (lock));
}

/* Dies after it has released the lock, and before it wakes anybody. */
static void
release_and_die (int socket)
{
  const MpSlotRef *slot = mp_lock_get_slot (shared);

  acquire (shared);
  tell (socket, 1);
  hear (socket);
  __atomic_store_n (&slot->slot->word, 0, __ATOMIC_SEQ_CST);
  kill (getpid (), SIGKILL);
}

static void
test_killed_before_wake (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer owner = peer_start (release_and_die), sleeper;

  hear (owner.socket);
  sleeper = sleeper_start ();
  tell (owner.socket, 1);
  join_killed (&owner);
  g_assert_cmpuint (check_told (&sleeper, FALSE), ==, 1);
  g_assert_false (mp_lock_is_abandoned (lock));
}

static void
test_killed_before_ring (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GAsyncResult) result = NULL;
  Peer owner = peer_start (release_and_die);
  gint64 begin;

  hear (owner.socket);
  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  while ((get_word (lock) & MP_CELL_WATCHED) == 0)
    g_thread_yield ();
  begin = g_get_monotonic_time ();
  tell (owner.socket, 1);
  join_killed (&owner);
  finish (lock, &result);
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_MOST_US);
  g_assert_false (mp_lock_is_abandoned (lock));
  release (lock);
}

/* A waiter that gives up has perhaps been woken, in place of one that has not. */
static void
give_up (int socket)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_lock_acquire (shared, 300000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void
test_given_up (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer quitter, sleeper;

  acquire (lock);
  quitter = peer_start (give_up);
  sleeper = sleeper_start ();
  peer_join (&quitter);
  release (lock);
  g_assert_cmpuint (check_told (&sleeper, FALSE), ==, 0);
}

/* A waiter that dies in its sleep leaves nothing but a bit. */
static void
test_killed_sleeper (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer sleeper;

  acquire (lock);
  sleeper = sleeper_start ();
  peer_kill (&sleeper);
  release (lock);
  g_assert_false (mp_lock_is_abandoned (lock));
  g_assert_true (mp_lock_try_acquire (lock));
  release (lock);
  g_assert_cmpuint (get_word (lock), ==, 0);
}

static gpointer
cancel_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

/* It lives: nobody may take the lock from it. */
static void
test_stopped (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer owner = owner_start ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GCancellable) async_cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  GThread *thread;

  kill (owner.pid, SIGSTOP);
  g_assert_false (mp_lock_acquire (lock, 3 * MP_CELL_SLICE_US, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_false (mp_lock_try_acquire (lock));
  g_assert_true (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));

  thread = g_thread_new ("cancel", cancel_thread, cancellable);
  g_assert_false (mp_lock_acquire (lock, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_thread_join (thread);

  mp_lock_acquire_async (lock, async_cancellable, result_cb, &result);
  g_main_context_iteration (NULL, FALSE);
  g_cancellable_cancel (async_cancellable);
  await_result (&result);
  g_assert_false (mp_lock_acquire_finish (lock, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  kill (owner.pid, SIGCONT);
  tell (owner.socket, 1);
  peer_join (&owner);
  acquire (lock);
  g_assert_false (mp_lock_is_abandoned (lock));
  release (lock);
}

/* exec() is an end, too: nobody is there any more who could release it. */
static void
exec_something (int socket)
{
  acquire (shared);
  execl ("/bin/true", "true", NULL);
}

static void
test_exec (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer peer = peer_start (exec_something);

  peer_join (&peer);
  acquire (lock);
  check_abandoned (lock);
}

/* The copy of a process that holds a lock does not hold it. */
static void
check_not_held (int socket)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_lock_is_locked (shared));
  g_assert_false (mp_lock_try_acquire (shared));
  g_assert_false (mp_lock_mark_consistent (shared, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
}

static void
test_fork_of_owner (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer peer;

  acquire (lock);
  peer = peer_start (check_not_held);
  peer_join (&peer);
  g_assert_true (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  release (lock);
}

/* With the thread for asynchronous waits: it is not there during a fork, and both sides can go on. */
static void
wait_in_child (int socket)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GMainContext) context = g_main_context_new ();

  g_assert_cmpuint (count_threads (), ==, 1);
  g_assert_false (mp_async_thread_runs ());
  g_assert_cmpuint (mp_async_count (), ==, 0);

  g_main_context_push_thread_default (context);
  mp_lock_acquire_async (shared, NULL, result_cb, &result);
  g_assert_true (mp_async_thread_runs ());
  tell (socket, 1);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  tell (socket, 2);
  hear (socket);
  release (shared);
}

static void
test_fork_with_thread (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(MpLock) other = mp_lock_new ();
  g_autoptr(GAsyncResult) result = NULL;
  guint n_threads;
  Peer peer;

  acquire (lock);
  acquire (other);
  mp_lock_acquire_async (other, NULL, result_cb, &result);
  g_assert_true (mp_async_thread_runs ());
  n_threads = count_threads ();
  peer = peer_start (wait_in_child);
  g_assert_true (mp_async_thread_runs ());
  g_assert_cmpuint (mp_async_count (), ==, 1);
  g_assert_cmpuint (count_threads (), ==, n_threads);

  hear (peer.socket);
  g_assert_null (result);
  release (other);
  finish (other, &result);
  release (other);

  release (lock);
  g_assert_cmpuint (hear (peer.socket), ==, 2);
  g_assert_true (mp_lock_is_locked (lock));
  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  tell (peer.socket, 1);
  finish (lock, &result);
  peer_join (&peer);
  release (lock);
}

/* Again and again, while waits come and go. */
static void
do_nothing (int socket)
{
}

static void
test_forks (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  guint i;

  for (i = 0; i < (is_slow () ? 20 : 200); i++)
    {
      g_autoptr(GAsyncResult) result = NULL;
      Peer peer;

      acquire (lock);
      mp_lock_acquire_async (lock, NULL, result_cb, &result);
      if (i % 2 == 0)
        release (lock);
      peer = peer_start (do_nothing);
      if (i % 2 != 0)
        release (lock);
      finish (lock, &result);
      release (lock);
      peer_join (&peer);
    }
}

/* Without futex_waitv(), by a filter as containers have them: all works, some of it a little later. */
static int refusal;

static gboolean
put_filter (int error)
{
  struct sock_filter code[] = {
    { BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof (struct seccomp_data, nr) },
    { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 449 /* futex_waitv */ },
    { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error },
    { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
  };
  struct sock_fprog program = { G_N_ELEMENTS (code), code };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static void
live_without_waitv (int socket)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  GThread *thread;
  guint i;

  if (!put_filter (refusal))
    {
      tell (socket, 77);
      return;
    }

  g_main_context_push_thread_default (context);
  thread = g_thread_new ("cancel", cancel_thread, cancellable);
  g_assert_false (mp_lock_acquire (shared, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);

  tell (socket, 1);
  for (i = 0; i < 20; i++)
    {
      mp_lock_acquire_async (shared, NULL, result_cb, &result);
      while (result == NULL)
        g_main_context_iteration (context, TRUE);
      g_clear_object (&result);
      release (shared);
      acquire (shared);
      mp_lock_acquire_async (shared, NULL, result_cb, &result);
      release (shared);
      while (result == NULL)
        g_main_context_iteration (context, TRUE);
      g_clear_object (&result);
      release (shared);
    }
  tell (socket, 2);
}

static void
test_no_waitv (gconstpointer error)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  guint64 word;
  Peer peer;

  refusal = GPOINTER_TO_INT (error);
  acquire (lock);
  peer = peer_start (live_without_waitv);
  word = hear (peer.socket);
  release (lock);
  if (word == 77)
    {
      g_test_skip ("no filter can be set here");
      peer_join (&peer);
      return;
    }
  g_assert_cmpuint (hear (peer.socket), ==, 2);
  peer_join (&peer);
}

/* A signal whose handler writes to the descriptor, as those of Python do. */
static int interrupt_fds[2];

static void
write_byte (int number)
{
  int saved_errno = errno;

  if (write (interrupt_fds[1], "", 1) != 1)
    _exit (1);
  errno = saved_errno;
}

static void
be_interrupted (int socket)
{
  g_autoptr(GError) error = NULL;
  struct sigaction action = { .sa_handler = write_byte, .sa_flags = SA_RESTART };

  g_assert_no_errno (mp_fd_pipe (interrupt_fds));
  sigaction (SIGUSR1, &action, NULL);
  g_assert_cmpint (mp_set_interrupt_fd (interrupt_fds[0]), ==, -1);
  tell (socket, 1);
  g_assert_false (mp_lock_acquire (shared, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);

  /* What is there wins. */
  tell (socket, 2);
  hear (socket);
  acquire (shared);
  release (shared);
}

/* One without a descriptor goes on. */
static void
ignore_signal (int number)
{
}

static void
go_on (int socket)
{
  struct sigaction action = { .sa_handler = ignore_signal };

  sigaction (SIGUSR1, &action, NULL);
  tell (socket, 1);
  acquire (shared);
  release (shared);
  tell (socket, 2);
}

static void
test_interrupted (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  gint64 begin;
  Peer peer;

  acquire (lock);
  peer = peer_start (be_interrupted);
  hear (peer.socket);
  await_asleep (peer.pid, peer.pid);
  begin = g_get_monotonic_time ();
  kill (peer.pid, SIGUSR1);
  g_assert_cmpuint (hear (peer.socket), ==, 2);
  if (!is_slow ())
    g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_MOST_US);
  release (lock);
  tell (peer.socket, 1);
  peer_join (&peer);

  acquire (lock);
  peer = peer_start (go_on);
  hear (peer.socket);
  await_asleep (peer.pid, peer.pid);
  kill (peer.pid, SIGUSR1);
  release (lock);
  g_assert_cmpuint (hear (peer.socket), ==, 2);
  peer_join (&peer);
}

/* Owners that are killed at any time, over and over, by a clock that knows nothing of them. */
typedef struct
{
  guint64 first, second;
} Pair;

static Pair *pair;

static void
change_pair (int socket)
{
  end_with_parent ();
  for (;;)
    {
      acquire (shared);
      if (mp_lock_is_abandoned (shared))
        {
          pair->second = pair->first;
          mp_lock_mark_consistent (shared, NULL);
        }
      if (pair->first != pair->second)
        kill (getpid (), SIGABRT);
      pair->first++;
      pair->second++;
      release (shared);
    }
}

static void
test_killed_at_random (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer peers[3];
  guint n_kills = is_slow () ? 20 : 300, i;

  pair = mp_fd_map_memory_file (mp_fd_memory_file ("pair", 4096), 4096);
  g_assert_nonnull (pair);
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (change_pair);
  for (i = 0; i < n_kills; i++)
    {
      guint64 before = __atomic_load_n (&pair->first, __ATOMIC_SEQ_CST);
      guint which = i % G_N_ELEMENTS (peers);

      g_usleep (g_test_rand_int_range (0, 2000));
      peer_kill (&peers[which]);
      peers[which] = peer_start (change_pair);
      while (__atomic_load_n (&pair->first, __ATOMIC_SEQ_CST) == before)
        g_thread_yield ();
    }
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_kill (&peers[i]);
  acquire (lock);
  release (lock);
  mp_fd_unmap (pair, 4096);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/lock-faults/killed-with-sleeper", test_killed_with_sleeper);
  g_test_add_func ("/lock-faults/killed-before-sleep", test_killed_before_sleep);
  g_test_add_func ("/lock-faults/killed-and-tried", test_killed_and_tried);
  g_test_add_func ("/lock-faults/killed-and-tried-with-no-time", test_killed_and_tried_with_no_time);
  g_test_add_func ("/lock-faults/killed-and-released", test_killed_and_released);
  g_test_add_func ("/lock-faults/killed-when-woken", test_killed_when_woken);
  g_test_add_func ("/lock-faults/killed-before-wake", test_killed_before_wake);
  g_test_add_func ("/lock-faults/killed-sleeper", test_killed_sleeper);
  g_test_add_func ("/lock-faults/killed-at-random", test_killed_at_random);
  g_test_add_func ("/lock-faults/given-up", test_given_up);
  g_test_add_func ("/lock-faults/exec", test_exec);
  g_test_add_func ("/lock-faults/fork-of-owner", test_fork_of_owner);
  g_test_add_func ("/lock-faults/interrupted", test_interrupted);
  g_test_add_data_func ("/lock-faults/no-waitv-enosys", GINT_TO_POINTER (ENOSYS), test_no_waitv);
  g_test_add_data_func ("/lock-faults/no-waitv-eperm", GINT_TO_POINTER (EPERM), test_no_waitv);
  g_test_add_func ("/lock-faults/killed-async", test_killed_async);
  g_test_add_func ("/lock-faults/killed-before-ring", test_killed_before_ring);
  g_test_add_func ("/lock-faults/stopped", test_stopped);
  g_test_add_func ("/lock-faults/fork-with-thread", test_fork_with_thread);
  g_test_add_func ("/lock-faults/forks", test_forks);

  return g_test_run ();
}
