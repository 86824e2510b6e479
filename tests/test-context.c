/* test-context.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "instrument-test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a context says, seen from the process that is made by it. */

#define LONG (60 * G_USEC_PER_SEC)

static char *helper;
static char *module;

/* Running a function and having what it printed */

typedef struct
{
  GString *out;   /* each line with its end */
  GString *err;
} Output;

static void
line_cb (MpProcess *process, const char *stream, const char *line, gpointer user_data)
{
  Output *output = user_data;

  g_string_append_printf (strcmp (stream, "stdout") == 0 ? output->out : output->err, "%s\n", line);
}

static void
output_init (Output *output)
{
  output->out = g_string_new (NULL);
  output->err = g_string_new (NULL);
}

static void
output_clear (Output *output)
{
  g_string_free (output->out, TRUE);
  g_string_free (output->err, TRUE);
}

/* Runs @function to its end; with @capture its stdout, and stderr, come by lines. */
static void
run (MpContext *context, const char *function, gboolean capture, Output *output)
{
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  process = g_object_new (MP_TYPE_PROCESS, "function", function, "context", context, "capture-output", capture, NULL);
  g_signal_connect (process, "line", G_CALLBACK (line_cb), output);
  mp_process_start (process, LONG, NULL, &error);
  g_assert_no_error (error);
  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
  error = mp_process_dup_error (process);
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
}

static void
check_output (MpContext *context, const char *function, const char *expected)
{
  Output output;

  output_init (&output);
  run (context, function, TRUE, &output);
  g_assert_cmpstr (output.out->str, ==, expected);
  output_clear (&output);
}

static void
check_failure (MpContext *context, int code, const char *text)
{
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", "f", "context", context, NULL);
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, text));
}

static GVariant *
done (void)
{
  return g_variant_new_tuple (NULL, 0);
}

/* The functions */

static GVariant *
print_default_context (GVariant *args, gpointer user_data, GError **error)
{
  MpContext *context = mp_context_get_default ();
  const char * const *argv = mp_context_get_worker_argv (context);
  g_autoptr(GVariant) boot_data = mp_context_dup_boot_data (context);

  printf ("%d %s %s\n", mp_context_get_start_method (context), argv != NULL ? argv[1] : "-",
          boot_data != NULL ? g_variant_get_string (boot_data, NULL) : "-");
  return done ();
}

static GVariant *
print_boot_data (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) boot_data = mp_worker_dup_boot_data ();
  g_autofree char *text = boot_data != NULL ? g_variant_print (boot_data, TRUE) : g_strdup ("none");

  printf ("%s\n", text);
  return done ();
}

static GVariant *
print_parent (GVariant *args, gpointer user_data, GError **error)
{
  printf ("%d\n", (int) getppid ());
  return done ();
}

static GVariant *
print_place (GVariant *args, gpointer user_data, GError **error)
{
  g_autofree char *cwd = g_get_current_dir ();

  printf ("%s %s\n", cwd, g_getenv ("MP_TEST_PLACE"));
  return done ();
}

static GVariant *
print_random (GVariant *args, gpointer user_data, GError **error)
{
  g_autofree char *uuid = g_uuid_string_random ();

  printf ("%s\n", uuid);
  return done ();
}

static GVariant *
print_loop (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GMainContext) context = g_main_context_ref_thread_default ();

  printf ("%d %d\n", context == g_main_context_default (), g_main_context_is_owner (context));
  return done ();
}

static GVariant *
complain (GVariant *args, gpointer user_data, GError **error)
{
  fprintf (stderr, "first\nsecond \xff\n\nlast");
  return done ();
}

/* Properties */

static void
count_notify_cb (GObject *object, GParamSpec *pspec, gpointer user_data)
{
  ++*(int *) user_data;
}

static void
test_properties (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  const char *argv[] = { "program", "argument", NULL };
  const char *none[] = { NULL };
  g_autofree MpStartMethod *methods = NULL;
  g_autoptr(GVariant) boot_data = NULL;
  gsize n_methods = 0;
  int n_notified = 0;

  g_signal_connect (context, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  g_assert_cmpint (mp_context_get_start_method (context), ==, MP_START_METHOD_SPAWN);
  g_assert_null (mp_context_get_worker_argv (context));
  g_assert_null (mp_context_get_preload (context));
  g_assert_null (mp_context_dup_boot_data (context));
  g_assert_null (mp_context_dup_preloaded (context));
  g_assert_cmpint (mp_context_get_stderr (context), ==, MP_STDERR_INHERIT);
  g_assert_cmpint (mp_context_get_boot_timeout (context), ==, 30 * G_USEC_PER_SEC);

  mp_context_set_worker_argv (context, argv);
  g_assert_true (g_strv_equal (mp_context_get_worker_argv (context), argv));
  mp_context_set_preload (context, argv);
  g_assert_true (g_strv_equal (mp_context_get_preload (context), argv));
  mp_context_set_stderr (context, MP_STDERR_TEE);
  g_assert_cmpint (mp_context_get_stderr (context), ==, MP_STDERR_TEE);
  mp_context_set_boot_timeout (context, -1);
  g_assert_cmpint (mp_context_get_boot_timeout (context), ==, -1);
  mp_context_set_boot_data (context, g_variant_new_string ("data"));
  boot_data = mp_context_dup_boot_data (context);
  g_assert_cmpstr (g_variant_get_string (boot_data, NULL), ==, "data");
  g_assert_cmpint (n_notified, ==, 5);
  mp_context_set_worker_argv (context, none);
  g_assert_null (mp_context_get_worker_argv (context));
  g_assert_cmpint (mp_context_get_start_method (context), ==, MP_START_METHOD_SPAWN);

  methods = mp_context_list_start_methods (&n_methods);
  g_assert_cmpuint (n_methods, ==, 4);
  g_assert_cmpint (methods[0], ==, MP_START_METHOD_AUTO);
  g_assert_true (mp_context_get_default () == mp_context_get_default ());
  g_assert_cmpint (mp_context_get_start_method (mp_context_get_default ()), ==, MP_START_METHOD_AUTO);
}

/* Other programs */

static void
test_worker_argv (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  mp_context_set_worker_argv (context, (const char *[]) { helper, NULL });
  check_output (context, "introduce", "this is the helper\n");
}

/* A program that cannot be a fork server: who did not ask for one gets a process all the same. */
static void
test_fall_back (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_AUTO);
  g_autoptr(MpContext) strict = mp_context_new (MP_START_METHOD_FORKSERVER);
  const char *argv[] = { helper, "threads", NULL };

  mp_context_set_worker_argv (context, argv);
  mp_context_set_worker_argv (strict, argv);
  check_output (context, "introduce", "this is the helper\n");
  check_output (context, "introduce", "this is the helper\n");
  check_failure (strict, MP_ERROR_UNSAFE_FORK, "stays (");
}

static gpointer
wait_for_word (gpointer data)
{
  GAsyncQueue **words = data;

  g_async_queue_push (words[0], (gpointer) "here");   /* by now it has its name */
  g_async_queue_pop (words[1]);
  return NULL;
}

static void
test_fork_with_threads (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORK);
  GAsyncQueue *words[] = { g_async_queue_new (), g_async_queue_new () };
  GThread *thread = g_thread_new ("in-the-way", wait_for_word, words);

  g_async_queue_pop (words[0]);
  check_failure (context, MP_ERROR_UNSAFE_FORK, "in-the-way (");
  g_async_queue_push (words[1], (gpointer) "go");
  g_thread_join (thread);
  g_async_queue_unref (words[0]);
  g_async_queue_unref (words[1]);
}

static char *
get_output (MpContext *context, const char *function)
{
  Output output;
  char *text;

  output_init (&output);
  run (context, function, TRUE, &output);
  text = g_strdup (output.out->str);
  output_clear (&output);
  return text;
}

/* One server for all of a context's processes; another once the context has changed. */
static void
test_one_server (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORKSERVER);
  g_autofree char *own = g_strdup_printf ("%d\n", (int) getpid ());
  g_autofree char *first = get_output (context, MP_FUNCTION (print_parent));
  g_autofree char *second = get_output (context, MP_FUNCTION (print_parent));
  g_autofree char *third = NULL;

  g_assert_cmpstr (first, ==, second);
  g_assert_cmpstr (first, !=, own);
  mp_context_set_boot_data (context, g_variant_new_string ("changed"));
  third = get_output (context, MP_FUNCTION (print_parent));
  g_assert_cmpstr (third, !=, first);
}

/* The server of a context that is not needed any more goes, and leaves nothing. */
static void
test_server_goes (void)
{
  MpContext *context = mp_context_new (MP_START_METHOD_FORKSERVER);
  g_autofree char *server = get_output (context, MP_FUNCTION (print_parent));
  g_autofree char *path = g_strdup_printf ("/proc/%s", g_strchomp (server));
  g_autoptr(MpContext) other = mp_context_new (MP_START_METHOD_SPAWN);

  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_finalize_object (context);
  /* It is reaped when the hub turns. */
  while (g_file_test (path, G_FILE_TEST_EXISTS))
    {
      G_GNUC_UNUSED g_autofree char *text = get_output (other, MP_FUNCTION (print_parent));
    }
}

static void
test_inherited (gconstpointer data)
{
  MpStartMethod method = GPOINTER_TO_INT (data);
  g_autoptr(MpContext) context = mp_context_new (method);
  g_autofree char *expected = g_strdup_printf ("%d - data\n", method);

  mp_context_set_boot_data (context, g_variant_new_string ("data"));
  check_output (context, MP_FUNCTION (print_default_context), expected);
}

/* A process in a process, by the context that it inherits. */
static GVariant *
print_nested (GVariant *args, gpointer user_data, GError **error)
{
  g_autofree char *text = get_output (NULL, MP_FUNCTION (print_boot_data));

  printf ("in it: %s", text);
  return done ();
}

static void
test_nested (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  mp_context_set_boot_data (context, g_variant_new_string ("data"));
  check_output (context, MP_FUNCTION (print_nested), "in it: 'data'\n");
}

static void
test_boot_data (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  check_output (context, MP_FUNCTION (print_boot_data), "none\n");
  mp_context_set_boot_data (context, g_variant_new_parsed ("{'a': <1>}"));
  check_output (context, MP_FUNCTION (print_boot_data), "{'a': <1>}\n");
}

/* Where, and in what surroundings */

static void
test_place (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_autofree char *old = g_get_current_dir ();
  g_autofree char *directory = g_dir_make_tmp ("mp-test-XXXXXX", NULL);
  g_autofree char *real = realpath (directory, NULL);
  g_autofree char *expected = g_strdup_printf ("%s here\n", real);

  g_setenv ("MP_TEST_PLACE", "here", TRUE);
  g_assert_cmpint (chdir (directory), ==, 0);
  check_output (context, MP_FUNCTION (print_place), expected);
  g_assert_cmpint (chdir (old), ==, 0);
  g_rmdir (directory);
  g_unsetenv ("MP_TEST_PLACE");
}

static void
test_random (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_autofree char *first = get_output (context, MP_FUNCTION (print_random));
  g_autofree char *second = get_output (context, MP_FUNCTION (print_random));

  g_assert_cmpstr (first, !=, second);
}

/* A forked process must not touch the main context that it shares with its parent. */
static void
test_main_context (gconstpointer data)
{
  MpStartMethod method = GPOINTER_TO_INT (data);
  g_autoptr(MpContext) context = mp_context_new (method);

  check_output (context, MP_FUNCTION (print_loop), method == MP_START_METHOD_SPAWN ? "1 0\n" : "0 1\n");
}

/* stderr */

/* What this process's own stderr gets while @context runs @function. */
static char *
get_own_stderr (MpContext *context, const char *function, Output *output)
{
  g_autofree char *path = NULL;
  char *text = NULL;
  int fd = g_file_open_tmp ("mp-test-XXXXXX", &path, NULL);
  int saved = dup (STDERR_FILENO);

  g_assert_cmpint (fd, >=, 0);
  dup2 (fd, STDERR_FILENO);
  run (context, function, FALSE, output);
  dup2 (saved, STDERR_FILENO);
  close (saved);
  close (fd);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_unlink (path);
  return text;
}

static void
check_stderr (MpStartMethod method, MpStderr mode, const char *own, const char *lines)
{
  g_autoptr(MpContext) context = mp_context_new (method);
  g_autofree char *text = NULL;
  Output output;

  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind has its own to say on stderr");
      return;
    }
  mp_context_set_stderr (context, mode);
  output_init (&output);
  text = get_own_stderr (context, MP_FUNCTION (complain), &output);
  g_assert_cmpstr (text, ==, own);
  g_assert_cmpstr (output.err->str, ==, lines);
  g_assert_cmpstr (output.out->str, ==, "");
  output_clear (&output);
}

static void
test_stderr (gconstpointer data)
{
  MpStartMethod method = GPOINTER_TO_INT (data);
  const char *raw = "first\nsecond \xff\n\nlast";
  const char *lines = "first\nsecond \357\277\275\n\nlast\n";

  check_stderr (method, MP_STDERR_INHERIT, raw, "");
  check_stderr (method, MP_STDERR_CAPTURE, "", lines);
  check_stderr (method, MP_STDERR_TEE, raw, lines);
}

/* What is printed before the process is ready comes out when it is. */
static void
test_stderr_of_boot (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autofree char *text = NULL;
  Output output;

  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind has its own to say on stderr");
      return;
    }
  mp_context_set_worker_argv (context, (const char *[]) { helper, "chatty", NULL });
  output_init (&output);
  text = get_own_stderr (context, "nothing", &output);
  g_assert_cmpstr (text, ==, "the helper begins\n");
  g_assert_cmpstr (output.err->str, ==, "");

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  g_clear_pointer (&text, g_free);
  text = get_own_stderr (context, "nothing", &output);
  g_assert_cmpstr (text, ==, "");
  g_assert_cmpstr (output.err->str, ==, "the helper begins\n");
  output_clear (&output);
}

/* Preloading */

static void
test_preload (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_auto(GStrv) loaded = NULL;

  mp_context_set_preload (context, (const char *[]) { module, NULL });
  check_output (context, "greet", "hello from the module\n");
  loaded = mp_context_dup_preloaded (context);
  if (GPOINTER_TO_INT (data) == MP_START_METHOD_FORK)
    return;
  g_assert_nonnull (loaded);
  g_assert_cmpstr (loaded[0], ==, module);
}

static void
test_preload_fails (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  mp_context_set_preload (context, (const char *[]) { "/nonexistent/module.so", NULL });
  check_failure (context, MP_ERROR_WORKER_START, "cannot preload “/nonexistent/module.so”");
  g_setenv ("MP_TEST_MODULE_FAILS", "1", TRUE);
  mp_context_set_preload (context, (const char *[]) { module, NULL });
  check_failure (context, MP_ERROR_WORKER_START, "not in the mood");
  g_unsetenv ("MP_TEST_MODULE_FAILS");
}

/* What a binding does before its worker is ready */

static char *booted;   /* what boot() was given */

static GVariant *
boot (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) data = NULL;
  g_autofree const char **names = NULL;

  g_variant_get (args, "(mv^a&s)", &data, &names);
  booted = g_variant_print (args, FALSE);
  if (data != NULL && g_variant_is_of_type (data, G_VARIANT_TYPE_INT32))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "a number is no main module");
      return NULL;
    }
  /* The main module of a script that lacks its guard. */
  if (data != NULL && g_variant_is_of_type (data, G_VARIANT_TYPE_BOOLEAN))
    {
      g_autoptr(MpProcess) process = mp_process_new ("f", NULL);

      if (!mp_process_start (process, LONG, NULL, error))
        return NULL;
    }
  return g_variant_new_strv (names, -1);
}

static GVariant *
print_booted (GVariant *args, gpointer user_data, GError **error)
{
  printf ("%s\n", booted != NULL ? booted : "not called");
  return done ();
}

static void
test_boot_func (gconstpointer data)
{
  MpStartMethod method = GPOINTER_TO_INT (data);
  g_autoptr(MpContext) context = mp_context_new (method);
  g_auto(GStrv) loaded = NULL;

  mp_context_set_preload (context, (const char *[]) { "name", module, "other", NULL });
  mp_context_set_boot_data (context, g_variant_new_string ("data"));
  check_output (context, MP_FUNCTION (print_booted), "(<'data'>, ['name', 'other'])\n");
  loaded = mp_context_dup_preloaded (context);
  g_assert_cmpuint (g_strv_length (loaded), ==, 3);
  g_assert_true (g_strv_contains ((const char * const *) loaded, "other"));

  mp_context_set_boot_data (context, g_variant_new_int32 (3));
  check_failure (context, MP_ERROR_WORKER_START, "a number is no main module");
  mp_context_set_boot_data (context, g_variant_new_boolean (TRUE));
  check_failure (context, MP_ERROR_NOT_INITIALIZED, "before mp_init() was done");
}

/* The command line */

static void
test_replaced_program (void)
{
  g_autofree char *directory = g_dir_make_tmp ("mp-test-XXXXXX", NULL);
  g_autofree char *program = g_build_filename (directory, "program", NULL);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *text = NULL;
  g_autofree char *out = NULL;
  g_autoptr(GError) error = NULL;
  gsize size;
  int status = -1;
  const char *argv[] = { program, "--replaced", program, NULL };

  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind executes programs by what it thinks they are called");
      g_rmdir (directory);
      return;
    }
  g_assert_true (g_file_get_contents (self, &text, &size, NULL));
  g_assert_true (g_file_set_contents (program, text, size, NULL));
  g_assert_cmpint (chmod (program, 0755), ==, 0);
  g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, &out, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpstr (out, ==, "program\n");
  g_unlink (program);
  g_rmdir (directory);
}

static GVariant *
print_comm (GVariant *args, gpointer user_data, GError **error)
{
  g_autofree char *comm = NULL;

  g_file_get_contents ("/proc/self/comm", &comm, NULL, NULL);
  printf ("%s", comm);
  return done ();
}

/* In a program of which another file has taken the place: the image that runs is what is run again. */
static int
replaced_main (const char *program)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autofree char *text = NULL;

  g_unlink (program);
  g_assert_true (g_file_set_contents (program, "not a program", -1, NULL));
  text = get_output (context, MP_FUNCTION (print_comm));
  printf ("%s", text);
  return 0;
}

static void
add_for_methods (const char *path, GTestDataFunc func, gboolean fork_too)
{
  static const char * const names[] = { "auto", "spawn", "forkserver", "fork" };

  const char *reason = get_reason_not_to_fork ();

  for (int method = MP_START_METHOD_SPAWN; method <= (fork_too ? MP_START_METHOD_FORK : MP_START_METHOD_FORKSERVER);
       method++)
    {
      g_autofree char *full = g_strdup_printf ("%s/%s", path, names[method]);

      if (method == MP_START_METHOD_FORK && reason != NULL)
        g_test_add_data_func (full, reason, skip_test);
      else
        g_test_add_data_func (full, GINT_TO_POINTER (method), func);
    }
}

int
main (int argc, char **argv)
{
  mp_set_worker_boot_func (boot, NULL, NULL);
  mp_init ();
  if (argc > 2 && strcmp (argv[1], "--replaced") == 0)
    return replaced_main (argv[2]);

  g_test_init (&argc, &argv, NULL);
  helper = g_test_build_filename (G_TEST_BUILT, "helper-program", NULL);
  module = g_test_build_filename (G_TEST_BUILT, "module-greeter.so", NULL);

  g_test_add_func ("/context/properties", test_properties);
  add_for_methods ("/context/worker-argv", test_worker_argv, FALSE);
  g_test_add_func ("/context/fall-back", test_fall_back);
  g_test_add_func ("/context/fork-with-threads", test_fork_with_threads);
  g_test_add_func ("/context/one-server", test_one_server);
  g_test_add_func ("/context/server-goes", test_server_goes);
  add_for_methods ("/context/inherited", test_inherited, TRUE);
  add_for_methods ("/context/nested", test_nested, TRUE);
  add_for_methods ("/context/boot-data", test_boot_data, TRUE);
  add_for_methods ("/context/place", test_place, TRUE);
  add_for_methods ("/context/random", test_random, TRUE);
  add_for_methods ("/context/main-context", test_main_context, TRUE);
  add_for_methods ("/context/stderr", test_stderr, TRUE);
  g_test_add_func ("/context/stderr-of-boot", test_stderr_of_boot);
  add_for_methods ("/context/preload", test_preload, TRUE);
  add_for_methods ("/context/preload-fails", test_preload_fails, TRUE);
  add_for_methods ("/context/boot-func", test_boot_func, FALSE);
  g_test_add_func ("/context/replaced-program", test_replaced_program);
  return g_test_run ();
}
