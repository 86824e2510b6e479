/* torture-barrier.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/sync/mp-barrier-party-private.h"
#include "mp-glib/sync/mp-barrier.h"
#include "mp-glib/sync/mp-sync-object-private.h"

/* MpBarrier: two of them, of which one has an action; all children are its parties, and come to them in turns. Each round is
 * passed by all or by none. */

#define N_PARTIES  TORTURE_N_CHILDREN
#define N_ROUNDS   8
#define AT_MOST_US (25 * 1000)   /* when one of the children is not there; two of them, which are a step, are shorter
                                  * than a sleeper may be forgotten */

enum { BROKEN_NOTHING, BROKEN_FIRST, BROKEN_SECOND };

/* Who was in a round, written by its action: each wait has a number that no other one has. */
typedef struct
{
  guint64 waits[N_PARTIES];
  guint64 n_passed;
  guint64 n_broken;
} Round;

/* In shared memory. */
typedef struct
{
  TortureWitness seats[2][N_PARTIES];   /* who has passed with which number: free again before the next wait */
  guint64        waits[N_PARTIES];      /* at the one with an action */
  guint64        n_rounds;
  Round          rounds[N_ROUNDS];
  guint64        n_passed;
  guint64        n_broken;
  guint64        n_timed_out;
  guint64        n_async;
} Data;

static Data      *data;
static MpBarrier *barriers[2];   /* the first one with an action */

/* A child's own. */
static GMainContext *context;
static guint64       n_waits;

static void
barrier_setup (void)
{
  data = torture_alloc (sizeof *data);
  for (guint i = 0; i < 2; i++)
    barriers[i] = mp_barrier_new (N_PARTIES);
}

/* All are here. */
static gboolean
action_cb (MpBarrier  *barrier,
           gpointer    user_data,
           GError    **error)
{
  guint64 number = torture_look_at (&data->n_rounds) + 1;
  Round *round = &data->rounds[number % N_ROUNDS];

  memset (round, 0, sizeof *round);
  for (guint i = 0; i < N_PARTIES; i++)
    round->waits[i] = torture_look_at (&data->waits[i]);
  MP_TORTURE_POINT ("barrier-acts");
  __atomic_store_n (&data->n_rounds, number, __ATOMIC_SEQ_CST);
  return TRUE;
}

static void
barrier_begin (void)
{
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  mp_barrier_set_action (barriers[0], action_cb, NULL, NULL);
}

/* The last one that has this wait in it; NULL: none. */
static Round *
find_round (guint64 wait)
{
  guint64 last = torture_look_at (&data->n_rounds);

  for (guint64 number = last; number > 0 && number + N_ROUNDS > last + 1; number--)
    if (data->rounds[number % N_ROUNDS].waits[torture_get_child ()] == wait)
      return &data->rounds[number % N_ROUNDS];
  return NULL;
}

static void
settle_round (guint64  wait,
              gboolean passed)
{
  Round *round = find_round (wait);

  torture_check (round != NULL || !passed, "barrier: passed, and the action was not called");
  if (round == NULL)
    return;
  for (guint i = 0; i < N_PARTIES; i++)
    torture_check (!passed || round->waits[i] != 0, "barrier: passed without %u", i);
  torture_count (passed ? &round->n_passed : &round->n_broken);
  torture_check (torture_look_at (&round->n_passed) == 0 || torture_look_at (&round->n_broken) == 0,
                 "barrier: passed by %" G_GUINT64_FORMAT " and broken for %" G_GUINT64_FORMAT,
                 torture_look_at (&round->n_passed), torture_look_at (&round->n_broken));
}

typedef struct
{
  gboolean  done;
  gboolean  passed;
  guint     index;
  GError   *error;
} Waited;

static void
waited_cb (GObject      *source_object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Waited *waited = user_data;

  waited->passed = mp_barrier_wait_finish (MP_BARRIER (source_object), result, &waited->index, &waited->error);
  waited->done = TRUE;
}

static gboolean
cancel_cb (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_REMOVE;
}

static gboolean
wait_async (MpBarrier  *barrier,
            guint      *index,
            gint64      timeout_us,
            GError    **error)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GSource) source = g_timeout_source_new (timeout_us / 1000);
  Waited waited = { FALSE };

  g_source_set_callback (source, cancel_cb, cancellable, NULL);
  g_source_attach (source, context);
  mp_barrier_wait_async (barrier, cancellable, waited_cb, &waited);
  while (!waited.done)
    g_main_context_iteration (context, TRUE);
  g_source_destroy (source);
  torture_count (&data->n_async);
  *index = waited.index;
  if (waited.error != NULL)
    g_propagate_error (error, waited.error);
  return waited.passed;
}

static gboolean
wait_somehow (MpBarrier  *barrier,
              guint      *index,
              GError    **error)
{
  gint64 timeout_us = torture_random (100) == 0 ? (gint64) torture_random (300) : AT_MOST_US;

  if (torture_broken == BROKEN_FIRST)
    {
      *index = torture_random (N_PARTIES);
      return TRUE;
    }
  if ((torture_get_child () + (torture_random (8) == 0)) % 2 == 0)
    return wait_async (barrier, index, timeout_us, error);
  return mp_barrier_wait (barrier, index, timeout_us, NULL, error);
}

static void
check_error (const GError *error)
{
  if (g_error_matches (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER))
    torture_count (&data->n_broken);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
           g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    torture_count (&data->n_timed_out);
  else
    torture_violation ("barrier: %s", error->message);
}

static void
use (guint which)
{
  MpBarrier *barrier = barriers[which];
  guint64 *wait = &data->waits[torture_get_child ()];
  guint64 number = torture_get_serial () << 32 | ++n_waits;
  g_autoptr(GError) error = NULL;
  gboolean passed;
  guint index = 0;

  if (which == 0)
    __atomic_store_n (wait, number, __ATOMIC_SEQ_CST);
  passed = wait_somehow (barrier, &index, &error);
  if (torture_broken == BROKEN_SECOND && torture_get_child () == 0)
    passed = FALSE;
  if (which == 0)
    settle_round (number, passed);
  if (which == 0)
    __atomic_store_n (wait, 0, __ATOMIC_SEQ_CST);

  if (passed)
    {
      torture_check (index < N_PARTIES, "barrier: passed as number %u", index);
      torture_enter (&data->seats[which][index], "barrier seat");
      torture_count (&data->n_passed);
      torture_linger ();
      torture_leave (&data->seats[which][index], "barrier seat");
    }
  else if (error != NULL)
    {
      check_error (error);
    }
  if (mp_barrier_is_broken (barrier) && !mp_barrier_reset (barrier, NULL))
    torture_violation ("barrier reset: fails");
}

static void
barrier_step (void)
{
  use (0);
  use (1);
  if (torture_random (500) == 0)
    mp_barrier_abort (barriers[torture_random (2)], NULL);
  if (torture_random (500) == 0)
    mp_barrier_reset (barriers[torture_random (2)], NULL);
}

static MpBarrierWord
get_word (MpBarrier *barrier)
{
  guint64 state[2];

  mp_cell_read_state (&((MpSyncObject *) barrier)->sync.slot, state);
  return (MpBarrierWord) { state[0] };
}

static void
barrier_check (void)
{
  for (guint i = 0; i < 2; i++)
    {
      MpBarrierWord word = get_word (barriers[i]);

      torture_check (word.parties == N_PARTIES && word.waiting <= N_PARTIES && word.recent <= N_PARTIES &&
                     word.old <= N_PARTIES, "barrier: %u of %u wait, %u and %u are leaving", word.waiting, word.parties,
                     word.recent, word.old);
    }
}

static void
barrier_finish (void)
{
  for (guint i = 0; i < 2; i++)
    {
      MpBarrierWord word;

      torture_check (mp_barrier_reset (barriers[i], NULL) && !mp_barrier_is_broken (barriers[i]),
                     "barrier: cannot be reset at the end");
      word = get_word (barriers[i]);
      torture_check (word.waiting == 0 && word.recent == 0 && word.old == 0,
                     "barrier: at the end %u wait, and %u and %u are leaving", word.waiting, word.recent, word.old);
      g_clear_object (&barriers[i]);
    }
}

static void
barrier_figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " passed, %" G_GUINT64_FORMAT " found it broken, %" G_GUINT64_FORMAT
                          " timed out, %" G_GUINT64_FORMAT " by callbacks; ", data->n_passed, data->n_broken,
                          data->n_timed_out, data->n_async);
}

static const char *const barrier_points[] = {
  "barrier-", "sync-", "holdings-", "!holdings-unmarked", "cell-", NULL
};
static const char *const barrier_variants[] = { "no-wait", "broken-for-one", NULL };

const TorturePrimitive torture_barrier = {
  "barrier", barrier_points, barrier_variants, barrier_setup, barrier_begin, barrier_step, barrier_check, barrier_finish,
  barrier_figures,
};
