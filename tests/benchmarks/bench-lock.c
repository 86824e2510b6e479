/* bench-lock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* mp-glib at the works about a lock: `bench-lock lock one/two` and `bench-lock acquire`. */

#define MAX_CPUS     2
#define BATCH        1000
#define DURATION     300000000   /* ns, of a measurement with several processes */
#define N_REPEATS    5
#define N_ACQUIRES   2000
#define N_WARM_UP    200
#define SETTLE       200000      /* ns, in which all that is awake falls asleep */

/* In memory that all see. */
typedef struct
{
  guint32 n_ready;
  guint32 turn;             /* counts calls that wait for the lock */
  guint32 done;             /* and those that have got it, and let it go */
  gint64  released;         /* when it was, in ns */
  guint64 n_pairs[MAX_CPUS];
} Shared;

static Shared *shared;
static MpLock *lock;

static void
die (const GError *error)
{
  g_error ("%s", error->message);
}

static void
acquire (void)
{
  GError *error = NULL;

  if (!mp_lock_acquire (lock, -1, NULL, &error))
    die (error);
}

static void
release (void)
{
  GError *error = NULL;

  if (!mp_lock_release (lock, &error))
    die (error);
}

static void
wait_for (guint32 *word, guint32 value)
{
  while (__atomic_load_n (word, __ATOMIC_SEQ_CST) != value)
    ;
}

static void
run_pairs (guint number, guint n_cpus)
{
  gint64 end;

  bench_pin (number);
  __atomic_fetch_add (&shared->n_ready, 1, __ATOMIC_SEQ_CST);
  wait_for (&shared->n_ready, n_cpus);
  end = bench_now () + DURATION;
  do
    {
      for (guint i = 0; i < BATCH; i++)
        {
          acquire ();
          release ();
        }
      shared->n_pairs[number] += BATCH;
    }
  while (bench_now () < end);
}

static void
bench_pairs (guint n_cpus)
{
  for (guint i = 0; i <= N_REPEATS; i++)
    {
      guint64 n = 0;
      gint64 start;

      memset (shared, 0, sizeof *shared);
      for (guint number = 1; number < n_cpus; number++)
        if (fork () == 0)
          {
            run_pairs (number, n_cpus);
            _exit (0);
          }
      start = bench_now ();
      run_pairs (0, n_cpus);
      while (wait (NULL) > 0)
        ;
      for (guint number = 0; number < n_cpus; number++)
        n += shared->n_pairs[number];
      if (i > 0)
        bench_rate ("pairs/s", n, bench_now () - start);
    }
}

/* The other process: has the lock, and lets it go when somebody has long been waiting for it. */
static void
serve_releases (void)
{
  bench_pin (1);
  for (guint i = 1; i <= N_WARM_UP + N_ACQUIRES; i++)
    {
      gint64 start;

      acquire ();
      __atomic_store_n (&shared->n_ready, i, __ATOMIC_SEQ_CST);
      wait_for (&shared->turn, i);
      for (start = bench_now (); bench_now () < start + SETTLE;)
        ;
      shared->released = bench_now ();
      release ();
      wait_for (&shared->done, i);
    }
}

typedef struct
{
  GMainLoop *loop;
  gint64     now;
} Answer;

static void
acquired_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Answer *answer = data;
  GError *error = NULL;

  answer->now = bench_now ();
  if (!mp_lock_acquire_finish (MP_LOCK (source), result, &error))
    die (error);
  g_main_loop_quit (answer->loop);
}

static void
bench_acquire (void)
{
  g_autofree gint64 *times = g_new (gint64, N_ACQUIRES);
  g_autoptr(GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Answer answer = { loop, 0 };

  if (fork () == 0)
    {
      serve_releases ();
      _exit (0);
    }
  bench_pin (0);
  for (guint i = 1; i <= N_WARM_UP + N_ACQUIRES; i++)
    {
      wait_for (&shared->n_ready, i);
      mp_lock_acquire_async (lock, NULL, acquired_cb, &answer);
      __atomic_store_n (&shared->turn, i, __ATOMIC_SEQ_CST);
      g_main_loop_run (loop);
      if (i > N_WARM_UP)
        times[i - N_WARM_UP - 1] = answer.now - shared->released;
      release ();
      __atomic_store_n (&shared->done, i, __ATOMIC_SEQ_CST);
    }
  wait (NULL);
  bench_quantiles (times, N_ACQUIRES);
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";

  shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert (shared != MAP_FAILED);
  lock = mp_lock_new ();

  if (strcmp (mode, "lock") == 0 && argc > 2)
    bench_pairs (strcmp (argv[2], "two") == 0 ? 2 : 1);
  else if (strcmp (mode, "acquire") == 0)
    bench_acquire ();
  else
    {
      fprintf (stderr, "Usage: %s lock one/two|acquire\n", argv[0]);
      return 2;
    }

  g_object_unref (lock);
  return 0;
}
