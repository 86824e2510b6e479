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
  if (self->credit <= 0 && self->to_skip > 0)
    {
      self->to_skip--;
      return 0;
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

  /* Where a yield gives the CPU to others for long, it was found late: one that sleeps would have been woken sooner. */
  if (found && now < until + SPIN_US)
    {
      self->credit = MIN (self->credit + 1, MAX_CREDIT);
      self->last_skip = 0;
      return;
    }

  self->credit = now < until + LOADED_US ? MAX (self->credit - 2, 0) : 0;
  if (self->credit == 0)
    self->to_skip = self->last_skip = CLAMP (2 * self->last_skip, 1, MAX_SKIP);
}
