/* mp-condition-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-condition-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/sync/mp-lock.h"
#include "mp-glib/sync/mp-rlock-private.h"

/* Those who wait stand in two groups, so that one who comes after a notification cannot take it from one who was there
 * before. Notifications are tokens for the first group. Newcomers join the second one; when the first has too few without
 * a token for those who are to be notified, the second is merged into it, which counts up `merges`: one who still finds
 * the count at which it came is in the second group.
 *
 * When somebody has died that was counted, it is not known in which group it was, nor what it was notified for. Then
 * all is reset: nobody waits, and `resets` is counted up, so that all who came before see that they are released,
 * without a notification, which a condition's waiters have to expect anyhow.
 *
 * The counts of merges never run into one at which somebody in the first group came: before that all is reset. */

#define COUNT_BITS 14
#define EPOCH_BITS 11
#define COUNT_MASK ((1u << COUNT_BITS) - 1)
#define EPOCH_MASK ((1u << EPOCH_BITS) - 1)

G_STATIC_ASSERT (MP_CONDITION_MAX_WAITING == COUNT_MASK);
G_STATIC_ASSERT (3 * COUNT_BITS + 2 * EPOCH_BITS == 64);

/* The state's word. */
typedef struct
{
  guint n_first;    /* in the first group */
  guint n_tokens;   /* at most n_first */
  guint n_second;
  guint n_merges;
  guint n_resets;
} Groups;

static Groups
unpack (guint64 word)
{
  Groups self = {
    .n_first = word & COUNT_MASK,
    .n_tokens = word >> COUNT_BITS & COUNT_MASK,
    .n_second = word >> 2 * COUNT_BITS & COUNT_MASK,
    .n_merges = word >> 3 * COUNT_BITS & EPOCH_MASK,
    .n_resets = word >> (3 * COUNT_BITS + EPOCH_BITS) & EPOCH_MASK,
  };

  /* The memory is anybody's. */
  self.n_tokens = MIN (self.n_tokens, self.n_first);
  return self;
}

static guint64
pack (const Groups *self)
{
  return (guint64) self->n_first |
         (guint64) self->n_tokens << COUNT_BITS |
         (guint64) self->n_second << 2 * COUNT_BITS |
         (guint64) (self->n_merges & EPOCH_MASK) << 3 * COUNT_BITS |
         (guint64) (self->n_resets & EPOCH_MASK) << (3 * COUNT_BITS + EPOCH_BITS);
}

static Groups
read_groups (MpSync *sync)
{
  return unpack (mp_holdings_get_word (&sync->slot));
}

static void
write_groups (MpSync       *sync,
              const Groups *groups)
{
  mp_holdings_commit_word (&sync->slot, pack (groups));
}

static Groups
reset (Groups groups)
{
  return (Groups) { .n_resets = groups.n_resets + 1 };
}

/* Somebody has died who waited, or who had been notified and had not the lock yet. */
static guint64
release_all (guint64 word,
             guint32 count)
{
  Groups groups = reset (unpack (word));

  return pack (&groups);
}

/* How many waits of this process are counted; @wake: because of what one had that had its index before. */
static guint32
get_own (MpSync *sync,
         int    *wake)
{
  Groups before = read_groups (sync);
  guint32 own = mp_holdings_get_own (&sync->slot, release_all);

  if (read_groups (sync).n_resets != before.n_resets)
    *wake = G_MAXINT;
  return own;
}

static void
merge (Groups *groups)
{
  if (groups->n_first > 0 && groups->n_merges >= EPOCH_MASK - 1)
    {
      *groups = reset (*groups);
      return;
    }
  groups->n_first = MIN (groups->n_first + groups->n_second, COUNT_MASK);
  groups->n_second = 0;
  groups->n_merges = (groups->n_merges + 1) & EPOCH_MASK;
}

guint
mp_condition_count_waiting (guint64 word)
{
  Groups groups = unpack (word);

  return groups.n_first - groups.n_tokens + groups.n_second;
}

/* The lock. */

static gboolean
has_rlock (MpCondition *self)
{
  return MP_IS_RLOCK (self->lock);
}

MpSync *
mp_condition_get_lock_sync (MpCondition *self)
{
  return &MP_SYNC_OBJECT (self->lock)->sync;
}

gboolean
mp_condition_check_owner (MpCondition  *self,
                          const char   *what,
                          GError      **error)
{
  MpSync *lock = mp_condition_get_lock_sync (self);

  if (!mp_sync_is_usable (lock))
    return mp_sync_set_unusable (lock, what, error);
  if (has_rlock (self) ? mp_rlock_get_depth ((MpRLock *) self->lock) > 0 : mp_cell_is_mine (&lock->slot))
    return TRUE;

  g_set_error (error, MP_ERROR, MP_ERROR_NOT_OWNER, has_rlock (self) ? "%s: this thread does not have its lock" :
               "%s: this process does not hold its lock", what);
  return FALSE;
}

static gboolean
lock_is_flagged (MpCondition *self)
{
  MpSync *lock = mp_condition_get_lock_sync (self);

  return mp_sync_is_usable (lock) &&
         (__atomic_load_n (&lock->slot.slot->word, __ATOMIC_SEQ_CST) & MP_CELL_INCONSISTENT) != 0;
}

/* Its owner has died, perhaps between a change and the notification of it. */
static gboolean
lock_was_abandoned_since (const MpConditionWait *wait)
{
  MpSync *lock = mp_condition_get_lock_sync (wait->condition);

  return (!wait->was_abandoned && lock_is_flagged (wait->condition)) ||
         (mp_sync_is_usable (lock) && mp_cell_is_owner_dead (&lock->slot));
}

void
mp_condition_give_lock_up (MpCondition *self)
{
  if (has_rlock (self))
    mp_rlock_give_up ((MpRLock *) self->lock);
  else
    mp_sync_leave (mp_condition_get_lock_sync (self));
  MP_TORTURE_POINT ("condition-lock-given-up");
}

gboolean
mp_condition_take_lock_back (MpConditionWait  *wait,
                             GError          **error)
{
  const char *what = "condition wait: its lock cannot be had again";
  MpCondition *condition = wait->condition;
  MpSync *lock = mp_condition_get_lock_sync (condition);

  if (has_rlock (condition))
    return mp_rlock_take_back ((MpRLock *) condition->lock, wait->given_up, what, error);
  return mp_cell_take_back (&lock->slot, condition->lock, what, NULL, NULL, error);
}

/* Not yet in the name of the thread that makes the callback: until then that could give it up again unknowingly. */
MpSyncStep
mp_condition_try_lock_back (MpSyncCall  *call,
                            GError     **error)
{
  MpConditionWait *wait = call->data;
  MpCellResult result = mp_cell_try_take_watching (&call->sync->slot);

  if (result == MP_CELL_BUSY)
    return MP_SYNC_NOT_YET;
  if (result == MP_CELL_LOST)
    {
      mp_sync_set_unusable (call->sync, "condition wait: its lock cannot be had again", error);
      return MP_SYNC_FAILED;
    }

  wait->has_lock = TRUE;
  if (has_rlock (wait->condition))
    mp_rlock_put_back_for_later ((MpRLock *) wait->condition->lock, wait->given_up);
  if (wait->error == NULL)
    return MP_SYNC_DONE;

  g_propagate_error (error, g_steal_pointer (&wait->error));
  return MP_SYNC_FAILED;
}

/* What is done with the cell held. */

static MpSyncStep
join (MpSync    *sync,
      gboolean   settle,
      gpointer   data,
      int       *wake,
      GError   **error)
{
  MpConditionWait *wait = data;
  guint32 own = get_own (sync, wake);
  Groups groups = read_groups (sync);

  if (groups.n_first + groups.n_second >= MP_CONDITION_MAX_WAITING)
    {
      if (mp_holdings_settle (&sync->slot, release_all))
        *wake = G_MAXINT;
      groups = read_groups (sync);
    }
  if (groups.n_first + groups.n_second >= MP_CONDITION_MAX_WAITING)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FULL, "condition wait: %u wait already", MP_CONDITION_MAX_WAITING);
      return MP_SYNC_FAILED;
    }

  wait->n_merges = groups.n_merges;
  wait->n_resets = groups.n_resets;
  groups.n_second++;
  mp_holdings_commit (&sync->slot, pack (&groups), own + 1);
  wait->is_in_word = wait->is_counted = TRUE;
  return MP_SYNC_DONE;
}

gboolean
mp_condition_begin_wait (MpConditionWait  *wait,
                         MpCondition      *condition,
                         GError          **error)
{
  MpSync *sync = &condition->parent_instance.sync;

  *wait = (MpConditionWait) { .condition = condition, .was_abandoned = lock_is_flagged (condition) };
  if (mp_sync_do (sync, "condition wait", join, wait, error) != MP_SYNC_DONE)
    return FALSE;

  wait->self = mp_arena_get_self (sync->slot.arena);
  if (has_rlock (condition))
    wait->given_up = mp_rlock_look ((MpRLock *) condition->lock);
  MP_TORTURE_POINT ("condition-joined");
  return TRUE;
}

static gboolean
is_of_copy (const MpConditionWait *wait,
            MpSync                *sync)
{
  return wait->self != mp_arena_get_self (sync->slot.arena);
}

/* Now and then: those who have died had something to do that the others wait for. */
static void
look_for_the_dead (MpSync                *sync,
                   const MpConditionWait *wait,
                   int                   *wake)
{
  if (mp_holdings_settle (&sync->slot, release_all))
    *wake = G_MAXINT;
  if (wait->n_resets == read_groups (sync).n_resets && lock_was_abandoned_since (wait))
    {
      Groups groups = reset (read_groups (sync));

      write_groups (sync, &groups);
      *wake = G_MAXINT;
    }
}

MpSyncStep
mp_condition_settle (MpSync    *sync,
                     gboolean   settle,
                     gpointer   data,
                     int       *wake,
                     GError   **error)
{
  if (mp_holdings_settle (&sync->slot, release_all))
    *wake = G_MAXINT;
  return MP_SYNC_DONE;
}

MpSyncStep
mp_condition_try_wait (MpSync    *sync,
                       gboolean   settle,
                       gpointer   data,
                       int       *wake,
                       GError   **error)
{
  MpConditionWait *wait = data;
  Groups groups;

  if (is_of_copy (wait, sync))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_FAILED,
                           "condition wait: this process is a copy of the one that waited");
      return MP_SYNC_FAILED;
    }

  if (settle)
    look_for_the_dead (sync, wait, wake);
  groups = read_groups (sync);
  if (groups.n_resets != wait->n_resets)
    {
      wait->is_in_word = FALSE;
      return MP_SYNC_DONE;
    }
  if (groups.n_merges != wait->n_merges && groups.n_tokens > 0)
    {
      groups.n_first--;
      groups.n_tokens--;
      write_groups (sync, &groups);
      wait->is_in_word = FALSE;
      MP_TORTURE_POINT ("condition-token-taken");
      return MP_SYNC_DONE;
    }

  /* Perhaps it was woken in the place of one of the first group. Once, lest two of the second keep each other awake. */
  if (groups.n_merges == wait->n_merges && groups.n_tokens > 0 && wait->n_looks > 1 && !wait->has_passed_on)
    {
      wait->has_passed_on = TRUE;
      *wake = 1;
    }
  wait->n_looks++;
  return MP_SYNC_NOT_YET;
}

/* When all of its group have a token, this one has, too, and takes it with it. */
static MpSyncStep
leave (MpSync    *sync,
       gboolean   settle,
       gpointer   data,
       int       *wake,
       GError   **error)
{
  MpConditionWait *wait = data;
  guint32 own = get_own (sync, wake);
  Groups groups = read_groups (sync);

  wait->is_in_word = FALSE;
  if (groups.n_resets != wait->n_resets)
    return MP_SYNC_DONE;
  if (groups.n_merges != wait->n_merges && groups.n_first > 0 && groups.n_tokens == groups.n_first)
    {
      groups.n_first--;
      groups.n_tokens--;
      write_groups (sync, &groups);
      return MP_SYNC_DONE;
    }

  if (groups.n_merges != wait->n_merges)
    groups.n_first -= MIN (groups.n_first, 1);
  else
    groups.n_second -= MIN (groups.n_second, 1);
  wait->is_counted = FALSE;
  mp_holdings_commit (&sync->slot, pack (&groups), own - MIN (own, 1));
  return MP_SYNC_NOT_YET;
}

gboolean
mp_condition_leave_wait (MpConditionWait *wait)
{
  MpSync *sync = &wait->condition->parent_instance.sync;

  if (is_of_copy (wait, sync))
    wait->is_in_word = wait->is_counted = FALSE;
  return wait->is_in_word && mp_sync_do (sync, "condition wait", leave, wait, NULL) == MP_SYNC_DONE;
}

static MpSyncStep
uncount (MpSync    *sync,
         gboolean   settle,
         gpointer   data,
         int       *wake,
         GError   **error)
{
  guint32 own = get_own (sync, wake);

  if (own > 0)
    mp_holdings_commit (&sync->slot, mp_holdings_get_word (&sync->slot), own - 1);
  return MP_SYNC_DONE;
}

void
mp_condition_end_wait (MpConditionWait *wait)
{
  MpSync *sync = &wait->condition->parent_instance.sync;

  MP_TORTURE_POINT ("condition-lock-back");
  if (wait->has_lock && has_rlock (wait->condition))
    mp_rlock_hand_over ((MpRLock *) wait->condition->lock);
  if (wait->is_counted && !is_of_copy (wait, sync))
    mp_sync_do (sync, "condition wait", uncount, NULL, NULL);
  wait->is_counted = FALSE;
  g_clear_error (&wait->error);
}

MpSyncStep
mp_condition_try_notify (MpSync    *sync,
                         gboolean   settle,
                         gpointer   data,
                         int       *wake,
                         GError   **error)
{
  MpCondition *self = ((MpConditionNotice *) data)->condition;
  guint n = ((MpConditionNotice *) data)->n;
  Groups groups = read_groups (sync);
  guint n_waiting = mp_condition_count_waiting (pack (&groups)), n_tokens;

  if (n == 0 || n_waiting == 0)
    return MP_SYNC_DONE;

  n_tokens = MIN (n, n_waiting);
  if (lock_is_flagged (self))
    groups = reset (groups);
  else if (groups.n_first - groups.n_tokens < n_tokens)
    merge (&groups);
  /* After a reset there is nobody. */
  n_tokens = MIN (n_tokens, groups.n_first - groups.n_tokens);
  groups.n_tokens += n_tokens;
  write_groups (sync, &groups);
  /* Any sleeper may be woken by that: while there are some that it is not for, all are. */
  *wake = groups.n_first == 0 || groups.n_second > 0 ? G_MAXINT : (int) n_tokens;
  return MP_SYNC_DONE;
}
