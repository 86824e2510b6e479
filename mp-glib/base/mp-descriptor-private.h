/* mp-descriptor-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-descriptor.h"

G_BEGIN_DECLS

/* Makes descriptors known to the codec. mp_wire_new() calls it. */
void mp_descriptor_ensure_kind (void);

G_END_DECLS
