/* mp-queue-kinds.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

void
mp_queue_ensure_kinds (void)
{
  mp_joinable_queue_ensure_kind ();
  mp_queue_ensure_kind ();
  mp_simple_queue_ensure_kind ();
}
