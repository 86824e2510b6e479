/* mp-wire-parts-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-io-private.h"

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
  guint64      unheard;     /* what lies behind this went to one who cannot be told of it; G_MAXUINT64: nothing did */
  gboolean     is_stream;   /* see MP_STREAM_KIND */
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

#define MP_WIRE_BUFFER_SIZE ((gsize) 65536)
#define MP_WIRE_STREAM_BASE 4   /* where a frame of a stream begins, so that what follows 4 bytes of head is aligned */

/* What the buffer begins with. */
typedef enum
{
  MP_WIRE_NOTHING_WHOLE,
  MP_WIRE_WHOLE_FRAME,
  MP_WIRE_LARGE_BEGINS,     /* the head of a frame that will not fit into the buffer */
  MP_WIRE_BAD_FRAME,
} MpWireState;

typedef struct
{
  guint8      *buffer;      /* from the first read on */
  gsize        start;       /* always the beginning of a frame, a multiple of 8 but for streams */
  gsize        end;
  guint64      received;    /* bytes, ever */
  guint64      max_length;
  GArray      *arrivals;    /* (owned) (nullable) of MpWireArrival, in order */
  guint        n_unclaimed; /* descriptors in it */
  gboolean     at_eof;
  GError      *broken;      /* (owned) (nullable): what the peer did */
  MpWireLarge  large;
  gboolean     is_stream;   /* see MP_STREAM_KIND */
} MpWireInput;

/* The short way out. */
typedef struct
{
  MpRing   *ring;           /* (owned) (nullable) */
  gboolean  in_use;         /* all goes there, but for … */
  guint64   by_socket;      /* … the next so many bytes, which go by the socket */
} MpWireRingOut;

/* What is read of a ring: frames, of which each record has some. */
typedef struct
{
  MpRing   *ring;           /* (owned) (nullable) */
  gboolean  asleep;         /* the other end has been told so */
  guint8   *record;         /* (owned) (nullable): of the last one read … */
  gsize     size;
  gsize     start, end;     /* … this is left: whole frames */
} MpWireRecords;

/* The short way in. */
typedef struct
{
  MpWireRecords records;
  gboolean      in_use;     /* all comes by it, but for … */
  gboolean      by_socket;  /* … the next frame, which comes by the socket */
} MpWireRingIn;

/* Who sends from this end, see mp-wire-writers.c. */
typedef struct _MpWireWriters MpWireWriters;

/* The ring that this end has made, see mp-wire-lane.c. */
typedef struct
{
  gboolean  is_allowed;     /* to make one */
  gboolean  in_use;         /* what is sent goes there */
  gboolean  at_start;       /* nothing but whole frames has left by the socket */
  MpRing   *ring;           /* (owned) (nullable) */
  guint     n_short;        /* frames that could have gone there, since … */
  guint     n_offers;       /* … the last of so many rings */
  guint     patience;       /* how often to look for room */
  guint     n_runs;         /* since it was seen that somebody reads there */
  MpWireWriters *writers;   /* (owned) (nullable): another process has, or had, this end as well */
} MpWireLaneOut;

/* The other end's. */
typedef struct
{
  MpWireRecords records;
  gboolean      is_known;   /* the other end may offer one */
  gboolean      is_allowed; /* to take it */
  gboolean      in_use;     /* what comes next is there */
  gboolean      leaves_socket;   /* does not look at it */
  gboolean      dozes;      /* a thread sleeps by the ring's word */
  gboolean      is_shared;  /* another process than the ring's writer has sent something, by the socket */
  guint         n_taken;    /* frames since the socket was looked at */
  gboolean      is_due;     /* a frame is in the socket's buffer, whose turn is … */
  guint64       due;        /* … when the ring has been read up to here */
} MpWireLaneIn;

struct _MpWire
{
  int           fd;
  MpWireIO     *io;         /* (owned) (nullable): @fd is its own, then */
  MpWireOutput  out;
  MpWireInput   in;
  MpWireRingOut ring_out;
  MpWireRingIn  ring_in;
  MpWireLaneOut lane_out;
  MpWireLaneIn  lane_in;
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
gboolean  mp_wire_set_too_large (MpWireInput *self,
                                guint64       length);
/* Descriptors that came before @position of the stream and were claimed by no frame. */
gboolean  mp_wire_check_stray_fds (MpWireInput *self,
                                guint64       position);
/* Those of the oldest arrival, added to the @n there are in @fds. FALSE: this process had none free, and they are
 * lost. */
gboolean  mp_wire_take_arrival (MpWireInput  *self,
                                int          *fds,
                                guint        *n);
/* @n bytes of the output have left. */
void      mp_wire_output_consume (MpWireOutput *self,
                                gsize         n);
gboolean  mp_wire_set_send_error (GError    **error);

/* mp-wire-io.c: in place of the socket's own ways. */
gboolean  mp_wire_io_flush     (MpWire       *self,
                                GError      **error);
gssize    mp_wire_io_recv      (MpWire       *self,
                                gpointer      data,
                                gsize         size,
                                gboolean     *at_end,
                                GError      **error);

/* mp-wire-stream.c */
MpWireState mp_wire_stream_look (MpWireInput *self,
                                MpFrameHeader *header);
gboolean  mp_wire_stream_begin (MpWireInput  *self,
                                MpFrame      *frame);
void      mp_wire_stream_take  (MpWireInput  *self,
                                gsize         size,
                                MpFrame      *frame);
void      mp_wire_stream_mark  (MpFrame      *frame);
/* The head of a frame on its way out. @is_value: the magic is a part of it. Its size. */
guint     mp_wire_stream_head  (guint8        head[MP_STREAM_MAX_HEAD + MP_STREAM_MAGIC_SIZE],
                                guint64       length,
                                gboolean      is_value);

/* mp-wire-writers.c */
MpWireWriters *mp_wire_writers_new (GError  **error);
/* Takes @fd. */
MpWireWriters *mp_wire_writers_adopt (int     fd,
                                GError      **error);
int       mp_wire_writers_get_fd (MpWireWriters *self);   /* to be sent; stays theirs */
/* Before something is sent. FALSE: others do as well, and from here on all use the socket. */
gboolean  mp_wire_writers_claim (MpWireWriters *self);
/* In a copy of the process: what the page says of the first is not its own. */
void      mp_wire_writers_rename (MpWireWriters *self);
/* Nothing more is sent here, for the time being. */
void      mp_wire_writers_release (MpWireWriters *self);
void      mp_wire_writers_free (MpWireWriters *self);

/* mp-wire-lane.c */
/* Others send from this end as well. */
void      mp_wire_quit_lane    (MpWire       *self);
void      mp_wire_lanes_clear  (MpWire       *self);
gboolean  mp_wire_lane_flush   (MpWire       *self,
                                GError      **error);
gboolean  mp_wire_lane_next    (MpWire       *self,
                                MpFrame      *frame,
                                GError      **error);
gssize    mp_wire_lane_fill    (MpWire       *self,
                                GError      **error);
gboolean  mp_wire_lane_has_news (MpWire      *self);

/* mp-wire-records.c */
/* The next record, when nothing is left of the one before. FALSE: none there, or it is none, and @in is broken. */
gboolean  mp_wire_records_read (MpWireRecords *self,
                                MpWireInput  *in);
/* The next frame of what is left. FALSE: it is none, and @in is broken. */
gboolean  mp_wire_records_take (MpWireRecords *self,
                                MpWireInput  *in,
                                MpFrame      *frame);
/* FALSE: there is something. Else whoever puts something there will ring. */
gboolean  mp_wire_records_fall_asleep (MpWireRecords *self);
void      mp_wire_records_wake (MpWireRecords *self);
/* A frame that is nothing but its head, by the socket; it is not queued, because what is queued can be taken back.
 * FALSE with errno: it does not fit into the socket now, or something else is wrong. */
gboolean  mp_wire_send_word    (MpWire       *self,
                                guint16       kind,
                                guint32       tag,
                                int           fd);
/* A socket that is full is readable at the other end: then that wakes up in any case. */
gboolean  mp_wire_send_bell    (MpWire       *self,
                                GError      **error);

/* mp-wire-ring.c */
/* Bytes of the frames at the front that go together through a ring; 0: the first one must go by the socket. */
gsize     mp_wire_measure_run  (MpWireOutput *self,
                                gsize         limit);
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
