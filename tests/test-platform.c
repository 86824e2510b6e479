/* test-platform.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-barrier-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/platform/mp-socket-private.h"
#include "mp-glib/platform/mp-spin-private.h"
#include "instrument-test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a system from Linux 6.3 on. */
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)

/* What the platform gives beside processes, which have tests of their own. */

static void
test_socket_descriptors (void)
{
  int fds[MP_SOCKET_MAX_FDS], sent[MP_SOCKET_MAX_FDS], pair[2];
  struct stat a, b;
  struct iovec iov = { (char *) "data", 4 };
  gboolean truncated;
  char buffer[16];
  guint i, n;

  g_assert_no_errno (mp_socket_pair (pair, 65536));
  g_assert_cmpint (fcntl (pair[0], F_GETFD), ==, FD_CLOEXEC);
  g_assert_cmpint (mp_socket_recv (pair[1], buffer, sizeof buffer, fds, &n, &truncated, FALSE), ==, -1);
  g_assert_cmpint (errno, ==, EAGAIN);

  for (i = 0; i < MP_SOCKET_MAX_FDS; i++)
    sent[i] = pair[0];
  g_assert_cmpint (mp_socket_send (pair[0], &iov, 1, sent, MP_SOCKET_MAX_FDS, FALSE), ==, 4);
  g_assert_cmpint (mp_socket_recv (pair[1], buffer, sizeof buffer, fds, &n, &truncated, TRUE), ==, 4);
  g_assert_cmpuint (n, ==, MP_SOCKET_MAX_FDS);
  g_assert_false (truncated);
  g_assert_no_errno (fstat (pair[0], &a));
  g_assert_no_errno (fstat (fds[n - 1], &b));
  g_assert_cmpint (a.st_ino, ==, b.st_ino);
  g_assert_cmpint (fcntl (fds[0], F_GETFD), ==, FD_CLOEXEC);
  for (i = 0; i < n; i++)
    mp_fd_close (&fds[i]);

  g_assert_cmpint (mp_socket_send (pair[0], &iov, 1, sent, MP_SOCKET_MAX_FDS + 1, FALSE), ==, -1);
  g_assert_cmpint (errno, ==, EINVAL);
  g_assert_cmpint (mp_socket_peer_pid (pair[0]), ==, getpid ());
  mp_fd_close (&pair[0]);
  g_assert_cmpint (mp_socket_recv (pair[1], buffer, sizeof buffer, fds, &n, &truncated, TRUE), ==, 0);
  g_assert_cmpint (mp_socket_send (pair[1], &iov, 1, NULL, 0, TRUE), ==, -1);
  g_assert_cmpint (errno, ==, EPIPE);                 /* and no SIGPIPE */
  mp_fd_close (&pair[1]);
}

static void
test_socket_descriptors_lost (void)
{
  int fds[MP_SOCKET_MAX_FDS], pair[2], fill[64];
  struct iovec iov = { (char *) "data", 4 };
  struct rlimit limit, low;
  gboolean truncated;
  char buffer[16];
  guint i, n, n_fill = 0;

  if (!limit_is_real ())
    return;

  g_assert_no_errno (mp_socket_pair (pair, 0));
  fds[0] = fds[1] = fds[2] = pair[0];
  g_assert_cmpint (mp_socket_send (pair[0], &iov, 1, fds, 3, FALSE), ==, 4);

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  low = limit;
  low.rlim_cur = 40;
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &low));
  while (n_fill < G_N_ELEMENTS (fill) && (fill[n_fill] = mp_fd_dup (pair[0])) >= 0)
    n_fill++;
  g_assert_cmpuint (n_fill, >, 0);
  mp_fd_close (&fill[--n_fill]);

  g_assert_cmpint (mp_socket_recv (pair[1], buffer, sizeof buffer, fds, &n, &truncated, TRUE), ==, 4);
  g_assert_true (truncated);
  g_assert_cmpuint (n, ==, 1);
  mp_fd_close (&fds[0]);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  for (i = 0; i < n_fill; i++)
    mp_fd_close (&fill[i]);
  mp_fd_close (&pair[0]);
  mp_fd_close (&pair[1]);
}

static void
test_socket_peer (void)
{
  int inet = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int lonely = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int null = mp_fd_open_null ();

  g_assert_cmpint (mp_socket_peer_pid (inet), ==, -1);
  g_assert_cmpint (mp_socket_peer_pid (lonely), ==, -1);
  g_assert_cmpint (mp_socket_peer_pid (null), ==, -1);
  g_assert_cmpint (errno, ==, ENOTSOCK);
  mp_fd_close (&inet);
  mp_fd_close (&lonely);
  mp_fd_close (&null);
}

/* A program without standard streams must not find the library's sockets there. */
static void
test_fd_write_quietly (void)
{
  int fds[2];
  char text[4];
  sigset_t pending;

  g_assert_cmpint (mp_fd_pipe (fds), ==, 0);
  mp_fd_write_quietly (fds[1], "text", 4);
  g_assert_cmpint (read (fds[0], text, sizeof text), ==, 4);
  g_assert_cmpmem (text, 4, "text", 4);

  /* With the default disposition: a signal would end the test. */
  g_assert_true (signal (SIGPIPE, SIG_DFL) != SIG_ERR);
  mp_fd_close (&fds[0]);
  mp_fd_write_quietly (fds[1], "text", 4);
  g_assert_cmpint (errno, ==, EPIPE);
  sigpending (&pending);
  g_assert_false (sigismember (&pending, SIGPIPE));
  mp_fd_close (&fds[1]);
}

static void
test_fd_lift (void)
{
  if (g_test_subprocess ())
    {
      int fds[2], memory, i;

      for (i = 0; i < 3; i++)
        close (i);
      if (mp_fd_pipe (fds) < 0 || fds[0] < 3 || fds[1] < 3 || mp_fd_eventfd () < 3 || mp_fd_open_null () < 3)
        _exit (1);
      memory = mp_fd_memory_file ("test", 4096);
      if (memory < 3 || mp_poll_new () < 3 || mp_timer_new () < 3)
        _exit (2);
      if (mp_socket_pair (fds, 0) < 0 || fds[0] < 3 || fds[1] < 3)
        _exit (3);
      for (i = 0; i < 3; i++)
        if (fcntl (i, F_GETFD) >= 0)
          _exit (4);
      _exit (0);
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

static void
test_fd_memory (void)
{
  guint64 *a, *b;
  int fd, loose;

  fd = mp_fd_memory_file ("test", 8192);
  g_assert_no_errno (fd);
  g_assert_cmpint (ftruncate (fd, 4096), ==, -1);
  g_assert_cmpint (ftruncate (fd, 16384), ==, -1);
  a = mp_fd_map_memory_file (fd, 8192);
  b = mp_fd_map_memory_file (fd, 4096);
  g_assert_nonnull (a);
  g_assert_nonnull (b);
  a[10] = 42;
  g_assert_cmpuint (b[10], ==, 42);
  g_assert_null (mp_fd_map_memory_file (fd, 8193));
  g_assert_cmpint (errno, ==, EINVAL);
  g_assert_null (mp_fd_map_memory_file (fd, 0));
  mp_fd_unmap (a, 8192);
  mp_fd_unmap (b, 4096);
  mp_fd_close (&fd);
  g_assert_cmpint (fd, ==, -1);

  loose = memfd_create ("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_assert_no_errno (loose);
  g_assert_no_errno (ftruncate (loose, 8192));
  g_assert_null (mp_fd_map_memory_file (loose, 8192));
  mp_fd_close (&loose);
  loose = mp_fd_open_null ();
  g_assert_null (mp_fd_map_memory_file (loose, 8192));
  mp_fd_close (&loose);
}

static void
test_poll_time (void)
{
  static const gint64 times[] = { 0, 1, 1500, 2001 };
  int epfd = mp_poll_new (), timer = mp_timer_new ();
  MpPollEvent event;
  guint i;

  g_assert_no_errno (mp_poll_add (epfd, timer, G_IO_IN, G_MAXUINT64 - 5));
  for (i = 0; i < G_N_ELEMENTS (times); i++)
    {
      gint64 begin = g_get_monotonic_time ();

      g_assert_cmpint (mp_poll_wait (epfd, &event, 1, times[i]), ==, 0);
      g_assert_cmpint (g_get_monotonic_time () - begin, >=, times[i]);

      begin = g_get_monotonic_time ();
      mp_timer_set (timer, begin + times[i]);
      g_assert_cmpint (mp_poll_wait (epfd, &event, 1, -1), ==, 1);
      g_assert_cmpint (g_get_monotonic_time () - begin, >=, times[i]);
      g_assert_cmphex (event.data, ==, G_MAXUINT64 - 5);
      g_assert_cmpint (event.condition, ==, G_IO_IN);
      mp_timer_clear (timer);
    }

  mp_timer_set (timer, 0);                            /* long ago */
  g_assert_cmpint (mp_poll_wait (epfd, &event, 1, -1), ==, 1);
  mp_timer_set (timer, -1);
  g_assert_cmpint (mp_poll_wait (epfd, &event, 1, 0), ==, 0);
  mp_fd_close (&timer);
  mp_fd_close (&epfd);
}

static gpointer
thread_cb (gpointer data)
{
  char byte;

  return GINT_TO_POINTER ((int) read (GPOINTER_TO_INT (data), &byte, 1));
}

static gpointer
nothing_cb (gpointer data)
{
  return NULL;
}

static gboolean
lists (const char * const *names,
       const char          *prefix)
{
  guint i;

  for (i = 0; names[i] != NULL; i++)
    if (g_str_has_prefix (names[i], prefix))
      return TRUE;
  return FALSE;
}

static void
test_facts_threads (void)
{
  g_auto(GStrv) before = NULL;
  g_auto(GStrv) during = NULL;
  GThread *thread;
  int hold[2];

  /* With the first one thread sanitizer adds its own. */
  g_thread_join (g_thread_new ("first", nothing_cb, NULL));

  before = mp_platform_list_threads ();
  g_assert_nonnull (before);
  g_assert_no_errno (mp_fd_pipe (hold));
  g_assert_false (lists ((const char * const *) before, "test-thread"));
  thread = g_thread_new ("test-thread", thread_cb, GINT_TO_POINTER (hold[0]));
  during = mp_platform_list_threads ();
  g_assert_cmpuint (g_strv_length (during), ==, g_strv_length (before) + 1);
  mp_fd_close (&hold[1]);
  g_thread_join (thread);
  mp_fd_close (&hold[0]);
}

static void
test_facts_program (void)
{
  g_auto(GStrv) argv = mp_platform_cmdline ();
  g_autofree char *exe = mp_platform_exe_path ();
  g_autofree char *base = g_path_get_basename (argv[0]);

  g_assert_true (g_str_has_suffix (exe, base));
  g_assert_false (mp_platform_is_setuid ());
  g_assert_false (mp_platform_mark_is_blocked ());
}

static void
test_facts_mark (void)
{
  sigset_t mask;

  sigemptyset (&mask);
  sigaddset (&mask, mp_platform_mark_signal ());
  sigprocmask (SIG_BLOCK, &mask, NULL);
  g_assert_true (mp_platform_mark_is_blocked ());
  mp_platform_mark_unblock ();
  g_assert_false (mp_platform_mark_is_blocked ());
}

static void
test_facts_reseed (void)
{
  guint32 a, b;

  g_random_set_seed (1);
  a = g_random_int ();
  g_random_set_seed (1);
  mp_platform_reseed ();
  b = g_random_int ();
  g_assert_cmpuint (a, !=, b);   /* once in 4 billion runs it is */
}

typedef struct
{
  const char *name;
  guint       expected;
  const char *cgroup;
  const char *mountinfo;
  const char *files[9];   /* path, text, …, NULL */
} Tree;

#define V2 "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1 "33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_SET "34 25 0:30 / /sys/fs/cgroup/cpuset rw shared:16 - cgroup cgroup rw,cpuset\n"

static const Tree trees[] = {
  { "nothing", 0, NULL, NULL, { NULL } },
  { "no-mount", 0, "0::/a\n", "", { "sys/fs/cgroup/a/cpu.max", "100000 100000\n", NULL } },
  { "v2-max", 0, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "max 100000\n", NULL } },
  { "v2-own", 2, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "200000 100000\n", NULL } },
  { "v2-fraction", 2, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "150000 100000\n", NULL } },
  { "v2-less-than-one", 1, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "1000 100000\n", NULL } },
  { "v2-parent", 3, "0::/a/b/c\n", V2,
    { "sys/fs/cgroup/a/cpu.max", "300000 100000\n", "sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n", NULL } },
  { "v2-tightest", 2, "0::/a/b\n", V2,
    { "sys/fs/cgroup/a/cpu.max", "200000 100000\n", "sys/fs/cgroup/a/b/cpu.max", "800000 100000\n", NULL } },
  { "v2-root-of-container", 4, "0::/\n", V2, { "sys/fs/cgroup/cpu.max", "400000 100000\n", NULL } },
  { "v2-host-path", 5, "0::/docker/1234/x\n",
    "25 30 0:23 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
    { "sys/fs/cgroup/x/cpu.max", "max 100000\n", "sys/fs/cgroup/cpu.max", "500000 100000\n", NULL } },
  { "v2-foreign-mount", 5, "0::/docker/12345\n",
    "25 30 0:23 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
    { "sys/fs/cgroup/cpu.max", "500000 100000\n", NULL } },
  { "v2-outside", 6, "0::/../../other\n", V2, { "sys/fs/cgroup/cpu.max", "600000 100000\n", NULL } },
  { "v2-blank", 2, "0::/a b\n", "25 30 0:23 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n",
    { "sys/fs/c group/a b/cpu.max", "200000 100000\n", NULL } },
  { "v2-nonsense", 0, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "lots\n", NULL } },
  { "v2-zero", 0, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "0 0\n", NULL } },
  { "v2-enormous", 0, "0::/a\n", V2, { "sys/fs/cgroup/a/cpu.max", "9223372036854775807 1\n", NULL } },
  { "v1-own", 2, "5:cpuset:/z\n4:cpu,cpuacct:/a\n", V1_SET V1,
    { "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n",
      "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n", NULL } },
  { "v1-none", 0, "4:cpu,cpuacct:/a\n", V1,
    { "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n",
      "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n", NULL } },
  { "v1-parent", 7, "4:cpu,cpuacct:/a/b\n", V1,
    { "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "350000\n",
      "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n", NULL } },
  { "hybrid", 2, "4:cpu,cpuacct:/a\n0::/b\n",
    V1 "35 25 0:31 / /sys/fs/cgroup/unified rw shared:17 - cgroup2 cgroup2 rw\n",
    { "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n",
      "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n",
      "sys/fs/cgroup/unified/b/cpu.max", "300000 100000\n", NULL } },
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

static void
test_cgroup (gconstpointer data)
{
  const Tree *tree = data;
  g_autofree char *root = g_dir_make_tmp ("mp-cgroup-XXXXXX", NULL);
  guint i;

  g_assert_nonnull (root);
  if (tree->cgroup != NULL)
    put_file (root, "proc/self/cgroup", tree->cgroup);
  if (tree->mountinfo != NULL)
    put_file (root, "proc/self/mountinfo", tree->mountinfo);
  for (i = 0; tree->files[i] != NULL; i += 2)
    put_file (root, tree->files[i], tree->files[i + 1]);

  g_assert_cmpuint (mp_platform_cgroup_cpus (root), ==, tree->expected);
  remove_tree (root);
}

static void
test_cpus (void)
{
  cpu_set_t old, one;
  int cpu = 0;

  g_assert_cmpuint (mp_platform_count_cpus (), >=, 1);
  g_assert_cmpuint (mp_platform_usable_cpus (), >=, 1);
  g_assert_cmpuint (mp_platform_usable_cpus (), <=, mp_platform_count_cpus ());

  /* Read afresh: an affinity set meanwhile counts. */
  g_assert_no_errno (sched_getaffinity (0, sizeof old, &old));
  while (!CPU_ISSET (cpu, &old))
    cpu++;
  CPU_ZERO (&one);
  CPU_SET (cpu, &one);
  g_assert_no_errno (sched_setaffinity (0, sizeof one, &one));
  g_assert_cmpuint (mp_platform_usable_cpus (), ==, 1);
  g_assert_no_errno (sched_setaffinity (0, sizeof old, &old));
}

/* What is found long after the time was over was not worth the looking. */
static void
test_spin (void)
{
  MpSpin spin = { 0 };
  gint64 now = g_get_monotonic_time ();

  g_assert_cmpint (mp_spin_begin (&spin), >=, now);
  mp_spin_end (&spin, now + G_TIME_SPAN_MINUTE, TRUE);
  g_assert_cmpint (mp_spin_begin (&spin), >=, now);
  mp_spin_end (&spin, now - G_TIME_SPAN_MINUTE, TRUE);
  g_assert_cmpint (mp_spin_begin (&spin), ==, 0);
  g_assert_cmpint (mp_spin_begin (&spin), >=, now);
  mp_spin_end (&spin, now + G_TIME_SPAN_MINUTE, FALSE);
  g_assert_cmpint (mp_spin_begin (&spin), ==, 0);
  g_assert_cmpint (mp_spin_begin (&spin), ==, 0);
}

static gpointer
nothing_thread (gpointer data)
{
  return NULL;
}

/* In a process of its own, because it is for the process's life. */
static void
check_barrier_early (gboolean threaded)
{
  long registered = 0;
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      if (threaded)
        g_thread_join (g_thread_new ("nothing", nothing_thread, NULL));
      mp_barrier_join_early ();
      registered = syscall (SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0);
      _exit (registered < 0 ? 2 : (registered & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  if (WEXITSTATUS (status) == 2)
    g_test_skip ("This system does not say who takes part");
  else
    g_assert_cmpint (WEXITSTATUS (status), ==, !threaded);
}

static void
test_barrier_early (void)
{
  check_barrier_early (FALSE);
  check_barrier_early (TRUE);
}

int
main (int   argc,
      char *argv[])
{
  guint i;

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/platform/socket/descriptors", test_socket_descriptors);
  g_test_add_func ("/platform/socket/descriptors-lost", test_socket_descriptors_lost);
  g_test_add_func ("/platform/socket/peer", test_socket_peer);
  g_test_add_func ("/platform/fd/write-quietly", test_fd_write_quietly);
  g_test_add_func ("/platform/fd/lift", test_fd_lift);
  g_test_add_func ("/platform/fd/memory", test_fd_memory);
  g_test_add_func ("/platform/spin", test_spin);
  g_test_add_func ("/platform/barrier-early", test_barrier_early);
  g_test_add_func ("/platform/poll/time", test_poll_time);
  g_test_add_func ("/platform/facts/threads", test_facts_threads);
  g_test_add_func ("/platform/facts/program", test_facts_program);
  g_test_add_func ("/platform/facts/mark", test_facts_mark);
  g_test_add_func ("/platform/facts/reseed", test_facts_reseed);
  g_test_add_func ("/platform/cpus", test_cpus);
  for (i = 0; i < G_N_ELEMENTS (trees); i++)
    {
      g_autofree char *path = g_strconcat ("/platform/cgroup/", trees[i].name, NULL);

      g_test_add_data_func (path, &trees[i], test_cgroup);
    }

  return g_test_run ();
}
