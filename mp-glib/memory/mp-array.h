/* mp-array.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/memory/mp-typed-memory.h"

G_BEGIN_DECLS

#define MP_TYPE_ARRAY (mp_array_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpArray, mp_array, MP, ARRAY, MpTypedMemory)

MP_AVAILABLE_IN_ALL
MpArray  *mp_array_new              (const GVariantType  *type,
                                     gsize                n_items,
                                     GError             **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpArray  *mp_array_new_full         (const GVariantType  *type,
                                     gsize                n_items,
                                     MpShareable         *lock,
                                     GError             **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpArray  *mp_array_new_from_variant (GVariant            *array,
                                     GError             **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
gsize     mp_array_get_length       (MpArray             *self);
MP_AVAILABLE_IN_ALL
GVariant *mp_array_get_item         (MpArray             *self,
                                     gsize                index,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_array_set_item         (MpArray             *self,
                                     gsize                index,
                                     GVariant            *value,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
GVariant *mp_array_get_slice        (MpArray             *self,
                                     gsize                start,
                                     gsize                n_items,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_array_set_slice        (MpArray             *self,
                                     gsize                start,
                                     GVariant            *array,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gint64    mp_array_get_int          (MpArray             *self,
                                     gsize                index,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_array_set_int          (MpArray             *self,
                                     gsize                index,
                                     gint64               number,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gint64    mp_array_add_int          (MpArray             *self,
                                     gsize                index,
                                     gint64               delta,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
double    mp_array_get_double       (MpArray             *self,
                                     gsize                index,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_array_set_double       (MpArray             *self,
                                     gsize                index,
                                     double               number,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
double    mp_array_add_double       (MpArray             *self,
                                     gsize                index,
                                     double               delta,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
GVariant *mp_array_exchange         (MpArray             *self,
                                     gsize                index,
                                     GVariant            *value,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_array_compare_exchange (MpArray             *self,
                                     gsize                index,
                                     GVariant            *expected,
                                     GVariant            *desired,
                                     gboolean            *swapped,
                                     GError             **error);

G_END_DECLS
