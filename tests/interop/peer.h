/* peer.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include <string.h>

/* A process that runs peer.py. */
typedef struct
{
  GSubprocess      *process;
  GDataInputStream *answers;
} Peer;

static void
peer_start_with (Peer       *peer,
                 const char *python)
{
  g_autofree char *script = g_test_build_filename (G_TEST_DIST, "interop", "peer.py", NULL);
  g_autoptr(GError) error = NULL;

  peer->process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error,
                                    python, "-I", script, NULL);
  g_assert_no_error (error);
  peer->answers = g_data_input_stream_new (g_subprocess_get_stdout_pipe (peer->process));
}

G_GNUC_UNUSED static void
peer_start (Peer *peer)
{
  const char *python = g_getenv ("MP_TEST_PYTHON");

  peer_start_with (peer, python != NULL ? python : "python3");
}

/* Does not wait for its answer. */
static void
peer_tell (Peer       *peer,
           const char *line)
{
  GOutputStream *stream = g_subprocess_get_stdin_pipe (peer->process);
  g_autoptr(GError) error = NULL;

  g_output_stream_write_all (stream, line, strlen (line), NULL, NULL, &error);
  g_assert_no_error (error);
  g_output_stream_write_all (stream, "\n", 1, NULL, NULL, &error);
  g_assert_no_error (error);
}

static char *
peer_hear (Peer *peer)
{
  g_autoptr(GError) error = NULL;
  char *answer = g_data_input_stream_read_line (peer->answers, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (answer);
  return answer;
}

/* What it answers. */
G_GNUC_PRINTF (2, 3) static char *
peer_ask (Peer       *peer,
          const char *format,
          ...)
{
  g_autofree char *line = NULL;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);

  peer_tell (peer, line);
  return peer_hear (peer);
}

/* That it answers @expected. */
#define peer_assert(peer, expected, ...) \
  G_STMT_START { \
    g_autofree char *answer_ = peer_ask (peer, __VA_ARGS__); \
    g_assert_cmpstr (answer_, ==, expected); \
  } G_STMT_END

/* That it fails so. */
#define peer_assert_error(peer, exception, ...) \
  G_STMT_START { \
    g_autofree char *answer_ = peer_ask (peer, __VA_ARGS__); \
    if (!g_str_has_prefix (answer_, "!" exception ": ")) \
      g_error ("\"%s\" instead of " exception, answer_); \
  } G_STMT_END

/* That it carries out a statement, or a call that gives nothing. */
#define peer_do(peer, ...) peer_assert (peer, "-", __VA_ARGS__)

/* The text that it answers with. */
G_GNUC_UNUSED static char *
peer_ask_text (Peer       *peer,
               const char *expression)
{
  char *answer = peer_ask (peer, "%s", expression);
  gsize length = strlen (answer);

  g_assert_cmpuint (length, >, 2);
  g_assert_true (answer[0] == '\'' && answer[length - 1] == '\'');
  answer[length - 1] = 0;
  return memmove (answer, answer + 1, length - 1);
}

static void
peer_end (Peer *peer)
{
  g_autoptr(GError) error = NULL;

  g_output_stream_close (g_subprocess_get_stdin_pipe (peer->process), NULL, &error);
  g_assert_no_error (error);
  g_subprocess_wait_check (peer->process, NULL, &error);
  g_assert_no_error (error);
  g_clear_object (&peer->answers);
  g_clear_object (&peer->process);
}
