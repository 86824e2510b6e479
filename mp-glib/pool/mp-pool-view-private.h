/* mp-pool-view-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-control-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"
#include "mp-glib/pool/mp-worker-info-private.h"

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
gboolean    mp_pool_view_set_property       (MpPool        *pool,
                                             guint          prop_id,
                                             const GValue  *value);
/* mp-pool.c */
MpPoolView *mp_pool_get_view                (MpPool        *self);

/* mp-worker-list.c: a list of MpWorkerInfo is made to say what a look, taken with the hub's lock held, has seen. */
GArray     *mp_worker_list_look             (MpPoolCore    *core);   /* (element-type MpWorkerFacts) */
void        mp_worker_list_update           (GListStore    *self,
                                             GArray        *facts);

G_END_DECLS
