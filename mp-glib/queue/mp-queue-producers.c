/* mp-queue-producers.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

#include "mp-glib/arena/mp-slot-users-private.h"

/* Who may put. A process may that has put, or that the queue was handed to and that has not called get; until it closes
 * the queue, drops it, or dies. What it has done is in its word on the tape, beside the generation of its participant,
 * so that it is known also when it is gone. A process without a word has the queue by a fork(): it was handed to it.
 *
 * That there was one and is none any more is the end. The maker counts when it has put; one that gets and was the first
 * to come does not end what the maker has not begun. */

#define ENTRY(owner,marks)      ((guint64) MP_OWNER_GENERATION (owner) << 32 | (marks))
#define ENTRY_GENERATION(entry) ((guint32) ((entry) >> 32))
#define ENTRY_MARKS(entry)      ((guint32) (entry))

static guint64
load_entry (MpQueue *self,
            guint    index)
{
  return __atomic_load_n (&self->tape->participants[index], __ATOMIC_SEQ_CST);
}

/* What the marks said when their process was there. */
static gboolean
is_producer (guint marks)
{
  return (marks & MP_QUEUE_PUTS) != 0 || (marks & (MP_QUEUE_HANDED | MP_QUEUE_GETS)) == MP_QUEUE_HANDED;
}

guint
mp_queue_mark_slowly (MpQueue *self,
                      guint    mark,
                      guint    without)
{
  MpOwner owner = MP_ARENA_SELF (self->slot.arena);
  guint64 *word = &self->tape->participants[MP_OWNER_INDEX (owner)];
  guint64 entry = __atomic_load_n (word, __ATOMIC_SEQ_CST);
  guint marks = 0;

  if (owner == 0)
    return 0;
  do
    {
      gboolean is_own = ENTRY_GENERATION (entry) == MP_OWNER_GENERATION (owner);

      /* The index was another process's, which is gone, and was perhaps the last to put. */
      if (!is_own && is_producer (ENTRY_MARKS (entry)))
        __atomic_store_n (&self->tape->header->had_producer, 1, __ATOMIC_SEQ_CST);
      MP_TORTURE_POINT ("queue-mark");
      marks = ((is_own ? ENTRY_MARKS (entry) : MP_QUEUE_HANDED) | mark) & ~without;
      if ((mark & MP_QUEUE_MAKES) != 0)
        marks = mark;
    }
  while (!__atomic_compare_exchange_n (word, &entry, ENTRY (owner, marks), FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return marks;
}

guint
mp_queue_get_marks (MpQueue *self)
{
  MpOwner owner = MP_ARENA_SELF (self->slot.arena);
  guint64 entry = load_entry (self, MP_OWNER_INDEX (owner));

  return ENTRY_GENERATION (entry) == MP_OWNER_GENERATION (owner) ? ENTRY_MARKS (entry) : MP_QUEUE_HANDED;
}

void
mp_queue_note_handed (MpQueue  *self,
                      gboolean  arrived)
{
  MpTapeHeader *header = self->tape->header;

  __atomic_fetch_add (arrived ? &header->n_adopted : &header->n_handed, 1, __ATOMIC_SEQ_CST);
}

void
mp_queue_mark_made (MpQueue *self)
{
  /* In the rows of the dead there are bits of what had the slot before. */
  for (guint i = 1, n = mp_slot_count_participants (&self->slot); i < n; i++)
    if (mp_slot_is_held_by (&self->slot, i))
      __atomic_store_n (&self->tape->participants[i],
                        ENTRY (mp_slot_get_participant (&self->slot, i), MP_QUEUE_GETS), __ATOMIC_RELAXED);
  mp_queue_mark_slowly (self, MP_QUEUE_MAKES, 0);
}

/* @had: set when there was one that is gone. */
static gboolean
may_put (MpQueue  *self,
         guint     index,
         gboolean *had)
{
  MpOwner owner = mp_slot_get_participant (&self->slot, index);
  guint64 entry = load_entry (self, index);
  gboolean is_known = owner != 0 && ENTRY_GENERATION (entry) == MP_OWNER_GENERATION (owner);
  guint marks = is_known ? ENTRY_MARKS (entry) : MP_QUEUE_HANDED;
  gboolean is_held = owner != 0 && mp_slot_is_held_by (&self->slot, index);

  if (!is_known && is_producer (ENTRY_MARKS (entry)))
    *had = TRUE;
  if (!is_producer (marks) || (!is_known && !is_held))
    return FALSE;
  if ((marks & MP_QUEUE_CLOSED) == 0 && is_held && mp_arena_is_alive (self->slot.arena, owner))
    return TRUE;

  *had = TRUE;
  return FALSE;
}

/* One that was sent, and is neither on its way nor has come, is gone with who was to have it. */
static gboolean
was_one_lost (MpQueue *self)
{
  MpTapeHeader *header = self->tape->header;
  guint32 n_adopted = __atomic_load_n (&header->n_adopted, __ATOMIC_SEQ_CST);

  return (gint32) (__atomic_load_n (&header->n_handed, __ATOMIC_SEQ_CST) - n_adopted) > 0;
}

gboolean
mp_queue_may_get_more (MpQueue *self)
{
  MpTapeHeader *header = self->tape->header;
  guint64 n_moves = mp_slot_count_moves (&self->slot);
  gboolean had = FALSE;
  MpTapeState put;

  if (mp_slot_is_on_its_way (&self->slot))
    return TRUE;
  had = was_one_lost (self);
  for (guint i = 1, n = mp_slot_count_participants (&self->slot); i < n; i++)
    if (may_put (self, i, &had))
      return TRUE;
  if (mp_slot_count_moves (&self->slot) != n_moves)
    return TRUE;

  mp_tape_read (&header->put, &put);
  return !had && put.n_items == 0 && __atomic_load_n (&header->had_producer, __ATOMIC_SEQ_CST) == 0;
}
