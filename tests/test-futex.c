/* test-futex.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "arena-test.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Sleeping on words of memory, and locks on bytes of files. */

#define LONG (30 * G_USEC_PER_SEC)

/* By number where the headers of the oldest system have no name. */
#define NUMBER_FUTEX_WAITV 449

static guint32 *words;   /* shared with children */

static gboolean
is_past (gint64 begin,
         gint64 time_us)
{
  return g_get_monotonic_time () - begin >= time_us;
}

static void
test_value (void)
{
  MpFutexWait waits[2] = { { &words[0], 1, FALSE }, { &words[1], 0, FALSE } };
  gint64 begin = g_get_monotonic_time ();

  words[0] = 1;
  words[1] = 1;
  g_assert_cmpint (mp_futex_wait (&words[0], 0, -1), ==, MP_FUTEX_AWAKE);
  g_assert_cmpint (mp_futex_wait_many (waits, 2, -1), ==, MP_FUTEX_AWAKE);
  waits[0].expected = 0;
  g_assert_cmpint (mp_futex_wait_many (waits, 1, -1), ==, MP_FUTEX_AWAKE);
  g_assert_false (is_past (begin, LONG));
}

/* As callers do: it may return early for nothing. */
static void
sleep_through (const MpFutexWait *waits,
               guint              n_waits,
               gint64             timeout_us)
{
  gint64 begin = g_get_monotonic_time ();
  gint64 left = timeout_us;

  while (mp_futex_wait_many (waits, n_waits, left) != MP_FUTEX_TIMED_OUT)
    left = MAX (0, begin + timeout_us - g_get_monotonic_time ());
}

static void
test_time (void)
{
  MpFutexWait waits[2] = { { &words[0], 0, FALSE }, { &words[1], 0, FALSE } };
  static const gint64 times[] = { 0, 1, 3000, 20000, 1100000 };
  guint i, n;

  words[0] = words[1] = 0;
  for (i = 0; i < G_N_ELEMENTS (times); i++)
    for (n = 0; n <= 2; n++)
      {
        gint64 begin = g_get_monotonic_time ();

        if (n == 0)
          g_assert_cmpint (mp_futex_wait (&words[0], 0, times[i]), ==, MP_FUTEX_TIMED_OUT);
        else
          sleep_through (waits, n, times[i]);
        g_assert_true (is_past (begin, times[i]));
        g_assert_false (is_past (begin, LONG));
      }
}

static void
sleep_once (int socket)
{
  tell (socket, 0);
  while (__atomic_load_n (&words[0], __ATOMIC_SEQ_CST) == 0)
    mp_futex_wait (&words[0], 0, LONG);
  tell (socket, __atomic_load_n (&words[0], __ATOMIC_SEQ_CST));
}

/* All words are looked at; the second is what changes. */
static void
sleep_on_many (int socket)
{
  MpFutexWait waits[3] = { { &words[1], 0, FALSE }, { &words[0], 0, FALSE }, { &words[2], 0, FALSE } };

  tell (socket, 0);
  while (__atomic_load_n (&words[0], __ATOMIC_SEQ_CST) == 0)
    mp_futex_wait_many (waits, 3, LONG);
  tell (socket, __atomic_load_n (&words[0], __ATOMIC_SEQ_CST));
}

static void
wake_sleeper (PeerFunc func)
{
  Peer peer;

  words[0] = words[1] = words[2] = 0;
  peer = peer_start (func);
  hear (peer.socket);
  __atomic_store_n (&words[0], 7, __ATOMIC_SEQ_CST);
  mp_futex_wake (&words[0], 1, FALSE);
  g_assert_cmpuint (hear (peer.socket), ==, 7);
  peer_join (&peer);
}

static void
test_wake (void)
{
  wake_sleeper (sleep_once);
  wake_sleeper (sleep_on_many);
  g_assert_cmpuint (mp_futex_wake (&words[0], 1, FALSE), ==, 0);
}

/* As many as it was said. They sleep when they have been counted awake. */
static void
test_wake_some (void)
{
  Peer peers[4];
  guint i, n_woken = 0;

  words[0] = 0;
  for (i = 0; i < 4; i++)
    peers[i] = peer_start (sleep_once);
  for (i = 0; i < 4; i++)
    hear (peers[i].socket);
  /* Woken for nothing, they go to sleep again. */
  while (n_woken < 4)
    {
      guint n = mp_futex_wake (&words[0], 1, FALSE);

      g_assert_cmpuint (n, <=, 1);
      n_woken += n;
    }
  __atomic_store_n (&words[0], 1, __ATOMIC_SEQ_CST);
  mp_futex_wake (&words[0], G_MAXINT, FALSE);
  for (i = 0; i < 4; i++)
    peer_join (&peers[i]);
}

static guint32 own_word;

static gpointer
wake_privately (gpointer unused)
{
  __atomic_store_n (&own_word, 1, __ATOMIC_SEQ_CST);
  mp_futex_wake (&own_word, G_MAXINT, TRUE);
  return NULL;
}

/* A word of this process's own beside one that is shared. */
static void
test_private (void)
{
  MpFutexWait waits[2] = { { &words[0], 0, FALSE }, { &own_word, 0, TRUE } };
  GThread *thread;
  guint n;

  words[0] = 0;
  for (n = 1; n <= 2; n++)
    {
      gint64 begin = g_get_monotonic_time ();

      __atomic_store_n (&own_word, 0, __ATOMIC_SEQ_CST);
      thread = g_thread_new ("waker", wake_privately, NULL);
      while (__atomic_load_n (&own_word, __ATOMIC_SEQ_CST) == 0)
        mp_futex_wait_many (n == 1 ? &waits[1] : waits, n, LONG);
      g_assert_false (is_past (begin, LONG));
      g_thread_join (thread);
    }
}

/* More than one call takes: those at the end are seen all the same. */
static void
test_too_many (void)
{
  g_autofree MpFutexWait *waits = g_new (MpFutexWait, MP_FUTEX_MAX_MANY + 8);
  guint i;

  words[0] = 0;
  for (i = 0; i < MP_FUTEX_MAX_MANY + 8; i++)
    waits[i] = (MpFutexWait) { &words[0], 0, FALSE };
  g_assert_cmpint (mp_futex_wait_many (waits, MP_FUTEX_MAX_MANY + 8, 1000), ==, MP_FUTEX_TIMED_OUT);
  g_assert_cmpint (mp_futex_wait_many (waits, MP_FUTEX_MAX_MANY + 8, -1), ==, MP_FUTEX_AWAKE);
  g_assert_cmpint (mp_futex_wait_many (waits, MP_FUTEX_MAX_MANY, 1000), ==, MP_FUTEX_TIMED_OUT);
}

static gint n_signals;

static void
count_cb (int signum)
{
  n_signals++;
}

typedef struct
{
  pthread_t sleeper;
  gint      over;
} Nagger;

static gpointer
nag (gpointer data)
{
  Nagger *nagger = data;

  while (!g_atomic_int_get (&nagger->over))
    pthread_kill (nagger->sleeper, SIGUSR1);
  return NULL;
}

static void
test_signal (void)
{
  struct sigaction action = { .sa_handler = count_cb }, old;
  MpFutexWait waits[2] = { { &words[0], 0, FALSE }, { &words[1], 0, FALSE } };
  Nagger nagger = { pthread_self (), FALSE };
  GThread *thread;

  words[0] = words[1] = 0;
  sigaction (SIGUSR1, &action, &old);
  thread = g_thread_new ("nagger", nag, &nagger);
  g_assert_cmpint (mp_futex_wait (&words[0], 0, LONG), ==, MP_FUTEX_INTERRUPTED);
  while (mp_futex_wait_many (waits, 2, LONG) != MP_FUTEX_INTERRUPTED)
    ;
  g_atomic_int_set (&nagger.over, TRUE);
  g_thread_join (thread);
  sigaction (SIGUSR1, &old, NULL);
  g_assert_cmpint (n_signals, >=, 2);
}

/* Where the kernel has no waiting on many, or a filter refuses it, even after it was there. */
static gboolean
refuse_many (int error)
{
  struct sock_filter filter[] =
    {
      BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
      BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, NUMBER_FUTEX_WAITV, 0, 1),
      BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
  struct sock_fprog program = { G_N_ELEMENTS (filter), filter };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int missing_error;
static gboolean was_known;

static void
wait_without_many (int socket)
{
  MpFutexWait waits[2] = { { &words[0], 0, FALSE }, { &words[1], 0, FALSE } };
  gint64 begin;

  if (was_known && !mp_futex_has_many ())
    {
      tell (socket, FALSE);
      return;
    }
  if (!refuse_many (missing_error))
    {
      tell (socket, FALSE);
      return;
    }
  if (!was_known)
    g_assert_false (mp_futex_has_many ());

  words[0] = words[1] = 0;
  begin = g_get_monotonic_time ();
  g_assert_cmpint (mp_futex_wait_many (waits, 2, 1000), ==, MP_FUTEX_TIMED_OUT);
  g_assert_true (is_past (begin, 1000));
  g_assert_false (mp_futex_has_many ());
  g_assert_cmpint (mp_futex_wait_many (waits, 2, 0), ==, MP_FUTEX_TIMED_OUT);
  /* Bounded, so that what happens on the other word is seen. */
  g_assert_cmpint (mp_futex_wait_many (waits, 2, -1), ==, MP_FUTEX_AWAKE);
  begin = g_get_monotonic_time ();
  g_assert_cmpint (mp_futex_wait_many (waits, 2, LONG), ==, MP_FUTEX_AWAKE);
  g_assert_false (is_past (begin, LONG));
  /* One alone needs no call for many. */
  g_assert_cmpint (mp_futex_wait_many (waits, 1, 2 * MP_FUTEX_BLIND_US), ==, MP_FUTEX_TIMED_OUT);
  waits[1].expected = 1;
  g_assert_cmpint (mp_futex_wait_many (waits, 2, LONG), ==, MP_FUTEX_AWAKE);
  waits[1].expected = 0;
  wake_sleeper (sleep_on_many);
  tell (socket, TRUE);
}

static void
test_missing (gconstpointer data)
{
  static const int errors[] = { ENOSYS, EPERM };
  gboolean done = FALSE;
  guint i;

  was_known = GPOINTER_TO_INT (data);
  if (was_known)
    mp_futex_has_many ();
  for (i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      Peer peer;

      missing_error = errors[i];
      peer = peer_start (wait_without_many);
      done = hear (peer.socket) != 0 || done;
      peer_join (&peer);
    }
  if (!done)
    g_test_skip ("no filter can be set here");
}

/* Locks. */

static void
test_file_lock (void)
{
  static const guint64 far_byte = G_GUINT64_CONSTANT (1) << 40;
  const guint64 bytes[] = { 0, 1, 4095, 4096, far_byte, far_byte + 77 };
  int one = mp_fd_memory_file ("locks", 16), two, copy;
  guint i;

  two = mp_file_lock_reopen (one);
  g_assert_no_errno (two);
  g_assert_cmpint (two, >=, 3);
  g_assert_cmpint (fcntl (two, F_GETFD), ==, FD_CLOEXEC);
  for (i = 0; i < G_N_ELEMENTS (bytes); i++)
    {
      g_assert_false (mp_file_lock_is_taken (two, bytes[i], 1));
      g_assert_true (mp_file_lock_take (one, bytes[i], TRUE));
      g_assert_true (mp_file_lock_take (one, bytes[i], TRUE));
      g_assert_true (mp_file_lock_is_taken (two, bytes[i], 1));
      g_assert_false (mp_file_lock_is_taken (one, bytes[i], 1));
      g_assert_false (mp_file_lock_take (two, bytes[i], TRUE));
      g_assert_cmpint (errno, ==, EAGAIN);
      g_assert_false (mp_file_lock_take (two, bytes[i], FALSE));
      g_assert_true (mp_file_lock_take (two, bytes[i] + 1, TRUE));
      mp_file_lock_drop (two, bytes[i] + 1);
      mp_file_lock_drop (two, bytes[i]);   /* not its own */
      g_assert_true (mp_file_lock_is_taken (two, bytes[i], 1));

      /* Shared ones do with each other. */
      mp_file_lock_drop (one, bytes[i]);
      g_assert_true (mp_file_lock_take (one, bytes[i], FALSE));
      g_assert_true (mp_file_lock_take (two, bytes[i], FALSE));
      g_assert_false (mp_file_lock_take (two, bytes[i], TRUE));
      mp_file_lock_drop (one, bytes[i]);
      g_assert_true (mp_file_lock_take (two, bytes[i], TRUE));
      mp_file_lock_drop (two, bytes[i]);
    }

  /* A range; and a copy of a descriptor is no other owner. */
  g_assert_true (mp_file_lock_take (one, 100, FALSE));
  g_assert_true (mp_file_lock_is_taken (two, 0, 101));
  g_assert_false (mp_file_lock_is_taken (two, 0, 100));
  copy = mp_fd_dup (one);
  g_assert_true (mp_file_lock_take (copy, 100, TRUE));
  mp_fd_close (&one);
  g_assert_true (mp_file_lock_is_taken (two, 100, 1));
  mp_fd_close (&copy);
  g_assert_false (mp_file_lock_is_taken (two, 100, 1));
  mp_fd_close (&two);
}

static int lock_file = -1;

static void
hold_lock (int socket)
{
  int own = mp_file_lock_reopen (lock_file);

  tell (socket, mp_file_lock_take (own, 5, TRUE));
  hear (socket);
}

/* A description in a socket is open, whoever has sent it. */
static void
send_lock (int socket)
{
  int own = mp_file_lock_reopen (lock_file);
  Packet packet = { { 0 } };

  g_assert_true (mp_file_lock_take (own, 6, FALSE));
  send_packet (socket, &packet, &own, 1);
}

static void
test_file_lock_death (void)
{
  gboolean truncated;
  Packet packet;
  Peer peer;
  int fds[MP_SOCKET_MAX_FDS];
  guint n_fds;

  lock_file = mp_fd_memory_file ("locks", 16);
  peer = peer_start (hold_lock);
  g_assert_cmpuint (hear (peer.socket), ==, TRUE);
  g_assert_true (mp_file_lock_is_taken (lock_file, 5, 1));
  peer_kill (&peer);
  g_assert_false (mp_file_lock_is_taken (lock_file, 5, 1));

  peer = peer_start (send_lock);
  wait_well (peer.pid);
  g_assert_true (mp_file_lock_is_taken (lock_file, 6, 1));
  g_assert_cmpint (mp_socket_recv (peer.socket, &packet, sizeof packet, fds, &n_fds, &truncated, TRUE), ==,
                   sizeof packet);
  g_assert_cmpuint (n_fds, ==, 1);
  g_assert_true (mp_file_lock_is_taken (lock_file, 6, 1));
  close_fds (fds, 1);
  g_assert_false (mp_file_lock_is_taken (lock_file, 6, 1));
  mp_fd_close (&peer.socket);

  peer = peer_start (send_lock);
  wait_well (peer.pid);
  g_assert_true (mp_file_lock_is_taken (lock_file, 6, 1));
  mp_fd_close (&peer.socket);
  g_assert_false (mp_file_lock_is_taken (lock_file, 6, 1));
  mp_fd_close (&lock_file);
}

static void
test_file_lock_bad (void)
{
  int fd = -1;

  g_assert_cmpint (mp_file_lock_reopen (-1), ==, -1);
  g_assert_cmpint (errno, ==, EBADF);
  g_assert_false (mp_file_lock_take (-1, 0, TRUE));
  g_assert_cmpint (errno, ==, EBADF);
  /* Nobody is declared dead for want of an answer. */
  g_assert_true (mp_file_lock_is_taken (-1, 0, 1));

  fd = fcntl (0, F_DUPFD_CLOEXEC, 1000);
  if (fd >= 0)
    {
      int other = mp_fd_memory_file ("locks", 16), high = fcntl (other, F_DUPFD_CLOEXEC, 1000), own;

      own = mp_file_lock_reopen (high);
      g_assert_no_errno (own);
      g_assert_true (mp_file_lock_take (own, 1, TRUE));
      g_assert_true (mp_file_lock_is_taken (high, 1, 1));
      mp_fd_close (&own);
      mp_fd_close (&high);
      mp_fd_close (&other);
      mp_fd_close (&fd);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  words = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (words != MAP_FAILED);

  /* First, as nothing is known then. */
  g_test_add_data_func ("/futex/missing", GINT_TO_POINTER (FALSE), test_missing);
  g_test_add_func ("/futex/value", test_value);
  g_test_add_func ("/futex/time", test_time);
  g_test_add_func ("/futex/wake", test_wake);
  g_test_add_func ("/futex/wake-some", test_wake_some);
  g_test_add_func ("/futex/private", test_private);
  g_test_add_func ("/futex/too-many", test_too_many);
  g_test_add_func ("/futex/signal", test_signal);
  g_test_add_data_func ("/futex/gone", GINT_TO_POINTER (TRUE), test_missing);
  g_test_add_func ("/file-lock/descriptions", test_file_lock);
  g_test_add_func ("/file-lock/death", test_file_lock_death);
  g_test_add_func ("/file-lock/bad", test_file_lock_bad);
  return g_test_run ();
}
