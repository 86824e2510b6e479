/* mp-waitable.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_WAITABLE (mp_waitable_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_INTERFACE (MpWaitable, mp_waitable, MP, WAITABLE, GObject)

G_END_DECLS
