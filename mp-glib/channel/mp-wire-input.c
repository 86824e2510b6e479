/* mp-wire-input.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/base/mp-spare-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE      MP_WIRE_BUFFER_SIZE
#define MIN_MAPPED       ((gsize) 32 << 20)   /* the largest memory that malloc() would use again; new pages are dear */
#define MAX_FIRST_MAP    ((gsize) 1 << 30)   /* address space taken on the peer's word; pages come as bytes arrive */
#define MAX_ARRIVALS     64
#define MAX_UNCLAIMED    (MP_MAX_FDS + MP_SOCKET_MAX_FDS)

/* What a GBytes over mapped memory frees. */
typedef struct
{
  gpointer address;
  gsize    size;
} Mapping;

static void
close_fds (int   *fds,
           guint  n_fds)
{
  guint i;

  for (i = 0; i < n_fds; i++)
    if (fds[i] >= 0)
      close (fds[i]);
  g_free (fds);
}

void
mp_frame_clear (MpFrame *frame)
{
  close_fds (g_steal_pointer (&frame->fds), frame->n_fds);
  frame->n_fds = 0;
  g_clear_pointer (&frame->bytes, g_bytes_unref);
  frame->data = NULL;
  frame->size = 0;
}

GVariant *
mp_frame_get_value (MpFrame  *frame,
                    gsize     offset,
                    gsize    *used,
                    GError  **error)
{
  gsize size = offset <= frame->size ? frame->size - offset : 0;
  const guint8 *data = frame->data + (offset <= frame->size ? offset : 0);

  if (frame->fds_lost)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES,
                   "Received a value whose descriptors were lost: this process can open no more files");
      return NULL;
    }

  return mp_value_decode (frame->bytes, data, size, used, frame->fds, frame->n_fds, error);
}

static void
free_data (guint8   *data,
           gsize     allocated,
           gboolean  mapped)
{
  if (mapped)
    mp_fd_unmap (data, allocated);
  else
    mp_spare_free (data);
}

static void
mapping_free (gpointer data)
{
  Mapping *self = data;

  mp_fd_unmap (self->address, self->size);
  g_free (self);
}

static void
large_clear (MpWireLarge *self)
{
  if (!self->active)
    return;

  mp_frame_clear (&self->frame);
  free_data (self->data, self->allocated, self->mapped);
  memset (self, 0, sizeof *self);
}

static void
drop_arrival (MpWireInput *self)
{
  MpWireArrival *arrival = &g_array_index (self->arrivals, MpWireArrival, 0);

  self->n_unclaimed -= arrival->n_fds;
  close_fds (arrival->fds, arrival->n_fds);
  g_array_remove_index (self->arrivals, 0);
}

void
mp_wire_input_clear (MpWireInput *self)
{
  while (self->arrivals != NULL && self->arrivals->len > 0)
    drop_arrival (self);
  g_clear_pointer (&self->arrivals, g_array_unref);
  large_clear (&self->large);
  g_clear_pointer (&self->buffer, g_free);
  g_clear_error (&self->broken);
}

gboolean
mp_wire_input_is_empty (MpWireInput *self)
{
  return self->start == self->end && !self->large.active && (self->arrivals == NULL || self->arrivals->len == 0);
}

gboolean
mp_wire_set_broken (MpWireInput *self,
                    int          code,
                    const char  *what)
{
  if (self->broken == NULL)
    self->broken = g_error_new (MP_ERROR, code, "Received what is no message: %s", what);
  return FALSE;
}

gboolean
mp_wire_set_too_large (MpWireInput *self,
                       guint64      length)
{
  if (self->broken == NULL)
    self->broken = g_error_new (MP_ERROR, MP_ERROR_TOO_LARGE,
                                "Received the head of a message of %" G_GUINT64_FORMAT " bytes; "
                                "at most %" G_GUINT64_FORMAT " are allowed", length, self->max_length);
  return FALSE;
}

gboolean
mp_wire_take_arrival (MpWireInput *self,
                      int         *fds,
                      guint       *n)
{
  MpWireArrival *arrival = &g_array_index (self->arrivals, MpWireArrival, 0);
  gboolean whole = !arrival->truncated;

  if (whole)
    {
      memcpy (fds + *n, arrival->fds, arrival->n_fds * sizeof (int));
      *n += arrival->n_fds;
      self->n_unclaimed -= arrival->n_fds;
      g_clear_pointer (&arrival->fds, g_free);
      arrival->n_fds = 0;
    }
  drop_arrival (self);
  return whole;
}

/* Takes the descriptors of the frame whose head begins at @position of the stream: the n-th group came with the head's
 * n-th byte, and with no other. @frame: n_fds as announced; is set to what there is. */
static gboolean
claim_fds (MpWireInput *self,
           MpFrame     *frame,
           guint64      position)
{
  guint n_wanted = frame->n_fds;
  g_autofree int *fds = g_new (int, n_wanted);
  gboolean lost = FALSE;
  guint n = 0;
  guint group;

  for (group = 0; group * MP_SOCKET_MAX_FDS < n_wanted; group++)
    {
      guint n_group = MIN (n_wanted - group * MP_SOCKET_MAX_FDS, MP_SOCKET_MAX_FDS);
      MpWireArrival *arrival;

      arrival = self->arrivals != NULL && self->arrivals->len > 0 ? &g_array_index (self->arrivals, MpWireArrival, 0)
                                                                  : NULL;
      if (arrival == NULL || arrival->start > position + group || arrival->end <= position + group ||
          (arrival->n_fds != n_group && !arrival->truncated))
        {
          close_fds (g_steal_pointer (&fds), n);
          frame->n_fds = 0;
          return mp_wire_set_broken (self, MP_ERROR_PROTOCOL, "its descriptors are missing");
        }

      lost |= !mp_wire_take_arrival (self, fds, &n);
    }

  frame->fds_lost = lost;
  frame->n_fds = lost ? 0 : n;
  if (lost)
    close_fds (g_steal_pointer (&fds), n);
  else
    frame->fds = g_steal_pointer (&fds);
  return TRUE;
}

/* Looks at what the buffer begins with. @is_stream: known where it matters how long this takes. */
static inline MpWireState
look (MpWireInput   *self,
      MpFrameHeader *header,
      gboolean       is_stream)
{
  gsize available = self->end - self->start;

  if (self->broken != NULL)
    return MP_WIRE_BAD_FRAME;
  if (self->large.active)
    return self->large.filled == self->large.total ? MP_WIRE_WHOLE_FRAME : MP_WIRE_NOTHING_WHOLE;
  if (is_stream)
    return mp_wire_stream_look (self, header);
  if (available < sizeof *header)
    return MP_WIRE_NOTHING_WHOLE;

  *header = *(const MpFrameHeader *) (gconstpointer) (self->buffer + self->start);
  if (header->n_fds > MP_MAX_FDS || header->kind == 0)
    {
      mp_wire_set_broken (self, MP_ERROR_PROTOCOL, "its head makes no sense");
      return MP_WIRE_BAD_FRAME;
    }
  if (header->length > self->max_length)
    {
      mp_wire_set_too_large (self, header->length);
      return MP_WIRE_BAD_FRAME;
    }

  /* The bound keeps the sum from overflowing. */
  if (header->length > BUFFER_SIZE - sizeof *header)
    return MP_WIRE_LARGE_BEGINS;
  return available >= sizeof *header + mp_pad8 (header->length) ? MP_WIRE_WHOLE_FRAME : MP_WIRE_NOTHING_WHOLE;
}

gboolean
mp_wire_check_stray_fds (MpWireInput *self,
                         guint64      position)
{
  if (self->arrivals == NULL || self->arrivals->len == 0 ||
      g_array_index (self->arrivals, MpWireArrival, 0).end > position)
    return TRUE;

  return mp_wire_set_broken (self, MP_ERROR_PROTOCOL, "descriptors that belong to nothing");
}

/* What came with the bytes of the frame that has just been taken, and belongs to nothing: it is not kept until the next
 * frame begins, of which the peer decides when that is. */
static void
close_stray_fds (MpWireInput *self)
{
  guint64 position = self->received - (self->end - self->start);

  if (mp_wire_check_stray_fds (self, position))
    return;
  while (self->arrivals->len > 0 && g_array_index (self->arrivals, MpWireArrival, 0).end <= position)
    drop_arrival (self);
}

/* What is common to frames of all lengths: the head, which is in the buffer. */
static inline gboolean
begin_frame (MpWireInput         *self,
             const MpFrameHeader *header,
             MpFrame             *frame,
             gboolean             is_stream)
{
  guint64 position = self->received - (self->end - self->start);

  if (is_stream)
    return mp_wire_stream_begin (self, frame);

  *frame = (MpFrame) { .tag = header->tag, .kind = header->kind, .n_fds = header->n_fds };
  if (!mp_wire_check_stray_fds (self, position))
    {
      frame->n_fds = 0;
      return FALSE;
    }
  if (header->n_fds > 0 && !claim_fds (self, frame, position))
    return FALSE;

  self->start += sizeof *header;
  return TRUE;
}

static gboolean
large_allocate (MpWireInput *self,
                gsize        size)
{
  MpWireLarge *large = &self->large;
  gboolean mapped = large->total >= MIN_MAPPED;
  guint8 *data = mapped ? mp_fd_map_anonymous (size) : mp_spare_alloc (size);

  if (data == NULL)
    return mp_wire_set_broken (self, MP_ERROR_TOO_LARGE, "there is no memory for its length");

  if (large->filled > 0)
    memcpy (data, large->data, large->filled);
  if (large->data != NULL)
    free_data (large->data, large->allocated, large->mapped);
  large->data = data;
  large->allocated = size;
  large->mapped = mapped;
  return TRUE;
}

/* Memory of its own for a large payload, and the part of it that is in the buffer, which is all that is there. */
static gboolean
large_begin (MpWireInput         *self,
             const MpFrameHeader *header)
{
  MpWireLarge *large = &self->large;
  gsize available;

  if (header->length > G_MAXSSIZE - 8)
    return mp_wire_set_broken (self, MP_ERROR_TOO_LARGE, "its length");
  if (!begin_frame (self, header, &large->frame, self->is_stream))
    return FALSE;

  large->active = TRUE;
  large->length = header->length;
  large->total = self->is_stream ? header->length : mp_pad8 (header->length);
  if (!large_allocate (self, MIN (large->total, MAX_FIRST_MAP)))
    return FALSE;

  available = self->end - self->start;
  memcpy (large->data, self->buffer + self->start, available);
  large->filled = available;
  self->start = self->end = 0;
  return TRUE;
}

gboolean
mp_wire_check_zeros (MpWireInput  *self,
                     const guint8 *data,
                     gsize         size)
{
  gsize i;

  for (i = size; i < mp_pad8 (size); i++)
    if (data[i] != 0)
      return mp_wire_set_broken (self, MP_ERROR_PROTOCOL, "bytes behind its end");
  return TRUE;
}

/* Hands the payload over as a GBytes, without a copy. */
static gboolean
large_finish (MpWireInput *self,
              MpFrame     *frame)
{
  MpWireLarge *large = &self->large;
  Mapping *mapping;

  if (!self->is_stream && !mp_wire_check_zeros (self, large->data, large->length))
    return FALSE;

  *frame = large->frame;
  if (large->mapped)
    {
      mapping = g_new (Mapping, 1);
      *mapping = (Mapping) { large->data, large->allocated };
      frame->bytes = g_bytes_new_with_free_func (large->data, large->length, mapping_free, mapping);
    }
  else
    {
      frame->bytes = g_bytes_new_with_free_func (large->data, large->length, mp_spare_free, large->data);
    }

  frame->data = large->data;
  frame->size = large->length;
  if (self->is_stream)
    mp_wire_stream_mark (frame);
  memset (large, 0, sizeof *large);
  return TRUE;
}

static inline gboolean
socket_next (MpWire    *self,
             MpFrame   *frame,
             gboolean   is_stream,
             GError   **error)
{
  MpWireInput *in = &self->in;
  MpFrameHeader header;
  MpWireState state = look (in, &header, is_stream);

  if (G_LIKELY (state == MP_WIRE_WHOLE_FRAME && !in->large.active))
    {
      if (begin_frame (in, &header, frame, is_stream))
        {
          if (is_stream)
            {
              mp_wire_stream_take (in, header.length, frame);
            }
          else
            {
              frame->data = in->buffer + in->start;
              frame->size = header.length;
              in->start += mp_pad8 (header.length);
            }
          if (G_UNLIKELY (in->arrivals != NULL))
            close_stray_fds (in);
          if (is_stream || mp_wire_check_zeros (in, frame->data, frame->size))
            return TRUE;
          mp_frame_clear (frame);
        }
    }
  else if (state == MP_WIRE_WHOLE_FRAME)
    {
      if (large_finish (in, frame))
        {
          if (in->arrivals != NULL)
            close_stray_fds (in);
          return TRUE;
        }
    }
  else if (state == MP_WIRE_LARGE_BEGINS)
    {
      large_begin (in, &header);
    }

  if (in->broken != NULL)
    g_set_error_literal (error, in->broken->domain, in->broken->code, in->broken->message);
  memset (frame, 0, sizeof *frame);
  return FALSE;
}

gboolean
mp_wire_socket_next (MpWire   *self,
                     MpFrame  *frame,
                     GError  **error)
{
  return socket_next (self, frame, FALSE, error);
}

gboolean
mp_wire_next (MpWire   *self,
              MpFrame  *frame,
              GError  **error)
{
  if (self->ring_in.records.ring != NULL)
    return mp_wire_ring_next (self, frame, error);
  if (G_UNLIKELY (self->in.is_stream))
    return socket_next (self, frame, TRUE, error);
  if (self->lane_in.is_known)
    return mp_wire_lane_next (self, frame, error);
  return socket_next (self, frame, FALSE, error);
}

gboolean
mp_wire_has_frame (MpWire *self)
{
  MpFrameHeader header;
  MpWireState state = look (&self->in, &header, self->in.is_stream);

  return state == MP_WIRE_WHOLE_FRAME || state == MP_WIRE_BAD_FRAME;
}

gboolean
mp_wire_has_news (MpWire *self)
{
  return self->in.broken != NULL || self->in.at_eof || mp_wire_has_frame (self) || mp_wire_may_have_more (self);
}

gboolean
mp_wire_at_end (MpWire *self)
{
  return self->in.at_eof && !mp_wire_has_frame (self);
}

/* Where the next bytes go. FALSE: something is wrong; @size 0: no room, because the frames that are there must be taken
 * first. */
static gboolean
prepare_room (MpWireInput  *self,
              guint8      **place,
              gsize        *size)
{
  MpWireLarge *large = &self->large;
  MpFrameHeader header;
  MpWireState state = look (self, &header, self->is_stream);
  gsize base;

  if (state == MP_WIRE_BAD_FRAME || (state == MP_WIRE_LARGE_BEGINS && !large_begin (self, &header)))
    return FALSE;

  if (large->active)
    {
      if (large->filled == large->allocated && large->filled < large->total &&
          !large_allocate (self, MIN (large->total, 2 * large->allocated)))
        return FALSE;
      *place = large->data + large->filled;
      *size = large->allocated - large->filled;
      return TRUE;
    }

  if (self->buffer == NULL)
    self->buffer = g_malloc (BUFFER_SIZE);

  base = self->is_stream ? MP_WIRE_STREAM_BASE : 0;
  if (self->start == self->end)
    {
      self->start = self->end = base;
    }
  else if (self->start > base && state == MP_WIRE_NOTHING_WHOLE)
    {
      memmove (self->buffer + base, self->buffer + self->start, self->end - self->start);
      self->end -= self->start - base;
      self->start = base;
    }

  *place = self->buffer + self->end;
  *size = BUFFER_SIZE - self->end;
  return TRUE;
}

static gboolean
add_arrival (MpWireInput *self,
             gsize        n_bytes,
             const int   *fds,
             guint        n_fds,
             gboolean     truncated)
{
  MpWireArrival arrival = { self->received, self->received + n_bytes, NULL, n_fds, truncated };

  if (self->arrivals == NULL)
    self->arrivals = g_array_new (FALSE, FALSE, sizeof (MpWireArrival));
  arrival.fds = g_memdup2 (fds, n_fds * sizeof *fds);
  if (truncated)
    {
      /* The frame is lost, so these only take the room of those of the next. */
      close_fds (g_steal_pointer (&arrival.fds), n_fds);
      arrival.n_fds = n_fds = 0;
    }
  g_array_append_val (self->arrivals, arrival);
  self->n_unclaimed += n_fds;

  return (self->arrivals->len <= MAX_ARRIVALS && self->n_unclaimed <= MAX_UNCLAIMED) ||
         mp_wire_set_broken (self, MP_ERROR_PROTOCOL, "too many descriptors");
}

/* The end of the stream, or a reset by a peer that did not read all: the same to who reads. */
static gssize
set_ended (MpWire  *self,
           GError **error)
{
  self->in.at_eof = TRUE;
  if (mp_wire_has_frame (self))
    return 0;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The other end is closed");
  return -1;
}

gssize
mp_wire_report_broken (MpWireInput  *self,
                       GError      **error)
{
  g_set_error_literal (error, self->broken->domain, self->broken->code, self->broken->message);
  return -1;
}

gssize
mp_wire_socket_fill (MpWire    *self,
                     gboolean   block,
                     GError   **error)
{
  MpWireInput *in = &self->in;
  int fds[MP_SOCKET_MAX_FDS];
  gboolean truncated = FALSE, ok = TRUE, at_end;
  guint8 *place = NULL;
  guint n_fds = 0;
  gsize size = 0;
  gssize n;

  if (in->at_eof)
    return set_ended (self, error);

  if (prepare_room (in, &place, &size))
    {
      if (size == 0)
        return 0;

      if (G_UNLIKELY (self->io != NULL))
        {
          n = mp_wire_io_recv (self, place, size, &at_end, error);
          if (n <= 0 && !at_end)
            return n;
        }
      else
        {
          n = mp_socket_recv (self->fd, place, size, fds, &n_fds, &truncated, block);
        }

      if (n == 0 || (n < 0 && errno == ECONNRESET))
        return set_ended (self, error);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
      if (n < 0)
        {
          int saved_errno = errno;

          g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot receive: %s",
                       g_strerror (saved_errno));
          return -1;
        }

      MP_TORTURE_POINT ("wire-received");
      if (G_UNLIKELY (n_fds > 0 || truncated))
        ok = add_arrival (in, n, fds, n_fds, truncated);
      in->received += n;
      if (in->large.active)
        in->large.filled += n;
      else
        in->end += n;
      if (ok)
        return n;
    }

  return mp_wire_report_broken (in, error);
}

gssize
mp_wire_fill (MpWire    *self,
              gboolean   block,
              GError   **error)
{
  if (self->ring_in.in_use)
    return mp_wire_ring_fill (self, block, error);
  if (self->lane_in.is_known)
    return mp_wire_lane_fill (self, error);
  return mp_wire_socket_fill (self, block, error);
}
