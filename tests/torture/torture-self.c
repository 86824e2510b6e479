/* torture-self.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

/* The suite itself, on something simple: two counters under a robust mutex of the C library's. */

enum { BROKEN_NOTHING, BROKEN_NO_REPAIR, BROKEN_NOT_ROBUST, BROKEN_NO_LOCK };

typedef struct
{
  pthread_mutex_t  mutex;
  TortureWitness   witness;
  guint64          first;
  guint64          second;
  guint64          n_repaired;
} Self;

static Self *data;

static void
setup (void)
{
  pthread_mutexattr_t attributes;

  data = torture_alloc (sizeof *data);
  pthread_mutexattr_init (&attributes);
  pthread_mutexattr_setpshared (&attributes, PTHREAD_PROCESS_SHARED);
  if (torture_broken != BROKEN_NOT_ROBUST)
    pthread_mutexattr_setrobust (&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init (&data->mutex, &attributes);
  pthread_mutexattr_destroy (&attributes);
}

/* In slices: when a waiter is killed just after it was woken, and somebody else was quicker, the other
 * waiters sleep for ever (glibc 2.36): seen in one kill of 2 000 with pthread_mutex_lock() here. */
static int
lock (void)
{
  int result;

  do
    {
      struct timespec until;

      clock_gettime (CLOCK_MONOTONIC, &until);
      until.tv_nsec += 100 * 1000 * 1000;
      until.tv_sec += until.tv_nsec / 1000000000;
      until.tv_nsec %= 1000000000;
      result = pthread_mutex_clocklock (&data->mutex, CLOCK_MONOTONIC, &until);
    }
  while (result == ETIMEDOUT);
  return result;
}

static void
step (void)
{
  int result = torture_broken == BROKEN_NO_LOCK ? 0 : lock ();
  TortureFound found;

  MP_TORTURE_POINT ("self-locked");
  found = torture_enter (&data->witness, "mutex");
  if (result == EOWNERDEAD)
    {
      if (torture_broken != BROKEN_NO_REPAIR)
        data->second = data->first;
      data->n_repaired++;
      pthread_mutex_consistent (&data->mutex);
      MP_TORTURE_POINT ("self-repaired");
    }
  else if (result != 0)
    torture_violation ("mutex: %s", g_strerror (result));
  else
    torture_check (found != TORTURE_FOUND_DEAD, "mutex: its owner died, and nobody says so");

  torture_check (data->first == data->second, "pair: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT, data->first,
                 data->second);
  data->first++;
  MP_TORTURE_POINT ("self-first");
  data->second++;
  MP_TORTURE_POINT ("self-second");
  torture_leave (&data->witness, "mutex");
  if (torture_broken != BROKEN_NO_LOCK)
    pthread_mutex_unlock (&data->mutex);
  MP_TORTURE_POINT ("self-unlocked");
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " uses, %" G_GUINT64_FORMAT " repairs; ", data->first,
                          data->n_repaired);
}

static const char *const points[] = { "self-", NULL };
static const char *const variants[] = { "no-repair", "not-robust", "no-lock", NULL };

const TorturePrimitive torture_self = {
  "self", points, variants, setup, NULL, step, NULL, NULL, figures,
};
