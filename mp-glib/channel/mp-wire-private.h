/* mp-wire-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-codec-private.h"

G_BEGIN_DECLS

/* One end of a stream socket that carries frames: the engine of MpConnection and of worker control. Not thread-safe:
 * its user holds a lock (the connection's, the hub's, or none in a worker). Never blocks but where it says so.
 *
 * A frame is a header and a payload, zeros up to a multiple of 8. Descriptors go beside the header: at most 253 with
 * each of its first bytes. A frame whose peer ends in the middle is not there: the end of the stream is reported. */

typedef struct
{
  guint64 length;   /* bytes of payload without the zeros */
  guint32 tag;      /* meaning depends on kind */
  guint16 kind;
  guint16 n_fds;
} MpFrameHeader;    /* 16 bytes, host byte order; kind 0 is no frame */

typedef struct
{
  guint32       tag;
  guint16       kind;
  guint16       n_fds;
  gboolean      fds_lost;   /* this process had no descriptors free: n_fds is 0, the rest of the frame is whole */
  const guint8 *data;       /* 8-aligned; until the next fill or clear */
  gsize         size;
  GBytes       *bytes;      /* (owned) (nullable): set when the payload was large and has memory of its own */
  int          *fds;        /* (owned) n_fds of them, CLOEXEC; those not set to -1 are closed by mp_frame_clear() */
} MpFrame;

typedef struct _MpWire MpWire;

/* Takes @fd (a connected AF_UNIX SOCK_STREAM socket). @max_length bounds a received payload. */
MpWire   *mp_wire_new          (int             fd,
                                guint64         max_length);
void      mp_wire_free         (MpWire         *self);      /* closes the descriptor, drops what was not sent */
int       mp_wire_get_fd       (MpWire         *self);
int       mp_wire_steal_fd     (MpWire         *self);      /* for handing the socket on; must be idle */
gboolean  mp_wire_is_idle      (MpWire         *self);      /* nothing buffered, in or out */
void      mp_wire_set_max_length (MpWire       *self,
                                guint64         max_length);

/* Output. Frames are queued in order; small ones are gathered, pieces with GBytes of 16 KiB and more are sent from
 * where they lie (a reference is kept). @fds: duplicates are NOT made: ownership of the numbers passes to the wire, which
 * closes them when they are sent or dropped. At most MP_MAX_FDS. Queueing never fails. */
void      mp_wire_queue        (MpWire         *self,
                                guint16         kind,
                                guint32         tag,
                                const MpPiece  *pieces,
                                guint           n_pieces,
                                const int      *fds,
                                guint           n_fds);
/* The same for one short payload, whose place in the output buffer is returned to be filled in at once. */
gpointer  mp_wire_queue_short  (MpWire         *self,
                                guint16         kind,
                                guint32         tag,
                                gsize           size);
/* A frame of one leading struct (8-aligned size) and an encoded value; steals the value's descriptors. */
void      mp_wire_queue_value  (MpWire         *self,
                                guint16         kind,
                                guint32         tag,
                                gconstpointer   lead,
                                gsize           lead_size,
                                MpEncoded      *encoded);
/* Writes what the socket takes. TRUE also when it would block (then mp_wire_get_pending() > 0). FALSE: the peer is gone
 * (G_IO_ERROR_CLOSED or _BROKEN_PIPE) or the system refused. */
gboolean  mp_wire_flush        (MpWire         *self,
                                GError        **error);
/* Writes all, blocking; only for a worker's own side. */
gboolean  mp_wire_flush_blocking (MpWire       *self,
                                GError        **error);
void      mp_wire_drop_output  (MpWire         *self);      /* what has not been sent: after an error only */
gsize     mp_wire_get_pending  (MpWire         *self);      /* bytes queued and not yet taken by the kernel */
/* Whether a byte of the frame queued last has left. When not, mp_wire_unqueue_last() takes that frame back. */
gboolean  mp_wire_last_untouched (MpWire       *self);
void      mp_wire_unqueue_last (MpWire         *self);

/* Input. fill() reads once; @block: waits for the first byte (EINTR is handled). Take all frames that are there with
 * next() before the next fill(): it makes room only behind them. Result: bytes read, 0 = would block or frames are to
 * be taken first, -1 = error (also at the end of the stream: G_IO_ERROR_CLOSED, once all whole frames have been taken).
 */
gssize    mp_wire_fill         (MpWire         *self,
                                gboolean        block,
                                GError        **error);
/* The next whole frame, if one is there. FALSE with no error: none yet. FALSE with error: MP_ERROR_PROTOCOL or
 * MP_ERROR_TOO_LARGE: the peer is to be cut off. */
gboolean  mp_wire_next         (MpWire         *self,
                                MpFrame        *frame,
                                GError        **error);
gboolean  mp_wire_has_frame    (MpWire         *self);      /* next() would give a whole one, or an error */
gboolean  mp_wire_at_end       (MpWire         *self);      /* the peer has closed and nothing whole is left */

/* Slots: the short way of a few bytes between two ends that share memory, while the reader waits busily. They carry what the
 * socket would: bytes of the stream, in their order. The reader opens the slot when it has read all that was written; the
 * writer's next flush puts the bytes there, if they are few and bring no descriptors, or else closes it and
 * uses the socket. Both sides' counts of bytes are in the slot, so that neither way can overtake the other. What was
 * put there is there whole, also when the writer has died since. */
#define MP_WIRE_SLOT_SIZE 480

typedef struct
{
  guint32 state;      /* atomic */
  guint32 size;
  guint64 written;    /* atomic: by the writer, ever, or about to be */
  guint64 read;       /* by the reader, ever */
  guint64 reserved;
  guint8  data[MP_WIRE_SLOT_SIZE];
} MpWireSlot;         /* 512 bytes; zeros at first */

/* Both ends count from the first byte on: bytes that this process sent before it had a wire. */
void      mp_wire_add_sent     (MpWire         *self,
                                gsize           n_bytes);
/* @in, @out: in shared memory that outlives the wire. */
void      mp_wire_set_slots    (MpWire         *self,
                                MpWireSlot     *in,
                                MpWireSlot     *out);
/* FALSE: there are none, or something is to be read. After TRUE close() must follow soon; fill() closes it, too. */
gboolean  mp_wire_open_slot    (MpWire         *self);
gboolean  mp_wire_slot_is_open (MpWire         *self);      /* nothing has come: neither there nor by the socket */
/* TRUE: something has come; fill() takes it. */
gboolean  mp_wire_close_slot   (MpWire         *self);

void      mp_frame_clear       (MpFrame        *frame);
/* The value that begins at @offset (a multiple of 8) of the payload; takes the frame's descriptors as needed. */
GVariant *mp_frame_get_value   (MpFrame        *frame,
                                gsize           offset,
                                gsize          *used,
                                GError        **error);

G_END_DECLS
