/* checksum-tree.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: checksum-tree [DIR]
 *
 * Prints the SHA-256 of every regular file under DIR (/usr/include if not given) as sha256sum does, in path order: the
 * same as
 *
 *   find DIR -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
 *
 * The sums are computed by a pool of processes, one for each usable CPU. What cannot be read is reported at the end and
 * makes the exit status 1. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mp-glib/mp-glib.h>

#define BLOCK_SIZE (128 * 1024)
#define FILES_PER_TASK 16
#define PROGRESS_INTERVAL (G_USEC_PER_SEC / 10)

static void
set_error_from_errno (GError **error)
{
  int saved_errno = errno;

  g_set_error_literal (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), g_strerror (saved_errno));
}

/* In a worker: a path (ay) in, the sum (s) out. */
static GVariant *
checksum_file (GVariant  *path,
               gpointer   user_data,
               GError   **error)
{
  static guint8 block[BLOCK_SIZE];
  g_autoptr(GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  struct stat info;
  gssize n_read;
  int fd;

  /* What was a regular file when it was found may be a pipe by now: that must not hang. */
  fd = open (g_variant_get_bytestring (path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    {
      set_error_from_errno (error);
      return NULL;
    }
  if (fstat (fd, &info) == 0 && !S_ISREG (info.st_mode))
    {
      close (fd);
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE, "No longer a regular file");
      return NULL;
    }

  while ((n_read = read (fd, block, sizeof block)) != 0)
    {
      if (n_read > 0)
        g_checksum_update (checksum, block, n_read);
      else if (errno != EINTR)
        break;
    }
  if (n_read < 0)
    set_error_from_errno (error);
  close (fd);

  return n_read < 0 ? NULL : g_variant_new_string (g_checksum_get_string (checksum));
}

/* As sha256sum writes a name: TRUE when something in it had to be escaped, and then the line begins with a backslash. */
static gboolean
escape_name (const char *path,
             GString    *escaped)
{
  gboolean special = FALSE;

  for (const char *c = path; *c != '\0'; c++)
    {
      const char *as = *c == '\\' ? "\\\\" : *c == '\n' ? "\\n" : *c == '\r' ? "\\r" : NULL;

      special |= as != NULL;
      if (as != NULL)
        g_string_append (escaped, as);
      else
        g_string_append_c (escaped, *c);
    }

  return special;
}

static void
print_sum (const char *sum,
           const char *path)
{
  g_autoptr(GString) name = g_string_new (NULL);
  gboolean special = escape_name (path, name);

  printf ("%s%s  %s\n", special ? "\\" : "", sum, name->str);
}

static void
add_problem (GPtrArray  *problems,
             const char *path,
             const char *message)
{
  g_autoptr(GString) name = g_string_new (NULL);

  escape_name (path, name);
  g_ptr_array_add (problems, g_strdup_printf ("checksum-tree: %s: %s", name->str, message));
}

/* The paths of the regular files in one directory are added to @files, those of the directories in it to @directories. */
static void
read_directory (const char *directory,
                GPtrArray  *directories,
                GPtrArray  *files,
                GPtrArray  *problems)
{
  const char *separator = g_str_has_suffix (directory, "/") ? "" : "/";
  struct dirent *entry;
  DIR *stream = opendir (directory);

  if (stream == NULL)
    {
      add_problem (problems, directory, g_strerror (errno));
      return;
    }

  while (errno = 0, (entry = readdir (stream)) != NULL)
    {
      g_autofree char *path = NULL;
      struct stat info;

      if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
        continue;

      path = g_strconcat (directory, separator, entry->d_name, NULL);
      if (entry->d_type == DT_REG)
        g_ptr_array_add (files, g_steal_pointer (&path));
      else if (entry->d_type == DT_DIR)
        g_ptr_array_add (directories, g_steal_pointer (&path));
      else if (entry->d_type != DT_UNKNOWN)
        continue;
      else if (fstatat (dirfd (stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        add_problem (problems, path, g_strerror (errno));
      else if (S_ISREG (info.st_mode))
        g_ptr_array_add (files, g_steal_pointer (&path));
      else if (S_ISDIR (info.st_mode))
        g_ptr_array_add (directories, g_steal_pointer (&path));
    }
  if (errno != 0)
    add_problem (problems, directory, g_strerror (errno));
  closedir (stream);
}

static int
compare_paths (gconstpointer a,
               gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

/* The regular files under @top, which may be one itself, in the order of their bytes. */
static GPtrArray *
find_files (const char *top,
            GPtrArray  *problems)
{
  g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func (g_free);
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);
  struct stat info;

  if (stat (top, &info) != 0)
    add_problem (problems, top, g_strerror (errno));
  else if (S_ISREG (info.st_mode))
    g_ptr_array_add (files, g_strdup (top));
  else if (S_ISDIR (info.st_mode))
    g_ptr_array_add (directories, g_strdup (top));

  while (directories->len > 0)
    {
      g_autofree char *directory = g_ptr_array_steal_index_fast (directories, directories->len - 1);

      read_directory (directory, directories, files, problems);
    }

  g_ptr_array_sort (files, compare_paths);
  return files;
}

static void
show_progress (guint n_done,
               guint n_files)
{
  static gint64 due;
  static int is_terminal = -1;
  gint64 now;

  if (is_terminal < 0)
    is_terminal = isatty (STDERR_FILENO);
  if (!is_terminal)
    return;

  now = g_get_monotonic_time ();
  if (n_done < n_files && now < due)
    return;

  due = now + PROGRESS_INTERVAL;
  /* Standard output may be the same terminal: there each sum begins a line of its own. */
  fflush (stdout);
  if (n_done < n_files)
    fprintf (stderr, "\r\033[K%u of %u files (%u %%)\r", n_done, n_files, (guint) (n_done * 100.0 / n_files));
  else
    fputs ("\r\033[K", stderr);
}

static void
checksum_files (GPtrArray *files,
                GPtrArray *problems)
{
  g_autoptr(MpPool) pool = mp_pool_new (0);
  g_autoptr(MpResultIter) sums = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *last_message = NULL;
  GVariantBuilder paths;

  g_variant_builder_init (&paths, G_VARIANT_TYPE_BYTESTRING_ARRAY);
  for (guint i = 0; i < files->len; i++)
    g_variant_builder_add_value (&paths, g_variant_new_bytestring (files->pdata[i]));

  sums = mp_pool_imap (pool, MP_FUNCTION (checksum_file), g_variant_builder_end (&paths), FILES_PER_TASK, &error);

  for (guint i = 0; i < files->len; i++)
    {
      g_autoptr(GVariant) sum = sums != NULL ? mp_result_iter_next (sums, -1, NULL, &error) : NULL;

      if (error != NULL)
        {
          g_free (last_message);
          last_message = g_strdup (error->message);
        }
      if (sum != NULL)
        print_sum (g_variant_get_string (sum, NULL), files->pdata[i]);
      else  /* without an error of its own: the pool has given up, and the last one says why */
        add_problem (problems, files->pdata[i], last_message);
      g_clear_error (&error);
      show_progress (i + 1, files->len);
    }

  mp_pool_close (pool);
  mp_pool_join (pool, -1, NULL, NULL);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
  g_autoptr(GPtrArray) files = NULL;

  /* In a process that the pool started this serves its tasks, and does not return. */
  mp_init ();

  if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
    {
      fputs ("usage: checksum-tree [DIR]\n", stderr);
      return 2;
    }

  files = find_files (argc == 2 ? argv[1] : "/usr/include", problems);
  if (files->len > 0)
    checksum_files (files, problems);

  if (fflush (stdout) != 0 || ferror (stdout))
    g_ptr_array_add (problems, g_strdup_printf ("checksum-tree: standard output: %s", g_strerror (errno)));
  for (guint i = 0; i < problems->len; i++)
    fprintf (stderr, "%s\n", (const char *) problems->pdata[i]);

  return problems->len > 0 ? 1 : 0;
}
