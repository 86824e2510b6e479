/* child-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/mp-glib.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/process/mp-child-private.h"
#include "instrument-test.h"

#include <stdio.h>
#include <unistd.h>

/* What the tests of the owner's side of a process share. Functions come from here: MP_FUNCTION stands for an entry of
 * the program that includes this. */

#define LONG (60 * G_USEC_PER_SEC)   /* never reached unless something hangs */

/* A child and what it has told */

typedef struct
{
  MpChild *child;     /* (owned) (nullable) */
  guint    n_started;
  guint    n_ready;
  guint    n_ended;
  guint    n_frames;
  guint    n_lines;
  GString *order;     /* a letter for each callback */
  GError  *error;     /* of ended() */
} Watched;

G_GNUC_UNUSED static void
started_cb (MpChild *child, gpointer data)
{
  Watched *self = data;

  g_assert_cmpint (mp_child_get_pid (child), >, 0);
  self->n_started++;
  g_string_append_c (self->order, 's');
}

G_GNUC_UNUSED static void
ready_cb (MpChild *child, gpointer data)
{
  Watched *self = data;

  g_assert_cmpint (mp_child_get_state (child), ==, MP_CHILD_READY);
  self->n_ready++;
  g_string_append_c (self->order, 'r');
}

G_GNUC_UNUSED static void
frame_cb (MpChild *child, MpFrame *frame, gpointer data)
{
  Watched *self = data;

  g_assert_true (frame->kind == MP_FRAME_ERROR || frame->kind == MP_FRAME_RESULT);
  self->n_frames++;
  g_string_append_c (self->order, 'f');
}

G_GNUC_UNUSED static void
line_cb (MpChild *child, const char *stream, const char *line, gpointer data)
{
  Watched *self = data;

  g_assert_cmpuint (self->n_ended, ==, 0);
  self->n_lines++;
  if (self->order->str[self->order->len - 1] != 'l')
    g_string_append_c (self->order, 'l');
}

G_GNUC_UNUSED static void
ended_cb (MpChild *child, const GError *error, gpointer data)
{
  Watched *self = data;

  g_assert_cmpint (mp_child_get_state (child), ==, MP_CHILD_ENDED);
  self->n_ended++;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  g_string_append_c (self->order, 'e');
}

static const MpChildFuncs funcs = { started_cb, ready_cb, frame_cb, line_cb, ended_cb };

G_GNUC_UNUSED static void
queue_run (MpChild *child, const char *function)
{
  g_autoptr(GVariant) run = NULL;
  MpEncoded encoded;

  run = g_variant_ref_sink (g_variant_new_parsed ("{'function': <%s>, 'args': <()>}", function));
  g_assert_true (mp_value_encode (run, &encoded, NULL));
  mp_wire_queue_value (mp_child_get_wire (child), MP_FRAME_RUN, 0, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
  mp_child_flush (child);
}

G_GNUC_UNUSED static void
watched_start_full (Watched *self, MpContext *context, const MpChildConfig *config, const char *function)
{
  g_autoptr(GError) error = NULL;

  *self = (Watched) { NULL };
  self->order = g_string_new (NULL);
  mp_hub_lock ();
  self->child = mp_child_start (context, config, &funcs, self, &error);
  g_assert_no_error (error);
  /* Nothing comes from within. */
  g_assert_cmpstr (self->order->str, ==, "");
  if (function != NULL)
    queue_run (self->child, function);
  mp_hub_unlock ();
}

G_GNUC_UNUSED static void
watched_start (Watched *self, MpContext *context, const char *function)
{
  MpChildConfig config = { .role = MP_ROLE_PROCESS, .name = "Child", .board = -1, .owner = self };

  watched_start_full (self, context, &config, function);
}

G_GNUC_UNUSED static void
watched_clear (Watched *self)
{
  mp_hub_lock ();
  g_clear_pointer (&self->child, mp_child_unref);
  mp_hub_unlock ();
  g_clear_error (&self->error);
  g_string_free (self->order, TRUE);
}

G_GNUC_UNUSED static gboolean
is_ended (gpointer data)
{
  return ((Watched *) data)->n_ended > 0;
}

G_GNUC_UNUSED static gboolean
is_ready (gpointer data)
{
  return ((Watched *) data)->n_ready > 0 || is_ended (data);
}

G_GNUC_UNUSED static gboolean
has_line (gpointer data)
{
  return ((Watched *) data)->n_lines > 0;
}

G_GNUC_UNUSED static void
wait_until (Watched *self, MpHubDone done)
{
  g_autoptr(GError) error = NULL;

  mp_hub_wait (self, done, self, "test", LONG, NULL, &error);
  g_assert_no_error (error);
}

G_GNUC_UNUSED static int
get_status (Watched *self)
{
  int status;

  mp_hub_lock ();
  status = mp_child_get_exit_status (self->child);
  mp_hub_unlock ();
  return status;
}

G_GNUC_UNUSED static GVariant *
sit (GVariant *args, gpointer user_data, GError **error)
{
  fprintf (stderr, "I sit\n");
  while (TRUE)
    pause ();
  return NULL;
}

/* One test for each method. */
G_GNUC_UNUSED static void
add_for_methods (const char *prefix, GTestDataFunc func)
{
  static const char * const names[] = { "auto", "spawn", "forkserver", "fork" };
  const char *reason = get_reason_not_to_fork ();

  for (int method = MP_START_METHOD_SPAWN; method <= MP_START_METHOD_FORK; method++)
    {
      g_autofree char *path = g_strdup_printf ("%s/%s", prefix, names[method]);

      if (method == MP_START_METHOD_FORK && reason != NULL)
        g_test_add_data_func (path, reason, skip_test);
      else
        g_test_add_data_func (path, GINT_TO_POINTER (method), func);
    }
}
