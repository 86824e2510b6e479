/* mp-sync-object.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_SYNC_OBJECT (mp_sync_object_get_type ())

typedef struct _MpSyncObject MpSyncObject;
typedef struct _MpSyncObjectClass MpSyncObjectClass;

/**
 * MpSyncObjectClass:
 *
 * The class of [class@Mp.SyncObject], from which only the library derives.
 *
 * Since: 0.1
 */
struct _MpSyncObjectClass
{
  /*< private >*/
  GObjectClass  parent_class;
  gconstpointer kind;
  void       (* begin) (MpSyncObject *self);
};

MP_AVAILABLE_IN_ALL
GType mp_sync_object_get_type (void) G_GNUC_CONST;

static inline gboolean
MP_IS_SYNC_OBJECT (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_TYPE (ptr, MP_TYPE_SYNC_OBJECT);
}

static inline MpSyncObject *
MP_SYNC_OBJECT (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_CAST (ptr, MP_TYPE_SYNC_OBJECT, MpSyncObject);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpSyncObject, g_object_unref)

G_END_DECLS
