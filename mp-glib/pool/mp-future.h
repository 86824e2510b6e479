/* mp-future.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_FUTURE (mp_future_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpFuture, mp_future, MP, FUTURE, GObject)

MP_AVAILABLE_IN_ALL
GVariant *mp_future_get               (MpFuture             *self,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_future_get_async         (MpFuture             *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant *mp_future_get_finish        (MpFuture             *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_wait              (MpFuture             *self,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_future_wait_async        (MpFuture             *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_wait_finish       (MpFuture             *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_is_ready          (MpFuture             *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_is_successful     (MpFuture             *self);
MP_AVAILABLE_IN_ALL
GVariant *mp_future_dup_error_details (MpFuture             *self);

G_END_DECLS
