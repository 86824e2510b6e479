/* mp-pool-view-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-tally-private.h"

G_BEGIN_DECLS

/* What a pool shows of itself: the GObject side of the tally. Without the hub's lock, and but for the getting of numbers in
 * the pool's main context only. */
typedef struct _MpPoolView MpPoolView;

/* Properties of MpPool that are installed and got here. */
#define MP_POOL_VIEW_FIRST_PROPERTY 256

MpPoolView *mp_pool_view_new                (MpPool        *pool);
void        mp_pool_view_free               (MpPoolView    *self);
void        mp_pool_view_install_properties (GObjectClass  *object_class);
/* FALSE: it is none of these. */
gboolean    mp_pool_view_get_property       (MpPool        *pool,
                                             guint          prop_id,
                                             GValue        *value);
/* mp-pool.c */
MpPoolView *mp_pool_get_view                (MpPool        *self);

G_END_DECLS
