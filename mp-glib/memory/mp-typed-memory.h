/* mp-typed-memory.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_TYPED_MEMORY (mp_typed_memory_get_type ())

typedef struct _MpTypedMemory MpTypedMemory;
typedef struct _MpTypedMemoryClass MpTypedMemoryClass;

/**
 * MpTypedMemoryClass:
 *
 * The class of [class@Mp.TypedMemory], from which only the library derives.
 *
 * Since: 0.1
 */
struct _MpTypedMemoryClass
{
  /*< private >*/
  GObjectClass  parent_class;
  const char   *kind;
  gboolean      is_one;
};

MP_AVAILABLE_IN_ALL
GType         mp_typed_memory_get_type        (void) G_GNUC_CONST;

static inline gboolean
MP_IS_TYPED_MEMORY (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_TYPE (ptr, MP_TYPE_TYPED_MEMORY);
}

static inline MpTypedMemory *
MP_TYPED_MEMORY (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_CAST (ptr, MP_TYPE_TYPED_MEMORY, MpTypedMemory);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpTypedMemory, g_object_unref)

MP_AVAILABLE_IN_ALL
const char   *mp_typed_memory_get_type_string (MpTypedMemory  *self);
MP_AVAILABLE_IN_ALL
gsize         mp_typed_memory_get_item_size   (MpTypedMemory  *self);
MP_AVAILABLE_IN_ALL
const char   *mp_typed_memory_get_format      (MpTypedMemory  *self);
MP_AVAILABLE_IN_ALL
MpShareable  *mp_typed_memory_get_lock        (MpTypedMemory  *self);
MP_AVAILABLE_IN_ALL
gpointer      mp_typed_memory_get_data        (MpTypedMemory  *self,
                                               gsize          *size);
MP_AVAILABLE_IN_ALL
guint64       mp_typed_memory_get_address     (MpTypedMemory  *self);
MP_AVAILABLE_IN_ALL
GBytes       *mp_typed_memory_get_bytes       (MpTypedMemory  *self,
                                               GError        **error);

G_END_DECLS
