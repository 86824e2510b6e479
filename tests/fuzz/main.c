/* main.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs a fuzz target over files and folders of files, given as arguments: the saved corpus as a plain test. */

#include <glib.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static guint
run_file (const char *path)
{
  g_autofree char *contents = NULL;
  g_autofree guint8 *exact = NULL;
  g_autoptr(GError) error = NULL;
  gsize size;

  if (!g_file_get_contents (path, &contents, &size, &error))
    g_error ("%s", error->message);

  /* Without GLib's closing NUL, so that the sanitizer sees a read past the end. */
  exact = g_memdup2 (contents, size);
  LLVMFuzzerTestOneInput (exact, size);

  return 1;
}

static guint
run_path (const char *path)
{
  g_autoptr(GDir) folder = g_dir_open (path, 0, NULL);
  const char *name;
  guint n_files = 0;

  if (folder == NULL)
    return run_file (path);

  while ((name = g_dir_read_name (folder)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      n_files += run_path (child);
    }

  return n_files;
}

int
main (int   argc,
      char *argv[])
{
  guint n_files = 0;

  for (int i = 1; i < argc; i++)
    n_files += run_path (argv[i]);
  printf ("%u inputs\n", n_files);

  return n_files > 0 ? 0 : 1;
}
