/* mp-wait.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/base/mp-waitable.h"

G_BEGIN_DECLS

MP_AVAILABLE_IN_ALL
GPtrArray *mp_wait                  (MpWaitable * const  *objects,
                                     gsize                n_objects,
                                     gint64               timeout_us,
                                     GCancellable        *cancellable,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
void       mp_wait_async            (MpWaitable * const  *objects,
                                     gsize                n_objects,
                                     gint64               timeout_us,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data);
MP_AVAILABLE_IN_ALL
GPtrArray *mp_wait_finish           (GAsyncResult        *result,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
GArray    *mp_wait_with_fds         (MpWaitable * const  *objects,
                                     gsize                n_objects,
                                     const int           *fds,
                                     gsize                n_fds,
                                     gint64               timeout_us,
                                     GCancellable        *cancellable,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
void       mp_wait_with_fds_async   (MpWaitable * const  *objects,
                                     gsize                n_objects,
                                     const int           *fds,
                                     gsize                n_fds,
                                     gint64               timeout_us,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data);
MP_AVAILABLE_IN_ALL
GArray    *mp_wait_with_fds_finish  (GAsyncResult        *result,
                                     GError             **error);

G_END_DECLS
