/* mp-wire-stream.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <string.h>
#include <unistd.h>

/* The framing of CPython's connections: what differs from the one of our own. */

#define SHORT_HEAD 4
#define FDS_BYTES  4    /* of the head, that descriptors come with */

G_STATIC_ASSERT (MP_STREAM_KIND == MP_MESSAGE_BYTES);
G_STATIC_ASSERT (MP_STREAM_MAGIC_SIZE == sizeof (guint64));
G_STATIC_ASSERT (FDS_BYTES * MP_SOCKET_MAX_FDS >= MP_MAX_FDS);
G_STATIC_ASSERT (MP_WIRE_STREAM_BASE + SHORT_HEAD == 8);

guint
mp_stream_put_head (guint8  head[MP_STREAM_MAX_HEAD],
                    guint64 length)
{
  guint32 first = GUINT32_TO_BE (length <= G_MAXINT32 ? length : G_MAXUINT32);
  guint64 rest = GUINT64_TO_BE (length);

  memcpy (head, &first, sizeof first);
  if (length <= G_MAXINT32)
    return SHORT_HEAD;

  memcpy (head + SHORT_HEAD, &rest, sizeof rest);
  return MP_STREAM_MAX_HEAD;
}

guint
mp_stream_get_head (const guint8 *data,
                    gsize         size,
                    guint64      *length)
{
  guint32 first;
  guint64 rest;

  if (size < SHORT_HEAD)
    return 0;

  memcpy (&first, data, sizeof first);
  first = GUINT32_FROM_BE (first);
  *length = first;
  if (first <= G_MAXINT32)
    return SHORT_HEAD;
  if (first != G_MAXUINT32)
    return G_MAXUINT;
  if (size < MP_STREAM_MAX_HEAD)
    return 0;

  memcpy (&rest, data + SHORT_HEAD, sizeof rest);
  *length = GUINT64_FROM_BE (rest);
  return MP_STREAM_MAX_HEAD;
}

guint
mp_wire_stream_head (guint8   head[MP_STREAM_MAX_HEAD + MP_STREAM_MAGIC_SIZE],
                     guint64  length,
                     gboolean is_value)
{
  static const guint64 magic = MP_STREAM_MAGIC;
  guint size;

  if (!is_value)
    return mp_stream_put_head (head, length);

  size = mp_stream_put_head (head, length + MP_STREAM_MAGIC_SIZE);
  memcpy (head + size, &magic, sizeof magic);
  return size + MP_STREAM_MAGIC_SIZE;
}

/* What the buffer begins with, which holds no more than this: a frame that is large is not there as a whole. */
MpWireState
mp_wire_stream_look (MpWireInput   *self,
                     MpFrameHeader *header)
{
  gsize available = self->end - self->start;
  guint64 length;
  guint head;

  if (available < SHORT_HEAD)
    return MP_WIRE_NOTHING_WHOLE;   /* nor need there be a buffer */

  head = mp_stream_get_head (self->buffer + self->start, available, &length);
  if (head == 0)
    return MP_WIRE_NOTHING_WHOLE;
  if (head == G_MAXUINT)
    {
      mp_wire_set_broken (self, MP_ERROR_PROTOCOL, "its length is negative");
      return MP_WIRE_BAD_FRAME;
    }
  if (length > self->max_length)
    {
      mp_wire_set_too_large (self, length);
      return MP_WIRE_BAD_FRAME;
    }

  *header = (MpFrameHeader) { length, 0, MP_STREAM_KIND, 0 };
  if (length > MP_WIRE_BUFFER_SIZE - MP_WIRE_STREAM_BASE - head)
    return MP_WIRE_LARGE_BEGINS;
  return available - head >= length ? MP_WIRE_WHOLE_FRAME : MP_WIRE_NOTHING_WHOLE;
}

/* The descriptors that came with the first bytes of the head at @position: a read that brought some ends behind the
 * byte that they came with. */
static void
claim_fds (MpWireInput *self,
           MpFrame     *frame,
           guint64      position)
{
  gboolean lost = FALSE;
  int *fds = NULL;
  guint n = 0;

  while (self->arrivals->len > 0 &&
         g_array_index (self->arrivals, MpWireArrival, 0).end <= position + FDS_BYTES)
    {
      if (fds == NULL)
        fds = g_new (int, FDS_BYTES * MP_SOCKET_MAX_FDS);   /* of different bytes: there are no more */
      lost |= !mp_wire_take_arrival (self, fds, &n);
    }

  frame->fds = fds;
  frame->n_fds = n;
  if (lost)
    mp_frame_clear (frame);
  frame->fds_lost = lost;
}

/* The head of the frame, which is whole: passes over it. */
gboolean
mp_wire_stream_begin (MpWireInput *self,
                      MpFrame     *frame)
{
  gsize available = self->end - self->start;
  guint64 position = self->received - available;
  guint64 length;

  *frame = (MpFrame) { .kind = MP_STREAM_KIND };
  if (!mp_wire_check_stray_fds (self, position))
    return FALSE;
  if (self->arrivals != NULL && self->arrivals->len > 0)
    claim_fds (self, frame, position);

  self->start += mp_stream_get_head (self->buffer + self->start, available, &length);
  return TRUE;
}

void
mp_wire_stream_mark (MpFrame *frame)
{
  static const guint64 magic = MP_STREAM_MAGIC;

  frame->is_value = frame->size >= sizeof magic && memcmp (frame->data, &magic, sizeof magic) == 0;
}

/* The payload, which is in the buffer. That of a value is moved to where it can be read: over its head, and perhaps the
 * end of the frame before, which has been taken. */
void
mp_wire_stream_take (MpWireInput *self,
                     gsize        size,
                     MpFrame     *frame)
{
  guint8 *data = self->buffer + self->start;
  gsize odd = self->start & 7;

  frame->data = data;
  frame->size = size;
  self->start += size;
  mp_wire_stream_mark (frame);
  if (!frame->is_value || odd == 0)
    return;

  frame->data = memmove (data - odd, data, size);
}
