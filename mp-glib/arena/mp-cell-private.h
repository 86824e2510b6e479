/* mp-cell-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/arena/mp-torture-private.h"

G_BEGIN_DECLS

/* The one building block of everything in a slot: a word that says who has it, so that it can never be had by a
 * process that is gone. The word, from the lowest bit:
 *
 *   0        WAITERS: somebody may sleep on the lower half of the word
 *   1        INCONSISTENT: an owner died with it, and nobody has called mark_consistent since
 *   2        WATCHED: somebody in watchers waits for it without sleeping on it: to be rung
 *   3 .. 15  spare, 0
 *   16 .. 63 owner (MpOwner), 0: free
 *
 * so the lower 32 bits, on which they sleep, hold the flags and the owner's index. Taken and given
 * back by compare-and-swap, so that there is no instant at which it is half taken. Sleepers sleep in slices of at most
 * MP_CELL_SLICE_US and probe the owner between them: that covers its death, and that of one who was woken and died
 * before it took the word (DESIGN.md, section 6; the waiters bit as in U. Drepper, "Futexes are tricky", mutex2).
 *
 * State: two copies of 16 bytes, and `which` says which one is in force. The owner writes the other copy, then flips:
 * that one store is the commit. After a death nothing needs to be undone or redone: what was not committed does not
 * exist. */

#define MP_CELL_WAITERS      (1u << 0)
#define MP_CELL_INCONSISTENT (1u << 1)
#define MP_CELL_WATCHED      (1u << 2)
#define MP_CELL_SLICE_US     100000

typedef enum
{
  MP_CELL_BUSY,
  MP_CELL_TAKEN,
  MP_CELL_ABANDONED,   /* taken, and INCONSISTENT is set */
  MP_CELL_LOST,        /* this process has no part in the arena (after a fork that found no room) */
} MpCellResult;

/* The usual case of what follows, in the caller: nobody has it, nobody waits, all is consistent. FALSE says only that
 * this is not the usual case. */
static inline gboolean
mp_cell_take_quickly (const MpSlotRef *ref)
{
  guint64 mine = MP_ARENA_SELF (ref->arena) << 16;
  guint64 nobody = 0;

  return mine != 0 && __atomic_compare_exchange_n (&ref->slot->word, &nobody, mine, FALSE,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline gboolean
mp_cell_give_back_quickly (const MpSlotRef *ref)
{
  guint64 mine = MP_ARENA_SELF (ref->arena) << 16;

  return mine != 0 && __atomic_compare_exchange_n (&ref->slot->word, &mine, 0, FALSE,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Looks for some microseconds whether it becomes free, unless others sleep for it. */
gboolean     mp_cell_take_busily     (const MpSlotRef *ref);

/* Never sleeps. A dead owner's cell is taken. */
MpCellResult mp_cell_try_take        (const MpSlotRef *ref);
/* The same for an asynchronous wait (MpAsyncTry), whose bit is in watchers: BUSY means that they will be rung. */
MpCellResult mp_cell_try_take_watching (const MpSlotRef *ref);

/* Sleeps for it. @owner: the key of the caller's posts (mp_hub_post()), which are run meanwhile: wait functions are
 * woken for them. @what: "lock acquire". FALSE sets @error (TIMED_OUT, CANCELLED, MP_ERROR_INTERRUPTED,
 * MP_ERROR_FAILED for LOST), and the cell is not held. */
gboolean     mp_cell_take            (const MpSlotRef *ref,
                                      gconstpointer    owner,
                                      const char      *what,
                                      gint64           timeout_us,
                                      GCancellable    *cancellable,
                                      GError         **error);
/* The same, unless it turns out meanwhile that the caller need not take it: @found says so, and then the result is TRUE,
 * too. Posts that are run may change that. */
typedef gboolean (* MpCellFound)     (gpointer         data);

gboolean     mp_cell_take_unless     (const MpSlotRef *ref,
                                      gconstpointer    owner,
                                      const char      *what,
                                      gint64           timeout_us,
                                      GCancellable    *cancellable,
                                      MpCellFound      found,
                                      gpointer         data,
                                      GError         **error);
/* The same, for one that others have for some stores only: neither a time nor a signal ends it, and no posts are run.
 * FALSE: LOST. Not with the hub's lock held. */
gboolean     mp_cell_take_surely     (const MpSlotRef *ref,
                                      const char      *what,
                                      GError         **error);
/* The same, for one that had it and needs it again: others may have it for long, and posts of @owner are run. @found:
 * (nullable) as above. */
gboolean     mp_cell_take_back       (const MpSlotRef *ref,
                                      gconstpointer    owner,
                                      const char      *what,
                                      MpCellFound      found,
                                      gpointer         data,
                                      GError         **error);
/* By whatever process. FALSE: nobody has it (or only one who is dead: it is free then, and INCONSISTENT). Wakes one
 * sleeper, and rings the watchers. */
gboolean     mp_cell_give_back       (const MpSlotRef *ref);

gboolean     mp_cell_is_taken        (const MpSlotRef *ref);   /* by a process that is alive */
gboolean     mp_cell_is_mine         (const MpSlotRef *ref);   /* by this process */
gboolean     mp_cell_is_inconsistent (const MpSlotRef *ref);   /* or its owner is dead */
gboolean     mp_cell_is_owner_dead   (const MpSlotRef *ref);   /* and nobody has taken it since */
/* Held by this process: FALSE if not. */
gboolean     mp_cell_mark_consistent (const MpSlotRef *ref);

/* A consistent copy, held or not; while somebody writes all the time, after some tries a torn one. */
void         mp_cell_read_state      (const MpSlotRef *ref,
                                      guint64          state[2]);

/* Held. */
static inline void
mp_cell_read_own_state (const MpSlotRef *ref,
                        guint64          state[2])
{
  const guint64 *copy = ref->slot->state[__atomic_load_n (&ref->slot->which, __ATOMIC_ACQUIRE) & 1];

  state[0] = __atomic_load_n (&copy[0], __ATOMIC_RELAXED);
  state[1] = __atomic_load_n (&copy[1], __ATOMIC_RELAXED);
}

/* Held. */
static inline void
mp_cell_write_state (const MpSlotRef *ref,
                     const guint64    state[2])
{
  MpSlot *slot = ref->slot;
  guint32 which = __atomic_load_n (&slot->which, __ATOMIC_RELAXED) + 1;

  /* Releasing each: a reader that sees a part of this sees, by `which`, that its copy had gone out of force. */
  __atomic_store_n (&slot->state[which & 1][0], state[0], __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("cell-state-half");
  __atomic_store_n (&slot->state[which & 1][1], state[1], __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("cell-state-written");
  __atomic_store_n (&slot->which, which, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("cell-state-committed");
}

G_END_DECLS
