/* test-listener-files.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The files of listeners at UNIX sockets. */

#include "config.h"

#include "listener-test.h"

#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A socket of somebody else's. */
static int
bind_raw (const char *path,
          int         type,
          gboolean    listens)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC, 0);

  g_assert_cmpuint (g_strlcpy (address.sun_path, path, sizeof address.sun_path), <, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  if (listens)
    g_assert_cmpint (listen (fd, 1), ==, 0);
  return fd;
}

static ino_t
get_inode (const char *path)
{
  struct stat found;

  return lstat (path, &found) == 0 ? found.st_ino : 0;
}

static void
check_refused (const char *path,
               int         code)
{
  g_autoptr(GError) error = NULL;
  ino_t inode = get_inode (path);
  guint n_files = count_files (folder);

  g_assert_null (mp_listener_new (path, NULL, &error));
  g_assert_error (error, G_IO_ERROR, code);
  g_assert_cmpuint (get_inode (path), ==, inode);
  g_assert_cmpuint (count_files (folder), ==, n_files);
}

static void
check_works (MpListener *listener)
{
  int fd = dial_listener (listener);

  g_assert_finalize_object (accept_ok (listener));
  close (fd);
}

/* A thread that looks at each file that there is, all the time. */
static int n_looks;   /* atomic; -1: it is to end */

static gpointer
look_thread (gpointer data)
{
  struct stat found;
  const char *name;

  while (g_atomic_int_get (&n_looks) >= 0)
    {
      g_autoptr(GDir) directory = g_dir_open (folder, 0, NULL);

      while ((name = g_dir_read_name (directory)) != NULL)
        {
          g_autofree char *path = g_build_filename (folder, name, NULL);

          if (lstat (path, &found) == 0)
            g_assert_cmpint (found.st_mode, ==, S_IFSOCK | 0600);
        }
      g_atomic_int_compare_and_exchange (&n_looks, 0, 1);
    }
  return NULL;
}

static void
check_mode (mode_t mask)
{
  mode_t before = umask (mask);
  GThread *thread;
  guint i;

  n_looks = 0;
  thread = g_thread_new ("look", look_thread, NULL);
  while (g_atomic_int_get (&n_looks) == 0)
    g_thread_yield ();
  for (i = 0; i < 300; i++)
    {
      g_autofree char *path = make_path ();
      g_autoptr(MpListener) listener = listen_ok (path, NULL);
      struct stat found;

      g_assert_cmpint (lstat (path, &found), ==, 0);
      g_assert_cmpint (found.st_mode, ==, S_IFSOCK | 0600);
      if (i == 0)
        check_works (listener);
    }
  g_atomic_int_set (&n_looks, -1);
  g_thread_join (thread);

  /* It was never touched. */
  g_assert_cmpint (umask (before), ==, mask);
}

/* Under any umask, in every moment; one that takes from the owner cannot be told from one that widens at once. */
static void
test_mode (void)
{
  g_autofree char *path = make_path ();
  g_autoptr(MpListener) listener = NULL;
  struct stat found;
  mode_t before;

  check_mode (0);
  check_mode (077);

  before = umask (0777);
  listener = listen_ok (path, NULL);
  umask (before);
  g_assert_cmpint (lstat (path, &found), ==, 0);
  g_assert_cmpint (found.st_mode, ==, S_IFSOCK | 0600);
}

static void
test_left_behind (void)
{
  g_autofree char *path = make_path ();
  g_autoptr(MpListener) listener = NULL;
  ino_t inode;
  guint i;

  for (i = 0; i < 3; i++)
    {
      g_unlink (path);
      close (bind_raw (path, i == 2 ? SOCK_DGRAM : SOCK_STREAM, i == 1));
      inode = get_inode (path);
      listener = listen_ok (path, NULL);
      g_assert_cmpuint (get_inode (path), !=, inode);
      check_works (listener);
      g_assert_cmpuint (count_files (folder), ==, 1);
      g_clear_object (&listener);
      g_assert_cmpuint (count_files (folder), ==, 0);
    }
}

static void
test_alive (void)
{
  g_autofree char *first = make_path ();
  g_autofree char *second = make_path ();
  g_autofree char *third = make_path ();
  MpListener *listener = listen_ok (first, NULL);
  g_autoptr(MpListener) again = NULL;
  int fds[4];

  check_refused (first, G_IO_ERROR_ADDRESS_IN_USE);
  /* The attempt was a client that went away. */
  check_works (listener);

  /* One whose backlog is full, and one that takes datagrams. */
  fds[0] = bind_raw (second, SOCK_STREAM, TRUE);
  for (fds[1] = 0; fds[1] < 3; fds[1]++)
    {
      g_autoptr(GSocketAddress) address = g_unix_socket_address_new (second);
      struct sockaddr_un native;

      g_socket_address_to_native (address, &native, sizeof native, NULL);
      fds[2] = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      (void) !connect (fds[2], (struct sockaddr *) &native, sizeof native);
      /* Kept open, to stay in the backlog, until this process ends. */
    }
  check_refused (second, G_IO_ERROR_ADDRESS_IN_USE);
  fds[3] = bind_raw (third, SOCK_DGRAM, FALSE);
  check_refused (third, G_IO_ERROR_ADDRESS_IN_USE);

  g_assert_finalize_object (listener);
  again = listen_ok (first, NULL);
  close (fds[0]);
  close (fds[3]);
  g_unlink (second);
  g_unlink (third);
}

static void
test_no_socket (void)
{
  g_autofree char *file = make_path ();
  g_autofree char *directory = make_path ();
  g_autofree char *link = make_path ();
  g_autofree char *left = make_path ();
  g_autofree char *dangling = make_path ();

  g_assert_true (g_file_set_contents (file, "precious", -1, NULL));
  g_assert_cmpint (g_mkdir (directory, 0700), ==, 0);
  close (bind_raw (left, SOCK_STREAM, TRUE));
  g_assert_cmpint (symlink (left, link), ==, 0);
  g_assert_cmpint (symlink ("nowhere", dangling), ==, 0);

  check_refused (file, G_IO_ERROR_EXISTS);
  check_refused (directory, G_IO_ERROR_EXISTS);
  check_refused (link, G_IO_ERROR_EXISTS);
  check_refused (dangling, G_IO_ERROR_EXISTS);

  g_unlink (file);
  g_rmdir (directory);
  g_unlink (link);
  g_unlink (left);
  g_unlink (dangling);
}

/* At the end what has its place is left alone. */
static void
test_not_ours (void)
{
  g_autofree char *path = make_path ();
  g_autofree char *elsewhere = make_path ();
  MpListener *listener = listen_ok (path, NULL);
  int fd;

  g_assert_cmpint (g_rename (path, elsewhere), ==, 0);
  fd = bind_raw (path, SOCK_STREAM, TRUE);
  g_assert_finalize_object (listener);
  g_assert_cmpuint (get_inode (path), !=, 0);
  g_unlink (path);
  g_unlink (elsewhere);
  close (fd);

  /* It was gone already. */
  listener = listen_ok (path, NULL);
  g_unlink (path);
  g_assert_finalize_object (listener);
}

/* The directory is known by its descriptor. */
static void
test_moves (void)
{
  g_autofree char *directory = make_path ();
  g_autofree char *moved = make_path ();
  g_autofree char *before = g_get_current_dir ();
  g_autofree char *expected = g_strdup_printf ("unix:%s/inside", directory);
  MpListener *listener;

  g_assert_cmpint (g_mkdir (directory, 0700), ==, 0);
  g_assert_cmpint (g_chdir (directory), ==, 0);
  listener = listen_ok ("./inside", NULL);
  g_assert_cmpstr (mp_listener_get_address (listener), ==, expected);
  g_assert_cmpint (g_chdir (before), ==, 0);
  check_works (listener);

  g_assert_cmpint (g_rename (directory, moved), ==, 0);
  g_assert_finalize_object (listener);
  g_assert_cmpint (g_rmdir (moved), ==, 0);
}

/* As long as an address may be, with a short name at the end, so that there is no room for a longer one. */
static void
test_long_path (void)
{
  gsize n_deep = 107 - strlen (folder) - strlen ("/") - strlen ("/s");
  g_autofree char *deep = g_strnfill (n_deep, 'd');
  g_autofree char *directory = g_build_filename (folder, deep, NULL);
  g_autofree char *path = g_build_filename (directory, "s", NULL);
  g_autofree char *too_long = g_build_filename (directory, "ss", NULL);
  g_autoptr(MpListener) listener = NULL;

  g_assert_cmpint (g_mkdir (directory, 0700), ==, 0);
  g_assert_cmpuint (strlen (path), ==, 107);
  close (bind_raw (path, SOCK_STREAM, TRUE));
  listener = listen_ok (path, NULL);
  check_works (listener);
  g_assert_cmpuint (count_files (directory), ==, 1);
  g_clear_object (&listener);
  g_assert_cmpuint (count_files (directory), ==, 0);

  check_refused (too_long, G_IO_ERROR_INVALID_ARGUMENT);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

static void
join_child (pid_t pid,
            int   expected)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, expected);
}

/* What a killed process leaves behind is replaced. */
static void
test_killed (void)
{
  g_autofree char *path = make_path ();
  g_autoptr(MpListener) listener = NULL;
  int ends[2];
  pid_t pid;
  char byte;

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      listener = listen_ok (path, NULL);
      (void) !write (ends[1], "l", 1);
      for (;;)
        pause ();
    }

  g_assert_cmpint (read (ends[0], &byte, 1), ==, 1);
  check_refused (path, G_IO_ERROR_ADDRESS_IN_USE);
  kill (pid, SIGKILL);
  join_child (pid, SIGKILL);
  listener = listen_ok (path, NULL);
  check_works (listener);
  close (ends[0]);
  close (ends[1]);
}

static void
forbid (guint32 first,
        guint32 second,
        int     error)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { G_N_ELEMENTS (filter), filter };

  if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
    _exit (77);
}

static void
do_without (guint32 second,
            int     error)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      forbid (SYS_renameat2, second, error);
      if (renameat2 (-1, "", -1, "", RENAME_NOREPLACE) == 0 || (errno != error && errno != EINVAL))
        _exit (1);
      test_left_behind ();
      test_not_ours ();
      test_no_socket ();
      test_long_path ();
      _exit (0);
    }

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 77)
    g_test_skip ("no seccomp");
  else
    g_assert_cmpint (status, ==, 0);
}

/* In a sandbox, or where the file system cannot do it. */
static void
test_without (void)
{
  do_without (SYS_renameat2, EINVAL);
  do_without (SYS_renameat2, ENOSYS);
  do_without (SYS_linkat, EPERM);
}

/* Many find the same one that was left behind at the same time: one gets the place, and keeps it. */
static void
test_race (void)
{
  g_autofree char *path = make_path ();
  volatile int *board = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pids[6];
  guint round, i;

  for (round = 0; round < 40; round++)
    {
      memset ((void *) board, 0, 4096);
      if (round % 2 == 0)
        close (bind_raw (path, SOCK_STREAM, TRUE));

      for (i = 0; i < G_N_ELEMENTS (pids); i++)
        {
          pids[i] = fork ();
          if (pids[i] == 0)
            {
              g_autoptr(GError) error = NULL;
              g_autoptr(MpListener) listener = NULL;

              prctl (PR_SET_PDEATHSIG, SIGKILL);   /* it waits for its parent's word */
              __atomic_fetch_add (&board[0], 1, __ATOMIC_SEQ_CST);
              while (__atomic_load_n (&board[0], __ATOMIC_SEQ_CST) < (int) G_N_ELEMENTS (pids))
                sched_yield ();
              listener = mp_listener_new (path, NULL, &error);
              if (listener == NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
                __atomic_fetch_add (&board[4], 1, __ATOMIC_SEQ_CST);
              __atomic_fetch_add (&board[listener != NULL ? 1 : 2], 1, __ATOMIC_SEQ_CST);
              while (__atomic_load_n (&board[3], __ATOMIC_SEQ_CST) == 0)
                sched_yield ();
              /* Who has it can be reached. */
              if (listener != NULL)
                check_works (listener);
              _exit (0);
            }
        }

      while (__atomic_load_n (&board[1], __ATOMIC_SEQ_CST) + __atomic_load_n (&board[2], __ATOMIC_SEQ_CST) <
             (int) G_N_ELEMENTS (pids))
        sched_yield ();
      g_assert_cmpint (board[4], ==, 0);
      g_assert_cmpint (board[1], ==, 1);
      __atomic_store_n (&board[3], 1, __ATOMIC_SEQ_CST);
      for (i = 0; i < G_N_ELEMENTS (pids); i++)
        join_child (pids[i], 0);
      g_assert_cmpuint (count_files (folder), ==, 1);
      g_unlink (path);
    }
  munmap ((void *) board, 4096);
}

/* A process of its own that listens at @path (nullable), until it is killed. */
static pid_t
start_listener (const char  *path,
                char       **address)
{
  char text[256] = { 0 };
  int ends[2];
  pid_t pid;

  g_assert_cmpint (pipe (ends), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      MpListener *listener = listen_ok (path, NULL);
      const char *where = mp_listener_get_address (listener);

      prctl (PR_SET_PDEATHSIG, SIGKILL);
      g_assert_cmpint (write (ends[1], where, strlen (where)), ==, strlen (where));
      for (;;)
        pause ();
    }

  g_assert_cmpint (read (ends[0], text, sizeof text - 1), >, 0);
  close (ends[0]);
  close (ends[1]);
  *address = g_strdup (text);
  return pid;
}

static void
touch (const char *path,
       gboolean    old)
{
  struct timespec times[2] = { { .tv_sec = old ? time (NULL) - 3600 : time (NULL) }, { .tv_nsec = UTIME_OMIT } };

  times[1] = times[0];
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), ==, 0);
}

/* A directory of its own that was left by a dead process goes with the next; all else stays. */
static void
test_left_directories (void)
{
  g_autofree char *dead_address = NULL, *living_address = NULL, *dead = NULL, *living = NULL, *foreign = NULL;
  g_autofree char *file = NULL;
  pid_t dead_pid = start_listener (NULL, &dead_address), living_pid = start_listener (NULL, &living_address);
  g_autoptr(MpListener) listener = NULL;

  dead = g_path_get_dirname (dead_address + strlen ("unix:"));
  living = g_path_get_dirname (living_address + strlen ("unix:"));
  foreign = g_build_filename (g_get_tmp_dir (), "mp-listener-XXXXXX", NULL);
  g_assert_nonnull (g_mkdtemp (foreign));
  file = g_build_filename (foreign, "socket", NULL);
  g_assert_true (g_file_set_contents (file, "mine", -1, NULL));
  kill (dead_pid, SIGKILL);
  join_child (dead_pid, SIGKILL);
  g_assert_true (g_file_test (dead, G_FILE_TEST_IS_DIR));

  listener = listen_ok (NULL, NULL);
  g_assert_false (g_file_test (dead, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (living_address + strlen ("unix:"), G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (file, G_FILE_TEST_IS_REGULAR));
  check_works (listener);

  kill (living_pid, SIGKILL);
  join_child (living_pid, SIGKILL);
  g_assert_finalize_object (g_steal_pointer (&listener));
  listener = listen_ok (NULL, NULL);
  g_assert_false (g_file_test (living, G_FILE_TEST_EXISTS));
  g_unlink (file);
  g_rmdir (foreign);
}

/* What a process left that was killed between two of its steps, an hour ago. */
static void
test_left_beside (void)
{
  g_autofree char *path = make_path ();
  g_autofree char *old = g_strconcat (path, ".abcdef", NULL), *fresh = g_strconcat (path, ".bcdefg", NULL);
  g_autofree char *alive = g_strconcat (path, ".cdefgh", NULL), *other = g_strconcat (path, ".socket-", NULL);
  const char *paths[] = { old, fresh, alive, other };
  g_autoptr(MpListener) listener = NULL;
  int fd = -1;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      int bound = bind_raw (paths[i], SOCK_STREAM, paths[i] == alive);

      g_assert_cmpint (chmod (paths[i], 0600), ==, 0);
      touch (paths[i], paths[i] != fresh);
      if (paths[i] == alive)
        fd = bound;
      else
        close (bound);
    }

  listener = listen_ok (path, NULL);
  g_assert_false (g_file_test (old, G_FILE_TEST_EXISTS));
  for (i = 1; i < G_N_ELEMENTS (paths); i++)
    {
      g_assert_true (g_file_test (paths[i], G_FILE_TEST_EXISTS));
      g_unlink (paths[i]);
    }
  close (fd);
}

static gboolean
hide_proc (void)
{
  return (unshare (CLONE_NEWNS) == 0 || unshare (CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
         mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount ("none", "/proc", "tmpfs", 0, NULL) == 0;
}

/* Without /proc nobody can be asked there: that is no sign of death. */
static void
test_left_without_proc (void)
{
  g_autofree char *path = make_path ();
  g_autofree char *beside = g_strconcat (path, ".worker", NULL);
  g_autoptr(MpListener) living = listen_ok (beside, NULL);
  int status;
  pid_t pid;

  touch (beside, TRUE);
  pid = fork ();
  if (pid == 0)
    {
      if (!hide_proc ())
        _exit (77);
      listen_ok (path, NULL);
      _exit (g_file_test (beside, G_FILE_TEST_EXISTS) ? 0 : 1);
    }

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  if (WEXITSTATUS (status) == 77)
    g_test_skip ("no place without /proc can be made here");
  else
    g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  check_works (living);
  g_unlink (path);
}

/* Many come and go at the same time, and take nobody for one that was left. */
static void
test_directories_race (void)
{
  pid_t pids[6];
  guint i, n;

  for (i = 0; i < G_N_ELEMENTS (pids); i++)
    {
      pids[i] = fork ();
      if (pids[i] == 0)
        {
          for (n = 0; n < 100; n++)
            {
              g_autoptr(MpListener) listener = listen_ok (NULL, NULL);

              if (n % 10 == 0)
                check_works (listener);
            }
          _exit (0);
        }
    }
  for (i = 0; i < G_N_ELEMENTS (pids); i++)
    join_child (pids[i], 0);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/listener/files/killed", test_killed);
  g_test_add_func ("/listener/files/race", test_race);
  g_test_add_func ("/listener/files/left-directories", test_left_directories);
  g_test_add_func ("/listener/files/left-beside", test_left_beside);
  g_test_add_func ("/listener/files/left-without-proc", test_left_without_proc);
  g_test_add_func ("/listener/files/directories-race", test_directories_race);
  g_test_add_func ("/listener/files/left-behind", test_left_behind);
  g_test_add_func ("/listener/files/alive", test_alive);
  g_test_add_func ("/listener/files/no-socket", test_no_socket);
  g_test_add_func ("/listener/files/not-ours", test_not_ours);
  g_test_add_func ("/listener/files/moves", test_moves);
  g_test_add_func ("/listener/files/long-path", test_long_path);
  g_test_add_func ("/listener/files/without", test_without);
  g_test_add_func ("/listener/files/mode", test_mode);

  return run_in_folder ("mp-listener-files-XXXXXX");
}
