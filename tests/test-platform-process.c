/* test-platform-process.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "instrument-test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How the platform starts processes, sees their end, and ends them with their owner. */

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

int
main (int   argc,
      char *argv[])
{
  if (argc > 2 && g_str_equal (argv[1], "--child"))
    return child_main (argc, argv);

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/platform-process/spawn/status", test_spawn_status);
  g_test_add_func ("/platform-process/spawn/signal", test_spawn_signal);
  g_test_add_func ("/platform-process/spawn/fails", test_spawn_fails);
  g_test_add_func ("/platform-process/spawn/exe-fd", test_spawn_exe_fd);
  g_test_add_func ("/platform-process/spawn/signals", test_spawn_signals);
  g_test_add_func ("/platform-process/spawn/descriptors", test_spawn_descriptors);
  g_test_add_func ("/platform-process/spawn/where", test_spawn_where);
  g_test_add_func ("/platform-process/spawn/stdio", test_spawn_stdio);
  g_test_add_func ("/platform-process/reap/running", test_reap_running);
  g_test_add_func ("/platform-process/reap/elsewhere", test_reap_elsewhere);
  g_test_add_func ("/platform-process/lifeline/busy", test_lifeline);
  g_test_add_func ("/platform-process/lifeline/too-late", test_lifeline_too_late);
  g_test_add_func ("/platform-process/lifeline/fork", test_lifeline_fork);

  return g_test_run ();
}
