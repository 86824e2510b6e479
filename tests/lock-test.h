/* lock-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/mp-glib.h"

#include "arena-test.h"
#include "mp-glib/arena/mp-async-private.h"
#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/sync/mp-lock-private.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What the tests of MpLock share. Children made by fork() have the lock of the test as well. */

#define LONG       (60 * G_USEC_PER_SEC)   /* never reached unless something hangs */
#define AT_MOST_US G_USEC_PER_SEC          /* within which a death has to show */

G_GNUC_UNUSED static MpLock *shared;       /* of the test that runs */

static inline void
acquire (MpLock *lock)
{
  g_autoptr(GError) error = NULL;

  mp_lock_acquire (lock, LONG, NULL, &error);
  g_assert_no_error (error);
}

static inline void
release (MpLock *lock)
{
  g_autoptr(GError) error = NULL;

  mp_lock_release (lock, &error);
  g_assert_no_error (error);
}

static inline guint64
get_word (MpLock *lock)
{
  return __atomic_load_n (&mp_lock_get_slot (lock)->slot->word, __ATOMIC_SEQ_CST);
}

static inline guint
count_entries (const char *path)
{
  DIR *dir = opendir (path);
  guint n = 0;

  g_assert_nonnull (dir);
  while (readdir (dir) != NULL)
    n++;
  closedir (dir);
  return n - 2;
}

static inline guint
count_threads (void)
{
  return count_entries ("/proc/self/task");
}

static inline guint
count_fds (void)
{
  return count_entries ("/proc/self/fd");
}

/* Until a thread sleeps on a futex: on the lock, since it has nothing else to sleep on. */
static inline void
await_asleep (pid_t pid,
              pid_t tid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/task/%d/wchan", pid, tid);
  gboolean asleep = FALSE;

  while (!asleep)
    {
      g_autofree char *where = NULL;

      g_assert_true (g_file_get_contents (path, &where, NULL, NULL));
      asleep = strstr (where, "futex") != NULL;
      if (!asleep)
        g_thread_yield ();
    }
}

static inline pid_t
get_tid (void)
{
  return syscall (SYS_gettid);
}

static inline void
result_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  GAsyncResult **slot = user_data;

  g_assert_null (*slot);
  *slot = g_object_ref (result);
}

static inline void
await_result (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static inline void
finish (MpLock        *lock,
        GAsyncResult **result)
{
  g_autoptr(GError) error = NULL;

  await_result (result);
  mp_lock_acquire_finish (lock, *result, &error);
  g_assert_no_error (error);
  g_clear_object (result);
}

/* Children. None is left behind by a test that fails, stopped perhaps. */

static inline void
end_with_parent (void)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static inline void
own_and_stay (int socket)
{
  end_with_parent ();
  acquire (shared);
  tell (socket, 1);
  hear (socket);
  release (shared);
}

/* A child that has the lock. */
static inline Peer
owner_start (void)
{
  Peer peer = peer_start (own_and_stay);

  g_assert_cmpuint (hear (peer.socket), ==, 1);
  return peer;
}

/* Tells how many microseconds it took, whether the lock was abandoned, and the count of wakes that were lost. */
static inline void
wait_and_tell (int socket)
{
  gint64 begin = g_get_monotonic_time ();

  end_with_parent ();
  acquire (shared);
  tell (socket, g_get_monotonic_time () - begin);
  tell (socket, mp_lock_is_abandoned (shared));
  tell (socket, g_atomic_int_get (&mp_arena_counts.n_lost_wakes));
  hear (socket);
  release (shared);
}

static inline Peer
sleeper_start (void)
{
  Peer peer = peer_start (wait_and_tell);

  await_asleep (peer.pid, peer.pid);
  return peer;
}
