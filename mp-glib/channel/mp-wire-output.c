/* mp-wire-output.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_MIN   ((gsize) 4096)
#define BUFFER_KEEP  ((gsize) 262144)   /* an empty buffer larger than this is given back */
#define MAX_IOV      32

static void
chunk_clear (MpWireChunk *chunk)
{
  guint i;

  for (i = chunk->n_fds_sent; i < chunk->n_fds; i++)
    close (chunk->fds[i]);
  g_clear_pointer (&chunk->fds, g_free);
  chunk->n_fds = chunk->n_fds_sent = 0;
  g_clear_pointer (&chunk->bytes, g_bytes_unref);
}

void
mp_wire_output_clear (MpWireOutput *self)
{
  guint i;

  for (i = 0; i < self->n_chunks; i++)
    chunk_clear (&self->chunks[self->first + i]);
  g_clear_pointer (&self->chunks, g_free);
  g_clear_pointer (&self->buffer, g_free);
  *self = (MpWireOutput) { .last_start = G_MAXUINT64, .unheard = G_MAXUINT64, .is_stream = self->is_stream };
}

static MpWireChunk *
add_chunk (MpWireOutput *self)
{
  MpWireChunk *chunk;

  if (self->first + self->n_chunks == self->n_allocated)
    {
      if (self->first > self->n_chunks)
        {
          memmove (self->chunks, self->chunks + self->first, self->n_chunks * sizeof *self->chunks);
          self->first = 0;
        }
      else
        {
          self->n_allocated = MAX (8, 2 * self->n_allocated);
          self->chunks = g_renew (MpWireChunk, self->chunks, self->n_allocated);
        }
    }

  chunk = &self->chunks[self->first + self->n_chunks++];
  memset (chunk, 0, sizeof *chunk);
  return chunk;
}

/* Makes the buffer long enough. Bytes keep their place modulo 8, so that payloads are aligned for who fills them in. */
static void
make_room (MpWireOutput *self,
           gsize         size)
{
  gsize base = self->start & 7;
  gsize used = self->end - self->start;

  if (self->start > base && self->start >= used && used + base + size <= self->allocated)
    {
      memcpy (self->buffer + base, self->buffer + self->start, used);
      self->start = base;
      self->end = base + used;
      return;
    }

  while (self->allocated < self->end + size)
    self->allocated = MAX (BUFFER_MIN, 2 * self->allocated);
  self->buffer = g_realloc (self->buffer, self->allocated);
}

/* @size more bytes in the buffer, to be filled in. */
static inline guint8 *
reserve (MpWireOutput *self,
         gsize         size,
         gboolean      own_chunk)
{
  MpWireChunk *chunk;
  guint8 *place;

  if (G_UNLIKELY (self->allocated - self->end < size))
    make_room (self, size);

  if (self->n_chunks == 0 || own_chunk || self->chunks[self->first + self->n_chunks - 1].data != NULL)
    chunk = add_chunk (self);
  else
    chunk = &self->chunks[self->first + self->n_chunks - 1];

  place = self->buffer + self->end;
  chunk->size += size;
  self->end += size;
  self->queued += size;
  return place;
}

/* They leave with what was reserved last. */
static void
attach_fds (MpWireOutput *self,
            const int    *fds,
            guint         n_fds)
{
  MpWireChunk *chunk = &self->chunks[self->first + self->n_chunks - 1];

  chunk->fds = g_memdup2 (fds, n_fds * sizeof *fds);
  chunk->n_fds = n_fds;
}

/* The head of a frame, and @size bytes behind it in the buffer. */
static guint8 *
begin_frame (MpWireOutput *self,
             guint16       kind,
             guint32       tag,
             guint64       length,
             gsize         size,
             const int    *fds,
             guint         n_fds)
{
  guint8 *place;

  self->last_start = self->queued;
  place = reserve (self, sizeof (MpFrameHeader) + size, n_fds > 0);
  *(MpFrameHeader *) (gpointer) place = (MpFrameHeader) { length, tag, kind, n_fds };
  if (n_fds > 0)
    attach_fds (self, fds, n_fds);

  return place + sizeof (MpFrameHeader);
}

static void
append_copy (MpWireOutput  *self,
             gconstpointer  data,
             gsize          size)
{
  if (size > 0)
    memcpy (reserve (self, size, FALSE), data, size);
}

/* Large bytes stay where they are, but for the odd ones at their end: the buffer has a multiple of 8 of each frame. */
static void
append_piece (MpWireOutput  *self,
              const MpPiece *piece)
{
  gsize whole = self->is_stream ? piece->size : piece->size & ~(gsize) 7;
  MpWireChunk *chunk;

  if (piece->bytes == NULL || piece->size < MP_PIECE_MIN_REFERENCE)
    {
      append_copy (self, piece->data, piece->size);
      return;
    }

  chunk = add_chunk (self);
  chunk->data = piece->data;
  chunk->size = whole;
  chunk->bytes = g_bytes_ref (piece->bytes);
  self->queued += whole;
  append_copy (self, chunk->data + whole, piece->size - whole);
}

/* A frame of a stream. */
static void
queue_stream (MpWireOutput  *self,
              gboolean       is_value,
              const MpPiece *pieces,
              guint          n_pieces,
              const int     *fds,
              guint          n_fds)
{
  guint8 head[MP_STREAM_MAX_HEAD + MP_STREAM_MAGIC_SIZE];
  guint64 length = 0;
  guint i, n_head;

  for (i = 0; i < n_pieces; i++)
    length += pieces[i].size;

  n_head = mp_wire_stream_head (head, length, is_value);
  self->last_start = self->queued;
  memcpy (reserve (self, n_head, n_fds > 0), head, n_head);
  if (n_fds > 0)
    attach_fds (self, fds, n_fds);
  for (i = 0; i < n_pieces; i++)
    append_piece (self, &pieces[i]);
}

void
mp_wire_queue (MpWire        *self,
               guint16        kind,
               guint32        tag,
               const MpPiece *pieces,
               guint          n_pieces,
               const int     *fds,
               guint          n_fds)
{
  static const guint64 zeros = 0;
  guint64 length = 0;
  guint i;

  g_assert (n_fds <= MP_MAX_FDS);

  if (G_UNLIKELY (self->out.is_stream))
    {
      queue_stream (&self->out, FALSE, pieces, n_pieces, fds, n_fds);
      return;
    }

  for (i = 0; i < n_pieces; i++)
    length += pieces[i].size;

  begin_frame (&self->out, kind, tag, length, 0, fds, n_fds);
  for (i = 0; i < n_pieces; i++)
    append_piece (&self->out, &pieces[i]);
  append_copy (&self->out, &zeros, mp_pad8 (length) - length);
}

gpointer
mp_wire_queue_short (MpWire  *self,
                     guint16  kind,
                     guint32  tag,
                     gsize    size)
{
  gsize padded = mp_pad8 (size);
  guint8 *place = begin_frame (&self->out, kind, tag, size, padded, NULL, 0);

  if (padded > size)
    memset (place + padded - 8, 0, 8);
  return place;
}

void
mp_wire_queue_value (MpWire        *self,
                     guint16        kind,
                     guint32        tag,
                     gconstpointer  lead,
                     gsize          lead_size,
                     MpEncoded     *encoded)
{
  guint n_fds = encoded->fds != NULL ? encoded->fds->len : 0;
  const int *fds = n_fds > 0 ? (const int *) (gpointer) encoded->fds->data : NULL;
  guint64 length = lead_size + encoded->size;
  guint8 *place;
  guint i;

  g_assert (lead_size % 8 == 0 && n_fds <= MP_MAX_FDS);

  if (G_UNLIKELY (self->out.is_stream))
    {
      g_assert (lead_size == 0);
      queue_stream (&self->out, TRUE, encoded->pieces, encoded->n_pieces, fds, n_fds);
    }
  else if (encoded->n_pieces == 1)
    {
      place = begin_frame (&self->out, kind, tag, length, length, fds, n_fds);
      if (lead_size > 0)
        memcpy (place, lead, lead_size);
      memcpy (place + lead_size, encoded->pieces[0].data, encoded->size);
    }
  else
    {
      place = begin_frame (&self->out, kind, tag, length, lead_size, fds, n_fds);
      if (lead_size > 0)
        memcpy (place, lead, lead_size);
      for (i = 0; i < encoded->n_pieces; i++)
        append_piece (&self->out, &encoded->pieces[i]);
    }

  g_clear_pointer (&encoded->fds, g_array_unref);
}

void
mp_wire_output_consume (MpWireOutput *self,
                        gsize         n)
{
  self->sent += n;
  while (n > 0)
    {
      MpWireChunk *chunk = &self->chunks[self->first];
      gsize part = MIN (n, chunk->size);

      if (chunk->data != NULL)
        chunk->data += part;
      else
        self->start += part;
      chunk->size -= part;
      n -= part;

      if (chunk->size == 0)
        {
          chunk_clear (chunk);
          self->first++;
          self->n_chunks--;
        }
    }

  if (self->n_chunks > 0)
    return;

  self->first = 0;
  self->start = self->end = 0;
  if (self->allocated > BUFFER_KEEP)
    {
      g_clear_pointer (&self->buffer, g_free);
      self->allocated = 0;
    }
}

/* The bytes and descriptors that may go in one call, @limit bytes at most: descriptors only with the first byte,
 * MP_SOCKET_MAX_FDS at most; those beyond go with the bytes after it. In a stream a byte with descriptors goes
 * alone. */
static guint
gather (MpWireOutput *self,
        guint64       limit,
        struct iovec *iov,
        const int   **fds,
        guint        *n_fds,
        gsize        *total)
{
  MpWireChunk *chunk = &self->chunks[self->first];
  guint8 *buffered = self->buffer + self->start;
  guint i;

  *fds = chunk->fds != NULL ? chunk->fds + chunk->n_fds_sent : NULL;
  *n_fds = MIN (chunk->n_fds - chunk->n_fds_sent, MP_SOCKET_MAX_FDS);
  *total = 0;

  if (*n_fds < chunk->n_fds - chunk->n_fds_sent || (self->is_stream && *n_fds > 0))
    {
      iov[0] = (struct iovec) { buffered, 1 };
      *total = 1;
      return 1;
    }

  for (i = 0; i < self->n_chunks && i < MAX_IOV && *total < limit && (i == 0 || chunk[i].n_fds == 0); i++)
    {
      iov[i].iov_len = MIN (chunk[i].size, limit - *total);
      iov[i].iov_base = chunk[i].data != NULL ? (gpointer) chunk[i].data : buffered;
      if (chunk[i].data == NULL)
        buffered += chunk[i].size;
      *total += iov[i].iov_len;
    }

  return i;
}

gboolean
mp_wire_set_send_error (GError **error)
{
  int saved_errno = errno;

  if (saved_errno == EPIPE || saved_errno == ECONNRESET || saved_errno == ENOTCONN)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE, "Cannot send: the other end is closed");
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot send: %s",
                 g_strerror (saved_errno));
  return FALSE;
}

gboolean
mp_wire_socket_flush (MpWire    *self,
                      guint64    limit,
                      gboolean   block,
                      GError   **error)
{
  MpWireOutput *out = &self->out;
  guint64 end = limit < out->queued - out->sent ? out->sent + limit : out->queued;

  if (G_UNLIKELY (self->io != NULL))
    return mp_wire_io_flush (self, error);

  while (out->sent < end)
    {
      struct iovec iov[MAX_IOV];
      const int *fds;
      guint n_fds, n_iov, i;
      gsize total;
      gssize n;

      n_iov = gather (out, end - out->sent, iov, &fds, &n_fds, &total);
      n = mp_socket_send (self->fd, iov, n_iov, fds, n_fds, block);
      if (n < 0 && !block && (errno == EAGAIN || errno == EWOULDBLOCK))
        return TRUE;
      if (n < 0)
        return mp_wire_set_send_error (error);
      MP_TORTURE_POINT ("wire-sent");

      for (i = 0; i < n_fds; i++)
        close (fds[i]);
      out->chunks[out->first].n_fds_sent += n_fds;
      mp_wire_output_consume (out, n);

      if ((gsize) n < total && !block)
        return TRUE;
    }

  return TRUE;
}

static gboolean
flush (MpWire    *self,
       gboolean   block,
       GError   **error)
{
  if (self->ring_out.in_use)
    return mp_wire_ring_flush (self, block, FALSE, error);
  if (self->lane_out.writers != NULL && self->out.queued != self->out.sent &&
      !mp_wire_writers_claim (self->lane_out.writers))
    mp_wire_quit_lane (self);
  if (self->lane_out.is_allowed)
    return mp_wire_lane_flush (self, error);
  return mp_wire_socket_flush (self, G_MAXUINT64, block, error);
}

gboolean
mp_wire_flush (MpWire  *self,
               GError **error)
{
  return flush (self, FALSE, error);
}

gboolean
mp_wire_flush_blocking (MpWire  *self,
                        GError **error)
{
  return flush (self, TRUE, error);
}

void
mp_wire_drop_output (MpWire *self)
{
  mp_wire_output_clear (&self->out);
  self->ring_out.by_socket = 0;
  self->lane_out.at_start = FALSE;
}

gsize
mp_wire_get_pending (MpWire *self)
{
  return self->out.queued - self->out.sent;
}

guint64
mp_wire_get_queued (MpWire *self)
{
  return self->out.queued;
}

gboolean
mp_wire_has_sent (MpWire  *self,
                  guint64  position)
{
  return position <= self->out.sent && position <= self->out.unheard;
}

gboolean
mp_wire_last_untouched (MpWire *self)
{
  gsize untaken = self->io != NULL ? self->io->funcs->get_untaken (self->io) : 0;

  return self->out.last_start != G_MAXUINT64 && self->out.sent + untaken <= self->out.last_start &&
         self->out.last_start < self->out.queued;
}

void
mp_wire_unqueue_last (MpWire *self)
{
  MpWireOutput *out = &self->out;

  g_return_if_fail (mp_wire_last_untouched (self));

  while (out->queued > out->last_start)
    {
      MpWireChunk *chunk = &out->chunks[out->first + out->n_chunks - 1];
      gsize part = MIN (chunk->size, out->queued - out->last_start);

      if (chunk->data == NULL)
        out->end -= part;
      chunk->size -= part;
      out->queued -= part;
      if (chunk->size == 0)
        {
          chunk_clear (chunk);
          out->n_chunks--;
        }
    }

  out->last_start = G_MAXUINT64;
}

void
mp_wire_own_bytes (MpWire *self,
                   GBytes *bytes)
{
  MpWireOutput *out = &self->out;
  guint i;

  for (i = 0; i < out->n_chunks; i++)
    {
      MpWireChunk *chunk = &out->chunks[out->first + i];

      if (chunk->bytes != bytes)
        continue;
      g_bytes_unref (chunk->bytes);
      chunk->bytes = g_bytes_new (chunk->data, chunk->size);
      chunk->data = g_bytes_get_data (chunk->bytes, NULL);
    }
}
