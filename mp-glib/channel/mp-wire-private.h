/* mp-wire-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-ring-private.h"
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
  gboolean      is_value;   /* of a stream only: begins with the magic */
  const guint8 *data;       /* 8-aligned; until the next fill or clear */
  gsize         size;
  GBytes       *bytes;      /* (owned) (nullable): set when the payload was large and has memory of its own */
  int          *fds;        /* (owned) n_fds of them, CLOEXEC; those not set to -1 are closed by mp_frame_clear() */
} MpFrame;

typedef struct _MpWire MpWire;

/* Takes @fd (a connected AF_UNIX SOCK_STREAM socket). @max_length bounds a received payload. */
MpWire   *mp_wire_new          (int             fd,
                                guint64         max_length);
/* The same with the framing of CPython's multiprocessing.connection, for listeners and clients: @fd may be of any
 * family. See below. */
MpWire   *mp_wire_new_stream   (int             fd,
                                guint64         max_length);
gboolean  mp_wire_is_stream    (MpWire         *self);
void      mp_wire_free         (MpWire         *self);      /* closes the descriptor, drops what was not sent */
int       mp_wire_get_fd       (MpWire         *self);
int       mp_wire_steal_fd     (MpWire         *self);      /* for handing the socket on; must be idle */
gboolean  mp_wire_is_idle      (MpWire         *self);      /* nothing buffered, in or out */
void      mp_wire_set_max_length (MpWire       *self,
                                guint64         max_length);

/* Output. Frames are queued in order; small ones are gathered, pieces with GBytes of 16 KiB and more are sent from
 * where they lie (a reference is kept). @fds: duplicates are NOT made: ownership of the numbers passes to the wire,
 * which closes them when they are sent or dropped. At most MP_MAX_FDS. Queueing never fails. */
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
/* The place of the end of what was queued last, among all of the wire since output was dropped, if it ever was; and whether
 * all before a place has been taken. */
guint64   mp_wire_get_queued   (MpWire         *self);
gboolean  mp_wire_has_sent     (MpWire         *self,
                                guint64         position);
/* Whether a byte of the frame queued last has left. When not, mp_wire_unqueue_last() takes that frame back. */
gboolean  mp_wire_last_untouched (MpWire       *self);
void      mp_wire_unqueue_last (MpWire         *self);
/* What is still to be sent of @bytes is copied: their memory is needed no longer. */
void      mp_wire_own_bytes    (MpWire         *self,
                                GBytes         *bytes);

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
/* next() or fill() has something to say that need not show at the descriptor. */
gboolean  mp_wire_has_news     (MpWire         *self);
gboolean  mp_wire_at_end       (MpWire         *self);      /* the peer has closed and nothing whole is left */

/* Rings: the short way between two ends that share memory (mp-ring-private.h), without a system call while both are
 * awake. Small frames go through the ring, several at a time; one that is large or brings descriptors goes by the
 * socket, and a mark in the ring says so: the ring has the order of all. Whoever writes to a ring whose reader sleeps
 * rings the bell: an empty frame in the socket, which the reader passes over. What was put there is there whole, also
 * when the writer has died since.
 *
 * Each end is given both rings before the other may use them; it then says in the socket that from now on its
 * frames go through the ring. Kinds of frames that are the wire's own: */
#define MP_WIRE_RINGS     0xfff1   /* in the socket: what follows goes through the ring */
#define MP_WIRE_BELL      0xfff2   /* in the socket: there is something in the ring */
#define MP_WIRE_BY_SOCKET 0xfff3   /* in the ring: the next frame is in the socket */

/* Takes both, of which the reader's end and the writer's end are held here. */
void      mp_wire_take_rings   (MpWire         *self,
                                MpRing         *in,
                                MpRing         *out);
/* What is queued from now on goes through the ring. */
void      mp_wire_use_ring     (MpWire         *self);
/* What the other end sends comes through the ring. */
gboolean  mp_wire_has_ring     (MpWire         *self);
/* There is something in the ring: next() gives it, or reason to look into the socket: fill() does. No system call. */
gboolean  mp_wire_look         (MpWire         *self);
/* Without a ring, TRUE. fill() says by itself when there is nothing to read that this end is going to sleep; who has
 * not called it since must do so before waiting for the descriptor. FALSE: there is something. */
gboolean  mp_wire_sleep        (MpWire         *self);
/* This end looks by itself, for the time being: no bell is needed. sleep() must follow. */
void      mp_wire_stay_awake   (MpWire         *self);
/* As flush_blocking(), but does not ring: ring() must follow before this end sleeps. */
gboolean  mp_wire_flush_quietly (MpWire        *self,
                                GError        **error);
gboolean  mp_wire_ring         (MpWire         *self,
                                GError        **error);
/* What is pending waits for the socket to become writable, and not only for room in the ring, of which nobody tells. */
gboolean  mp_wire_waits_for_socket (MpWire     *self);

/* Lanes: rings that two ends make for themselves, each for what it sends, when there are many short frames; see
 * mp-wire-lane.c. For wires that are not streams, and whose calls do not block: mp_wire_flush() and mp_wire_fill() with
 * @block FALSE. Kinds of frames that are the wire's own: */
#define MP_WIRE_LANE_OFFER 0xfff4   /* in the socket, with the descriptor of a ring */
#define MP_WIRE_LANE_GO    0xfff5   /* in the socket: what follows comes by the ring */
#define MP_WIRE_LANE_END   0xfff6   /* in the ring: what follows comes by the socket */

/* The other end may make one. @is_allowed: this one too, and takes what the other offers. */
void      mp_wire_set_up_lanes (MpWire         *self,
                                gboolean        is_allowed);
/* The other end's is in use. */
gboolean  mp_wire_has_lane     (MpWire         *self);
/* next() or fill() gives something that is in it. No system call. */
gboolean  mp_wire_look_at_lane (MpWire         *self);
/* This end looks by itself, for the time being: fill(), or has_news(), must follow before it waits for the descriptor. */
void      mp_wire_watch_lane   (MpWire         *self);
/* While set, fill() looks at the lane only and leaves this end awake: what follows is begin_doze() or a fill() as ever. */
void      mp_wire_leave_socket (MpWire         *self,
                                gboolean        leave);
/* This end is going to sleep by @wait, for a while, from which what comes by the lane wakes it. FALSE: it is not to do
 * so, or does. Else end_doze() must follow; rouse() is for another thread, and ends the sleep, if there is one. */
gboolean  mp_wire_begin_doze   (MpWire         *self,
                                MpFutexWait    *wait);
void      mp_wire_end_doze     (MpWire         *self);
void      mp_wire_rouse        (MpWire         *self);
/* Whether another process than the one that has the lane has sent something since this was asked last: more of that will
 * come by the socket. */
gboolean  mp_wire_take_shared  (MpWire         *self);
/* Another process goes on with this end, which is idle: leaves the own ring, and lets go of the other's end, of which
 * @fd is the descriptor, or -1. */
gboolean  mp_wire_leave_lanes  (MpWire         *self,
                                int            *fd,
                                gboolean       *in_use,
                                GError        **error);
/* The same for what it sends: a descriptor for mp_wire_take_writers() there, which stays the wire's; -1: an error. */
int       mp_wire_share_writers (MpWire        *self,
                                GError        **error);
/* Takes @fd. */
gboolean  mp_wire_take_writers (MpWire         *self,
                                int             fd,
                                GError        **error);
/* What that process does with it, which takes @fd. */
gboolean  mp_wire_take_lane    (MpWire         *self,
                                int             fd,
                                gboolean        in_use,
                                GError        **error);
/* This process is a copy that fork() has made of the one that used this so far. */
void      mp_wire_begin_copy   (MpWire         *self);

/* The framing of CPython's multiprocessing.connection (Lib/multiprocessing/connection.py, class Connection): a message
 * is its length, 4 bytes, big-endian, signed, and its bytes. For a length beyond 0x7fffffff the 4 bytes are -1, and the
 * length follows, 8 bytes, big-endian. There are no kinds, no tags, no zeros behind: mp_wire_queue() sends bytes,
 * whatever kind it is given. Not for rings and mp_wire_queue_short().
 *
 * What arrives has the kind MP_STREAM_KIND; its data is valid until the next next(), and 8-aligned only where is_value
 * is set. A value is the magic and what the codec makes of it: mp_wire_queue_value() puts the magic there, and counts
 * it; who receives it asks for the value at MP_STREAM_MAGIC_SIZE. In a byte order that is not ours it is no value.
 *
 * Descriptors leave with the first bytes of the head, as always, here each group with a single byte sent by itself:
 * that is where a read ends, so that it is known whose they are without a word about them in the head. Others are an
 * error. */
#define MP_STREAM_KIND       2
#define MP_STREAM_MAGIC_SIZE 8
#define MP_STREAM_MAX_HEAD   12
#define MP_STREAM_MAGIC      G_GUINT64_CONSTANT (0x0a0d315647704d93)   /* host byte order */

/* The head for a message of @length bytes: its size, 4 or 12. */
guint     mp_stream_put_head   (guint8          head[MP_STREAM_MAX_HEAD],
                                guint64         length);
/* The head that @size bytes begin with: its size; 0: there are not enough. G_MAXUINT: it is none. */
guint     mp_stream_get_head   (const guint8   *data,
                                gsize           size,
                                guint64        *length);

void      mp_frame_clear       (MpFrame        *frame);
/* The value that begins at @offset (a multiple of 8) of the payload; takes the frame's descriptors as needed. */
GVariant *mp_frame_get_value   (MpFrame        *frame,
                                gsize           offset,
                                gsize          *used,
                                GError        **error);

G_END_DECLS
