/* mp-sync.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-sync-private.h"

#include "mp-glib/arena/mp-sleeper-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-futex-private.h"

#define SLEEPS  1u
#define ARRIVAL 2u
#define CHANGE  (1u << 10)

/* Of a short busy wait: looks, with a pause of the CPU after each, between two yields of it; and changes that were not
 * what was waited for, until all that waiting has to look after is looked after. */
#define N_LOOKS       16
#define N_TRIES_AWAKE 8
#define LONG_US       500   /* a time-out that this does not matter to */

void
mp_sync_init (MpSync           *self,
              const MpSyncKind *kind,
              MpSlotRef        *adopted)
{
  self->kind = kind;
  if (adopted != NULL)
    {
      self->slot = *adopted;
      *adopted = (MpSlotRef) { NULL };
    }
  else if (!mp_slot_new (&self->slot, kind->slot_kind, kind->flags, self->isolated, kind->kind, &self->error))
    {
      return;
    }

  if (kind->has_holdings && !mp_holdings_map (&self->slot, adopted == NULL, kind->kind, &self->error))
    mp_slot_clear (&self->slot);
}

void
mp_sync_clear (MpSync *self)
{
  mp_slot_clear (&self->slot);
  g_clear_error (&self->error);
}

gboolean
mp_sync_is_usable (MpSync *self)
{
  return self->slot.arena != NULL && MP_ARENA_SELF (self->slot.arena) != 0;
}

gboolean
mp_sync_set_unusable (MpSync      *self,
                      const char  *what,
                      GError     **error)
{
  if (self->error != NULL)
    g_set_error (error, self->error->domain, self->error->code, "%s: %s", what, self->error->message);
  else
    g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: this process was forked when there was no room for it beside "
                 "the others that share the memory", what);
  return FALSE;
}

gboolean
mp_sync_is_isolated (MpSync *self)
{
  return self->slot.arena != NULL ? mp_slot_is_isolated (&self->slot) : self->isolated;
}

GVariant *
mp_sync_describe (MpSync  *self,
                  GArray  *fds,
                  GError **error)
{
  if (!mp_sync_is_usable (self))
    {
      g_autofree char *what = g_strdup_printf ("Cannot send a %s", self->kind->kind);

      mp_sync_set_unusable (self, what, error);
      return NULL;
    }
  return mp_slot_describe (&self->slot, fds, self->kind->kind, error);
}

/* The cell, for kinds that have one. */

static inline gboolean
take_quickly (MpSync *self)
{
  return self->kind->is_atomic || mp_cell_take_quickly (&self->slot);
}

gboolean
mp_sync_enter (MpSync         *self,
               gconstpointer   owner,
               const char     *what,
               gint64          timeout_us,
               GCancellable   *cancellable,
               GError        **error)
{
  if (!mp_sync_is_usable (self))
    return mp_sync_set_unusable (self, what, error);
  /* Then it is consistent. */
  if (take_quickly (self))
    return TRUE;
  if (!mp_cell_take (&self->slot, owner, what, timeout_us, cancellable, error))
    return FALSE;

  mp_sync_see_to (self);
  return TRUE;
}

void
mp_sync_see_to (MpSync *self)
{
  if (self->kind->has_holdings)
    {
      mp_holdings_enter (&self->slot);
    }
  else if (G_UNLIKELY (mp_cell_is_inconsistent (&self->slot)))
    {
      if (self->across != NULL && self->across->recover != NULL)
        self->across->recover (self);
      mp_cell_mark_consistent (&self->slot);
    }
}

void
mp_sync_leave (MpSync *self)
{
  if (!self->kind->is_atomic && !mp_cell_give_back_quickly (&self->slot))
    mp_cell_give_back (&self->slot);
}

static guint32 *
get_sequence (MpSync *self)
{
  return &self->slot.slot->sequence;
}

/* @step: CHANGE, or ARRIVAL of one who is to sleep. By who has the cell, if there is one; only the taking away of SLEEPS is
 * not. */
static guint32
advance (MpSync  *self,
         guint32  step)
{
  guint32 bits = step == ARRIVAL ? SLEEPS : 0;
  guint32 seen = __atomic_load_n (get_sequence (self), __ATOMIC_SEQ_CST);

  while (!__atomic_compare_exchange_n (get_sequence (self), &seen, (seen + step) | bits, FALSE,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    ;
  MP_TORTURE_POINT ("sync-sequence");
  return (seen + step) | bits;
}

guint32
mp_sync_change (MpSync *self)
{
  return advance (self, CHANGE);
}

void
mp_sync_tell (MpSync  *self,
              guint32  change,
              int      n)
{
  if (n > 0 && (change & SLEEPS) != 0)
    {
      MP_TORTURE_POINT ("sync-tell");
      if (mp_futex_wake (get_sequence (self), n, FALSE) < (guint) n)
        __atomic_compare_exchange_n (get_sequence (self), &change, change & ~SLEEPS, FALSE,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
  if (n > 0 && __atomic_load_n (&self->slot.slot->watchers, __ATOMIC_SEQ_CST) != 0)
    {
      guint64 watchers = __atomic_exchange_n (&self->slot.slot->watchers, 0, __ATOMIC_SEQ_CST);

      MP_TORTURE_POINT ("sync-watchers-taken");
      if (watchers != 0)
        mp_arena_ring (&self->slot, watchers);
    }
}

/* Across. */

void
mp_sync_notice_slowly (MpSync *self,
                       int     n)
{
  guint32 hint = __atomic_load_n (self->hint, __ATOMIC_SEQ_CST);

  mp_sync_tell (self, mp_sync_change (self), n);
  MP_TORTURE_POINT ("sync-noticed");
  /* Who came meanwhile has left another number. */
  if ((__atomic_load_n (get_sequence (self), __ATOMIC_SEQ_CST) & SLEEPS) == 0)
    __atomic_compare_exchange_n (self->hint, &hint, 0, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("sync-hint-gone");
}

gboolean
mp_sync_must_look_again (MpSync   *self,
                         gpointer  data)
{
  if (self->across == NULL)
    return FALSE;

  /* Not 0, whatever the number. */
  __atomic_store_n (self->hint, __atomic_load_n (get_sequence (self), __ATOMIC_SEQ_CST) | SLEEPS, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("sync-hint");
  return self->across->look (self, data);
}

/* Waiting. */

static guint32
get_mark (MpSync   *self,
          gboolean  sleeps)
{
  return sleeps ? advance (self, ARRIVAL) : __atomic_load_n (get_sequence (self), __ATOMIC_SEQ_CST);
}

/* One call of @try. @seen: (nullable) what to look at, if it was not yet; @sleeps: the caller is going to sleep on it. */
static MpSyncStep
attempt (MpSync     *self,
         gboolean    settle,
         MpSyncTry   try_func,
         gpointer    data,
         guint32    *seen,
         gboolean    sleeps,
         GError    **error)
{
  gboolean is_atomic = self->kind->is_atomic;
  guint32 change = 0;
  int wake = 0;
  MpSyncStep step;

  /* Without the cell it may change at any time: after this look the change shows here. */
  if (is_atomic && seen != NULL)
    *seen = get_mark (self, sleeps);
  step = try_func (self, settle, data, &wake, error);
  if (wake > 0)
    change = mp_sync_change (self);
  if (!is_atomic && step == MP_SYNC_NOT_YET && seen != NULL)
    *seen = get_mark (self, sleeps);
  MP_TORTURE_POINT ("sync-tried");
  mp_sync_leave (self);
  mp_sync_tell (self, change, wake);

  return step;
}

MpSyncStep
mp_sync_do (MpSync         *self,
            const char     *what,
            MpSyncTry       try_func,
            gpointer        data,
            GError        **error)
{
  if (!mp_sync_is_usable (self))
    {
      mp_sync_set_unusable (self, what, error);
      return MP_SYNC_FAILED;
    }
  /* Others have the cell for some stores only; and what gives something back must not fail for a signal. */
  if (!take_quickly (self))
    {
      if (!mp_cell_take_surely (&self->slot, what, error))
        return MP_SYNC_FAILED;
      mp_sync_see_to (self);
    }

  return mp_sync_do_inside (self, try_func, data, error);
}

MpSyncStep
mp_sync_do_inside (MpSync     *self,
                   MpSyncTry   try_func,
                   gpointer    data,
                   GError    **error)
{
  return attempt (self, FALSE, try_func, data, NULL, FALSE, error);
}

/* Those who only come to wait as well are no reason to look again: two of them would keep each other awake. */
static gboolean
has_changed (MpSync  *self,
             guint32  seen)
{
  return (__atomic_load_n (get_sequence (self), __ATOMIC_SEQ_CST) ^ seen) >= CHANGE;
}

/* A change is seen at once, and who makes it has nobody to wake. */
static gboolean
look (MpSync   *self,
      guint32   seen,
      gpointer  data)
{
  for (guint i = 0; i < N_LOOKS; i++)
    {
      if (has_changed (self, seen) || (self->across != NULL && self->across->look (self, data)))
        return TRUE;
      mp_spin_pause ();
    }
  return FALSE;
}

/* Most of what is waited for comes soon, or late. TRUE: there was a change. */
static gboolean
spin (MpSync   *self,
      guint32   seen,
      gpointer  data)
{
  gint64 until = mp_spin_begin (&self->spin);
  gboolean changed = FALSE;

  if (until == 0)
    return FALSE;
  while (!(changed = look (self, seen, data)) && mp_spin_again (until))
    ;
  mp_spin_end (&self->spin, until, changed);

  return changed;
}

/* Others have the cell for some stores only, unless they were stopped just then. */
static gint64
time_to_enter (MpSleeper *sleeper)
{
  gint64 left = mp_deadline_left (sleeper->deadline);

  return left < 0 ? -1 : MAX (left, MP_SYNC_ENTER_US);
}

/* What to sleep on: those who came since have all counted themselves, and left SLEEPS as it was. */
static guint32
look_again (MpSync  *self,
            guint32  seen)
{
  guint32 now = __atomic_load_n (get_sequence (self), __ATOMIC_SEQ_CST);

  return (now ^ seen) < CHANGE && (now & SLEEPS) != 0 ? now : seen;
}

/* At the first look in vain, then once in a slice, however often others are woken meanwhile; and at the last look. */
static gboolean
is_time_to_settle (MpSync     *self,
                   MpSleeper  *sleeper)
{
  gint64 now = g_get_monotonic_time ();
  gboolean is_last = sleeper->deadline >= 0 && now >= sleeper->deadline;

  if (!is_last && now - __atomic_load_n (&self->settled_us, __ATOMIC_RELAXED) < MP_CELL_SLICE_US)
    return FALSE;
  __atomic_store_n (&self->settled_us, now, __ATOMIC_RELAXED);
  return TRUE;
}

static gboolean
sleep_and_try (MpSync     *self,
               MpSleeper  *sleeper,
               MpSyncTry   try_func,
               gpointer    data,
               GError    **error)
{
  for (;;)
    {
      guint32 seen = 0;
      MpSyncStep step = MP_SYNC_NOT_YET;

      mp_sleeper_awake (sleeper);
      if (!mp_sync_enter (self, sleeper->owner, sleeper->what, time_to_enter (sleeper), sleeper->cancellable, error))
        {
          /* Perhaps it was woken for it: then another one has to be. */
          if (sleeper->slept)
            mp_futex_wake (get_sequence (self), 1, FALSE);
          return FALSE;
        }
      step = attempt (self, is_time_to_settle (self, sleeper), try_func, data, &seen, TRUE, error);
      if (step != MP_SYNC_NOT_YET)
        return step == MP_SYNC_DONE;
      if (mp_sleeper_is_over (sleeper, error))
        return FALSE;
      if (mp_sync_must_look_again (self, data))
        continue;
      mp_sleeper_sleep (sleeper, get_sequence (self), look_again (self, seen));
      MP_TORTURE_POINT ("sync-woken");
    }
}

/* Who has changed something is about to give the cell back. */
static gboolean
enter_awake (MpSync *self)
{
  for (guint i = 0; i < N_LOOKS; i++)
    {
      if (take_quickly (self))
        return TRUE;
      mp_spin_pause ();
    }
  return FALSE;
}

/* Mostly there is nothing to wait for, or it comes soon. */
static MpSyncStep
try_awake (MpSync     *self,
           MpSyncTry   try_func,
           gpointer    data,
           gboolean    may_wait,
           GError    **error)
{
  MpSyncStep step = MP_SYNC_NOT_YET;
  guint32 seen = 0;

  if (!mp_sync_is_usable (self))
    return MP_SYNC_NOT_YET;
  for (guint i = 0; i < N_TRIES_AWAKE && enter_awake (self); i++)
    {
      step = attempt (self, FALSE, try_func, data, &seen, FALSE, error);
      if (step != MP_SYNC_NOT_YET || !may_wait || !spin (self, seen, data))
        return step;
    }
  return step;
}

gboolean
mp_sync_wait (MpSync         *self,
              gconstpointer   owner,
              const char     *what,
              MpSyncTry       try_func,
              gpointer        data,
              gint64          timeout_us,
              GCancellable   *cancellable,
              GError        **error)
{
  MpSyncStep step;
  MpSleeper sleeper;
  gint64 deadline;
  gboolean success = FALSE;

  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", what);
      return FALSE;
    }
  deadline = mp_deadline_after (timeout_us);
  step = try_awake (self, try_func, data, timeout_us < 0 || timeout_us >= LONG_US, error);
  if (step != MP_SYNC_NOT_YET)
    return step == MP_SYNC_DONE;

  mp_sleeper_begin (&sleeper, owner, what, deadline, cancellable);
  success = sleep_and_try (self, &sleeper, try_func, data, error);
  mp_sleeper_end (&sleeper);

  return success;
}
