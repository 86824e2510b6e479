/* mp-descriptor.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_DESCRIPTOR (mp_descriptor_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpDescriptor, mp_descriptor, MP, DESCRIPTOR, GObject)

MP_AVAILABLE_IN_ALL
MpDescriptor *mp_descriptor_new       (int            fd,
                                       GError       **error);
MP_AVAILABLE_IN_ALL
MpDescriptor *mp_descriptor_new_take  (int            fd,
                                       GError       **error);

MP_AVAILABLE_IN_ALL
int           mp_descriptor_get_fd    (MpDescriptor  *self);
MP_AVAILABLE_IN_ALL
int           mp_descriptor_dup_fd    (MpDescriptor  *self,
                                       GError       **error);
MP_AVAILABLE_IN_ALL
int           mp_descriptor_steal_fd  (MpDescriptor  *self);
MP_AVAILABLE_IN_ALL
void          mp_descriptor_close     (MpDescriptor  *self);
MP_AVAILABLE_IN_ALL
gboolean      mp_descriptor_is_closed (MpDescriptor  *self);

G_END_DECLS
