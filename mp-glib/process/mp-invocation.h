/* mp-invocation.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_INVOCATION (mp_invocation_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpInvocation, mp_invocation, MP, INVOCATION, GObject)

MP_AVAILABLE_IN_ALL
MpInvocation *mp_invocation_get_current       (void);
MP_AVAILABLE_IN_ALL
const char   *mp_invocation_get_function      (MpInvocation  *self);
MP_AVAILABLE_IN_ALL
int           mp_invocation_get_worker_number (MpInvocation  *self);
MP_AVAILABLE_IN_ALL
gboolean      mp_invocation_is_cancelled      (MpInvocation  *self);
MP_AVAILABLE_IN_ALL
GCancellable *mp_invocation_get_cancellable   (MpInvocation  *self);
MP_AVAILABLE_IN_ALL
gint64        mp_invocation_get_deadline      (MpInvocation  *self);
MP_AVAILABLE_IN_ALL
void          mp_invocation_report            (MpInvocation  *self,
                                               double         fraction,
                                               GVariant      *value);
MP_AVAILABLE_IN_ALL
void          mp_invocation_set_error_details (MpInvocation  *self,
                                               GVariant      *details);
MP_AVAILABLE_IN_ALL
void          mp_invocation_return_value      (MpInvocation  *self,
                                               GVariant      *value);
MP_AVAILABLE_IN_ALL
void          mp_invocation_return_error      (MpInvocation  *self,
                                               const GError  *error);

G_END_DECLS
