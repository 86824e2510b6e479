/* mp-blob.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/* For bindings: how a value of another language travels: (ssayav), a tag that tells the language and its format, a
 * text, bytes, and the values in it that are GVariants themselves. */
MP_AVAILABLE_IN_ALL
GVariant *mp_blob_new       (const char       *tag,
                             const char       *text,
                             GBytes           *bytes,
                             GVariant        **parts,
                             gsize             n_parts);
MP_AVAILABLE_IN_ALL
gboolean  mp_blob_get       (GVariant         *blob,
                             const char      **tag,
                             const char      **text,
                             GBytes          **bytes,
                             GVariant       ***parts,
                             gsize            *n_parts);
MP_AVAILABLE_IN_ALL
GVariant *mp_blob_new_array (GVariant        **blobs,
                             gsize             n_blobs);

/* For bindings too: bytes without a GBytes, which are two calls more. */
MP_AVAILABLE_IN_ALL
GVariant     *mp_blob_new_bytes (const guint8 *data,
                                 gsize         n_data);
MP_AVAILABLE_IN_ALL
const guint8 *mp_blob_get_bytes (GVariant     *value,
                                 gsize        *n_data);

G_END_DECLS
