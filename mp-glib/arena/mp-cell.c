/* mp-cell.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-cell-private.h"

#include "mp-glib/arena/mp-async-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-futex-private.h"
#include "mp-glib/platform/mp-poll-private.h"

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

/* One blocking call. */
typedef struct
{
  const MpSlotRef *ref;
  const char      *what;
  gconstpointer    owner;
  gint64           deadline;      /* -1: none */
  GCancellable    *cancellable;   /* (nullable) */
  gulong           cancel_id;
  int              interrupt_fd;
  MpAsyncBlocked  *blocked;
  gboolean         slept;
} Wait;

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

static inline void
relax (void)
{
#if defined (__x86_64__) || defined (__i386__)
  __builtin_ia32_pause ();
#elif defined (__aarch64__) || defined (__arm__)
  __asm__ volatile ("yield");
#endif
}

/* Most holders are done before one could sleep. With pauses that grow: each look takes the memory away from the
 * holder. */
static gboolean
spin (const MpSlotRef *ref)
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
        relax ();
      word = __atomic_load_n (&ref->slot->word, __ATOMIC_RELAXED);
      if (word == 0 && mp_cell_take_quickly (ref))
        return TRUE;
      if (word != 0 && OWNER (word) == 0)
        return FALSE;
    }
  return FALSE;
}

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  mp_async_unblock (user_data);
}

static gboolean
is_interrupted (Wait *wait)
{
  GPollFD fd = { wait->interrupt_fd, G_IO_IN, 0 };

  return fd.fd >= 0 && mp_poll_fds (&fd, 1, 0) > 0;
}

/* Until somebody gives it back, or there is something else to do, or it is time to see whether the owner lives. @woken
 * is what blocked->word was before all that was looked at. */
static void
sleep_on (Wait    *wait,
          guint64  seen,
          guint32  woken)
{
  gint64 left = mp_deadline_left (wait->deadline);
  gboolean whole_slice = left < 0 || left > MP_CELL_SLICE_US;
  gint64 timeout_us = whole_slice ? MP_CELL_SLICE_US : left;
  MpFutexResult result;

  /* Where nobody could wake it for anything else, the one word is enough. (That no asynchronous wait is left does not
   * say so: the last one may have won the cell just now, for this process, and be about to be told.) */
  if (wait->cancellable == NULL && !mp_async_thread_runs ())
    result = mp_futex_wait (lower_half (wait->ref), (guint32) seen, timeout_us);
  else
    {
      MpFutexWait words[] = {
        { lower_half (wait->ref), (guint32) seen, FALSE },
        { &wait->blocked->word, woken, TRUE },
      };

      result = mp_futex_wait_many (words, G_N_ELEMENTS (words), timeout_us);
    }

  wait->slept = TRUE;
  if (result == MP_FUTEX_TIMED_OUT && whole_slice && OWNER (load (wait->ref)) == 0)
    g_atomic_int_inc (&mp_arena_counts.n_lost_wakes);
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
is_over (Wait    *wait,
         GError **error)
{
  if (g_cancellable_is_cancelled (wait->cancellable))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", wait->what);
  else if (is_interrupted (wait))
    g_set_error (error, MP_ERROR, MP_ERROR_INTERRUPTED, "%s: interrupted by a signal", wait->what);
  else if (mp_deadline_left (wait->deadline) == 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s: timed out", wait->what);
  else
    return FALSE;

  return TRUE;
}

static gboolean
take_or_sleep (Wait    *wait,
               GError **error)
{
  for (;;)
    {
      guint32 woken = __atomic_load_n (&wait->blocked->word, __ATOMIC_SEQ_CST);
      guint64 seen = 0;
      MpCellResult result;

      mp_hub_run_due (wait->owner);
      /* One that has slept cannot know whether others still do. */
      result = try_take (wait->ref, wait->slept ? WAITERS : 0, &seen);
      if (result == MP_CELL_LOST)
        return set_lost (wait->what, error);
      if (result != MP_CELL_BUSY)
        return TRUE;
      if (is_over (wait, error))
        return FALSE;

      if ((seen & WAITERS) == 0)
        {
          if (!change (wait->ref, &seen, seen | WAITERS))
            continue;
          seen |= WAITERS;
          MP_TORTURE_POINT ("cell-waits");
        }
      sleep_on (wait, seen, woken);
      MP_TORTURE_POINT ("cell-woken");
    }
}

static gboolean
take_slowly (Wait    *wait,
             GError **error)
{
  MpAsyncBlocked blocked;
  gboolean success;

  wait->blocked = &blocked;
  mp_async_begin_blocking (&blocked, wait->owner);
  if (wait->cancellable != NULL)
    wait->cancel_id = g_cancellable_connect (wait->cancellable, G_CALLBACK (cancelled_cb), &blocked, NULL);

  success = take_or_sleep (wait, error);

  if (wait->cancel_id != 0)
    g_cancellable_disconnect (wait->cancellable, wait->cancel_id);
  mp_async_end_blocking (&blocked);
  if (!success && wait->slept)
    pass_on (wait->ref);
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
  Wait wait = { ref, what, owner, -1, cancellable, 0, -1, NULL, FALSE };

  if (g_cancellable_is_cancelled (cancellable))
    return !is_over (&wait, error);
  if (mp_cell_take_quickly (ref))
    return TRUE;
  if (timeout_us != 0 && spin (ref))
    return TRUE;

  wait.interrupt_fd = mp_hub_get_interrupt_fd ();
  wait.deadline = mp_deadline_after (timeout_us);
  return take_slowly (&wait, error);
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

  /* The copy in force is not written to before the other one is. */
  for (;;)
    {
      state[0] = __atomic_load_n (&slot->state[which & 1][0], __ATOMIC_ACQUIRE);
      state[1] = __atomic_load_n (&slot->state[which & 1][1], __ATOMIC_ACQUIRE);
      now = __atomic_load_n (&slot->which, __ATOMIC_RELAXED);
      if (now == which)
        return;
      which = __atomic_load_n (&slot->which, __ATOMIC_ACQUIRE);
    }
}

void
mp_cell_write_state (const MpSlotRef *ref,
                     const guint64    state[2])
{
  MpSlot *slot = ref->slot;
  guint32 which = __atomic_load_n (&slot->which, __ATOMIC_RELAXED) + 1;

  /* Releasing each: a reader that sees a part of this sees, by `which`, that its copy had gone out of force. */
  __atomic_store_n (&slot->state[which & 1][0], state[0], __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("cell-state-half");
  __atomic_store_n (&slot->state[which & 1][1], state[1], __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("cell-state-written");
  __atomic_store_n (&slot->which, which, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("cell-state-committed");
}
