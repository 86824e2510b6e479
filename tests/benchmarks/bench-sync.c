/* bench-sync.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"
#include "mp-glib/platform/mp-spin-private.h"

/* mp-glib at what two processes on two CPUs do in turns: `bench-sync event|semaphore|condition|barrier blocking|busy`. A trip is there and
 * back. Blocking: with the short busy wait switched off that usually comes before a sleep. */

#define BATCH     100
#define DURATION  300000000   /* ns, of a measurement */
#define N_REPEATS 5

enum { THERE, BACK };

typedef struct
{
  const char *name;
  void     (* begin) (void);
  void     (* ping)  (void);   /* says so there, waits for the answer */
  void     (* pong)  (void);
} Work;

static MpEvent *events[2];
static MpSemaphore *semaphores[2];
static MpCondition *condition;
static MpBarrier *barrier;
static guint *turn;   /* shared; under the condition's lock */

static void
check (gboolean success, GError *error)
{
  if (!success)
    g_error ("%s", error->message);
}

static void
event_begin (void)
{
  for (guint i = 0; i < 2; i++)
    events[i] = mp_event_new ();
}

static void
event_set (guint way)
{
  GError *error = NULL;

  check (mp_event_set (events[way], &error), error);
}

static void
event_wait (guint way)
{
  GError *error = NULL;

  check (mp_event_wait (events[way], -1, NULL, &error), error);
  check (mp_event_clear (events[way], &error), error);
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
semaphore_begin (void)
{
  for (guint i = 0; i < 2; i++)
    semaphores[i] = mp_semaphore_new (0);
}

static void
semaphore_release (guint way)
{
  GError *error = NULL;

  check (mp_semaphore_release (semaphores[way], &error), error);
}

static void
semaphore_acquire (guint way)
{
  GError *error = NULL;

  check (mp_semaphore_acquire (semaphores[way], -1, NULL, &error), error);
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

static void
condition_begin (void)
{
  condition = mp_condition_new (NULL);
  turn = mmap (NULL, sizeof *turn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert (turn != MAP_FAILED);
}

static void
condition_trip (guint own, guint other)
{
  GError *error = NULL;

  check (mp_condition_acquire (condition, -1, NULL, &error), error);
  while (*turn != own)
    check (mp_condition_wait (condition, -1, NULL, &error), error);
  *turn = other;
  check (mp_condition_notify (condition, 1, &error), error);
  check (mp_condition_release (condition, &error), error);
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

static void
barrier_begin (void)
{
  barrier = mp_barrier_new (2);
}

static void
barrier_pass (void)
{
  GError *error = NULL;

  check (mp_barrier_wait (barrier, NULL, -1, NULL, &error), error);
}

static const Work works[] = {
  { "event", event_begin, event_ping, event_pong },
  { "semaphore", semaphore_begin, semaphore_ping, semaphore_pong },
  { "condition", condition_begin, condition_ping, condition_pong },
  { "barrier", barrier_begin, barrier_pass, barrier_pass },
};

static void
bench_trips (const Work *work)
{
  pid_t other;

  work->begin ();
  other = fork ();
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
  const char *name = argc == 3 ? argv[1] : "";

  for (gsize i = 0; i < G_N_ELEMENTS (works); i++)
    if (strcmp (works[i].name, name) == 0)
      {
        mp_spin_set_for_testing (strcmp (argv[2], "busy") == 0);
        bench_trips (&works[i]);
        return 0;
      }
  fprintf (stderr, "Usage: %s event|semaphore|condition|barrier blocking|busy\n", argv[0]);
  return 2;
}
