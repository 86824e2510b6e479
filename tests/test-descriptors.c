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

/* A program that has no descriptors left. */

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
  GAsyncQueue *queue = g_async_queue_new ();
  GThread *thread = NULL;
  struct rlimit old;

  if (!limit_is_real ())
    return;

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

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/descriptors/threads-unlisted", test_threads_unlisted);
  g_test_add_func ("/descriptors/fork", test_fork);
  g_test_add_data_func ("/descriptors/cancel/none", GUINT_TO_POINTER (0), test_cancel);
  g_test_add_data_func ("/descriptors/cancel/some", GUINT_TO_POINTER (8), test_cancel);

  return g_test_run ();
}
