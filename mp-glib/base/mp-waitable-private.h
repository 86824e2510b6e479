/* mp-waitable-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-waitable.h"

G_BEGIN_DECLS

typedef enum
{
  MP_WAIT_NOT_YET,
  MP_WAIT_READY,
  MP_WAIT_FAILED,   /* it cannot be waited for: sets the error */
} MpWaitState;

/* One object in one wait. */
typedef struct _MpWaitSpot MpWaitSpot;
struct _MpWaitSpot
{
  /* Set by look(): what is to be polled; -1: nothing. */
  int           fd;
  GIOCondition  condition;

  gpointer      armed;      /* the object's own, from arm() to disarm() */
  /* The wait's: see mp_wait_spot_tell(). */
  void       (* told)       (MpWaitSpot *spot);
};

/* All but what tells is called without a lock, in the thread that waits, or in the context of the call. */
struct _MpWaitableInterface
{
  GTypeInterface parent_iface;

  /*< private >*/
  /* Whether it is ready. @condition: what was found at the descriptor of the last look; 0: that was not looked at. It
   * may read then; it never sleeps. */
  MpWaitState   (* look)      (MpWaitable    *self,
                               MpWaitSpot    *spot,
                               GIOCondition   condition,
                               GError       **error);
  /* From now on it tells of whatever does not show at the descriptor, which stays open. A look follows. (nullable) */
  gboolean      (* arm)       (MpWaitable    *self,
                               MpWaitSpot    *spot,
                               GError       **error);
  /* When it returns nobody is about to tell. */
  void          (* disarm)    (MpWaitable    *self,
                               MpWaitSpot    *spot);
  /* Whose posts (mp_hub_post()) a wait that blocks runs; NULL: the object's. */
  gconstpointer (* get_owner) (MpWaitable    *self);
};

/* It is worth to look again. In any thread, with any lock: takes none but its own. */
static inline void
mp_wait_spot_tell (MpWaitSpot *spot)
{
  spot->told (spot);
}

G_END_DECLS
