/* mp-shared-memory-manager.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/memory/mp-shareable-list.h"
#include "mp-glib/memory/mp-shared-memory.h"

G_BEGIN_DECLS

#define MP_TYPE_SHARED_MEMORY_MANAGER (mp_shared_memory_manager_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpSharedMemoryManager, mp_shared_memory_manager, MP, SHARED_MEMORY_MANAGER, GObject)

MP_AVAILABLE_IN_ALL
MpSharedMemoryManager *mp_shared_memory_manager_new          (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpSharedMemory        *mp_shared_memory_manager_create       (MpSharedMemoryManager  *self,
                                                              gsize                   size,
                                                              GError                **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpSharedMemory        *mp_shared_memory_manager_create_named (MpSharedMemoryManager  *self,
                                                              const char             *name,
                                                              gsize                   size,
                                                              GError                **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpShareableList       *mp_shared_memory_manager_create_list  (MpSharedMemoryManager  *self,
                                                              GVariant               *values,
                                                              GError                **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
gboolean               mp_shared_memory_manager_add          (MpSharedMemoryManager  *self,
                                                              MpSharedMemory         *memory,
                                                              GError                **error);
MP_AVAILABLE_IN_ALL
void                   mp_shared_memory_manager_shutdown     (MpSharedMemoryManager  *self);

G_END_DECLS
