/* mp-semaphore.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/sync/mp-sync-object.h"

G_BEGIN_DECLS

#define MP_TYPE_SEMAPHORE (mp_semaphore_get_type ())

typedef struct _MpSemaphore MpSemaphore;
typedef struct _MpSemaphoreClass MpSemaphoreClass;

/**
 * MpSemaphoreClass:
 *
 * The class of [class@Mp.Semaphore], from which only the library derives.
 *
 * Since: 0.1
 */
struct _MpSemaphoreClass
{
  /*< private >*/
  MpSyncObjectClass parent_class;
};

MP_AVAILABLE_IN_ALL
GType        mp_semaphore_get_type          (void) G_GNUC_CONST;
MP_AVAILABLE_IN_ALL
MpSemaphore *mp_semaphore_new               (guint                 value) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpSemaphore *mp_semaphore_new_full          (guint                 value,
                                             gboolean              returns_units,
                                             gboolean              isolated) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
gboolean     mp_semaphore_acquire           (MpSemaphore          *self,
                                             gint64                timeout_us,
                                             GCancellable         *cancellable,
                                             GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_semaphore_try_acquire       (MpSemaphore          *self);
MP_AVAILABLE_IN_ALL
void         mp_semaphore_acquire_async     (MpSemaphore          *self,
                                             GCancellable         *cancellable,
                                             GAsyncReadyCallback   callback,
                                             gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean     mp_semaphore_acquire_finish    (MpSemaphore          *self,
                                             GAsyncResult         *result,
                                             GError              **error);
MP_AVAILABLE_IN_ALL
gboolean     mp_semaphore_release           (MpSemaphore          *self,
                                             GError              **error);
MP_AVAILABLE_IN_ALL
guint        mp_semaphore_get_value         (MpSemaphore          *self);
MP_AVAILABLE_IN_ALL
guint        mp_semaphore_get_n_held        (MpSemaphore          *self);
MP_AVAILABLE_IN_ALL
gboolean     mp_semaphore_get_returns_units (MpSemaphore          *self);

static inline gboolean
MP_IS_SEMAPHORE (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_TYPE (ptr, MP_TYPE_SEMAPHORE);
}

static inline MpSemaphore *
MP_SEMAPHORE (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_CAST (ptr, MP_TYPE_SEMAPHORE, MpSemaphore);
}

/**
 * MpSemaphoreLocker: (skip)
 *
 * Holds a unit until the end of a scope; see `mp_semaphore_locker_new()`.
 *
 * Since: 0.1
 */
typedef struct _MpSemaphoreLocker MpSemaphoreLocker;

MP_AVAILABLE_IN_ALL
MpSemaphoreLocker *mp_semaphore_locker_new  (MpSemaphore          *semaphore,
                                             GError              **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
void         mp_semaphore_locker_free       (MpSemaphoreLocker    *locker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpSemaphore, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpSemaphoreLocker, mp_semaphore_locker_free)

G_END_DECLS
