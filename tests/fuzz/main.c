/* main.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs a fuzz target over files and folders of files, given as arguments, and over damaged copies of each, which are
 * the same in every run: the saved corpus as a plain test. MP_FUZZ_ROUNDS sets the number of copies, MP_FUZZ_SEED makes
 * others. */

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define N_ROUNDS   100
#define MAX_SIZE   4096

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static GRand *numbers;
static guint n_rounds = N_ROUNDS;

/* Without GLib's closing NUL, so that the sanitizer sees a read past the end. */
static void
run_bytes (const guint8 *data,
           gsize         size)
{
  g_autofree guint8 *exact = g_memdup2 (data, size);

  LLVMFuzzerTestOneInput (exact, size);
}

/* One small change. The buffer has room for 16 bytes more. */
static gsize
damage (guint8 *data,
        gsize   size)
{
  gsize place = size > 0 ? g_rand_int_range (numbers, 0, size) : 0;
  gsize run = g_rand_int_range (numbers, 1, 9);
  gsize i;

  run = MIN (run, size - place);
  switch (size > 0 ? g_rand_int_range (numbers, 0, 7) : 6)
    {
    case 0:
      data[place] ^= 1 << g_rand_int_range (numbers, 0, 8);
      break;
    case 1:
      data[place] = g_rand_int_range (numbers, 0, 256);
      break;
    case 2:
      data[place] += g_rand_int_range (numbers, -2, 3);
      break;
    case 3:
      memmove (data + place, data + place + run, size - place - run);
      size -= run;
      break;
    case 4:
      memmove (data + place + run, data + place, size - place);
      size += run;
      break;
    case 5:
      memset (data + place, g_rand_boolean (numbers) ? 0xff : 0, run);
      break;
    default:
      for (i = 0; i < 8; i++)
        data[size++] = g_rand_int_range (numbers, 0, 256);
    }

  return size;
}

static guint
run_file (const char *path)
{
  g_autofree char *contents = NULL;
  g_autoptr(GError) error = NULL;
  gsize size;
  guint round;

  if (!g_file_get_contents (path, &contents, &size, &error))
    g_error ("%s", error->message);

  run_bytes ((const guint8 *) contents, size);
  for (round = 0; round < n_rounds && size <= MAX_SIZE; round++)
    {
      g_autofree guint8 *copy = g_malloc (size + 8 * 16);
      gsize n_bytes = size;
      int n;

      memcpy (copy, contents, size);
      for (n = g_rand_int_range (numbers, 1, 8); n > 0; n--)
        n_bytes = damage (copy, n_bytes);
      run_bytes (copy, n_bytes);
    }

  return 1 + round;
}

static int
compare_names (gconstpointer a,
               gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

static guint
run_path (const char *path)
{
  g_autoptr(GDir) folder = g_dir_open (path, 0, NULL);
  g_autoptr(GPtrArray) names = NULL;
  const char *name;
  guint n_files = 0;
  guint i;

  if (folder == NULL)
    return run_file (path);

  names = g_ptr_array_new_with_free_func (g_free);
  while ((name = g_dir_read_name (folder)) != NULL)
    g_ptr_array_add (names, g_build_filename (path, name, NULL));
  g_ptr_array_sort (names, compare_names);
  for (i = 0; i < names->len; i++)
    n_files += run_path (g_ptr_array_index (names, i));

  return n_files;
}

int
main (int   argc,
      char *argv[])
{
  const char *rounds = g_getenv ("MP_FUZZ_ROUNDS");
  const char *seed = g_getenv ("MP_FUZZ_SEED");
  guint n_files = 0;
  int i;

  if (g_getenv ("MP_TESTS_SLOW") != NULL)
    n_rounds = N_ROUNDS / 50;
  if (rounds != NULL)
    n_rounds = g_ascii_strtoull (rounds, NULL, 10);
  numbers = g_rand_new_with_seed (seed != NULL ? g_ascii_strtoull (seed, NULL, 10) : 1);
  for (i = 1; i < argc; i++)
    n_files += run_path (argv[i]);
  printf ("%u inputs\n", n_files);
  g_rand_free (numbers);

  return n_files > 0 ? 0 : 1;
}
