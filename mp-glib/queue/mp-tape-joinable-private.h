/* mp-tape-joinable-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/queue/mp-tape-private.h"

G_BEGIN_DECLS

/* What there is besides on a tape of MP_TAPE_JOINABLE. A record that has been got stays until it is finished, and says
 * whose it is, or that it is finished, or put back: each change of that is one store to its first word, and what it means is true
 * from then on. Who takes one that was put back notes in the second one when that was: between which two others.
 *
 * The lane `done` is what follows from the words: the place of the oldest record that is not finished; how many are
 * finished in all; and, where other lanes have bytes, the number of that oldest one. After a death it is
 * counted again.
 *
 * All with the cell of the getting side, but for the two that only count. */

/* Where one object has searched in vain for what its process has taken: before this record. */
typedef struct
{
  MpTapePlace place;
  guint64     number;
} MpTapeSearched;

/* After the death of one who had the cell: a part of mp_tape_recover(). */
void      mp_tape_joinable_recover   (MpTape             *tape);
static inline guint64
mp_tape_count_back (const MpTape *tape,
                    guint64      *n_bytes)   /* (nullable) */
{
  if (n_bytes != NULL)
    *n_bytes = __atomic_load_n (&tape->header->n_bytes_back, __ATOMIC_ACQUIRE);
  return __atomic_load_n (&tape->header->n_back, __ATOMIC_ACQUIRE);
}

guint64   mp_tape_count_unfinished   (const MpTape       *tape);

/* The oldest one that was put back. */
gboolean  mp_tape_find_back          (MpTape             *tape,
                                      MpTapePlace        *place,
                                      MpTapeRecord       *record);
/* After its content has been copied. */
void      mp_tape_retake             (MpTape             *tape,
                                      MpTapePlace         place,
                                      const MpTapeRecord *record,
                                      MpOwner             owner);
/* The one that @owner has taken before all others that it has. FALSE: it has none. */
gboolean  mp_tape_finish             (MpTape             *tape,
                                      MpOwner             owner,
                                      MpTapeSearched     *searched);
/* What those have who are gone. */
guint     mp_tape_count_abandoned    (MpTape             *tape,
                                      MpArena            *arena);
guint     mp_tape_put_back_abandoned (MpTape             *tape,
                                      MpArena            *arena);
guint     mp_tape_finish_abandoned   (MpTape             *tape,
                                      MpArena            *arena);

G_END_DECLS
