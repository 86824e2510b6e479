/* bench-raw-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* The works of bench-memory.c by an atomic addition, by a robust mutex of the C library, and with a plain array:
 * `bench-raw-memory counter atomic|lock one/two|elements|copy`. */

#define N_REPEATS  5
#define N_ADDS     5000000
#define N_ELEMENTS (1 << 20)
#define N_ROUNDS   20

typedef struct
{
  guint32         n_ready;
  pthread_mutex_t mutex __attribute__ ((aligned (128)));
  gint64          counter __attribute__ ((aligned (128)));
} Shared;

static Shared *shared;

static void
add_atomically (void)
{
  for (guint i = 0; i < N_ADDS; i++)
    __atomic_fetch_add (&shared->counter, 1, __ATOMIC_SEQ_CST);
}

static void
add_with_lock (void)
{
  for (guint i = 0; i < N_ADDS; i++)
    {
      pthread_mutex_lock (&shared->mutex);
      shared->counter++;
      pthread_mutex_unlock (&shared->mutex);
    }
}

static void
make_mutex (void)
{
  pthread_mutexattr_t attributes;

  pthread_mutexattr_init (&attributes);
  pthread_mutexattr_setpshared (&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust (&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init (&shared->mutex, &attributes);
  pthread_mutexattr_destroy (&attributes);
}

static void
bench_counter (gboolean is_atomic, guint n_processes)
{
  shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    g_error ("mmap: %s", g_strerror (errno));
  make_mutex ();
  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start;

      shared->n_ready = 0;
      for (guint i = 0; i < n_processes; i++)
        if (fork () == 0)
          {
            bench_pin (i);
            bench_meet (&shared->n_ready, n_processes + 1);
            is_atomic ? add_atomically () : add_with_lock ();
            _exit (0);
          }
      bench_meet (&shared->n_ready, n_processes + 1);
      start = bench_now ();
      while (wait (NULL) > 0)
        ;
      if (repeat > 0)
        bench_rate ("adds/s", (gsize) n_processes * N_ADDS, bench_now () - start);
    }
}

static void
forget (gpointer memory)
{
  __asm__ volatile ("" : : "r" (memory) : "memory");
}

static void
bench_elements (void)
{
  g_autofree gint32 *numbers = g_new0 (gint32, N_ELEMENTS);

  bench_pin (0);
  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start = bench_now ();

      for (guint k = 0; k < N_ROUNDS; k++)
        {
          gint64 sum = 0;

          for (gint32 i = 0; i < N_ELEMENTS; i++)
            numbers[i] = i;
          forget (numbers);
          for (gint32 i = 0; i < N_ELEMENTS; i++)
            sum += numbers[i];
          forget (numbers);
          if (sum != (gint64) N_ELEMENTS * (N_ELEMENTS - 1) / 2)
            g_error ("wrong sum");
        }
      if (repeat > 0)
        bench_rate ("elements/s", (gsize) 2 * N_ROUNDS * N_ELEMENTS, bench_now () - start);
    }
}

static void
bench_copy (void)
{
  g_autofree gint32 *numbers = g_new0 (gint32, N_ELEMENTS);

  bench_pin (0);
  memset (numbers, 1, N_ELEMENTS * sizeof *numbers);
  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start = bench_now ();

      for (guint k = 0; k < N_ROUNDS; k++)
        {
          g_autofree gint32 *copy = g_memdup2 (numbers, N_ELEMENTS * sizeof *numbers);

          forget (copy);
        }
      if (repeat > 0)
        bench_rate ("copies/s", N_ROUNDS, bench_now () - start);
    }
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";

  if (strcmp (mode, "counter") == 0 && argc > 3)
    bench_counter (strcmp (argv[2], "atomic") == 0, strcmp (argv[3], "two") == 0 ? 2 : 1);
  else if (strcmp (mode, "elements") == 0)
    bench_elements ();
  else if (strcmp (mode, "copy") == 0)
    bench_copy ();
  else
    {
      fprintf (stderr, "Usage: %s counter atomic|lock one/two|elements|copy\n", argv[0]);
      return 2;
    }
  return 0;
}
