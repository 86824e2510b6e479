/* mp-wire-parts-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"

G_BEGIN_DECLS

/* The two halves of a wire; for mp-wire*.c only. */

/* One run of bytes on its way out. */
typedef struct
{
  const guint8 *data;       /* of @bytes; NULL: the next bytes of the output's buffer */
  gsize         size;       /* not sent yet */
  GBytes       *bytes;      /* (owned) (nullable) */
  int          *fds;        /* (owned) (nullable): leave with the first bytes */
  guint         n_fds;
  guint         n_fds_sent;
} MpWireChunk;

typedef struct
{
  guint8      *buffer;      /* gathers what is short; what lies in it keeps its place modulo 8 */
  gsize        start;
  gsize        end;
  gsize        allocated;
  MpWireChunk *chunks;
  guint        first;
  guint        n_chunks;    /* from @first on */
  guint        n_allocated;
  guint64      queued;      /* bytes, ever */
  guint64      sent;
  guint64      last_start;  /* @queued before the last frame; G_MAXUINT64: taken back */
} MpWireOutput;

/* Descriptors that came with the bytes from @start to @end of the stream. */
typedef struct
{
  guint64   start;
  guint64   end;
  int      *fds;            /* (owned) (nullable) */
  guint     n_fds;
  gboolean  truncated;
} MpWireArrival;

/* The payload of a large frame, read straight to where it stays. */
typedef struct
{
  gboolean  active;
  MpFrame   frame;          /* all but the data */
  guint64   length;
  gsize     total;          /* @length with the zeros */
  gsize     filled;
  gsize     allocated;
  gboolean  mapped;
  guint8   *data;           /* (owned) */
} MpWireLarge;

typedef struct
{
  guint8      *buffer;      /* from the first read on */
  gsize        start;       /* always the beginning of a frame, a multiple of 8 */
  gsize        end;
  guint64      received;    /* bytes, ever */
  guint64      max_length;
  GArray      *arrivals;    /* (owned) (nullable) of MpWireArrival, in order */
  guint        n_unclaimed; /* descriptors in it */
  gboolean     at_eof;
  GError      *broken;      /* (owned) (nullable): what the peer did */
  MpWireLarge  large;
} MpWireInput;

/* The short way out. */
typedef struct
{
  MpRing   *ring;           /* (owned) (nullable) */
  gboolean  in_use;         /* all goes there, but for … */
  guint64   by_socket;      /* … the next so many bytes, which go by the socket */
} MpWireRingOut;

/* The short way in. */
typedef struct
{
  MpRing   *ring;           /* (owned) (nullable) */
  gboolean  in_use;         /* all comes by it, but for … */
  gboolean  by_socket;      /* … the next frame, which comes by the socket */
  gboolean  asleep;         /* the other end has been told so */
  guint8   *record;         /* (owned): of the last one read … */
  gsize     size;
  gsize     start, end;     /* … this is left: whole frames */
} MpWireRingIn;

struct _MpWire
{
  int           fd;
  MpWireOutput  out;
  MpWireInput   in;
  MpWireRingOut ring_out;
  MpWireRingIn  ring_in;
};

void      mp_wire_output_clear (MpWireOutput *self);
void      mp_wire_input_clear  (MpWireInput  *self);
gboolean  mp_wire_input_is_empty (MpWireInput *self);

/* The way of the socket; in rings' time that of a part of the frames. */
gboolean  mp_wire_socket_flush (MpWire       *self,
                                guint64       limit,      /* bytes */
                                gboolean      block,
                                GError      **error);
gboolean  mp_wire_socket_next  (MpWire       *self,
                                MpFrame      *frame,
                                GError      **error);
gssize    mp_wire_socket_fill  (MpWire       *self,
                                gboolean      block,
                                GError      **error);
/* FALSE: nothing that the peer sends is believed any more. */
gboolean  mp_wire_set_broken   (MpWireInput  *self,
                                int           code,
                                const char   *what);
gssize    mp_wire_report_broken (MpWireInput *self,
                                GError      **error);
gboolean  mp_wire_check_zeros  (MpWireInput  *self,
                                const guint8 *data,
                                gsize         size);
/* @n bytes of the output have left. */
void      mp_wire_output_consume (MpWireOutput *self,
                                gsize         n);
gboolean  mp_wire_set_send_error (GError    **error);

/* mp-wire-ring.c */
void      mp_wire_rings_clear  (MpWire       *self);
gboolean  mp_wire_ring_flush   (MpWire       *self,
                                gboolean      block,
                                gboolean      quiet,
                                GError      **error);
gboolean  mp_wire_ring_next    (MpWire       *self,
                                MpFrame      *frame,
                                GError      **error);
gssize    mp_wire_ring_fill    (MpWire       *self,
                                gboolean      block,
                                GError      **error);

G_END_DECLS
