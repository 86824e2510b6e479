/* mp-cgroup.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-cgroup-private.h"

#include <string.h>

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

/* The line of /proc/self/mountinfo for the version 2 hierarchy, or (@controller) for version 1's that has it:
 *   36 35 0:30 /group /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate */
static gboolean
parse_mount (const char *line,
             const char *controller,
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

  if (controller == NULL ? !g_str_equal (second[0], "cgroup2")
                         : !g_str_equal (second[0], "cgroup") || !has_word (second[2], controller))
    return FALSE;

  /* Blanks and the like are written as octal numbers. */
  mount->group = g_strcompress (first[3]);
  mount->mount_point = g_strcompress (first[4]);
  return TRUE;
}

static gboolean
find_mount (const char *root,
            const char *controller,
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
    if (parse_mount (lines[i], controller, mount))
      return TRUE;
  return FALSE;
}

/* The group that this process is in: "0::/user.slice" or "4:cpu,cpuacct:/user.slice". */
static char *
find_group (const char *root,
            const char *controller)
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
      if (controller == NULL ? g_str_equal (fields[0], "0") && *fields[1] == '\0' : has_word (fields[1], controller))
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

char *
mp_cgroup_read (const char *dir,
                const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *text = NULL;

  if (g_file_get_contents (path, &text, NULL, NULL))
    g_strchomp (text);
  return text;
}

static void
walk (const char   *root,
      const char   *controller,
      MpCgroupFunc  func,
      gpointer      user_data)
{
  g_auto(Mount) mount = { NULL, NULL };
  g_autofree char *group = find_group (root, controller);
  g_autofree char *below = NULL;
  char *slash;

  if (group == NULL || !find_mount (root, controller, &mount))
    return;

  below = below_mount (group, mount.group);
  do
    {
      g_autofree char *dir = g_build_filename (root, mount.mount_point, below, NULL);

      func (dir, controller == NULL, user_data);
      slash = strrchr (below, '/');
      if (slash != NULL)
        *slash = '\0';
    }
  while (slash != NULL);
}

void
mp_cgroup_foreach (const char   *root,
                   const char   *controller,
                   MpCgroupFunc  func,
                   gpointer      user_data)
{
  walk (root, controller, func, user_data);
  walk (root, NULL, func, user_data);
}
