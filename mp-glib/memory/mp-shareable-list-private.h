/* mp-shareable-list-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/memory/mp-shareable-list.h"

G_BEGIN_DECLS

/* Makes lists known to the codec. */
void mp_shareable_list_ensure_kind (void);

G_END_DECLS
