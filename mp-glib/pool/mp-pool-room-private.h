/* mp-pool-room-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* How much a pool's queue is to hold: for those who ask before they put something into it. Part of an MpPoolCore; with the
 * hub's lock held but for what is marked (unlocked). */

typedef struct _MpPoolCore MpPoolCore;

typedef struct
{
  guint     max_queued;    /* 0: no bound */
  gboolean  needs_drain;   /* from full to half full */
  gboolean  told;          /* what the pool's property was when it was notified last; the pool's context only */
  GQueue    waiting;       /* (element-type MpReply): calls that wait for room */
  gboolean  scheduled;     /* mp-pool-room.c is about to look */
  gboolean  notifying;     /* a notification is on its way */
} MpPoolRoom;

/* Properties of MpPool that are installed, got and set here. */
#define MP_POOL_ROOM_FIRST_PROPERTY 768

void      mp_pool_room_init         (MpPoolRoom    *self);                        /* (unlocked) */
/* The number of tasks that wait has changed, or the pool's state. To be called from wherever: nothing is done before the
 * lock is released. */
void      mp_pool_room_changed      (MpPoolCore    *core);
void      mp_pool_room_install      (GObjectClass  *object_class);                /* (unlocked) */
/* FALSE: it is none of these. */
gboolean  mp_pool_room_get_property (GObject       *pool,
                                     guint          prop_id,
                                     GValue        *value);                       /* (unlocked) */
gboolean  mp_pool_room_set_property (GObject       *pool,
                                     guint          prop_id,
                                     const GValue  *value);                       /* (unlocked) */

G_END_DECLS
