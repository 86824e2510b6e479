/* mp-items-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-items.h"

G_BEGIN_DECLS

/* For the one call that reads them. All without the hub's lock, in the context of that call. */

/* Items are read once: FALSE when that has begun. */
gboolean  mp_items_claim        (MpItems   *self,
                                 GError   **error);
/* (none) (nullable) when they are an array: then nothing else is asked of them. */
GVariant *mp_items_get_array    (MpItems   *self);
/* G_MAXSIZE: not known. */
gsize     mp_items_count        (MpItems   *self);
/* (full), not floating. NULL without an error: no more. */
GVariant *mp_items_next         (MpItems   *self,
                                 GError   **error);
/* Nothing more is asked. */
void      mp_items_release      (MpItems   *self);

G_END_DECLS
