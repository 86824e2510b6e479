/* test-pool-owners.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "mp-glib/platform/mp-process-control-private.h"

/* Owners of a kind, in a process of their own: they reap for themselves, are killed or interrupted, or never called
 * mp_init(). */

static GVariant *
die (GVariant *args, gpointer user_data, GError **error)
{
  raise (SIGKILL);
  return NULL;
}

static void
reap_everything (int signum)
{
  int saved = errno;

  while (waitpid (-1, NULL, WNOHANG) > 0)
    ;
  errno = saved;
}

static void
run_deaths (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) result = NULL;

  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (die), NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  result = map (pool, MP_FUNCTION (square), make_ints (100), 1);
  check_squares (result, 100);
  finish (pool);
}

static void
test_greedy_host (void)
{
  if (g_test_subprocess ())
    {
      signal (SIGCHLD, reap_everything);
      run_deaths ();
      return;
    }
  g_test_trap_subprocess (NULL, LONG, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

static void
test_sigchld_ignored (void)
{
  if (g_test_subprocess ())
    {
      signal (SIGCHLD, SIG_IGN);
      run_deaths ();
      return;
    }
  g_test_trap_subprocess (NULL, LONG, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

/* An owner with a busy worker, whose number it tells; then it does as its argument says. */
static int
run_owner (const char *what)
{
  MpPool *pool = mp_pool_new (2);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = submit (pool, MP_FUNCTION (ignore_sigterm), gate_handle (&gate));
  int pid = gate_await (&gate);

  g_assert_cmpint (getpgid (pid), !=, getpgrp ());
  printf ("worker %d\n", pid);
  fflush (stdout);
  g_assert_cmpint (getchar (), ==, '\n');
  if (strcmp (what, "--interrupted-owner") == 0)
    kill (-getpgrp (), SIGINT);
  else
    raise (SIGKILL);
  mp_future_wait (busy, LONG, NULL, NULL);
  return 1;
}

static void
check_owner_ends (const char *what, int signum)
{
  int out[2], in[2], pid, status = 0;
  char line[64] = "";
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);   /* exec() does not fool valgrind */
  FILE *output;
  int worker, pidfd;

  g_assert_cmpint (pipe2 (out, O_CLOEXEC), ==, 0);
  g_assert_cmpint (pipe2 (in, O_CLOEXEC), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      setpgid (0, 0);
      dup2 (in[0], STDIN_FILENO);
      dup2 (out[1], STDOUT_FILENO);
      execl (program, program, what, NULL);
      _exit (127);
    }
  close (in[0]);
  close (out[1]);
  output = fdopen (out[0], "r");
  g_assert_nonnull (fgets (line, sizeof line, output));
  g_assert_cmpint (sscanf (line, "worker %d", &worker), ==, 1);
  pidfd = mp_platform_pidfd_open (worker);
  g_assert_true (pidfd >= 0 || is_under_valgrind ());
  g_assert_cmpint (write (in[1], "\n", 1), ==, 1);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == signum);
  g_assert_true (ends_within (worker, pidfd, 1000));
  close (pidfd);
  close (in[1]);
  fclose (output);
}

/* The terminal's Ctrl-C reaches the program alone; its workers end with it. */
static void
test_interrupted (void)
{
  check_owner_ends ("--interrupted-owner", SIGINT);
}

static void
test_owner_killed (void)
{
  check_owner_ends ("--killed-owner", SIGKILL);
}

/* Without mp_init() nothing is started. */
static int
run_uninitialized (void)
{
  MpPool *pool = pool_of (2, NULL, NULL);

  expect_failure (pool, MP_ERROR, MP_ERROR_NOT_INITIALIZED, "mp_init");
  return n_workers_started == 0 ? 0 : 1;
}

static void
test_not_initialized (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  int pid = fork (), status = -1;

  if (pid == 0)
    {
      execl (program, program, "--uninitialized", NULL);
      _exit (127);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

static void
not_owner_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;

  if (mp_future_get_finish (MP_FUTURE (object), result, &error) == NULL &&
      g_error_matches (error, MP_ERROR, MP_ERROR_NOT_OWNER))
    *(gboolean *) user_data = TRUE;
}

/* In the forked copy of an owner the pool is not usable, and does no harm; nobody waits there for what never comes. */
static void
test_forked_copy (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) waiting = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  gboolean told = FALSE;
  int pid, status = -1;

  gate_await (&gate);
  pid = fork ();
  if (pid == 0)
    {
      g_autoptr(GError) error = NULL;

      if (mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (1), LONG, NULL, &error) != NULL ||
          !g_error_matches (error, MP_ERROR, MP_ERROR_NOT_OWNER))
        _exit (1);
      mp_future_get_async (waiting, NULL, not_owner_cb, &told);
      while (!told)
        g_main_context_iteration (NULL, TRUE);
      mp_pool_terminate (pool);
      g_object_unref (pool);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  gate_open (&gate);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (5)), ==, 25);
  gate_clear (&gate);
  finish (pool);
}

int
main (int argc, char **argv)
{
  if (argc > 1 && strcmp (argv[1], "--uninitialized") == 0)
    return run_uninitialized ();
  mp_init ();
  if (argc > 1 && g_str_has_suffix (argv[1], "-owner"))
    return run_owner (argv[1]);
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-owners/greedy-host", test_greedy_host);
  g_test_add_func ("/pool-owners/sigchld-ignored", test_sigchld_ignored);
  g_test_add_func ("/pool-owners/interrupted", test_interrupted);
  g_test_add_func ("/pool-owners/owner-killed", test_owner_killed);
  g_test_add_func ("/pool-owners/not-initialized", test_not_initialized);
  if (is_under_valgrind ())
    g_test_add_data_func ("/pool-owners/forked-copy", get_reason_not_to_fork (), skip_test);
  else
    g_test_add_func ("/pool-owners/forked-copy", test_forked_copy);

  return g_test_run ();
}
