/* mp-rlock.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/sync/mp-sync-object.h"

G_BEGIN_DECLS

#define MP_TYPE_RLOCK (mp_rlock_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpRLock, mp_rlock, MP, RLOCK, MpSyncObject)

MP_AVAILABLE_IN_ALL
MpRLock  *mp_rlock_new             (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_acquire         (MpRLock              *self,
                                    gint64                timeout_us,
                                    GCancellable         *cancellable,
                                    GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_try_acquire     (MpRLock              *self);
MP_AVAILABLE_IN_ALL
void      mp_rlock_acquire_async   (MpRLock              *self,
                                    GCancellable         *cancellable,
                                    GAsyncReadyCallback   callback,
                                    gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_acquire_finish  (MpRLock              *self,
                                    GAsyncResult         *result,
                                    GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_release         (MpRLock              *self,
                                    GError              **error);
MP_AVAILABLE_IN_ALL
guint     mp_rlock_get_depth       (MpRLock              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_is_locked       (MpRLock              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_is_abandoned    (MpRLock              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_rlock_mark_consistent (MpRLock              *self,
                                    GError              **error);

/**
 * MpRLockLocker: (skip)
 *
 * Holds a lock until the end of a scope; see `mp_rlock_locker_new()`.
 *
 * Since: 0.1
 */
typedef struct _MpRLockLocker MpRLockLocker;

MP_AVAILABLE_IN_ALL
MpRLockLocker *mp_rlock_locker_new (MpRLock              *lock,
                                    GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void      mp_rlock_locker_free     (MpRLockLocker        *locker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpRLockLocker, mp_rlock_locker_free)

G_END_DECLS
