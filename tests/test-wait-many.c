/* test-wait-many.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wait-test.h"

#include "mp-glib/channel/mp-wire-private.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

/* Waiting for thousands. */

#define MANY 5000

static Pipe pipes[MANY];
static gpointer objects[MANY];
static guint n_pipes;

/* As many as this process may have. */
static void
open_pipes (void)
{
  struct rlimit limit;
  guint wanted = is_slow () ? 500 : MANY;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  limit.rlim_cur = MIN (limit.rlim_max, 2 * MANY + 100);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  n_pipes = MIN (wanted, (limit.rlim_cur - 100) / 2);
  for (guint i = 0; i < n_pipes; i++)
    {
      pipe_open (&pipes[i]);
      objects[i] = pipes[i].first;
    }
  g_test_message ("%u connections", n_pipes);
}

static void
close_pipes (void)
{
  for (guint i = 0; i < n_pipes; i++)
    pipe_clear (&pipes[i]);
}

static gint64
get_cpu_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

/* In microseconds of this thread, at best. */
static gint64
time_wait (guint  n,
           gint64 timeout_us)
{
  gint64 best = G_MAXINT64;

  for (guint i = 0; i < 9; i++)
    {
      gint64 before = get_cpu_time ();

      assert_ready (objects, n, timeout_us, "");
      best = MIN (best, get_cpu_time () - before);
    }
  return best;
}

static void
test_linear (void)
{
  gint64 few, many;

  few = time_wait (n_pipes / 10, 0);
  many = time_wait (n_pipes, 0);
  g_test_message ("a look at %u: %" G_GINT64_FORMAT " µs, at %u: %" G_GINT64_FORMAT " µs", n_pipes / 10, few, n_pipes,
                  many);
  /* What grows with the square would be 100 times as much; caches are too small for all of it. */
  g_assert_cmpint (many, <, 60 * MAX (few, 50));

  few = time_wait (n_pipes / 10, 1);
  many = time_wait (n_pipes, 1);
  g_test_message ("a wait for %u: %" G_GINT64_FORMAT " µs, for %u: %" G_GINT64_FORMAT " µs", n_pipes / 10, few, n_pipes,
                  many);
  g_assert_cmpint (many, <, 60 * MAX (few, 50));
}

static void
test_wakes (void)
{
  g_autofree char *last = g_strdup_printf ("%u", n_pipes - 1);
  guint n_fds = count_fds ();
  Waiter waiter = { NULL };

  waiter_begin (&waiter, objects, n_pipes);
  g_assert_cmpuint (count_fds (), <=, n_fds + 3);
  send_ok (pipes[n_pipes - 1].second, g_variant_new_int32 (1));
  waiter_end (&waiter, last);
  recv_ok (pipes[n_pipes - 1].first, "1");
}

/* More than are told of at once. */
static void
test_all_ready (void)
{
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  Waiter waiter = { NULL };

  for (guint i = 0; i < n_pipes; i++)
    send_ok (pipes[i].second, g_variant_new_uint32 (i));
  ready = mp_wait ((MpWaitable **) objects, n_pipes, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, n_pipes);
  for (guint i = 0; i < n_pipes; i++)
    {
      g_autoptr(GVariant) value = mp_connection_recv (g_ptr_array_index (ready, i), 0, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (g_variant_get_uint32 (value), ==, i);
    }

  waiter_begin (&waiter, objects, n_pipes);
  mp_connection_close (pipes[0].second, NULL);
  waiter_end (&waiter, "0");
}

static void
all_cb (GObject      *object,
        GAsyncResult *result,
        gpointer      user_data)
{
  *(GPtrArray **) user_data = mp_wait_finish (result, NULL);
}

/* The same for one that does not block, while it waits already. */
static void
test_all_ready_async (void)
{
  g_autoptr(GPtrArray) ready = NULL;
  guint n = MIN (n_pipes, 300);

  mp_wait_async ((MpWaitable **) objects + 1, n, -1, NULL, all_cb, &ready);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (ready);
  for (guint i = 1; i <= n; i++)
    send_ok (pipes[i].second, g_variant_new_uint32 (i));
  while (ready == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (ready->len, ==, n);
  for (guint i = 1; i <= n; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u", i);

      g_assert_true (g_ptr_array_index (ready, i - 1) == objects[i]);
      recv_ok (pipes[i].first, text);
    }
}

/* One that is woken for nothing again and again does not look at all of them each time. */
static void
test_parts (void)
{
  g_autoptr(GError) error = NULL;
  Waiter waiter = { NULL };
  const MpFrameHeader head = { 1 << 30, 0, 2, 0 };   /* bytes */
  gpointer original = objects[1];
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  objects[1] = mp_connection_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  waiter_begin (&waiter, objects + 1, 200);
  g_assert_cmpint (write (fds[1], &head, sizeof head), ==, sizeof head);
  while (!waiter_is_asleep (&waiter, "epoll"))
    {
      g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
      waiter_await_asleep (&waiter, "poll");
    }
  send_ok (pipes[100].second, g_variant_new_int32 (1));
  waiter_end (&waiter, "99");
  recv_ok (pipes[100].first, "1");

  close (fds[1]);
  assert_ready (objects + 1, 200, LONG_TIME, "0");
  g_assert_finalize_object (objects[1]);
  objects[1] = original;
}

int
main (int   argc,
      char *argv[])
{
  int result;

  g_test_init (&argc, &argv, NULL);

  open_pipes ();
  g_test_add_func ("/wait-many/linear", test_linear);
  g_test_add_func ("/wait-many/wakes", test_wakes);
  g_test_add_func ("/wait-many/all-ready", test_all_ready);
  g_test_add_func ("/wait-many/all-ready-async", test_all_ready_async);
  g_test_add_func ("/wait-many/parts", test_parts);

  result = g_test_run ();
  close_pipes ();
  return result;
}
