/* test-connection-stream.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections with CPython's framing, as listeners and clients make them, and what may go over them. */

#include "config.h"

#include "connection-kinds-test.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SIZE (G_GUINT64_CONSTANT (1) << 26)

static void
stream_open (Pipe     *pipe,
             gboolean  tcp)
{
  int fds[2];

  kind_make_fds (tcp ? KIND_TCP : KIND_STREAM, fds);
  pipe->first = mp_connection_new_stream (fds[0], MP_CONNECTION_DUPLEX, MAX_SIZE);
  pipe->second = mp_connection_new_stream (fds[1], MP_CONNECTION_DUPLEX, MAX_SIZE);
}

static GBytes *
recv_bytes_ok (MpConnection *connection)
{
  g_autoptr(GError) error = NULL;
  GBytes *bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return bytes;
}

static void
test_messages (gconstpointer data)
{
  gboolean tcp = GPOINTER_TO_INT (data);
  static const gsize sizes[] = { 0, 1, 7, 8, 9, 4096, 16384, 65530, 65536, 100001, 3000001 };
  g_autoptr(GBytes) all = make_large (3000001);
  g_autoptr(GBytes) odd = g_bytes_new_static ("odd", 3);
  Pipe pipe;
  gsize i;

  stream_open (&pipe, tcp);
  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr(GBytes) bytes = g_bytes_new_from_bytes (all, 0, sizes[i]);
      g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE));
      g_autoptr(GAsyncResult) sent = NULL;
      g_autoptr(GAsyncResult) received = NULL;
      g_autoptr(GBytes) got = NULL;
      g_autoptr(GVariant) got_value = NULL;
      g_autoptr(GError) error = NULL;

      mp_connection_recv_bytes_async (pipe.second, NULL, keep_result_cb, &received);
      mp_connection_send_bytes_async (pipe.first, bytes, NULL, keep_result_cb, &sent);
      while (sent == NULL || received == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_true (mp_connection_send_bytes_finish (pipe.first, sent, &error));
      got = mp_connection_recv_bytes_finish (pipe.second, received, &error);
      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (got, bytes));
      g_clear_object (&sent);
      g_clear_object (&received);

      mp_connection_recv_async (pipe.first, NULL, keep_result_cb, &received);
      mp_connection_send_async (pipe.second, value, NULL, keep_result_cb, &sent);
      while (sent == NULL || received == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_true (mp_connection_send_finish (pipe.second, sent, &error));
      got_value = mp_connection_recv_finish (pipe.first, received, &error);
      g_assert_no_error (error);
      g_assert_true (g_variant_equal (got_value, value));
    }

  /* A value among bytes, read together. */
  send_bytes_ok (pipe.first, odd);
  send_ok (pipe.first, g_variant_new ("(isd)", 1, "two", 3.0));
  send_bytes_ok (pipe.first, odd);
  g_bytes_unref (recv_bytes_ok (pipe.second));
  recv_ok (pipe.second, "(1, 'two', 3.0)");
  g_bytes_unref (recv_bytes_ok (pipe.second));
  pipe_clear (&pipe);
}

/* What is no value stays, and what is one can be had as bytes. */
static void
test_kinds (void)
{
  g_autoptr(GBytes) bytes = g_bytes_new_static ("plain", 5);
  g_autoptr(GBytes) got = NULL;
  g_autoptr(GBytes) encoded = NULL;
  g_autoptr(GError) error = NULL;
  guint64 magic;
  Pipe pipe;

  stream_open (&pipe, FALSE);
  send_bytes_ok (pipe.first, bytes);
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  got = recv_bytes_ok (pipe.second);
  g_assert_true (g_bytes_equal (got, bytes));

  send_ok (pipe.first, g_variant_new_string ("value"));
  encoded = recv_bytes_ok (pipe.second);
  g_assert_cmpuint (g_bytes_get_size (encoded), >, sizeof magic);
  memcpy (&magic, g_bytes_get_data (encoded, NULL), sizeof magic);
  g_assert_cmpuint (magic, ==, MP_STREAM_MAGIC);
  send_bytes_ok (pipe.first, encoded);
  recv_ok (pipe.second, "'value'");
  pipe_clear (&pipe);
}

/* What begins as a value and is none. */
static void
test_rubbish (void)
{
  const guint64 data[3] = { MP_STREAM_MAGIC, 1, 2 };
  g_autoptr(GBytes) bytes = g_bytes_new_static (data, sizeof data);
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  stream_open (&pipe, FALSE);
  send_bytes_ok (pipe.first, bytes);
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_true (mp_connection_is_closed (pipe.second));
  pipe_clear (&pipe);
}

/* The magic counts. */
static void
test_sizes (void)
{
  g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_string ("a text of some length"));
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) encoded = NULL;
  guint64 size;
  Pipe pipe;

  stream_open (&pipe, FALSE);
  send_ok (pipe.first, value);
  encoded = recv_bytes_ok (pipe.second);
  size = g_bytes_get_size (encoded);

  g_object_set (pipe.first, "max-message-size", size - 1, NULL);
  g_assert_false (mp_connection_send (pipe.first, value, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_object_set (pipe.first, "max-message-size", size, NULL);
  g_object_set (pipe.second, "max-message-size", size, NULL);
  send_ok (pipe.first, value);
  recv_ok (pipe.second, "'a text of some length'");
  pipe_clear (&pipe);
}

static GVariant *
handle_of (gpointer object)
{
  return mp_shareable_to_variant (object);
}

static void
test_isolated (void)
{
  g_autoptr(MpLock) shared = mp_lock_new ();
  g_autoptr(MpLock) isolated = mp_lock_new_isolated ();
  g_autoptr(GVariant) shared_handle = handle_of (shared);
  g_autoptr(GVariant) bad = g_variant_ref_sink (g_variant_new ("(s@h)", "take", shared_handle));
  g_autoptr(GVariant) good = handle_of (isolated);
  g_autoptr(GVariant) got = NULL;
  g_autoptr(MpShareable) lock = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  stream_open (&pipe, FALSE);
  g_assert_false (mp_connection_send (pipe.first, bad, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_assert_nonnull (strstr (error->message, "(lock)"));
  g_assert_nonnull (strstr (error->message, "'isolated'"));
  g_clear_error (&error);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, &error));
  g_assert_no_error (error);

  send_ok (pipe.first, good);
  got = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  lock = mp_shareable_from_variant (got, &error);
  g_assert_no_error (error);
  g_assert_true (mp_lock_acquire (isolated, LONG_TIME, NULL, &error));
  g_assert_false (mp_lock_try_acquire (MP_LOCK (lock)));
  g_assert_true (mp_lock_release (isolated, &error));
  pipe_clear (&pipe);
}

/* Over TCP nothing goes that belongs to a machine, nor is it taken from there. */
static void
test_tcp (void)
{
  g_autoptr(MpLock) isolated = mp_lock_new_isolated ();
  g_autoptr(GVariant) handle = handle_of (isolated);
  g_autoptr(GBytes) encoded = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe, local;
  int fd, yes = 0;
  socklen_t length = sizeof yes;

  stream_open (&pipe, TRUE);
  fd = mp_wire_get_fd (pipe.first->wire);
  g_assert_cmpint (getsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &yes, &length), ==, 0);
  g_assert_cmpint (yes, !=, 0);

  g_assert_false (mp_connection_send (pipe.first, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "(lock)"));
  g_clear_error (&error);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, &error));
  g_assert_no_error (error);

  stream_open (&local, FALSE);
  send_ok (local.first, handle);
  encoded = recv_bytes_ok (local.second);
  send_bytes_ok (pipe.first, encoded);
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "another machine"));
  pipe_clear (&pipe);
  pipe_clear (&local);
}

/* Sends @travels over @way, and gives what comes. */
static MpConnection *
hand_on (Pipe         *way,
         MpConnection *travels)
{
  g_autoptr(GVariant) handle = handle_of (travels);
  g_autoptr(GVariant) got = NULL;
  g_autoptr(GError) error = NULL;
  MpShareable *object;

  send_ok (way->first, handle);
  got = mp_connection_recv (way->second, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  object = mp_shareable_from_variant (got, &error);
  g_assert_no_error (error);
  return MP_CONNECTION (object);
}

static gboolean
is_foreign (MpConnection *connection)
{
  gboolean foreign;

  g_object_get (connection, "foreign", &foreign, NULL);
  return foreign;
}

/* One that is handed on stays what it was. */
static void
test_travel (gconstpointer data)
{
  gboolean tcp = GPOINTER_TO_INT (data);
  const int refusal = tcp ? G_IO_ERROR_NOT_SUPPORTED : G_IO_ERROR_PERMISSION_DENIED;
  g_autoptr(MpLock) shared = mp_lock_new ();
  g_autoptr(GVariant) handle = handle_of (shared);
  g_autoptr(GError) error = NULL;
  MpConnection *arrived;
  Pipe pipe, way;

  pipe_open (&way);
  stream_open (&pipe, tcp);
  arrived = hand_on (&way, pipe.first);
  mp_connection_close (pipe.first, NULL);

  g_assert_true (is_foreign (arrived));
  g_assert_false (is_foreign (way.first));
  g_assert_false (mp_connection_send (arrived, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, refusal);
  send_ok (arrived, g_variant_new_int32 (5));
  recv_ok (pipe.second, "5");
  send_ok (pipe.second, g_variant_new_int32 (6));
  recv_ok (arrived, "6");
  g_assert_cmpuint (arrived->max_size, ==, MAX_SIZE);

  g_assert_finalize_object (arrived);
  pipe_clear (&pipe);
  pipe_clear (&way);
}

/* The end of a pipe that came from a foreign process leads to one. */
static void
test_foreign_pipe (void)
{
  g_autoptr(MpLock) shared = mp_lock_new ();
  g_autoptr(GVariant) handle = handle_of (shared);
  g_autoptr(GError) error = NULL;
  MpConnection *arrived;
  Pipe pipe, way;

  stream_open (&way, FALSE);
  pipe_open (&pipe);
  arrived = hand_on (&way, pipe.first);
  g_assert_true (is_foreign (arrived));
  g_assert_false (is_foreign (pipe.second));
  g_assert_false (mp_connection_send (arrived, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  send_ok (arrived, g_variant_new_int32 (5));
  recv_ok (pipe.second, "5");

  g_assert_finalize_object (arrived);
  pipe_clear (&pipe);
  pipe_clear (&way);
}

static void
log_message_cb (MpConnection *connection,
                GVariant     *value,
                GString      *log)
{
  g_autofree char *text = g_variant_print (value, FALSE);

  g_string_append_printf (log, "value %s;", text);
}

static void
log_bytes_cb (MpConnection *connection,
              GBytes       *bytes,
              GString      *log)
{
  g_string_append_printf (log, "bytes %.*s;", (int) g_bytes_get_size (bytes),
                          (const char *) g_bytes_get_data (bytes, NULL));
}

static void
log_closed_cb (MpConnection *connection,
               GError       *error,
               GString      *log)
{
  g_string_append_printf (log, "closed %s;", error != NULL ? error->message : "");
}

static void
test_signals (void)
{
  g_autoptr(GBytes) bytes = g_bytes_new_static ("plain", 5);
  GString *log = g_string_new (NULL);
  Pipe pipe;

  stream_open (&pipe, FALSE);
  g_signal_connect (pipe.second, "message", G_CALLBACK (log_message_cb), log);
  g_signal_connect (pipe.second, "message-bytes", G_CALLBACK (log_bytes_cb), log);
  g_signal_connect (pipe.second, "closed", G_CALLBACK (log_closed_cb), log);
  mp_connection_start (pipe.second);
  send_ok (pipe.first, g_variant_new_int32 (1));
  send_bytes_ok (pipe.first, bytes);
  send_ok (pipe.first, g_variant_new_int32 (2));
  mp_connection_close (pipe.first, NULL);

  while (!g_str_has_suffix (log->str, "closed ;"))
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (log->str, ==, "value 1;bytes plain;value 2;closed ;");
  pipe_clear (&pipe);
  g_string_free (log, TRUE);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/connection-stream/messages/unix", GINT_TO_POINTER (FALSE), test_messages);
  g_test_add_data_func ("/connection-stream/messages/tcp", GINT_TO_POINTER (TRUE), test_messages);
  g_test_add_func ("/connection-stream/kinds", test_kinds);
  g_test_add_func ("/connection-stream/rubbish", test_rubbish);
  g_test_add_func ("/connection-stream/sizes", test_sizes);
  g_test_add_func ("/connection-stream/isolated", test_isolated);
  g_test_add_func ("/connection-stream/no-objects-over-tcp", test_tcp);
  g_test_add_data_func ("/connection-stream/travel/unix", GINT_TO_POINTER (FALSE), test_travel);
  g_test_add_data_func ("/connection-stream/travel/tcp", GINT_TO_POINTER (TRUE), test_travel);
  g_test_add_func ("/connection-stream/foreign-pipe", test_foreign_pipe);
  g_test_add_func ("/connection-stream/signals", test_signals);

  return g_test_run ();
}
