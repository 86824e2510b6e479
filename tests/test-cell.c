/* test-cell.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"

#include "arena-test.h"
#include "mp-glib/arena/mp-async-private.h"
#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/sync/mp-lock-private.h"

#define LONG (60 * G_USEC_PER_SEC)   /* never reached unless something hangs */

static MpSlotRef ref;   /* of the test that runs; children have it as well */

static void
set_word (guint64 word)
{
  __atomic_store_n (&ref.slot->word, word, __ATOMIC_SEQ_CST);
}

static guint64
get_word (void)
{
  return __atomic_load_n (&ref.slot->word, __ATOMIC_SEQ_CST);
}

static guint64
get_mine (void)
{
  return MP_ARENA_SELF (ref.arena) << 16;
}

static void
test_word (void)
{
  make_slot (&ref, FALSE);
  g_assert_cmpuint (get_word (), ==, 0);
  g_assert_false (mp_cell_give_back (&ref));
  g_assert_false (mp_cell_give_back_quickly (&ref));
  g_assert_false (mp_cell_is_taken (&ref));

  g_assert_true (mp_cell_take_quickly (&ref));
  g_assert_cmpuint (get_word (), ==, get_mine ());
  g_assert_true (mp_cell_is_taken (&ref));
  g_assert_true (mp_cell_is_mine (&ref));
  g_assert_false (mp_cell_take_quickly (&ref));
  g_assert_cmpint (mp_cell_try_take (&ref), ==, MP_CELL_BUSY);
  g_assert_cmpuint (get_word (), ==, get_mine ());
  g_assert_cmpint (mp_cell_try_take_watching (&ref), ==, MP_CELL_BUSY);
  g_assert_cmpuint (get_word (), ==, get_mine () | MP_CELL_WATCHED);

  /* Somebody has to be told: not the quick way. */
  g_assert_false (mp_cell_give_back_quickly (&ref));
  g_assert_true (mp_cell_give_back (&ref));
  g_assert_cmpuint (get_word (), ==, 0);
  g_assert_cmpint (mp_cell_try_take (&ref), ==, MP_CELL_TAKEN);
  g_assert_true (mp_cell_give_back_quickly (&ref));
  mp_slot_clear (&ref);
}

static void
test_inconsistent (void)
{
  make_slot (&ref, FALSE);
  set_word (MP_CELL_INCONSISTENT);
  g_assert_true (mp_cell_is_inconsistent (&ref));
  g_assert_false (mp_cell_is_taken (&ref));
  g_assert_false (mp_cell_take_quickly (&ref));
  g_assert_cmpint (mp_cell_try_take (&ref), ==, MP_CELL_ABANDONED);
  g_assert_true (mp_cell_is_inconsistent (&ref));
  g_assert_true (mp_cell_give_back (&ref));
  g_assert_cmpuint (get_word (), ==, MP_CELL_INCONSISTENT);
  g_assert_false (mp_cell_mark_consistent (&ref));
  g_assert_true (mp_cell_take (&ref, &ref, "test", -1, NULL, NULL));
  g_assert_true (mp_cell_mark_consistent (&ref));
  g_assert_true (mp_cell_give_back_quickly (&ref));
  g_assert_cmpuint (get_word (), ==, 0);
  mp_slot_clear (&ref);
}

/* Owners that never were: whatever is written there, nobody waits for it for ever, or reads beyond the table. */
static void
test_strange_owners (void)
{
  static const guint64 owners[] = {
    G_GUINT64_CONSTANT (0xffffffffffff), G_GUINT64_CONSTANT (0x0000ffff), G_GUINT64_CONSTANT (0x10000),
    G_GUINT64_CONSTANT (0x1000003ff), G_GUINT64_CONSTANT (0xfffffffe03ff),
  };
  guint before = g_atomic_int_get (&mp_arena_counts.n_abandoned), i;

  make_slot (&ref, FALSE);
  for (i = 0; i < G_N_ELEMENTS (owners); i++)
    {
      set_word (owners[i] << 16 | MP_CELL_WAITERS);
      g_assert_false (mp_cell_is_taken (&ref));
      g_assert_true (mp_cell_is_inconsistent (&ref));
      g_assert_cmpint (mp_cell_try_take (&ref), ==, MP_CELL_ABANDONED);
      /* Who sleeps sleeps on. */
      g_assert_cmpuint (get_word (), ==, get_mine () | MP_CELL_WAITERS | MP_CELL_INCONSISTENT);
      set_word (owners[i] << 16);
      g_assert_false (mp_cell_give_back (&ref));
      g_assert_cmpuint (get_word (), ==, MP_CELL_INCONSISTENT);
    }
  g_assert_cmpuint (g_atomic_int_get (&mp_arena_counts.n_abandoned), ==, before + 2 * G_N_ELEMENTS (owners));

  /* This process, as it was before: another one had the index. */
  set_word (get_mine () + (G_GUINT64_CONSTANT (1) << 32));
  g_assert_cmpint (mp_cell_try_take (&ref), ==, MP_CELL_ABANDONED);
  mp_slot_clear (&ref);
}

/* As after a fork for which there was no room. */
static void
be_lost (int socket)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GError) error = NULL;
  MpArenaHead *head = (MpArenaHead *) (gpointer) mp_lock_get_slot (lock)->arena;
  MpOwner self = head->self;

  make_slot (&ref, FALSE);
  head->self = 0;
  g_assert_false (mp_cell_take_quickly (&ref));
  g_assert_cmpint (mp_cell_try_take (&ref), ==, MP_CELL_LOST);
  g_assert_cmpint (mp_cell_try_take_watching (&ref), ==, MP_CELL_LOST);
  g_assert_false (mp_cell_take (&ref, &ref, "test", -1, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_false (mp_cell_give_back_quickly (&ref));
  g_assert_false (mp_cell_give_back (&ref));
  g_assert_false (mp_cell_is_mine (&ref));
  g_assert_false (mp_cell_mark_consistent (&ref));
  g_assert_cmpuint (get_word (), ==, 0);

  g_assert_false (mp_lock_acquire (lock, -1, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_false (mp_lock_try_acquire (lock));
  g_assert_false (mp_lock_release (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  head->self = self;
  tell (socket, 1);
}

static void
test_lost (void)
{
  Peer peer = peer_start (be_lost);

  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_join (&peer);
}

static void
test_state (void)
{
  guint64 state[2] = { 1, 1 };
  guint32 which;

  make_slot (&ref, FALSE);
  mp_cell_read_state (&ref, state);
  g_assert_cmpuint (state[0], ==, 0);
  g_assert_cmpuint (state[1], ==, 0);
  state[0] = 7;
  state[1] = 8;
  mp_cell_write_state (&ref, state);
  g_assert_cmpuint (ref.slot->which, ==, 1);
  state[0] = state[1] = 0;
  mp_cell_read_state (&ref, state);
  g_assert_cmpuint (state[0], ==, 7);
  g_assert_cmpuint (state[1], ==, 8);

  /* What a dead process had written without the commit does not exist. */
  which = ref.slot->which;
  ref.slot->state[(which + 1) & 1][0] = 9;
  mp_cell_read_state (&ref, state);
  g_assert_cmpuint (state[0], ==, 7);
  state[0] = 10;
  mp_cell_write_state (&ref, state);
  mp_cell_read_state (&ref, state);
  g_assert_cmpuint (state[0], ==, 10);
  g_assert_cmpuint (state[1], ==, 8);
  mp_slot_clear (&ref);
}

static void
write_states (int socket)
{
  guint64 state[2], n;

  for (n = 1;; n++)
    {
      state[0] = n;
      state[1] = ~n;
      mp_cell_write_state (&ref, state);
    }
}

/* Read without the cell, and by who is much slower than the writer: never half. */
static void
test_state_whole (void)
{
  guint64 state[2] = { 0, G_MAXUINT64 }, last = 0;
  guint n_changes = g_getenv ("MP_TESTS_SLOW") != NULL ? 20 : 20000;
  Peer peer;

  make_slot (&ref, FALSE);
  mp_cell_write_state (&ref, state);
  peer = peer_start (write_states);
  while (n_changes > 0)
    {
      mp_cell_read_state (&ref, state);
      g_assert_cmpuint (state[1], ==, ~state[0]);
      g_assert_cmpuint (state[0], >=, last);
      if (state[0] != last)
        n_changes--;
      last = state[0];
    }
  peer_kill (&peer);
  mp_cell_read_state (&ref, state);
  g_assert_cmpuint (state[1], ==, ~state[0]);
  mp_slot_clear (&ref);
}

/* Asynchronous waits, on the slot's sequence. */
typedef struct
{
  guint32       wanted;
  MpAsyncWait  *wait;     /* hub's lock */
  guint         order;    /* hub's lock: 0: not yet */
} Step;

static guint n_done;

static gboolean
step_try (const MpSlotRef *slot,
          gpointer         data)
{
  Step *step = data;

  return __atomic_load_n (&slot->slot->sequence, __ATOMIC_SEQ_CST) >= step->wanted;
}

static void
step_done (gpointer data)
{
  Step *step = data;

  step->wait = NULL;
  step->order = ++n_done;
}

static void
step_add (Step    *step,
          guint32  wanted)
{
  mp_hub_lock ();
  step->wanted = wanted;
  step->order = 0;
  step->wait = mp_async_add (&ref, step_try, step_done, step);
  g_assert_nonnull (step->wait);
  mp_hub_unlock ();
}

static guint
step_await (Step *step)
{
  guint order = 0;

  while (order == 0)
    {
      mp_hub_lock ();
      order = step->order;
      mp_hub_unlock ();
      g_thread_yield ();
    }
  return order;
}

static void
advance_and_ring (void)
{
  guint64 watchers;

  __atomic_add_fetch (&ref.slot->sequence, 1, __ATOMIC_SEQ_CST);
  watchers = __atomic_exchange_n (&ref.slot->watchers, 0, __ATOMIC_SEQ_CST);
  if (watchers != 0)
    mp_arena_ring (&ref, watchers);
}

static void
advance_in_child (int socket)
{
  advance_and_ring ();
}

static void
test_async (void)
{
  Step steps[4];
  Peer peer;

  make_slot (&ref, FALSE);
  n_done = 0;
  step_add (&steps[0], 1);
  step_add (&steps[1], 1);
  step_add (&steps[2], 2);
  step_add (&steps[3], 1);
  g_assert_cmpuint (mp_async_count (), ==, 4);

  /* As many as can have it, in their order; who wants more is in the way of those behind. */
  peer = peer_start (advance_in_child);
  g_assert_cmpuint (step_await (&steps[0]), ==, 1);
  g_assert_cmpuint (step_await (&steps[1]), ==, 2);
  peer_join (&peer);
  g_assert_cmpuint (mp_async_count (), ==, 2);

  /* Until it gives up. */
  mp_hub_lock ();
  g_assert_true (mp_async_cancel (steps[2].wait));
  mp_hub_unlock ();
  g_assert_cmpuint (step_await (&steps[3]), ==, 3);
  g_assert_cmpuint (mp_async_count (), ==, 0);

  step_add (&steps[0], 2);
  advance_and_ring ();
  g_assert_cmpuint (step_await (&steps[0]), ==, 4);

  /* Nothing to wait for. */
  step_add (&steps[0], 2);
  g_assert_cmpuint (step_await (&steps[0]), ==, 5);
  mp_slot_clear (&ref);
}

#define N_STEPS 500

/* Called off while they are tried, and while they win. */
static void
test_async_cancel (void)
{
  g_autofree Step *steps = g_new0 (Step, N_STEPS);
  guint n_cancelled = 0, i, round;

  make_slot (&ref, FALSE);
  n_done = 0;
  for (round = 1; round <= 20; round++)
    {
      for (i = 0; i < N_STEPS; i++)
        step_add (&steps[i], round);
      advance_and_ring ();
      for (i = N_STEPS; i-- > 0;)
        {
          mp_hub_lock ();
          if (steps[i].wait != NULL && mp_async_cancel (steps[i].wait))
            {
              steps[i].order = 1;
              n_cancelled++;
            }
          mp_hub_unlock ();
        }
      for (i = 0; i < N_STEPS; i++)
        step_await (&steps[i]);
    }
  g_test_message ("%u cancelled", n_cancelled);
  g_assert_cmpuint (mp_async_count (), ==, 0);
  mp_hub_lock ();
  g_assert_cmpuint (n_done + n_cancelled, ==, 20 * N_STEPS);
  mp_hub_unlock ();
  mp_slot_clear (&ref);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/cell/word", test_word);
  g_test_add_func ("/cell/inconsistent", test_inconsistent);
  g_test_add_func ("/cell/strange-owners", test_strange_owners);
  g_test_add_func ("/cell/lost", test_lost);
  g_test_add_func ("/cell/state", test_state);
  g_test_add_func ("/cell/state-whole", test_state_whole);
  g_test_add_func ("/cell/async", test_async);
  g_test_add_func ("/cell/async-cancel", test_async_cancel);

  return g_test_run ();
}
