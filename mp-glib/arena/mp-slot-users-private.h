/* mp-slot-users-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"

G_BEGIN_DECLS

/* Who refers to a slot: participants by their rows, and descriptions on their way by their locks. A reference moves
 * from the one to the other and back, so that who looks for all of them has to look at the count of moves before and
 * after, at the locks first, then at the rows (can_reuse() in mp-slot.c says why). */

guint64  mp_slot_count_moves        (const MpSlotRef *ref);
gboolean mp_slot_is_on_its_way      (const MpSlotRef *ref);
/* One more than the highest index. */
guint    mp_slot_count_participants (const MpSlotRef *ref);
/* Who has that index now, dead or alive; 0: nobody ever had. */
MpOwner  mp_slot_get_participant    (const MpSlotRef *ref,
                                     guint            index);
/* Whether that one's row has the slot. */
gboolean mp_slot_is_held_by         (const MpSlotRef *ref,
                                     guint            index);

G_END_DECLS
