/* bench-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* A number that one or two processes count up, and an array of 2²⁰ integers: `bench-memory counter atomic|lock one/two`,
 * `bench-memory elements pointer|calls`, `bench-memory copy`. */

#define N_REPEATS  5
#define N_ADDS     5000000
#define N_ELEMENTS (1 << 20)
#define N_ROUNDS   20

static MpValue *counter;
static MpRLock *lock;

static void
check (gboolean success, GError *error)
{
  if (!success)
    g_error ("%s", error->message);
}

static void
add_atomically (void)
{
  for (guint i = 0; i < N_ADDS; i++)
    mp_value_add_int (counter, 1, NULL);
}

static void
add_with_lock (void)
{
  for (guint i = 0; i < N_ADDS; i++)
    {
      mp_rlock_acquire (lock, -1, NULL, NULL);
      mp_value_set_int (counter, mp_value_get_int (counter, NULL) + 1, NULL);
      mp_rlock_release (lock, NULL);
    }
}

static void
bench_counter (gboolean is_atomic, guint n_processes)
{
  guint32 *n_ready = mmap (NULL, sizeof *n_ready, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  GError *error = NULL;

  counter = mp_value_new (G_VARIANT_TYPE_INT64, NULL, &error);
  check (counter != NULL, error);
  lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (counter)));
  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start;

      *n_ready = 0;
      for (guint i = 0; i < n_processes; i++)
        if (fork () == 0)
          {
            bench_pin (i);
            bench_meet (n_ready, n_processes + 1);
            is_atomic ? add_atomically () : add_with_lock ();
            _exit (0);
          }
      bench_meet (n_ready, n_processes + 1);
      start = bench_now ();
      while (wait (NULL) > 0)
        ;
      if (repeat > 0)
        bench_rate ("adds/s", (gsize) n_processes * N_ADDS, bench_now () - start);
    }
  if (mp_value_get_int (counter, NULL) != (gint64) (N_REPEATS + 1) * n_processes * N_ADDS)
    g_error ("wrong count");
}

/* Not to be done at once for all rounds. */
static void
forget (gpointer memory)
{
  __asm__ volatile ("" : : "r" (memory) : "memory");
}

static gint64
use_by_pointer (MpArray *array)
{
  gint32 *numbers = mp_typed_memory_get_data (MP_TYPED_MEMORY (array), NULL);
  gint64 sum = 0;

  for (gint32 i = 0; i < N_ELEMENTS; i++)
    numbers[i] = i;
  forget (numbers);
  for (gint32 i = 0; i < N_ELEMENTS; i++)
    sum += numbers[i];
  forget (numbers);
  return sum;
}

static gint64
use_by_calls (MpArray *array)
{
  gint64 sum = 0;

  for (gint32 i = 0; i < N_ELEMENTS; i++)
    mp_array_set_int (array, i, i, NULL);
  for (gint32 i = 0; i < N_ELEMENTS; i++)
    sum += mp_array_get_int (array, i, NULL);
  return sum;
}

static MpArray *
make_array (void)
{
  GError *error = NULL;
  MpArray *array = mp_array_new (G_VARIANT_TYPE_INT32, N_ELEMENTS, &error);

  check (array != NULL, error);
  bench_pin (0);
  return array;
}

static void
bench_elements (gint64 (* use) (MpArray *array))
{
  g_autoptr(MpArray) array = make_array ();

  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start = bench_now ();

      for (guint i = 0; i < N_ROUNDS; i++)
        if (use (array) != (gint64) N_ELEMENTS * (N_ELEMENTS - 1) / 2)
          g_error ("wrong sum");
      if (repeat > 0)
        bench_rate ("elements/s", (gsize) 2 * N_ROUNDS * N_ELEMENTS, bench_now () - start);
    }
}

static void
bench_copy (void)
{
  g_autoptr(MpArray) array = make_array ();

  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start = bench_now ();

      for (guint i = 0; i < N_ROUNDS; i++)
        {
          GError *error = NULL;
          g_autoptr(GVariant) copy = mp_array_get_slice (array, 0, N_ELEMENTS, &error);

          check (copy != NULL, error);
        }
      if (repeat > 0)
        bench_rate ("copies/s", N_ROUNDS, bench_now () - start);
    }
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "", *how = argc > 2 ? argv[2] : "";

  if (strcmp (mode, "counter") == 0 && argc > 3)
    bench_counter (strcmp (how, "atomic") == 0, strcmp (argv[3], "two") == 0 ? 2 : 1);
  else if (strcmp (mode, "elements") == 0)
    bench_elements (strcmp (how, "pointer") == 0 ? use_by_pointer : use_by_calls);
  else if (strcmp (mode, "copy") == 0)
    bench_copy ();
  else
    {
      fprintf (stderr, "Usage: %s counter atomic|lock one/two|elements pointer|calls|copy\n", argv[0]);
      return 2;
    }
  return 0;
}
