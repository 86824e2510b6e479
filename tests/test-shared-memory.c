/* test-shared-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"

#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/memory/mp-memory-kinds-private.h"
#include "mp-glib/memory/mp-shared-memory-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Shared memory in one process, and in forks of it. */

#define MIB ((gsize) 1 << 20)

static MpSharedMemory *
make (gsize size)
{
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = mp_shared_memory_new (size, &error);

  g_assert_no_error (error);
  return memory;
}

static MpSharedMemory *
make_named (const char *name,
            gsize       size)
{
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = mp_shared_memory_new_named (name, size, &error);

  g_assert_no_error (error);
  return memory;
}

/* A name that no other test has, nor another run of this one. */
static char *
own_name (const char *name)
{
  return g_strdup_printf ("mp-test-%s-%d", name, getpid ());
}

static gboolean
exists (const char *name)
{
  g_autofree char *path = g_build_filename ("/dev/shm", name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static void
put (MpSharedMemory *memory,
     guint64         offset,
     const char     *text)
{
  g_autoptr(GBytes) bytes = g_bytes_new (text, strlen (text));
  g_autoptr(GError) error = NULL;

  mp_shared_memory_write (memory, offset, bytes, &error);
  g_assert_no_error (error);
}

static void
check (MpSharedMemory *memory,
       guint64         offset,
       const char     *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_shared_memory_read (memory, offset, strlen (text), &error);
  gsize size;
  gconstpointer data;

  g_assert_no_error (error);
  data = g_bytes_get_data (bytes, &size);
  g_assert_cmpmem (data, size, text, strlen (text));
}

static void
test_unnamed (void)
{
  MpSharedMemory *memory = make (MIB + 3);
  gsize size;
  char *data = mp_shared_memory_get_data (memory, &size);
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GBytes) copy = NULL;
  g_autoptr(GError) error = NULL;
  gsize i;

  g_assert_nonnull (data);
  g_assert_cmpuint (size, ==, MIB + 3);
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, MIB + 3);
  g_assert_null (mp_shared_memory_get_name (memory));
  g_assert_false (mp_shared_memory_get_owner (memory));
  mp_shared_memory_set_owner (memory, TRUE);
  g_assert_false (mp_shared_memory_get_owner (memory));
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (memory)));
  g_assert_cmpuint (mp_shared_memory_get_seals (memory), ==, MP_SEAL_FLAGS_NONE);
  g_assert_false (mp_shared_memory_unlink (memory, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  for (i = 0; i < size; i++)
    g_assert_cmpint (data[i], ==, 0);

  strcpy (data + MIB - 2, "ab");
  check (memory, MIB - 2, "ab");
  put (memory, MIB - 1, "cde");
  g_assert_cmpstr (data + MIB - 2, ==, "acde");
  bytes = mp_shared_memory_get_bytes (memory, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_get_data (bytes, NULL) == data);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, MIB + 3);
  copy = mp_shared_memory_dup_bytes (memory, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (bytes, copy));
  data[0] = 'x';
  g_assert_false (g_bytes_equal (bytes, copy));

  /* The bytes keep what they need. */
  g_assert_finalize_object (memory);
  g_assert_cmpint (((const char *) g_bytes_get_data (bytes, NULL))[0], ==, 'x');
}

static void
test_range (void)
{
  static const struct { guint64 offset; gsize length; } bad[] = {
    { 0, 101 }, { 100, 1 }, { 101, 0 }, { 50, 51 }, { G_MAXUINT64, 2 }, { 2, G_MAXSIZE }, { G_MAXUINT64, G_MAXSIZE },
  };
  g_autofree char *name = own_name ("range");
  MpSharedMemory *memories[] = { make (100), make_named (name, 100) };
  guint i, j;

  for (j = 0; j < G_N_ELEMENTS (memories); j++)
    {
      g_autoptr(MpSharedMemory) memory = memories[j];
      g_autoptr(GBytes) none = NULL;
      g_autoptr(GBytes) much = g_bytes_new_static (name, 11);
      g_autoptr(GError) error = NULL;

      for (i = 0; i < G_N_ELEMENTS (bad); i++)
        {
          g_assert_null (mp_shared_memory_read (memory, bad[i].offset, bad[i].length, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
          g_clear_error (&error);
        }
      g_assert_false (mp_shared_memory_write (memory, 90, much, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
      g_assert_cmpstr (error->message, ==, "shared memory write: 11 bytes from 90 are not all in it: it has 100");
      g_clear_error (&error);
      none = mp_shared_memory_read (memory, 100, 0, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (g_bytes_get_size (none), ==, 0);
      g_assert_true (mp_shared_memory_write (memory, 100, none, &error));
      g_assert_no_error (error);
    }
}

static void
test_closed (void)
{
  MpSharedMemory *memory = make (100);
  g_autoptr(GBytes) bytes = g_bytes_new_static ("x", 1);
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  guint n_fds = count_fds ();
  g_autoptr(GError) error = NULL;
  gsize size = 1;

  g_assert_nonnull (mp_shared_memory_get_data (memory, NULL));
  g_assert_false (mp_shared_memory_is_closed (memory));
  mp_shared_memory_close (memory);
  mp_shared_memory_close (memory);
  g_assert_cmpuint (count_fds (), ==, n_fds - 1);
  g_assert_true (mp_shared_memory_is_closed (memory));
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 0);
  g_assert_null (mp_shared_memory_get_data (memory, &size));
  g_assert_cmpuint (size, ==, 0);
  g_assert_null (mp_shared_memory_get_bytes (memory, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_dup_bytes (memory, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (mp_shared_memory_write (memory, 0, bytes, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (mp_shared_memory_grow (memory, 200, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_GROW, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_null (MP_SHAREABLE_GET_IFACE (memory)->describe (MP_SHAREABLE (memory), fds, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_finalize_object (memory);
}

static void
test_sizes (void)
{
  static const gsize too_large[] = { (gsize) 1 << 50, G_MAXSSIZE, (gsize) G_MAXSSIZE + 1, G_MAXSIZE };
  g_autoptr(GError) error = NULL;
  guint i;

  g_assert_null (mp_shared_memory_new (0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_new_named (NULL, 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);

  for (i = 0; i < G_N_ELEMENTS (too_large); i++)
    {
      g_autoptr(MpSharedMemory) memory = make (1);
      g_autofree char *name = own_name ("large");

      g_assert_null (mp_shared_memory_new (too_large[i], &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
      g_clear_error (&error);
      g_assert_null (mp_shared_memory_new_named (name, too_large[i], &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
      g_clear_error (&error);
      g_assert_false (exists (name));
      g_assert_false (mp_shared_memory_grow (memory, too_large[i], &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
      g_clear_error (&error);
      g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 1);
    }
}

static void
test_limit (void)
{
  g_autofree char *root = g_dir_make_tmp ("mp-limit-XXXXXX", NULL);
  g_autofree char *proc = g_build_filename (root, "proc", NULL);
  g_autofree char *meminfo = g_build_filename (proc, "meminfo", NULL);
  g_autoptr(MpSharedMemory) memory = make (4 * MIB);
  g_autofree char *name = own_name ("limit");
  g_autoptr(GError) error = NULL;

  g_assert_no_errno (g_mkdir (proc, 0700));
  g_assert_true (g_file_set_contents (meminfo, "MemAvailable:    16384 kB\n", -1, NULL));
  mp_memory_set_root_for_testing (root);
  g_assert_null (mp_shared_memory_new (16 * MIB, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpstr (error->message, ==,
                   "shared memory creation: 16777216 bytes are wanted, and the memory available is 16777216 bytes");
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_new_named (name, 16 * MIB, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  g_assert_false (exists (name));
  g_assert_false (mp_shared_memory_grow (memory, 20 * MIB, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 4 * MIB);
  g_clear_error (&error);
  g_assert_true (mp_shared_memory_grow (memory, 12 * MIB, &error));
  g_assert_no_error (error);
  mp_memory_set_root_for_testing (NULL);

  g_remove (meminfo);
  g_remove (proc);
  g_remove (root);
}

static void
test_grow (void)
{
  g_autoptr(MpSharedMemory) memory = make (5000);
  char *old = mp_shared_memory_get_data (memory, NULL), *data;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  gsize size;

  put (memory, 4998, "ab");
  bytes = mp_shared_memory_get_bytes (memory, &error);
  g_assert_no_error (error);
  g_assert_true (mp_shared_memory_grow (memory, 3 * MIB, &error));
  g_assert_no_error (error);
  data = mp_shared_memory_get_data (memory, &size);
  g_assert_cmpuint (size, ==, 3 * MIB);
  check (memory, 4998, "ab");
  g_assert_cmpint (data[5000], ==, 0);
  g_assert_cmpint (data[3 * MIB - 1], ==, 0);

  /* The old pointer is as good. */
  g_assert_cmpint (old[4999], ==, 'b');
  old[0] = 'x';
  g_assert_cmpint (data[0], ==, 'x');
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 5000);

  g_assert_true (mp_shared_memory_grow (memory, 3 * MIB, &error));
  g_assert_no_error (error);
  g_assert_false (mp_shared_memory_grow (memory, 3 * MIB - 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 3 * MIB);
}

static void
test_seal (void)
{
  g_autoptr(MpSharedMemory) memory = make (100);
  g_autoptr(GBytes) bytes = mp_shared_memory_get_bytes (memory, NULL);
  g_autoptr(GBytes) text = g_bytes_new_static ("x", 1);
  g_autofree char *name = own_name ("seal");
  g_autoptr(MpSharedMemory) named = make_named (name, 1);
  g_autoptr(GError) error = NULL;

  put (memory, 98, "ab");
  g_assert_true (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_GROW, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_shared_memory_get_seals (memory), ==, MP_SEAL_FLAGS_GROW);
  g_assert_false (mp_shared_memory_grow (memory, 200, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_assert_cmpstr (error->message, ==, "shared memory grow: the memory is sealed");
  g_clear_error (&error);
  put (memory, 99, "c");

  g_assert_false (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_WRITE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);
  g_clear_pointer (&bytes, g_bytes_unref);
  g_assert_true (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_WRITE, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_shared_memory_get_seals (memory), ==, MP_SEAL_FLAGS_GROW | MP_SEAL_FLAGS_WRITE);
  g_assert_false (mp_shared_memory_write (memory, 0, text, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_READ_ONLY);
  g_clear_error (&error);
  check (memory, 98, "ac");
  g_assert_cmpint (((char *) mp_shared_memory_get_data (memory, NULL))[99], ==, 'c');

  g_assert_false (mp_shared_memory_seal (named, MP_SEAL_FLAGS_GROW, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

static void
test_named (void)
{
  g_autofree char *name = own_name ("named");
  g_autofree char *path = g_build_filename ("/dev/shm", name, NULL);
  g_autofree char *with_slash = g_strconcat ("/", name, NULL);
  MpSharedMemory *memory = make_named (with_slash, 5000), *other;
  g_autoptr(GError) error = NULL;
  struct stat status;

  g_assert_cmpstr (mp_shared_memory_get_name (memory), ==, name);
  g_assert_true (mp_shared_memory_get_owner (memory));
  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (memory)));
  g_assert_no_errno (stat (path, &status));
  g_assert_cmpint (status.st_mode & 07777, ==, 0600);
  g_assert_cmpint (status.st_size, ==, 5000);
  g_assert_cmpint (status.st_blocks * 512, >=, 5000);
  g_assert_null (mp_shared_memory_new_named (name, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_clear_error (&error);

  other = mp_shared_memory_attach (name, &error);
  g_assert_no_error (error);
  g_assert_false (mp_shared_memory_get_owner (other));
  g_assert_cmpuint (mp_shared_memory_get_size (other), ==, 5000);
  put (memory, 4998, "ab");
  check (other, 4998, "ab");
  g_assert_true (mp_shared_memory_grow (other, 9000, &error));
  g_assert_no_error (error);
  put (other, 8999, "z");
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 9000);
  check (memory, 8999, "z");

  /* Who is not the owner leaves the name. */
  g_assert_finalize_object (other);
  g_assert_true (exists (name));
  g_assert_finalize_object (memory);
  g_assert_false (exists (name));
  g_assert_null (mp_shared_memory_attach (name, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

static void
test_owner (void)
{
  g_autofree char *name = own_name ("owner");
  MpSharedMemory *memory = make_named (name, 1);
  g_autoptr(MpSharedMemory) other = NULL;
  g_autoptr(GError) error = NULL;

  mp_shared_memory_set_owner (memory, FALSE);
  g_assert_false (mp_shared_memory_get_owner (memory));
  mp_shared_memory_close (memory);
  g_assert_true (exists (name));
  other = mp_shared_memory_attach (name, &error);
  g_assert_no_error (error);
  g_object_set (other, "owner", TRUE, NULL);
  g_assert_true (mp_shared_memory_get_owner (other));
  mp_shared_memory_close (other);
  g_assert_false (mp_shared_memory_get_owner (other));
  g_assert_false (exists (name));
  g_object_unref (memory);
}

static void
test_unlink (void)
{
  g_autofree char *name = own_name ("unlink");
  g_autoptr(MpSharedMemory) memory = make_named (name, 10);
  g_autoptr(MpSharedMemory) second = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_shared_memory_unlink (memory, &error));
  g_assert_no_error (error);
  g_assert_false (exists (name));
  g_assert_false (mp_shared_memory_get_owner (memory));
  put (memory, 0, "still");
  check (memory, 0, "still");

  /* The name is another one's now. */
  second = make_named (name, 10);
  g_assert_false (mp_shared_memory_unlink (memory, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  mp_shared_memory_set_owner (memory, TRUE);
  mp_shared_memory_close (memory);
  g_assert_true (exists (name));

  mp_shared_memory_set_owner (second, FALSE);
  mp_shared_memory_close (second);
  g_assert_true (mp_shared_memory_unlink (second, &error));
  g_assert_no_error (error);
  g_assert_false (exists (name));
}

static void
test_names (void)
{
  static const char *const bad[] = { "", "/", "a/b", ".", "..", "/..", "//", "a/" };
  g_autofree char *longest = g_strnfill (256, 'x');
  g_autofree char *missing = own_name ("missing");
  g_autoptr(MpSharedMemory) a = make_named (NULL, 1);
  g_autoptr(MpSharedMemory) b = make_named (NULL, 1);
  g_autoptr(GError) error = NULL;
  guint i;

  g_assert_true (g_str_has_prefix (mp_shared_memory_get_name (a), "psm_"));
  g_assert_cmpuint (strlen (mp_shared_memory_get_name (a)), ==, 12);
  g_assert_cmpstr (mp_shared_memory_get_name (a), !=, mp_shared_memory_get_name (b));

  for (i = 0; i <= G_N_ELEMENTS (bad); i++)
    {
      const char *name = i < G_N_ELEMENTS (bad) ? bad[i] : longest;

      g_assert_null (mp_shared_memory_new_named (name, 1, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_null (mp_shared_memory_attach (name, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
    }

  g_assert_null (mp_shared_memory_attach (missing, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

/* What has a name, and is none of it. */
static void
test_foreign (void)
{
  g_autofree char *name = own_name ("foreign");
  g_autofree char *path = g_build_filename ("/dev/shm", name, NULL);
  g_autoptr(MpSharedMemory) memory = NULL;
  g_autoptr(GError) error = NULL;
  guint i;
  int fd;

  for (i = 0; i < 4; i++)
    {
      if (i == 0)
        g_assert_no_errno (mkdir (path, 0700));
      else if (i == 1)
        g_assert_no_errno (symlink ("/etc/passwd", path));
      else if (i == 2)
        g_assert_no_errno (mkfifo (path, 0600));
      else
        g_assert_true (g_file_set_contents (path, "", 0, NULL));
      g_assert_null (mp_shared_memory_attach (name, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_null (mp_shared_memory_new_named (name, 1, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
      g_clear_error (&error);
      g_assert_no_errno (g_remove (path));
    }

  /* Nothing in it was reserved: it is now. */
  fd = g_open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  g_assert_cmpint (fd, >=, 0);
  g_assert_no_errno (ftruncate (fd, 3 * MIB));
  memory = mp_shared_memory_attach (name, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 3 * MIB);

  /* And whoever may open it makes it smaller. */
  put (memory, 2 * MIB, "here");
  g_assert_no_errno (ftruncate (fd, MIB));
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, MIB);
  g_assert_null (mp_shared_memory_read (memory, 2 * MIB, 4, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  check (memory, MIB - 1, "\0");
  g_assert_no_errno (ftruncate (fd, 0));
  g_assert_null (mp_shared_memory_get_data (memory, NULL));
  g_assert_null (mp_shared_memory_get_bytes (memory, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_no_errno (g_remove (path));
  close (fd);
}

static void
test_no_folder (void)
{
  g_autofree char *dir = g_dir_make_tmp ("mp-shm-XXXXXX", NULL);
  g_autoptr(MpSharedMemory) memory = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_no_errno (g_rmdir (dir));
  mp_shared_memory_names_set_folder_for_testing (dir);
  g_assert_null (mp_shared_memory_new_named ("x", 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_new_named (NULL, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_attach ("x", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  memory = make (100);
  put (memory, 0, "works");
  check (memory, 0, "works");
  mp_shared_memory_names_set_folder_for_testing (NULL);
}

/* Where files cannot be without a name. */
static void
test_by_steps (void)
{
  mp_shared_memory_names_set_by_steps_for_testing (TRUE);
  test_named ();
  test_names ();
  test_foreign ();
  test_sizes ();
  test_limit ();
  mp_shared_memory_names_set_by_steps_for_testing (FALSE);
}

static void
test_adopt (void)
{
  static const char *const states[] = { "@ms nothing", "@ms 'a/b'", "@ms ''", "@ms '/a'", "'a'", "()", "@ms 'a'" };
  MpShareableAdopt adopt;
  guint i, j;

  mp_shared_memory_ensure_kind ();
  adopt = mp_shareable_find_kind ("shared-memory");
  g_assert_nonnull (adopt);
  for (i = 0; i < G_N_ELEMENTS (states); i++)
    {
      g_autoptr(GVariant) state = g_variant_ref_sink (g_variant_new_parsed (states[i]));

      for (j = 0; j < 6; j++)
        {
          int fds[2] = { -1, -1 };
          guint n_fds = j == 5 ? 2 : j != 4;
          g_autoptr(MpShareable) object = NULL;
          g_autoptr(GError) error = NULL;
          int k;

          /* Nothing, no memory, memory that can shrink, memory of no size, no descriptor, two descriptors. */
          if (j == 1)
            fds[0] = mp_fd_open_null ();
          else if (j == 2 || j == 5)
            fds[0] = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
          else if (j == 3)
            fds[0] = mp_memory_file_new ("test");
          if (j == 2)
            g_assert_no_errno (ftruncate (fds[0], 100));
          object = adopt (state, fds, n_fds, &error);
          /* One that is called by a name may shrink. */
          if (i == G_N_ELEMENTS (states) - 1 && j == 2)
            g_assert_no_error (error);
          else
            g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
          for (k = 0; k < 2; k++)
            mp_fd_close (&fds[k]);
        }
    }
}

static MpSharedMemory *common;   /* of the test that runs */

static void
use_in_fork (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  check (common, 0, "before");
  put (common, 0, "behind");
  g_assert_true (mp_shared_memory_grow (common, 2 * MIB, &error));
  put (common, 2 * MIB - 3, "end");
  if (mp_shared_memory_get_owner (common))
    tell (socket, 2);
  mp_shared_memory_close (common);
  tell (socket, 1);
  hear (socket);
}

static void
check_fork (void)
{
  Peer peer;

  put (common, 0, "before");
  peer = peer_start (use_in_fork);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_kill (&peer);
  check (common, 0, "behind");
  check (common, 2 * MIB - 3, "end");
}

static void
test_fork (void)
{
  g_autofree char *name = own_name ("fork");

  common = make (100);
  check_fork ();
  g_assert_finalize_object (common);

  common = make_named (name, 100);
  check_fork ();
  g_assert_true (exists (name));
  g_assert_true (mp_shared_memory_get_owner (common));
  g_assert_finalize_object (common);
  g_assert_false (exists (name));
}

static void
make_and_exit (int socket)
{
  static MpSharedMemory *kept[2];
  g_autofree char *first = g_strdup_printf ("mp-test-exit-a-%d", getppid ());
  g_autofree char *second = g_strdup_printf ("mp-test-exit-b-%d", getppid ());

  end_with_parent ();
  kept[0] = make_named (first, 1);
  kept[1] = make_named (second, 1);
  mp_shared_memory_set_owner (kept[1], FALSE);
  if (hear (socket) == 1)
    exit (0);
  tell (socket, 1);
  pause ();
}

/* The names of what nobody freed. */
static void
test_exit (void)
{
  g_autofree char *first = own_name ("exit-a");
  g_autofree char *second = own_name ("exit-b");
  g_autoptr(MpSharedMemory) left = NULL;
  g_autoptr(GError) error = NULL;
  guint i;

  for (i = 0; i < 2; i++)
    {
      Peer peer = peer_start (make_and_exit);

      /* Exits, or is killed. */
      tell (peer.socket, i == 0);
      if (i == 0)
        {
          int status;

          g_assert_cmpint (waitpid (peer.pid, &status, 0), ==, peer.pid);
          g_assert_true (WIFEXITED (status));
          /* Valgrind has another one for what the test itself had not freed yet when it forked. */
          if (g_getenv ("MP_TESTS_SLOW") == NULL)
            g_assert_cmpint (WEXITSTATUS (status), ==, 0);
          close (peer.socket);
        }
      else
        {
          g_assert_cmpuint (hear (peer.socket), ==, 1);
          peer_kill (&peer);
        }
      g_assert_cmpint (exists (first), ==, i == 1);
      g_assert_true (exists (second));
      left = mp_shared_memory_attach (second, &error);
      g_assert_no_error (error);
      g_assert_true (mp_shared_memory_unlink (left, &error));
      g_clear_object (&left);
    }
  left = mp_shared_memory_attach (first, &error);
  g_assert_no_error (error);
  mp_shared_memory_set_owner (left, TRUE);
}

#define N_GROWERS 4

static gpointer
grow_much (gpointer data)
{
  guint i;

  for (i = 1; i <= 50; i++)
    {
      gsize size, wanted = i * 10000 + GPOINTER_TO_UINT (data);
      g_autoptr(GError) error = NULL;
      guint8 *memory;

      if (!mp_shared_memory_grow (common, wanted, &error))
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
          continue;
        }
      memory = mp_shared_memory_get_data (common, &size);
      g_assert_cmpuint (size, >=, wanted);
      __atomic_fetch_add (memory + wanted - 1, 1, __ATOMIC_SEQ_CST);
      __atomic_fetch_add (memory, 1, __ATOMIC_SEQ_CST);
    }
  return NULL;
}

/* By several at once: never smaller again, and nothing is lost. */
static void
test_threads (void)
{
  GThread *threads[N_GROWERS];
  guint i;

  common = make (1);
  for (i = 0; i < N_GROWERS; i++)
    threads[i] = g_thread_new ("grower", grow_much, GUINT_TO_POINTER (i));
  for (i = 0; i < N_GROWERS; i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (mp_shared_memory_get_size (common), ==, 500000 + N_GROWERS - 1);
  g_assert_finalize_object (common);
}

static void
test_manager (void)
{
  MpSharedMemoryManager *manager = mp_shared_memory_manager_new ();
  g_autofree char *name = own_name ("manager");
  g_autofree char *more = own_name ("manager-more");
  guint n_fds = count_fds ();
  g_autoptr(GError) error = NULL;
  MpSharedMemory *a = mp_shared_memory_manager_create (manager, 100, &error);
  MpSharedMemory *b = mp_shared_memory_manager_create_named (manager, name, 100, &error);
  MpSharedMemory *c = make_named (more, 100);
  g_autoptr(GBytes) bytes = mp_shared_memory_get_bytes (a, &error);

  g_assert_no_error (error);
  mp_shared_memory_set_owner (c, FALSE);
  g_assert_true (mp_shared_memory_manager_add (manager, c, &error));
  g_assert_true (mp_shared_memory_manager_add (manager, c, &error));
  g_assert_no_error (error);
  g_assert_null (mp_shared_memory_manager_create (manager, 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  put (a, 0, "x");
  g_object_unref (c);
  g_assert_true (exists (name) && exists (more));

  mp_shared_memory_manager_shutdown (manager);
  mp_shared_memory_manager_shutdown (manager);
  g_assert_false (exists (name) || exists (more));
  g_assert_true (mp_shared_memory_is_closed (a));
  g_assert_true (mp_shared_memory_is_closed (b));
  g_assert_cmpuint (count_fds (), ==, n_fds);
  g_assert_cmpint (((const char *) g_bytes_get_data (bytes, NULL))[0], ==, 'x');
  g_assert_null (mp_shared_memory_manager_create (manager, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_manager_create_named (manager, name, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_false (exists (name));
  g_assert_finalize_object (a);
  g_assert_finalize_object (b);
  g_assert_finalize_object (manager);

  /* At its end too. */
  manager = mp_shared_memory_manager_new ();
  b = mp_shared_memory_manager_create_named (manager, name, 100, NULL);
  g_object_unref (b);
  g_assert_true (exists (name));
  g_assert_finalize_object (manager);
  g_assert_false (exists (name));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/shared-memory/unnamed", test_unnamed);
  g_test_add_func ("/shared-memory/range", test_range);
  g_test_add_func ("/shared-memory/closed", test_closed);
  g_test_add_func ("/shared-memory/sizes", test_sizes);
  g_test_add_func ("/shared-memory/limit", test_limit);
  g_test_add_func ("/shared-memory/grow", test_grow);
  g_test_add_func ("/shared-memory/seal", test_seal);
  g_test_add_func ("/shared-memory/named", test_named);
  g_test_add_func ("/shared-memory/owner", test_owner);
  g_test_add_func ("/shared-memory/unlink", test_unlink);
  g_test_add_func ("/shared-memory/names", test_names);
  g_test_add_func ("/shared-memory/foreign", test_foreign);
  g_test_add_func ("/shared-memory/by-steps", test_by_steps);
  g_test_add_func ("/shared-memory/no-folder", test_no_folder);
  g_test_add_func ("/shared-memory/adopt", test_adopt);
  g_test_add_func ("/shared-memory/fork", test_fork);
  g_test_add_func ("/shared-memory/exit", test_exit);
  g_test_add_func ("/shared-memory/threads", test_threads);
  g_test_add_func ("/shared-memory/manager", test_manager);

  return g_test_run ();
}
