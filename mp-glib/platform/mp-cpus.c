/* mp-cpus.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-cgroup-private.h"
#include "mp-glib/platform/mp-process-control-private.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <unistd.h>

static double
quota_of (const char *quota,
          const char *period)
{
  gint64 q, p;

  if (quota == NULL || period == NULL ||
      !g_ascii_string_to_signed (quota, 10, 1, G_MAXINT64, &q, NULL) ||
      !g_ascii_string_to_signed (period, 10, 1, G_MAXINT64, &p, NULL))
    return INFINITY;   /* "max", -1, nothing there */
  return (double) q / (double) p;
}

static double
read_quota (const char *dir,
            gboolean    v2)
{
  if (v2)
    {
      g_autofree char *text = mp_cgroup_read (dir, "cpu.max");
      g_auto(GStrv) fields = g_strsplit (text != NULL ? text : "", " ", 3);

      return g_strv_length (fields) >= 2 ? quota_of (fields[0], fields[1]) : INFINITY;
    }
  else
    {
      g_autofree char *quota = mp_cgroup_read (dir, "cpu.cfs_quota_us");
      g_autofree char *period = mp_cgroup_read (dir, "cpu.cfs_period_us");

      return quota_of (quota, period);
    }
}

/* The tightest quota from the process's own group up to the top of what is mounted. */
static void
note_quota (const char *dir,
            gboolean    v2,
            gpointer    user_data)
{
  double *least = user_data;

  *least = MIN (*least, read_quota (dir, v2));
}

guint
mp_platform_cgroup_cpus (const char *root)
{
  double quota = INFINITY;
  guint whole;

  mp_cgroup_foreach (root, "cpu", note_quota, &quota);
  if (quota > G_MAXINT)
    return 0;
  whole = (guint) quota;
  return whole < quota ? whole + 1 : whole;
}

guint
mp_platform_count_cpus (void)
{
  long n = sysconf (_SC_NPROCESSORS_ONLN);

  return n > 0 ? (guint) n : 1;
}

static guint
count_affinity (void)
{
  int n_cpus;

  /* The kernel says EINVAL as long as the set is smaller than its own. */
  for (n_cpus = 1024; n_cpus <= 1 << 20; n_cpus *= 4)
    {
      cpu_set_t *set = CPU_ALLOC (n_cpus);
      gsize size = CPU_ALLOC_SIZE (n_cpus);
      int result = sched_getaffinity (0, size, set);
      int count = result == 0 ? CPU_COUNT_S (size, set) : 0;

      CPU_FREE (set);
      if (count > 0)
        return count;
      if (errno != EINVAL)
        break;
    }
  return mp_platform_count_cpus ();
}

guint
mp_platform_usable_cpus (void)
{
  guint quota = mp_platform_cgroup_cpus ("/");
  guint affinity = count_affinity ();

  return quota > 0 ? MIN (quota, affinity) : affinity;
}
