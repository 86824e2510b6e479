/* mp-condition-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/sync/mp-condition.h"
#include "mp-glib/sync/mp-sync-object-private.h"

G_BEGIN_DECLS

struct _MpCondition
{
  MpSyncObject parent_instance;

  MpShareable *lock;   /* (owned): MpLock or MpRLock */
};

/* One who waits. It is counted in the state's word until it is notified, and among what its process has of the slot
 * until it has the lock again: if it dies before, what it was notified for is still to be done, and all others are
 * released. */
typedef struct
{
  MpCondition *condition;
  MpOwner      self;            /* this process, to tell it from its copies */
  guint        n_merges;        /* of the word, when it came */
  guint        n_resets;
  gboolean     is_in_word;
  gboolean     is_counted;
  guint        n_looks;
  gboolean     has_passed_on;
  gboolean     was_abandoned;   /* the lock, when it came */
  guint64      given_up;        /* of an MpRLock */
  gboolean     has_lock;        /* again, for a callback */
  GError      *error;           /* (owned) (nullable): of an asynchronous wait: why it ends without having been notified */
} MpConditionWait;

MpSync  *mp_condition_get_lock_sync (MpCondition     *self);
/* Whether the caller has the lock; FALSE sets @error. */
gboolean mp_condition_check_owner   (MpCondition     *self,
                                     const char      *what,
                                     GError         **error);

/* With the lock: counts the caller among those who wait. */
gboolean mp_condition_begin_wait    (MpConditionWait *wait,
                                     MpCondition     *condition,
                                     GError         **error);
/* Next, wholly. */
void     mp_condition_give_lock_up  (MpCondition     *self);
/* MpSyncTry of one who waits, @data: MpConditionWait. */
MpSyncStep mp_condition_try_wait    (MpSync          *sync,
                                     gboolean         settle,
                                     gpointer         data,
                                     int             *wake,
                                     GError         **error);
/* It is not going to wait any longer. TRUE: but it has been notified. */
gboolean mp_condition_leave_wait    (MpConditionWait *wait);
/* Once it has the lock again, or cannot have it. */
void     mp_condition_end_wait      (MpConditionWait *wait);
/* The lock, as it was: whatever happens. FALSE: this process was forked with no room for it. */
gboolean mp_condition_take_lock_back (MpConditionWait *wait,
                                     GError         **error);
/* The same, without sleeping: a step of a call. In the context of the call, end_wait() makes its thread the owner. */
MpSyncStep mp_condition_try_lock_back (MpSyncCall    *call,
                                     GError         **error);

typedef struct
{
  MpCondition *condition;
  guint        n;
} MpConditionNotice;

/* MpSyncTry, @data: MpConditionNotice. */
MpSyncStep mp_condition_try_notify  (MpSync          *sync,
                                     gboolean         settle,
                                     gpointer         data,
                                     int             *wake,
                                     GError         **error);
/* MpSyncTry: looks for those who have died. */
MpSyncStep mp_condition_settle      (MpSync          *sync,
                                     gboolean         settle,
                                     gpointer         data,
                                     int             *wake,
                                     GError         **error);
/* Who waits and has not been notified, by the state's word. */
guint    mp_condition_count_waiting (guint64          word);
/* Most of them. */
#define MP_CONDITION_MAX_WAITING 16383u

G_END_DECLS
