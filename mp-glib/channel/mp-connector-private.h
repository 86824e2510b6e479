/* mp-connector-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-client-options.h"
#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

/* A client on its way: looks up, connects, shakes hands, by sources on one main context. */
typedef struct _MpConnector MpConnector;

/* Begins in the main context that is thread-default here. @options: (nullable). With @task (nullable; taken) the
 * connection, or the error, is returned to it, and the caller need not keep the result. Without, who turns the context
 * sees that it is done. */
MpConnector  *mp_connector_new      (GSocketConnectable *address,
                                     MpClientOptions    *options,
                                     gint64              deadline,      /* -1: none */
                                     GCancellable       *cancellable,   /* (nullable) */
                                     GTask              *task);
void          mp_connector_unref    (MpConnector        *self);
gboolean      mp_connector_is_done  (MpConnector        *self);
/* A look-up has been stopped, and has not told yet. */
gboolean      mp_connector_is_busy  (MpConnector        *self);
/* Of one that is done. The connection belongs to the main context that is thread-default here. (transfer full) */
MpConnection *mp_connector_finish   (MpConnector        *self,
                                     GError            **error);

G_END_DECLS
