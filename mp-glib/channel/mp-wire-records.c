/* mp-wire-records.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>

/* What frames in a ring have in common, whoever made it: mp-wire-ring.c and mp-wire-lane.c. */

gboolean
mp_wire_records_read (MpWireRecords *self,
                      MpWireInput   *in)
{
  g_autoptr(GError) error = NULL;
  gsize size = 0;

  if (mp_ring_try_read (self->ring, self->record, self->size, &size, &error))
    {
      self->start = 0;
      self->end = size;
      return TRUE;
    }
  if (error != NULL || size > 0)
    mp_wire_set_broken (in, MP_ERROR_PROTOCOL, "its ring is damaged");
  return FALSE;
}

gboolean
mp_wire_records_take (MpWireRecords *self,
                      MpWireInput   *in,
                      MpFrame       *frame)
{
  const guint8 *data = self->record + self->start;
  gsize left = self->end - self->start;
  const MpFrameHeader *header = (const MpFrameHeader *) (gconstpointer) data;

  if (left < sizeof *header || header->length > left - sizeof *header ||
      mp_pad8 (header->length) > left - sizeof *header || header->kind == 0 || header->n_fds > 0)
    return mp_wire_set_broken (in, MP_ERROR_PROTOCOL, "its head makes no sense");
  if (header->length > in->max_length)
    return mp_wire_set_too_large (in, header->length);

  *frame = (MpFrame) { .tag = header->tag, .kind = header->kind };
  frame->data = data + sizeof *header;
  frame->size = header->length;
  self->start += sizeof *header + mp_pad8 (header->length);
  return mp_wire_check_zeros (in, frame->data, frame->size);
}

gboolean
mp_wire_records_fall_asleep (MpWireRecords *self)
{
  self->asleep = mp_ring_going_to_sleep (self->ring);
  return self->asleep;
}

void
mp_wire_records_wake (MpWireRecords *self)
{
  if (self->asleep)
    mp_ring_awake (self->ring);
  self->asleep = FALSE;
}

gboolean
mp_wire_send_word (MpWire  *self,
                   guint16  kind,
                   guint32  tag,
                   int      fd)
{
  MpFrameHeader header = { 0, tag, kind, fd >= 0 ? 1 : 0 };
  struct iovec iov = { &header, sizeof header };
  gssize n = mp_socket_send (self->fd, &iov, 1, &fd, fd >= 0 ? 1 : 0, FALSE);

  if (n >= 0 && n != sizeof header)
    errno = EPROTO;   /* so few bytes go together */
  return n == sizeof header;
}

gboolean
mp_wire_send_bell (MpWire  *self,
                   GError **error)
{
  if (mp_wire_send_word (self, MP_WIRE_BELL, 0, -1) || errno == EAGAIN || errno == EWOULDBLOCK)
    return TRUE;
  return mp_wire_set_send_error (error);
}
