/* mp-shared-memory.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/**
 * MpSealFlags:
 * @MP_SEAL_FLAGS_NONE: nothing
 * @MP_SEAL_FLAGS_GROW: its size stays as it is
 * @MP_SEAL_FLAGS_WRITE: what is in it stays as it is
 *
 * What can be done no more with shared memory, by nobody.
 *
 * Since: 0.1
 */
typedef enum /*< flags >*/
{
  MP_SEAL_FLAGS_NONE  = 0,
  MP_SEAL_FLAGS_GROW  = 1 << 0,
  MP_SEAL_FLAGS_WRITE = 1 << 1,
} MpSealFlags;

#define MP_TYPE_SHARED_MEMORY (mp_shared_memory_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpSharedMemory, mp_shared_memory, MP, SHARED_MEMORY, GObject)

MP_AVAILABLE_IN_ALL
MpSharedMemory *mp_shared_memory_new       (gsize            size,
                                            GError         **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpSharedMemory *mp_shared_memory_new_named (const char      *name,
                                            gsize            size,
                                            GError         **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpSharedMemory *mp_shared_memory_attach    (const char      *name,
                                            GError         **error) G_GNUC_WARN_UNUSED_RESULT;

MP_AVAILABLE_IN_ALL
const char     *mp_shared_memory_get_name  (MpSharedMemory  *self);
MP_AVAILABLE_IN_ALL
gsize           mp_shared_memory_get_size  (MpSharedMemory  *self);
MP_AVAILABLE_IN_ALL
gboolean        mp_shared_memory_get_owner (MpSharedMemory  *self);
MP_AVAILABLE_IN_ALL
void            mp_shared_memory_set_owner (MpSharedMemory  *self,
                                            gboolean         owner);
MP_AVAILABLE_IN_ALL
MpSealFlags     mp_shared_memory_get_seals (MpSharedMemory  *self);
MP_AVAILABLE_IN_ALL
gboolean        mp_shared_memory_is_closed (MpSharedMemory  *self);

MP_AVAILABLE_IN_ALL
gpointer        mp_shared_memory_get_data  (MpSharedMemory  *self,
                                            gsize           *size);
MP_AVAILABLE_IN_ALL
GBytes         *mp_shared_memory_get_bytes (MpSharedMemory  *self,
                                            GError         **error);
MP_AVAILABLE_IN_ALL
GBytes         *mp_shared_memory_dup_bytes (MpSharedMemory  *self,
                                            GError         **error);
MP_AVAILABLE_IN_ALL
GBytes         *mp_shared_memory_read      (MpSharedMemory  *self,
                                            guint64          offset,
                                            gsize            length,
                                            GError         **error);
MP_AVAILABLE_IN_ALL
gboolean        mp_shared_memory_write     (MpSharedMemory  *self,
                                            guint64          offset,
                                            GBytes          *bytes,
                                            GError         **error);

MP_AVAILABLE_IN_ALL
int             mp_shared_memory_dup_fd    (MpSharedMemory  *self,
                                            GError         **error);

MP_AVAILABLE_IN_ALL
gboolean        mp_shared_memory_grow      (MpSharedMemory  *self,
                                            gsize            size,
                                            GError         **error);
MP_AVAILABLE_IN_ALL
gboolean        mp_shared_memory_seal      (MpSharedMemory  *self,
                                            MpSealFlags      flags,
                                            GError         **error);
MP_AVAILABLE_IN_ALL
void            mp_shared_memory_close     (MpSharedMemory  *self);
MP_AVAILABLE_IN_ALL
gboolean        mp_shared_memory_unlink    (MpSharedMemory  *self,
                                            GError         **error);

G_END_DECLS
