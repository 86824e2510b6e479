/* test-connection-bytes.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-test.h"


static void
send_text (MpConnection *connection,
           const char   *text)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send_data (connection, (const guint8 *) text, strlen (text), LONG_TIME, NULL, &error));
  g_assert_no_error (error);
}

static void
assert_text (GBytes     *bytes,
             const char *text)
{
  g_assert_nonnull (bytes);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), text, strlen (text));
}

static void
recv_text (MpConnection *connection,
           const char   *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  assert_text (bytes, text);
}

static void
check_part (MpConnection *connection,
            GBytes       *bytes,
            gsize         offset,
            gssize        size,
            gboolean      there)
{
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;

  g_assert_cmpint (mp_connection_send_bytes_full (connection, bytes, offset, size, LONG_TIME, NULL, &error), ==, there);
  if (there)
    g_assert_no_error (error);
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);

  mp_connection_send_bytes_full_async (connection, bytes, offset, size, NULL, keep_result_cb, &result);
  wait_for_result (&result);
  g_assert_cmpint (mp_connection_send_bytes_full_finish (connection, result, &error), ==, there);
  if (!there)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_object_unref (result);
}

static void
test_part (void)
{
  g_autoptr(GBytes) bytes = g_bytes_new_static ("0123456789", 10);
  Pipe pipe;
  guint i;

  pipe_open (&pipe);
  check_part (pipe.first, bytes, 0, -1, TRUE);
  check_part (pipe.first, bytes, 3, -1, TRUE);
  check_part (pipe.first, bytes, 3, 4, TRUE);
  check_part (pipe.first, bytes, 10, 0, TRUE);
  check_part (pipe.first, bytes, 10, -1, TRUE);
  check_part (pipe.first, bytes, 11, -1, FALSE);
  check_part (pipe.first, bytes, 3, 8, FALSE);
  check_part (pipe.first, bytes, 3, -2, FALSE);
  check_part (pipe.first, bytes, G_MAXSIZE, 2, FALSE);
  check_part (pipe.first, bytes, 2, G_MAXSSIZE, FALSE);
  send_text (pipe.first, "end");
  for (i = 0; i < 2; i++)
    recv_text (pipe.second, "0123456789");
  for (i = 0; i < 2; i++)
    recv_text (pipe.second, "3456789");
  for (i = 0; i < 2; i++)
    recv_text (pipe.second, "3456");
  for (i = 0; i < 4; i++)
    recv_text (pipe.second, "");
  recv_text (pipe.second, "end");
  pipe_clear (&pipe);
}

/* The caller's memory is its own again when the call has returned: what of it had not left was copied. */
static void
test_data_is_given_back (void)
{
  const gsize size = 5000001;
  g_autoptr(GBytes) bytes = make_large (size);
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), size);
  g_autoptr(GBytes) received = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  /* It begins to leave, and its time is over. */
  g_assert_true (mp_connection_send_data (pipe.first, data, size, 0, NULL, NULL));
  memset (data, 'x', size);
  g_clear_pointer (&data, g_free);
  while (received == NULL)
    {
      mp_connection_poll (pipe.first, 0, NULL, NULL);   /* sends */
      received = mp_connection_recv_bytes (pipe.second, 0, NULL, NULL);
    }
  g_assert_true (g_bytes_equal (received, bytes));
  send_text (pipe.first, "next");
  recv_text (pipe.second, "next");
  pipe_clear (&pipe);
}

/* None of it leaves, because the one before has not. */
static void
test_data_is_taken_back (void)
{
  g_autoptr(GBytes) bytes = make_large (5000000);
  g_autofree guint8 *data = g_malloc0 (100000);
  g_autoptr(GBytes) received = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_true (mp_connection_send_bytes (pipe.first, bytes, 0, NULL, NULL));
  g_assert_false (mp_connection_send_data (pipe.first, data, 100000, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_pointer (&data, g_free);
  while (received == NULL)
    {
      mp_connection_poll (pipe.first, 0, NULL, NULL);
      received = mp_connection_recv_bytes (pipe.second, 0, NULL, NULL);
    }
  g_assert_true (g_bytes_equal (received, bytes));
  send_text (pipe.first, "end");
  recv_text (pipe.second, "end");
  pipe_clear (&pipe);
}

static guint64
get_length (const GError *error)
{
  g_autoptr(GVariant) details = mp_error_dup_details (error);
  guint64 length = 0;

  g_assert_nonnull (details);
  g_assert_true (g_variant_lookup (details, "length", "t", &length));
  return length;
}

static void
test_max_length (gconstpointer data)
{
  const gsize size = GPOINTER_TO_SIZE (data);
  g_autoptr(GBytes) bytes = make_large (size);
  g_autoptr(GBytes) next = g_bytes_new_static ("next", 4);
  g_autoptr(GBytes) received = NULL;
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_send_bytes_async (pipe.first, bytes, NULL, NULL, NULL);
  mp_connection_send_bytes_async (pipe.first, next, NULL, NULL, NULL);
  while (!mp_connection_poll (pipe.second, 0, NULL, NULL))
    g_main_context_iteration (NULL, FALSE);

  g_assert_null (mp_connection_recv_bytes_full (pipe.second, size - 1, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpuint (get_length (error), ==, size);
  g_clear_error (&error);
  g_assert_false (mp_connection_is_closed (pipe.second));

  mp_connection_recv_bytes_full_async (pipe.second, 0, NULL, keep_result_cb, &result);
  wait_for_result (&result);
  g_assert_null (mp_connection_recv_bytes_full_finish (pipe.second, result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_cmpuint (get_length (error), ==, size);
  g_clear_error (&error);
  g_clear_object (&result);

  g_assert_true (mp_connection_poll (pipe.second, 0, NULL, NULL));
  received = mp_connection_recv_bytes_full (pipe.second, size, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (received, bytes));
  g_clear_pointer (&received, g_bytes_unref);

  mp_connection_recv_bytes_full_async (pipe.second, 4, NULL, keep_result_cb, &result);
  wait_for_result (&result);
  received = mp_connection_recv_bytes_full_finish (pipe.second, result, &error);
  assert_text (received, "next");
  g_object_unref (result);
  pipe_clear (&pipe);
}

static void
send_large (Pipe   *pipe,
            GBytes *bytes)
{
  g_main_context_iteration (NULL, FALSE);
  mp_connection_send_bytes_async (pipe->first, bytes, NULL, NULL, NULL);
  while (!mp_connection_poll (pipe->second, 0, NULL, NULL))
    g_main_context_iteration (NULL, FALSE);
}

static void
test_into (gconstpointer data)
{
  const gsize size = GPOINTER_TO_SIZE (data);
  g_autoptr(GBytes) bytes = make_large (size);
  g_autoptr(GBytes) carried = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) copy = NULL;
  g_autofree guint8 *buffer = g_malloc0 (size + 1);
  GAsyncResult *result = NULL;
  gsize length = 77;
  Pipe pipe;

  pipe_open (&pipe);
  send_large (&pipe, bytes);
  g_assert_true (mp_connection_recv_bytes_into (pipe.second, buffer, size + 1, &length, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, length, g_bytes_get_data (bytes, NULL), size);
  g_assert_cmpuint (buffer[size], ==, 0);

  send_large (&pipe, bytes);
  memset (buffer, 0, size);
  g_assert_true (mp_connection_recv_bytes_into (pipe.second, buffer, size, NULL, LONG_TIME, NULL, &error));
  g_assert_cmpmem (buffer, size, g_bytes_get_data (bytes, NULL), size);

  send_large (&pipe, bytes);
  memset (buffer, 0, size);
  g_assert_false (mp_connection_recv_bytes_into (pipe.second, buffer, size - 1, &length, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT);
  g_assert_cmpuint (length, ==, 0);
  g_assert_cmpuint (buffer[0] | buffer[1] | buffer[size - 1], ==, 0);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, NULL));
  copy = g_error_copy (error);
  g_clear_error (&error);
  carried = mp_error_dup_message_bytes (copy);
  g_assert_true (g_bytes_equal (carried, bytes));

  send_large (&pipe, bytes);
  mp_connection_recv_bytes_into_async (pipe.second, NULL, 0, NULL, keep_result_cb, &result);
  wait_for_result (&result);
  g_assert_false (mp_connection_recv_bytes_into_finish (pipe.second, result, &length, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT);
  g_clear_pointer (&carried, g_bytes_unref);
  carried = mp_error_dup_message_bytes (error);
  g_assert_true (g_bytes_equal (carried, bytes));
  g_clear_object (&result);

  mp_connection_recv_bytes_into_async (pipe.second, buffer, size, NULL, keep_result_cb, &result);
  send_text (pipe.first, "abc");
  wait_for_result (&result);
  g_assert_true (mp_connection_recv_bytes_into_finish (pipe.second, result, &length, NULL));
  g_assert_cmpmem (buffer, length, "abc", 3);
  g_clear_object (&result);
  pipe_clear (&pipe);
}

/* What is no message of bytes, and what ends the wait, leaves the caller's memory as it was. */
static void
test_into_nothing (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GAsyncResult *result = NULL;
  guint8 buffer[4] = "1234";
  gsize length = 77;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_false (mp_connection_recv_bytes_into (pipe.first, buffer, 4, &length, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_null (mp_error_dup_message_bytes (error));
  g_clear_error (&error);

  mp_connection_recv_bytes_into_async (pipe.first, buffer, 4, cancellable, keep_result_cb, &result);
  g_cancellable_cancel (cancellable);
  wait_for_result (&result);
  send_ok (pipe.second, g_variant_new_string ("long"));
  g_assert_false (mp_connection_recv_bytes_into_finish (pipe.first, result, &length, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&result);

  g_assert_false (mp_connection_recv_bytes_into (pipe.first, buffer, 4, &length, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_assert_null (mp_error_dup_message_bytes (error));
  g_clear_error (&error);
  recv_ok (pipe.first, "'long'");
  g_assert_cmpmem (buffer, 4, "1234", 4);
  g_assert_cmpuint (length, ==, 0);

  mp_connection_close (pipe.second, NULL);
  g_assert_false (mp_connection_recv_bytes_into (pipe.first, buffer, 4, NULL, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-bytes/part", test_part);
  g_test_add_func ("/connection-bytes/data-is-given-back", test_data_is_given_back);
  g_test_add_func ("/connection-bytes/data-is-taken-back", test_data_is_taken_back);
  g_test_add_data_func ("/connection-bytes/max-length/short", GSIZE_TO_POINTER (100), test_max_length);
  g_test_add_data_func ("/connection-bytes/max-length/long", GSIZE_TO_POINTER (3000001), test_max_length);
  g_test_add_data_func ("/connection-bytes/into/short", GSIZE_TO_POINTER (100), test_into);
  g_test_add_data_func ("/connection-bytes/into/long", GSIZE_TO_POINTER (3000001), test_into);
  g_test_add_func ("/connection-bytes/into-nothing", test_into_nothing);

  return g_test_run ();
}
