/* test-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wait-test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Waiting for connections and descriptors. */

static void
test_order (void)
{
  gpointer objects[5];
  Pipe pipes[4];

  for (guint i = 0; i < 4; i++)
    {
      pipe_open (&pipes[i]);
      objects[i] = pipes[i].first;
    }
  objects[4] = objects[1];

  assert_ready (objects, 5, 0, "");
  send_ok (pipes[3].second, g_variant_new_int32 (3));
  send_ok (pipes[1].second, g_variant_new_int32 (1));
  assert_ready (objects, 5, LONG_TIME, "1 3 4");

  /* Nothing was taken. */
  assert_ready (objects, 5, 0, "1 3 4");
  recv_ok (pipes[1].first, "1");
  assert_ready (objects, 5, LONG_TIME, "3");
  recv_ok (pipes[3].first, "3");
  assert_ready (objects, 5, 0, "");
  for (guint i = 0; i < 4; i++)
    pipe_clear (&pipes[i]);
}

/* What was read together with another message shows at no socket. */
static void
test_read_ahead (void)
{
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  for (gint32 i = 0; i < 3; i++)
    send_ok (pipe.second, g_variant_new_int32 (i));
  recv_ok (pipe.first, "0");
  assert_ready (objects, 1, LONG_TIME, "0");
  recv_ok (pipe.first, "1");
  assert_ready (objects, 1, LONG_TIME, "0");
  recv_ok (pipe.first, "2");
  assert_ready (objects, 1, 0, "");
  pipe_clear (&pipe);
}

static void
test_timeout (void)
{
  gint64 before = g_get_monotonic_time ();
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  assert_ready (objects, 1, 20000, "");
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);

  /* Without objects it is the time that is waited for. */
  before = g_get_monotonic_time ();
  assert_ready (NULL, 0, 20000, "");
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);
  assert_ready (NULL, 0, 0, "");
  pipe_clear (&pipe);
}

static void
test_wakes (void)
{
  gpointer objects[2];
  guint n_fds;
  Waiter waiter = { NULL };
  Pipe pipes[2];

  for (guint i = 0; i < 2; i++)
    {
      pipe_open (&pipes[i]);
      objects[i] = pipes[i].first;
    }
  assert_ready (objects, 2, 1, "");
  n_fds = count_fds ();
  waiter_begin (&waiter, objects, 2);
  send_ok (pipes[1].second, g_variant_new_int32 (1));
  waiter_end (&waiter, "1");
  g_assert_cmpuint (count_fds (), ==, n_fds);
  for (guint i = 0; i < 2; i++)
    pipe_clear (&pipes[i]);
}

/* The first bytes of a message are not a message. */
static void
test_whole_messages (void)
{
  g_autoptr(GBytes) large = make_large (8 << 20);
  g_autoptr(GBytes) received = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  Waiter waiter = { NULL };
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  /* As much of it as the socket takes. */
  g_assert_true (mp_connection_send_bytes (pipe.second, large, 0, NULL, &error));
  assert_ready (objects, 1, 0, "");
  waiter_begin (&waiter, objects, 1);
  while (!mp_connection_send_bytes (pipe.second, large, 1000, NULL, NULL))
    ;
  waiter_end (&waiter, "0");
  received = mp_connection_recv_bytes (pipe.first, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (received, large));
  mp_connection_close (pipe.second, NULL);
  pipe_clear (&pipe);
}

/* A message that has begun to leave goes on while its sender waits for the answer. */
static gpointer
answer_thread (gpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (data, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  send_ok (data, g_variant_new_uint64 (g_bytes_get_size (bytes)));
  return NULL;
}

static void
test_goes_on_sending (void)
{
  g_autoptr(GBytes) large = make_large (8 << 20);
  g_autoptr(GError) error = NULL;
  GThread *thread;
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  g_assert_true (mp_connection_send_bytes (pipe.first, large, 0, NULL, &error));
  g_assert_no_error (error);
  thread = g_thread_new ("answer", answer_thread, pipe.second);
  assert_ready (objects, 1, LONG_TIME, "0");
  recv_ok (pipe.first, "8388608");
  g_thread_join (thread);
  pipe_clear (&pipe);
}

static void
test_end_of_stream (void)
{
  g_autoptr(GError) error = NULL;
  gpointer objects[2];
  Waiter waiter = { NULL };
  Pipe pipes[2];

  for (guint i = 0; i < 2; i++)
    {
      pipe_open (&pipes[i]);
      objects[i] = pipes[i].first;
    }
  waiter_begin (&waiter, objects, 2);
  mp_connection_close (pipes[0].second, NULL);
  waiter_end (&waiter, "0");
  g_assert_null (mp_connection_recv (pipes[0].first, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  assert_ready (objects, 2, LONG_TIME, "0");

  /* This end closed by another thread, and before. */
  waiter = (Waiter) { NULL };
  waiter_begin (&waiter, objects + 1, 1);
  mp_connection_close (pipes[1].first, NULL);
  waiter_end (&waiter, "0");
  assert_ready (objects, 2, LONG_TIME, "0 1");
  for (guint i = 0; i < 2; i++)
    pipe_clear (&pipes[i]);
}

static void
test_protocol_error (void)
{
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  objects[0] = mp_connection_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  g_assert_cmpint (write (fds[1], "this is no message at all, and long", 35), ==, 35);
  assert_ready (objects, 1, LONG_TIME, "0");
  g_assert_null (mp_connection_recv (objects[0], 0, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  assert_ready (objects, 1, LONG_TIME, "0");
  g_assert_finalize_object (objects[0]);
  close (fds[1]);
}

static void
test_cancel (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *numbers = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  Waiter waiter = { .cancellable = cancellable };
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  waiter_begin (&waiter, objects, 1);
  g_cancellable_cancel (cancellable);
  waiter_end (&waiter, NULL);
  g_assert_error (waiter.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (waiter.error->message, ==, "wait: cancelled");
  g_clear_error (&waiter.error);

  /* Before, whatever is ready. */
  send_ok (pipe.second, g_variant_new_int32 (1));
  numbers = wait_numbers (objects, 1, LONG_TIME, cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  pipe_clear (&pipe);
}

static void
test_interrupt (void)
{
  g_autofree char *numbers = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  Pipe pipe;
  int fds[2];

  pipe_open (&pipe);
  objects[0] = pipe.first;
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
  mp_set_interrupt_fd (fds[0]);
  numbers = wait_numbers (objects, 1, LONG_TIME, NULL, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
  /* Not when there is something. */
  send_ok (pipe.second, g_variant_new_int32 (1));
  assert_ready (objects, 1, LONG_TIME, "0");
  mp_set_interrupt_fd (-1);
  close (fds[0]);
  close (fds[1]);
  pipe_clear (&pipe);
}

static void
test_sending_end (void)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  g_autofree char *numbers = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];

  g_assert_true (mp_pipe_new (FALSE, &first, &second, &error));
  objects[0] = second;
  numbers = wait_numbers (objects, 1, LONG_TIME, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  /* One that is closed is ready, whatever it was for. */
  mp_connection_close (second, NULL);
  assert_ready (objects, 1, LONG_TIME, "0");
}

/* Who waits for a message gets it before those who only wait for there to be one. */
static void
test_receiver_first (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GVariant) value = NULL;
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  mp_connection_recv_async (pipe.first, NULL, keep_result_cb, &result);
  send_ok (pipe.second, g_variant_new_int32 (1));
  assert_ready (objects, 1, 0, "");
  send_ok (pipe.second, g_variant_new_int32 (2));
  assert_ready (objects, 1, LONG_TIME, "0");
  /* The callback was due in this thread's context, and belongs to the object. */
  g_assert_nonnull (result);
  value = mp_connection_recv_finish (pipe.first, result, NULL);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 1);
  recv_ok (pipe.first, "2");
  g_clear_object (&result);
  pipe_clear (&pipe);
}

/* Somebody else reads the message from the socket, and leaves it. */
static gpointer
poll_thread (gpointer data)
{
  g_assert_true (mp_connection_poll (data, LONG_TIME, NULL, NULL));
  return NULL;
}

static void
test_read_by_others (void)
{
  const guint n_rounds = is_slow () ? 50 : 2000;
  gpointer objects[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  for (guint i = 0; i < n_rounds; i++)
    {
      GThread *threads[2];

      for (guint k = 0; k < 2; k++)
        threads[k] = g_thread_new ("poller", poll_thread, pipe.first);
      send_ok (pipe.second, g_variant_new_int32 (1));
      assert_ready (objects, 1, LONG_TIME, "0");
      for (guint k = 0; k < 2; k++)
        g_thread_join (threads[k]);
      recv_ok (pipe.first, "1");
    }
  pipe_clear (&pipe);
}

static char *
wait_positions (gpointer   *objects,
                gsize       n_objects,
                const int  *fds,
                gsize       n_fds,
                gint64      timeout_us,
                GError    **error)
{
  g_autoptr(GArray) ready = mp_wait_with_fds ((MpWaitable **) objects, n_objects, fds, n_fds, timeout_us, NULL, error);
  GString *text = g_string_new (NULL);

  for (guint i = 0; ready != NULL && i < ready->len; i++)
    g_string_append_printf (text, "%s%u", i > 0 ? " " : "", g_array_index (ready, guint, i));
  return g_string_free (text, ready == NULL);
}

static void
assert_positions (gpointer   *objects,
                  gsize       n_objects,
                  const int  *fds,
                  gsize       n_fds,
                  gint64      timeout_us,
                  const char *expected)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *positions = wait_positions (objects, n_objects, fds, n_fds, timeout_us, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (positions, ==, expected);
}

static void
test_fds (void)
{
  g_autofree char *positions = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  int ends[2], fds[3];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  fds[0] = fds[1] = ends[0];
  assert_positions (objects, 1, fds, 2, 0, "");
  assert_positions (objects, 1, fds, 2, 1, "");
  send_ok (pipe.second, g_variant_new_int32 (1));
  assert_positions (objects, 1, fds, 2, LONG_TIME, "0");
  g_assert_cmpint (write (ends[1], "x", 1), ==, 1);
  assert_positions (objects, 1, fds, 2, LONG_TIME, "0 1 2");
  assert_positions (NULL, 0, fds, 1, LONG_TIME, "0");

  /* A regular file is always readable. */
  fds[1] = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  assert_positions (NULL, 0, fds + 1, 1, LONG_TIME, "0");
  close (fds[1]);
  positions = wait_positions (objects, 1, fds, 2, LONG_TIME, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  fds[1] = -1;
  positions = wait_positions (objects, 1, fds, 2, LONG_TIME, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);

  /* The end of a pipe. */
  recv_ok (pipe.first, "1");
  g_assert_cmpint (read (ends[0], &(char) { 0 }, 1), ==, 1);
  assert_positions (objects, 1, fds, 1, 0, "");
  close (ends[1]);
  assert_positions (objects, 1, fds, 1, LONG_TIME, "1");
  close (ends[0]);
  pipe_clear (&pipe);
}

/* Of one object and by its number: in the kernel's eyes the same. */
static void
test_descriptors (void)
{
  g_autoptr(GError) error = NULL;
  gpointer objects[1];
  Waiter waiter = { NULL };
  int ends[2], fds[1];

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  objects[0] = mp_descriptor_new_take (ends[0], &error);
  g_assert_no_error (error);
  fds[0] = mp_descriptor_get_fd (objects[0]);
  assert_positions (objects, 1, fds, 1, 1, "");
  waiter_begin (&waiter, objects, 1);
  g_assert_cmpint (write (ends[1], "x", 1), ==, 1);
  waiter_end (&waiter, "0");
  assert_positions (objects, 1, fds, 1, LONG_TIME, "0 1");

  g_assert_cmpint (read (fds[0], &(char) { 0 }, 1), ==, 1);
  assert_positions (objects, 1, fds, 1, 1, "");
  waiter = (Waiter) { NULL };
  waiter_begin (&waiter, objects, 1);
  mp_descriptor_close (objects[0]);
  waiter_end (&waiter, "0");
  assert_ready (objects, 1, LONG_TIME, "0");
  g_assert_finalize_object (objects[0]);
  close (ends[1]);
}

/* What a wait has read from the socket, the descriptor for other event loops tells of. */
static void
test_get_fd (void)
{
  gpointer objects[1];
  int fds[1];
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  fds[0] = mp_connection_get_fd (pipe.first);
  assert_positions (objects, 1, fds, 1, 1, "");
  send_ok (pipe.second, g_variant_new_int32 (1));
  assert_ready (objects, 1, LONG_TIME, "0");
  assert_positions (NULL, 0, fds, 1, 0, "0");
  assert_positions (objects, 1, fds, 1, LONG_TIME, "0 1");
  recv_ok (pipe.first, "1");
  assert_positions (objects, 1, fds, 1, 0, "");
  pipe_clear (&pipe);
}

/* Without a descriptor to be told by there is an error, and what is ready is found none the less. */
static void
test_no_descriptors (void)
{
  g_autofree char *numbers = NULL;
  g_autoptr(GError) error = NULL;
  struct rlimit before, none;
  gpointer objects[1];
  Pipe pipe;

  if (!limit_is_real ())
    return;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  assert_ready (objects, 1, 1, "");
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  none = before;
  none.rlim_cur = fcntl (0, F_DUPFD_CLOEXEC, 0);
  close (none.rlim_cur);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);

  assert_ready (objects, 1, 0, "");
  numbers = wait_numbers (objects, 1, LONG_TIME, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  send_ok (pipe.second, g_variant_new_int32 (1));
  assert_ready (objects, 1, LONG_TIME, "0");

  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);
  recv_ok (pipe.first, "1");
  assert_ready (objects, 1, 1, "");
  pipe_clear (&pipe);
}

static void
failed_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_wait_with_fds_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  *(gboolean *) user_data = TRUE;
}

static void
allow (struct rlimit *limit,
       rlim_t         n)
{
  limit->rlim_cur = n;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, limit), ==, 0);
}

/* A process that has never waited, and can open no more files, or too few: whatever is called has an error, and goes well
 * later. */
static void
test_never_had_descriptors (void)
{
  struct rlimit limit;
  int fds[2], n_open;
  gboolean made = FALSE, told = FALSE;

  if (!limit_is_real ())
    return;
  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("The thread sanitizer needs descriptors to see that a lock is GLib's");
      return;
    }
  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      return;
    }

  g_type_class_ref (G_TYPE_TASK);   /* GLib's own contexts */
  g_main_context_default ();
  g_assert_cmpint (pipe (fds), ==, 0);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  n_open = fcntl (0, F_DUPFD_CLOEXEC, 0);
  close (n_open);
  allow (&limit, n_open);
  mp_wait_with_fds_async (NULL, 0, fds, 1, LONG_TIME, NULL, failed_cb, &told);
  while (!told)
    g_main_context_iteration (NULL, TRUE);

  for (int n = 0; !made; n++)
    {
      g_autoptr(MpConnection) first = NULL;
      g_autoptr(MpConnection) second = NULL;
      g_autoptr(MpListener) listener = NULL;
      g_autoptr(GArray) ready = NULL;
      g_autoptr(GError) error = NULL;
      g_autoptr(GError) pipe_error = NULL;
      g_autoptr(GError) listener_error = NULL;

      allow (&limit, n_open + n);
      ready = mp_wait_with_fds (NULL, 0, fds, 1, 1, NULL, &error);
      mp_pipe_new (TRUE, &first, &second, &pipe_error);
      listener = mp_listener_new ("tcp:127.0.0.1:0", NULL, &listener_error);
      made = listener != NULL;
      allow (&limit, limit.rlim_max);   /* sanitizers need some */
      if (ready == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
      if (first == NULL)
        g_assert_error (pipe_error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
      if (listener == NULL)
        g_assert_error (listener_error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
      else
        g_assert_nonnull (ready);
    }
}

/* Many short messages, which two busy ends do not send by the socket. */
static gpointer
many_thread (gpointer data)
{
  const guint n = is_slow () ? 2000 : 20000;

  for (guint i = 0; i < n; i++)
    send_ok (data, g_variant_new_uint32 (i));
  mp_connection_close (data, NULL);
  return NULL;
}

static void
test_many_messages (void)
{
  gpointer objects[2];
  GThread *thread;
  guint n = 0;
  Pipe pipes[2];

  for (guint i = 0; i < 2; i++)
    {
      pipe_open (&pipes[i]);
      objects[i] = pipes[i].first;
    }
  thread = g_thread_new ("sender", many_thread, pipes[1].second);
  for (;;)
    {
      g_autoptr(GVariant) value = NULL;

      assert_ready (objects, 2, LONG_TIME, "1");
      value = mp_connection_recv (objects[1], 0, NULL, NULL);
      if (value == NULL)
        break;
      g_assert_cmpuint (g_variant_get_uint32 (value), ==, n);
      n++;
    }
  g_assert_cmpuint (n, ==, is_slow () ? 2000 : 20000);
  g_thread_join (thread);
  for (guint i = 0; i < 2; i++)
    pipe_clear (&pipes[i]);
}

/* One message at a time, so that each has to wake the other end. */
static gpointer
answer_all_thread (gpointer data)
{
  gpointer objects[1] = { data };

  for (;;)
    {
      g_autoptr(GVariant) value = NULL;

      assert_ready (objects, 1, LONG_TIME, "0");
      value = mp_connection_recv (data, 0, NULL, NULL);
      if (value == NULL)
        return NULL;
      send_ok (data, value);
    }
}

static void
test_ping_pong (void)
{
  const guint n = is_slow () ? 300 : 3000;
  gpointer objects[1];
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  thread = g_thread_new ("answerer", answer_all_thread, pipe.second);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u", i);

      send_ok (pipe.first, g_variant_new_uint32 (i));
      assert_ready (objects, 1, LONG_TIME, "0");
      recv_ok (pipe.first, text);
    }
  mp_connection_close (pipe.first, NULL);
  g_thread_join (thread);
  pipe_clear (&pipe);
}

static void
test_same_in_threads (void)
{
  gpointer objects[1];
  Waiter waiters[4] = { { NULL } };
  Pipe pipe;

  pipe_open (&pipe);
  objects[0] = pipe.first;
  for (guint i = 0; i < G_N_ELEMENTS (waiters); i++)
    waiter_begin (&waiters[i], objects, 1);
  send_ok (pipe.second, g_variant_new_int32 (1));
  for (guint i = 0; i < G_N_ELEMENTS (waiters); i++)
    waiter_end (&waiters[i], "0");
  recv_ok (pipe.first, "1");
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wait/order", test_order);
  g_test_add_func ("/wait/read-ahead", test_read_ahead);
  g_test_add_func ("/wait/timeout", test_timeout);
  g_test_add_func ("/wait/wakes", test_wakes);
  g_test_add_func ("/wait/whole-messages", test_whole_messages);
  g_test_add_func ("/wait/goes-on-sending", test_goes_on_sending);
  g_test_add_func ("/wait/end-of-stream", test_end_of_stream);
  g_test_add_func ("/wait/protocol-error", test_protocol_error);
  g_test_add_func ("/wait/cancel", test_cancel);
  g_test_add_func ("/wait/interrupt", test_interrupt);
  g_test_add_func ("/wait/sending-end", test_sending_end);
  g_test_add_func ("/wait/receiver-first", test_receiver_first);
  g_test_add_func ("/wait/read-by-others", test_read_by_others);
  g_test_add_func ("/wait/fds", test_fds);
  g_test_add_func ("/wait/descriptors", test_descriptors);
  g_test_add_func ("/wait/get-fd", test_get_fd);
  g_test_add_func ("/wait/no-descriptors", test_no_descriptors);
  g_test_add_func ("/wait/never-had-descriptors", test_never_had_descriptors);
  g_test_add_func ("/wait/many-messages", test_many_messages);
  g_test_add_func ("/wait/ping-pong", test_ping_pong);
  g_test_add_func ("/wait/same-in-threads", test_same_in_threads);

  return g_test_run ();
}
