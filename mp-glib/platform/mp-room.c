/* mp-room.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-cgroup-private.h"
#include "mp-glib/platform/mp-memory-file-private.h"

#include <string.h>

/* The number behind @key at the beginning of a line, or alone; G_MAXUINT64 when there is none, such as for "max". */
static guint64
find_number (const char *text,
             const char *key)
{
  gsize length = strlen (key);
  const char *line = text;

  while (line != NULL)
    {
      const char *number = line + length;
      char *end = NULL;

      if (strncmp (line, key, length) == 0)
        {
          guint64 found;

          while (*number == ' ')
            number++;
          found = g_ascii_strtoull (number, &end, 10);
          return g_ascii_isdigit (*number) ? found : G_MAXUINT64;
        }
      line = strchr (line, '\n');
      line = line != NULL ? line + 1 : NULL;
    }
  return G_MAXUINT64;
}

static guint64
read_number (const char *dir,
             const char *name,
             const char *key)
{
  g_autofree char *text = mp_cgroup_read (dir, name);

  return find_number (text != NULL ? text : "", key);
}

/* What of a group's memory is read from files, and goes when something else needs it. */
static guint64
count_reclaimable (const char *dir,
                   gboolean    v2)
{
  g_autofree char *text = mp_cgroup_read (dir, "memory.stat");
  guint64 inactive, active;

  if (text == NULL)
    return 0;
  inactive = find_number (text, v2 ? "inactive_file " : "total_inactive_file ");
  active = find_number (text, v2 ? "active_file " : "total_active_file ");
  return (inactive != G_MAXUINT64 ? inactive : 0) + (active != G_MAXUINT64 ? active : 0);
}

static void
note_group (const char *dir,
            gboolean    v2,
            gpointer    user_data)
{
  MpRoom *room = user_data;
  guint64 limit = read_number (dir, v2 ? "memory.max" : "memory.limit_in_bytes", "");
  guint64 used, left;

  /* Version 1 writes that there is none as the highest number of whole pages. */
  if (limit >= G_MAXINT64 - 65536)
    return;
  used = read_number (dir, v2 ? "memory.current" : "memory.usage_in_bytes", "");
  if (used == G_MAXUINT64)
    return;

  left = count_reclaimable (dir, v2);
  left = limit > used ? left + (limit - used) : left - MIN (left, used - limit);
  left = MIN (left, limit);
  if (left < room->available)
    *room = (MpRoom) { left, TRUE };
}

void
mp_platform_memory_room (const char *root,
                         MpRoom     *room)
{
  g_autofree char *path = g_build_filename (root, "proc/meminfo", NULL);
  g_autofree char *text = NULL;
  guint64 kib = G_MAXUINT64;

  if (g_file_get_contents (path, &text, NULL, NULL))
    kib = find_number (text, "MemAvailable:");
  *room = (MpRoom) { kib <= G_MAXUINT64 / 1024 ? kib * 1024 : G_MAXUINT64, FALSE };
  mp_cgroup_foreach (root, "memory", note_group, room);
}
