/* mp-deadline-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Until when a call may wait, in g_get_monotonic_time() terms; -1: for ever. Times as callers give them: microseconds, -1
 * for ever. */

static inline gint64
mp_deadline_after (gint64 timeout_us)
{
  gint64 now;

  if (timeout_us < 0)
    return -1;
  now = g_get_monotonic_time ();
  return timeout_us < G_MAXINT64 - now ? now + timeout_us : G_MAXINT64;
}

/* -1: for ever; 0: the time is over. */
static inline gint64
mp_deadline_left (gint64 deadline)
{
  gint64 left;

  if (deadline < 0)
    return -1;
  /* Not inside of MAX(), which would read the clock a second time: -1 is for ever. */
  left = deadline - g_get_monotonic_time ();
  return MAX (0, left);
}

G_END_DECLS
