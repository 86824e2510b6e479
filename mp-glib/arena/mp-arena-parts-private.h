/* mp-arena-parts-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"

#include <sys/types.h>

G_BEGIN_DECLS

/* What the files of the arena share: mp-arena.c (the memory, and who has it mapped), mp-participant.c (who is alive,
 * fork()), mp-slot.c (what is in it). */

#define MP_ARENA_PAGE       4096u
#define MP_ARENA_SLOT_BYTE  (G_GUINT64_CONSTANT (1) << 40)   /* of slot 0, for those on their way */
#define MP_ARENA_HOLDS      1024u                            /* slots to a block of counts */
#define MP_ARENA_HOLDINGS_SLOTS 512u                         /* slots to a block of holdings: a page for each participant */

/* In shared memory. Constant after the making but for what is said. */
typedef struct
{
  guint64 magic;
  guint32 version;
  guint32 n_slots;
  guint32 n_participants;
  guint32 is_isolated;
  guint64 id[2];
  guint64 spare[3];
  /* A line of its own: these change. */
  guint64 n_moves;            /* counts what gives somebody else a reference, before it does: see can_reuse() */
  guint32 n_slots_used;       /* the highest slot ever given out, plus 1; the maker's */
  guint32 n_participants_used;/* the highest index ever taken, plus 1; only grows */
} MpArenaHeader;

typedef struct
{
  guint32 generation;  /* 0: never taken */
  guint32 pid;         /* 0: left in order */
  guint32 doorbell;
  guint32 spare;
  guint64 rung;
  guint64 spares[5];
} MpParticipant;

G_STATIC_ASSERT (sizeof (MpArenaHeader) == 80);
G_STATIC_ASSERT (sizeof (MpParticipant) == 64);

typedef struct
{
  gsize participants;
  gsize slots;
  gsize rows;
  gsize row_words;
  gsize mapped;              /* up to here by everybody; what follows block by block, when it is wanted */
  gsize holdings_block;      /* bytes of one */
  guint holdings_slots;      /* slots to one, a power of two */
  guint holdings_shift;      /* which */
  guint n_holdings_blocks;
  gsize size;
} MpArenaLayout;

struct _MpArena
{
  MpArenaHead     head;

  guint           ref_count;
  gboolean        is_maker;
  gboolean        is_isolated;
  guint64         id[2];
  dev_t           dev;
  ino_t           ino;
  int             fd;          /* (owned): the description that says that this participant is alive */
  guint8         *base;        /* (owned) */
  MpArenaLayout   layout;
  guint           n_slots;
  guint           n_participants;
  MpArenaHeader  *header;
  MpParticipant  *participants;
  MpSlot         *slots;
  guint64        *rows;

  guint32       **holds;       /* (owned): blocks of counts, made when they are wanted */
  guint64       **holdings;    /* (owned): blocks, mapped when they are wanted, atomic: mp-holdings-private.h */
  guint           n_held;      /* the highest slot ever held, plus 1 */

  /* The maker's. */
  guint           n_fresh;     /* slots from here on were never given out */
  guint32        *released;    /* (owned) (nullable): no more held here; perhaps elsewhere */
  guint           next_released;
  guint           n_released;  /* up to here */
  guint           max_released;

  /* Between the two sides of a fork. */
  int             child_fd;
  MpOwner         child_self;
};

/* Guards everything here but the head, and what is in shared memory. Nothing is called while it is held that could come
 * back. */
void            mp_arena_lock           (void);
void            mp_arena_unlock         (void);

/* With the lock held. */
extern GPtrArray *mp_arenas;             /* (nullable) of MpArena, none owned */
MpArena        *mp_arena_find           (dev_t          dev,
                                         ino_t          ino,
                                         const guint64  id[2]);
MpArena        *mp_arena_find_by_id     (const guint64  id[2]);
void            mp_arena_drop           (MpArena       *self);   /* a reference */
gboolean        mp_arena_is_default     (MpArena       *self);
void            mp_arena_forget_default (void);                  /* in a forked child */
/* (transfer full): a reference more. */
MpArena        *mp_arena_get_default    (const char    *what,
                                         GError       **error);
MpArena        *mp_arena_make           (guint          n_slots,
                                         guint          n_participants,
                                         gboolean       is_isolated,
                                         const char    *what,
                                         GError       **error);
/* @fd: known to be a sealed memory file. */
MpArena        *mp_arena_adopt          (int            fd,
                                         const guint64  id[2],
                                         const char    *what,
                                         GError       **error);

/* Takes an index through the description @fd, and makes its row that of @row (nullable: of nothing). 0 sets errno:
 * ENOSPC when all are taken. */
MpOwner         mp_participant_join     (MpArena       *arena,
                                         int            fd,
                                         const guint64 *row);
/* In order, with nothing held. */
void            mp_participant_leave    (MpArena       *arena);
guint64        *mp_participant_get_row  (MpArena       *arena,
                                         guint          index);
/* Once; from the first arena on. */
void            mp_participant_watch_forks (void);

G_END_DECLS
