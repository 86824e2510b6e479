/* mp-shareable.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_SHAREABLE (mp_shareable_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_INTERFACE (MpShareable, mp_shareable, MP, SHAREABLE, GObject)

MP_AVAILABLE_IN_ALL
GVariant    *mp_shareable_to_variant   (MpShareable  *self);
MP_AVAILABLE_IN_ALL
MpShareable *mp_shareable_from_variant (GVariant     *variant,
                                        GError      **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_shareable_get_isolated (MpShareable  *self);

G_END_DECLS
