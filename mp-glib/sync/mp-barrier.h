/* mp-barrier.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/sync/mp-sync-object.h"

G_BEGIN_DECLS

#define MP_TYPE_BARRIER (mp_barrier_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpBarrier, mp_barrier, MP, BARRIER, MpSyncObject)

/**
 * MpBarrierFunc:
 * @barrier: a barrier to which all have come
 * @user_data: what was given beside the function
 * @error: return location for an error
 *
 * What is to be done when all have come to a barrier, before any of them goes on: [method@Mp.Barrier.set_action].
 *
 * Returns: whether they may go on; `FALSE` breaks the barrier
 *
 * Since: 0.1
 */
typedef gboolean (* MpBarrierFunc) (MpBarrier  *barrier,
                                    gpointer    user_data,
                                    GError    **error);

MP_AVAILABLE_IN_ALL
MpBarrier *mp_barrier_new           (guint                 parties) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
guint      mp_barrier_get_parties   (MpBarrier            *self);
MP_AVAILABLE_IN_ALL
guint      mp_barrier_get_n_waiting (MpBarrier            *self);
MP_AVAILABLE_IN_ALL
gboolean   mp_barrier_is_broken     (MpBarrier            *self);
MP_AVAILABLE_IN_ALL
void       mp_barrier_set_action    (MpBarrier            *self,
                                     MpBarrierFunc         action,
                                     gpointer              user_data,
                                     GDestroyNotify        destroy);
MP_AVAILABLE_IN_ALL
gboolean   mp_barrier_wait          (MpBarrier            *self,
                                     guint                *index,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void       mp_barrier_wait_async    (MpBarrier            *self,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean   mp_barrier_wait_finish   (MpBarrier            *self,
                                     GAsyncResult         *result,
                                     guint                *index,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
gboolean   mp_barrier_reset         (MpBarrier            *self,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
gboolean   mp_barrier_abort         (MpBarrier            *self,
                                     GError              **error);

G_END_DECLS
