/* mp-tape-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"

G_BEGIN_DECLS

/* The memory of a queue: a sealed, sparse memory file, mapped by every process that has the queue. On it records follow
 * each other in the order in which they were put. A page of the file holds what both sides say, behind it is a word for
 * each participant, and behind that are the rings: areas of memory, each some times as large as the one before.
 *
 * Who puts and who gets have a cell each (M. M. Michael and M. L. Scott, "Simple, fast, and practical non-blocking and
 * blocking concurrent queue algorithms", 1996: the queue with two locks), and a lane: two copies of {place, items,
 * bytes}, counted from the beginning of the queue, of which `which` says the one that is in force. To store `which` is
 * the commit: what lies behind the place of the putting lane does not exist, what lies before that of the getting lane
 * is gone. A side reads the other one's lane without its cell.
 *
 * A place is the number of a ring and a position in it, which only grows, and stands for the byte of its remainder.
 * Records do not wrap: what follows what is too short for the next one is a JUMP to another place. When the records do
 * not fit into a ring any more, a JUMP leads to a larger one, which has to be empty, and when that is nearly drained,
 * one leads back to a small one. So what is used all the time stays in a memory that is warm, and what it takes once
 * does not stay: the first ring keeps its memory, the next ones give theirs back when they are left, and the large ones
 * piece by piece. What is used is reserved first, so that there is no SIGBUS, and no death by memory that was promised
 * and is not there.
 *
 * What each side notes beside its lane counts for a ring in which it is not, and is written before the commit by which
 * it leaves or enters it; so nothing has to be undone after a death.
 *
 * Records that have to be finished (MP_TAPE_JOINABLE) have a word that says whose they are. Their memory is not free
 * when they have been got, but when they are finished: a third lane, under the cell of the getting side, says up to
 * where.
 *
 * What is in the file was perhaps written by a process that is broken or hostile: numbers of rings are compared with
 * their number, positions are taken by their remainders, headers are copied and bounded before they are used, contents
 * are copied out before they are looked at. */

#define MP_TAPE_MAX_RINGS  9
#define MP_TAPE_FIRST_COLD 4   /* the first of the rings whose memory is given back piece by piece */
#define MP_TAPE_JOINABLE  (1u << 0)

/* In shared memory. */
typedef struct
{
  guint64 which;              /* its lowest bit */
  guint64 state[2][3];        /* place, items, bytes */
} MpTapeLane;

typedef guint64 MpTapePlace;  /* the ring in the upper bits */

#define MP_TAPE_POSITION_BITS 60
#define MP_TAPE_PLACE(ring,position) ((guint64) (ring) << MP_TAPE_POSITION_BITS | (position))
#define MP_TAPE_RING(place)     ((guint) ((place) >> MP_TAPE_POSITION_BITS))
#define MP_TAPE_POSITION(place) ((place) & ((G_GUINT64_CONSTANT (1) << MP_TAPE_POSITION_BITS) - 1))

typedef struct
{
  MpTapePlace place;
  guint64     n_items;
  guint64     n_bytes;
} MpTapeState;

#define MP_TAPE_APART __attribute__ ((aligned (128)))

/* In shared memory. What different processes write lies apart. */
typedef struct
{
  /* Constant after the making. */
  guint64    magic;
  guint32    version;
  guint32    flags;
  guint32    n_rings;
  guint32    max_items;
  guint64    max_bytes;

  MpSlot     put_slot MP_TAPE_APART;    /* its cell, and who waits for room */
  MpTapeLane put      MP_TAPE_APART;
  guint64    tails[16] MP_TAPE_APART;    /* where each ring was left */
  guint64    entered[16];                /* where it was entered */
  guint64    reserved[16];               /* up to where it has memory */

  MpSlot     get_slot MP_TAPE_APART;    /* its cell, and who waits for items */
  MpTapeLane get      MP_TAPE_APART;
  guint64    left[16]  MP_TAPE_APART;    /* where each ring was left */
  guint64    freed[16];                  /* up to where it can be written to again */

  /* With MP_TAPE_JOINABLE: see mp-tape-joinable-private.h. */
  MpTapeLane done     MP_TAPE_APART;    /* the oldest record that is not finished */
  guint64    n_back;                    /* records that were put back, … */
  guint64    n_bytes_back;              /* … their bytes, … */
  guint64    n_retaken;                 /* … those that were got again and are not finished, … */
  guint64    n_retakes;                 /* … and how often that has happened */
  MpSlot     join_slot MP_TAPE_APART;   /* who waits for the end */

  guint32    put_hint MP_TAPE_APART;    /* somebody waits for room: see mp-sync-private.h */
  guint32    get_hint MP_TAPE_APART;    /* somebody waits for an item */
  guint32    join_hint MP_TAPE_APART;   /* somebody waits for the end */

  guint32    had_producer MP_TAPE_APART;/* one that is gone */
  guint32    n_handed;                  /* how often it was sent */
  guint32    n_adopted;                 /* and how often it came */
} MpTapeHeader;

G_STATIC_ASSERT (sizeof (MpTapeHeader) <= 4096);

typedef enum
{
  MP_TAPE_BYTES = 1,
  MP_TAPE_VALUE,
  MP_TAPE_JUMP,
} MpTapeKind;

/* In shared memory, at a multiple of 16 bytes. With MP_TAPE_JOINABLE follow a word that says whose it is, and a spare
 * one; then, of a value, its type, NUL, up to a multiple of 8; then the content. */
typedef struct
{
  guint16 magic;
  guint8  kind;
  guint8  spare;
  guint16 n_type;      /* of a value, without NUL */
  guint16 tag;         /* of bytes: the user's */
  guint64 size;        /* of the content; of a JUMP: the place */
} MpTapeRecord;

G_STATIC_ASSERT (sizeof (MpTapeRecord) == 16);

typedef struct
{
  int           fd;             /* (owned) */
  MpTapeHeader *header;         /* (owned): mapped, with the participants and the first ring */
  guint64      *participants;
  guint8       *rings[MP_TAPE_MAX_RINGS];   /* (owned) (nullable): the others when they are wanted, atomic */
  guint         n_rings;
  guint         flags;
  guint         max_items;
  guint64       max_bytes;

  /* Of the putting side's cell: what was last seen of the other side, which is at least as far. */
  MpTapeState   seen_get;
  MpTapeState   seen_free;
  guint64       n_unchecked;    /* reserved since it was asked how much there is */
  /* Of the getting side's. */
  MpTapeState   seen_put;
} MpTape;

/* NULL sets @error. */
MpTape   *mp_tape_new          (guint          flags,
                                guint          max_items,
                                guint64        max_bytes,
                                const char    *what,
                                GError       **error);
/* Checks everything. @fd: taken on success. */
MpTape   *mp_tape_adopt        (int            fd,
                                guint          flags,
                                const char    *what,
                                GError       **error);
void      mp_tape_free         (MpTape        *self);

/* A lane, by whoever does not have its cell: consistent, unless somebody writes without end. */
void      mp_tape_read         (const MpTapeLane *lane,
                                MpTapeState      *state);
/* By who has its cell. */
void      mp_tape_read_own     (const MpTapeLane *lane,
                                MpTapeState      *state);
void      mp_tape_commit       (MpTapeLane       *lane,
                                const MpTapeState *state);
/* How many items, and bytes of them, are put and not got: of one instant. */
guint     mp_tape_count        (const MpTape  *self,
                                guint64       *n_bytes);
gboolean  mp_tape_is_empty     (const MpTape  *self);

typedef enum
{
  MP_TAPE_DONE,
  MP_TAPE_NOT_NOW,      /* empty, or full */
  MP_TAPE_ERROR,
} MpTapeResult;

/* What is put. */
typedef struct
{
  MpTapeKind    kind;
  guint         tag;
  const char   *type;           /* of a value */
  gsize         n_type;
  gconstpointer data;
  gsize         size;
} MpTapeItem;

/* With the cell of the putting side. @n_got: what it has seen of the other side when there was no room. */
MpTapeResult mp_tape_put       (MpTape            *self,
                                const MpTapeItem  *item,
                                guint64           *n_got,
                                GError           **error);

#define MP_TAPE_SHORT 1024

/* What is got: a value's type, NUL, up to a multiple of 8, then the content. */
typedef struct
{
  gboolean     bytes_only;
  gpointer     into;            /* (nullable): where the content goes, of MP_TAPE_BYTES */
  gsize        max_into;
  gboolean     is_too_long;     /* why it was not taken */

  MpTapeRecord record;
  guint64     *data;            /* (owned) (nullable): when it is long; mp_spare_free() */
  guint64      words[MP_TAPE_SHORT / 8];
} MpTapeTaken;

static inline gsize
mp_tape_type_size (const MpTapeRecord *record)
{
  return record->kind == MP_TAPE_VALUE ? ((gsize) record->n_type + 1 + 7) / 8 * 8 : 0;
}

/* Of what is on the tape in front of a record's content. */
static inline gsize
mp_tape_record_size (guint               flags,
                     const MpTapeRecord *record)
{
  return sizeof (MpTapeRecord) + ((flags & MP_TAPE_JOINABLE) != 0 ? 16 : 0) + mp_tape_type_size (record);
}

/* With the cell of the getting side. @owner: who takes it, for MP_TAPE_JOINABLE. With an error it stays, but for
 * damage. */
MpTapeResult mp_tape_take      (MpTape            *self,
                                MpOwner            owner,
                                MpTapeTaken       *taken,
                                GError           **error);
/* What a getter that died has not done any more. */
void         mp_tape_recover   (MpTape            *self);

/* For what is built on it, with the cell of the getting side. A record at @place, or where JUMPs from there lead,
 * before that of @end: MP_TAPE_NOT_NOW: there is none. @place: where it is; @next: what follows it; @left: where a ring
 * was left on the way, 0: nowhere. */
MpTapeResult mp_tape_find      (MpTape            *self,
                                MpTapePlace       *place,
                                const MpTapeState *end,
                                MpTapeRecord      *record,
                                MpTapePlace       *next,
                                MpTapePlace       *left,
                                GError           **error);
/* Of a record of MP_TAPE_JOINABLE that was found: its word. 0: nobody's. */
guint64     *mp_tape_get_word  (MpTape            *self,
                                MpTapePlace        place);
/* The lane up to which the memory is free goes to another place: this before its commit, and that after it. @left: as
 * found on the way. */
void         mp_tape_leave     (MpTape            *self,
                                MpTapePlace        left);
void         mp_tape_give_back (MpTape            *self,
                                MpTapePlace        to,
                                MpTapePlace        left);

/* All are powers of two. */
static inline guint64
mp_tape_ring_size (guint ring)
{
  static const guint8 bits[MP_TAPE_MAX_RINGS] = { 18, 21, 23, 25, 27, 29, 31, 33, 35 };

  return G_GUINT64_CONSTANT (1) << bits[ring];
}

static inline guint64
mp_tape_get_offset (guint       ring,
                    MpTapePlace place)
{
  return MP_TAPE_POSITION (place) & (mp_tape_ring_size (ring) - 1);
}

/* Whatever the memory says: a record from there on leads to no other ring by its length alone. */
static inline gboolean
mp_tape_is_sound (const MpTape *self,
                  MpTapePlace   place)
{
  return MP_TAPE_RING (place) < self->n_rings && MP_TAPE_POSITION (place) >> (MP_TAPE_POSITION_BITS - 1) == 0;
}

/* Whether a content is not copied by the mapping, but read from the file and written to it: where its memory is new
 * each time, every page would have to be mapped first, which takes longer than to copy it. */
static inline gboolean
mp_tape_is_by_file (guint   ring,
                    guint64 size)
{
  return ring >= MP_TAPE_FIRST_COLD && size >= 32768;
}

/* mp-tape.c's. */
guint64      mp_tape_ring_offset (guint            ring);
/* Mapped; NULL sets @error. */
guint8      *mp_tape_get_ring  (MpTape            *self,
                                guint              ring,
                                GError           **error);
const MpTapeLane *mp_tape_get_free_lane (const MpTape *self);
#define MP_TAPE_MAGIC 0x5441
#define MP_TAPE_CHUNK (G_GUINT64_CONSTANT (1) << 20)   /* what is given back at a time */

G_END_DECLS
