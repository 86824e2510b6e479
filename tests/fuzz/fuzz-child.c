/* fuzz-child.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an owner hears from a process that it has started: whatever comes, in whatever order, the child ends once, and
 * nothing is handed over that its state forbids.
 *
 * The first byte of the input chooses the role and how the process was made. Then frames: a byte for the kind, one for the
 * tag, two for the length, and the payload; or, where the kind is 255, that many bytes as they are. A payload that begins
 * with '{' or '(' is the text of a value. */

#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

typedef struct
{
  gboolean is_server;
  guint    n_ready;
  guint    n_ended;
} Heard;

static void
ready_cb (MpChild *child, gpointer data)
{
  Heard *heard = data;

  g_assert_cmpuint (heard->n_ready++, ==, 0);
  g_assert_cmpuint (heard->n_ended, ==, 0);
}

static void
frame_cb (MpChild *child, MpFrame *frame, gpointer data)
{
  Heard *heard = data;
  gboolean is_of_server = frame->kind == MP_FRAME_FORKED || frame->kind == MP_FRAME_FORK_FAILED ||
                          frame->kind == MP_FRAME_EXITED;

  g_assert_cmpuint (heard->n_ready, ==, 1);
  g_assert_cmpuint (heard->n_ended, ==, 0);
  g_assert_cmpint (is_of_server, ==, heard->is_server);
  g_assert_true (is_of_server || frame->kind == MP_FRAME_RESULT || frame->kind == MP_FRAME_ERROR);
}

static void
ended_cb (MpChild *child, const GError *error, gpointer data)
{
  g_assert_cmpuint (((Heard *) data)->n_ended++, ==, 0);
}

/* Its log records are not for whoever fuzzes. */
static GLogWriterOutput
forget_record (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  for (gsize i = 0; i < n_fields; i++)
    if (strcmp (fields[i].key, "MP_PROCESS_NAME") == 0)
      return G_LOG_WRITER_HANDLED;
  return g_log_writer_default (level, fields, n_fields, user_data);
}

static GVariant *
parse_payload (const guint8 *data, gsize size)
{
  if (size == 0 || (data[0] != '{' && data[0] != '(') || !g_utf8_validate ((const char *) data, size, NULL))
    return NULL;
  return g_variant_parse (NULL, (const char *) data, (const char *) data + size, NULL, NULL);
}

static void
queue_frame (MpWire *wire, guint8 kind, guint8 tag, const guint8 *data, gsize size)
{
  g_autoptr(GVariant) value = parse_payload (data, size);
  MpPiece piece = { data, size, NULL };
  MpEncoded encoded;

  if (value == NULL)
    {
      mp_wire_queue (wire, kind, tag, &piece, 1, NULL, 0);
    }
  else if (mp_value_encode (value, &encoded, NULL))
    {
      mp_wire_queue_value (wire, kind, tag, NULL, 0, &encoded);
      mp_encoded_clear (&encoded);
    }
}

/* Nobody is at the other end but us; a child that has no pid can be told everything but killed. */
static void
speak (MpChild *child, MpWire *wire, const guint8 *data, gsize size)
{
  while (size >= 4)
    {
      gsize length = MIN ((gsize) data[2] | (gsize) data[3] << 8, size - 4);

      if (data[0] == 255)
        {
          mp_wire_flush (wire, NULL);
          if (write (mp_wire_get_fd (wire), data + 4, length) < 0)
            return;
        }
      else
        {
          queue_frame (wire, data[0], data[1], data + 4, length);
        }
      mp_wire_flush (wire, NULL);
      while (!child->wire_ended && mp_child_read_wire (child))
        ;
      data += 4 + length;
      size -= 4 + length;
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  static const MpChildFuncs funcs = { NULL, ready_cb, frame_cb, NULL, ended_cb };
  MpChildConfig config = { .name = "Child", .board = -1, .detached = TRUE };
  static gsize quiet;
  Heard heard = { 0 };
  MpSettings *settings;
  MpChild *child;
  MpWire *wire;

  if (size == 0 || size > 16384)
    return 0;
  if (g_once_init_enter (&quiet))
    {
      g_log_set_writer_func (forget_record, NULL, NULL);
      g_once_init_leave (&quiet, 1);
    }
  config.role = data[0] % 3;
  heard.is_server = config.role == MP_ROLE_FORK_SERVER;
  mp_hub_lock ();
  settings = mp_context_dup_settings (NULL);
  child = mp_child_new (settings, (data[0] & 4) != 0 ? MP_START_METHOD_FORKSERVER : MP_START_METHOD_SPAWN, &config,
                        &funcs, &heard, NULL);
  if (child != NULL)
    {
      wire = mp_wire_new (g_steal_fd (&child->ends.socket), MP_MAX_FRAME);
      child->state = MP_CHILD_BOOTING;
      speak (child, wire, data + 1, size - 1);
      mp_wire_free (wire);
      mp_child_process_ended (child, 0);
      g_assert_cmpuint (heard.n_ended, ==, 1);
      mp_child_unref (child);
    }
  mp_hub_unlock ();
  mp_settings_unref (settings);
  return 0;
}
