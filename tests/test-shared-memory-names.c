/* test-shared-memory-names.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "instrument-test.h"
#include "shared-memory-test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Shared memory with names, their owners, and managers. */

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
  static const char *const bad[] = { "", "/", "a/b", ".", "..", "/..", "//", "a/", "\xff" };
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

static void
test_too_large (void)
{
  g_autofree char *name = own_name ("large");
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_shared_memory_new_named (name, (gsize) 1 << 50, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_false (exists (name));
}

/* Where files cannot be without a name. */
static void
test_by_steps (void)
{
  mp_shared_memory_names_set_by_steps_for_testing (TRUE);
  test_named ();
  test_names ();
  test_foreign ();
  test_too_large ();
  mp_shared_memory_names_set_by_steps_for_testing (FALSE);
}

static char *empty_root;

/* Without a folder that could be written to, and without /proc: as in the narrowest sandbox. */
static void
do_with_nothing (int socket)
{
  g_autoptr(MpSharedMemory) memory = NULL;
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  if ((unshare (CLONE_NEWUSER) < 0 && geteuid () != 0) || chroot (empty_root) < 0 || chdir ("/") < 0)
    {
      tell (socket, 0);
      return;
    }
  tell (socket, 1);

  g_assert_null (mp_shared_memory_new_named (NULL, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_cmpstr (error->message, ==,
                   "shared memory creation: nothing can have a name, because there is no folder /dev/shm");
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_attach ("x", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  memory = make (2 * MIB);
  put (memory, 0, "works");
  check (memory, 0, "works");
  g_assert_true (mp_shared_memory_grow (memory, 4 * MIB, NULL));
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 4 * MIB);
  g_clear_object (&memory);
  tell (socket, 2);
}

static void
test_with_nothing (void)
{
  Peer peer;

  empty_root = g_dir_make_tmp ("mp-empty-XXXXXX", NULL);
  peer = peer_start (do_with_nothing);
  if (hear (peer.socket) == 0)
    g_test_skip ("not allowed to change the root");
  else
    g_assert_cmpuint (hear (peer.socket), ==, 2);
  peer_join (&peer);
  g_assert_no_errno (g_rmdir (empty_root));
  g_clear_pointer (&empty_root, g_free);
}

static void
do_without_descriptors (int socket)
{
  g_autofree char *name = g_strdup_printf ("mp-test-descriptors-%d", getppid ());
  struct rlimit low = { 0, 0 };
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &low));
  g_assert_null (mp_shared_memory_new (100, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_new_named (name, 100, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_attach (name, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  tell (socket, 1);
}

static void
test_descriptors (void)
{
  Peer peer;

  if (!limit_is_real ())
    return;

  peer = peer_start (do_without_descriptors);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_join (&peer);
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
  g_autoptr(MpShareableList) list = NULL;

  g_assert_no_error (error);
  mp_shared_memory_set_owner (c, FALSE);
  g_assert_true (mp_shared_memory_manager_add (manager, c, &error));
  g_assert_true (mp_shared_memory_manager_add (manager, c, &error));
  g_assert_no_error (error);
  list = mp_shared_memory_manager_create_list (manager, g_variant_new_parsed ("(@x 1, 'two')"), &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mp_shareable_list_get_length (list), ==, 2);
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
  g_assert_true (mp_shared_memory_is_closed (mp_shareable_list_get_memory (list)));
  g_assert_null (mp_shareable_list_get_item (list, 0, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_null (mp_shared_memory_manager_create_list (manager, g_variant_new_parsed ("(@x 1,)"), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
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

#define N_GROWERS 4

static gpointer
grow_much (gpointer data)
{
  g_autoptr(MpSharedMemory) memory = data;
  guint i;

  for (i = 1; i <= 100; i++)
    {
      gsize size, wanted = i * 20000 + g_random_int_range (0, 20000);
      g_autoptr(GError) error = NULL;
      guint8 *bytes;

      if (!mp_shared_memory_grow (memory, wanted, &error))
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
          continue;
        }
      bytes = mp_shared_memory_get_data (memory, &size);
      g_assert_cmpuint (size, >=, wanted);
      __atomic_fetch_add (bytes + wanted - 1, 1, __ATOMIC_SEQ_CST);
      __atomic_fetch_add (bytes, 1, __ATOMIC_SEQ_CST);
    }
  return NULL;
}

/* By several at once: never smaller again. */
static void
test_growers (void)
{
  g_autofree char *name = own_name ("growers");
  guint i, round;

  for (round = 0; round < 20; round++)
    {
      MpSharedMemory *memory = make_named (name, 1);
      GThread *threads[N_GROWERS];
      g_autoptr(GError) error = NULL;

      for (i = 0; i < N_GROWERS; i++)
        threads[i] = g_thread_new ("grower", grow_much, mp_shared_memory_attach (name, &error));
      g_assert_no_error (error);
      for (i = 0; i < N_GROWERS; i++)
        g_thread_join (threads[i]);
      g_assert_cmpuint (mp_shared_memory_get_size (memory), >=, 2000000);
      g_assert_finalize_object (memory);
    }
}

static gpointer
shrink_and_grow (gpointer data)
{
  const gint *fd_and_end = data;

  while (g_atomic_int_get (&fd_and_end[1]) == 0)
    {
      g_assert_no_errno (ftruncate (fd_and_end[0], 0));
      g_assert_no_errno (ftruncate (fd_and_end[0], MIB));
    }
  return NULL;
}

/* Whoever may open it makes it smaller while it is read and written: that is an error, and no signal. */
static void
test_shrinking (void)
{
  g_autofree char *name = own_name ("shrinking");
  g_autofree char *path = g_build_filename ("/dev/shm", name, NULL);
  g_autoptr(MpSharedMemory) memory = make_named (name, MIB);
  g_autofree guint8 *zeros = g_malloc0 (MIB);
  g_autoptr(GBytes) bytes = g_bytes_new_static (zeros, MIB);
  gint fd_and_end[2] = { g_open (path, O_RDWR | O_CLOEXEC, 0), 0 };
  guint n_done = 0, n_refused = 0;
  GThread *thread;

  g_assert_cmpint (fd_and_end[0], >=, 0);
  thread = g_thread_new ("shrinker", shrink_and_grow, fd_and_end);
  while (n_refused < 100 || n_done < 100)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GBytes) read = mp_shared_memory_read (memory, 0, MIB, &error);

      if (read == NULL)
        n_refused++;
      else
        n_done++;
      g_clear_error (&error);
      if (!mp_shared_memory_write (memory, 0, bytes, &error))
        g_assert_nonnull (error);
    }
  g_atomic_int_set (&fd_and_end[1], 1);
  g_thread_join (thread);
  close (fd_and_end[0]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/shared-memory-names/named", test_named);
  g_test_add_func ("/shared-memory-names/owner", test_owner);
  g_test_add_func ("/shared-memory-names/unlink", test_unlink);
  g_test_add_func ("/shared-memory-names/names", test_names);
  g_test_add_func ("/shared-memory-names/foreign", test_foreign);
  g_test_add_func ("/shared-memory-names/too-large", test_too_large);
  g_test_add_func ("/shared-memory-names/by-steps", test_by_steps);
  g_test_add_func ("/shared-memory-names/no-folder", test_no_folder);
  g_test_add_func ("/shared-memory-names/with-nothing", test_with_nothing);
  g_test_add_func ("/shared-memory-names/descriptors", test_descriptors);
  g_test_add_func ("/shared-memory-names/exit", test_exit);
  g_test_add_func ("/shared-memory-names/growers", test_growers);
  g_test_add_func ("/shared-memory-names/shrinking", test_shrinking);
  g_test_add_func ("/shared-memory-names/manager", test_manager);

  return g_test_run ();
}
