/* mp-sleeper-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-async-private.h"

G_BEGIN_DECLS

/* One blocking call that waits for a word in shared memory to change: on the stack of its thread. It sleeps in slices,
 * because who changes the word may be killed before it wakes anybody, and wakes for its cancellable and for posts of its
 * owner. Without any lock of the library's held. */
typedef struct
{
  const char     *what;           /* "lock acquire" */
  gconstpointer   owner;          /* the key of the posts that are run meanwhile */
  gint64          deadline;       /* -1: none */
  GCancellable   *cancellable;    /* (nullable) */
  gulong          cancel_id;
  int             interrupt_fd;
  guint32         woken;
  gboolean        slept;
  gint64          pause_us;       /* until the next look at the hub */
  MpAsyncBlocked  blocked;
} MpSleeper;

/* @deadline: as mp_deadline_after() gives it. In pairs. */
void      mp_sleeper_begin   (MpSleeper     *self,
                              gconstpointer  owner,
                              const char    *what,
                              gint64         deadline,
                              GCancellable  *cancellable);
void      mp_sleeper_end     (MpSleeper     *self);
/* Runs what is due; then is the time to look for what is waited for. */
void      mp_sleeper_awake   (MpSleeper     *self);
/* After a look in vain. TRUE sets @error: CANCELLED, MP_ERROR_INTERRUPTED, TIMED_OUT. */
gboolean  mp_sleeper_is_over (MpSleeper     *self,
                              GError       **error);
/* While *@word is @seen, and for a slice at most. TRUE: a whole one, and nobody woke it. */
gboolean  mp_sleeper_sleep   (MpSleeper     *self,
                              guint32       *word,
                              guint32        seen);

G_END_DECLS
