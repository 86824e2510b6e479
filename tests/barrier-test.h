/* barrier-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lock-test.h"

#include "instrument-test.h"
#include "mp-glib/sync/mp-barrier-party-private.h"
#include "mp-glib/sync/mp-sync-object-private.h"

/* What the tests of MpBarrier share. */

/* Within which a death, and that too few are left, has to show. */
#define SOON_US ((is_slow () ? 20 : 2) * G_USEC_PER_SEC)

static MpBarrier *barrier;   /* of the test that runs: children made by fork() have it as well */

G_GNUC_UNUSED static const MpSlotRef *
get_slot_of (MpBarrier *self)
{
  return &((MpSyncObject *) self)->sync.slot;
}

G_GNUC_UNUSED static MpBarrierWord
get_word_of (MpBarrier *self)
{
  guint64 state[2];

  mp_cell_read_state (get_slot_of (self), state);
  return (MpBarrierWord) { state[0] };
}

/* Passes. */
static inline guint
pass (void)
{
  g_autoptr(GError) error = NULL;
  guint index = G_MAXUINT;

  g_assert_true (mp_barrier_wait (barrier, &index, LONG, NULL, &error) || error != NULL);
  g_assert_no_error (error);
  return index;
}

/* Is told that it is broken, for this reason, soon. */
static inline void
find_broken (const char *reason)
{
  g_autofree char *message = g_strconcat ("barrier wait: broken: ", reason, NULL);
  gint64 begin = g_get_monotonic_time ();
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_barrier_wait (barrier, NULL, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_BROKEN_BARRIER);
  g_assert_cmpstr (error->message, ==, message);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, SOON_US);
}

static inline void
await_waiting (guint n)
{
  while (mp_barrier_get_n_waiting (barrier) != n)
    g_thread_yield ();
}

static inline void
reset (void)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_barrier_reset (barrier, &error));
  g_assert_no_error (error);
}

static inline void
abort_it (void)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_barrier_abort (barrier, &error));
  g_assert_no_error (error);
}

/* For a child: waits once, and tells how that ended: its index, or of the error the code, negative. */
static inline void
wait_once (int socket)
{
  g_autoptr(GError) error = NULL;
  guint index;

  end_with_parent ();
  if (mp_barrier_wait (barrier, &index, LONG, NULL, &error))
    tell (socket, index);
  else
    tell (socket, -(guint64) error->code);
}

/* The same, and then stays. */
G_GNUC_UNUSED static void
wait_and_stay (int socket)
{
  wait_once (socket);
  hear (socket);
}

#define BROKEN ((guint64) -MP_ERROR_BROKEN_BARRIER)
