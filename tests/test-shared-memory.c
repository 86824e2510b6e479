/* test-shared-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shared-memory-test.h"

#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/memory/mp-memory-kinds-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/mman.h>

/* Shared memory in one process, and in forks of it. */

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
  g_assert_cmpint (mp_shared_memory_dup_fd (memory, &error), ==, -1);
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
  g_clear_pointer (&bytes, g_bytes_unref);
  old[1] = 'y';
  g_assert_cmpint (data[1], ==, 'y');

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

/* Another process's memory that nobody can make smaller, and that is not to be written in another way than by a seal of ours. */
static void
test_adopt_read_only (void)
{
  g_autoptr(GVariant) unnamed = g_variant_ref_sink (g_variant_new_parsed ("@ms nothing"));
  g_autoptr(GVariant) named = g_variant_ref_sink (g_variant_new_parsed ("@ms 'a'"));
  MpShareableAdopt adopt;
  g_autoptr(MpShareable) object = NULL;
  g_autoptr(GBytes) text = g_bytes_new_static ("x", 1);
  g_autoptr(GError) error = NULL;
  g_autofree char *path = NULL;
  int fd = mp_memory_file_new ("test"), again;
  gboolean writable;
  char *theirs;

  mp_shared_memory_ensure_kind ();
  adopt = mp_shareable_find_kind ("shared-memory");
  g_assert_true (mp_memory_grow (fd, 100, &error));
  path = g_strdup_printf ("/proc/self/fd/%d", fd);

  /* A descriptor that is for reading only. */
  again = g_open (path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (again, >=, 0);
  g_assert_null (adopt (unnamed, &again, 1, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_null (adopt (named, &again, 1, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  mp_fd_close (&again);

  /* One that its maker alone can write, where it was mapped before. */
  theirs = mp_memory_map (fd, 100, &writable, &error);
  g_assert_true (writable);
  g_assert_no_errno (fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  object = adopt (unnamed, &fd, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mp_shared_memory_get_seals (MP_SHARED_MEMORY (object)), ==, MP_SEAL_FLAGS_WRITE);
  g_assert_false (mp_shared_memory_write (MP_SHARED_MEMORY (object), 0, text, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_READ_ONLY);
  theirs[1] = 'y';
  check (MP_SHARED_MEMORY (object), 1, "y");
  mp_fd_unmap (theirs, 100);
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

static gint stopping;   /* atomic */

static gpointer
use_until_stopped (gpointer data)
{
  while (!g_atomic_int_get (&stopping))
    {
      g_autoptr(GBytes) bytes = mp_shared_memory_read (data, 10, 20, NULL);

      g_assert_nonnull (bytes);
    }
  return NULL;
}

/* The child's copy of a lock that another thread holds would never be released. */
static void
test_fork_with_threads (void)
{
  g_autofree char *name = own_name ("threads");
  g_autoptr(MpSharedMemory) memory = make_named (name, 100);
  GThread *threads[3];
  guint i;

  g_atomic_int_set (&stopping, FALSE);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("user", use_until_stopped, memory);
  for (i = 0; i < 50; i++)
    {
      pid_t pid = fork ();
      int status;

      if (pid == 0)
        {
          alarm (20);
          _exit (mp_shared_memory_get_size (memory) == 100 ? 0 : 1);
        }
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_cmpint (status, ==, 0);
    }
  g_atomic_int_set (&stopping, TRUE);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
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
  g_test_add_func ("/shared-memory/adopt", test_adopt);
  g_test_add_func ("/shared-memory/adopt-read-only", test_adopt_read_only);
  g_test_add_func ("/shared-memory/fork", test_fork);
  g_test_add_func ("/shared-memory/fork-with-threads", test_fork_with_threads);

  return g_test_run ();
}
