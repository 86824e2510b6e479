/* bench-raw-sync.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/futex.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* What a bare futex makes of the works of bench-sync.c: no timeout, no owner, nobody who may die.
 * `bench-raw-sync event|semaphore|condition|barrier`. */

#define BATCH     100
#define DURATION  300000000   /* ns, of a measurement */
#define N_REPEATS 5

enum { THERE, BACK };

/* Each way has its own line. */
typedef struct
{
  guint32 word;
  guint32 n_waiters;
  guint32 other;
} __attribute__ ((aligned (128))) Place;

typedef struct
{
  const char *name;
  void     (* ping) (void);
  void     (* pong) (void);
} Work;

static Place *places;

static void
futex (guint32 *word, int operation, guint32 value)
{
  syscall (SYS_futex, word, operation, value, NULL, NULL, 0);
}

static guint32
load (guint32 *word)
{
  return __atomic_load_n (word, __ATOMIC_SEQ_CST);
}

static void
store (guint32 *word, guint32 value)
{
  __atomic_store_n (word, value, __ATOMIC_SEQ_CST);
}

static void
event_set (guint way)
{
  store (&places[way].word, 1);
  futex (&places[way].word, FUTEX_WAKE, INT_MAX);
}

static void
event_wait (guint way)
{
  while (load (&places[way].word) == 0)
    futex (&places[way].word, FUTEX_WAIT, 0);
  store (&places[way].word, 0);
}

static void
event_ping (void)
{
  event_set (THERE);
  event_wait (BACK);
}

static void
event_pong (void)
{
  event_wait (THERE);
  event_set (BACK);
}

static void
semaphore_release (guint way)
{
  __atomic_fetch_add (&places[way].word, 1, __ATOMIC_SEQ_CST);
  if (load (&places[way].n_waiters) > 0)
    futex (&places[way].word, FUTEX_WAKE, 1);
}

static void
semaphore_acquire (guint way)
{
  Place *place = &places[way];

  for (;;)
    {
      guint32 value = load (&place->word);

      while (value > 0)
        if (__atomic_compare_exchange_n (&place->word, &value, value - 1, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
          return;
      __atomic_fetch_add (&place->n_waiters, 1, __ATOMIC_SEQ_CST);
      futex (&place->word, FUTEX_WAIT, 0);
      __atomic_fetch_sub (&place->n_waiters, 1, __ATOMIC_SEQ_CST);
    }
}

static void
semaphore_ping (void)
{
  semaphore_release (THERE);
  semaphore_acquire (BACK);
}

static void
semaphore_pong (void)
{
  semaphore_acquire (THERE);
  semaphore_release (BACK);
}

/* A lock, whose turn it is under it, and a number that changes with each notification: in one place. */

static void
lock (Place *place)
{
  guint32 nobody = 0;

  if (__atomic_compare_exchange_n (&place->word, &nobody, 1, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    return;
  while (__atomic_exchange_n (&place->word, 2, __ATOMIC_SEQ_CST) != 0)
    futex (&place->word, FUTEX_WAIT, 2);
}

static void
unlock (Place *place)
{
  if (__atomic_exchange_n (&place->word, 0, __ATOMIC_SEQ_CST) == 2)
    futex (&place->word, FUTEX_WAKE, 1);
}

static void
condition_trip (guint32 own, guint32 other)
{
  Place *place = &places[0];
  guint32 *number = &places[1].word;

  lock (place);
  while (place->other != own)
    {
      guint32 seen = load (number);

      unlock (place);
      futex (number, FUTEX_WAIT, seen);
      lock (place);
    }
  place->other = other;
  __atomic_fetch_add (number, 1, __ATOMIC_SEQ_CST);
  futex (number, FUTEX_WAKE, 1);
  unlock (place);
}

static void
condition_ping (void)
{
  condition_trip (THERE, BACK);
}

static void
condition_pong (void)
{
  condition_trip (BACK, THERE);
}

/* How many have come, and how often all had. */
static void
barrier_wait (void)
{
  guint32 *n_waiting = &places[0].word, *n_passed = &places[1].word;
  guint32 passed = load (n_passed);

  if (__atomic_add_fetch (n_waiting, 1, __ATOMIC_SEQ_CST) == 2)
    {
      store (n_waiting, 0);
      store (n_passed, passed + 1);
      futex (n_passed, FUTEX_WAKE, INT_MAX);
      return;
    }
  while (load (n_passed) == passed)
    futex (n_passed, FUTEX_WAIT, passed);
}

static const Work works[] = {
  { "event", event_ping, event_pong },
  { "semaphore", semaphore_ping, semaphore_pong },
  { "condition", condition_ping, condition_pong },
  { "barrier", barrier_wait, barrier_wait },
};

static void
bench_trips (const Work *work)
{
  pid_t other = fork ();

  if (other == 0)
    {
      bench_pin (1);
      for (;;)
        work->pong ();
    }

  bench_pin (0);
  for (guint i = 0; i <= N_REPEATS; i++)
    {
      gint64 start = bench_now ();
      gsize n = 0;

      for (; bench_now () < start + DURATION; n += BATCH)
        for (guint k = 0; k < BATCH; k++)
          work->ping ();
      if (i > 0)
        bench_rate ("trips/s", n, bench_now () - start);
    }
  kill (other, SIGKILL);
  wait (NULL);
}

int
main (int argc, char **argv)
{
  places = mmap (NULL, 2 * sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (places == MAP_FAILED)
    g_error ("mmap: %s", g_strerror (errno));

  for (gsize i = 0; i < G_N_ELEMENTS (works); i++)
    if (argc > 1 && strcmp (works[i].name, argv[1]) == 0)
      {
        bench_trips (&works[i]);
        return 0;
      }
  fprintf (stderr, "Usage: %s event|semaphore|condition|barrier\n", argv[0]);
  return 2;
}
