/* mp-cell.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-cell-private.h"

#include "mp-glib/arena/mp-sleeper-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-futex-private.h"
#include "mp-glib/platform/mp-spin-private.h"

#define FLAGS        G_GUINT64_CONSTANT (0xffff)
#define WAITERS      ((guint64) MP_CELL_WAITERS)
#define INCONSISTENT ((guint64) MP_CELL_INCONSISTENT)
#define WATCHED      ((guint64) MP_CELL_WATCHED)

#define OWNER(word)  ((MpOwner) ((word) >> 16))
#define MINE(ref)    (MP_ARENA_SELF ((ref)->arena) << 16)

/* How long a taken cell is looked at again before its taker sleeps, and the longest time between two looks: in pauses
 * of the CPU, of which one takes 10 to 50 ns. */
#define N_PAUSES   600
#define MAX_PAUSES 64

/* Of a state that changes all the time. */
#define MAX_READS 1000

static inline guint64
load (const MpSlotRef *ref)
{
  return __atomic_load_n (&ref->slot->word, __ATOMIC_SEQ_CST);
}

static inline gboolean
change (const MpSlotRef *ref,
        guint64         *from,
        guint64          to)
{
  return __atomic_compare_exchange_n (&ref->slot->word, from, to, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline guint32 *
lower_half (const MpSlotRef *ref)
{
  return (guint32 *) &ref->slot->word + (G_BYTE_ORDER == G_BIG_ENDIAN ? 1 : 0);
}

static gboolean
owner_is_alive (const MpSlotRef *ref,
                guint64          word)
{
  return OWNER (word) == MP_ARENA_SELF (ref->arena) || mp_arena_is_alive (ref->arena, OWNER (word));
}

/* @extra: flags to take it with. @seen: the word that was in the way. */
static MpCellResult
try_take (const MpSlotRef *ref,
          guint64          extra,
          guint64         *seen)
{
  guint64 mine = MINE (ref);
  guint64 word = load (ref);

  if (mine == 0)
    return MP_CELL_LOST;

  for (;;)
    {
      if (OWNER (word) == 0)
        {
          if (change (ref, &word, mine | (word & FLAGS) | extra))
            {
              MP_TORTURE_POINT ("cell-taken");
              return word & INCONSISTENT ? MP_CELL_ABANDONED : MP_CELL_TAKEN;
            }
        }
      else if (!owner_is_alive (ref, word))
        {
          /* Not to be taken by two: whoever is first changes the word, and the other one looks at its owner. */
          if (change (ref, &word, mine | (word & FLAGS) | INCONSISTENT | extra))
            {
              MP_TORTURE_POINT ("cell-taken-from-dead");
              g_atomic_int_inc (&mp_arena_counts.n_abandoned);
              return MP_CELL_ABANDONED;
            }
        }
      else
        {
          *seen = word;
          return MP_CELL_BUSY;
        }
    }
}

MpCellResult
mp_cell_try_take (const MpSlotRef *ref)
{
  guint64 seen;

  return try_take (ref, 0, &seen);
}

MpCellResult
mp_cell_try_take_watching (const MpSlotRef *ref)
{
  MpCellResult result;
  guint64 seen;

  do
    result = try_take (ref, 0, &seen);
  while (result == MP_CELL_BUSY && (seen & WATCHED) == 0 && !change (ref, &seen, seen | WATCHED));

  return result;
}

/* Most holders are done before one could sleep. With pauses that grow: each look takes the memory away from the
 * holder. */
gboolean
mp_cell_take_busily (const MpSlotRef *ref)
{
  static int n_cpus;
  guint i, k, n_pauses = 1;

  if (G_UNLIKELY (g_atomic_int_get (&n_cpus) == 0))
    g_atomic_int_set (&n_cpus, g_get_num_processors ());
  if (g_atomic_int_get (&n_cpus) == 1)
    return FALSE;

  for (i = 0; i < N_PAUSES; i += n_pauses)
    {
      guint64 word;

      n_pauses = MIN (2 * n_pauses, MAX_PAUSES);
      for (k = 0; k < n_pauses; k++)
        mp_spin_pause ();
      word = __atomic_load_n (&ref->slot->word, __ATOMIC_RELAXED);
      if (word == 0 && mp_cell_take_quickly (ref))
        return TRUE;
      if (word != 0 && OWNER (word) == 0)
        return FALSE;
    }
  return FALSE;
}

/* One who goes without it may have been woken for it: the next one then has to be. */
static void
pass_on (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  while (OWNER (word) != 0 && (word & WAITERS) == 0)
    if (change (ref, &word, word | WAITERS))
      return;

  if (OWNER (word) == 0)
    mp_futex_wake (lower_half (ref), 1, FALSE);
}

static gboolean
set_lost (const char  *what,
          GError     **error)
{
  g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: this process was forked when there was no room for it beside the "
               "others that share the memory", what);
  return FALSE;
}

static gboolean
take_or_sleep (const MpSlotRef  *ref,
               MpSleeper        *sleeper,
               MpCellFound       found,
               gpointer          data,
               GError          **error)
{
  for (;;)
    {
      guint64 seen = 0;
      MpCellResult result;

      mp_sleeper_awake (sleeper);
      if (found != NULL && found (data))
        {
          if (sleeper->slept)
            pass_on (ref);
          return TRUE;
        }
      /* One that has slept cannot know whether others still do. */
      result = try_take (ref, sleeper->slept ? WAITERS : 0, &seen);
      if (result == MP_CELL_LOST)
        return set_lost (sleeper->what, error);
      if (result != MP_CELL_BUSY)
        return TRUE;
      if (mp_sleeper_is_over (sleeper, error))
        return FALSE;

      if ((seen & WAITERS) == 0)
        {
          if (!change (ref, &seen, seen | WAITERS))
            continue;
          seen |= WAITERS;
          MP_TORTURE_POINT ("cell-waits");
        }
      /* Until somebody gives it back, or it is time to see whether its owner lives. */
      if (mp_sleeper_sleep (sleeper, lower_half (ref), (guint32) seen) && OWNER (load (ref)) == 0)
        g_atomic_int_inc (&mp_arena_counts.n_lost_wakes);
      MP_TORTURE_POINT ("cell-woken");
    }
}

gboolean
mp_cell_take_unless (const MpSlotRef  *ref,
                     gconstpointer     owner,
                     const char       *what,
                     gint64            timeout_us,
                     GCancellable     *cancellable,
                     MpCellFound       found,
                     gpointer          data,
                     GError          **error)
{
  MpSleeper sleeper;
  gboolean success;

  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", what);
      return FALSE;
    }
  if (mp_cell_take_quickly (ref))
    return TRUE;
  if (timeout_us != 0 && mp_cell_take_busily (ref))
    return TRUE;

  mp_sleeper_begin (&sleeper, owner, what, mp_deadline_after (timeout_us), cancellable);
  success = take_or_sleep (ref, &sleeper, found, data, error);
  mp_sleeper_end (&sleeper);
  if (!success && sleeper.slept)
    pass_on (ref);
  return success;
}

gboolean
mp_cell_take (const MpSlotRef  *ref,
              gconstpointer     owner,
              const char       *what,
              gint64            timeout_us,
              GCancellable     *cancellable,
              GError          **error)
{
  return mp_cell_take_unless (ref, owner, what, timeout_us, cancellable, NULL, NULL, error);
}

static gboolean
take_whatever_happens (const MpSlotRef  *ref,
                       gconstpointer     owner,
                       const char       *what,
                       MpCellFound       found,
                       gpointer          data,
                       GError          **error)
{
  MpSleeper sleeper;
  gboolean success = FALSE;

  mp_sleeper_begin (&sleeper, owner, what, -1, NULL);
  sleeper.interrupt_fd = -1;
  success = take_or_sleep (ref, &sleeper, found, data, error);
  mp_sleeper_end (&sleeper);
  return success;
}

gboolean
mp_cell_take_surely (const MpSlotRef  *ref,
                     const char       *what,
                     GError          **error)
{
  /* Nothing is posted with this key. */
  return mp_cell_take_quickly (ref) || mp_cell_take_busily (ref) ||
         take_whatever_happens (ref, &ref, what, NULL, NULL, error);
}

gboolean
mp_cell_take_back (const MpSlotRef  *ref,
                   gconstpointer     owner,
                   const char       *what,
                   MpCellFound       found,
                   gpointer          data,
                   GError          **error)
{
  return mp_cell_take_quickly (ref) || mp_cell_take_busily (ref) ||
         take_whatever_happens (ref, owner, what, found, data, error);
}

/* @word: what it was until now. */
static void
tell_others (const MpSlotRef *ref,
             guint64          word)
{
  MP_TORTURE_POINT ("cell-given-back");
  if (word & WAITERS)
    mp_futex_wake (lower_half (ref), 1, FALSE);
  MP_TORTURE_POINT ("cell-sleeper-woken");
  if (word & WATCHED)
    {
      guint64 watchers = __atomic_exchange_n (&ref->slot->watchers, 0, __ATOMIC_SEQ_CST);

      MP_TORTURE_POINT ("cell-watchers-taken");
      if (watchers != 0)
        mp_arena_ring (ref, watchers);
    }
}

gboolean
mp_cell_give_back (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  if (MINE (ref) == 0)
    return FALSE;

  while (OWNER (word) != 0)
    {
      gboolean alive = owner_is_alive (ref, word);

      if (change (ref, &word, alive ? word & INCONSISTENT : INCONSISTENT))
        {
          if (!alive)
            g_atomic_int_inc (&mp_arena_counts.n_abandoned);
          tell_others (ref, word);
          return alive;
        }
    }

  return FALSE;
}

gboolean
mp_cell_is_taken (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  return OWNER (word) != 0 && owner_is_alive (ref, word);
}

gboolean
mp_cell_is_mine (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  return OWNER (word) != 0 && OWNER (word) == MP_ARENA_SELF (ref->arena);
}

gboolean
mp_cell_is_owner_dead (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  return OWNER (word) != 0 && !owner_is_alive (ref, word);
}

gboolean
mp_cell_is_inconsistent (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  return (word & INCONSISTENT) != 0 || (OWNER (word) != 0 && !owner_is_alive (ref, word));
}

gboolean
mp_cell_mark_consistent (const MpSlotRef *ref)
{
  guint64 word = load (ref);

  while (OWNER (word) != 0 && OWNER (word) == MP_ARENA_SELF (ref->arena))
    if (change (ref, &word, word & ~INCONSISTENT))
      return TRUE;

  return FALSE;
}

void
mp_cell_read_state (const MpSlotRef *ref,
                    guint64          state[2])
{
  MpSlot *slot = ref->slot;
  guint32 which = __atomic_load_n (&slot->which, __ATOMIC_ACQUIRE), now;

  /* The copy in force is not written to before the other one is. Who writes without end has bad intentions. */
  for (guint i = 0; i < MAX_READS; i++)
    {
      state[0] = __atomic_load_n (&slot->state[which & 1][0], __ATOMIC_ACQUIRE);
      state[1] = __atomic_load_n (&slot->state[which & 1][1], __ATOMIC_ACQUIRE);
      now = __atomic_load_n (&slot->which, __ATOMIC_RELAXED);
      if (now == which)
        return;
      which = __atomic_load_n (&slot->which, __ATOMIC_ACQUIRE);
    }
}
