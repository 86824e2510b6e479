/* connection-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of connections have in common. */
#pragma once

#include <mp-glib/mp-glib.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define LONG_TIME (60 * G_USEC_PER_SEC)

typedef struct
{
  MpConnection *first;
  MpConnection *second;
} Pipe;

static inline void
pipe_open (Pipe *pipe)
{
  g_autoptr(GError) error = NULL;

  mp_pipe_new (TRUE, &pipe->first, &pipe->second, &error);
  g_assert_no_error (error);
}

static inline void
pipe_clear (Pipe *pipe)
{
  g_assert_finalize_object (pipe->first);
  g_assert_finalize_object (pipe->second);
}

static inline void
send_ok (MpConnection *connection,
         GVariant     *value)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send (connection, value, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
}

static inline void
recv_ok (MpConnection *connection,
         const char   *expected)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_connection_recv (connection, LONG_TIME, NULL, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  text = g_variant_print (value, FALSE);
  g_assert_cmpstr (text, ==, expected);
}

static inline void
send_bytes_ok (MpConnection *connection,
               GBytes       *bytes)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
}

/* Bytes of a message that fills the socket's buffer many times over. */
static inline GBytes *
make_large (gsize size)
{
  guint8 *data = g_malloc (size);
  gsize i;

  for (i = 0; i < size; i++)
    data[i] = i * 7 + (i >> 12);
  return g_bytes_new_take (data, size);
}

static inline void
keep_result_cb (GObject      *object,
                GAsyncResult *result,
                gpointer      user_data)
{
  GAsyncResult **place = user_data;

  g_assert_null (*place);
  *place = g_object_ref (result);
}

static inline void
wait_for_result (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

typedef struct
{
  GString *text;
  guint    n_closed;
  guint    stop_after;
} Log;

static inline void
message_cb (MpConnection *connection,
            GVariant     *value,
            gpointer      user_data)
{
  Log *log = user_data;
  g_autofree char *text = g_variant_print (value, FALSE);

  g_string_append_printf (log->text, "%s ", text);
  if (--log->stop_after == 0)
    mp_connection_stop (connection);
}

static inline void
message_bytes_cb (MpConnection *connection,
                  GBytes       *bytes,
                  gpointer      user_data)
{
  Log *log = user_data;

  g_string_append_printf (log->text, "%.*s ", (int) g_bytes_get_size (bytes),
                          (const char *) g_bytes_get_data (bytes, NULL));
}

static inline void
closed_cb (MpConnection *connection,
           GError       *error,
           gpointer      user_data)
{
  Log *log = user_data;

  g_assert_true (mp_connection_is_closed (connection));
  g_string_append (log->text, error == NULL ? "end" : error->domain == MP_ERROR ? "bad" : "?");
  log->n_closed++;
}

static inline void
connect_log (MpConnection *connection,
             Log          *log)
{
  log->text = g_string_new (NULL);
  g_signal_connect (connection, "message", G_CALLBACK (message_cb), log);
  g_signal_connect (connection, "message-bytes", G_CALLBACK (message_bytes_cb), log);
  g_signal_connect (connection, "closed", G_CALLBACK (closed_cb), log);
}

/* How a copy of the process ends that has none of the other threads: at an exit valgrind would find lost what those
 * have. */
static inline void
copy_end (gboolean ok)
{
  raise (ok ? SIGKILL : SIGTERM);
}

static inline void
assert_copy_ended_well (pid_t pid)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
}
