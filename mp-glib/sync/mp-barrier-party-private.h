/* mp-barrier-party-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/sync/mp-sync-private.h"

G_BEGIN_DECLS

/* The rounds of a barrier. Those who have come to a round are counted; the last one ends it, and each that leaves looks how
 * its round ended: passed or broken, the same for all of them. Nobody comes as long as there is one who has not left the
 * round before the last: so three numbers tell the rounds apart, and two bits how they ended.
 *
 * Each process has counted, in its holdings, how many of it are in each of the three rounds; that it has the barrier at
 * all is its mark. One that dies while it waits, or with its mark, breaks the barrier. */

#define MP_BARRIER_MAX_PARTIES 16383u

typedef enum
{
  MP_BARRIER_ABORTED,
  MP_BARRIER_DIED,
  MP_BARRIER_TOO_FEW,
  MP_BARRIER_TIMED_OUT,
  MP_BARRIER_CANCELLED,
  MP_BARRIER_RESET,
  MP_BARRIER_ACTION,
} MpBarrierCause;   /* three bits */

/* The state's word. */
typedef union
{
  guint64 word;
  struct
  {
    guint64 parties       : 14;
    guint64 waiting       : 14;   /* in this round; with all the parties its action runs */
    guint64 recent        : 14;   /* have not left the last round yet */
    guint64 old           : 14;   /* the same of the one before */
    guint64 round         : 2;    /* 0 … 2 */
    guint64 recent_broken : 1;
    guint64 old_broken    : 1;
    guint64 broken        : 1;    /* nobody may come */
    guint64 cause         : 3;    /* of the last time: MpBarrierCause */
  };
} MpBarrierWord;

G_STATIC_ASSERT (sizeof (MpBarrierWord) == sizeof (guint64));

/* One that waits. Zeros at first, but for has_action. */
typedef struct
{
  gboolean       has_action;  /* if it is the last one it acts, and only then is the round at its end */
  gboolean       acts;
  MpOwner        owner;       /* in whose name it has come; 0: it has not, or has left */
  guint          round;
  gint64         came_us;
  const gint64  *turned_us;   /* (nullable): of an asynchronous one: when its main loop has turned since; 0: it has not */
  gboolean       is_over;     /* with an error, or else the round was passed: */
  guint          index;
  MpBarrierCause cause;       /* why it is withdrawn */
} MpBarrierParty;

/* All of these: MpSyncTry. Comes, then waits for the end of the round. DONE: passed, or it acts now. Data: the party. */
MpSyncStep mp_barrier_party_wait     (MpSync    *sync,
                                      gboolean   settle,
                                      gpointer   data,
                                      int       *wake,
                                      GError   **error);
/* After it has acted: passes for all. */
MpSyncStep mp_barrier_party_conclude (MpSync    *sync,
                                      gboolean   settle,
                                      gpointer   data,
                                      int       *wake,
                                      GError   **error);
/* Leaves, and breaks the barrier if the round has not ended. DONE: it has been passed; FAILED: not. */
MpSyncStep mp_barrier_party_withdraw (MpSync    *sync,
                                      gboolean   settle,
                                      gpointer   data,
                                      int       *wake,
                                      GError   **error);
/* Data: (nullable) nothing. */
MpSyncStep mp_barrier_break          (MpSync    *sync,
                                      gboolean   settle,
                                      gpointer   data,
                                      int       *wake,
                                      GError   **error);
MpSyncStep mp_barrier_mend           (MpSync    *sync,
                                      gboolean   settle,
                                      gpointer   data,
                                      int       *wake,
                                      GError   **error);
/* Only sees to what the dead have left. */
MpSyncStep mp_barrier_settle         (MpSync    *sync,
                                      gboolean   settle,
                                      gpointer   data,
                                      int       *wake,
                                      GError   **error);

G_END_DECLS
