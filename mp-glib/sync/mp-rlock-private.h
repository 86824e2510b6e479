/* mp-rlock-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/sync/mp-rlock.h"
#include "mp-glib/sync/mp-sync-private.h"

G_BEGIN_DECLS

/* How often this thread has it, for put_back(); 0: it does not. */
guint64  mp_rlock_look          (MpRLock    *self);
/* Releases it wholly, however often this thread has it. */
void     mp_rlock_give_up       (MpRLock    *self);
/* Takes it again, whatever happens: it is as it was before; and had more often yet when this thread, which had it then, has
 * got it by other means meanwhile. */
gboolean mp_rlock_take_back     (MpRLock    *self,
                                 guint64     given_up,
                                 const char *what,
                                 GError    **error);
/* For one who has just taken the cell: in the name of nobody, until hand_over(), to the thread that calls it. */
void     mp_rlock_put_back_for_later (MpRLock *self,
                                 guint64     given_up);
void     mp_rlock_hand_over     (MpRLock    *self);
/* What a call has to have for mp_rlock_acquire_async(). */
void     mp_rlock_set_up_call   (MpRLock    *self,
                                 MpSyncCall *call);

G_END_DECLS
