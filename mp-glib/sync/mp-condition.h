/* mp-condition.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/sync/mp-sync-object.h"

G_BEGIN_DECLS

#define MP_TYPE_CONDITION (mp_condition_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpCondition, mp_condition, MP, CONDITION, MpSyncObject)

/**
 * MpConditionFunc:
 * @user_data: what was given with the function
 *
 * Says whether what [method@Mp.Condition.wait_for] waits for is so.
 *
 * It is called in the thread of that call, with the condition's lock held.
 *
 * Returns: `TRUE`: it is so
 *
 * Since: 0.1
 */
typedef gboolean (* MpConditionFunc) (gpointer user_data);

MP_AVAILABLE_IN_ALL
MpCondition *mp_condition_new            (MpShareable          *lock) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpShareable *mp_condition_get_lock       (MpCondition          *self);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_acquire        (MpCondition          *self,
                                          gint64                timeout_us,
                                          GCancellable         *cancellable,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_try_acquire    (MpCondition          *self);
MP_AVAILABLE_IN_ALL
void         mp_condition_acquire_async  (MpCondition          *self,
                                          GCancellable         *cancellable,
                                          GAsyncReadyCallback   callback,
                                          gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_acquire_finish (MpCondition          *self,
                                          GAsyncResult         *result,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_release        (MpCondition          *self,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_wait           (MpCondition          *self,
                                          gint64                timeout_us,
                                          GCancellable         *cancellable,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_wait_for       (MpCondition          *self,
                                          MpConditionFunc       func,
                                          gpointer              user_data,
                                          gint64                timeout_us,
                                          GCancellable         *cancellable,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
void         mp_condition_wait_async     (MpCondition          *self,
                                          GCancellable         *cancellable,
                                          GAsyncReadyCallback   callback,
                                          gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_wait_finish    (MpCondition          *self,
                                          GAsyncResult         *result,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_notify         (MpCondition          *self,
                                          guint                 n,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_condition_notify_all     (MpCondition          *self,
                                          GError              **error);
MP_AVAILABLE_IN_ALL
guint        mp_condition_get_n_waiting  (MpCondition          *self);

/**
 * MpConditionLocker: (skip)
 *
 * Holds a condition's lock until the end of a scope; see `mp_condition_locker_new()`.
 *
 * Since: 0.1
 */
typedef struct _MpConditionLocker MpConditionLocker;

MP_AVAILABLE_IN_ALL
MpConditionLocker *mp_condition_locker_new (MpCondition        *condition,
                                          GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void         mp_condition_locker_free    (MpConditionLocker    *locker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpConditionLocker, mp_condition_locker_free)

G_END_DECLS
