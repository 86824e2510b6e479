/* test-connection.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-test.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void
test_values (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new_int32 (42));
  send_ok (pipe.first, g_variant_new ("(sa{sv})", "grüße", NULL));
  send_ok (pipe.second, g_variant_new_string ("back"));
  recv_ok (pipe.second, "42");
  recv_ok (pipe.second, "('grüße', {})");
  recv_ok (pipe.first, "'back'");

  g_assert_true (mp_connection_close (pipe.first, &error));
  g_assert_no_error (error);
  g_assert_true (mp_connection_is_closed (pipe.first));
  g_assert_cmpint (mp_connection_get_fd (pipe.first), ==, -1);
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_true (mp_connection_is_closed (pipe.second));
  g_assert_false (mp_connection_send (pipe.second, g_variant_new_int32 (1), LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  pipe_clear (&pipe);
}

static void
test_bytes (void)
{
  g_autoptr(GBytes) small = g_bytes_new ("abc", 3);
  g_autoptr(GBytes) empty = g_bytes_new (NULL, 0);
  g_autoptr(GError) error = NULL;
  GBytes *received;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_true (mp_connection_send_bytes (pipe.first, small, LONG_TIME, NULL, NULL));
  g_assert_true (mp_connection_send_bytes (pipe.first, empty, LONG_TIME, NULL, NULL));
  send_ok (pipe.first, g_variant_new_int32 (3));

  /* The wrong call takes nothing. */
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);

  received = mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, NULL);
  g_assert_true (g_bytes_equal (received, small));
  g_bytes_unref (received);
  received = mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, NULL);
  g_assert_true (g_bytes_equal (received, empty));
  g_bytes_unref (received);

  g_assert_null (mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  recv_ok (pipe.second, "3");
  pipe_clear (&pipe);
}

static void
test_simplex (void)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  g_autoptr(GError) error = NULL;
  gboolean readable, writable;

  g_assert_true (mp_pipe_new (FALSE, &first, &second, NULL));
  g_object_get (first, "readable", &readable, "writable", &writable, NULL);
  g_assert_true (readable && !writable);
  g_object_get (second, "readable", &readable, "writable", &writable, NULL);
  g_assert_true (!readable && writable);

  g_assert_false (mp_connection_send (first, g_variant_new_int32 (1), 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_null (mp_connection_recv (second, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  send_ok (second, g_variant_new_int32 (1));
  recv_ok (first, "1");
}

static void
test_poll (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_false (mp_connection_poll (pipe.first, 0, NULL, &error));
  g_assert_false (mp_connection_poll (pipe.first, 1000, NULL, &error));
  g_assert_no_error (error);
  send_ok (pipe.second, g_variant_new_int32 (1));
  send_ok (pipe.second, g_variant_new_int32 (2));
  g_assert_true (mp_connection_poll (pipe.first, LONG_TIME, NULL, &error));
  recv_ok (pipe.first, "1");
  g_assert_true (mp_connection_poll (pipe.first, 0, NULL, &error));
  recv_ok (pipe.first, "2");
  g_assert_false (mp_connection_poll (pipe.first, 0, NULL, &error));
  g_assert_no_error (error);
  mp_connection_close (pipe.second, NULL);
  g_assert_true (mp_connection_poll (pipe.first, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
  pipe_clear (&pipe);
}

static void
test_timeout (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  gint64 before;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_null (mp_connection_recv (pipe.first, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  before = g_get_monotonic_time ();
  g_assert_null (mp_connection_recv (pipe.first, 20000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  g_assert_null (mp_connection_recv (pipe.first, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (mp_connection_send (pipe.first, g_variant_new_int32 (1), -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  pipe_clear (&pipe);
}

/* Messages until no byte more goes; how many were accepted. */
static guint
fill_socket (MpConnection *connection,
             GBytes       *bytes)
{
  g_autoptr(GError) error = NULL;
  guint n = 0;

  while (mp_connection_send_bytes (connection, bytes, 0, NULL, &error))
    n++;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  return n;
}

/* Short ones fill the socket up to the end of a message, long ones up to the middle of one. */
static void
test_whole_or_not (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (GPOINTER_TO_SIZE (data));
  g_autoptr(GError) error = NULL;
  guint n, i;
  Pipe pipe;

  pipe_open (&pipe);
  n = fill_socket (pipe.first, bytes);
  g_assert_cmpuint (n, >, 1);

  /* Perhaps the last of them left only in part. It goes on with the calls that follow. */
  for (i = 0; i < n; i++)
    {
      g_autoptr(GBytes) received = NULL;

      while (received == NULL)
        {
          received = mp_connection_recv_bytes (pipe.second, 0, NULL, &error);
          if (received == NULL)
            {
              g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
              g_clear_error (&error);
              mp_connection_poll (pipe.first, 0, NULL, NULL);
            }
        }
      g_assert_true (g_bytes_equal (received, bytes));
    }

  /* And what timed out was not sent. */
  send_ok (pipe.first, g_variant_new_string ("end"));
  recv_ok (pipe.second, "'end'");
  pipe_clear (&pipe);
}

typedef struct
{
  MpConnection *connection;
  gboolean      sent;
} Sender;

static gpointer
send_thread (gpointer data)
{
  Sender *sender = data;

  sender->sent = mp_connection_send (sender->connection, g_variant_new_string ("late"), LONG_TIME, NULL, NULL);
  return NULL;
}

/* One call gives up while another waits behind it. */
static void
test_give_up_first (void)
{
  g_autoptr(GBytes) bytes = make_large (100000);
  g_autoptr(GBytes) received = NULL;
  g_autoptr(GError) error = NULL;
  Sender sender = { NULL, FALSE };
  GThread *thread;
  guint n, i;
  Pipe pipe;

  pipe_open (&pipe);
  n = fill_socket (pipe.first, bytes);
  sender.connection = pipe.first;
  thread = g_thread_new ("sender", send_thread, &sender);
  for (i = 0; i < 20; i++)
    {
      g_assert_false (mp_connection_send (pipe.first, g_variant_new_string ("given up"), 1000, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_clear_error (&error);
    }
  for (i = 0; i < n; i++)
    {
      received = mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_clear_pointer (&received, g_bytes_unref);
    }
  recv_ok (pipe.second, "'late'");
  g_thread_join (thread);
  g_assert_true (sender.sent);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, NULL));
  pipe_clear (&pipe);
}

static void
test_rest_by_context (void)
{
  g_autoptr(GBytes) bytes = make_large (5000000);
  g_autoptr(GBytes) received = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_true (mp_connection_send_bytes (pipe.first, bytes, 0, NULL, NULL));
  while (received == NULL)
    {
      g_main_context_iteration (NULL, FALSE);
      received = mp_connection_recv_bytes (pipe.second, 0, NULL, NULL);
    }
  g_assert_true (g_bytes_equal (received, bytes));
  g_assert_true (mp_connection_close (pipe.first, NULL));
  pipe_clear (&pipe);
}

static void
test_close_loses_rest (void)
{
  g_autoptr(GBytes) bytes = make_large (5000000);
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_true (mp_connection_send_bytes (pipe.first, bytes, 0, NULL, NULL));
  g_assert_false (mp_connection_close (pipe.first, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_clear_error (&error);
  g_assert_null (mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  pipe_clear (&pipe);
}

static void
test_large (void)
{
  g_autoptr(GBytes) bytes = make_large (20000001);
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GVariant) received = NULL;
  GAsyncResult *sent = NULL, *got = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  value = g_variant_ref_sink (g_variant_new ("(s@ay)", "many bytes",
                                             g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE)));
  mp_connection_send_async (pipe.first, value, NULL, keep_result_cb, &sent);
  mp_connection_recv_async (pipe.second, NULL, keep_result_cb, &got);
  wait_for_result (&got);
  wait_for_result (&sent);
  g_assert_true (mp_connection_send_finish (pipe.first, sent, NULL));
  received = mp_connection_recv_finish (pipe.second, got, NULL);
  g_assert_true (g_variant_equal (value, received));
  g_object_unref (sent);
  g_object_unref (got);
  pipe_clear (&pipe);
}

static void
test_async (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GAsyncResult *results[4] = { NULL };
  GVariant *value;
  GBytes *bytes;
  guint i;
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_recv_async (pipe.first, cancellable, keep_result_cb, &results[0]);
  mp_connection_recv_async (pipe.first, NULL, keep_result_cb, &results[1]);
  mp_connection_recv_bytes_async (pipe.first, NULL, keep_result_cb, &results[2]);
  mp_connection_recv_async (pipe.first, NULL, keep_result_cb, &results[3]);
  g_cancellable_cancel (cancellable);
  wait_for_result (&results[0]);
  g_assert_null (mp_connection_recv_finish (pipe.first, results[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  send_ok (pipe.second, g_variant_new_int32 (1));
  bytes = g_bytes_new ("two", 3);
  g_assert_true (mp_connection_send_bytes (pipe.second, bytes, -1, NULL, NULL));
  wait_for_result (&results[1]);
  wait_for_result (&results[2]);
  value = mp_connection_recv_finish (pipe.first, results[1], NULL);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 1);
  g_variant_unref (value);
  g_bytes_unref (bytes);
  bytes = mp_connection_recv_bytes_finish (pipe.first, results[2], NULL);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 3);
  g_bytes_unref (bytes);

  mp_connection_close (pipe.first, NULL);
  wait_for_result (&results[3]);
  g_assert_null (mp_connection_recv_finish (pipe.first, results[3], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  for (i = 0; i < G_N_ELEMENTS (results); i++)
    g_object_unref (results[i]);
  pipe_clear (&pipe);
}

static void
answer_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr(GVariant) value = mp_connection_recv_finish (MP_CONNECTION (source), result, NULL);

  g_assert_cmpint (g_variant_get_int32 (value), ==, 1);
  send_ok (user_data, g_variant_new_int32 (2));
}

/* Without a main loop: what is due for the connection is told by whatever call blocks on it. */
static void
test_async_without_loop (void)
{
  GVariant *value;
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_recv_async (pipe.first, NULL, answer_cb, pipe.second);
  send_ok (pipe.second, g_variant_new_int32 (1));
  /* The callback makes this one's message. */
  value = mp_connection_recv (pipe.first, 30 * G_USEC_PER_SEC, NULL, NULL);
  g_assert_nonnull (value);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 2);
  g_variant_unref (value);

  mp_connection_recv_async (pipe.first, NULL, answer_cb, pipe.second);
  send_ok (pipe.second, g_variant_new_int32 (1));
  g_assert_true (mp_connection_poll (pipe.first, 30 * G_USEC_PER_SEC, NULL, NULL));
  value = mp_connection_recv (pipe.first, 0, NULL, NULL);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 2);
  g_variant_unref (value);
  pipe_clear (&pipe);
}

static void
test_async_send_cancel (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GBytes) bytes = make_large (3000000);
  g_autoptr(GError) error = NULL;
  GAsyncResult *results[3] = { NULL };
  guint i;
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_send_bytes_async (pipe.first, bytes, cancellable, keep_result_cb, &results[0]);
  mp_connection_send_async (pipe.first, g_variant_new_int32 (1), cancellable, keep_result_cb, &results[1]);
  mp_connection_send_async (pipe.first, g_variant_new_int32 (2), NULL, keep_result_cb, &results[2]);
  g_cancellable_cancel (cancellable);

  /* The first has begun to leave, so it does; the second has not. */
  wait_for_result (&results[1]);
  g_assert_false (mp_connection_send_finish (pipe.first, results[1], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  while (results[0] == NULL)
    {
      g_autoptr(GBytes) received = mp_connection_recv_bytes (pipe.second, 0, NULL, NULL);

      g_assert_true (received == NULL || g_bytes_equal (received, bytes));
      g_main_context_iteration (NULL, FALSE);
      if (received != NULL)
        wait_for_result (&results[0]);
    }
  g_assert_true (mp_connection_send_bytes_finish (pipe.first, results[0], NULL));
  wait_for_result (&results[2]);
  g_assert_true (mp_connection_send_finish (pipe.first, results[2], NULL));
  recv_ok (pipe.second, "2");
  for (i = 0; i < G_N_ELEMENTS (results); i++)
    g_object_unref (results[i]);
  pipe_clear (&pipe);
}

static void
test_signals (void)
{
  g_autoptr(GBytes) bytes = g_bytes_new ("two", 3);
  Log log = { NULL, 0, 3 };
  Pipe pipe;

  pipe_open (&pipe);
  connect_log (pipe.first, &log);
  send_ok (pipe.second, g_variant_new_int32 (1));
  g_assert_true (mp_connection_send_bytes (pipe.second, bytes, -1, NULL, NULL));
  send_ok (pipe.second, g_variant_new_int32 (3));
  send_ok (pipe.second, g_variant_new_int32 (4));
  send_ok (pipe.second, g_variant_new_int32 (5));
  send_ok (pipe.second, g_variant_new_int32 (6));
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpstr (log.text->str, ==, "");

  mp_connection_start (pipe.first);
  while (log.stop_after > 0)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpstr (log.text->str, ==, "1 two 3 4 ");
  recv_ok (pipe.first, "5");

  /* The last one was read along with it: no descriptor tells of that. */
  mp_connection_start (pipe.first);
  while (strstr (log.text->str, "6") == NULL)
    g_main_context_iteration (NULL, TRUE);
  mp_connection_close (pipe.second, NULL);
  while (log.n_closed == 0)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpstr (log.text->str, ==, "1 two 3 4 6 end");
  g_assert_cmpuint (log.n_closed, ==, 1);
  g_string_free (log.text, TRUE);
  pipe_clear (&pipe);
}

static void
test_drop_started (void)
{
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_start (pipe.first);
  mp_connection_start (pipe.second);
  g_main_context_iteration (NULL, FALSE);
  pipe_clear (&pipe);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

typedef struct
{
  MpConnection *connection;
  GCancellable *cancellable;
  int           code;
} CancelledCall;

static gpointer
cancelled_thread (gpointer data)
{
  CancelledCall *call = data;
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_connection_recv (call->connection, -1, call->cancellable, &error));
  g_assert_cmpuint (error->domain, ==, G_IO_ERROR);
  call->code = error->code;
  return NULL;
}

/* Also in a process that has no descriptors left. */
static void
test_cancel (gconstpointer data)
{
  gboolean exhausted = GPOINTER_TO_INT (data);
  CancelledCall call = { NULL, g_cancellable_new (), 0 };
  guint cancelled_id = g_signal_lookup ("cancelled", G_TYPE_CANCELLABLE);
  struct rlimit limit, low;
  GThread *thread;
  int fds[64];
  guint n = 0, i;
  Pipe pipe;

  pipe_open (&pipe);
  call.connection = pipe.first;
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  low = limit;
  low.rlim_cur = exhausted ? 64 : limit.rlim_cur;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  while (exhausted && n < G_N_ELEMENTS (fds) && (fds[n] = mp_fd_dup (0)) >= 0)
    n++;

  thread = g_thread_new ("cancelled", cancelled_thread, &call);
  /* The handler is there when the thread is about to sleep; without descriptors there is none. */
  while (!exhausted && !g_signal_has_handler_pending (call.cancellable, cancelled_id, 0, FALSE))
    g_thread_yield ();
  g_cancellable_cancel (call.cancellable);
  g_thread_join (thread);
  g_assert_cmpint (call.code, ==, G_IO_ERROR_CANCELLED);

  for (i = 0; i < n; i++)
    close (fds[i]);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  g_object_unref (call.cancellable);
  pipe_clear (&pipe);
}

static void
test_interrupt (void)
{
  g_autoptr(GError) error = NULL;
  int fds[2];
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  g_assert_cmpint (write (fds[1], "!", 1), ==, 1);
  g_assert_cmpint (mp_set_interrupt_fd (fds[0]), ==, -1);
  g_assert_null (mp_connection_recv (pipe.first, -1, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
  g_assert_cmpint (mp_set_interrupt_fd (-1), ==, fds[0]);
  send_ok (pipe.second, g_variant_new_int32 (1));
  recv_ok (pipe.first, "1");
  close (fds[0]);
  close (fds[1]);
  pipe_clear (&pipe);
}

/* Callbacks come in the context of the caller, not in that of the connection. */
static gpointer
other_context_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  GAsyncResult *result = NULL;
  GVariant *value;
  int number;

  g_main_context_push_thread_default (context);
  mp_connection_recv_async (data, NULL, keep_result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  value = mp_connection_recv_finish (data, result, NULL);
  number = g_variant_get_int32 (value);
  g_variant_unref (value);
  g_object_unref (result);
  g_main_context_pop_thread_default (context);
  return GINT_TO_POINTER (number);
}

static void
test_other_context (void)
{
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  thread = g_thread_new ("other", other_context_thread, pipe.first);
  send_ok (pipe.second, g_variant_new_int32 (7));
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, 7);
  pipe_clear (&pipe);
}

/* What was to be sent is freed where the call was made, though another thread may have sent the last of it. */

typedef struct
{
  MpConnection *connection;
  gboolean      blocking;
  GMainContext *context;
  GAsyncQueue  *words, *orders;
  int           n_freed, n_astray;   /* atomic */
} Sending;

static void
sent_bytes_free (gpointer data)
{
  Sending *self = data;

  if (!g_main_context_is_owner (self->context))
    g_atomic_int_inc (&self->n_astray);
  g_atomic_int_inc (&self->n_freed);
}

static gpointer
sending_thread (gpointer data)
{
  static const guint8 zeros[4000000];
  Sending *self = data;
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;
  GBytes *bytes = g_bytes_new_with_free_func (zeros, sizeof zeros, sent_bytes_free, self);

  g_main_context_push_thread_default (self->context);
  if (self->blocking)
    mp_connection_send_bytes (self->connection, bytes, 1000, NULL, &error);
  else
    mp_connection_send_bytes_async (self->connection, bytes, NULL, keep_result_cb, &result);
  g_assert_no_error (error);
  g_bytes_unref (bytes);
  g_async_queue_push (self->words, self);

  g_async_queue_pop (self->orders);
  while (g_atomic_int_get (&self->n_freed) == 0 || (result == NULL && !self->blocking))
    g_main_context_iteration (self->context, TRUE);
  g_main_context_pop_thread_default (self->context);
  g_clear_object (&result);
  return NULL;
}

static void
test_freed_at_home (gconstpointer data)
{
  Sending sending = { NULL, GPOINTER_TO_INT (data), g_main_context_new (), };
  g_autoptr(GBytes) bytes = NULL;
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  sending.connection = pipe.first;
  sending.words = g_async_queue_new ();
  sending.orders = g_async_queue_new ();
  thread = g_thread_new ("sending", sending_thread, &sending);
  g_async_queue_pop (sending.words);
  while (bytes == NULL)
    {
      mp_connection_poll (pipe.first, 0, NULL, NULL);   /* sends */
      bytes = mp_connection_recv_bytes (pipe.second, 0, NULL, NULL);
    }
  mp_connection_poll (pipe.first, 0, NULL, NULL);
  g_assert_cmpint (g_atomic_int_get (&sending.n_astray), ==, 0);
  g_async_queue_push (sending.orders, &sending);
  g_thread_join (thread);
  g_assert_cmpint (sending.n_astray, ==, 0);

  pipe_clear (&pipe);
  g_main_context_unref (sending.context);
  g_async_queue_unref (sending.words);
  g_async_queue_unref (sending.orders);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection/values", test_values);
  g_test_add_func ("/connection/bytes", test_bytes);
  g_test_add_func ("/connection/simplex", test_simplex);
  g_test_add_func ("/connection/poll", test_poll);
  g_test_add_func ("/connection/timeout", test_timeout);
  g_test_add_data_func ("/connection/whole-or-not/short", GSIZE_TO_POINTER (100), test_whole_or_not);
  g_test_add_data_func ("/connection/whole-or-not/long", GSIZE_TO_POINTER (100000), test_whole_or_not);
  g_test_add_func ("/connection/give-up-first", test_give_up_first);
  g_test_add_func ("/connection/rest-by-context", test_rest_by_context);
  g_test_add_func ("/connection/close-loses-rest", test_close_loses_rest);
  g_test_add_func ("/connection/large", test_large);
  g_test_add_func ("/connection/async", test_async);
  g_test_add_func ("/connection/async-without-loop", test_async_without_loop);
  g_test_add_func ("/connection/async-send-cancel", test_async_send_cancel);
  g_test_add_func ("/connection/signals", test_signals);
  g_test_add_func ("/connection/drop-started", test_drop_started);
  g_test_add_data_func ("/connection/cancel", GINT_TO_POINTER (FALSE), test_cancel);
  g_test_add_data_func ("/connection/cancel-without-descriptors", GINT_TO_POINTER (TRUE), test_cancel);
  g_test_add_func ("/connection/interrupt", test_interrupt);
  g_test_add_func ("/connection/other-context", test_other_context);
  g_test_add_data_func ("/connection/freed-at-home/async", GINT_TO_POINTER (FALSE), test_freed_at_home);
  g_test_add_data_func ("/connection/freed-at-home/blocking", GINT_TO_POINTER (TRUE), test_freed_at_home);

  return g_test_run ();
}
