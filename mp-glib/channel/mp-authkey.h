/* mp-authkey.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

MP_AVAILABLE_IN_ALL
GBytes *mp_get_authkey (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void    mp_set_authkey (GBytes *authkey);

G_END_DECLS
