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

struct _MpWire
{
  int          fd;
  MpWireOutput out;
  MpWireInput  in;
  MpWireSlot  *in_slot;     /* (nullable) (not owned) */
  MpWireSlot  *out_slot;    /* (nullable) (not owned) */
  gboolean     listening;   /* in_slot was opened, and not closed since */
};

void      mp_wire_output_clear (MpWireOutput *self);
void      mp_wire_input_clear  (MpWireInput  *self);
gboolean  mp_wire_input_is_empty (MpWireInput *self);

/* mp-wire-slot.c */
/* @data: all that waits to be sent. FALSE: by the socket. */
gboolean  mp_wire_slot_put     (MpWire       *self,
                                const guint8 *data,
                                gsize         size);
/* The socket is going to be used. */
void      mp_wire_slot_refuse  (MpWire       *self);
/* The slot is listened to: closes it, and moves what is in it to @place, where there is room for MP_WIRE_SLOT_SIZE bytes.
 * 0: nothing is; -1: nonsense. */
gssize    mp_wire_slot_take    (MpWire       *self,
                                guint8       *place);

G_END_DECLS
