/* mp-ring-state-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-ring-private.h"

G_BEGIN_DECLS

/* What the files of the ring have in common. */

#define MP_RING_MAGIC    G_GUINT64_CONSTANT (0x0001676e69722d70)   /* "p-ring", version 1 */
#define MP_RING_HEADER   4096       /* bytes before the data */
#define MP_RING_MIN_SIZE 4096
#define MP_RING_LINE     128        /* two cache lines: neighbours are fetched in pairs */

/* A record: a word of its length and, in the upper half, its place in the stream; then its bytes, then up to 7 that
 * mean nothing. */
#define MP_RING_RECORD_SIZE(size)    ((gsize) 8 + (((gsize) (size) + 7) & ~(gsize) 7))
#define MP_RING_RECORD_WORD(at,size) ((guint64) (guint32) ((at) >> 3) << 32 | (guint32) (size))

typedef enum
{
  MP_RING_AWAKE,
  MP_RING_UNSURE,     /* awake, but may fall asleep without mp_barrier_run() */
  MP_RING_ON_WORD,    /* sleeps on the futex of this very word */
  MP_RING_ON_BELL,    /* sleeps on something of its own: mp_ring_peer_sleeps() */
} MpRingSleep;

typedef enum
{
  MP_RING_NEVER_TAKEN,
  MP_RING_TAKEN,
  MP_RING_LET_GO,
} MpRingHold;

/* One for each end, in shared memory. Only that end writes it, but that its sleep is ended by the other. */
typedef struct
{
  guint64 position;   /* bytes written or read since the ring was made: a multiple of 8 */
  guint32 hold;       /* MpRingHold */
  guint8  padding[MP_RING_LINE - 12];
  /* Apart from the position, because the other end looks here after each record while the position changes with
   * each. */
  guint32 sleep;      /* MpRingSleep */
  guint32 need;       /* a writer that sleeps: bytes of room that it waits for */
  guint8  padding2[MP_RING_LINE - 8];
} MpRingSide;

typedef struct
{
  guint64    magic;
  guint64    size;
  guint8     padding[MP_RING_LINE - 16];
  MpRingSide sides[2];   /* by MpRingEnd */
} MpRingHeader;

G_STATIC_ASSERT (sizeof (MpRingHeader) <= MP_RING_HEADER);
G_STATIC_ASSERT (sizeof (MpRingSide) == 2 * MP_RING_LINE);

struct _MpRing
{
  /* For each record. */
  guint8       *data;
  gsize         size;
  guint64       position;    /* this end's, with what a batch has not published yet */
  guint64       peer;        /* the other's, as it was when last looked at */
  guint64       published;   /* this end's, as the other sees it */
  MpRingSide   *own;
  MpRingSide   *other;
  gint8         end;         /* MpRingEnd, MP_RING_NO_END */
  gboolean      in_batch;
  gboolean      keeps_order; /* by itself, because mp_barrier_join() failed */
  gboolean      broken;      /* what the other end wrote cannot be */

  MpRingSleep   awake;       /* MP_RING_AWAKE or MP_RING_UNSURE */
  gsize         need;        /* writer: of the last write for which there was no room */
  guint         spin;        /* how often to look before sleeping */
  MpRingHeader *header;
  guint32       id;
  int           fd;          /* has no locks, so that it may be sent */
  int           lock_fd;     /* (owned) of an open file description that is never sent; -1: no end is held */
  GList         link;        /* among the rings of this process that hold an end */
};

#define MP_RING_NO_END  (-1)

/* FALSE sets @error: this end is not held, or the ring is broken. */
gboolean mp_ring_check      (MpRing      *self,
                             int          end,
                             const char  *what,
                             GError     **error);
gboolean mp_ring_break      (MpRing      *self,
                             const char  *what,
                             GError     **error);
/* Looks at the other end's position: bytes to be read, or room for them. FALSE when it cannot be. */
gboolean mp_ring_look       (MpRing      *self);
/* Bytes that there were to be read, or room for them, at the last look. */
static inline gsize
mp_ring_available (MpRing *self)
{
  return self->end == MP_RING_READER ? self->peer - self->position : self->size - (self->position - self->peer);
}

/* After this end's position has been stored: the other is not simply awake. */
void     mp_ring_see_peer   (MpRing      *self);
/* Lets the other end see what was written or read, and wakes it. */
void     mp_ring_publish    (MpRing      *self);

G_END_DECLS
