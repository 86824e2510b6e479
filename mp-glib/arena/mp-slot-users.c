/* mp-slot-users.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-slot-users-private.h"

#include "mp-glib/arena/mp-arena-parts-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"

guint64
mp_slot_count_moves (const MpSlotRef *ref)
{
  return __atomic_load_n (&ref->arena->header->n_moves, __ATOMIC_SEQ_CST);
}

gboolean
mp_slot_is_on_its_way (const MpSlotRef *ref)
{
  return mp_file_lock_is_taken (ref->arena->fd, MP_ARENA_SLOT_BYTE + ref->index, 1);
}

guint
mp_slot_count_participants (const MpSlotRef *ref)
{
  return MIN (__atomic_load_n (&ref->arena->header->n_participants_used, __ATOMIC_SEQ_CST), ref->arena->n_participants);
}

MpOwner
mp_slot_get_participant (const MpSlotRef *ref,
                         guint            index)
{
  guint32 generation = __atomic_load_n (&ref->arena->participants[index].generation, __ATOMIC_ACQUIRE);

  return generation != 0 ? (MpOwner) generation << 16 | index : 0;
}

gboolean
mp_slot_is_held_by (const MpSlotRef *ref,
                    guint            index)
{
  const guint64 *row = mp_participant_get_row (ref->arena, index);

  return (__atomic_load_n (&row[ref->index / 64], __ATOMIC_SEQ_CST) >> (ref->index % 64) & 1) != 0;
}
