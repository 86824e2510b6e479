/* mp-pool-backend-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-backend.h"
#include "mp-glib/pool/mp-pool.h"

G_BEGIN_DECLS

/* What the workers of a pool are: the properties that say so. Set while the pool is constructed only. */

struct _MpPoolCore;

typedef struct
{
  MpBackend backend;
  guint64   inline_seed;
  double    inline_death_rate;
  guint64   inline_max_delay_us;
} MpPoolBackend;

/* The properties have been given. */
void      mp_pool_backend_begin    (struct _MpPoolCore     *core);               /* (unlocked) */

/* Properties of MpPool that are installed, got and set here. FALSE: it is none of these. */
#define MP_POOL_BACKEND_FIRST_PROPERTY 1280

void      mp_pool_backend_install  (GObjectClass           *object_class);       /* (unlocked) */
gboolean  mp_pool_backend_get_property (MpPool             *pool,
                                    guint                   prop_id,
                                    GValue                 *value);              /* (unlocked) */
gboolean  mp_pool_backend_set_property (MpPool             *pool,
                                    guint                   prop_id,
                                    const GValue           *value);              /* (unlocked) */

G_END_DECLS
