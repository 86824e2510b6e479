/* bench-common.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-common.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

gint64
bench_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

void
bench_pin (int cpu)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  CPU_SET (cpu, &set);
  if (sched_setaffinity (0, sizeof set, &set) < 0)
    g_error ("cannot run on CPU %d: %s", cpu, g_strerror (errno));
}

void
bench_meet (guint32 *word, guint32 n)
{
  __atomic_fetch_add (word, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n (word, __ATOMIC_SEQ_CST) < n)
    sched_yield ();
}

void
bench_report (const char *metric, double value)
{
  printf ("RESULT %s %.6f\n", metric, value);
  fflush (stdout);
}

void
bench_rate (const char *metric, gsize n, gint64 nanoseconds)
{
  bench_report (metric, n * 1e9 / nanoseconds);
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  const gint64 *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

void
bench_quantiles (gint64 *times, gsize n)
{
  qsort (times, n, sizeof *times, compare_times);
  bench_report ("median_us", times[n / 2] / 1e3);
  bench_report ("p99_us", times[n * 99 / 100] / 1e3);
}

char *
bench_ballast (gsize mebibytes)
{
  gsize size = mebibytes << 20;
  char *memory = g_malloc (size + 1);

  memset (memory, 0x5a, size);
  return memory;
}

static double
read_pss (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/smaps_rollup", pid);
  g_autofree char *text = NULL;
  const char *line = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL) || (line = strstr (text, "\nPss:")) == NULL)
    g_error ("cannot read %s", path);
  return g_ascii_strtod (line + strlen ("\nPss:"), NULL);
}

static double
read_cpu_time (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/schedstat", pid);
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    g_error ("cannot read %s", path);
  return g_ascii_strtod (text, NULL);
}

void
bench_idle_cost (const int *pids, guint n_pids)
{
  g_autofree double *before = g_new (double, n_pids);

  g_usleep (G_USEC_PER_SEC / 5);   /* what the last task has left to do */
  for (guint i = 0; i < n_pids; i++)
    before[i] = read_cpu_time (pids[i]);
  g_usleep (G_USEC_PER_SEC);       /* the idle second that is measured */
  for (guint i = 0; i < n_pids; i++)
    {
      bench_report ("cpu_us", (read_cpu_time (pids[i]) - before[i]) / 1e3);
      bench_report ("pss_kib", read_pss (pids[i]));
    }
}

static double
read_status (const char *name)
{
  g_autofree char *text = NULL;
  const char *line = NULL;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL) || (line = strstr (text, name)) == NULL)
    g_error ("cannot read %s", name);
  return g_ascii_strtod (line + strlen (name), NULL);
}

double
bench_begin_peak (void)
{
  int fd = open ("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

  if (fd < 0 || write (fd, "5", 1) != 1)
    g_error ("cannot count a new peak: %s", g_strerror (errno));
  close (fd);
  return read_status ("\nVmRSS:");
}

double
bench_end_peak (void)
{
  return read_status ("\nVmHWM:");
}
