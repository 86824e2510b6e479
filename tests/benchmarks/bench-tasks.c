/* bench-tasks.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* What a task costs, by their number and that of workers, with a callback for each, and what is gained with two CPUs:
 * `bench-tasks MODE [ARGUMENT …]`, as bench-pool. */

static void
check (const GError *error, const char *what)
{
  if (error != NULL)
    g_error ("%s: %s", what, error->message);
}

static GVariant *
square (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  gint64 x = g_variant_get_int64 (args);

  return g_variant_new_int64 (x * x);
}

static gboolean
is_prime (gint64 x)
{
  for (gint64 i = 3; i * i <= x; i += 2)
    if (x % i == 0)
      return FALSE;
  return TRUE;
}

static GVariant *
test_prime (GVariant  *args,
            gpointer   user_data,
            GError   **error)
{
  return g_variant_new_boolean (is_prime (g_variant_get_int64 (args)));
}

static GVariant *
make_items (gsize n, gint64 first, gint64 step)
{
  gint64 *items = g_new (gint64, n);

  for (gsize i = 0; i < n; i++)
    items[i] = first + step * (gint64) i;
  return g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE ("ax"), items, n * sizeof (gint64), TRUE,
                                                      g_free, items));
}

/* A map of one item each. */
static void
bench_cost (gsize n, guint n_workers)
{
  g_autoptr(MpPool) pool = mp_pool_new (n_workers);
  g_autoptr(GVariant) items = make_items (n, 0, 1);
  guint n_repeats = CLAMP (200000 / n, 3, 200);

  for (guint i = 0; i <= n_repeats; i++)
    {
      g_autoptr(GVariant) result = NULL;
      g_autoptr(GError) error = NULL;
      gint64 start = bench_now ();

      result = mp_pool_map (pool, MP_FUNCTION (square), items, 1, -1, NULL, &error);
      check (error, "map");
      if (i > 0)
        bench_report ("task_us", (bench_now () - start) / 1e3 / n);
    }
}

typedef struct
{
  gsize      n_left;
  gint64     sum;
  GMainLoop *loop;
} Sum;

static void
square_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Sum *sum = user_data;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);

  check (error, "apply");
  sum->sum += g_variant_get_int64 (value);
  if (--sum->n_left == 0)
    g_main_loop_quit (sum->loop);
}

static void
bench_async (gsize n, guint n_repeats)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  g_autoptr(GMainLoop) loop = g_main_loop_new (NULL, FALSE);

  for (guint r = 0; r <= n_repeats; r++)
    {
      Sum sum = { n, 0, loop };
      gint64 start = bench_now (), expected = 0;

      for (gsize i = 0; i < n; i++)
        mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int64 (i), NULL, square_cb, &sum);
      g_main_loop_run (loop);
      if (r > 0)
        bench_rate ("tasks/s", n, bench_now () - start);
      for (gsize i = 0; i < n; i++)
        expected += i * i;
      if (sum.sum != expected)
        g_error ("wrong sum");
    }
}

static void
bench_primes (gsize n, guint n_repeats)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  const gint64 first = G_GINT64_CONSTANT (3000000000001);
  g_autoptr(GVariant) items = make_items (n, first, 2);

  for (guint r = 0; r <= n_repeats; r++)
    {
      g_autoptr(GVariant) result = NULL;
      g_autoptr(GError) error = NULL;
      gsize n_alone = 0, n_found = 0, n_flags = 0;
      const guint8 *flags;
      gint64 start = bench_now (), alone, together;

      for (gsize i = 0; i < n; i++)
        n_alone += is_prime (first + 2 * (gint64) i);
      alone = bench_now () - start;
      start = bench_now ();
      result = mp_pool_map (pool, MP_FUNCTION (test_prime), items, 1, -1, NULL, &error);
      together = bench_now () - start;
      check (error, "map");
      flags = g_variant_get_fixed_array (result, &n_flags, 1);
      for (gsize i = 0; i < n_flags; i++)
        n_found += flags[i];
      if (n_found != n_alone)
        g_error ("%" G_GSIZE_FORMAT " primes instead of %" G_GSIZE_FORMAT, n_found, n_alone);
      if (r > 0)
        bench_report ("speed-up", (double) alone / together);
    }
}

/* What the machine has to give: two processes, each with every other number, and nothing between them. */
static void
bench_two_processes (gsize n, guint n_repeats)
{
  const gint64 first = G_GINT64_CONSTANT (3000000000001);

  for (guint r = 0; r <= n_repeats; r++)
    {
      gint64 start = bench_now (), alone;
      gsize n_found = 0;

      for (gsize i = 0; i < n; i++)
        n_found += is_prime (first + 2 * (gint64) i);
      alone = bench_now () - start;
      start = bench_now ();
      for (gsize k = 0; k < 2; k++)
        if (fork () == 0)
          {
            for (gsize i = k; i < n; i += 2)
              n_found -= is_prime (first + 2 * (gint64) i);
            _exit (n_found > n);
          }
      for (gsize k = 0; k < 2; k++)
        {
          int status = -1;

          if (wait (&status) < 0 || status != 0)
            g_error ("A process has miscounted");
        }
      if (r > 0)
        bench_report ("speed-up", (double) alone / (bench_now () - start));
    }
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";

  mp_init ();

  if (strcmp (mode, "cost") == 0 && argc > 3)
    bench_cost (atoi (argv[2]), atoi (argv[3]));
  else if (strcmp (mode, "async") == 0)
    bench_async (100000, 3);
  else if (strcmp (mode, "primes") == 0 && argc > 2)
    bench_two_processes (2000, 3);
  else if (strcmp (mode, "primes") == 0)
    bench_primes (2000, 3);
  else
    {
      fprintf (stderr, "Usage: %s cost TASKS WORKERS|async|primes [raw]\n", argv[0]);
      return 2;
    }

  return 0;
}
