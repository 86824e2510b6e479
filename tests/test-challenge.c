/* test-challenge.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Authentication over a connection that there is already. */

#include "config.h"

#include "connection-test.h"

#include "mp-glib/channel/mp-connection-private.h"

#include <sys/socket.h>

typedef struct
{
  MpConnection *connection;
  const char   *key;
  gboolean      ok;
  GError       *error;
} Other;

static GBytes *
make_key (const char *key)
{
  return g_bytes_new (key, strlen (key));
}

static gpointer
answer (gpointer data)
{
  Other *other = data;
  g_autoptr(GBytes) key = make_key (other->key);

  other->ok = mp_answer_challenge (other->connection, key, FALSE, LONG_TIME, NULL, &other->error);
  return NULL;
}

static gpointer
deliver (gpointer data)
{
  Other *other = data;
  g_autoptr(GBytes) key = make_key (other->key);

  other->ok = mp_deliver_challenge (other->connection, key, FALSE, LONG_TIME, NULL, &other->error);
  return NULL;
}

static void
open_ends (Pipe     *ends,
           gboolean  stream)
{
  int fds[2];

  if (!stream)
    {
      pipe_open (ends);
      return;
    }

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  ends->first = mp_connection_new_stream (fds[0], MP_CONNECTION_DUPLEX, 1 << 20);
  ends->second = mp_connection_new_stream (fds[1], MP_CONNECTION_DUPLEX, 1 << 20);
}

/* Both ways, and after that the connection is as it was. */
static void
test_blocking (gconstpointer data)
{
  g_autoptr(GBytes) key = make_key ("the key");
  g_autoptr(GError) error = NULL;
  Other other = { .key = "the key" };
  GThread *thread;
  Pipe ends;

  open_ends (&ends, GPOINTER_TO_INT (data));
  other.connection = ends.second;
  thread = g_thread_new ("answer", answer, &other);
  g_assert_true (mp_deliver_challenge (ends.first, key, FALSE, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
  g_thread_join (thread);
  g_assert_no_error (other.error);
  g_assert_true (other.ok);

  thread = g_thread_new ("deliver", deliver, &other);
  g_assert_true (mp_answer_challenge (ends.first, key, FALSE, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
  g_thread_join (thread);
  g_assert_true (other.ok);

  send_ok (ends.first, g_variant_new_int32 (1));
  recv_ok (ends.second, "1");
  pipe_clear (&ends);
}

static void
test_wrong (void)
{
  g_autoptr(GBytes) key = make_key ("the key");
  g_autoptr(GError) error = NULL;
  Other other = { .key = "another" };
  GThread *thread;
  Pipe ends;

  open_ends (&ends, FALSE);
  other.connection = ends.second;
  thread = g_thread_new ("answer", answer, &other);
  g_assert_false (mp_deliver_challenge (ends.first, key, FALSE, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_thread_join (thread);
  g_assert_error (other.error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_clear_error (&other.error);
  pipe_clear (&ends);
}

static void
test_async (gconstpointer data)
{
  const char *their_key = data;
  gboolean right = strcmp (their_key, "the key") == 0;
  g_autoptr(GBytes) key = make_key ("the key");
  g_autoptr(GBytes) theirs = make_key (their_key);
  g_autoptr(GAsyncResult) delivered = NULL;
  g_autoptr(GAsyncResult) answered = NULL;
  g_autoptr(GError) error = NULL;
  Pipe ends;

  open_ends (&ends, TRUE);
  mp_deliver_challenge_async (ends.first, key, FALSE, NULL, keep_result_cb, &delivered);
  mp_answer_challenge_async (ends.second, theirs, FALSE, NULL, keep_result_cb, &answered);
  while (delivered == NULL || answered == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_deliver_challenge_finish (delivered, &error) == right);
  if (!right)
    g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_clear_error (&error);
  g_assert_true (mp_answer_challenge_finish (answered, &error) == right);
  if (!right)
    g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_clear_object (&delivered);
  g_clear_object (&answered);
  pipe_clear (&ends);
}

/* No answer, one that is none, and nobody. */
static void
test_ends (void)
{
  g_autoptr(GBytes) key = make_key ("the key");
  g_autoptr(GBytes) empty = make_key ("");
  g_autoptr(GBytes) large = g_bytes_new_take (g_malloc0 (300), 300);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  Pipe ends;

  open_ends (&ends, FALSE);
  g_assert_false (mp_deliver_challenge (ends.first, empty, FALSE, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  mp_answer_challenge_async (ends.first, empty, FALSE, NULL, keep_result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (mp_answer_challenge_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_clear_object (&result);

  g_assert_false (mp_deliver_challenge (ends.first, key, FALSE, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  mp_answer_challenge_async (ends.first, key, FALSE, cancellable, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (mp_answer_challenge_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&result);

  g_assert_true (mp_connection_send_bytes (ends.second, large, LONG_TIME, NULL, &error));
  g_assert_false (mp_answer_challenge (ends.first, key, FALSE, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  mp_connection_close (ends.second, NULL);
  g_assert_false (mp_deliver_challenge (ends.first, key, FALSE, LONG_TIME, NULL, &error));
  g_assert_true (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
                 g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE));
  pipe_clear (&ends);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/challenge/blocking/pipe", GINT_TO_POINTER (FALSE), test_blocking);
  g_test_add_data_func ("/challenge/blocking/stream", GINT_TO_POINTER (TRUE), test_blocking);
  g_test_add_func ("/challenge/wrong", test_wrong);
  g_test_add_data_func ("/challenge/async/right", "the key", test_async);
  g_test_add_data_func ("/challenge/async/wrong", "another", test_async);
  g_test_add_func ("/challenge/ends", test_ends);

  return g_test_run ();
}
