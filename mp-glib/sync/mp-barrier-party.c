/* mp-barrier-party.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-barrier-party-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-process-control-private.h"

#define N_ROUNDS 3

/* What a process has: for each round how many of it are in it; and that nobody else of it will come while they wait. */
#define ROUND_BITS 10
#define ROUND_MAX  ((1u << ROUND_BITS) - 1)
#define ALL_WAIT   (1u << 30)

/* How long one has to have waited before that is said: whoever comes next in the same process mostly comes soon. */
#define ALL_WAIT_US (5 * MP_CELL_SLICE_US)

static guint
get_number (guint32 holding,
            guint   round)
{
  return holding >> (round % N_ROUNDS * ROUND_BITS) & ROUND_MAX;
}

static guint32
get_unit (guint round)
{
  return 1u << (round % N_ROUNDS * ROUND_BITS);
}

static MpBarrierWord
get_word (MpSync *sync)
{
  return (MpBarrierWord) { mp_holdings_get_word (&sync->slot) };
}

/* What is added and taken away is bounded, and the rounds are taken modulo 3, whatever the memory says. */

static guint
add (guint number,
     guint n)
{
  return MIN (number + n, MP_BARRIER_MAX_PARTIES);
}

static guint
take (guint number,
      guint n)
{
  return number - MIN (number, n);
}

static void
end_round (MpBarrierWord *word,
           gboolean       broken)
{
  word->old = add (word->old, word->recent);
  word->old_broken = word->recent_broken;
  word->recent = word->waiting;
  word->recent_broken = broken;
  word->waiting = 0;
  word->round = (word->round + 1) % N_ROUNDS;
}

static void
break_round (MpBarrierWord  *word,
             MpBarrierCause  cause)
{
  if (word->waiting > 0)
    end_round (word, TRUE);
  if (!word->broken)
    word->cause = cause;
  word->broken = TRUE;
}

/* MpHoldingsReturn */
static guint64
without_dead (guint64 state,
              guint32 holding)
{
  MpBarrierWord word = { state };
  guint n = get_number (holding, word.round);

  word.recent = take (word.recent, get_number (holding, word.round + N_ROUNDS - 1));
  word.old = take (word.old, get_number (holding, word.round + N_ROUNDS - 2));
  if (n > 0 || (holding & MP_HOLDINGS_MARK) != 0)
    break_round (&word, MP_BARRIER_DIED);
  if (n > 0)
    word.recent = take (word.recent, n);
  return word.word;
}

/* What this process has, from here on with its mark. */
static guint32
begin (MpSync   *sync,
       gboolean  settle,
       int      *wake)
{
  guint64 before = mp_holdings_get_word (&sync->slot);
  guint32 own;

  if (settle)
    mp_holdings_settle (&sync->slot, without_dead);
  own = mp_holdings_get_own (&sync->slot, without_dead);
  mp_holdings_mark (&sync->slot);
  if (mp_holdings_get_word (&sync->slot) != before)
    *wake = G_MAXINT;
  return own;
}

static MpSyncStep
fail (MpBarrierParty *party,
      MpBarrierWord   word,
      GError        **error)
{
  static const char *const causes[] = {
    "it was aborted", "a process that had it has ended", "all who have it wait, and are too few", "a wait timed out",
    "a wait was cancelled", "it was reset", "its action failed", "unknown",
  };

  party->is_over = TRUE;
  party->owner = 0;
  g_set_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER, "barrier wait: broken: %s", causes[word.cause]);
  return MP_SYNC_FAILED;
}

static MpSyncStep
pass (MpBarrierParty *party,
      guint           index)
{
  party->is_over = TRUE;
  party->owner = 0;
  party->index = index;
  return MP_SYNC_DONE;
}

/* The last one: @word counts the others. */
static MpSyncStep
pass_for_all (MpSync         *sync,
              MpBarrierParty *party,
              MpBarrierWord   word,
              guint32         own,
              int            *wake)
{
  guint index = word.waiting;

  if (word.waiting > 0)
    {
      *wake = G_MAXINT;
      end_round (&word, FALSE);
    }
  mp_holdings_commit (&sync->slot, word.word, own);
  return pass (party, index);
}

static MpSyncStep
come (MpSync         *sync,
      MpBarrierParty *party,
      guint32         own,
      gboolean        settled,
      int            *wake,
      GError        **error)
{
  MpBarrierWord word = get_word (sync);
  gboolean is_last = word.waiting + 1 == word.parties;

  /* It must not pass with one that is dead. */
  if (is_last && !settled)
    {
      begin (sync, TRUE, wake);
      word = get_word (sync);
      is_last = word.waiting + 1 == word.parties;
    }
  if (word.broken)
    return fail (party, word, error);
  if (word.old > 0 || word.waiting >= word.parties)
    return MP_SYNC_NOT_YET;
  if (is_last && !party->has_action)
    return pass_for_all (sync, party, word, own, wake);
  if (get_number (own, word.round) == ROUND_MAX)
    {
      party->is_over = TRUE;
      g_set_error (error, MP_ERROR, MP_ERROR_FULL, "barrier wait: %u of this process wait already", ROUND_MAX);
      return MP_SYNC_FAILED;
    }

  party->owner = mp_arena_get_self (sync->slot.arena);
  party->round = word.round;
  party->came_us = g_get_monotonic_time ();
  party->acts = is_last;
  word.waiting++;
  mp_holdings_commit (&sync->slot, word.word, (own & ~ALL_WAIT) + get_unit (party->round));
  return is_last ? MP_SYNC_DONE : MP_SYNC_NOT_YET;
}

/* After the end of its round. */
static MpSyncStep
leave (MpSync         *sync,
       MpBarrierParty *party,
       guint32         own,
       int            *wake,
       GError        **error)
{
  MpBarrierWord word = get_word (sync);
  gboolean is_recent = (party->round + 1) % N_ROUNDS == word.round % N_ROUNDS;
  gboolean is_broken = is_recent ? word.recent_broken : word.old_broken;
  guint n = is_recent ? word.recent : word.old;

  if (is_recent)
    word.recent = take (n, 1);
  else
    word.old = take (n, 1);
  /* Others may wait for this to come at all. */
  if (!is_recent && word.old == 0)
    *wake = G_MAXINT;
  if (get_number (own, party->round) > 0)
    own -= get_unit (party->round);
  mp_holdings_commit (&sync->slot, word.word, own & ~ALL_WAIT);

  return is_broken ? fail (party, word, error) : pass (party, take (n, 1));
}

/* A copy that a callback has made by fork() in the midst of a wait: it has no part in this. */
static gboolean
is_copy (MpSync         *sync,
         MpBarrierParty *party,
         GError        **error)
{
  if (party->owner == 0 || party->owner == mp_arena_get_self (sync->slot.arena))
    return FALSE;

  party->is_over = TRUE;
  party->owner = 0;
  g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "barrier wait: the process that waits is the one that this one is a copy of");
  return TRUE;
}

static gboolean
waits_with_all (const MpSlotRef *ref,
                guint            index)
{
  MpBarrierWord word = { mp_holdings_get_word (ref) };
  guint32 holding = mp_holdings_get_of (ref, index);

  return (holding & ALL_WAIT) != 0 && get_number (holding, word.round) > 0;
}

/* Since when its thread does nothing else; an asynchronous call's own goes on with what it does until its loop turns. */
static gint64
get_time_idle (MpBarrierParty *party)
{
  gint64 turned_us = 0;

  if (party->turned_us == NULL)
    return g_get_monotonic_time () - party->came_us;
  turned_us = __atomic_load_n (party->turned_us, __ATOMIC_ACQUIRE);
  return turned_us > 0 ? g_get_monotonic_time () - turned_us : 0;
}

/* Whether nobody can come any more: each process that has the barrier waits, in as many calls as it has threads. */
static gboolean
all_wait (MpSync         *sync,
          MpBarrierParty *party,
          guint32         own)
{
  /* Threads that never come: the library's and those of GLib and of JavaScript's engine. */
  static const char *const others[] = {
    "mp-async", "mp-cancel", "gmain", "gdbus", "dconf worker", "pool-spawner", "JS Helper", NULL
  };
  guint32 flag = 0;

  if (get_time_idle (party) >= ALL_WAIT_US &&
      mp_platform_count_threads (others) <= get_number (own, party->round))
    flag = ALL_WAIT;
  if (flag != (own & ALL_WAIT))
    mp_holdings_commit (&sync->slot, get_word (sync).word, own ^ ALL_WAIT);

  return flag != 0 && !mp_slot_has_others (&sync->slot, waits_with_all);
}

MpSyncStep
mp_barrier_party_wait (MpSync    *sync,
                       gboolean   settle,
                       gpointer   data,
                       int       *wake,
                       GError   **error)
{
  MpBarrierParty *party = data;
  MpBarrierWord word;
  guint32 own;

  if (is_copy (sync, party, error))
    return MP_SYNC_FAILED;
  own = begin (sync, settle, wake);
  word = get_word (sync);
  if (party->owner == 0)
    return come (sync, party, own, settle, wake, error);
  if (party->round != word.round)
    return leave (sync, party, own, wake, error);
  if (!settle || word.waiting >= word.parties || !all_wait (sync, party, own))
    return MP_SYNC_NOT_YET;

  break_round (&word, MP_BARRIER_TOO_FEW);
  mp_holdings_commit_word (&sync->slot, word.word);
  *wake = G_MAXINT;
  return leave (sync, party, mp_holdings_get_own (&sync->slot, without_dead), wake, error);
}

MpSyncStep
mp_barrier_party_conclude (MpSync    *sync,
                           gboolean   settle,
                           gpointer   data,
                           int       *wake,
                           GError   **error)
{
  MpBarrierParty *party = data;
  MpBarrierWord word;
  guint32 own;

  if (is_copy (sync, party, error))
    return MP_SYNC_FAILED;
  own = begin (sync, TRUE, wake);
  word = get_word (sync);
  if (party->round != word.round)
    return leave (sync, party, own, wake, error);

  word.waiting = take (word.waiting, 1);
  if (get_number (own, party->round) > 0)
    own -= get_unit (party->round);
  return pass_for_all (sync, party, word, own, wake);
}

MpSyncStep
mp_barrier_party_withdraw (MpSync    *sync,
                           gboolean   settle,
                           gpointer   data,
                           int       *wake,
                           GError   **error)
{
  MpBarrierParty *party = data;
  MpBarrierWord word;
  guint32 own;

  if (is_copy (sync, party, error))
    return MP_SYNC_FAILED;
  own = begin (sync, FALSE, wake);
  word = get_word (sync);
  if (party->owner == 0 || party->round == word.round)
    {
      break_round (&word, party->cause);
      mp_holdings_commit_word (&sync->slot, word.word);
      *wake = G_MAXINT;
    }
  if (party->owner == 0)
    return fail (party, word, error);
  return leave (sync, party, own, wake, error);
}

MpSyncStep
mp_barrier_break (MpSync    *sync,
                  gboolean   settle,
                  gpointer   data,
                  int       *wake,
                  GError   **error)
{
  MpBarrierWord word;

  begin (sync, FALSE, wake);
  word = get_word (sync);
  break_round (&word, MP_BARRIER_ABORTED);
  mp_holdings_commit_word (&sync->slot, word.word);
  *wake = G_MAXINT;
  return MP_SYNC_DONE;
}

MpSyncStep
mp_barrier_mend (MpSync    *sync,
                 gboolean   settle,
                 gpointer   data,
                 int       *wake,
                 GError   **error)
{
  MpBarrierWord word;

  /* Nobody's earlier end is to break it again. */
  begin (sync, TRUE, wake);
  word = get_word (sync);
  if (word.waiting > 0)
    {
      end_round (&word, TRUE);
      word.cause = MP_BARRIER_RESET;
    }
  word.broken = FALSE;
  mp_holdings_commit_word (&sync->slot, word.word);
  *wake = G_MAXINT;
  return MP_SYNC_DONE;
}

MpSyncStep
mp_barrier_settle (MpSync    *sync,
                   gboolean   settle,
                   gpointer   data,
                   int       *wake,
                   GError   **error)
{
  begin (sync, TRUE, wake);
  return MP_SYNC_DONE;
}
