/* mp-ring-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "mp-glib/platform/mp-futex-private.h"

G_BEGIN_DECLS

/* A ring of bytes in a memory file of its own, from one process (or thread) that writes to one that reads. It carries
 * records: a length and that many bytes, in whole units of 8, and wraps. A record is there when the writer's position
 * has passed it, which is one store; so what a writer that dies leaves behind is whole records, and the reader still
 * gets them. A reader's position is one store too: a new reader goes on where the old one stopped.
 *
 * Each end is held by an exclusive lock on a byte of the file (mp-file-lock-private.h), dropped by the kernel at
 * death: that is how the other end learns of it, and how a new process can take the end over.
 *
 * The reader trusts nothing that it reads: positions are copied once and bounded by the size, lengths by what is
 * there; a ring that does not fit is MP_ERROR_PROTOCOL from then on. Records are copied out before anybody looks at
 * them. */

typedef struct _MpRing MpRing;

typedef enum
{
  MP_RING_READER,
  MP_RING_WRITER,
} MpRingEnd;

#define MP_RING_MAX_SIZE (1u << 30)

/* Whose handlers around a fork wait for somebody who may come to rings installs them after this. */
void      mp_ring_watch_forks (void);

/* A fresh ring of at least @size bytes (rounded up to a power of two, at least a page), not yet held at either end. */
MpRing   *mp_ring_new         (gsize       size,
                               GError    **error);
/* From a descriptor got from elsewhere (taken): checks seals, sizes, positions. */
MpRing   *mp_ring_adopt       (int         fd,
                               GError    **error);
int       mp_ring_get_fd      (MpRing     *self);     /* to be sent; stays the ring's */
gsize     mp_ring_get_size    (MpRing     *self);
/* The same in all processes that have it, and another's is another. */
guint32   mp_ring_get_id      (MpRing     *self);
/* G_IO_ERROR_BUSY while another has this end, or this ring has its other one. The end goes on where the one who had it
 * before stopped. A forked child has no end of its parent's rings. */
gboolean  mp_ring_take_end    (MpRing     *self,
                               MpRingEnd   end,
                               GError    **error);
/* After G_IO_ERROR_BUSY: the other end comes to see this one as let go, until somebody takes it. */
void      mp_ring_dispute_end (MpRing     *self,
                               MpRingEnd   end);
/* It need not be sent any more. Not before an end is held. */
void      mp_ring_close_fd    (MpRing     *self);
void      mp_ring_free        (MpRing     *self);     /* lets go of its end */

/* Whether this process has an end of it: not a forked copy of one that has. */
gboolean  mp_ring_has_end     (MpRing     *self);
/* Whether anybody has taken the other end, alive or not; and whether it has been let go of since. */
gboolean  mp_ring_peer_has_come  (MpRing  *self);
gboolean  mp_ring_peer_has_left  (MpRing  *self);
/* Where this end stands in the stream. Reader: where that ends now. Writer: whether something behind @position has been
 * read. */
guint64   mp_ring_get_position (MpRing    *self);
guint64   mp_ring_get_written (MpRing     *self);
gboolean  mp_ring_peer_has_passed (MpRing *self,
                               guint64     position);
/* Writer: for so many bytes, with the 8 of a record's length. */
gboolean  mp_ring_has_room    (MpRing     *self,
                               gsize       room);

/* Never sleep. FALSE: no room now (write), nothing there (read); a record larger than half of the ring is TOO_LARGE. */
gboolean  mp_ring_try_write   (MpRing        *self,
                               gconstpointer  data,
                               gsize          size,
                               GError       **error);
/* The next record is copied to @buffer. When @buffer_size is less than its @size: FALSE without error, *size set, and
 * it stays. */
gboolean  mp_ring_try_read    (MpRing        *self,
                               gpointer       buffer,
                               gsize          buffer_size,
                               gsize         *size,
                               GError       **error);
/* TRUE: a read gives a record, or an error. */
gboolean  mp_ring_has_record  (MpRing        *self);
/* Many small records are dear to publish one by one: between begin and end the other end does not see that they were
 * written, or read, unless mp_ring_wait() or one of the functions about sleep is called. A reader that dies in a batch has
 * read nothing of it. */
void      mp_ring_begin_batch (MpRing        *self);
void      mp_ring_end_batch   (MpRing        *self);

/* Sleeps until there is something to read, or @room bytes to write. TRUE: there is. FALSE with G_IO_ERROR_CLOSED: the
 * other end is dead or was never taken and there is nothing to read; TIMED_OUT, CANCELLED, MP_ERROR_INTERRUPTED. */
gboolean  mp_ring_wait        (MpRing        *self,
                               gsize          room,
                               gint64         timeout_us,
                               GCancellable  *cancellable,
                               GError       **error);
gboolean  mp_ring_peer_is_alive (MpRing      *self);
/* Whether the other end sleeps, or will before it looks again: then it needs to be woken by other means than the
 * ring's futex (a byte on a socket). Clears the mark. For who uses its own bell instead of mp_ring_wait(). */
gboolean  mp_ring_peer_sleeps (MpRing        *self);
/* Says that this end is going to sleep. FALSE: look again first. */
gboolean  mp_ring_going_to_sleep (MpRing     *self);
void      mp_ring_awake       (MpRing        *self);
/* The same for who sleeps by @wait, which is filled in, and is woken by the other end's next step or by mp_ring_rouse()
 * of another thread, which has called one of the two functions above before. That one's time is to be bounded: nothing
 * else ends such a sleep. */
gboolean  mp_ring_going_to_doze (MpRing      *self,
                               MpFutexWait   *wait);
void      mp_ring_rouse       (MpRing        *self);
/* This end, which is held, falls asleep often, with few records between: then the fence is cheaper that the other has to
 * make with each of them. */
void      mp_ring_sleeps_often (MpRing       *self);

G_END_DECLS
