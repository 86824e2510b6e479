/* mp-memory-kinds.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-memory-kinds-private.h"

#include "mp-glib/memory/mp-shareable-list-private.h"

void
mp_memory_ensure_kinds (void)
{
  mp_array_ensure_kind ();
  mp_shareable_list_ensure_kind ();
  mp_shared_memory_ensure_kind ();
  mp_value_ensure_kind ();
}
