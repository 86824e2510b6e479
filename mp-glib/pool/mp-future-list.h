/* mp-future-list.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/pool/mp-future.h"

G_BEGIN_DECLS

#define MP_TYPE_FUTURE_LIST (mp_future_list_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpFutureList, mp_future_list, MP, FUTURE_LIST, GObject)

MP_AVAILABLE_IN_ALL
MpFutureList *mp_future_list_new              (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void          mp_future_list_add              (MpFutureList         *self,
                                               MpFuture             *future);
MP_AVAILABLE_IN_ALL
gboolean      mp_future_list_remove           (MpFutureList         *self,
                                               MpFuture             *future);
MP_AVAILABLE_IN_ALL
guint         mp_future_list_get_n_done       (MpFutureList         *self);
MP_AVAILABLE_IN_ALL
double        mp_future_list_get_fraction     (MpFutureList         *self);
MP_AVAILABLE_IN_ALL
guint         mp_future_list_cancel           (MpFutureList         *self);

/* In the order in which they end; NULL without an error: all have been given. */
MP_AVAILABLE_IN_ALL
MpFuture     *mp_future_list_next_done        (MpFutureList         *self,
                                               gint64                timeout_us,
                                               GCancellable         *cancellable,
                                               GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_future_list_next_done_async  (MpFutureList         *self,
                                               GCancellable         *cancellable,
                                               GAsyncReadyCallback   callback,
                                               gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_future_list_next_done_finish (MpFutureList         *self,
                                               GAsyncResult         *result,
                                               GError              **error);

MP_AVAILABLE_IN_ALL
gboolean      mp_future_list_wait_all         (MpFutureList         *self,
                                               gint64                timeout_us,
                                               GCancellable         *cancellable,
                                               GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_future_list_wait_all_async   (MpFutureList         *self,
                                               GCancellable         *cancellable,
                                               GAsyncReadyCallback   callback,
                                               gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_future_list_wait_all_finish  (MpFutureList         *self,
                                               GAsyncResult         *result,
                                               GError              **error);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_future_list_wait_any         (MpFutureList         *self,
                                               gint64                timeout_us,
                                               GCancellable         *cancellable,
                                               GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_future_list_wait_any_async   (MpFutureList         *self,
                                               GCancellable         *cancellable,
                                               GAsyncReadyCallback   callback,
                                               gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_future_list_wait_any_finish  (MpFutureList         *self,
                                               GAsyncResult         *result,
                                               GError              **error);

G_END_DECLS
