/* mp-connection.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_CONNECTION (mp_connection_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpConnection, mp_connection, MP, CONNECTION, GObject)

MP_AVAILABLE_IN_ALL
gboolean      mp_pipe_new                       (gboolean              duplex,
                                                 MpConnection        **first,
                                                 MpConnection        **second,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
MpConnection *mp_connection_new_from_fd         (int                   fd,
                                                 GError              **error);

MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send                (MpConnection         *self,
                                                 GVariant             *value,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_send_async          (MpConnection         *self,
                                                 GVariant             *value,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_finish         (MpConnection         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
GVariant     *mp_connection_recv                (MpConnection         *self,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_recv_async          (MpConnection         *self,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant     *mp_connection_recv_finish         (MpConnection         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_bytes          (MpConnection         *self,
                                                 GBytes               *bytes,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_send_bytes_async    (MpConnection         *self,
                                                 GBytes               *bytes,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_bytes_finish   (MpConnection         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
GBytes       *mp_connection_recv_bytes          (MpConnection         *self,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_recv_bytes_async    (MpConnection         *self,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
GBytes       *mp_connection_recv_bytes_finish   (MpConnection         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_bytes_full     (MpConnection         *self,
                                                 GBytes               *bytes,
                                                 gsize                 offset,
                                                 gssize                size,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_send_bytes_full_async (MpConnection       *self,
                                                 GBytes               *bytes,
                                                 gsize                 offset,
                                                 gssize                size,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_bytes_full_finish (MpConnection      *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_data           (MpConnection         *self,
                                                 const guint8         *data,
                                                 gsize                 size,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
GBytes       *mp_connection_recv_bytes_full     (MpConnection         *self,
                                                 guint64               max_length,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_recv_bytes_full_async (MpConnection       *self,
                                                 guint64               max_length,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
GBytes       *mp_connection_recv_bytes_full_finish (MpConnection      *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_recv_bytes_into     (MpConnection         *self,
                                                 guint8               *buffer,
                                                 gsize                 size,
                                                 gsize                *length,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_recv_bytes_into_async (MpConnection       *self,
                                                 guint8               *buffer,
                                                 gsize                 size,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_recv_bytes_into_finish (MpConnection      *self,
                                                 GAsyncResult         *result,
                                                 gsize                *length,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_flush               (MpConnection         *self,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_flush_async         (MpConnection         *self,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_flush_finish        (MpConnection         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_send_blob           (MpConnection         *self,
                                                 const char           *tag,
                                                 const guint8         *data,
                                                 gsize                 size,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
guint8       *mp_connection_recv_blob           (MpConnection         *self,
                                                 guint                 kinds,
                                                 const char           *tag,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 gsize                *size,
                                                 guint                *kind,
                                                 GVariant            **value,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_poll                (MpConnection         *self,
                                                 gint64                timeout_us,
                                                 GCancellable         *cancellable,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_poll_async          (MpConnection         *self,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_poll_finish         (MpConnection         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_connection_start               (MpConnection         *self);
MP_AVAILABLE_IN_ALL
void          mp_connection_stop                (MpConnection         *self);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_close               (MpConnection         *self,
                                                 GError              **error);
MP_AVAILABLE_IN_ALL
gboolean      mp_connection_is_closed           (MpConnection         *self);
MP_AVAILABLE_IN_ALL
int           mp_connection_get_fd              (MpConnection         *self);

G_END_DECLS
