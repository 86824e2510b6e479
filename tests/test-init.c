/* test-init.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "instrument-test.h"
#include "mp-glib/process/mp-boot-private.h"

#include <glib/gstdio.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The guards between a program and its copies. helper-boot is the program that does what each is there for. */

#define LONG (60 * G_USEC_PER_SEC)
#define MS   1000

static char *helper;

typedef struct
{
  char *path;   /* where the helper counts how often it came to main */
} Count;

static void
count_init (Count *count)
{
  int fd = g_file_open_tmp ("mp-test-XXXXXX", &count->path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (fchmod (fd, 0666), ==, 0);
  close (fd);
}

static gsize
count_get (Count *count)
{
  GStatBuf st;

  g_assert_cmpint (g_stat (count->path, &st), ==, 0);
  return st.st_size;
}

static void
count_clear (Count *count)
{
  g_unlink (count->path);
  g_free (count->path);
}

/* Runs @argv as an ordinary program. */
static int
run (const char * const *argv, char **err)
{
  g_autoptr(GError) error = NULL;
  int status = 0;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, err,
                &status, &error);
  g_assert_no_error (error);
  return WIFEXITED (status) ? WEXITSTATUS (status) : -WTERMSIG (status);
}

/* What starting a worker by @argv fails with. */
static GError *
fail_to_start (const char * const *argv, gint64 boot_timeout, int *pid)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpProcess) process = NULL;
  GError *error = NULL;

  mp_context_set_worker_argv (context, argv);
  mp_context_set_boot_timeout (context, boot_timeout);
  process = g_object_new (MP_TYPE_PROCESS, "function", "nothing", "context", context, NULL);
  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  if (pid != NULL)
    *pid = mp_process_get_pid (process);
  return error;
}

static void
check_boot (const char *mode, int code, const char *text)
{
  g_autoptr(GError) error = NULL;
  Count count;
  int pid = 0;

  count_init (&count);
  error = fail_to_start ((const char *[]) { helper, mode, count.path, NULL }, LONG, &pid);
  g_assert_error (error, MP_ERROR, code);
  g_assert_nonnull (strstr (error->message, text));
  g_assert_cmpuint (count_get (&count), ==, 1);
  /* Gone, and not a zombie. */
  g_assert_cmpint (pid, >, 0);
  g_assert_cmpint (kill (pid, 0), ==, -1);
  count_clear (&count);
}

static void
test_not_initialized (void)
{
  g_autofree char *err = NULL;
  Count count;

  count_init (&count);
  g_assert_cmpint (run ((const char *[]) { helper, "start-early", count.path, NULL }, &err), ==, 3);
  g_assert_nonnull (strstr (err, "mp_init() must be called near the top of main"));
  g_assert_cmpuint (count_get (&count), ==, 1);
  count_clear (&count);
}

static void
test_boot_failures (void)
{
  check_boot ("exit", MP_ERROR_WORKER_START, "exited with status 5 before it called mp_init()");
  check_boot ("exit", MP_ERROR_WORKER_START, "\n  cannot go on\n  for want of a reason");
  check_boot ("abort", MP_ERROR_WORKER_START, "was killed by signal 6 (SIGABRT) before it called mp_init()");
  check_boot ("start-early", MP_ERROR_NOT_INITIALIZED, "asked for processes of its own before mp_init()");
  check_boot ("fork", MP_ERROR_NOT_INITIALIZED, "has forked since it was started");
  check_boot ("loop", MP_ERROR_NOT_INITIALIZED, "called from a main loop");
  check_boot ("application", MP_ERROR_NOT_INITIALIZED, "after the application object was made");
}

static void
test_details (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) details = NULL;
  g_autofree const char **lines = NULL;
  Count count;
  int status = 0;

  count_init (&count);
  error = fail_to_start ((const char *[]) { helper, "exit", count.path, NULL }, LONG, NULL);
  details = mp_error_dup_details (error);
  g_assert_nonnull (details);
  g_assert_true (g_variant_lookup (details, "exit-status", "i", &status));
  g_assert_cmpint (status, ==, 5);
  g_assert_true (g_variant_lookup (details, "stderr", "^a&s", &lines));
  g_assert_cmpstr (lines[0], ==, "cannot go on");
  count_clear (&count);
}

static void
test_never_loaded (void)
{
  g_autoptr(GError) error = NULL;

  error = fail_to_start ((const char *[]) { "sh", "-c", "echo what is this >&2; exit 7", NULL }, LONG, NULL);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
  g_assert_nonnull (strstr (error->message, "exited with status 7 before it loaded the library"));
  g_assert_nonnull (strstr (error->message, "what is this"));
}

static void
test_missing (void)
{
  g_autoptr(GError) error = NULL;

  error = fail_to_start ((const char *[]) { "/nonexistent/program", NULL }, LONG, NULL);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
  g_assert_nonnull (strstr (error->message, "/nonexistent/program"));
  g_clear_error (&error);

  error = fail_to_start ((const char *[]) { "/proc/self/status", NULL }, LONG, NULL);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
}

static void
test_hang (void)
{
  g_autoptr(GError) error = NULL;
  Count count;
  int pid = 0;

  count_init (&count);
  error = fail_to_start ((const char *[]) { helper, "hang", count.path, NULL }, 300 * MS, &pid);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
  g_assert_nonnull (strstr (error->message, "did not reach mp_init() within 300 ms"));
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_clear_error (&error);

  error = fail_to_start ((const char *[]) { "sleep", "1000", NULL }, 100 * MS, &pid);
  g_assert_nonnull (strstr (error->message, "it has not loaded the library"));
  g_assert_cmpint (kill (pid, 0), ==, -1);
  count_clear (&count);
}

/* Frames that are not what a worker sends: it is cut off at once, though it would live on. */
static void
test_bad_frames (void)
{
  check_boot ("bad-version", MP_ERROR_WORKER_START, "another version of the library");
  check_boot ("bad-pid", MP_ERROR_WORKER_START, "was started");
  check_boot ("bad-hello", MP_ERROR_PROTOCOL, "HELLO");
  check_boot ("bad-ready", MP_ERROR_PROTOCOL, "READY");
  check_boot ("bad-result", MP_ERROR_PROTOCOL, "before it was ready");
  check_boot ("bad-log", MP_ERROR_PROTOCOL, "log record");
  check_boot ("bad-exited", MP_ERROR_PROTOCOL, "fork server");
  check_boot ("bad-kind", MP_ERROR_PROTOCOL, "unknown kind");
  check_boot ("bad-garbage", MP_ERROR_PROTOCOL, "");
  check_boot ("bad-length", MP_ERROR_TOO_LARGE, "");
}

/* A worker that does not know that it is one must not start another such. The wrapper is what each of them would be
 * started by: without the guards every one would start the next. */
static void
check_lost_mark (const char * const *wrapper, gsize expected, const char *text)
{
  g_autoptr(GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *err = NULL;
  Count count;

  count_init (&count);
  g_ptr_array_add (argv, helper);
  g_ptr_array_add (argv, (gpointer) "own");
  g_ptr_array_add (argv, count.path);
  /* What follows is the command line of the worker: the wrapper, and this very command line. */
  for (guint depth = 0; depth < 4; depth++)
    {
      for (guint i = 0; wrapper[i] != NULL; i++)
        g_ptr_array_add (argv, (gpointer) wrapper[i]);
      g_ptr_array_add (argv, helper);
      g_ptr_array_add (argv, (gpointer) "own");
      g_ptr_array_add (argv, count.path);
    }
  g_ptr_array_add (argv, NULL);
  g_assert_cmpint (run ((const char * const *) argv->pdata, &err), ==, 3);
  g_test_message ("%s", err);
  g_assert_nonnull (strstr (err, text));
  g_assert_cmpuint (count_get (&count), ==, expected);
  count_clear (&count);
}

static void
test_lost_environment (void)
{
  check_lost_mark ((const char *[]) { "env", "-i", NULL }, 2, "its environment was lost on the way");
}

static void
test_forged_environment (void)
{
  check_lost_mark ((const char *[]) { "env", "MP_WORKER=7", NULL }, 2, "malformed");
  check_lost_mark ((const char *[]) { "env", "MP_WORKER=0:1:2", NULL }, 2, "malformed");
  check_lost_mark ((const char *[]) { "env", "MP_WORKER=1000:1:-1", NULL }, 2, "not its owner's");
  check_lost_mark ((const char *[]) { "env", "MP_WORKER=", NULL }, 2, "malformed");
}

static void
test_wrapper (void)
{
  /* The last command of a shell replaces it; so one that does not come last. */
  check_lost_mark ((const char *[]) { "sh", "-c", "\"$0\" \"$@\"; exit $?", NULL }, 2, "by way of another process");
}

/* A forged mark alone, without the signal. */
static void
test_forged_mark (void)
{
  g_autofree char *err = NULL;
  Count count;

  count_init (&count);
  g_assert_cmpint (run ((const char *[]) { "env", "MP_WORKER=3:1:4", helper, "own", count.path, NULL }, &err), ==, 3);
  g_assert_nonnull (strstr (err, "may not start others"));
  g_assert_cmpuint (count_get (&count), ==, 1);
  count_clear (&count);
}

/* A launcher that executes the program anew, after the library was loaded. */
static void
test_executed_again (void)
{
  g_autofree char *err = NULL;
  Count count;

  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind executes programs by what it thinks they are called");
      return;
    }
  count_init (&count);
  g_assert_cmpint (run ((const char *[]) { helper, "again", count.path, helper, "again", count.path, NULL }, &err),
                   ==, 3);
  g_test_message ("%s", err);
  g_assert_nonnull (strstr (err, "before it called mp_init()"));
  /* The owner twice, its worker twice. */
  g_assert_cmpuint (count_get (&count), ==, 4);
  count_clear (&count);
}

static void
test_setuid (void)
{
  g_autofree char *directory = g_dir_make_tmp ("mp-test-XXXXXX", NULL);
  g_autofree char *program = g_build_filename (directory, "setuid", NULL);
  g_autofree char *text = NULL;
  g_autofree char *err = NULL;
  gsize size;
  Count count;
  int status;

  if (geteuid () != 0 || is_under_valgrind ())
    {
      g_test_skip ("only root can make a set-uid program of another user, and valgrind runs none");
      g_rmdir (directory);
      return;
    }
  count_init (&count);
  g_assert_true (g_file_get_contents (helper, &text, &size, NULL));
  g_assert_true (g_file_set_contents (program, text, size, NULL));
  g_assert_cmpint (chmod (directory, 0755), ==, 0);
  g_assert_cmpint (chown (program, 65534, 65534), ==, 0);
  g_assert_cmpint (chmod (program, 04755), ==, 0);
  status = run ((const char *[]) { program, "own", count.path, NULL }, &err);
  if (status == 127)
    g_test_skip ("a set-uid program cannot be run here");
  else if (status == 0)
    g_test_skip ("set-uid has no effect here");
  else
    {
      g_assert_nonnull (strstr (err, "set-uid"));
      g_assert_cmpuint (count_get (&count), ==, 1);
    }
  g_unlink (program);
  g_rmdir (directory);
  count_clear (&count);
}

typedef struct
{
  guint    n_failed;
  guint    n_ready;
  gboolean differ;
  char    *message;   /* of the last */
} Starts;

static void
started_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  Starts *starts = user_data;
  g_autoptr(GError) error = NULL;

  if (mp_process_start_finish (MP_PROCESS (object), result, &error))
    {
      starts->n_ready++;
      return;
    }
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_START);
  starts->differ |= starts->message != NULL && strcmp (error->message, starts->message) != 0;
  g_free (starts->message);
  starts->message = g_strdup (error->message);
  starts->n_failed++;
}

/* Of a program that does not work one is started, whatever is asked for. */
static void
test_first_boots_alone (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  MpProcess *processes[10];
  Starts starts = { 0 };
  Count count;

  count_init (&count);
  mp_context_set_worker_argv (context, (const char *[]) { helper, "exit", count.path, NULL });
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    {
      processes[i] = g_object_new (MP_TYPE_PROCESS, "function", "nothing", "context", context, NULL);
      mp_process_start_async (processes[i], NULL, started_cb, &starts);
    }
  while (starts.n_failed < G_N_ELEMENTS (processes))
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (starts.differ);
  g_assert_cmpuint (count_get (&count), ==, 1);

  /* The failure is not remembered: who asks again, tries again. */
  starts.n_failed = 0;
  g_clear_pointer (&starts.message, g_free);
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    g_clear_object (&processes[i]);
  processes[0] = g_object_new (MP_TYPE_PROCESS, "function", "nothing", "context", context, NULL);
  mp_process_start_async (processes[0], NULL, started_cb, &starts);
  while (starts.n_failed == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (count_get (&count), ==, 2);
  g_clear_object (&processes[0]);
  g_free (starts.message);
  count_clear (&count);
}

/* The first one is ended before it is ready: that says nothing of the program, and the next one is the first. */
static void
test_first_is_ended (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpProcess) first = NULL;
  g_autoptr(MpProcess) second = NULL;
  Starts starts = { 0 };
  Count count;

  count_init (&count);
  mp_context_set_worker_argv (context, (const char *[]) { helper, "hang", count.path, NULL });
  mp_context_set_boot_timeout (context, 300 * MS);
  first = g_object_new (MP_TYPE_PROCESS, "function", "nothing", "context", context, NULL);
  second = g_object_new (MP_TYPE_PROCESS, "function", "nothing", "context", context, NULL);
  mp_process_start_async (first, NULL, started_cb, &starts);
  mp_process_start_async (second, NULL, started_cb, &starts);
  g_assert_true (mp_process_kill (first, NULL));
  while (starts.n_failed < 2)
    g_main_context_iteration (NULL, TRUE);
  g_assert_nonnull (strstr (starts.message, "300 ms"));
  g_assert_cmpint (mp_process_get_pid (second), >, 0);
  g_free (starts.message);
  count_clear (&count);
}

static void
test_cpus (void)
{
  guint n = mp_get_n_usable_cpus ();

  g_assert_cmpuint (n, >=, 1);
  g_assert_cmpuint (n, <=, mp_get_n_cpus ());
  g_setenv ("MP_CPU_COUNT", "77", TRUE);
  g_assert_cmpuint (mp_get_n_usable_cpus (), ==, 77);
  g_setenv ("MP_CPU_COUNT", "0", TRUE);
  g_assert_cmpuint (mp_get_n_usable_cpus (), ==, n);
  g_setenv ("MP_CPU_COUNT", "many", TRUE);
  g_assert_cmpuint (mp_get_n_usable_cpus (), ==, n);
  g_unsetenv ("MP_CPU_COUNT");
}

static void
test_program_itself (void)
{
  g_assert_false (mp_is_worker ());
  g_assert_null (mp_worker_dup_boot_data ());
  g_assert_null (mp_invocation_get_current ());
  mp_init ();   /* again: nothing */
  g_assert_cmpint (mp_init_returning (), ==, -1);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);
  helper = g_test_build_filename (G_TEST_BUILT, "helper-boot", NULL);

  g_test_add_func ("/init/program-itself", test_program_itself);
  g_test_add_func ("/init/not-initialized", test_not_initialized);
  g_test_add_func ("/init/boot-failures", test_boot_failures);
  g_test_add_func ("/init/details", test_details);
  g_test_add_func ("/init/never-loaded", test_never_loaded);
  g_test_add_func ("/init/missing", test_missing);
  g_test_add_func ("/init/hang", test_hang);
  g_test_add_func ("/init/bad-frames", test_bad_frames);
  g_test_add_func ("/init/lost-environment", test_lost_environment);
  g_test_add_func ("/init/forged-environment", test_forged_environment);
  g_test_add_func ("/init/wrapper", test_wrapper);
  g_test_add_func ("/init/forged-mark", test_forged_mark);
  g_test_add_func ("/init/executed-again", test_executed_again);
  g_test_add_func ("/init/setuid", test_setuid);
  g_test_add_func ("/init/first-boots-alone", test_first_boots_alone);
  g_test_add_func ("/init/first-is-ended", test_first_is_ended);
  g_test_add_func ("/init/cpus", test_cpus);
  return g_test_run ();
}
