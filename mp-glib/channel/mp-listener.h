/* mp-listener.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

#define MP_TYPE_LISTENER (mp_listener_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpListener, mp_listener, MP, LISTENER, GObject)

MP_AVAILABLE_IN_ALL
MpListener     *mp_listener_new                (const char           *address,
                                                GBytes               *authkey,
                                                GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpListener     *mp_listener_new_for_address    (GSocketConnectable   *address,
                                                GBytes               *authkey,
                                                GError              **error) G_GNUC_WARN_UNUSED_RESULT;

MP_AVAILABLE_IN_ALL
const char     *mp_listener_get_address        (MpListener           *self);
MP_AVAILABLE_IN_ALL
GSocketAddress *mp_listener_get_socket_address (MpListener           *self);
MP_AVAILABLE_IN_ALL
GSocketAddress *mp_listener_get_last_accepted  (MpListener           *self);

MP_AVAILABLE_IN_ALL
MpConnection   *mp_listener_accept             (MpListener           *self,
                                                gint64                timeout_us,
                                                GCancellable         *cancellable,
                                                GError              **error);
MP_AVAILABLE_IN_ALL
void            mp_listener_accept_async       (MpListener           *self,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpConnection   *mp_listener_accept_finish      (MpListener           *self,
                                                GAsyncResult         *result,
                                                GError              **error);
MP_AVAILABLE_IN_ALL
void            mp_listener_start              (MpListener           *self);
MP_AVAILABLE_IN_ALL
void            mp_listener_stop               (MpListener           *self);
MP_AVAILABLE_IN_ALL
void            mp_listener_close              (MpListener           *self);
MP_AVAILABLE_IN_ALL
gboolean        mp_listener_is_closed          (MpListener           *self);
MP_AVAILABLE_IN_ALL
int             mp_listener_get_fd             (MpListener           *self);

G_END_DECLS
