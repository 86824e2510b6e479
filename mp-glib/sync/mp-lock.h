/* mp-lock.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/sync/mp-sync-object.h"

G_BEGIN_DECLS

#define MP_TYPE_LOCK (mp_lock_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpLock, mp_lock, MP, LOCK, MpSyncObject)

MP_AVAILABLE_IN_ALL
MpLock   *mp_lock_new             (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpLock   *mp_lock_new_isolated    (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_acquire         (MpLock               *self,
                                   gint64                timeout_us,
                                   GCancellable         *cancellable,
                                   GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_try_acquire     (MpLock               *self);
MP_AVAILABLE_IN_ALL
void      mp_lock_acquire_async   (MpLock               *self,
                                   GCancellable         *cancellable,
                                   GAsyncReadyCallback   callback,
                                   gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_acquire_finish  (MpLock               *self,
                                   GAsyncResult         *result,
                                   GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_release         (MpLock               *self,
                                   GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_is_locked       (MpLock               *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_is_abandoned    (MpLock               *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_lock_mark_consistent (MpLock               *self,
                                   GError              **error);

/**
 * MpLockLocker: (skip)
 *
 * Holds a lock until the end of a scope; see `mp_lock_locker_new()`.
 *
 * Since: 0.1
 */
typedef struct _MpLockLocker MpLockLocker;

MP_AVAILABLE_IN_ALL
MpLockLocker *mp_lock_locker_new  (MpLock               *lock,
                                   GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void          mp_lock_locker_free (MpLockLocker         *locker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpLockLocker, mp_lock_locker_free)

G_END_DECLS
