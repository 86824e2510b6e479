/* mp-arena-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The shared ground. An arena is a sealed memory file, mapped by every process that has an object in it:
 *
 *   header         a page: magic, version, sizes, a random id
 *   participants   a table: one entry for each process that has mapped it
 *   slots          of 64 bytes, one for each small object
 *   rows           for each participant a bit for each slot: "this process refers to it"
 *   holdings       for each participant a number for each slot: what it has of it (mp-holdings-private.h)
 *
 * The file is sparse: what is not used takes no memory. Only the process that made an arena gives out slots of it, so what
 * is free is known to it alone, and never torn; a process makes its own arena when it makes its first object. Nobody
 * else's death can therefore lose a slot; when the maker is gone, the arena serves what there is, and goes with its last user.
 *
 * A participant is alive while an exclusive lock is held on the byte of its index, through an open file description
 * of its own (mp-file-lock-private.h). Its generation, in the table, tells it from those who had the index before.
 * The memory is mapped by way of another description: a mapping keeps it, in forked children too.
 * A slot is used again only when no live participant's row has its bit and no descriptor on its way has a lock on its byte:
 * what describes a slot to another process carries a description with a shared lock on that byte.
 *
 * Everything read from the file was perhaps written by a process that is broken or hostile: sizes and indices are
 * taken from the mapping once, at adoption, and bounded; indices read from words are bounded each time.
 *
 * fork(): prepared by pthread_atfork(): the child has a participant of its own, and its row, from its first
 * instruction; what its parent holds it does not hold. (A copy made by a bare clone() shares its parent's lock
 * until it execs or ends.) exec() ends a participant.
 *
 * The functions here may be called in any thread, without any lock held; they call no user code. */

typedef struct _MpArena MpArena;

#define MP_ARENA_N_SLOTS        (1u << 20)
#define MP_ARENA_N_PARTICIPANTS 1024u      /* index 0 stands for nobody */
#define MP_ARENA_ISOLATED_SLOTS 64u

/* In shared memory: host byte order, naturally aligned. What the words mean is said in mp-cell-private.h. */
typedef struct
{
  guint64 word;         /* the cell */
  guint32 generation;   /* of the slot; counts its objects; 0: never used */
  guint16 kind;         /* MpSlotKind */
  guint16 flags;        /* the kind's own, constant after the making */
  guint64 watchers;     /* participants with asynchronous waits, by index mod 64 */
  guint32 sequence;     /* for the kind's own waits */
  guint32 which;        /* the copy of the state that is in force: its lowest bit */
  guint64 state[2][2];
} MpSlot;

G_STATIC_ASSERT (sizeof (MpSlot) == 64);

typedef enum
{
  MP_SLOT_FREE,
  MP_SLOT_LOCK,
  MP_SLOT_RLOCK,
  MP_SLOT_EVENT,
  MP_SLOT_SEMAPHORE,
  MP_SLOT_QUEUE,
  MP_SLOT_SIMPLE_QUEUE,
  MP_SLOT_JOINABLE_QUEUE,
  MP_SLOT_VALUE,
  MP_SLOT_CONDITION,
  MP_SLOT_BARRIER,
  MP_SLOT_TEST = 255,
} MpSlotKind;

/* In the flags: the end of a process that has it, without having dropped it, is of interest (mp-holdings-private.h). */
#define MP_SLOT_MARKED (1u << 15)

/* This process's hold on a slot: plain data inside of an object. */
typedef struct
{
  MpArena *arena;       /* (owned) (nullable): NULL: no hold */
  MpSlot  *slot;
  guint32  index;
  guint32  generation;
} MpSlotRef;

/* A fresh slot of this process's own arena, or of an arena of its own (@isolated). All zeros but generation, kind, flags. */
gboolean  mp_slot_new       (MpSlotRef   *ref,
                             MpSlotKind   kind,
                             guint16      flags,
                             gboolean     isolated,
                             const char  *what,      /* for messages: "lock" */
                             GError     **error);
void      mp_slot_clear     (MpSlotRef   *ref);
gboolean  mp_slot_is_isolated (const MpSlotRef *ref);

/* This process is about to end, in order: as if it had let go of all slots, so far as that is of interest to others. */
void      mp_slot_retire_all (void);

/* For MpShareable. describe: a state value, and at most one descriptor, which several slots of an arena in one message
 * share. adopt: checks everything; a hold on the same slot. */
GVariant *mp_slot_describe  (const MpSlotRef *ref,
                             GArray      *fds,
                             const char  *what,
                             GError     **error);
gboolean  mp_slot_adopt     (MpSlotRef   *ref,
                             MpSlotKind   kind,
                             GVariant    *state,
                             int         *fds,
                             guint        n_fds,
                             const char  *what,
                             GError     **error);
/* A hold more on the same slot. */
void      mp_slot_hold      (MpSlotRef   *ref,
                             const MpSlotRef *other);
/* Whether there is anybody who might do something with it yet, this process aside: a process that refers to it and of which
 * @is_done does not say the contrary, or one that it is being sent to. */
typedef gboolean (* MpSlotIsDone) (const MpSlotRef *ref,
                                   guint            index);   /* of the participant, which is alive */
gboolean  mp_slot_has_others (const MpSlotRef *ref,
                             MpSlotIsDone is_done);
/* Whether both stand for the same slot. */
gboolean  mp_slot_equal     (const MpSlotRef *a,
                             const MpSlotRef *b);

/* Participants, as they stand in words: index in the lower 16 bits, generation above. 0 is nobody. */
typedef guint64 MpOwner;      /* 48 bits */
#define MP_OWNER_INDEX(owner)      ((guint) ((owner) & 0xffff))
#define MP_OWNER_GENERATION(owner) ((guint32) ((owner) >> 16))

/* How an arena begins, for the paths on which a call is dear: MpArena has it as its first member. */
typedef struct
{
  MpOwner self;         /* atomic: what mp_arena_get_self() gives */
} MpArenaHead;

#define MP_ARENA_SELF(arena) __atomic_load_n (&((const MpArenaHead *) (arena))->self, __ATOMIC_RELAXED)

/* This process in @arena. 0 in a forked child for which there was no room or no descriptor: it may do nothing with it. */
MpOwner   mp_arena_get_self   (MpArena    *arena);
/* 0.5 µs. FALSE for nobody, for an index out of bounds and for another generation than the table's. */
gboolean  mp_arena_is_alive   (MpArena    *arena,
                               MpOwner     owner);
MpArena  *mp_arena_ref        (MpArena    *arena);
void      mp_arena_unref      (MpArena    *arena);

/* Doorbells: a word in the participant's entry, and beside it a mask that says for which slots (index mod 64) it was rung. */
guint32  *mp_arena_get_doorbell (MpArena  *arena);
guint64   mp_arena_take_rung  (MpArena    *arena);
/* Rings those whose index mod 64 is in @watchers, for the slot of @ref. */
void      mp_arena_ring       (const MpSlotRef *ref,
                               guint64     watchers);
/* Every arena that this process has mapped now, with a reference each. */
GPtrArray *mp_arena_list      (void);

/* What was done because somebody had died, since the start of this process: for tests. */
typedef struct
{
  guint n_abandoned;     /* cells taken from a dead owner */
  guint n_lost_wakes;    /* a free cell found only because a sleep is bounded */
  guint n_reclaimed;     /* slots used again */
  guint n_indices_reused;/* participants' indices taken over from the dead */
  guint n_ring_peer_died;
} MpArenaCounts;

extern MpArenaCounts mp_arena_counts;   /* atomic increments */

/* For the tests. The sizes of the next arena that this process makes of its own accord, instead of the usual ones; 0: those. */
void      mp_arena_set_sizes_for_testing (guint n_slots,
                                          guint n_participants);
guint     mp_arena_get_index_for_testing (MpArena *arena);
int       mp_arena_get_fd_for_testing (MpArena *arena);

/* Run around a fork, in this order relative to the arena's own handlers: mp-async.c stops its thread before, and starts it
 * again in the parent; in the child it only forgets. Set once. */
typedef struct
{
  void (* prepare) (void);
  void (* parent)  (void);
  void (* child)   (void);
} MpArenaForkFuncs;

void      mp_arena_set_fork_funcs (const MpArenaForkFuncs *funcs);

G_END_DECLS
