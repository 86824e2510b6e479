/* test-connection-middle.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What happens in the middle of a message: a reader that stops, a call that is given up, an end that is killed. */
#include "config.h"

#include "connection-kinds-test.h"

#include "mp-glib/platform/mp-poll-private.h"

#include <signal.h>
#include <sys/wait.h>

#define SIZE ((gsize) 8000001)

/* The other end, without the library. */
typedef struct
{
  int         fd;
  GByteArray *received;
} Reader;

static void
reader_read (Reader *reader,
             gsize   size)
{
  guint8 data[65536];
  gssize n = read (reader->fd, data, MIN (size, sizeof data));

  g_assert_cmpint (n, >=, 0);
  g_byte_array_append (reader->received, data, n);
}

static gpointer
reader_thread (gpointer data)
{
  Reader *reader = data;
  guint before;

  do
    {
      before = reader->received->len;
      reader_read (reader, G_MAXSIZE);
    }
  while (reader->received->len > before);
  return NULL;
}

static void
wait_for_bytes (int fd)
{
  GPollFD poll_fd = { fd, G_IO_IN, 0 };

  g_assert_cmpint (mp_poll_fds (&poll_fd, 1, LONG_TIME), ==, 1);
}

static void
send_text (MpConnection *connection,
           const char   *text)
{
  g_autoptr(GBytes) bytes = g_bytes_new (text, strlen (text));
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
}

static void
append_text (Kind        kind,
             GByteArray *array,
             const char *text)
{
  g_autoptr(GBytes) bytes = g_bytes_new (text, strlen (text));

  kind_append_frame (kind, array, bytes);
}

typedef struct
{
  MpConnection *connection;
  GBytes       *bytes;
  GCancellable *cancellable;
  int           code;   /* -1: sent */
} Call;

static gpointer
send_thread (gpointer data)
{
  Call *call = data;
  g_autoptr(GError) error = NULL;

  if (mp_connection_send_bytes (call->connection, call->bytes, -1, call->cancellable, &error))
    call->code = -1;
  else
    call->code = error->code;
  return NULL;
}

/* A message that has begun to leave counts as sent, the one behind it does not; once the reader goes on all of the
 * first comes, nothing of the second, and what is sent then. */
static void
test_reader_stops (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(GBytes) bytes = make_large (SIZE);
  g_autoptr(GByteArray) expected = g_byte_array_new ();
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GError) error = NULL;
  Call call = { NULL, bytes, g_cancellable_new (), 0 };
  Reader reader = { -1, g_byte_array_new () };
  GThread *thread;
  int fds[2];

  kind_make_fds (kind, fds);
  connection = call.connection = kind_connect (kind, fds[0]);
  reader.fd = fds[1];
  g_assert_true (mp_connection_send_bytes (connection, bytes, 20000, NULL, &error));
  g_assert_no_error (error);
  reader_read (&reader, 100);

  g_assert_false (mp_connection_send_bytes (connection, bytes, 20000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  thread = g_thread_new ("sender", send_thread, &call);
  g_cancellable_cancel (call.cancellable);
  g_thread_join (thread);
  g_assert_cmpint (call.code, ==, G_IO_ERROR_CANCELLED);
  g_assert_false (mp_connection_is_closed (connection));
  g_assert_null (mp_connection_recv (connection, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  thread = g_thread_new ("reader", reader_thread, &reader);
  send_text (connection, "and then");
  g_assert_true (mp_connection_close (connection, &error));
  g_thread_join (thread);
  kind_append_frame (kind, expected, bytes);
  append_text (kind, expected, "and then");
  g_assert_cmpuint (reader.received->len, ==, expected->len);
  g_assert_cmpint (memcmp (reader.received->data, expected->data, expected->len), ==, 0);

  g_byte_array_unref (reader.received);
  g_object_unref (call.cancellable);
  close (fds[1]);
}

/* The same for a call that is cancelled when its message has begun to leave. */
static void
test_cancelled (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(GBytes) bytes = make_large (SIZE);
  g_autoptr(GByteArray) expected = g_byte_array_new ();
  g_autoptr(MpConnection) connection = NULL;
  Call call = { NULL, bytes, g_cancellable_new (), 0 };
  Reader reader = { -1, g_byte_array_new () };
  GThread *thread;
  int fds[2];

  kind_make_fds (kind, fds);
  connection = call.connection = kind_connect (kind, fds[0]);
  reader.fd = fds[1];
  thread = g_thread_new ("sender", send_thread, &call);
  wait_for_bytes (fds[1]);
  g_cancellable_cancel (call.cancellable);
  g_thread_join (thread);
  g_assert_cmpint (call.code, ==, -1);

  thread = g_thread_new ("reader", reader_thread, &reader);
  send_text (connection, "and then");
  g_assert_true (mp_connection_close (connection, NULL));
  g_thread_join (thread);
  kind_append_frame (kind, expected, bytes);
  append_text (kind, expected, "and then");
  g_assert_cmpuint (reader.received->len, ==, expected->len);
  g_assert_cmpint (memcmp (reader.received->data, expected->data, expected->len), ==, 0);

  g_byte_array_unref (reader.received);
  g_object_unref (call.cancellable);
  close (fds[1]);
}

/* A process that has @fd, and does nothing. */
static pid_t
fork_holder (int fds[2])
{
  pid_t pid = fork ();

  if (pid == 0)
    {
      close (fds[0]);
      while (TRUE)
        pause ();
    }
  close (fds[1]);
  return pid;
}

/* Who waits for ever is told of the end of a reader that had stopped. */
static void
test_reader_killed (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(GBytes) bytes = make_large (SIZE);
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GError) error = NULL;
  Call call = { NULL, bytes, NULL, 0 };
  GThread *thread;
  int fds[2], status, copy;
  pid_t pid;

  kind_make_fds (kind, fds);
  copy = dup (fds[1]);
  pid = fork_holder (fds);
  connection = call.connection = kind_connect (kind, fds[0]);
  thread = g_thread_new ("sender", send_thread, &call);
  wait_for_bytes (copy);
  close (copy);
  kill (pid, SIGKILL);
  g_thread_join (thread);
  g_assert_cmpint (call.code, ==, G_IO_ERROR_BROKEN_PIPE);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);

  g_assert_false (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  g_clear_error (&error);
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* A process that sends @n bytes of what @array has, and is killed. */
static void
send_and_die (int         fds[2],
              GByteArray *array,
              gsize       n)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      gssize part = 1;

      close (fds[0]);
      while (n > 0 && part > 0)
        {
          part = write (fds[1], array->data, n);
          g_byte_array_remove_range (array, 0, part);
          n -= part;
        }
      raise (SIGKILL);
    }

  close (fds[1]);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status));
}

/* A sender that is killed in the middle of its second message, after each of its first bytes and before its last: the
 * first is whole, the second is not there. */
static void
test_sender_killed (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(GBytes) first = g_bytes_new ("whole", 5);
  g_autoptr(GBytes) second = make_large (100001);
  g_autoptr(GByteArray) array = g_byte_array_new ();
  guint n_first, n;

  kind_append_frame (kind, array, first);
  n_first = array->len;
  kind_append_frame (kind, array, second);
  for (n = n_first; n < array->len; n = n < n_first + 20 ? n + 1 : n < n_first + 1000 ? n_first + 50000 : n + 50004)
    {
      g_autoptr(MpConnection) connection = NULL;
      g_autoptr(GBytes) bytes = NULL;
      g_autoptr(GError) error = NULL;
      guint8 buffer[200000];
      gsize length;
      Log log = { NULL, 0, 0 };
      int fds[2];

      kind_make_fds (kind, fds);
      send_and_die (fds, array, n);
      connection = kind_connect (kind, fds[0]);
      connect_log (connection, &log);
      if (n % 3 == 0)
        {
          bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);
          g_assert_no_error (error);
          g_assert_true (g_bytes_equal (bytes, first));
          g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
        }
      else if (n % 3 == 1)
        {
          g_assert_true (mp_connection_recv_bytes_into (connection, buffer, sizeof buffer, &length, LONG_TIME, NULL,
                                                        NULL));
          g_assert_cmpmem (buffer, length, "whole", 5);
          g_assert_false (mp_connection_recv_bytes_into (connection, buffer, sizeof buffer, &length, LONG_TIME, NULL,
                                                         &error));
        }
      else
        {
          mp_connection_start (connection);
          while (log.n_closed == 0)
            g_main_context_iteration (NULL, TRUE);
          g_assert_cmpstr (log.text->str, ==, "whole end");
          g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
        }
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_assert_true (mp_connection_is_closed (connection));
      g_string_free (log.text, TRUE);
    }
}

/* A receiving call that is given up in the middle of a message leaves what has come in for the next. */
static void
test_receiver_gives_up (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(GBytes) bytes = make_large (200001);
  g_autoptr(GBytes) received = NULL;
  g_autoptr(GByteArray) array = g_byte_array_new ();
  g_autoptr(MpConnection) connection = NULL;
  gsize sent = 0, i;
  int fds[2];

  kind_append_frame (kind, array, bytes);
  kind_make_fds (kind, fds);
  connection = kind_connect (kind, fds[0]);
  for (i = 0; sent < array->len; i++)
    {
      g_autoptr(GError) error = NULL;
      gsize n = MIN (i < 30 ? 1 : 10007, array->len - sent);

      g_assert_cmpint (write (fds[1], array->data + sent, n), ==, n);
      sent += n;
      if (sent == array->len)
        break;
      if (i % 2 == 0)
        g_assert_null (mp_connection_recv_bytes (connection, 0, NULL, &error));
      else
        g_assert_null (mp_connection_recv (connection, 100, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    }
  received = mp_connection_recv_bytes (connection, LONG_TIME, NULL, NULL);
  g_assert_true (g_bytes_equal (received, bytes));
  close (fds[1]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  add_kind_tests ("/connection-middle/reader-stops", test_reader_stops);
  add_kind_tests ("/connection-middle/cancelled", test_cancelled);
  add_kind_tests ("/connection-middle/reader-killed", test_reader_killed);
  add_kind_tests ("/connection-middle/sender-killed", test_sender_killed);
  add_kind_tests ("/connection-middle/receiver-gives-up", test_receiver_gives_up);

  return g_test_run ();
}
