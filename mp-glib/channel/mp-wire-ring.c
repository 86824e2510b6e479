/* mp-wire-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"

#include <string.h>

/* Of the ring at most this part is one record: then there is room for others while the reader has not come yet. */
#define RECORD_PART 4

void
mp_wire_take_rings (MpWire *self,
                    MpRing *in,
                    MpRing *out)
{
  MpWireRecords *records = &self->ring_in.records;

  records->ring = in;
  records->size = mp_ring_get_size (in) / RECORD_PART;
  records->record = g_malloc (records->size);
  self->ring_out.ring = out;
  /* It sleeps whenever it has read all that there is. */
  mp_ring_sleeps_often (in);
}

void
mp_wire_rings_clear (MpWire *self)
{
  g_clear_pointer (&self->ring_in.records.ring, mp_ring_free);
  g_clear_pointer (&self->ring_in.records.record, g_free);
  g_clear_pointer (&self->ring_out.ring, mp_ring_free);
}

void
mp_wire_use_ring (MpWire *self)
{
  g_return_if_fail (self->ring_out.ring != NULL && !self->ring_out.in_use);

  mp_wire_queue (self, MP_WIRE_RINGS, 0, NULL, 0, NULL, 0);
  self->ring_out.in_use = TRUE;
  self->ring_out.by_socket = self->out.queued - self->out.sent;
}

gboolean
mp_wire_has_ring (MpWire *self)
{
  return self->ring_in.in_use;
}

gboolean
mp_wire_waits_for_socket (MpWire *self)
{
  return mp_wire_get_pending (self) > 0 && (!self->ring_out.in_use || self->ring_out.by_socket > 0);
}

/* Output. */

/* The head of the frame that is next; frames stand in the buffer one behind the other, but for their large pieces. */
static const MpFrameHeader *
peek_header (MpWireOutput *self,
             gsize         offset)
{
  return (const MpFrameHeader *) (gconstpointer) (self->buffer + self->start + offset);
}

gsize
mp_wire_measure_run (MpWireOutput *self,
                     gsize         limit)
{
  MpWireChunk *chunk = &self->chunks[self->first];
  gsize run = 0;

  if (chunk->n_fds > 0)
    return 0;
  while (run < chunk->size)
    {
      guint64 length = peek_header (self, run)->length;
      gsize size;

      if (length > limit)
        break;
      size = sizeof (MpFrameHeader) + mp_pad8 (length);
      if (size > limit - run || size > chunk->size - run)
        break;
      run += size;
    }
  return run;
}

/* An end that dies before it has rung shows by the end of the stream. */
static gboolean
ring_bell (MpWire  *self,
           GError **error)
{
  /* In the midst of a frame that leaves by the socket it would become a part of that, and the frame itself wakes the reader:
   * by what it has put into the socket, or is going to when there is room. */
  if (self->ring_out.by_socket > 0 || !mp_ring_peer_sleeps (self->ring_out.ring))
    return TRUE;

  MP_TORTURE_POINT ("wire-bell-due");
  return mp_wire_send_bell (self, error);
}

/* TRUE: it is there. FALSE without error: there is no room, and @block is not set. */
static gboolean
write_record (MpWire         *self,
              gconstpointer   data,
              gsize           size,
              gboolean        block,
              GError        **error)
{
  MpRing *ring = self->ring_out.ring;
  g_autoptr(GError) local_error = NULL;

  while (!mp_ring_try_write (ring, data, size, &local_error))
    {
      if (local_error != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      if (!block || !ring_bell (self, error) || !mp_ring_wait (ring, size, -1, NULL, error))
        return FALSE;
    }
  return TRUE;
}

/* The next piece of what is queued. FALSE without error: not now. */
static gboolean
flush_some (MpWire    *self,
            gboolean   block,
            GError   **error)
{
  MpWireOutput *out = &self->out;
  MpWireRingOut *ring_out = &self->ring_out;
  gsize run;

  if (ring_out->by_socket > 0)
    {
      guint64 sent = out->sent;
      gboolean ok = mp_wire_socket_flush (self, ring_out->by_socket, block, error);

      ring_out->by_socket -= out->sent - sent;
      return ok && ring_out->by_socket == 0;
    }

  run = mp_wire_measure_run (out, mp_ring_get_size (ring_out->ring) / RECORD_PART);
  if (run > 0)
    {
      if (!write_record (self, out->buffer + out->start, run, block, error))
        return FALSE;
      MP_TORTURE_POINT ("wire-record-written");
      mp_wire_output_consume (out, run);
    }
  else
    {
      MpFrameHeader mark = { 0, 0, MP_WIRE_BY_SOCKET, 0 };

      if (!write_record (self, &mark, sizeof mark, block, error))
        return FALSE;
      MP_TORTURE_POINT ("wire-mark-written");
      ring_out->by_socket = sizeof (MpFrameHeader) + mp_pad8 (peek_header (out, 0)->length);
    }
  return TRUE;
}

gboolean
mp_wire_ring_flush (MpWire    *self,
                    gboolean   block,
                    gboolean   quiet,
                    GError   **error)
{
  g_autoptr(GError) local_error = NULL;

  while (self->out.n_chunks > 0 && flush_some (self, block, &local_error))
    ;
  if (local_error == NULL && (quiet || ring_bell (self, &local_error)))
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

gboolean
mp_wire_flush_quietly (MpWire  *self,
                       GError **error)
{
  if (!self->ring_out.in_use)
    return mp_wire_flush_blocking (self, error);
  return mp_wire_ring_flush (self, TRUE, TRUE, error);
}

gboolean
mp_wire_ring (MpWire  *self,
              GError **error)
{
  return !self->ring_out.in_use || ring_bell (self, error);
}

/* Input. */

static gboolean
has_records (MpWireRingIn *self)
{
  return self->records.start < self->records.end || mp_ring_has_record (self->records.ring);
}

gboolean
mp_wire_look (MpWire *self)
{
  MpWireRingIn *ring_in = &self->ring_in;

  return ring_in->by_socket || has_records (ring_in);
}

gboolean
mp_wire_sleep (MpWire *self)
{
  if (!self->ring_in.in_use)
    return TRUE;
  /* The rest of a frame in the socket shows by itself. */
  if (self->ring_in.by_socket)
    return !mp_wire_has_frame (self);
  return self->ring_in.records.start == self->ring_in.records.end &&
         mp_wire_records_fall_asleep (&self->ring_in.records);
}

void
mp_wire_stay_awake (MpWire *self)
{
  if (self->ring_in.in_use)
    mp_wire_records_wake (&self->ring_in.records);
}

static gboolean
next_from_ring (MpWire   *self,
                MpFrame  *frame,
                GError  **error)
{
  MpWireRecords *records = &self->ring_in.records;

  if (G_LIKELY (self->in.broken == NULL) &&
      (records->start < records->end || mp_wire_records_read (records, &self->in)) &&
      mp_wire_records_take (records, &self->in, frame))
    return TRUE;

  if (self->in.broken != NULL)
    mp_wire_report_broken (&self->in, error);
  memset (frame, 0, sizeof *frame);
  return FALSE;
}

gboolean
mp_wire_ring_next (MpWire   *self,
                   MpFrame  *frame,
                   GError  **error)
{
  MpWireRingIn *ring_in = &self->ring_in;

  for (;;)
    {
      if (ring_in->in_use && !ring_in->by_socket)
        {
          if (!next_from_ring (self, frame, error))
            return FALSE;
          if (G_LIKELY (frame->kind != MP_WIRE_BY_SOCKET))
            return TRUE;
          ring_in->by_socket = TRUE;
        }

      if (!mp_wire_socket_next (self, frame, error))
        return FALSE;
      if (ring_in->in_use && frame->kind == MP_WIRE_BELL)
        {
          mp_frame_clear (frame);
        }
      else if (!ring_in->in_use && frame->kind == MP_WIRE_RINGS)
        {
          mp_frame_clear (frame);
          ring_in->in_use = TRUE;
        }
      else
        {
          ring_in->by_socket = FALSE;
          return TRUE;
        }
    }
}

/* Bells at the front of what has come by the socket have done their work. TRUE: something else has come. */
static gboolean
pass_over_bells (MpWireInput *self)
{
  while (!self->large.active && self->end - self->start >= sizeof (MpFrameHeader))
    {
      const MpFrameHeader *header = (const MpFrameHeader *) (gconstpointer) (self->buffer + self->start);

      if (header->kind != MP_WIRE_BELL || header->length > 0 || header->n_fds > 0)
        return TRUE;
      self->start += sizeof *header;
    }
  return self->large.active;
}

/* Between two frames, with nothing in the ring: looks into the socket for the bell, and for the end. */
static gssize
fill_idle (MpWire    *self,
           gboolean   block,
           GError   **error)
{
  MpWireRingIn *ring_in = &self->ring_in;
  g_autoptr(GError) local_error = NULL;
  gssize n;

  if (block && !mp_wire_records_fall_asleep (&ring_in->records))
    return 1;
  MP_TORTURE_POINT ("wire-fell-asleep");
  n = mp_wire_socket_fill (self, block, &local_error);
  MP_TORTURE_POINT ("wire-woke-up");
  mp_wire_records_wake (&ring_in->records);

  /* The other end has put into the ring first what it says in the socket, or leaves behind. */
  if (mp_ring_has_record (ring_in->records.ring))
    return 1;
  if (n < 0)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return -1;
    }
  if (pass_over_bells (&self->in))
    {
      mp_wire_set_broken (&self->in, MP_ERROR_PROTOCOL, "it came by the socket, unannounced");
      return mp_wire_report_broken (&self->in, error);
    }
  return block || !mp_wire_records_fall_asleep (&ring_in->records);
}

/* When nothing is there this end sleeps, as the other sees it, when this returns 0. */
gssize
mp_wire_ring_fill (MpWire    *self,
                   gboolean   block,
                   GError   **error)
{
  MpWireRingIn *ring_in = &self->ring_in;

  if (self->in.broken != NULL)
    return mp_wire_report_broken (&self->in, error);

  mp_wire_records_wake (&ring_in->records);
  if (ring_in->by_socket)
    return mp_wire_socket_fill (self, block, error);
  if (has_records (ring_in))
    return 1;
  return fill_idle (self, block, error);
}
