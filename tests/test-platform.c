/* test-platform.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/platform/mp-socket-private.h"
#include "instrument-test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* This program, started again by the tests with one of these as its first argument. */

static int
child_status (void)
{
  g_autofree char *text = NULL;
  g_auto(GStrv) lines = NULL;
  guint i;

  g_assert_true (g_file_get_contents ("/proc/self/status", &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], "SigBlk:") || g_str_has_prefix (lines[i], "SigIgn:"))
      puts (lines[i]);
  return 0;
}

static int
child_fds (void)
{
  int fd;

  for (fd = 3; fd < 256; fd++)
    if (fcntl (fd, F_GETFD) >= 0)
      printf ("%d ", fd);
  putchar ('\n');
  return 0;
}

static int
child_where (void)
{
  g_autofree char *cwd = g_get_current_dir ();

  printf ("%s %d\n", cwd, getpgrp () == getpid ());
  return 0;
}

static int
child_copy (void)
{
  char buffer[64];
  ssize_t n = read (0, buffer, sizeof buffer);

  if (n < 0 || write (1, buffer, n) != n || write (2, "err\n", 4) != 4)
    return 1;
  return 0;
}

static int
child_main (int    argc,
            char **argv)
{
  const char *what = argv[2];

  if (g_str_equal (what, "status"))
    return child_status ();
  if (g_str_equal (what, "fds"))
    return child_fds ();
  if (g_str_equal (what, "where"))
    return child_where ();
  if (g_str_equal (what, "copy"))
    return child_copy ();
  if (g_str_equal (what, "exit"))
    return atoi (argv[3]);
  if (g_str_equal (what, "signal"))
    raise (atoi (argv[3]));
  if (g_str_equal (what, "lifeline"))
    {
      /* Busy, and deaf to every signal that can be blocked. */
      sigset_t all;

      sigfillset (&all);
      sigprocmask (SIG_SETMASK, &all, NULL);
      if (!mp_platform_lifeline_arm (atoi (argv[3])) || write (1, "armed\n", 6) != 6)
        return 1;
      for (;;)
        ;
    }
  return 100;
}

/* One start of this program. */
typedef struct
{
  MpSpawn  spawn;
  char    *path;
  char    *argv[5];
  char   **envp;
  int      out[2];
} Start;

static void
start_init (Start      *start,
            const char *what,
            const char *argument)
{
  memset (start, 0, sizeof *start);
  start->path = g_file_read_link ("/proc/self/exe", NULL);
  start->envp = g_get_environ ();
  start->argv[0] = start->path;
  start->argv[1] = (char *) "--child";
  start->argv[2] = (char *) what;
  start->argv[3] = (char *) argument;
  g_assert_no_errno (mp_fd_pipe (start->out));

  start->spawn.path = start->path;
  start->spawn.exe_fd = -1;
  start->spawn.argv = (const char * const *) start->argv;
  start->spawn.envp = (const char * const *) start->envp;
  start->spawn.cwd_fd = -1;
  start->spawn.stdin_fd = -1;
  start->spawn.stdout_fd = start->out[1];
  start->spawn.stderr_fd = -1;
}

static void
start_clear (Start *start)
{
  g_free (start->path);
  g_strfreev (start->envp);
  mp_fd_close (&start->out[0]);
  mp_fd_close (&start->out[1]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Start, start_clear)

static void
wait_readable (int fd)
{
  GPollFD pollfd = { fd, G_IO_IN, 0 };

  g_assert_cmpint (mp_poll_fds (&pollfd, 1, 20 * G_USEC_PER_SEC), ==, 1);
}

static int
wait_end (pid_t pid,
          int   pidfd)
{
  int status = G_MAXINT;

  wait_readable (pidfd);
  g_assert_cmpint (mp_platform_reap (pid, pidfd, &status), ==, MP_REAP_EXITED);
  return status;
}

/* Runs it to its end and gives what it wrote. */
static char *
start_run (Start *start)
{
  GString *text = g_string_new (NULL);
  char buffer[512];
  int pidfd;
  pid_t pid;
  ssize_t n;

  pid = mp_platform_spawn (&start->spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (pidfd, >=, 3);
  g_assert_cmpint (fcntl (pidfd, F_GETFD), ==, FD_CLOEXEC);
  mp_fd_close (&start->out[1]);
  while ((n = read (start->out[0], buffer, sizeof buffer)) > 0)
    g_string_append_len (text, buffer, n);
  g_assert_cmpint (wait_end (pid, pidfd), ==, 0);
  mp_fd_close (&pidfd);
  return g_string_free (text, FALSE);
}

static void
test_spawn_status (void)
{
  static const struct { const char *argument; int status; } ends[] = {
    { "0", 0 }, { "7", 7 }, { "255", 255 },
  };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      g_auto(Start) start;
      int pidfd, status;
      pid_t pid;

      start_init (&start, "exit", ends[i].argument);
      pid = mp_platform_spawn (&start.spawn, &pidfd);
      g_assert_no_errno (pid);
      g_assert_cmpint (wait_end (pid, pidfd), ==, ends[i].status);
      /* The second time there is nothing to be had. */
      g_assert_cmpint (mp_platform_reap (pid, pidfd, &status), ==, MP_REAP_UNKNOWN);
      g_assert_cmpint (mp_platform_signal (pid, pidfd, SIGTERM), ==, -1);
      g_assert_cmpint (errno, ==, ESRCH);
      mp_fd_close (&pidfd);
    }
}

static void
test_spawn_signal (void)
{
  g_autofree char *term = g_strdup_printf ("%d", SIGTERM);
  g_auto(Start) start;
  int pidfd;
  pid_t pid;

  start_init (&start, "signal", term);
  pid = mp_platform_spawn (&start.spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (wait_end (pid, pidfd), ==, -SIGTERM);
  mp_fd_close (&pidfd);
}

static void
test_reap_running (void)
{
  g_auto(Start) start;
  int in[2], pidfd, status;
  pid_t pid;

  g_assert_no_errno (mp_fd_pipe (in));
  start_init (&start, "copy", NULL);
  start.spawn.stdin_fd = in[0];
  pid = mp_platform_spawn (&start.spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (mp_platform_reap (pid, pidfd, &status), ==, MP_REAP_RUNNING);
  g_assert_cmpint (mp_platform_reap (pid, -1, &status), ==, MP_REAP_RUNNING);
  g_assert_no_errno (mp_platform_signal (pid, -1, SIGKILL));
  wait_readable (pidfd);
  g_assert_cmpint (mp_platform_reap (pid, -1, &status), ==, MP_REAP_EXITED);
  g_assert_cmpint (status, ==, -SIGKILL);
  mp_fd_close (&pidfd);
  mp_fd_close (&in[0]);
  mp_fd_close (&in[1]);
}

static void
test_reap_elsewhere (void)
{
  g_auto(Start) start;
  int pidfd, status;
  pid_t pid;

  start_init (&start, "exit", "3");
  pid = mp_platform_spawn (&start.spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  wait_readable (pidfd);
  g_assert_cmpint (mp_platform_reap (pid, pidfd, &status), ==, MP_REAP_UNKNOWN);
  mp_fd_close (&pidfd);
}

static void
test_spawn_fails (void)
{
  g_auto(Start) start;
  int pidfd = 0;

  start_init (&start, "exit", "0");
  start.spawn.path = "/nonexistent/program";
  g_assert_cmpint (mp_platform_spawn (&start.spawn, &pidfd), ==, -1);
  g_assert_cmpint (errno, ==, ENOENT);
  g_assert_cmpint (pidfd, ==, -1);

  start.spawn.path = "/etc/passwd";
  g_assert_cmpint (mp_platform_spawn (&start.spawn, &pidfd), ==, -1);
  g_assert_cmpint (errno, ==, EACCES);

  start.spawn.path = start.path;
  start.spawn.cwd_fd = start.out[0];
  g_assert_cmpint (mp_platform_spawn (&start.spawn, &pidfd), ==, -1);
  g_assert_cmpint (errno, ==, ENOTDIR);

  /* None of them is left to be reaped. */
  g_assert_cmpint (waitpid (-1, NULL, WNOHANG), ==, -1);
  g_assert_cmpint (errno, ==, ECHILD);
}

static void
test_spawn_exe_fd (void)
{
  g_autofree char *text = NULL;
  g_auto(Start) start;
  int fd;

  start_init (&start, "where", NULL);
  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind executes programs by what it thinks they are called");
      return;
    }
  fd = open (start.path, O_PATH | O_CLOEXEC);
  g_assert_no_errno (fd);
  start.spawn.path = NULL;
  start.spawn.exe_fd = fd;
  text = start_run (&start);
  g_assert_true (g_str_has_suffix (text, " 0\n"));
  mp_fd_close (&fd);
}

static guint64
find_mask (const char *text,
           const char *key)
{
  const char *at = strstr (text, key);

  g_assert_nonnull (at);
  return g_ascii_strtoull (at + strlen (key), NULL, 16);
}

static void
ignore_cb (int signum)
{
}

#define BIT(signum) (G_GUINT64_CONSTANT (1) << ((signum) - 1))

static void
test_spawn_signals (void)
{
  g_autofree char *text = NULL;
  g_auto(Start) start;
  struct sigaction before, after;
  sigset_t blocked, old, now;
  guint64 ignored;

  signal (SIGUSR1, ignore_cb);
  signal (SIGUSR2, SIG_IGN);
  signal (SIGPIPE, SIG_IGN);
  signal (SIGHUP, SIG_IGN);
  sigaction (SIGUSR1, NULL, &before);
  sigemptyset (&blocked);
  sigaddset (&blocked, SIGTERM);
  g_assert_no_errno (sigprocmask (SIG_SETMASK, &blocked, &old));

  start_init (&start, "status", NULL);
  start.spawn.mark_signal = mp_platform_mark_signal ();
  text = start_run (&start);
  g_assert_cmphex (find_mask (text, "SigBlk:"), ==, BIT (mp_platform_mark_signal ()));
  ignored = find_mask (text, "SigIgn:");
  g_assert_cmphex (ignored & (BIT (SIGUSR1) | BIT (SIGUSR2) | BIT (SIGPIPE)), ==, 0);
  g_assert_cmphex (ignored & BIT (SIGHUP), ==, BIT (SIGHUP));

  /* Nothing of it has reached this process. */
  sigaction (SIGUSR1, NULL, &after);
  g_assert_true (before.sa_handler == after.sa_handler);
  sigaction (SIGUSR2, NULL, &after);
  g_assert_true (after.sa_handler == SIG_IGN);
  g_assert_no_errno (sigprocmask (SIG_SETMASK, &old, &now));
  g_assert_cmpint (sigismember (&now, SIGTERM), ==, 1);
  g_assert_cmpint (sigismember (&now, SIGUSR1), ==, 0);
  g_assert_cmpint (sigismember (&now, mp_platform_mark_signal ()), ==, 0);

  signal (SIGUSR1, SIG_DFL);
  signal (SIGUSR2, SIG_DFL);
  signal (SIGPIPE, SIG_DFL);
  signal (SIGHUP, SIG_DFL);
}

static void
test_spawn_descriptors (void)
{
  g_autofree char *expected = NULL;
  g_autofree char *text = NULL;
  g_auto(Start) start;
  int leaky, keep;

  leaky = dup (0);   /* not close-on-exec, as of a careless program */
  keep = mp_fd_dup (leaky);
  start_init (&start, "fds", NULL);
  start.spawn.keep_fds = &keep;
  start.spawn.n_keep_fds = 1;
  text = start_run (&start);
  expected = g_strdup_printf ("%d \n", keep);
  g_assert_cmpstr (text, ==, expected);
  g_assert_cmpint (fcntl (leaky, F_GETFD), ==, 0);
  g_assert_cmpint (fcntl (keep, F_GETFD), ==, FD_CLOEXEC);
  mp_fd_close (&leaky);
  mp_fd_close (&keep);
}

static void
test_spawn_where (void)
{
  g_autofree char *text = NULL;
  g_auto(Start) start;
  int dir = open ("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

  g_assert_no_errno (dir);
  start_init (&start, "where", NULL);
  start.spawn.cwd_fd = dir;
  start.spawn.own_group = TRUE;
  text = start_run (&start);
  g_assert_cmpstr (text, ==, "/proc 1\n");
  mp_fd_close (&dir);
}

/* Standard streams that lie crosswise in the parent: 0 → 1, 1 → 2, 2 → 0. */
static void
test_spawn_stdio (void)
{
  if (g_test_subprocess ())
    {
      g_auto(Start) start;
      int in[2], err[2], pidfd;
      char buffer[8];
      pid_t pid;

      start_init (&start, "copy", NULL);
      g_assert_no_errno (mp_fd_pipe (in));
      g_assert_no_errno (mp_fd_pipe (err));
      g_assert_cmpint (write (in[1], "in", 2), ==, 2);
      dup2 (start.out[1], 0);
      dup2 (err[1], 1);
      dup2 (in[0], 2);
      mp_fd_close (&start.out[1]);
      mp_fd_close (&err[1]);
      mp_fd_close (&in[1]);
      start.spawn.stdin_fd = 2;
      start.spawn.stdout_fd = 0;
      start.spawn.stderr_fd = 1;
      pid = mp_platform_spawn (&start.spawn, &pidfd);
      if (pid < 0 || wait_end (pid, pidfd) != 0)
        _exit (1);
      if (read (start.out[0], buffer, 2) != 2 || memcmp (buffer, "in", 2) != 0)
        _exit (2);
      if (read (err[0], buffer, 4) != 4 || memcmp (buffer, "err\n", 4) != 0)
        _exit (3);
      _exit (0);
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

static void
test_lifeline (void)
{
  g_autofree char *number = NULL;
  g_auto(Start) start;
  int read_end, write_end, pidfd;
  char buffer[8];
  pid_t pid;

  g_assert_no_errno (mp_platform_lifeline_new (&read_end, &write_end));
  number = g_strdup_printf ("%d", read_end);
  start_init (&start, "lifeline", number);
  start.spawn.keep_fds = &read_end;
  start.spawn.n_keep_fds = 1;
  pid = mp_platform_spawn (&start.spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (read (start.out[0], buffer, 6), ==, 6);
  mp_fd_close (&read_end);

  g_assert_no_errno (mp_platform_signal (pid, pidfd, SIGTERM));   /* deaf */
  mp_fd_close (&write_end);
  g_assert_cmpint (wait_end (pid, pidfd), ==, -SIGKILL);
  mp_fd_close (&pidfd);
}

static void
test_lifeline_too_late (void)
{
  g_autofree char *number = NULL;
  g_auto(Start) start;
  int read_end, write_end, pidfd;
  pid_t pid;

  g_assert_no_errno (mp_platform_lifeline_new (&read_end, &write_end));
  mp_fd_close (&write_end);
  number = g_strdup_printf ("%d", read_end);
  start_init (&start, "lifeline", number);
  start.spawn.keep_fds = &read_end;
  start.spawn.n_keep_fds = 1;
  pid = mp_platform_spawn (&start.spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (wait_end (pid, pidfd), ==, -SIGKILL);
  mp_fd_close (&read_end);
  mp_fd_close (&pidfd);
}

/* A child of the program's own fork() must not hold the life-lines of the workers. */
static void
test_lifeline_fork (void)
{
  int read_end, write_end, hold[2];
  struct stat status;
  char byte;
  pid_t pid;

  g_assert_no_errno (mp_platform_lifeline_new (&read_end, &write_end));
  g_assert_no_errno (mp_fd_pipe (hold));
  mp_platform_lifeline_register (write_end);
  pid = fork ();
  if (pid == 0)
    {
      close (hold[1]);
      /* The number is still taken, by something else. */
      if (fstat (write_end, &status) < 0 || !S_ISCHR (status.st_mode))
        _exit (1);
      _exit (read (hold[0], &byte, 1) == 0 ? 0 : 2);
    }
  g_assert_no_errno (pid);
  mp_platform_lifeline_unregister (write_end);
  mp_fd_close (&write_end);
  wait_readable (read_end);                           /* end of file, while that child lives */
  g_assert_cmpint (read (read_end, &byte, 1), ==, 0);

  mp_fd_close (&hold[1]);
  g_assert_cmpint (waitpid (pid, &hold[1], 0), ==, pid);
  g_assert_cmpint (hold[1], ==, 0);
  mp_fd_close (&hold[0]);
  mp_fd_close (&read_end);
}

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

int
main (int   argc,
      char *argv[])
{
  guint i;

  if (argc > 2 && g_str_equal (argv[1], "--child"))
    return child_main (argc, argv);

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/platform/spawn/status", test_spawn_status);
  g_test_add_func ("/platform/spawn/signal", test_spawn_signal);
  g_test_add_func ("/platform/spawn/fails", test_spawn_fails);
  g_test_add_func ("/platform/spawn/exe-fd", test_spawn_exe_fd);
  g_test_add_func ("/platform/spawn/signals", test_spawn_signals);
  g_test_add_func ("/platform/spawn/descriptors", test_spawn_descriptors);
  g_test_add_func ("/platform/spawn/where", test_spawn_where);
  g_test_add_func ("/platform/spawn/stdio", test_spawn_stdio);
  g_test_add_func ("/platform/reap/running", test_reap_running);
  g_test_add_func ("/platform/reap/elsewhere", test_reap_elsewhere);
  g_test_add_func ("/platform/lifeline/busy", test_lifeline);
  g_test_add_func ("/platform/lifeline/too-late", test_lifeline_too_late);
  g_test_add_func ("/platform/lifeline/fork", test_lifeline_fork);
  g_test_add_func ("/platform/socket/descriptors", test_socket_descriptors);
  g_test_add_func ("/platform/socket/descriptors-lost", test_socket_descriptors_lost);
  g_test_add_func ("/platform/socket/peer", test_socket_peer);
  g_test_add_func ("/platform/fd/write-quietly", test_fd_write_quietly);
  g_test_add_func ("/platform/fd/lift", test_fd_lift);
  g_test_add_func ("/platform/fd/memory", test_fd_memory);
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
