/* test-memory-file.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* Memory files whose pages are reserved, and what there is room for. */

#define MIB (G_GUINT64_CONSTANT (1) << 20)

typedef struct
{
  const char *name;
  guint64     available;
  gboolean    is_group;
  const char *meminfo;
  const char *cgroup;
  const char *mountinfo;
  const char *files[9];   /* path, text, …, NULL */
} Tree;

#define V2 "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1 "33 25 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory\n"
#define GIB_FREE "MemTotal:       2000000 kB\nMemFree:              1 kB\nMemAvailable:    1048576 kB\nSwapFree: 9 kB\n"

static const Tree trees[] = {
  { "nothing", G_MAXUINT64, FALSE, NULL, NULL, NULL, { NULL } },
  { "no-group", 1024 * MIB, FALSE, GIB_FREE, NULL, NULL, { NULL } },
  { "nonsense", G_MAXUINT64, FALSE, "MemAvailable: many kB\n", NULL, NULL, { NULL } },
  { "v2-max", 1024 * MIB, FALSE, GIB_FREE, "0::/a\n", V2,
    { "sys/fs/cgroup/a/memory.max", "max\n", "sys/fs/cgroup/a/memory.current", "1\n", NULL } },
  { "v2-own", 60 * MIB, TRUE, GIB_FREE, "0::/a\n", V2,
    { "sys/fs/cgroup/a/memory.max", "104857600\n", "sys/fs/cgroup/a/memory.current", "52428800\n",
      "sys/fs/cgroup/a/memory.stat", "anon 1\nshmem 41943040\ninactive_file 10485760\nactive_file 0\n", NULL } },
  { "v2-above", 1 * MIB, TRUE, GIB_FREE, "0::/a/b\n", V2,
    { "sys/fs/cgroup/a/memory.max", "2097152\n", "sys/fs/cgroup/a/memory.current", "1048576\n",
      "sys/fs/cgroup/a/b/memory.max", "104857600\n", "sys/fs/cgroup/a/b/memory.current", "1048576\n", NULL } },
  { "v2-full", 0, TRUE, GIB_FREE, "0::/a\n", V2,
    { "sys/fs/cgroup/a/memory.max", "1048576\n", "sys/fs/cgroup/a/memory.current", "2097152\n", NULL } },
  { "v2-wide", 1024 * MIB, FALSE, GIB_FREE, "0::/a\n", V2,
    { "sys/fs/cgroup/a/memory.max", "10737418240\n", "sys/fs/cgroup/a/memory.current", "0\n", NULL } },
  { "v1-own", 6 * MIB, TRUE, GIB_FREE, "5:cpu:/z\n4:memory:/a\n", V1,
    { "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "10485760\n",
      "sys/fs/cgroup/memory/a/memory.usage_in_bytes", "5242880\n",
      "sys/fs/cgroup/memory/a/memory.stat", "inactive_file 0\ntotal_inactive_file 524288\ntotal_active_file 524288\n", NULL } },
  { "v1-none", 1024 * MIB, FALSE, GIB_FREE, "4:memory:/a\n", V1,
    { "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n",
      "sys/fs/cgroup/memory/a/memory.usage_in_bytes", "5242880\n", NULL } },
};

static void
put_file (const char *root,
          const char *name,
          const char *text)
{
  g_autofree char *path = g_build_filename (root, name, NULL);
  g_autofree char *dir = g_path_get_dirname (path);

  g_assert_no_errno (g_mkdir_with_parents (dir, 0700));
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
remove_tree (const char *path)
{
  g_autoptr(GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      remove_tree (child);
    }
  g_remove (path);
}

static char *
make_tree (const Tree *tree)
{
  char *root = g_dir_make_tmp ("mp-room-XXXXXX", NULL);
  guint i;

  g_assert_nonnull (root);
  if (tree->meminfo != NULL)
    put_file (root, "proc/meminfo", tree->meminfo);
  if (tree->cgroup != NULL)
    put_file (root, "proc/self/cgroup", tree->cgroup);
  if (tree->mountinfo != NULL)
    put_file (root, "proc/self/mountinfo", tree->mountinfo);
  for (i = 0; tree->files[i] != NULL; i += 2)
    put_file (root, tree->files[i], tree->files[i + 1]);
  return root;
}

static void
test_room (gconstpointer data)
{
  const Tree *tree = data;
  g_autofree char *root = make_tree (tree);
  MpRoom room;

  mp_platform_memory_room (root, &room);
  g_assert_cmpuint (room.available, ==, tree->available);
  g_assert_cmpint (room.is_group, ==, tree->is_group);
  remove_tree (root);
}

/* With a limit of 60 MiB, whatever this machine has. */
static void
test_limit (void)
{
  g_autofree char *root = make_tree (&trees[4]);
  g_autoptr(GError) error = NULL;
  int fd;

  mp_memory_set_root_for_testing (root);
  g_assert_true (mp_memory_check_room (50 * MIB, &error));
  g_assert_no_error (error);
  g_assert_false (mp_memory_check_room (61 * MIB, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpstr (error->message, ==,
                   "63963136 bytes are wanted, and the limit of the control group leaves 62914560 bytes");
  g_clear_error (&error);

  g_assert_cmpint (mp_memory_create ("test", 61 * MIB, TRUE, &error), ==, -1);
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  /* Nothing is taken for it, so nothing is asked. */
  fd = mp_memory_create ("test", 1024 * MIB, FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 0);
  g_assert_false (mp_memory_reserve (fd, 0, 61 * MIB, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 0);
  mp_fd_close (&fd);
  mp_memory_set_root_for_testing (NULL);
  remove_tree (root);
}

static void
test_create (void)
{
  g_autoptr(GError) error = NULL;
  int fd = mp_memory_create ("test", 3 * MIB + 5, TRUE, &error);
  gboolean writable;
  char *memory;

  g_assert_no_error (error);
  g_assert_cmpint (fd, >, 2);
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, FD_CLOEXEC);
  g_assert_cmpint (mp_memory_file_get_size (fd), ==, 3 * MIB + 5);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), >=, 3 * MIB + 5);
  g_assert_cmpint (mp_memory_file_get_seals (fd), ==, MP_MEMORY_SEAL_SHRINK);
  g_assert_cmpint (ftruncate (fd, 1), ==, -1);
  memory = mp_memory_map (fd, 3 * MIB + 5, &writable, &error);
  g_assert_no_error (error);
  g_assert_true (writable);
  memory[3 * MIB + 4] = 'x';

  /* What is there stays. Smaller is nothing. */
  g_assert_true (mp_memory_grow (fd, 5 * MIB, &error));
  g_assert_true (mp_memory_grow (fd, 4 * MIB, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mp_memory_file_get_size (fd), ==, 5 * MIB);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 5 * MIB);
  g_assert_cmpint (memory[3 * MIB + 4], ==, 'x');
  g_assert_true (mp_memory_file_punch (fd, 0, MIB));
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 4 * MIB);
  g_assert_true (mp_memory_adopt (fd, 1, G_MAXINT64, TRUE, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 5 * MIB);
  g_assert_cmpint (memory[3 * MIB + 4], ==, 'x');

  g_assert_false (mp_memory_seal (fd, MP_MEMORY_SEAL_WRITE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);
  mp_fd_unmap (memory, 3 * MIB + 5);
  g_assert_true (mp_memory_seal (fd, MP_MEMORY_SEAL_WRITE | MP_MEMORY_SEAL_GROW, &error));
  g_assert_no_error (error);
  g_assert_false (mp_memory_grow (fd, 6 * MIB, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  memory = mp_memory_map (fd, 5 * MIB, &writable, &error);
  g_assert_no_error (error);
  g_assert_false (writable);
  g_assert_cmpint (memory[3 * MIB + 4], ==, 'x');
  mp_fd_unmap (memory, 5 * MIB);
  mp_fd_close (&fd);
}

static void
test_too_large (void)
{
  static const guint64 sizes[] = { G_GUINT64_CONSTANT (1) << 50, G_MAXINT64, G_MAXINT64 + G_GUINT64_CONSTANT (1), G_MAXUINT64 };
  struct rlimit limit, low;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_cmpint (mp_memory_create ("test", sizes[i], TRUE, &error), ==, -1);
      g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
    }

  /* Instead of the signal. */
  g_assert_no_errno (getrlimit (RLIMIT_FSIZE, &limit));
  low = limit;
  low.rlim_cur = MIB;
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &low));
  for (i = 0; i < 2; i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_cmpint (mp_memory_create ("test", 2 * MIB, i == 0, &error), ==, -1);
      g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
    }
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
}

static void
test_adopt (void)
{
  g_autoptr(GError) error = NULL;
  int fds[] = { mp_fd_open_null (), memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), -1 };
  int fd = mp_memory_create ("test", 4096, FALSE, &error);
  guint64 size;
  guint i;

  g_assert_no_error (error);
  g_assert_no_errno (ftruncate (fds[1], 4096));
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      g_assert_false (mp_memory_adopt (fds[i], 1, G_MAXINT64, TRUE, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      g_clear_error (&error);
      mp_fd_close (&fds[i]);
    }

  g_assert_false (mp_memory_adopt (fd, 4097, G_MAXINT64, TRUE, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (mp_memory_adopt (fd, 1, 4095, TRUE, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_true (mp_memory_adopt (fd, 4096, 4096, FALSE, &size, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, 4096);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 0);
  g_assert_true (mp_memory_adopt (fd, 4096, 4096, TRUE, &size, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 4096);
  mp_fd_close (&fd);
}

static guint n_signals;

static void
count_signal (int signum)
{
  n_signals++;
}

/* Of some kernels each of them undoes what was about to be done. */
static void
test_signals (void)
{
  struct sigaction action = { .sa_handler = count_signal };
  struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
  g_autoptr(GError) error = NULL;
  int fd;

  g_assert_no_errno (sigaction (SIGALRM, &action, NULL));
  g_assert_no_errno (setitimer (ITIMER_REAL, &often, NULL));
  do
    {
      fd = mp_memory_create ("test", 64 * MIB, TRUE, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (mp_memory_file_get_reserved (fd), ==, 64 * MIB);
      mp_fd_close (&fd);
    }
  while (n_signals < 3);
  g_assert_no_errno (setitimer (ITIMER_REAL, &never, NULL));
}

int
main (int   argc,
      char *argv[])
{
  guint i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (trees); i++)
    {
      g_autofree char *path = g_strdup_printf ("/memory-file/room/%s", trees[i].name);

      g_test_add_data_func (path, &trees[i], test_room);
    }
  g_test_add_func ("/memory-file/limit", test_limit);
  g_test_add_func ("/memory-file/create", test_create);
  g_test_add_func ("/memory-file/too-large", test_too_large);
  g_test_add_func ("/memory-file/adopt", test_adopt);
  g_test_add_func ("/memory-file/signals", test_signals);

  return g_test_run ();
}
