/* mp-lock-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/sync/mp-lock.h"

G_BEGIN_DECLS

/* For tests: the slot that it lives in. */
const MpSlotRef *mp_lock_get_slot (MpLock *self);

G_END_DECLS
