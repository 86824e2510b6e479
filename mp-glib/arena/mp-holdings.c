/* mp-holdings.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-holdings-private.h"

#include "mp-glib/arena/mp-arena-parts-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"

#include <errno.h>

/* A number: the participant's generation in the upper half. */
#define ENTRY(generation,count)  ((guint64) (generation) << 32 | (count))
#define ENTRY_GENERATION(entry)  ((guint32) ((entry) >> 32))
#define ENTRY_COUNT(entry)       ((guint32) (entry))   /* with the mark */
#define MARK                     MP_HOLDINGS_MARK

/* The record of a change: index, the lower half of the generation, count. Index 0: there is none. With MARK in its count
 * the number's own mark, which stays otherwise, goes too. */
#define RECORD(index,generation,count) \
  ((guint64) (index) << 48 | (guint64) ((generation) & 0xffff) << 32 | (count))
#define RECORD_INDEX(record)      ((guint) ((record) >> 48))
#define RECORD_GENERATION(record) ((guint16) ((record) >> 32))
#define RECORD_COUNT(record)      ((guint32) (record))

static guint64 *
get_block (const MpSlotRef *ref)
{
  MpArena *arena = ref->arena;

  return __atomic_load_n (&arena->holdings[ref->index >> arena->layout.holdings_shift], __ATOMIC_ACQUIRE);
}

static guint64 *
get_entry (const MpSlotRef *ref,
           guint            index)
{
  const MpArenaLayout *layout = &ref->arena->layout;

  return get_block (ref) + ((gsize) index << layout->holdings_shift) + (ref->index & (layout->holdings_slots - 1));
}

static guint64
load_entry (const MpSlotRef *ref,
            guint            index)
{
  return __atomic_load_n (get_entry (ref, index), __ATOMIC_ACQUIRE);
}

static guint
count_participants (const MpSlotRef *ref)
{
  return MIN (__atomic_load_n (&ref->arena->header->n_participants_used, __ATOMIC_SEQ_CST), ref->arena->n_participants);
}

/* With the arenas' lock held. By a description of its own, as a mapping keeps that. */
static gboolean
map_block (MpArena *arena,
           guint    block)
{
  guint64 offset = arena->layout.mapped + (guint64) block * arena->layout.holdings_block;
  guint64 *address = NULL;
  int saved_errno, fd;

  if (arena->holdings[block] != NULL)
    return TRUE;

  fd = mp_file_lock_reopen (arena->fd);
  if (fd < 0)
    return FALSE;
  address = mp_fd_map_part (fd, offset, arena->layout.holdings_block);
  saved_errno = errno;
  mp_fd_close (&fd);
  __atomic_store_n (&arena->holdings[block], address, __ATOMIC_RELEASE);
  errno = saved_errno;

  return address != NULL;
}

gboolean
mp_holdings_map (const MpSlotRef  *ref,
                 gboolean          fresh,
                 const char       *what,
                 GError          **error)
{
  gboolean mapped;
  int saved_errno;

  mp_arena_lock ();
  mapped = map_block (ref->arena, ref->index >> ref->arena->layout.holdings_shift);
  saved_errno = errno;
  mp_arena_unlock ();
  if (!mapped)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: its memory cannot be mapped: %s", what,
                   g_strerror (saved_errno));
      return FALSE;
    }

  /* What the dead had of the object that was there before is of no more interest. */
  for (guint i = 1, n = count_participants (ref); fresh && i < n; i++)
    if (load_entry (ref, i) != 0)
      __atomic_store_n (get_entry (ref, i), 0, __ATOMIC_RELEASE);

  return TRUE;
}

static guint32
get_generation (const MpSlotRef *ref,
                guint            index)
{
  return __atomic_load_n (&ref->arena->participants[index].generation, __ATOMIC_ACQUIRE);
}

/* The last one with this lower half. */
static guint32
whole_generation (const MpSlotRef *ref,
                  guint            index,
                  guint16          lower)
{
  guint32 now = get_generation (ref, index);

  return now - (guint16) ((guint16) now - lower);
}

static gboolean
is_marked_kind (const MpSlotRef *ref)
{
  return (__atomic_load_n (&ref->slot->flags, __ATOMIC_RELAXED) & MP_SLOT_MARKED) != 0;
}

/* @count: as in a record. */
static void
store_entry (const MpSlotRef *ref,
             guint            index,
             guint32          generation,
             guint32          count)
{
  guint64 *entry = get_entry (ref, index);
  guint64 seen, now;

  if (!is_marked_kind (ref))
    {
      __atomic_store_n (entry, ENTRY (generation, count), __ATOMIC_RELEASE);
      return;
    }

  seen = __atomic_load_n (entry, __ATOMIC_ACQUIRE);
  do
    {
      /* An old record: who has the index now has set its mark meanwhile. */
      if ((gint32) (ENTRY_GENERATION (seen) - generation) > 0)
        return;
      now = ENTRY (generation, count & ~MARK);
      if (ENTRY_GENERATION (seen) == generation && (count & MARK) == 0)
        now |= seen & MARK;
    }
  while (!__atomic_compare_exchange_n (entry, &seen, now, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

static void
commit (const MpSlotRef *ref,
        guint64          word,
        guint            index,
        guint32          generation,
        guint32          count)
{
  const guint64 state[2] = { word, RECORD (index, generation, count) };

  mp_cell_write_state (ref, state);
  MP_TORTURE_POINT ("holdings-committed");
  store_entry (ref, index, generation, count);
  MP_TORTURE_POINT ("holdings-stored");
}

gboolean
mp_holdings_mark (const MpSlotRef *ref)
{
  MpOwner self = mp_arena_get_self (ref->arena);
  guint64 *entry = get_entry (ref, MP_OWNER_INDEX (self));
  guint64 seen = __atomic_load_n (entry, __ATOMIC_ACQUIRE), now;

  do
    {
      if (ENTRY_GENERATION (seen) == MP_OWNER_GENERATION (self) && (seen & MARK) != 0)
        return TRUE;
      if (ENTRY_GENERATION (seen) == MP_OWNER_GENERATION (self))
        now = seen | MARK;
      else if (ENTRY_COUNT (seen) == 0)
        now = ENTRY (MP_OWNER_GENERATION (self), MARK);
      else
        return FALSE;
    }
  while (!__atomic_compare_exchange_n (entry, &seen, now, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));

  MP_TORTURE_POINT ("holdings-marked");
  return TRUE;
}

void
mp_holdings_unmark (const MpSlotRef *ref)
{
  MpOwner self = mp_arena_get_self (ref->arena);
  guint64 *entry;

  /* It was never asked for. */
  if (get_block (ref) == NULL)
    return;

  entry = get_entry (ref, MP_OWNER_INDEX (self));
  if (ENTRY_GENERATION (__atomic_load_n (entry, __ATOMIC_ACQUIRE)) == MP_OWNER_GENERATION (self))
    __atomic_fetch_and (entry, ~(guint64) MARK, __ATOMIC_ACQ_REL);
  MP_TORTURE_POINT ("holdings-unmarked");
}

void
mp_holdings_enter (const MpSlotRef *ref)
{
  guint64 state[2];
  guint index;

  if (G_LIKELY (!mp_cell_is_inconsistent (ref)))
    return;

  mp_cell_read_own_state (ref, state);
  index = RECORD_INDEX (state[1]);
  /* The indices in the memory are anybody's. */
  if (index != 0 && index < ref->arena->n_participants)
    store_entry (ref, index, whole_generation (ref, index, RECORD_GENERATION (state[1])), RECORD_COUNT (state[1]));
  MP_TORTURE_POINT ("holdings-redone");
  mp_cell_mark_consistent (ref);
}

guint64
mp_holdings_get_word (const MpSlotRef *ref)
{
  guint64 state[2];

  mp_cell_read_own_state (ref, state);
  return state[0];
}

guint32
mp_holdings_get_own (const MpSlotRef  *ref,
                     MpHoldingsReturn  func)
{
  MpOwner self = mp_arena_get_self (ref->arena);
  guint64 entry = load_entry (ref, MP_OWNER_INDEX (self));

  if (ENTRY_GENERATION (entry) == MP_OWNER_GENERATION (self))
    return is_marked_kind (ref) ? ENTRY_COUNT (entry) & ~MARK : ENTRY_COUNT (entry);
  if (ENTRY_COUNT (entry) != 0)
    commit (ref, func (mp_holdings_get_word (ref), ENTRY_COUNT (entry)), MP_OWNER_INDEX (self),
            MP_OWNER_GENERATION (self), 0);

  return 0;
}

guint32
mp_holdings_get_of (const MpSlotRef *ref,
                    guint            index)
{
  return ENTRY_COUNT (load_entry (ref, index));
}

void
mp_holdings_commit (const MpSlotRef *ref,
                    guint64          word,
                    guint32          own)
{
  MpOwner self = mp_arena_get_self (ref->arena);

  commit (ref, word, MP_OWNER_INDEX (self), MP_OWNER_GENERATION (self), own);
}

void
mp_holdings_commit_word (const MpSlotRef *ref,
                         guint64          word)
{
  const guint64 state[2] = { word, 0 };

  mp_cell_write_state (ref, state);
}

static gboolean
is_of_dead (const MpSlotRef *ref,
            guint            index,
            guint64          entry)
{
  return !mp_arena_is_alive (ref->arena, (MpOwner) ENTRY_GENERATION (entry) << 16 | index);
}

gboolean
mp_holdings_settle (const MpSlotRef  *ref,
                    MpHoldingsReturn  func)
{
  gboolean any = FALSE;

  for (guint i = 1, n = count_participants (ref); i < n; i++)
    {
      guint64 entry = load_entry (ref, i);

      if (ENTRY_COUNT (entry) == 0 || !is_of_dead (ref, i, entry))
        continue;
      commit (ref, func (mp_holdings_get_word (ref), ENTRY_COUNT (entry)), i, ENTRY_GENERATION (entry),
              is_marked_kind (ref) ? MARK : 0);
      any = TRUE;
    }
  return any;
}
