/* mp-sleeper.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-sleeper-private.h"

#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-futex-private.h"
#include "mp-glib/platform/mp-poll-private.h"

/* Between two looks at what the hub has to tell, for which one cannot sleep together with words in memory: short while it
 * has something to tell, then no longer than the wait has lasted, so that what is begun ends in twice its time. */
#define MIN_PAUSE_US 500
#define MAX_PAUSE_US 32000

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  mp_async_unblock (user_data);
}

void
mp_sleeper_begin (MpSleeper     *self,
                  gconstpointer  owner,
                  const char    *what,
                  gint64         deadline,
                  GCancellable  *cancellable)
{
  self->what = what;
  self->owner = owner;
  self->deadline = deadline;
  self->cancellable = cancellable;
  self->cancel_id = 0;
  self->interrupt_fd = mp_hub_get_interrupt_fd ();
  self->woken = 0;
  self->slept = FALSE;
  self->pause_us = MIN_PAUSE_US;
  mp_async_begin_blocking (&self->blocked, owner);
  if (cancellable != NULL)
    self->cancel_id = g_cancellable_connect (cancellable, G_CALLBACK (cancelled_cb), &self->blocked, NULL);
}

void
mp_sleeper_end (MpSleeper *self)
{
  if (self->cancel_id != 0)
    g_cancellable_disconnect (self->cancellable, self->cancel_id);
  mp_async_end_blocking (&self->blocked);
}

void
mp_sleeper_awake (MpSleeper *self)
{
  self->woken = __atomic_load_n (&self->blocked.word, __ATOMIC_SEQ_CST);
  mp_hub_run_due (self->owner);
}

static gboolean
is_interrupted (MpSleeper *self)
{
  GPollFD fd = { self->interrupt_fd, G_IO_IN, 0 };

  return fd.fd >= 0 && mp_poll_fds (&fd, 1, 0) > 0;
}

gboolean
mp_sleeper_is_over (MpSleeper  *self,
                    GError    **error)
{
  if (g_cancellable_is_cancelled (self->cancellable))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", self->what);
  else if (is_interrupted (self))
    g_set_error (error, MP_ERROR, MP_ERROR_INTERRUPTED, "%s: interrupted by a signal", self->what);
  else if (mp_deadline_left (self->deadline) == 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s: timed out", self->what);
  else
    return FALSE;

  return TRUE;
}

static MpFutexResult
sleep_once (MpSleeper *self,
            guint32   *word,
            guint32    seen,
            gint64     timeout_us)
{
  MpFutexWait words[] = {
    { word, seen, FALSE },
    { &self->blocked.word, self->woken, TRUE },
  };

  /* Where nobody could wake it for anything else, the one word is enough. (That no asynchronous wait is left does not
   * say so: the last one may have won just now, for this process, and be about to be told.) */
  if (self->cancellable == NULL && !mp_async_thread_runs ())
    return mp_futex_wait (word, seen, timeout_us);
  return mp_futex_wait_many (words, G_N_ELEMENTS (words), timeout_us);
}

/* The processes that were started from here may need this one to go on, and what is waited for may be what they do. No user
 * code is called. */
static void
turn_hub (MpSleeper *self)
{
  gboolean told;

  mp_hub_lock ();
  told = mp_hub_turn ();
  mp_hub_unlock ();

  self->pause_us = told ? MIN_PAUSE_US : MIN (2 * self->pause_us, MAX_PAUSE_US);
}

gboolean
mp_sleeper_sleep (MpSleeper *self,
                  guint32   *word,
                  guint32    seen)
{
  gint64 left = mp_deadline_left (self->deadline);
  gboolean whole_slice = left < 0 || left > MP_CELL_SLICE_US;
  gint64 until = mp_deadline_after (whole_slice ? MP_CELL_SLICE_US : left);
  MpFutexResult result;

  self->slept = TRUE;
  for (;;)
    {
      gboolean watches = mp_hub_is_watching ();

      left = mp_deadline_left (until);
      result = sleep_once (self, word, seen, watches ? MIN (left, self->pause_us) : left);
      if (!watches || result != MP_FUTEX_TIMED_OUT || left <= self->pause_us)
        break;

      turn_hub (self);
    }

  return result == MP_FUTEX_TIMED_OUT && whole_slice;
}
