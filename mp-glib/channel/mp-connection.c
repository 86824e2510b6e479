/* mp-connection.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

void
mp_connection_ensure_kind (void)
{
}
