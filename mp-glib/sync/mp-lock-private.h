/* mp-lock-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/sync/mp-lock.h"
#include "mp-glib/sync/mp-sync-private.h"

G_BEGIN_DECLS

/* For tests: the slot that it lives in. */
const MpSlotRef *mp_lock_get_slot (MpLock *self);
/* What a call has to have for mp_lock_acquire_async(). */
void     mp_lock_set_up_call      (MpSyncCall *call);

G_END_DECLS
