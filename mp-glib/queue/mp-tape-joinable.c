/* mp-tape-joinable.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-tape-joinable-private.h"

#include "mp-glib/arena/mp-torture-private.h"

/* The word of a record: 0, the MpOwner who has it, or one of these. */
#define FINISHED (G_GUINT64_CONSTANT (1) << 48)
#define BACK     (G_GUINT64_CONSTANT (2) << 48)

/* One record after the other, from the oldest one that is not finished to the last one that has been got. */
typedef struct
{
  MpTape       *tape;
  MpTapeState   end;
  MpTapePlace   place;     /* of this one */
  MpTapePlace   next;
  MpTapePlace   left;      /* on the way to this one: as mp_tape_find() gives it */
  guint64       number;    /* of this one, from the beginning of the queue */
  guint64       n_next;
  MpTapeRecord  record;
  guint64      *words;
  MpTapePlace   first;     /* of the ring */
  guint         n_rings;   /* that it has come to */
} Walk;

static guint64
load (const guint64 *number)
{
  return __atomic_load_n (number, __ATOMIC_ACQUIRE);
}

static void
store (guint64 *number,
       guint64  value)
{
  __atomic_store_n (number, value, __ATOMIC_RELEASE);
}

static gboolean
is_owner (guint64 word)
{
  return word != 0 && word < FINISHED;
}

static Walk
walk_from (MpTape      *tape,
           MpTapePlace  place,
           guint64      number)
{
  Walk walk = { .tape = tape, .next = place, .n_next = number };

  mp_tape_read_own (&tape->header->get, &walk.end);
  return walk;
}

static Walk
walk_begin (MpTape *tape)
{
  MpTapeState done;

  mp_tape_read_own (&tape->header->done, &done);
  return walk_from (tape, done.place, done.n_bytes);
}

/* Memory may lead round and round. No ring is entered before it is left, and none has more than it is large. */
static gboolean
goes_on (Walk        *walk,
         MpTapePlace  from)
{
  guint ring = MP_TAPE_RING (walk->place);

  if (walk->n_rings == 0 || walk->left != 0)
    {
      walk->first = from = walk->place;
      walk->n_rings++;
    }
  return walk->n_rings <= walk->tape->n_rings && walk->place >= from &&
         walk->next - walk->first <= mp_tape_ring_size (ring);
}

static gboolean
walk_next (Walk *walk)
{
  MpTapePlace from = walk->next;

  walk->place = from;
  if (mp_tape_find (walk->tape, &walk->place, &walk->end, &walk->record, &walk->next, &walk->left, NULL) != MP_TAPE_DONE ||
      !goes_on (walk, from))
    return FALSE;

  walk->words = mp_tape_get_word (walk->tape, walk->place);
  walk->number = walk->n_next++;
  return TRUE;
}

/* When a record was taken: one that had been put back between two others, and in the lower half word is when among those that
 * were between the same two. */
#define TURN(number)                ((guint64) (number) << 17)
#define RETAKEN_TURN(n_got,n_takes) (TURN (n_got) - (1 << 16) + ((n_takes) & 0xffff))

static guint64
get_turn (const Walk *walk)
{
  guint64 retaken = load (&walk->words[1]);

  return retaken != 0 ? retaken : TURN (walk->number);
}

static gboolean
is_before (guint64 turn,
           guint64 other)
{
  if (turn >> 16 != other >> 16)
    return turn < other;
  return (gint16) ((guint16) turn - (guint16) other) < 0;
}

static void
go_on (MpTape      *tape,
       MpTapePlace  to,
       MpTapePlace  left,
       guint64      n_finished,
       guint64      number)
{
  mp_tape_leave (tape, left);
  mp_tape_commit (&tape->header->done, &(MpTapeState) { to, n_finished, number });
  mp_tape_give_back (tape, to, left);
}

/* What is finished at the beginning is free. */
static void
advance (MpTape  *tape,
         guint64  n_finished)
{
  Walk walk = walk_begin (tape);
  MpTapePlace to = walk.next;
  guint64 number = walk.n_next;

  while (walk_next (&walk) && load (&walk.words[0]) == FINISHED)
    {
      to = walk.next;
      number = walk.n_next;
      /* One ring at a time. */
      if (walk.left != 0)
        go_on (tape, to, walk.left, n_finished, number);
    }
  go_on (tape, to, 0, n_finished, number);
}

static guint64
get_n_finished (MpTape *tape)
{
  MpTapeState done;

  mp_tape_read_own (&tape->header->done, &done);
  return done.n_items;
}

void
mp_tape_joinable_recover (MpTape *tape)
{
  Walk walk = walk_begin (tape);
  guint64 n_finished = walk.n_next, n_back = 0, n_bytes_back = 0, n_retaken = 0;

  while (walk_next (&walk))
    {
      guint64 word = load (&walk.words[0]);

      if (word == FINISHED)
        n_finished++;
      else if (word == BACK)
        n_back++, n_bytes_back += walk.record.size;
      else if (load (&walk.words[1]) != 0)
        n_retaken++;
    }
  store (&tape->header->n_back, n_back);
  store (&tape->header->n_bytes_back, n_bytes_back);
  store (&tape->header->n_retaken, n_retaken);
  advance (tape, n_finished);
}

guint64
mp_tape_count_unfinished (const MpTape *tape)
{
  MpTapeState done, put;

  /* In this order: if they are equal, they were so when the first was read. */
  mp_tape_read (&tape->header->done, &done);
  mp_tape_read (&tape->header->put, &put);
  return put.n_items > done.n_items ? put.n_items - done.n_items : 0;
}

/* Changes the word of a record that was got, and what is counted of it. */
static void
change (Walk    *walk,
        guint64  word)
{
  MpTape *tape = walk->tape;
  guint64 before = load (&walk->words[0]);

  store (&walk->words[0], word);
  MP_TORTURE_POINT ("tape-word-changed");
  if (before == BACK)
    {
      store (&tape->header->n_back, load (&tape->header->n_back) - 1);
      store (&tape->header->n_bytes_back, load (&tape->header->n_bytes_back) - walk->record.size);
    }
  if (word == BACK)
    {
      store (&tape->header->n_back, load (&tape->header->n_back) + 1);
      store (&tape->header->n_bytes_back, load (&tape->header->n_bytes_back) + walk->record.size);
    }
  if (load (&walk->words[1]) != 0)
    store (&tape->header->n_retaken, load (&tape->header->n_retaken) + is_owner (word) - is_owner (before));
}

gboolean
mp_tape_find_back (MpTape       *tape,
                   MpTapePlace  *place,
                   MpTapeRecord *record)
{
  Walk walk;

  if (load (&tape->header->n_back) == 0)
    return FALSE;

  walk = walk_begin (tape);
  while (walk_next (&walk))
    if (load (&walk.words[0]) == BACK)
      {
        *place = walk.place;
        *record = walk.record;
        return TRUE;
      }

  /* Nobody but one who is broken has counted those that are not there. */
  store (&tape->header->n_back, 0);
  store (&tape->header->n_bytes_back, 0);
  return FALSE;
}

void
mp_tape_retake (MpTape             *tape,
                MpTapePlace         place,
                const MpTapeRecord *record,
                MpOwner             owner)
{
  Walk walk = { .tape = tape, .record = *record, .words = mp_tape_get_word (tape, place) };
  MpTapeState get;

  mp_tape_read_own (&tape->header->get, &get);
  store (&tape->header->n_retakes, load (&tape->header->n_retakes) + 1);
  store (&walk.words[1], RETAKEN_TURN (get.n_items, load (&tape->header->n_retakes)));
  MP_TORTURE_POINT ("tape-retaking");
  change (&walk, owner);
}

gboolean
mp_tape_finish (MpTape         *tape,
                MpOwner         owner,
                MpTapeSearched *searched)
{
  Walk walk = walk_begin (tape);
  gboolean in_order = load (&tape->header->n_retaken) == 0;
  Walk found = { NULL };

  /* What it has taken lies in the order in which it took it, unless something was put back. */
  if (in_order && searched->number > walk.n_next)
    walk = walk_from (tape, searched->place, searched->number);
  while (walk_next (&walk))
    {
      if (load (&walk.words[0]) != owner)
        continue;
      if (found.tape == NULL || is_before (get_turn (&walk), get_turn (&found)))
        found = walk;
      if (in_order)
        break;
    }
  if (found.tape == NULL)
    return FALSE;

  if (in_order)
    *searched = (MpTapeSearched) { found.next, found.n_next };
  change (&found, FINISHED);
  advance (tape, get_n_finished (tape) + 1);
  return TRUE;
}

/* Whether whoever has the record is gone. Those that follow each other are often of the same one. */
static gboolean
is_abandoned (MpArena *arena,
              guint64  word,
              guint64  seen[2])
{
  if (!is_owner (word))
    return FALSE;
  if (word != seen[0])
    {
      seen[0] = word;
      seen[1] = !mp_arena_is_alive (arena, word);
    }
  return seen[1];
}

guint
mp_tape_count_abandoned (MpTape  *tape,
                         MpArena *arena)
{
  Walk walk = walk_begin (tape);
  guint64 seen[2] = { 0, 0 };
  guint n = 0;

  while (walk_next (&walk))
    n += is_abandoned (arena, load (&walk.words[0]), seen);
  return n;
}

/* Each of them by one store. */
static guint
change_abandoned (MpTape  *tape,
                  MpArena *arena,
                  guint64  word)
{
  Walk walk = walk_begin (tape);
  guint64 seen[2] = { 0, 0 };
  guint n = 0;

  while (walk_next (&walk))
    if (is_abandoned (arena, load (&walk.words[0]), seen))
      {
        change (&walk, word);
        n++;
      }
  return n;
}

guint
mp_tape_put_back_abandoned (MpTape  *tape,
                            MpArena *arena)
{
  return change_abandoned (tape, arena, BACK);
}

guint
mp_tape_finish_abandoned (MpTape  *tape,
                          MpArena *arena)
{
  guint n = change_abandoned (tape, arena, FINISHED);

  if (n > 0)
    advance (tape, get_n_finished (tape) + n);
  return n;
}
