/* mp-shareable-list.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/memory/mp-shared-memory.h"

G_BEGIN_DECLS

#define MP_TYPE_SHAREABLE_LIST (mp_shareable_list_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpShareableList, mp_shareable_list, MP, SHAREABLE_LIST, GObject)

MP_AVAILABLE_IN_ALL
MpShareableList *mp_shareable_list_new            (GVariant         *values,
                                                   GError          **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpShareableList *mp_shareable_list_new_named      (GVariant         *values,
                                                   const char       *name,
                                                   GError          **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpShareableList *mp_shareable_list_new_for_memory (MpSharedMemory   *memory,
                                                   GError          **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpShareableList *mp_shareable_list_attach         (const char       *name,
                                                   GError          **error) G_GNUC_WARN_UNUSED_RESULT;

MP_AVAILABLE_IN_ALL
MpSharedMemory  *mp_shareable_list_get_memory     (MpShareableList  *self);
MP_AVAILABLE_IN_ALL
gsize            mp_shareable_list_get_length     (MpShareableList  *self);

MP_AVAILABLE_IN_ALL
GVariant        *mp_shareable_list_get_item       (MpShareableList  *self,
                                                   gsize             index,
                                                   GError          **error);
MP_AVAILABLE_IN_ALL
gboolean         mp_shareable_list_set_item       (MpShareableList  *self,
                                                   gsize             index,
                                                   GVariant         *value,
                                                   GError          **error);
MP_AVAILABLE_IN_ALL
char            *mp_shareable_list_dup_format     (MpShareableList  *self,
                                                   gsize             index,
                                                   GError          **error);
MP_AVAILABLE_IN_ALL
GVariant        *mp_shareable_list_dup_values     (MpShareableList  *self,
                                                   GError          **error);
MP_AVAILABLE_IN_ALL
gssize           mp_shareable_list_count          (MpShareableList  *self,
                                                   GVariant         *value,
                                                   GError          **error);
MP_AVAILABLE_IN_ALL
gssize           mp_shareable_list_index          (MpShareableList  *self,
                                                   GVariant         *value,
                                                   GError          **error);

G_END_DECLS
