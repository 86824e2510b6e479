/* mp-wire.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/base/mp-descriptor-private.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/memory/mp-memory-kinds-private.h"
#include "mp-glib/queue/mp-queue-private.h"
#include "mp-glib/sync/mp-sync-object-private.h"

MpWire *
mp_wire_new (int     fd,
             guint64 max_length)
{
  MpWire *self = g_new0 (MpWire, 1);

  /* What arrives may hold an object of any kind, of classes that this process has not used yet. */
  mp_connection_ensure_kind ();
  mp_descriptor_ensure_kind ();
  mp_queue_ensure_kinds ();
  mp_sync_ensure_kinds ();
  mp_memory_ensure_kinds ();

  self->fd = fd;
  self->in.max_length = max_length;
  self->out.last_start = self->out.unheard = G_MAXUINT64;
  return self;
}

MpWire *
mp_wire_new_stream (int     fd,
                    guint64 max_length)
{
  MpWire *self = mp_wire_new (fd, max_length);

  self->in.is_stream = self->out.is_stream = TRUE;
  return self;
}

gboolean
mp_wire_is_stream (MpWire *self)
{
  return self->in.is_stream;
}

void
mp_wire_free (MpWire *self)
{
  if (self == NULL)
    return;

  mp_wire_output_clear (&self->out);
  mp_wire_input_clear (&self->in);
  mp_wire_rings_clear (self);
  mp_wire_lanes_clear (self);
  if (self->io != NULL)
    self->io->funcs->free (self->io);
  else
    mp_fd_close (&self->fd);
  g_free (self);
}

int
mp_wire_get_fd (MpWire *self)
{
  return self->fd;
}

int
mp_wire_steal_fd (MpWire *self)
{
  g_return_val_if_fail (mp_wire_is_idle (self) && self->io == NULL, -1);

  return g_steal_fd (&self->fd);
}

gboolean
mp_wire_is_idle (MpWire *self)
{
  return mp_wire_get_pending (self) == 0 && mp_wire_input_is_empty (&self->in) &&
         self->lane_in.records.start == self->lane_in.records.end;
}

void
mp_wire_set_max_length (MpWire  *self,
                        guint64  max_length)
{
  self->in.max_length = max_length;
}
