/* mp-client.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include "mp-glib/channel/mp-client-options.h"
#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

MP_AVAILABLE_IN_ALL
MpConnection *mp_client_connect           (GSocketConnectable   *address,
                                           MpClientOptions      *options,
                                           gint64                timeout_us,
                                           GCancellable         *cancellable,
                                           GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void          mp_client_connect_async     (GSocketConnectable   *address,
                                           MpClientOptions      *options,
                                           GCancellable         *cancellable,
                                           GAsyncReadyCallback   callback,
                                           gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpConnection *mp_client_connect_finish    (GAsyncResult         *result,
                                           GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpConnection *mp_client_connect_to        (const char           *address,
                                           MpClientOptions      *options,
                                           gint64                timeout_us,
                                           GCancellable         *cancellable,
                                           GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void          mp_client_connect_to_async  (const char           *address,
                                           MpClientOptions      *options,
                                           GCancellable         *cancellable,
                                           GAsyncReadyCallback   callback,
                                           gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpConnection *mp_client_connect_to_finish (GAsyncResult         *result,
                                           GError              **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
