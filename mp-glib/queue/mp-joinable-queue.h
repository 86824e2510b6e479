/* mp-joinable-queue.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/queue/mp-queue.h"

G_BEGIN_DECLS

#define MP_TYPE_JOINABLE_QUEUE (mp_joinable_queue_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpJoinableQueue, mp_joinable_queue, MP, JOINABLE_QUEUE, MpQueue)

MP_AVAILABLE_IN_ALL
MpJoinableQueue *mp_joinable_queue_new                (guint                 max_items,
                                                       guint64               max_bytes) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
gboolean         mp_joinable_queue_task_done          (MpJoinableQueue      *self,
                                                       GError              **error);
MP_AVAILABLE_IN_ALL
gboolean         mp_joinable_queue_join               (MpJoinableQueue      *self,
                                                       gint64                timeout_us,
                                                       GCancellable         *cancellable,
                                                       GError              **error);
MP_AVAILABLE_IN_ALL
void             mp_joinable_queue_join_async         (MpJoinableQueue      *self,
                                                       GCancellable         *cancellable,
                                                       GAsyncReadyCallback   callback,
                                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean         mp_joinable_queue_join_finish        (MpJoinableQueue      *self,
                                                       GAsyncResult         *result,
                                                       GError              **error);
MP_AVAILABLE_IN_ALL
guint            mp_joinable_queue_get_n_unfinished   (MpJoinableQueue      *self);
MP_AVAILABLE_IN_ALL
guint            mp_joinable_queue_get_n_abandoned    (MpJoinableQueue      *self);
MP_AVAILABLE_IN_ALL
guint            mp_joinable_queue_put_back_abandoned (MpJoinableQueue      *self);
MP_AVAILABLE_IN_ALL
guint            mp_joinable_queue_give_up_abandoned  (MpJoinableQueue      *self);

G_END_DECLS
