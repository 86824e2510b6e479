/* test-process-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mp-glib/platform/mp-process-control-private.h"
#include "instrument-test.h"

/* Owners that are killed, servers that are killed, programs that do not start, and hosts that reap for themselves. */

#define LONG (60 * G_USEC_PER_SEC)
#define WITHIN_MS 1000   /* what is promised after an owner's end */

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
idle (GVariant *args, gpointer user_data, GError **error)
{
  while (TRUE)
    pause ();
  return NULL;
}

static GVariant *
exit_with (GVariant *args, gpointer user_data, GError **error)
{
  exit (g_variant_get_int32 (args));
}

/* Says who its parent in the system is: the fork server. */
static GVariant *
tell_server (GVariant *args, gpointer user_data, GError **error)
{
  printf ("%d\n", getppid ());
  fflush (stdout);
  return idle (NULL, NULL, NULL);
}

/* How long a program may take to show that it does not work, in milliseconds. */
static int
get_patience (void)
{
  return is_slow () ? 8000 : 500;
}

static MpProcess *
process_new (MpStartMethod method, const char *function, GVariant *args)
{
  g_autoptr(MpContext) context = mp_context_new (method);

  return g_object_new (MP_TYPE_PROCESS, "function", function, "args", args, "context", context, NULL);
}

static void
start (MpProcess *process)
{
  g_autoptr(GError) error = NULL;

  mp_process_start (process, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
join (MpProcess *process)
{
  g_autoptr(GError) error = NULL;

  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
}

/* An owner in a process of its own, and the processes that it has started. */
typedef struct
{
  GPid  pid;
  int   input;
  FILE *output;
  int   n_children;
  int   pids[4];
  int   pidfds[4];
} Owner;

static void
owner_start (Owner *owner, const char *method, const char *what, int n_children)
{
  g_autofree char *program = g_test_build_filename (G_TEST_BUILT, "helper-process-owner", NULL);
  const char *argv[] = { program, method, what, NULL };
  g_autoptr(GError) error = NULL;
  gboolean ready = FALSE;
  char line[64];
  int output = -1;

  g_spawn_async_with_pipes (NULL, (char **) argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &owner->pid,
                            &owner->input, &output, NULL, &error);
  g_assert_no_error (error);
  owner->output = fdopen (output, "r");
  owner->n_children = 0;
  do
    {
      g_assert_nonnull (fgets (line, sizeof line, owner->output));
      if (g_str_has_prefix (line, "pid "))
        {
          int pid = atoi (line + 4);

          owner->pids[owner->n_children] = pid;
          owner->pidfds[owner->n_children] = mp_platform_pidfd_open (pid);
          owner->n_children++;
        }
      ready |= g_str_equal (line, "ready\n");
    }
  while (!ready || owner->n_children < n_children);   /* two processes may write, in any order */
  g_assert_cmpint (owner->n_children, ==, n_children);
}

/* Whether a child ends within the time. */
static gboolean
ends (Owner *owner, int i, int timeout_ms)
{
  return ends_within (owner->pids[i], owner->pidfds[i], timeout_ms);
}

static int
owner_end (Owner *owner, int signum)
{
  int status = 0;

  if (signum != 0)
    g_assert_cmpint (kill (owner->pid, signum), ==, 0);
  close (owner->input);
  g_assert_cmpint (waitpid (owner->pid, &status, 0), ==, owner->pid);
  return status;
}

static void
owner_clear (Owner *owner)
{
  fclose (owner->output);
  for (int i = 0; i < owner->n_children; i++)
    close (owner->pidfds[i]);
}

static void
check_children_end (const char *method, const char *what, int signum)
{
  Owner owner;

  owner_start (&owner, method, what, 2);
  for (int i = 0; i < owner.n_children; i++)
    g_assert_false (ends (&owner, i, 0));
  owner_end (&owner, signum);
  for (int i = 0; i < owner.n_children; i++)
    g_assert_true (ends (&owner, i, WITHIN_MS));
  owner_clear (&owner);
}

static void
test_owner_killed (gconstpointer method)
{
  check_children_end (method, "stay", SIGKILL);
}

static void
test_owner_terminated (gconstpointer method)
{
  check_children_end (method, "stay", SIGTERM);
}

static void
test_owner_exits (gconstpointer method)
{
  check_children_end (method, "exit", 0);
}

static void
test_owner_of_owner_killed (gconstpointer method)
{
  check_children_end (method, "nested", SIGKILL);
}

static void
test_detached (gconstpointer method)
{
  Owner owner;

  owner_start (&owner, method, "detached", 2);
  owner_end (&owner, SIGKILL);
  for (int i = 0; i < owner.n_children; i++)
    {
      g_assert_false (ends (&owner, i, i == 0 ? 300 : 0));
      g_assert_cmpint (kill (owner.pids[i], SIGKILL), ==, 0);
      g_assert_true (ends (&owner, i, 10000));
    }
  owner_clear (&owner);
}

/* A process can wait for its parent's end. */
static void
test_parent_joined (gconstpointer method)
{
  g_autofree char *expected = NULL;
  Owner owner;
  char line[64];

  owner_start (&owner, method, "orphan", 2);
  owner_end (&owner, SIGKILL);
  expected = g_strdup_printf ("orphan %d 1\n", owner.pid);
  g_assert_nonnull (fgets (line, sizeof line, owner.output));
  g_assert_cmpstr (line, ==, expected);
  owner_clear (&owner);
}

/* The program reaps what it does not know. */
static void
test_status_stolen (void)
{
  g_autoptr(MpProcess) process = process_new (MP_START_METHOD_SPAWN, MP_FUNCTION (idle), NULL);
  int pid, status = 0;

  start (process);
  pid = mp_process_get_pid (process);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_assert_cmpint (waitpid (-1, &status, 0), ==, pid);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, MP_EXIT_STATUS_UNKNOWN);
  g_assert_false (mp_process_is_alive (process));
}

static void
test_sigchld_ignored (void)
{
  struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
  g_autoptr(MpProcess) process = process_new (MP_START_METHOD_SPAWN, MP_FUNCTION (exit_with), g_variant_new_int32 (3));

  sigaction (SIGCHLD, &ignore, &old);
  start (process);
  join (process);
  sigaction (SIGCHLD, &old, NULL);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, MP_EXIT_STATUS_UNKNOWN);
}

static void
keep_number_cb (MpProcess *process, const char *stream, const char *text, gpointer user_data)
{
  *(int *) user_data = atoi (text);
}

/* The children of a killed fork server live on; nobody can tell their status any more. */
static void
test_fork_server_killed (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORKSERVER);
  g_autoptr(MpProcess) first = NULL;
  g_autoptr(MpProcess) second = NULL;
  g_autoptr(MpProcess) later = NULL;
  int server = 0, new_server = 0;

  first = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (tell_server), "context", context,
                        "capture-output", TRUE, NULL);
  second = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (idle), "context", context, NULL);
  g_signal_connect (first, "line", G_CALLBACK (keep_number_cb), &server);
  start (first);
  start (second);
  while (server == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (server, !=, getpid ());
  g_assert_cmpint (kill (server, SIGKILL), ==, 0);

  g_assert_false (mp_process_join (first, 100000, NULL, NULL));
  g_assert_true (mp_process_is_alive (first));
  g_assert_true (mp_process_is_alive (second));

  later = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (tell_server), "context", context,
                        "capture-output", TRUE, NULL);
  g_signal_connect (later, "line", G_CALLBACK (keep_number_cb), &new_server);
  start (later);
  while (new_server == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (new_server, !=, server);
  g_assert_true (mp_process_kill (later, NULL));
  join (later);
  g_assert_cmpint (mp_process_get_exit_status (later), ==, -SIGKILL);

  g_assert_true (mp_process_kill (first, NULL));
  g_assert_true (mp_process_terminate (second, NULL));
  join (first);
  join (second);
  g_assert_cmpint (mp_process_get_exit_status (first), ==, MP_EXIT_STATUS_UNKNOWN);
  g_assert_cmpint (mp_process_get_exit_status (second), ==, MP_EXIT_STATUS_UNKNOWN);
}

static void
check_bad_program (const char * const *argv, const char *text, gboolean had_pid)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) again = NULL;

  mp_context_set_worker_argv (context, argv);
  mp_context_set_boot_timeout (context, get_patience () * 1000);
  process = g_object_new (MP_TYPE_PROCESS, "function", "anything", "context", context, NULL);
  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, text));
  g_assert_false (mp_process_is_alive (process));
  again = mp_process_dup_error (process);
  g_assert_error (again, error->domain, error->code);
  g_assert_cmpstr (again->message, ==, error->message);
  g_clear_error (&again);

  g_assert_cmpint (mp_process_get_pid (process) != 0, ==, had_pid);
  g_assert_cmpint (mp_process_join (process, LONG, NULL, &again), ==, had_pid);
  g_assert_cmpint (mp_process_get_exit_status (process) != MP_EXIT_STATUS_RUNNING, ==, had_pid);
  if (!had_pid)
    g_assert_error (again, error->domain, error->code);
}

static void
test_bad_programs (void)
{
  g_autofree char *patience = g_strdup_printf ("%d ms", get_patience ());

  check_bad_program ((const char *[]) { "/nonexistent/program", NULL }, "no such program", FALSE);
  check_bad_program ((const char *[]) { "/bin/true", NULL }, "exited with status 0", TRUE);
  check_bad_program ((const char *[]) { "/bin/sh", "-c", "echo no good >&2; exit 5", NULL }, "no good", TRUE);
  check_bad_program ((const char *[]) { "/bin/sh", "-c", "kill -ABRT $$", NULL }, "SIGABRT", TRUE);
  check_bad_program ((const char *[]) { "/bin/sleep", "100", NULL }, patience, TRUE);
}

static void
test_bad_program_async_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_process_start_finish (MP_PROCESS (object), result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
  ++*(int *) user_data;
}

/* The first fails; the others of its context do not try what cannot work. */
static void
test_bad_program_async (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  int n = 0;

  mp_context_set_worker_argv (context, (const char *[]) { "/bin/false", NULL });
  for (int i = 0; i < 10; i++)
    {
      g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", "f", "context", context, NULL);

      mp_process_start_async (process, NULL, test_bad_program_async_cb, &n);
    }
  while (n < 10)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_start_timeout (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;
  int pid;

  mp_context_set_worker_argv (context, (const char *[]) { "/bin/sleep", "100", NULL });
  process = g_object_new (MP_TYPE_PROCESS, "function", "f", "context", context, NULL);
  g_assert_false (mp_process_start (process, 50000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, -SIGKILL);
  pid = mp_process_get_pid (process);
  g_assert_cmpint (kill (pid, 0), ==, -1);
}

/* No descriptor is free: an error, and all is well when there are some again. */
static void
test_descriptor_limit (gconstpointer method)
{
  MpStartMethod m = GPOINTER_TO_INT (method);
  g_autoptr(MpProcess) before = NULL;
  struct rlimit limit, low;
  guint n_failed = 0;

  if (!limit_is_real ())
    return;
  before = process_new (m, MP_FUNCTION (idle), NULL);
  start (before);
  getrlimit (RLIMIT_NOFILE, &limit);
  for (rlim_t n = 3; n < 64; n++)
    {
      g_autoptr(MpProcess) process = process_new (m, MP_FUNCTION (nothing), NULL);
      g_autoptr(GError) error = NULL;
      gboolean started;

      low = limit;
      low.rlim_cur = n;
      setrlimit (RLIMIT_NOFILE, &low);
      started = mp_process_start (process, LONG, NULL, &error);
      setrlimit (RLIMIT_NOFILE, &limit);
      if (started)
        {
          join (process);
          g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
          continue;
        }
      n_failed++;
      g_assert_nonnull (error);
      g_test_message ("%d: %s", (int) n, error->message);
      if (mp_process_get_pid (process) != 0)
        join (process);
      g_assert_false (mp_process_is_alive (process));
    }
  g_assert_cmpuint (n_failed, >, 0);

  g_assert_true (mp_process_is_alive (before));
  mp_process_kill (before, NULL);
  join (before);
  g_assert_cmpint (mp_process_get_exit_status (before), ==, -SIGKILL);
}

/* What the host has set is as it was, and nothing of ours is in the environment. */
static void
test_no_surprise (void)
{
  struct sigaction before[64], after[64];
  mode_t mask = umask (022);
  g_autofree char *directory = g_get_current_dir ();
  g_auto(GStrv) environment = g_get_environ ();
  g_auto(GStrv) environment_after = NULL;
  g_autofree char *directory_after = NULL;
  g_autoptr(MpProcess) one = process_new (MP_START_METHOD_SPAWN, MP_FUNCTION (nothing), NULL);
  g_autoptr(MpProcess) two = process_new (MP_START_METHOD_FORKSERVER, MP_FUNCTION (nothing), NULL);

  umask (mask);
  for (int i = 1; i < 64; i++)
    sigaction (i, NULL, &before[i]);
  start (one);
  start (two);
  join (one);
  join (two);
  for (int i = 1; i < 64; i++)
    {
      if (sigaction (i, NULL, &after[i]) < 0)
        continue;
      g_assert_true (before[i].sa_handler == after[i].sa_handler);
      g_assert_cmpint (before[i].sa_flags, ==, after[i].sa_flags);
    }
  g_assert_cmpint (umask (mask), ==, mask);
  directory_after = g_get_current_dir ();
  g_assert_cmpstr (directory, ==, directory_after);
  environment_after = g_get_environ ();
  g_assert_cmpstrv (environment, environment_after);
}

int
main (int argc, char **argv)
{
  static const char * const methods[] = { "spawn", "forkserver", "fork" };
  static const struct
  {
    const char    *name;
    GTestDataFunc  func;
  } tests[] =
    {
      { "owner-killed", test_owner_killed },
      { "owner-terminated", test_owner_terminated },
      { "owner-exits", test_owner_exits },
      { "owner-of-owner-killed", test_owner_of_owner_killed },
      { "detached", test_detached },
      { "parent-joined", test_parent_joined },
    };

  mp_init ();
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    for (guint j = 0; j < G_N_ELEMENTS (tests); j++)
      {
        g_autofree char *path = g_strdup_printf ("/process-faults/%s/%s", methods[i], tests[j].name);

        if (UNDER_THREAD_SANITIZER && g_str_equal (methods[i], "fork"))
          g_test_add_data_func (path, get_reason_not_to_fork (), skip_test);
        else
          g_test_add_data_func (path, methods[i], tests[j].func);
      }
  g_test_add_func ("/process-faults/status-stolen", test_status_stolen);
  g_test_add_func ("/process-faults/sigchld-ignored", test_sigchld_ignored);
  g_test_add_func ("/process-faults/fork-server-killed", test_fork_server_killed);
  g_test_add_func ("/process-faults/bad-programs", test_bad_programs);
  g_test_add_func ("/process-faults/bad-program-async", test_bad_program_async);
  g_test_add_func ("/process-faults/start-timeout", test_start_timeout);
  g_test_add_data_func ("/process-faults/descriptor-limit/spawn", GINT_TO_POINTER (MP_START_METHOD_SPAWN),
                        test_descriptor_limit);
  g_test_add_data_func ("/process-faults/descriptor-limit/forkserver", GINT_TO_POINTER (MP_START_METHOD_FORKSERVER),
                        test_descriptor_limit);
  g_test_add_func ("/process-faults/no-surprise", test_no_surprise);

  return g_test_run ();
}
