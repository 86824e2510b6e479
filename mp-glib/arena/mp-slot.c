/* mp-slot.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-arena-parts-private.h"

#include "mp-glib/arena/mp-holdings-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* How a slot is referred to: id of the arena, index, generation, kind. */
#define STATE_TYPE "(ttuuq)"

/* Most slots that are looked at for one that can be used again, while there are fresh ones. */
#define MAX_LOOKS 4

/* In a count of holds: the maker has it among the released. */
#define IS_RELEASED (1u << 31)

static guint32 *
get_count (MpArena *arena,
           guint    index)
{
  guint32 **block = &arena->holds[index / MP_ARENA_HOLDS];

  if (*block == NULL)
    *block = g_new0 (guint32, MP_ARENA_HOLDS);
  return &(*block)[index % MP_ARENA_HOLDS];
}

/* This process's bit for the slot. */
static void
mark (MpArena  *arena,
      guint     index,
      gboolean  is_held)
{
  guint64 *word = mp_participant_get_row (arena, MP_OWNER_INDEX (arena->head.self)) + index / 64;
  guint64 bit = G_GUINT64_CONSTANT (1) << (index % 64);

  if (is_held)
    __atomic_fetch_or (word, bit, __ATOMIC_SEQ_CST);
  else
    __atomic_fetch_and (word, ~bit, __ATOMIC_SEQ_CST);
}

static void
unmark (MpArena *arena,
        guint    index)
{
  if (__atomic_load_n (&arena->slots[index].flags, __ATOMIC_RELAXED) & MP_SLOT_MARKED)
    mp_holdings_unmark (&(MpSlotRef) { arena, &arena->slots[index], index, 0 });
}

static void
hold (MpArena *arena,
      guint    index)
{
  guint32 *count = get_count (arena, index);

  if ((*count & ~IS_RELEASED) == 0)
    mark (arena, index, TRUE);
  ++*count;
  arena->n_held = MAX (arena->n_held, index + 1);
  MP_TORTURE_POINT ("slot-held");
}

/* What was taken from the front makes room first. */
static void
push_released (MpArena *arena,
               guint32  index)
{
  if (arena->n_released == arena->max_released && arena->next_released > arena->n_released / 2)
    {
      arena->n_released -= arena->next_released;
      memmove (arena->released, arena->released + arena->next_released, arena->n_released * sizeof *arena->released);
      arena->next_released = 0;
    }
  else if (arena->n_released == arena->max_released)
    {
      arena->max_released = MAX (64, 2 * arena->max_released);
      arena->released = g_renew (guint32, arena->released, arena->max_released);
    }
  arena->released[arena->n_released++] = index;
}

static void
let_go (MpArena *arena,
        guint    index)
{
  guint32 *count = get_count (arena, index);

  --*count;
  if ((*count & ~IS_RELEASED) != 0)
    return;

  if (arena->head.self != 0)
    {
      unmark (arena, index);
      mark (arena, index, FALSE);
    }
  MP_TORTURE_POINT ("slot-let-go");
  if (arena->is_maker && *count == 0)
    {
      *count = IS_RELEASED;
      push_released (arena, index);
    }
}

static gboolean
refers (MpArena *arena,
        guint    participant,
        guint    index)
{
  const guint64 *row = mp_participant_get_row (arena, participant);

  return (__atomic_load_n (&row[index / 64], __ATOMIC_SEQ_CST) >> (index % 64) & 1) != 0;
}

/* Whether nobody refers to the slot, nor will. What this process does not hold is held by the bits in the rows of the
 * living, and by locks through descriptions on their way. A reference moves from one to the other: a sender has its bit
 * and takes the lock, then counts a move, then sends; a receiver sets its bit, then closes the description, so that the
 * lock goes. When at the look at the locks there is none, all that there is are bits; and as long as no move is counted
 * none begins another way. So when all rows have been seen empty, and the count is what it was, there are none. */
static gboolean
can_reuse (MpArena *arena,
           guint    index)
{
  guint64 n_moves = __atomic_load_n (&arena->header->n_moves, __ATOMIC_SEQ_CST);
  guint i, n;

  if (mp_file_lock_is_taken (arena->fd, MP_ARENA_SLOT_BYTE + index, 1))
    return FALSE;

  n = MIN (__atomic_load_n (&arena->header->n_participants_used, __ATOMIC_SEQ_CST), arena->n_participants);
  for (i = 1; i < n; i++)
    if (i != MP_OWNER_INDEX (arena->head.self) && refers (arena, i, index) && mp_file_lock_is_taken (arena->fd, i, 1))
      return FALSE;
  return __atomic_load_n (&arena->header->n_moves, __ATOMIC_SEQ_CST) == n_moves;
}

static guint
pop_released (MpArena *arena)
{
  return arena->released[arena->next_released++];
}

/* FALSE: there is none, or not among the first. */
static gboolean
find_released (MpArena *arena,
               guint   *index)
{
  guint n = arena->n_released - arena->next_released;

  if (arena->n_fresh < arena->n_slots)
    n = MIN (n, MAX_LOOKS);
  while (n-- > 0)
    {
      guint32 *count;

      *index = pop_released (arena);
      count = get_count (arena, *index);
      if (*count != IS_RELEASED)
        *count &= ~IS_RELEASED;   /* came back to this process meanwhile */
      else if (can_reuse (arena, *index))
        {
          *count = 0;
          g_atomic_int_inc (&mp_arena_counts.n_reclaimed);
          return TRUE;
        }
      else
        push_released (arena, *index);
    }
  return FALSE;
}

static gboolean
find_slot (MpArena *arena,
           guint   *index)
{
  if (find_released (arena, index))
    return TRUE;
  if (arena->n_fresh == arena->n_slots)
    return FALSE;

  *index = arena->n_fresh++;
  __atomic_store_n (&arena->header->n_slots_used, arena->n_fresh, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("slot-fresh");
  return TRUE;
}

static void
make_slot (MpSlot     *slot,
           MpSlotKind  kind,
           guint16     flags)
{
  guint32 generation = __atomic_load_n (&slot->generation, __ATOMIC_RELAXED);

  /* First, so that those who refer to the old one by mistake are told. */
  generation = generation != G_MAXUINT32 ? generation + 1 : 1;
  __atomic_store_n (&slot->generation, generation, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("slot-generation");
  __atomic_store_n (&slot->word, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->watchers, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->sequence, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->which, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->state[0][0], 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->state[0][1], 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->state[1][0], 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->state[1][1], 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->flags, flags, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->kind, kind, __ATOMIC_SEQ_CST);
}

static void
set_ref (MpSlotRef *ref,
         MpArena   *arena,
         guint      index)
{
  ref->arena = arena;
  ref->slot = &arena->slots[index];
  ref->index = index;
  ref->generation = __atomic_load_n (&ref->slot->generation, __ATOMIC_RELAXED);
}

gboolean
mp_slot_new (MpSlotRef   *ref,
             MpSlotKind   kind,
             guint16      flags,
             gboolean     isolated,
             const char  *what,
             GError     **error)
{
  MpArena *arena;
  guint index;

  *ref = (MpSlotRef) { NULL };

  /* Whose handlers around a fork come after those of the arenas. */
  mp_hub_watch_forks ();
  mp_arena_lock ();
  if (isolated)
    arena = mp_arena_make (MP_ARENA_ISOLATED_SLOTS, MP_ARENA_N_PARTICIPANTS, TRUE, what, error);
  else
    arena = mp_arena_get_default (what, error);

  if (arena != NULL && find_slot (arena, &index))
    {
      hold (arena, index);
      make_slot (&arena->slots[index], kind, flags);
      set_ref (ref, arena, index);
    }
  else if (arena != NULL)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FULL, "%s: all of the %u places of this process are in use", what,
                   arena->n_slots);
      mp_arena_drop (arena);
    }
  mp_arena_unlock ();

  return ref->arena != NULL;
}

void
mp_slot_clear (MpSlotRef *ref)
{
  if (ref->arena == NULL)
    return;

  mp_arena_lock ();
  let_go (ref->arena, ref->index);
  mp_arena_drop (ref->arena);
  mp_arena_unlock ();
  *ref = (MpSlotRef) { NULL };
}

void
mp_slot_hold (MpSlotRef       *ref,
              const MpSlotRef *other)
{
  mp_arena_lock ();
  hold (other->arena, other->index);
  other->arena->ref_count++;
  mp_arena_unlock ();
  *ref = *other;
}

/* As in can_reuse(). */
gboolean
mp_slot_has_others (const MpSlotRef *ref,
                    MpSlotIsDone     is_done)
{
  MpArena *arena = ref->arena;
  guint64 n_moves = __atomic_load_n (&arena->header->n_moves, __ATOMIC_SEQ_CST);
  guint n;

  if (mp_file_lock_is_taken (arena->fd, MP_ARENA_SLOT_BYTE + ref->index, 1))
    return TRUE;

  n = MIN (__atomic_load_n (&arena->header->n_participants_used, __ATOMIC_SEQ_CST), arena->n_participants);
  for (guint i = 1; i < n; i++)
    if (i != MP_OWNER_INDEX (MP_ARENA_SELF (arena)) && refers (arena, i, ref->index) && !is_done (ref, i) &&
        mp_file_lock_is_taken (arena->fd, i, 1))
      return TRUE;

  return __atomic_load_n (&arena->header->n_moves, __ATOMIC_SEQ_CST) != n_moves;
}

static void
retire (MpArena *arena)
{
  for (guint i = 0; i < arena->n_held && arena->head.self != 0; i++)
    if (arena->holds[i / MP_ARENA_HOLDS] != NULL && (*get_count (arena, i) & ~IS_RELEASED) != 0)
      unmark (arena, i);
}

void
mp_slot_retire_all (void)
{
  mp_arena_lock ();
  for (guint i = 0; mp_arenas != NULL && i < mp_arenas->len; i++)
    retire (g_ptr_array_index (mp_arenas, i));
  mp_arena_unlock ();
}

gboolean
mp_slot_is_isolated (const MpSlotRef *ref)
{
  return ref->arena != NULL && ref->arena->is_isolated;
}

gboolean
mp_slot_equal (const MpSlotRef *a,
               const MpSlotRef *b)
{
  return a->arena == b->arena && a->index == b->index && a->generation == b->generation;
}

static gboolean
is_of_arena (MpArena *arena,
             int      fd)
{
  struct stat status;

  return fstat (fd, &status) == 0 && status.st_dev == arena->dev && status.st_ino == arena->ino;
}

/* The description that goes beside the message: one for all slots of the arena in it. -1 sets errno. */
static int
get_message_fd (MpArena *arena,
                GArray  *fds)
{
  guint i;
  int fd;

  for (i = 0; i < fds->len; i++)
    if (is_of_arena (arena, g_array_index (fds, int, i)))
      return g_array_index (fds, int, i);

  fd = mp_file_lock_reopen (arena->fd);
  if (fd >= 0)
    g_array_append_val (fds, fd);
  return fd;
}

GVariant *
mp_slot_describe (const MpSlotRef *ref,
                  GArray          *fds,
                  const char      *what,
                  GError         **error)
{
  MpArena *arena = ref->arena;
  int fd;

  if (mp_arena_get_self (arena) == 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: cannot be sent: this process lost its part in it at a fork()",
                   what);
      return NULL;
    }

  fd = get_message_fd (arena, fds);
  if (fd < 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED,
                   "%s: cannot be sent: its memory cannot be opened%s: %s", what,
                   errno == ENOENT ? " without /proc/self/fd" : "", g_strerror (errno));
      return NULL;
    }
  if (!mp_file_lock_take (fd, MP_ARENA_SLOT_BYTE + ref->index, FALSE))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: cannot be sent: its memory cannot be locked: %s", what,
                   g_strerror (errno));
      return NULL;
    }
  MP_TORTURE_POINT ("slot-on-its-way");
  __atomic_fetch_add (&arena->header->n_moves, 1, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("slot-moved");
  return g_variant_ref_sink (g_variant_new (STATE_TYPE, arena->id[0], arena->id[1], ref->index, ref->generation,
                                            (guint16) ref->slot->kind));
}

/* (transfer full): mapped here already, or now. The descriptor comes with the first object of a message that is in the
 * arena; by then it is mapped, and stays so as long as that object. */
static MpArena *
get_arena (const guint64  id[2],
           const int     *fds,
           guint          n_fds,
           const char    *what,
           GError       **error)
{
  MpArena *arena = NULL;
  struct stat status;

  if (n_fds == 0)
    arena = mp_arena_find_by_id (id);
  else if (n_fds != 1 || !mp_fd_is_sealed (fds[0]) || fstat (fds[0], &status) < 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: it comes without sealed memory", what);
      return NULL;
    }
  else
    arena = mp_arena_find (status.st_dev, status.st_ino, id);

  if (arena != NULL && mp_arena_get_self (arena) == 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED,
                   "%s: cannot be received: this process lost its part in it at a fork()", what);
      return NULL;
    }
  if (arena != NULL)
    {
      arena->ref_count++;
      return arena;
    }
  if (n_fds == 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: it comes without its memory", what);
      return NULL;
    }
  return mp_arena_adopt (fds[0], id, what, error);
}

gboolean
mp_slot_adopt (MpSlotRef   *ref,
               MpSlotKind   kind,
               GVariant    *state,
               int         *fds,
               guint        n_fds,
               const char  *what,
               GError     **error)
{
  guint32 index, generation;
  const char *fault = NULL;
  MpArena *arena;
  guint16 said;
  guint64 id[2];

  *ref = (MpSlotRef) { NULL };
  if (!g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: its state", what);
      return FALSE;
    }
  g_variant_get (state, STATE_TYPE, &id[0], &id[1], &index, &generation, &said);

  mp_hub_watch_forks ();
  mp_arena_lock ();
  arena = get_arena (id, fds, n_fds, what, error);
  if (arena == NULL)
    {
      mp_arena_unlock ();
      return FALSE;
    }

  if (index >= arena->n_slots)
    fault = "it is outside of its memory";
  else if (said != kind || generation == 0)
    fault = "it is of another kind";
  else
    {
      /* First held, then looked at: it cannot become another one any more. */
      hold (arena, index);
      set_ref (ref, arena, index);
      if (ref->generation != generation)
        fault = "it is gone";
      else if (__atomic_load_n (&ref->slot->kind, __ATOMIC_RELAXED) != kind)
        fault = "it is of another kind";
      if (fault != NULL)
        let_go (arena, index);
    }
  if (fault != NULL)
    {
      *ref = (MpSlotRef) { NULL };
      mp_arena_drop (arena);
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: %s", what, fault);
    }
  mp_arena_unlock ();

  return fault == NULL;
}
