/* bench-pool.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench-common.h"

/* The measured side of tests/benchmarks/run.py: `bench-pool MODE [ARGUMENT …]` prints one line per sample,
 * "RESULT metric value". The same works are done by bench-cpython.py and, bare, by bench-raw.c. */

#define N_WORKERS 2

static void
check (const GError *error, const char *what)
{
  if (error != NULL)
    g_error ("%s: %s", what, error->message);
}

/* What the workers do. */

static GVariant *
square (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  gint64 x = g_variant_get_int64 (args);

  return g_variant_new_int64 (x * x);
}

static GVariant *
square_chunk (GVariant  *args,
              gpointer   user_data,
              GError   **error)
{
  gsize n = 0;
  const gint64 *items = g_variant_get_fixed_array (args, &n, sizeof (gint64));
  gint64 *squares = g_new (gint64, n);

  for (gsize i = 0; i < n; i++)
    squares[i] = items[i] * items[i];

  return g_variant_new_from_data (G_VARIANT_TYPE ("ax"), squares, n * sizeof (gint64), TRUE, g_free, squares);
}

static GVariant *
length (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  return g_variant_new_uint64 (g_variant_get_size (args));
}

static GVariant *
pin (GVariant  *args,
     gpointer   user_data,
     GError   **error)
{
  bench_pin (g_variant_get_int32 (args));
  return g_variant_new_boolean (TRUE);
}

static GVariant *
nothing (GVariant  *args,
         gpointer   user_data,
         GError   **error)
{
  return g_variant_new_boolean (TRUE);
}

/* The works. */

static GVariant *
make_items (gsize n)
{
  gint64 *items = g_new (gint64, n);

  for (gsize i = 0; i < n; i++)
    items[i] = i;

  return g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE ("ax"), items, n * sizeof (gint64), TRUE,
                                                      g_free, items));
}

static void
check_squares (GVariant *result, gsize n)
{
  gsize n_result = 0;
  const gint64 *squares = g_variant_get_fixed_array (result, &n_result, sizeof (gint64));

  if (n_result != n)
    g_error ("%" G_GSIZE_FORMAT " results for %" G_GSIZE_FORMAT " items", n_result, n);
  for (gsize i = 0; i < n; i++)
    if (squares[i] != (gint64) (i * i))
      g_error ("wrong result at %" G_GSIZE_FORMAT, i);
}

static void
bench_map (const char *function, gsize n, guint chunk_size, guint repeats)
{
  g_autoptr(MpPool) pool = mp_pool_new (N_WORKERS);
  g_autoptr(GVariant) items = make_items (n);

  /* The first one starts the workers and is not counted. */
  for (guint i = 0; i <= repeats; i++)
    {
      g_autoptr(GVariant) result = NULL;
      g_autoptr(GError) error = NULL;
      gint64 start = bench_now ();

      result = mp_pool_map (pool, function, items, chunk_size, -1, NULL, &error);
      check (error, "map");
      if (i > 0)
        bench_rate ("items/s", n, bench_now () - start);
      check_squares (result, n);
    }
}

static void
bench_submit (gsize n, guint repeats)
{
  g_autoptr(MpPool) pool = mp_pool_new (N_WORKERS);
  g_autofree MpFuture **futures = g_new (MpFuture *, n);

  for (guint r = 0; r <= repeats; r++)
    {
      g_autoptr(GError) error = NULL;
      gint64 start = bench_now (), sum = 0, expected = 0;

      for (gsize i = 0; i < n; i++)
        {
          futures[i] = mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int64 (i), &error);
          check (error, "submit");
        }
      for (gsize i = 0; i < n; i++)
        {
          g_autoptr(GVariant) result = mp_future_get (futures[i], -1, NULL, &error);

          check (error, "get");
          sum += g_variant_get_int64 (result);
        }
      if (r > 0)
        bench_rate ("tasks/s", n, bench_now () - start);

      for (gsize i = 0; i < n; i++)
        {
          expected += i * i;
          g_object_unref (futures[i]);
        }
      if (sum != expected)
        g_error ("wrong sum");
    }
}

static void
bench_call (const char *cpus)
{
  int worker_cpu = strcmp (cpus, "one") == 0 ? 0 : 1;
  g_autoptr(MpPool) pool = NULL;
  guint n_warm_up = 1000, n = 20000;
  g_autofree gint64 *times = g_new (gint64, n);

  bench_pin (0);
  pool = mp_pool_new_full (1, MP_FUNCTION (pin), g_variant_new_int32 (worker_cpu), 0, NULL);
  for (guint i = 0; i < n_warm_up + n; i++)
    {
      g_autoptr(GVariant) result = NULL;
      g_autoptr(GError) error = NULL;
      gint64 start = bench_now ();

      result = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int64 (i), -1, NULL, &error);
      check (error, "apply");
      if (i >= n_warm_up)
        times[i - n_warm_up] = bench_now () - start;
      if (g_variant_get_int64 (result) != (gint64) i * i)
        g_error ("wrong result");
    }
  bench_quantiles (times, n);
}

static void
start_and_join (MpContext *context)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS,
                                               "function", MP_FUNCTION (nothing),
                                               "args", g_variant_new ("()"),
                                               "context", context,
                                               NULL);

  mp_process_start (process, -1, NULL, &error);
  check (error, "start");
  mp_process_join (process, -1, NULL, &error);
  check (error, "join");
  if (mp_process_get_exit_status (process) != 0)
    g_error ("exit status %d", mp_process_get_exit_status (process));
}

static void
bench_start (const char *method, const char *mebibytes)
{
  gboolean spawn = strcmp (method, "spawn") == 0;
  g_autoptr(MpContext) context = mp_context_new (spawn ? MP_START_METHOD_SPAWN : MP_START_METHOD_FORKSERVER);
  G_GNUC_UNUSED g_autofree char *ballast = bench_ballast (atoi (mebibytes));
  guint n = spawn ? 50 : 200;

  for (guint i = 0; i < 5; i++)
    start_and_join (context);

  for (guint r = 0; r < 3; r++)
    {
      gint64 start = bench_now ();

      for (guint i = 0; i < n; i++)
        start_and_join (context);
      bench_rate ("starts/s", n, bench_now () - start);
    }
}

static void
bench_big (gsize size)
{
  g_autoptr(MpPool) pool = mp_pool_new (N_WORKERS);
  g_autoptr(GBytes) bytes = g_bytes_new_take (bench_ballast (size >> 20), size);

  for (guint i = 0; i < 6; i++)
    {
      g_autoptr(GVariant) result = NULL;
      g_autoptr(GError) error = NULL;
      gint64 start = bench_now ();

      result = mp_pool_apply (pool, MP_FUNCTION (length),
                              g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE), -1, NULL, &error);
      check (error, "apply");
      if (i > 0)
        bench_report ("ms", (bench_now () - start) / 1e6);
      if (g_variant_get_uint64 (result) != size)
        g_error ("wrong length");
    }
}

static GVariant *
shared_length (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpShareable) memory = mp_shareable_from_variant (args, error);
  const char *data;
  gsize size;

  if (memory == NULL)
    return NULL;
  data = mp_shared_memory_get_data (MP_SHARED_MEMORY (memory), &size);
  return data[0] == data[size - 1] ? g_variant_new_uint64 (size) : NULL;
}

/* What big sends, in memory that the worker has not got yet. */
static void
bench_shared (gsize size)
{
  g_autoptr(MpPool) pool = mp_pool_new (N_WORKERS);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new (size, &error);
  g_autoptr(GVariant) handle = NULL;

  check (error, "shared memory");
  memset (mp_shared_memory_get_data (memory, NULL), 0x5a, size);
  handle = mp_shareable_to_variant (MP_SHAREABLE (memory));
  for (guint i = 0; i < 201; i++)
    {
      gint64 start = bench_now ();
      g_autoptr(GVariant) result = mp_pool_apply (pool, MP_FUNCTION (shared_length), handle, -1, NULL, &error);

      check (error, "apply");
      if (i > 0)
        bench_report ("ms", (bench_now () - start) / 1e6);
      if (g_variant_get_uint64 (result) != size)
        g_error ("wrong length");
    }
}

static void
worker_started_cb (MpPool   *pool,
                   guint     number,
                   int       pid,
                   gpointer  user_data)
{
  int *pids = user_data;

  if (number < N_WORKERS)
    pids[number] = pid;
}

static void
bench_idle (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORKSERVER);
  g_autoptr(MpPool) pool = mp_pool_new_full (N_WORKERS, NULL, NULL, 0, context);
  g_autoptr(GVariant) items = make_items (1000);
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;
  int pids[N_WORKERS] = { 0, };

  g_signal_connect (pool, "worker-started", G_CALLBACK (worker_started_cb), pids);
  while (pids[0] == 0 || pids[1] == 0)
    {
      g_clear_pointer (&result, g_variant_unref);
      result = mp_pool_map (pool, MP_FUNCTION (square), items, 1, -1, NULL, &error);
      check (error, "map");
    }
  bench_idle_cost (pids, N_WORKERS);
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";

  mp_init ();

  if (strcmp (mode, "map") == 0)
    bench_map (MP_FUNCTION (square), 1000000, 0, 5);
  else if (strcmp (mode, "chunk") == 0)
    bench_map (MP_CHUNK_FUNCTION (square_chunk), 1000000, 0, 20);
  else if (strcmp (mode, "chunk1") == 0)
    bench_map (MP_FUNCTION (square), 100000, 1, 3);
  else if (strcmp (mode, "submit") == 0)
    bench_submit (100000, 3);
  else if (strcmp (mode, "call") == 0 && argc > 2)
    bench_call (argv[2]);
  else if (strcmp (mode, "start") == 0 && argc > 3)
    bench_start (argv[2], argv[3]);
  else if (strcmp (mode, "big") == 0)
    bench_big (100 << 20);
  else if (strcmp (mode, "shared") == 0)
    bench_shared (100 << 20);
  else if (strcmp (mode, "idle") == 0)
    bench_idle ();
  else
    {
      fprintf (stderr, "Usage: %s map|chunk|chunk1|submit|call one/two|start METHOD MIB|big|shared|idle\n", argv[0]);
      return 2;
    }

  return 0;
}
