/* pythons.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The versions of CPython that there are, from 3.8 on. */
#pragma once

#include "peer.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct
{
  char *path;
  int   minor;
} Python;

static inline int
python_get_minor (const char *path)
{
  g_autofree char *command = g_strdup_printf ("'%s' -c 'import sys, hashlib; print(sys.version_info[:2])'", path);
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  int status, minor = -1;

  if (!g_spawn_command_line_sync (command, &output, &errors, &status, NULL) || status != 0 ||
      sscanf (output, "(3, %d)", &minor) != 1)
    return -1;
  return minor;
}

static inline void
pythons_add (GArray     *pythons,
             const char *name)
{
  g_autofree char *path = g_find_program_in_path (name);
  int minor = path != NULL ? python_get_minor (path) : -1;
  Python python;
  guint i;

  if (minor < 8)
    return;
  for (i = 0; i < pythons->len; i++)
    if (g_array_index (pythons, Python, i).minor == minor)
      return;

  python = (Python) { g_steal_pointer (&path), minor };
  g_array_append_val (pythons, python);
}

static inline void
python_clear (gpointer data)
{
  g_free (((Python *) data)->path);
}

/* One of each. */
static inline GArray *
pythons_find (void)
{
  GArray *pythons = g_array_new (FALSE, FALSE, sizeof (Python));
  const char *first = g_getenv ("MP_TEST_PYTHON");
  g_autofree char *pattern = g_build_filename (g_get_home_dir (), ".pyenv/versions/*/bin/python3", NULL);
  glob_t found;
  gsize i;

  g_array_set_clear_func (pythons, python_clear);
  pythons_add (pythons, first != NULL ? first : "python3");
  for (i = 8; i < 16; i++)
    {
      g_autofree char *name = g_strdup_printf ("python3.%u", (guint) i);

      pythons_add (pythons, name);
    }
  if (glob (pattern, 0, NULL, &found) == 0)
    {
      for (i = 0; i < found.gl_pathc; i++)
        pythons_add (pythons, found.gl_pathv[i]);
      globfree (&found);
    }
  return pythons;
}
