/* test-tls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tls-ends-test.h"

#include <sys/wait.h>
#include <unistd.h>

/* The machine below listeners and clients, after the handshake (test-tls-handshake.c). These with TLS:
 * test-listener-tls.c. */

#define LARGE_SIZE (8 << 20)

static void
tls_pipe_open (Pipe *pipe)
{
  Ends ends = ends_open (&usual);

  g_assert_no_error (ends.server_error);
  g_assert_no_error (ends.client_error);
  pipe->first = mp_connection_new_tls (ends.server, 64 << 20);
  pipe->second = mp_connection_new_tls (ends.client, 64 << 20);
}

static gpointer
echo_thread (gpointer data)
{
  MpConnection *connection = data;
  guint i;

  for (i = 0; i < 1001; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
      g_assert_no_error (error);
    }
  return NULL;
}

static void
recv_bytes_ok (MpConnection *connection,
               GBytes       *expected)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (bytes, expected));
}

static void
test_messages (void)
{
  g_autoptr(GBytes) large = make_large (LARGE_SIZE + 3);
  GThread *thread;
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  thread = g_thread_new ("echo", echo_thread, pipe.second);
  for (i = 0; i < 1000; i++)
    {
      g_autoptr(GBytes) bytes = g_bytes_new_from_bytes (large, i, i * 17);

      send_bytes_ok (pipe.first, bytes);
      recv_bytes_ok (pipe.first, bytes);
    }
  send_bytes_ok (pipe.first, large);
  recv_bytes_ok (pipe.first, large);
  g_thread_join (thread);
  pipe_clear (&pipe);
}

static void
test_values (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpConnection) first = NULL, second = NULL;
  g_autoptr(GVariant) handle = NULL, other_handle = NULL;
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new ("(is)", 7, "seven"));
  recv_ok (pipe.second, "(7, 'seven')");

  /* It stays where its keys are. */
  g_assert_true (mp_pipe_new (TRUE, &first, &second, &error));
  g_assert_no_error (error);
  handle = mp_shareable_to_variant (MP_SHAREABLE (pipe.second));
  g_assert_false (mp_connection_send (first, handle, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "TLS"));
  g_clear_error (&error);

  /* Nor do objects go there. */
  other_handle = mp_shareable_to_variant (MP_SHAREABLE (first));
  g_assert_false (mp_connection_send (pipe.first, other_handle, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  send_ok (pipe.second, g_variant_new_string ("still there"));
  recv_ok (pipe.first, "'still there'");
  pipe_clear (&pipe);
}

static void
count_cb (MpConnection *connection,
          GBytes       *bytes,
          gpointer      user_data)
{
  guint *n = user_data;

  ++*n;
}

static void
append_message (GByteArray *stream,
                gsize       size)
{
  guint8 head[MP_STREAM_MAX_HEAD];
  guint n_head = mp_stream_put_head (head, size);

  g_byte_array_append (stream, head, n_head);
  g_byte_array_set_size (stream, stream->len + size);
  memset (stream->data + stream->len - size, 'x', size);
}

static void
send_stream (MpTls      *tls,
             GByteArray *stream)
{
  MpWireIO *io = mp_tls_get_io (tls);
  g_autoptr(GError) error = NULL;
  gsize sent = 0;

  while (sent < stream->len)
    {
      struct iovec iov = { stream->data + sent, stream->len - sent };

      sent += io->funcs->send (io, &iov, 1, &error);
      g_assert_no_error (error);
    }
}

/* A large message is read to its end and no farther: those behind it, in its last record, are in GIO's memory then,
 * where the socket does not tell of them, and a connection that is started lets others have their turn just there. */
static void
test_hidden (void)
{
  enum { N_BEFORE = 63, N_AFTER = 5 };
  g_autoptr(GByteArray) first = g_byte_array_new ();
  g_autoptr(GByteArray) stream = g_byte_array_new ();
  MpConnection *connection;
  guint n = 0, i;
  Ends ends;

  if (skip ())
    return;

  append_message (first, 60000);
  for (i = 0; i < N_BEFORE + 1 + N_AFTER; i++)
    append_message (stream, i == N_BEFORE ? 70000 : 10);
  ends = ends_open (&usual);
  connection = mp_connection_new_tls (g_steal_pointer (&ends.client), 1 << 20);
  /* Until the system gives the socket a window that is large enough for all of it. */
  for (i = 0; i < 50; i++)
    {
      g_autoptr(GBytes) bytes = NULL;

      send_stream (ends.server, first);
      bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, NULL);
      g_assert_nonnull (bytes);
    }

  send_stream (ends.server, stream);
  g_signal_connect (connection, "message-bytes", G_CALLBACK (count_cb), &n);
  mp_connection_start (connection);
  while (n < N_BEFORE + 1 + N_AFTER)
    g_main_context_iteration (NULL, TRUE);
  g_assert_finalize_object (connection);
  ends_clear (&ends);
}

static void
test_poll (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, &error));
  g_assert_no_error (error);
  for (i = 0; i < 3; i++)
    send_ok (pipe.first, g_variant_new_uint32 (i));
  for (i = 0; i < 3; i++)
    {
      g_autoptr(GVariant) value = NULL;

      g_assert_true (mp_connection_poll (pipe.second, LONG_TIME, NULL, &error));
      g_assert_no_error (error);
      value = mp_connection_recv (pipe.second, 0, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (g_variant_get_uint32 (value), ==, i);
    }
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, &error));
  g_assert_no_error (error);
  pipe_clear (&pipe);
}

static void
check_readable (MpConnection *connection,
                int           expected)
{
  GPollFD fd = { mp_connection_get_fd (connection), G_IO_IN, 0 };

  g_assert_cmpint (mp_poll_fds (&fd, 1, expected > 0 ? LONG_TIME : 0), ==, expected);
}

/* The descriptor and mp_wait() know of messages that GIO has already. */
static void
test_ready (void)
{
  g_autofree char *text = g_strnfill (5000, 'x');
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  mp_connection_get_fd (pipe.second);
  check_readable (pipe.second, 0);
  for (i = 0; i < 40; i++)
    mp_connection_send_async (pipe.first, g_variant_new_string (text), NULL, NULL, NULL);
  for (i = 0; i < 40; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GPtrArray) ready = NULL;
      g_autoptr(GVariant) value = NULL;

      while (!mp_connection_poll (pipe.second, 0, NULL, &error))
        check_readable (pipe.second, 1);
      check_readable (pipe.second, 1);
      ready = mp_wait ((MpWaitable **) &pipe.second, 1, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (ready->len, ==, 1);
      value = mp_connection_recv (pipe.second, 0, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (g_variant_get_string (value, NULL), ==, text);
    }
  check_readable (pipe.second, 0);
  g_assert_true (mp_connection_close (pipe.first, NULL));
  check_readable (pipe.second, 1);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  pipe_clear (&pipe);
}

static void
check_end (MpConnection *connection,
           const char   *words)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_end (void)
{
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new_string ("last"));
  g_assert_true (mp_connection_close (pipe.first, NULL));
  recv_ok (pipe.second, "'last'");
  check_end (pipe.second, "The other end is closed");
  check_end (pipe.second, "The other end is closed");
  pipe_clear (&pipe);
}

/* As when the process of the other end is killed: whole messages are received. */
static void
test_cut (void)
{
  g_autoptr(GBytes) large = make_large (LARGE_SIZE);
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new_string ("whole"));
  mp_connection_send_bytes_async (pipe.first, large, NULL, NULL, NULL);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpint (shutdown (mp_wire_get_fd (pipe.first->wire), SHUT_RDWR), ==, 0);
  recv_ok (pipe.second, "'whole'");
  check_end (pipe.second, "without a word");
  mp_connection_close (pipe.first, NULL);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  pipe_clear (&pipe);
}

/* A reader that stops: what was taken back is not there, what counts as sent is there whole. */
static void
test_stopped_reader (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (GPOINTER_TO_SIZE (data));
  g_autoptr(GError) error = NULL;
  guint n_sent = 0, i;
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  while (mp_connection_send_bytes (pipe.first, bytes, 20000, NULL, &error))
    n_sent++;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_cmpuint (n_sent, >, 1);

  /* The rest of the last one leaves by itself. */
  for (i = 0; i < n_sent; i++)
    {
      g_autoptr(GBytes) received = NULL;

      while (!mp_connection_poll (pipe.second, 1000, NULL, &error))
        g_main_context_iteration (NULL, FALSE);
      received = mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (received, bytes));
    }
  send_ok (pipe.first, g_variant_new_string ("after"));
  recv_ok (pipe.second, "'after'");
  pipe_clear (&pipe);
}

/* Its threads are not those that GLib counts on: it says so at once. */
static gboolean
cannot_begin (void)
{
  g_autoptr(GError) error = NULL;
  GIOCondition condition;
  MpTls *client;
  int fds[2];
  int fd;

  kind_make_fds (KIND_TCP, fds);
  client = make_client (fds[1], &usual);
  mp_tls_handshake (client, TRUE, &fd, &condition, &error);
  mp_tls_free (client);
  close (fds[0]);
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

/* The copy of a process must not use the keys, and its end says nothing to the other side. */
static void
test_fork (void)
{
  g_autoptr(GError) error = NULL;
  int status = 0;
  Pipe pipe;
  pid_t pid;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  pid = fork ();
  if (pid == 0)
    {
      gboolean ok = !mp_connection_send (pipe.first, g_variant_new_string ("no"), 0, NULL, &error) &&
                    g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED) && cannot_begin ();

      g_clear_object (&pipe.first);
      g_clear_object (&pipe.second);
      _exit (ok ? 0 : 1);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  send_ok (pipe.first, g_variant_new_string ("yes"));
  recv_ok (pipe.second, "'yes'");
  send_ok (pipe.second, g_variant_new_string ("yes"));
  recv_ok (pipe.first, "'yes'");
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  certificates_make ();

  g_test_add_func ("/tls/messages", test_messages);
  g_test_add_func ("/tls/values", test_values);
  g_test_add_func ("/tls/hidden", test_hidden);
  g_test_add_func ("/tls/poll", test_poll);
  g_test_add_func ("/tls/ready", test_ready);
  g_test_add_func ("/tls/end", test_end);
  g_test_add_func ("/tls/cut", test_cut);
  g_test_add_data_func ("/tls/stopped-reader/short", GSIZE_TO_POINTER (1000), test_stopped_reader);
  g_test_add_data_func ("/tls/stopped-reader/long", GSIZE_TO_POINTER (100000), test_stopped_reader);
  g_test_add_func ("/tls/fork", test_fork);

  status = g_test_run ();
  certificates_remove ();
  return status;
}
