/* bench-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* Items through a queue, on two CPUs: `bench-queue variants|bytes|large PAIRS`, with as many processes that put as that
 * get. Those of a pair are on different CPUs. */

#define N_REPEATS 5

typedef struct
{
  const char *name;
  gsize       size;
  guint       bound;
  gsize       n;
  void     (* put) (gsize n);
  void     (* get) (gsize n);
} Work;

static const Work *work;
static MpQueue *queue;

static void
check (gboolean success, GError *error)
{
  if (!success)
    g_error ("%s", error->message);
}

static void
put_variants (gsize n)
{
  g_autofree guint8 *data = g_malloc0 (work->size);
  g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, data, work->size, 1));
  GError *error = NULL;

  for (gsize i = 0; i < n; i++)
    check (mp_queue_put (queue, value, -1, NULL, &error), error);
}

static void
get_variants (gsize n)
{
  GError *error = NULL;

  for (gsize i = 0; i < n; i++)
    {
      GVariant *value = mp_queue_get (queue, -1, NULL, &error);

      check (value != NULL, error);
      if (g_variant_get_size (value) != work->size)
        g_error ("wrong size");
      g_variant_unref (value);
    }
}

static void
put_bytes (gsize n)
{
  g_autofree guint8 *data = g_malloc0 (work->size);
  GError *error = NULL;

  for (gsize i = 0; i < n; i++)
    check (mp_queue_put_data (queue, data, work->size, -1, NULL, &error), error);
}

static void
get_bytes (gsize n)
{
  g_autofree guint8 *data = g_malloc (work->size);
  GError *error = NULL;
  gsize length = 0;

  for (gsize i = 0; i < n; i++)
    {
      check (mp_queue_get_bytes_into (queue, data, work->size, &length, -1, NULL, &error), error);
      if (length != work->size)
        g_error ("wrong length");
    }
}

static const Work works[] = {
  { "variants", 32, 1024, 1000000, put_variants, get_variants },
  { "bytes", 32, 1024, 2000000, put_bytes, get_bytes },
  { "large", 1 << 20, 16, 2000, put_bytes, get_bytes },
};

static void
bench_queue (guint n_pairs)
{
  guint32 *n_ready = mmap (NULL, sizeof *n_ready, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  queue = mp_queue_new (work->bound, 0);
  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start;

      *n_ready = 0;
      for (guint i = 0; i < 2 * n_pairs; i++)
        if (fork () == 0)
          {
            bench_pin ((i / 2 + i) % 2);
            bench_meet (n_ready, 2 * n_pairs + 1);
            (i % 2 == 0 ? work->put : work->get) (work->n / n_pairs);
            _exit (0);
          }
      bench_meet (n_ready, 2 * n_pairs + 1);
      start = bench_now ();
      while (wait (NULL) > 0)
        ;
      if (repeat > 0)
        bench_rate ("items/s", work->n, bench_now () - start);
    }
}

int
main (int argc, char **argv)
{
  guint n_pairs = argc == 3 ? strtoul (argv[2], NULL, 10) : 0;

  for (gsize i = 0; i < G_N_ELEMENTS (works) && n_pairs > 0; i++)
    if (strcmp (works[i].name, argv[1]) == 0)
      work = &works[i];
  if (work == NULL)
    {
      fprintf (stderr, "Usage: %s variants|bytes|large PAIRS\n", argv[0]);
      return 2;
    }
  bench_queue (n_pairs);
  return 0;
}
