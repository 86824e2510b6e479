/* mp-connection-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

/* Makes connections known to the codec. mp_wire_new() calls it. */
void mp_connection_ensure_kind (void);

G_END_DECLS
