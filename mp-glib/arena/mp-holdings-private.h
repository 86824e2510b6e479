/* mp-holdings-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-cell-private.h"

G_BEGIN_DECLS

/* What each process has of a slot: units of a semaphore, waiters of a condition. A number for each participant, beside the
 * arena's slots, that outlives the process, so that others can give back what it had.
 *
 * The slot's state is then: state[0] the kind's own word, state[1] a record of the number that changes with it: one flip
 * of the cell's copies commits both (mp-cell-private.h), then the number itself is stored. Who takes the cell of one that
 * died in between stores it again, which is harmless at any later time too, because every change goes this way: redo
 * instead of undo.
 *
 * A number carries the generation of the participant whose it is: one of another generation than the table's, or of a
 * participant that is dead, belonged to a process that is gone. It is settled, by whoever notices it: the kind's
 * word changes to what it would be without it, and the number to 0, in one commit.
 *
 * The functions are called with the slot's cell held where nothing else is said. */

/* A kind's word when a process that is gone had @count. */
typedef guint64 (* MpHoldingsReturn) (guint64 word,
                                      guint32 count);

/* Once for each object, before anything else: maps the numbers, and at the making of the slot (@fresh) sets all to 0.
 * Without the cell. */
gboolean  mp_holdings_map     (const MpSlotRef   *ref,
                               gboolean           fresh,
                               const char        *what,
                               GError           **error);
/* After the cell was taken, in any way: sees to what its last owner left undone. */
void      mp_holdings_enter   (const MpSlotRef   *ref);
guint64   mp_holdings_get_word (const MpSlotRef  *ref);
/* This process's own. What a process had that had its index before is settled first. */
guint32   mp_holdings_get_own (const MpSlotRef   *ref,
                               MpHoldingsReturn   func);
/* The word and this process's own number, which get_own() has been asked for in this holding of the cell, at once. */
void      mp_holdings_commit  (const MpSlotRef   *ref,
                               guint64            word,
                               guint32            own);
/* The word alone. */
void      mp_holdings_commit_word (const MpSlotRef *ref,
                               guint64            word);
/* Settles what the dead had. TRUE: there was something. Takes 0.5 µs for each process that has something. */
gboolean  mp_holdings_settle  (const MpSlotRef   *ref,
                               MpHoldingsReturn   func);

G_END_DECLS
