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
 * A number can also have a mark, its highest bit, where the slot's flags say MP_SLOT_MARKED: the process has the object. It
 * is set and taken away by the process itself, at any time, without the cell and without a record. So the end of a
 * process that has not dropped the object is noticed in the same way, though it had a number of 0; that of a
 * forked copy only after it has used it.
 *
 * The functions are called with the slot's cell held where nothing else is said. */

#define MP_HOLDINGS_MARK (1u << 31)

/* A kind's word when a process that is gone had @count, perhaps with its mark. */
typedef guint64 (* MpHoldingsReturn) (guint64 word,
                                      guint32 count);

/* Once for each object, before anything else: maps the numbers, and at the making of the slot (@fresh) sets all to 0.
 * Without the cell. */
gboolean  mp_holdings_map     (const MpSlotRef   *ref,
                               gboolean           fresh,
                               const char        *what,
                               GError           **error);
/* Sets this process's mark. With or without the cell: without it, FALSE says that what a dead process had is to be settled
 * first, see mp_holdings_get_own(). */
gboolean  mp_holdings_mark    (const MpSlotRef   *ref);
/* Without the cell; by mp-slot.c, when the process drops the object. */
void      mp_holdings_unmark  (const MpSlotRef   *ref);
/* After the cell was taken, in any way: sees to what its last owner left undone. */
void      mp_holdings_enter   (const MpSlotRef   *ref);
guint64   mp_holdings_get_word (const MpSlotRef  *ref);
/* This process's own. What a process had that had its index before is settled first. */
guint32   mp_holdings_get_own (const MpSlotRef   *ref,
                               MpHoldingsReturn   func);
/* What the participant has, whether it is alive or not. */
guint32   mp_holdings_get_of  (const MpSlotRef   *ref,
                               guint              index);
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
