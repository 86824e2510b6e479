/* test-descriptors.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "instrument-test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <glib/gstdio.h>

/* A program that has no descriptors left, and one that has no standard ones. */

#define LONG (60 * G_USEC_PER_SEC)   /* never reached unless something hangs */

/* From here on there are no more than @n. */
static void
leave_descriptors (guint n, struct rlimit *old)
{
  struct rlimit limit;
  int last = -1;

  for (guint i = 0; i <= n; i++)
    {
      int fd = fcntl (STDERR_FILENO, F_DUPFD_CLOEXEC, last + 1);

      g_assert_cmpint (fd, >=, 0);
      close (fd);
      last = fd;
    }
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, old), ==, 0);
  limit = *old;
  limit.rlim_cur = last;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
}

static void
give_descriptors_back (const struct rlimit *old)
{
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, old), ==, 0);
}

static gpointer
wait_in_thread (gpointer data)
{
  g_async_queue_pop (data);
  return NULL;
}

/* Threads that cannot be listed, or whose names cannot be read, are no reason to take the process for single-threaded.
 */
static void
test_threads_unlisted (void)
{
  GAsyncQueue *queue = NULL;
  GThread *thread = NULL;
  struct rlimit old;

  if (!limit_is_real ())
    return;

  queue = g_async_queue_new ();
  thread = g_thread_new ("in the way", wait_in_thread, queue);
  for (guint n_left = 0; n_left < 4; n_left++)
    {
      g_auto(GStrv) threads = NULL;
      int saved_errno;

      leave_descriptors (n_left, &old);
      errno = 0;
      threads = mp_platform_list_threads ();
      saved_errno = errno;
      give_descriptors_back (&old);
      if (n_left == 0)
        g_assert_cmpint (saved_errno, ==, EMFILE);
      else
        g_assert_nonnull (threads);
      g_assert_true (threads == NULL || threads[0] != NULL);
    }
  g_async_queue_push (queue, queue);
  g_thread_join (thread);
  g_async_queue_unref (queue);
}

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

static void
test_fork (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_FORK);
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (nothing), "context", context,
                                               NULL);
  g_autoptr(GError) error = NULL;
  struct rlimit old;

  if (!limit_is_real ())
    return;

  leave_descriptors (0, &old);
  g_assert_false (mp_process_start (process, LONG, NULL, &error));
  give_descriptors_back (&old);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_assert_nonnull (strstr (error->message, g_strerror (EMFILE)));
}

typedef struct
{
  GCancellable *cancellable;
  int           fd;            /* what the kernel says of the thread that waits */
} Canceller;

static gpointer
cancel_in_thread (gpointer data)
{
  Canceller *self = data;
  char text[256];
  gssize n;

  do
    {
      g_thread_yield ();
      n = pread (self->fd, text, sizeof text - 1, 0);
      text[MAX (n, 0)] = '\0';
    }
  while (strstr (text, ") S ") == NULL);
  g_cancellable_cancel (self->cancellable);
  return NULL;
}

static GVariant *
wait_for_ever (GVariant *args, gpointer user_data, GError **error)
{
  for (;;)
    pause ();
  return NULL;
}

/* A wait that gets no descriptor to be woken by notices its cancelling all the same. */
static void
test_cancel (gconstpointer data)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/stat", getpid ());
  Canceller canceller = { cancellable, -1 };
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;
  GThread *thread = NULL;
  struct rlimit old;

  if (!limit_is_real ())
    return;

  g_variant_unref (mp_pool_apply (pool, MP_FUNCTION (nothing), NULL, LONG, NULL, NULL));
  future = mp_pool_submit (pool, MP_FUNCTION (wait_for_ever), NULL, NULL);
  canceller.fd = open (path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (canceller.fd, >=, 0);
  leave_descriptors (GPOINTER_TO_UINT (data), &old);
  thread = g_thread_new ("cancel", cancel_in_thread, &canceller);
  result = mp_future_get (future, LONG, cancellable, &error);
  give_descriptors_back (&old);
  g_thread_join (thread);
  close (canceller.fd);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (result);
}

/* Standard descriptors that are closed when the program begins stay free: what it opens itself lands there, and what it
 * writes blindly to them must reach nobody. This program, run again with some of them closed, says what it found. */

static char *
describe (int fd)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);

  return g_file_read_link (path, NULL);
}

static GVariant *
tell_standard (GVariant *args, gpointer user_data, GError **error)
{
  GVariantBuilder links = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);

  for (int fd = 0; fd <= STDERR_FILENO; fd++)
    {
      g_autofree char *link = describe (fd);

      g_variant_builder_add (&links, "s", link != NULL ? link : "");
    }
  return g_variant_builder_end (&links);
}

/* The descriptors of main contexts are GLib's, which takes what number it gets. */
static void
make_main_context (void)
{
  int fill[3], n = 0;

  while (n < 3 && (fill[n] = open ("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && fill[n] <= STDERR_FILENO)
    n++;
  if (n < 3)
    close (fill[n]);
  g_main_context_default ();
  while (n > 0)
    close (fill[--n]);
}

static void
check_closed (const char *closed, const char *when, GString *report)
{
  for (const char *c = closed; *c != '\0'; c++)
    {
      g_autofree char *link = describe (*c - '0');

      if (link != NULL)
        g_string_append_printf (report, "%s: descriptor %c is %s\n", when, *c, link);
    }
}

/* A forked worker makes a main context of its own: an eventfd is GLib's. */
static void
check_worker (GVariant *links, const char *when, GString *report)
{
  GVariantIter iter;
  const char *link = NULL;

  g_variant_iter_init (&iter, links);
  for (int fd = 0; g_variant_iter_next (&iter, "&s", &link); fd++)
    if (g_str_has_prefix (link, "socket:") || strstr (link, "memfd:") != NULL ||
        (g_str_has_prefix (link, "anon_inode:") && strcmp (link, "anon_inode:[eventfd]") != 0))
      g_string_append_printf (report, "%s: descriptor %d of a worker is %s\n", when, fd, link);
}

static void
work_without (const char *closed, MpStartMethod method, GString *report)
{
  g_autoptr(MpContext) context = mp_context_new (method);
  g_autoptr(MpPool) pool = mp_pool_new_full (2, NULL, NULL, 0, context);
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (nothing), "context", context,
                                               NULL);
  g_autofree char *when = g_strdup_printf ("without %s, start method %d", closed, method);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) links = NULL;

  links = mp_pool_apply (pool, MP_FUNCTION (tell_standard), NULL, LONG, NULL, &error);
  check_closed (closed, when, report);
  if (links != NULL && mp_process_start (process, LONG, NULL, &error) &&
      mp_process_join (process, LONG, NULL, &error) && mp_process_get_exit_status (process) != 0)
    g_string_append_printf (report, "%s: exit status %d\n", when, mp_process_get_exit_status (process));
  if (error != NULL)
    g_string_append_printf (report, "%s: %s\n", when, error->message);
  else
    check_worker (links, when, report);
  check_closed (closed, when, report);
  mp_pool_terminate (pool);
  mp_pool_join (pool, LONG, NULL, NULL);
}

static int
run_without (const char *closed, const char *path)
{
  g_autoptr(GString) report = g_string_new (NULL);

  check_closed (closed, "after mp_init()", report);
  for (MpStartMethod method = MP_START_METHOD_SPAWN; method <= MP_START_METHOD_FORK; method++)
    if (method != MP_START_METHOD_FORK || get_reason_not_to_fork () == NULL)
      work_without (closed, method, report);
  if (!g_file_set_contents (path, report->str, report->len, NULL))
    return 1;
  return 0;
}

static void
close_in_child (gpointer data)
{
  for (const char *c = data; *c != '\0'; c++)
    close (*c - '0');
}

static void
test_closed (gconstpointer data)
{
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "mp-glib-report-XXXXXX", NULL);
  const char *argv[] = { NULL, "--without", data, path, NULL };
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *report = NULL;
  g_autoptr(GError) error = NULL;
  int status = 0;

  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind opens descriptors for itself");
      return;
    }

  close (g_mkstemp (path));
  argv[0] = program;
  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN | G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                close_in_child, (gpointer) data, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  g_file_get_contents (path, &report, NULL, &error);
  g_assert_no_error (error);
  g_unlink (path);
  g_assert_cmpstr (report, ==, "");
}

int
main (int argc, char **argv)
{
  make_main_context ();
  mp_init ();
  if (argc == 4 && strcmp (argv[1], "--without") == 0)
    return run_without (argv[2], argv[3]);
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/descriptors/threads-unlisted", test_threads_unlisted);
  g_test_add_func ("/descriptors/fork", test_fork);
  g_test_add_data_func ("/descriptors/cancel/none", GUINT_TO_POINTER (0), test_cancel);
  g_test_add_data_func ("/descriptors/cancel/some", GUINT_TO_POINTER (8), test_cancel);
  g_test_add_data_func ("/descriptors/closed/stdin", "0", test_closed);
  g_test_add_data_func ("/descriptors/closed/stdout", "1", test_closed);
  g_test_add_data_func ("/descriptors/closed/stderr", "2", test_closed);
  g_test_add_data_func ("/descriptors/closed/stdin-stdout", "01", test_closed);
  g_test_add_data_func ("/descriptors/closed/all", "012", test_closed);

  return g_test_run ();
}
