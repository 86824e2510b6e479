/* test-wait-async.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wait-test.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>

/* Waiting without blocking. */

static GPtrArray *
finish_ok (GAsyncResult **result)
{
  g_autoptr(GError) error = NULL;
  GPtrArray *ready;

  wait_for_result (result);
  ready = mp_wait_finish (*result, &error);
  g_assert_no_error (error);
  g_clear_object (result);
  return ready;
}

static void
test_ready (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  gpointer objects[3];
  guint n_fds;
  Pipe pipes[2];

  for (guint i = 0; i < 2; i++)
    {
      pipe_open (&pipes[i]);
      objects[i] = pipes[i].first;
    }
  objects[2] = objects[1];
  /* GLib's own descriptors are made now. */
  mp_wait_async ((MpWaitable **) objects, 2, 1, NULL, keep_result_cb, &result);
  g_ptr_array_unref (finish_ok (&result));
  while (g_main_context_iteration (NULL, FALSE))
    ;
  n_fds = count_fds ();

  mp_wait_async ((MpWaitable **) objects, 3, -1, NULL, keep_result_cb, &result);
  g_assert_null (result);
  g_assert_false (g_main_context_iteration (NULL, FALSE) && result != NULL);
  send_ok (pipes[1].second, g_variant_new_int32 (1));
  ready = finish_ok (&result);
  g_assert_cmpuint (ready->len, ==, 2);
  g_assert_true (g_ptr_array_index (ready, 0) == objects[1]);
  g_assert_true (g_ptr_array_index (ready, 1) == objects[1]);
  g_clear_pointer (&ready, g_ptr_array_unref);

  /* At once, but never from within the call. */
  mp_wait_async ((MpWaitable **) objects, 2, -1, NULL, keep_result_cb, &result);
  g_assert_null (result);
  ready = finish_ok (&result);
  g_assert_cmpuint (ready->len, ==, 1);
  g_clear_pointer (&ready, g_ptr_array_unref);
  recv_ok (pipes[1].first, "1");
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (count_fds (), ==, n_fds);
  for (guint i = 0; i < 2; i++)
    pipe_clear (&pipes[i]);
}

static void
test_timeout (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  gint64 before = g_get_monotonic_time ();
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  mp_wait_async ((MpWaitable **) objects, 1, 20000, NULL, keep_result_cb, &result);
  ready = finish_ok (&result);
  g_assert_cmpuint (ready->len, ==, 0);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);
  g_clear_pointer (&ready, g_ptr_array_unref);

  mp_wait_async ((MpWaitable **) objects, 1, 0, NULL, keep_result_cb, &result);
  ready = finish_ok (&result);
  g_assert_cmpuint (ready->len, ==, 0);
  g_clear_pointer (&ready, g_ptr_array_unref);

  mp_wait_async (NULL, 0, 1000, NULL, keep_result_cb, &result);
  ready = finish_ok (&result);
  g_assert_cmpuint (ready->len, ==, 0);
  pipe_clear (&pipe);
}

static void
test_cancel (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GError) error = NULL;

      /* While it waits, before its first look, and before the call. */
      mp_wait_async ((MpWaitable **) objects, 1, -1, cancellable, keep_result_cb, &result);
      while (i == 0 && g_main_context_iteration (NULL, FALSE))
        ;
      g_cancellable_cancel (cancellable);
      wait_for_result (&result);
      g_assert_null (mp_wait_finish (result, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      if (i == 0)
        g_cancellable_reset (cancellable);
    }
  pipe_clear (&pipe);
}

static void
count_cb (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) ready = mp_wait_finish (result, &error);

  g_assert_null (object);
  g_assert_true (ready != NULL || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  (*(guint *) user_data)++;
}

static gpointer
cancel_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

/* Each ends once, whatever comes first. */
static void
test_cancel_and_ready (void)
{
  const guint n_rounds = is_slow () ? 50 : 1000;
  guint n_ended = 0, n_wanted = 0;
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  for (guint i = 0; i < n_rounds; i++)
    {
      g_autoptr(GCancellable) cancellable = g_cancellable_new ();
      GThread *thread;

      mp_wait_async ((MpWaitable **) objects, 1, i % 3 == 0 ? 100 : -1, cancellable, count_cb, &n_ended);
      n_wanted++;
      if (i % 2 == 0)
        g_main_context_iteration (NULL, FALSE);
      thread = g_thread_new ("canceller", cancel_thread, cancellable);
      send_ok (pipe.second, g_variant_new_int32 (1));
      while (n_ended < n_wanted)
        g_main_context_iteration (NULL, TRUE);
      g_thread_join (thread);
      recv_ok (pipe.first, "1");
    }
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (n_ended, ==, n_wanted);
  pipe_clear (&pipe);
}

static void
test_error (void)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];

  g_assert_true (mp_pipe_new (FALSE, &first, &second, &error));
  objects[0] = second;
  mp_wait_async ((MpWaitable **) objects, 1, -1, NULL, keep_result_cb, &result);
  wait_for_result (&result);
  g_assert_null (mp_wait_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

static void
test_positions (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  int fds[2];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  mp_wait_with_fds_async ((MpWaitable **) objects, 1, fds, 1, -1, NULL, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
  wait_for_result (&result);
  ready = mp_wait_with_fds_finish (result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, 1);
  g_assert_cmpuint (g_array_index (ready, guint, 0), ==, 1);
  close (fds[0]);
  close (fds[1]);
  pipe_clear (&pipe);
}

/* Of one object and by its number: in the kernel's eyes the same. */
static void
test_twice (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  int ends[2], fds[1];

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  objects[0] = mp_descriptor_new_take (ends[0], &error);
  g_assert_no_error (error);
  fds[0] = mp_descriptor_get_fd (objects[0]);
  mp_wait_with_fds_async ((MpWaitable **) objects, 1, fds, 1, -1, NULL, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpint (write (ends[1], "x", 1), ==, 1);
  wait_for_result (&result);
  ready = mp_wait_with_fds_finish (result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, 2);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (objects[0]);
  close (ends[1]);
}

/* Epoll sets within epoll sets, as deep as the system lets them be made: what cannot be waited for is an error, and not
 * passed over. */
static void
test_nested (void)
{
  int fds[6], ends[2], n = 0;

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  for (fds[0] = ends[0]; n < 5; n++)
    {
      struct epoll_event event = { .events = EPOLLIN };
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GArray) ready = NULL;
      g_autoptr(GError) error = NULL;

      mp_wait_with_fds_async (NULL, 0, &fds[n], 1, -1, NULL, keep_result_cb, &result);
      while (g_main_context_iteration (NULL, FALSE))
        ;
      g_assert_cmpint (write (ends[1], "x", 1), ==, 1);
      wait_for_result (&result);
      ready = mp_wait_with_fds_finish (result, &error);
      if (ready != NULL)
        g_assert_cmpuint (ready->len, ==, 1);
      else
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_LINKS);
      g_assert_cmpint (read (ends[0], &event.data, 1), ==, 1);

      fds[n + 1] = epoll_create1 (EPOLL_CLOEXEC);
      event.data.u64 = 0;
      g_assert_cmpint (epoll_ctl (fds[n + 1], EPOLL_CTL_ADD, fds[n], &event), ==, 0);
    }
  while (n > 0)
    close (fds[n--]);
  close (ends[0]);
  close (ends[1]);
}

/* One object in many waits; and nobody else has it. */
static void
test_many_waits (void)
{
  guint n_ended = 0;
  MpWaitable *objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = MP_WAITABLE (pipe.first);
  for (guint i = 0; i < 100; i++)
    mp_wait_async (objects, 1, -1, NULL, count_cb, &n_ended);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (n_ended, ==, 0);
  g_object_add_weak_pointer (G_OBJECT (pipe.first), (gpointer *) &objects[0]);
  g_object_unref (pipe.first);
  g_assert_nonnull (objects[0]);
  g_assert_finalize_object (pipe.second);
  while (n_ended < 100)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (objects[0]);
}

static gpointer
context_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  guint n_ended = 0;

  g_main_context_push_thread_default (context);
  mp_wait_async (data, 1, -1, NULL, count_cb, &n_ended);
  while (n_ended == 0)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_context (void)
{
  gpointer objects[1];
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  thread = g_thread_new ("context", context_thread, objects);
  send_ok (pipe.second, g_variant_new_int32 (1));
  g_thread_join (thread);
  recv_ok (pipe.first, "1");
  pipe_clear (&pipe);
}

/* A callback that begins the next wait: as a server of many would do. */
typedef struct
{
  MpWaitable *objects[3];
  guint       n_received;
} Server;

static void
serve_cb (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  Server *self = user_data;
  g_autoptr(GPtrArray) ready = mp_wait_finish (result, NULL);

  for (guint i = 0; i < ready->len; i++)
    {
      g_autoptr(GVariant) value = mp_connection_recv (g_ptr_array_index (ready, i), 0, NULL, NULL);

      g_assert_nonnull (value);
      self->n_received++;
    }
  if (self->n_received < 300)
    mp_wait_async (self->objects, 3, -1, NULL, serve_cb, self);
}

static gpointer
talk_thread (gpointer data)
{
  for (guint i = 0; i < 100; i++)
    send_ok (data, g_variant_new_uint32 (i));
  return NULL;
}

static void
test_server (void)
{
  Server server = { { NULL }, 0 };
  GThread *threads[3];
  Pipe pipes[3];

  for (guint i = 0; i < 3; i++)
    {
      pipe_open (&pipes[i]);
      server.objects[i] = MP_WAITABLE (pipes[i].first);
      threads[i] = g_thread_new ("talker", talk_thread, pipes[i].second);
    }
  mp_wait_async (server.objects, 3, -1, NULL, serve_cb, &server);
  while (server.n_received < 300)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < 3; i++)
    {
      g_thread_join (threads[i]);
      pipe_clear (&pipes[i]);
    }
}

/* A copy of the process has none of the waits, and can wait for the same objects. */
static void
test_fork (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  gpointer objects[2];
  int status = -1;
  pid_t pid;
  Pipe pipe;

  if (is_under_valgrind ())
    {
      g_test_skip ("the copy has lost what the wait of the other process had");
      return;
    }

  pipe_open (&pipe);
  objects[0] = pipe.first;
  objects[1] = mp_queue_new (0, 0);
  mp_wait_async ((MpWaitable **) objects, 2, -1, NULL, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;

  pid = fork ();
  if (pid == 0)
    {
      g_autofree char *numbers = NULL;

      mp_queue_put (objects[1], g_variant_new_int32 (1), LONG_TIME, NULL, NULL);
      numbers = wait_numbers (objects, 2, LONG_TIME, NULL, NULL);
      if (g_strcmp0 (numbers, "1") != 0)
        _exit (1);
      g_variant_unref (mp_queue_get (objects[1], LONG_TIME, NULL, NULL));
      numbers = (g_free (numbers), wait_numbers (objects, 2, 1000, NULL, NULL));
      _exit (g_strcmp0 (numbers, "") == 0 && result == NULL ? 0 : 2);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  send_ok (pipe.second, g_variant_new_int32 (1));
  ready = finish_ok (&result);
  g_assert_true (g_ptr_array_index (ready, 0) == objects[0] || g_ptr_array_index (ready, 0) == objects[1]);
  g_clear_pointer (&ready, g_ptr_array_unref);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (objects[1]);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wait-async/ready", test_ready);
  g_test_add_func ("/wait-async/timeout", test_timeout);
  g_test_add_func ("/wait-async/cancel", test_cancel);
  g_test_add_func ("/wait-async/cancel-and-ready", test_cancel_and_ready);
  g_test_add_func ("/wait-async/error", test_error);
  g_test_add_func ("/wait-async/positions", test_positions);
  g_test_add_func ("/wait-async/twice", test_twice);
  g_test_add_func ("/wait-async/nested", test_nested);
  g_test_add_func ("/wait-async/many-waits", test_many_waits);
  g_test_add_func ("/wait-async/context", test_context);
  g_test_add_func ("/wait-async/server", test_server);
  g_test_add_func ("/wait-async/fork", test_fork);

  return g_test_run ();
}
