/* mp-memory-kinds-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Makes all of this floor known to the codec. mp_wire_new() calls it. */
void         mp_memory_ensure_kinds        (void);

void         mp_array_ensure_kind          (void);
void         mp_shared_memory_ensure_kind  (void);
void         mp_value_ensure_kind          (void);

G_END_DECLS
