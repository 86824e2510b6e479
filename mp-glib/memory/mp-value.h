/* mp-value.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/memory/mp-typed-memory.h"

G_BEGIN_DECLS

#define MP_TYPE_VALUE (mp_value_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpValue, mp_value, MP, VALUE, MpTypedMemory)

MP_AVAILABLE_IN_ALL
MpValue  *mp_value_new              (const GVariantType  *type,
                                     GVariant            *initial,
                                     GError             **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpValue  *mp_value_new_full         (const GVariantType  *type,
                                     GVariant            *initial,
                                     MpShareable         *lock,
                                     gboolean             isolated,
                                     GError             **error) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
GVariant *mp_value_get              (MpValue             *self,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_value_set              (MpValue             *self,
                                     GVariant            *value,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gint64    mp_value_get_int          (MpValue             *self,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_value_set_int          (MpValue             *self,
                                     gint64               number,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gint64    mp_value_add_int          (MpValue             *self,
                                     gint64               delta,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
double    mp_value_get_double       (MpValue             *self,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_value_set_double       (MpValue             *self,
                                     double               number,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
double    mp_value_add_double       (MpValue             *self,
                                     double               delta,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
GVariant *mp_value_exchange         (MpValue             *self,
                                     GVariant            *value,
                                     GError             **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_value_compare_exchange (MpValue             *self,
                                     GVariant            *expected,
                                     GVariant            *desired,
                                     gboolean            *swapped,
                                     GError             **error);

G_END_DECLS
