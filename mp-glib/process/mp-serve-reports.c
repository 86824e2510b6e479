/* mp-serve-reports.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-serve-private.h"

#include "mp-glib/process/mp-worker-private.h"

/* A function may tell after each of a million steps how far it is. Its owner is told once in a while; the last of it is not
 * lost, because the result takes it along, and a main context that turns meanwhile sends it. */

#define INTERVAL_US (10 * 1000)

void
mp_reports_init (MpReports *self,
                 MpWire    *wire)
{
  *self = (MpReports) { .wire = wire };
}

void
mp_reports_begin (MpReports *self,
                  guint64    seq)
{
  self->seq = seq;
  self->told_us = 0;
}

static void
stop_waiting (MpReports *self)
{
  if (self->later == NULL)
    return;
  g_source_destroy (self->later);
  g_clear_pointer (&self->later, g_source_unref);
}

void
mp_reports_clear (MpReports *self)
{
  stop_waiting (self);
  self->kept = FALSE;
  g_clear_pointer (&self->value, g_variant_unref);
}

static void
queue (MpReports *self)
{
  MpProgressLead lead = { self->seq, self->fraction };
  MpPiece piece = { &lead, sizeof lead, NULL };
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;

  if (self->value == NULL)
    {
      mp_wire_queue (self->wire, MP_FRAME_PROGRESS, 0, &piece, 1, NULL, 0);
      return;
    }
  if (!mp_value_encode (self->value, &encoded, &error))
    {
      g_warning ("what a task tells of its progress cannot be sent: %s", error->message);
      return;
    }
  if (encoded.table == NULL)
    mp_wire_queue_value (self->wire, MP_FRAME_PROGRESS, 0, &lead, sizeof lead, &encoded);
  else
    g_warning ("what a task tells of its progress cannot hold objects");
  mp_encoded_clear (&encoded);
}

void
mp_reports_flush (MpReports *self)
{
  if (!self->kept)
    return;
  queue (self);
  mp_reports_clear (self);
}

static gboolean
later_cb (gpointer user_data)
{
  MpReports *self = user_data;

  self->told_us = g_get_monotonic_time ();
  mp_reports_flush (self);
  /* When nobody is there any more the next answer finds that out. */
  mp_wire_flush_blocking (self->wire, NULL);
  return G_SOURCE_REMOVE;
}

void
mp_reports_add (double    fraction,
                GVariant *value,
                gpointer  data)
{
  MpReports *self = data;
  gint64 now = g_get_monotonic_time ();

  self->kept = TRUE;
  self->fraction = fraction;
  g_clear_pointer (&self->value, g_variant_unref);
  self->value = value != NULL ? g_variant_ref (value) : NULL;
  if (now - self->told_us >= INTERVAL_US)
    {
      later_cb (self);
      return;
    }
  if (self->later == NULL)
    {
      self->later = g_timeout_source_new (INTERVAL_US / 1000);
      g_source_set_callback (self->later, later_cb, self, NULL);
      g_source_attach (self->later, mp_worker_get ()->context);
    }
}
