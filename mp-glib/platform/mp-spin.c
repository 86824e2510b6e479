/* mp-spin.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-spin-private.h"

#include <sched.h>

/* What waking a sleeping CPU costs, about: waiting longer than that can only lose. */
#define SPIN_US    50
#define MAX_CREDIT 8
#define MAX_SKIP   256
/* A yield gave the CPU to others for as long as this: then more want to run than there are CPUs. */
#define LOADED_US  500

/* Several threads may be at one of these: none of them minds what the others make of it. */
#define GET(place)       __atomic_load_n (&(place), __ATOMIC_RELAXED)
#define SET(place,value) __atomic_store_n (&(place), value, __ATOMIC_RELAXED)

static gboolean is_off;

void
mp_spin_set_for_testing (gboolean is_on)
{
  is_off = !is_on;
}

gint64
mp_spin_begin (MpSpin *self)
{
  if (G_UNLIKELY (is_off))
    return 0;
  if (GET (self->credit) <= 0)
    {
      guint to_skip = GET (self->to_skip);

      if (to_skip > 0)
        {
          SET (self->to_skip, to_skip - 1);
          return 0;
        }
    }
  return g_get_monotonic_time () + SPIN_US;
}

gboolean
mp_spin_again (gint64 until)
{
  sched_yield ();
  return g_get_monotonic_time () < until;
}

void
mp_spin_end (MpSpin   *self,
             gint64    until,
             gboolean  found)
{
  gint64 now = g_get_monotonic_time ();
  int credit = GET (self->credit);
  guint to_skip = 0;

  /* Where a yield gives the CPU to others for long, it was found late: one that sleeps would have been woken sooner. */
  if (found && now < until + SPIN_US)
    {
      SET (self->credit, MIN (credit + 1, MAX_CREDIT));
      SET (self->last_skip, 0);
      return;
    }

  credit = now < until + LOADED_US ? MAX (credit - 2, 0) : 0;
  SET (self->credit, credit);
  if (credit > 0)
    return;
  to_skip = CLAMP (2 * GET (self->last_skip), 1, MAX_SKIP);
  SET (self->to_skip, to_skip);
  SET (self->last_skip, to_skip);
}
