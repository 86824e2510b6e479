/* test-connection-flush.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What calls leave over that end in the middle of their message, and how it leaves. */

#include "config.h"

#include "connection-test.h"

#define SIZE (64 << 20)   /* more than any buffer between the ends takes */

/* Leaves a message over of which a part has left. */
static void
leave_over (Pipe   *pipe,
            GBytes *bytes)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send_bytes (pipe->first, bytes, 10000, NULL, &error));
  g_assert_no_error (error);
  g_assert_false (mp_connection_flush (pipe->first, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static gpointer
receive_thread (gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  GBytes *bytes = mp_connection_recv_bytes (user_data, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return bytes;
}

static void
check_received (GThread *thread,
                GBytes  *expected)
{
  g_autoptr(GBytes) bytes = g_thread_join (thread);

  g_assert_true (g_bytes_equal (bytes, expected));
}

static void
test_nothing (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  g_assert_true (mp_connection_flush (pipe.first, 0, NULL, &error));
  g_assert_no_error (error);
  send_ok (pipe.first, g_variant_new_int32 (1));
  g_assert_true (mp_connection_flush (pipe.first, -1, NULL, &error));
  g_assert_no_error (error);
  recv_ok (pipe.second, "1");

  mp_connection_close (pipe.first, NULL);
  g_assert_false (mp_connection_flush (pipe.first, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  pipe_clear (&pipe);

  g_assert_true (mp_pipe_new (FALSE, &pipe.first, &pipe.second, NULL));
  g_assert_false (mp_connection_flush (pipe.first, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  pipe_clear (&pipe);
}

static void
test_rest (void)
{
  g_autoptr(GBytes) bytes = make_large (SIZE);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  leave_over (&pipe, bytes);
  g_cancellable_cancel (cancellable);
  g_assert_false (mp_connection_flush (pipe.first, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  thread = g_thread_new ("receive", receive_thread, pipe.second);
  g_assert_true (mp_connection_flush (pipe.first, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
  check_received (thread, bytes);
  send_ok (pipe.first, g_variant_new_int32 (2));
  recv_ok (pipe.second, "2");
  pipe_clear (&pipe);
}

static void
test_async (void)
{
  g_autoptr(GBytes) bytes = make_large (SIZE);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GAsyncResult) cancelled = NULL;
  g_autoptr(GError) error = NULL;
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  leave_over (&pipe, bytes);
  mp_connection_flush_async (pipe.first, NULL, keep_result_cb, &result);
  mp_connection_flush_async (pipe.first, cancellable, keep_result_cb, &cancelled);
  g_cancellable_cancel (cancellable);
  wait_for_result (&cancelled);
  g_assert_false (mp_connection_flush_finish (pipe.first, cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (result);

  thread = g_thread_new ("receive", receive_thread, pipe.second);
  wait_for_result (&result);
  g_assert_true (mp_connection_flush_finish (pipe.first, result, &error));
  g_assert_no_error (error);
  check_received (thread, bytes);
  g_clear_object (&result);
  g_clear_object (&cancelled);
  pipe_clear (&pipe);
}

static void
test_other_end (void)
{
  g_autoptr(GBytes) bytes = make_large (SIZE);
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  leave_over (&pipe, bytes);
  mp_connection_close (pipe.second, NULL);
  g_assert_false (mp_connection_flush (pipe.first, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  pipe_clear (&pipe);
}

typedef struct
{
  guint n_done;
  guint n_sent;
} Counts;

static void
count_cb (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  Counts *counts = user_data;

  counts->n_sent += mp_connection_send_bytes_finish (MP_CONNECTION (object), result, NULL);
  counts->n_done++;
}

static void
receive_by_context (MpConnection *connection)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;

  mp_connection_recv_bytes_async (connection, NULL, keep_result_cb, &result);
  wait_for_result (&result);
  bytes = mp_connection_recv_bytes_finish (connection, result, &error);
  g_assert_no_error (error);
}

/* Short messages go together with a long one, and are received, before the rest of that cannot leave: they have been
 * sent. @data: it is their own end that is closed. */
static void
test_part (gconstpointer data)
{
  g_autoptr(GBytes) large = make_large (SIZE);
  g_autoptr(GBytes) small = make_large (100);
  Counts counts = { 0, 0 };
  guint i;
  Pipe pipe;

  pipe_open (&pipe);
  for (i = 0; i < 5; i++)
    mp_connection_send_bytes_async (pipe.first, i % 4 == 0 ? large : small, NULL, count_cb, &counts);
  for (i = 0; i < 4; i++)
    receive_by_context (pipe.second);
  mp_connection_close (data != NULL ? pipe.first : pipe.second, NULL);
  while (counts.n_done < 5)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (counts.n_sent, ==, 4);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-flush/nothing", test_nothing);
  g_test_add_func ("/connection-flush/rest", test_rest);
  g_test_add_func ("/connection-flush/async", test_async);
  g_test_add_func ("/connection-flush/other-end", test_other_end);

  g_test_add_data_func ("/connection-flush/part", NULL, test_part);
  g_test_add_data_func ("/connection-flush/part-closed", GINT_TO_POINTER (1), test_part);

  return g_test_run ();
}
