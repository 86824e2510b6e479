/* mp-shared-memory-fork.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-shared-memory-private.h"

#include <pthread.h>
#include <time.h>

/* Locks that no other thread holds while this process is forked: nobody would release the child's copies of them. */

#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
/* A fork does not wait until nobody happens to use memory. */
# define GUARD_INITIALIZER PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
#else
# define GUARD_INITIALIZER PTHREAD_RWLOCK_INITIALIZER
#endif

/* Shared by all who hold a lock; a fork has it alone. Before the locks of names. */
static pthread_rwlock_t guard = GUARD_INITIALIZER;

static __thread gboolean has_guard;   /* between the handlers of one fork */

/* Not for ever: who holds a lock may be reserving gigabytes, or wait for something that the thread that forks has. */
static void
prepare_fork (void)
{
  const gint64 until = g_get_real_time () + G_USEC_PER_SEC;
  const struct timespec deadline = { until / G_USEC_PER_SEC, until % G_USEC_PER_SEC * 1000 };

  has_guard = pthread_rwlock_timedwrlock (&guard, &deadline) == 0;
  mp_shared_memory_names_before_fork ();
}

static void
fork_in_parent (void)
{
  mp_shared_memory_names_after_fork ();
  if (has_guard)
    pthread_rwlock_unlock (&guard);
}

/* It belongs to a thread of the parent. */
static void
fork_in_child (void)
{
  mp_shared_memory_names_after_fork ();
  guard = (pthread_rwlock_t) GUARD_INITIALIZER;
}

void
mp_shared_memory_lock (pthread_mutex_t *lock)
{
  pthread_rwlock_rdlock (&guard);
  pthread_mutex_lock (lock);
}

void
mp_shared_memory_unlock (pthread_mutex_t *lock)
{
  pthread_mutex_unlock (lock);
  pthread_rwlock_unlock (&guard);
}

void
mp_shared_memory_watch_forks (void)
{
  static gsize done;

  if (g_once_init_enter (&done))
    {
      pthread_atfork (prepare_fork, fork_in_parent, fork_in_child);
      g_once_init_leave (&done, 1);
    }
}
