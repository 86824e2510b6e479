/* mp-cpus.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-process-control-private.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* Where a hierarchy of control groups is to be seen, and which of its groups is at the mount point. */
typedef struct
{
  char *mount_point;
  char *group;
} Mount;

static void
mount_clear (Mount *mount)
{
  g_clear_pointer (&mount->mount_point, g_free);
  g_clear_pointer (&mount->group, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Mount, mount_clear)

static gboolean
has_word (const char *list,
          const char *word)
{
  g_auto(GStrv) words = g_strsplit (list, ",", -1);

  return g_strv_contains ((const char * const *) words, word);
}

/* The line of /proc/self/mountinfo for the version 2 hierarchy, or for version 1's that has the CPU controller:
 *   36 35 0:30 /group /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate */
static gboolean
parse_mount (const char *line,
             gboolean    v2,
             Mount      *mount)
{
  g_auto(GStrv) halves = g_strsplit (line, " - ", 2);
  g_auto(GStrv) first = NULL;
  g_auto(GStrv) second = NULL;

  if (g_strv_length (halves) != 2)
    return FALSE;
  first = g_strsplit (halves[0], " ", 6);
  second = g_strsplit (halves[1], " ", 3);
  if (g_strv_length (first) < 5 || g_strv_length (second) != 3)
    return FALSE;

  if (v2 ? !g_str_equal (second[0], "cgroup2")
         : !g_str_equal (second[0], "cgroup") || !has_word (second[2], "cpu"))
    return FALSE;

  /* Blanks and the like are written as octal numbers. */
  mount->group = g_strcompress (first[3]);
  mount->mount_point = g_strcompress (first[4]);
  return TRUE;
}

static gboolean
find_mount (const char *root,
            gboolean    v2,
            Mount      *mount)
{
  g_autofree char *path = g_build_filename (root, "proc/self/mountinfo", NULL);
  g_autofree char *text = NULL;
  g_auto(GStrv) lines = NULL;
  guint i;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;

  lines = g_strsplit (text, "\n", -1);
  for (i = 0; lines[i] != NULL; i++)
    if (parse_mount (lines[i], v2, mount))
      return TRUE;
  return FALSE;
}

/* The group that this process is in: "0::/user.slice" or "4:cpu,cpuacct:/user.slice". */
static char *
find_group (const char *root,
            gboolean    v2)
{
  g_autofree char *path = g_build_filename (root, "proc/self/cgroup", NULL);
  g_autofree char *text = NULL;
  g_auto(GStrv) lines = NULL;
  guint i;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;

  lines = g_strsplit (text, "\n", -1);
  for (i = 0; lines[i] != NULL; i++)
    {
      g_auto(GStrv) fields = g_strsplit (lines[i], ":", 3);

      if (g_strv_length (fields) != 3)
        continue;
      if (v2 ? g_str_equal (fields[0], "0") && *fields[1] == '\0' : has_word (fields[1], "cpu"))
        return g_steal_pointer (&fields[2]);
    }
  return NULL;
}

/* The group's place below the mount point. In a container without a name space of its own the group is told as the host
 * sees it, and only what lies below the mounted group is there to be read. */
static char *
below_mount (const char *group,
             const char *mounted)
{
  gsize length = strlen (mounted);

  while (length > 0 && mounted[length - 1] == '/')
    length--;
  if (strncmp (group, mounted, length) != 0 || (group[length] != '/' && group[length] != '\0'))
    return g_strdup ("");
  if (strstr (group + length, "..") != NULL)
    return g_strdup ("");
  return g_strdup (group + length);
}

static char *
read_file (const char *dir,
           const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *text = NULL;

  (void) g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

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
      g_autofree char *text = read_file (dir, "cpu.max");
      g_auto(GStrv) fields = g_strsplit (text != NULL ? g_strchomp (text) : "", " ", 3);

      return g_strv_length (fields) >= 2 ? quota_of (fields[0], fields[1]) : INFINITY;
    }
  else
    {
      g_autofree char *quota = read_file (dir, "cpu.cfs_quota_us");
      g_autofree char *period = read_file (dir, "cpu.cfs_period_us");

      return quota_of (quota != NULL ? g_strchomp (quota) : NULL, period != NULL ? g_strchomp (period) : NULL);
    }
}

/* The tightest quota from the process's own group up to the top of what is mounted. */
static double
hierarchy_quota (const char *root,
                 gboolean    v2)
{
  g_auto(Mount) mount = { NULL, NULL };
  g_autofree char *group = find_group (root, v2);
  g_autofree char *below = NULL;
  double least = INFINITY;

  if (group == NULL || !find_mount (root, v2, &mount))
    return INFINITY;

  below = below_mount (group, mount.group);
  for (;;)
    {
      g_autofree char *dir = g_build_filename (root, mount.mount_point, below, NULL);
      double quota = read_quota (dir, v2);
      char *slash;

      least = MIN (least, quota);
      slash = strrchr (below, '/');
      if (slash == NULL)
        return least;
      *slash = '\0';
    }
}

guint
mp_platform_cgroup_cpus (const char *root)
{
  double v1 = hierarchy_quota (root, FALSE);
  double v2 = hierarchy_quota (root, TRUE);
  double quota = MIN (v1, v2);
  guint whole;

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
