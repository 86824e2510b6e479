/* torture-lock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/sync/mp-lock-private.h"

/* MpLock, by those who wait in a call and those who wait for a callback: two counters under it, which differ
 * only when somebody died between them, and then the next one is told. */

enum { BROKEN_NOTHING, BROKEN_NO_REPAIR, BROKEN_NO_WAKE, BROKEN_NO_LOCK };

#define MAX_PENDING 3

typedef struct
{
  TortureWitness witness;
  guint64        first;
  guint64        second;
  gboolean       is_unmarked;  /* somebody was told of a death, and left it at that */
  guint          deaths;       /* at the last mark_consistent(), if nobody was about to die; else 0 */
  guint64        n_told;
  guint64        n_async;
  guint64        n_cancelled;
} Data;

static Data   *data;
static MpLock *lock;

/* A child's own. */
static GMainContext *context;
static guint         n_pending;
static guint64       n_completed;
static enum { BLOCKING, ASYNC, BOTH } kind;

static void
setup (void)
{
  data = torture_alloc (sizeof *data);
  lock = mp_lock_new ();
}

static void
begin (void)
{
  kind = (torture_get_child () + (torture_random (4) == 0)) % 3;
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
}

static void
mark (void)
{
  guint deaths = torture_count_deaths ();
  g_autoptr(GError) error = NULL;

  data->is_unmarked = FALSE;
  data->deaths = torture_is_anybody_dying () ? 0 : deaths;
  if (!mp_lock_mark_consistent (lock, &error))
    torture_violation ("mark_consistent: %s", error->message);
  torture_check (!mp_lock_is_abandoned (lock), "mark_consistent: has no effect");
}

/* Told of a death exactly when there was one; then puts things right. */
static void
check_told (TortureFound found)
{
  if (!mp_lock_is_abandoned (lock))
    {
      torture_check (found != TORTURE_FOUND_DEAD, "abandoned: its owner died, and this is not said");
      torture_check (!data->is_unmarked, "abandoned: forgotten before it was marked");
      return;
    }

  torture_check (data->is_unmarked || data->deaths == 0 || data->deaths != torture_count_deaths (),
                 "abandoned: nobody has died");
  data->n_told++;
  torture_check (data->first - data->second <= 1, "pair: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT, data->first,
                 data->second);
  if (torture_broken != BROKEN_NO_REPAIR)
    data->second = data->first;
  if (torture_random (4) == 0)
    data->is_unmarked = TRUE;
  else
    mark ();
}

static void
release (void)
{
  g_autoptr(GError) error = NULL;

  if (torture_broken == BROKEN_NO_WAKE)
    __atomic_fetch_and (&mp_lock_get_slot (lock)->slot->word, MP_CELL_INCONSISTENT, __ATOMIC_SEQ_CST);
  else if (torture_broken != BROKEN_NO_LOCK && !mp_lock_release (lock, &error))
    torture_violation ("release: %s", error->message);
}

/* With the lock held. */
static void
use (void)
{
  TortureFound found = torture_enter (&data->witness, "lock");

  torture_check (mp_lock_is_locked (lock), "is_locked: not by who has it");
  check_told (found);
  torture_check (data->first == data->second || data->is_unmarked, "pair: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
                 data->first, data->second);
  data->first++;
  MP_TORTURE_POINT ("lock-used-by-half");
  data->second++;
  torture_linger ();
  torture_leave (&data->witness, "lock");
  release ();
  /* What has been acquired for a callback is had through a pause. */
  if (n_pending == 0)
    torture_pause ();
}

static void
acquired_cb (GObject      *source_object,
             GAsyncResult *result,
             gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  GCancellable *cancellable = user_data;

  n_pending--;
  n_completed++;
  if (mp_lock_acquire_finish (lock, result, &error))
    {
      __atomic_fetch_add (&data->n_async, 1, __ATOMIC_RELAXED);
      use ();
    }
  else
    {
      torture_check (cancellable != NULL && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED),
                     "acquire_async: %s", error->message);
      __atomic_fetch_add (&data->n_cancelled, 1, __ATOMIC_RELAXED);
    }
  g_clear_object (&cancellable);
}

static void
acquire_async (void)
{
  GCancellable *cancellable = torture_random (8) == 0 ? g_cancellable_new () : NULL;

  n_pending++;
  mp_lock_acquire_async (lock, cancellable, acquired_cb, cancellable);
  if (cancellable != NULL)
    {
      if (torture_random (2) == 0)
        g_usleep (torture_random (200));
      g_cancellable_cancel (cancellable);
    }
}

static void
step_async (void)
{
  guint64 before = n_completed;

  if (n_pending == 0)
    while (n_pending < MAX_PENDING)
      acquire_async ();
  while (n_completed == before)
    g_main_context_iteration (context, TRUE);
}

static void
step_blocking (void)
{
  g_autoptr(GError) error = NULL;
  guint how = torture_broken == BROKEN_NOTHING ? torture_random (8) : 7;

  if (torture_broken == BROKEN_NO_LOCK)
    use ();
  else if (how == 0)
    {
      if (mp_lock_try_acquire (lock))
        use ();
    }
  else if (mp_lock_acquire (lock, how == 1 ? (gint64) torture_random (300) : -1, NULL, &error))
    use ();
  else if (how != 1 || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    torture_violation ("acquire: %s", error->message);
}

static void
step (void)
{
  if (torture_broken != BROKEN_NOTHING)
    step_blocking ();
  else if (kind == BLOCKING)
    step_blocking ();
  else if (kind == ASYNC)
    step_async ();
  else
    {
      /* The blocking call runs what is due for the lock meanwhile. */
      if (n_pending < MAX_PENDING && torture_random (2) == 0)
        acquire_async ();
      step_blocking ();
      while (g_main_context_iteration (context, FALSE))
        ;
    }
}

static void
finish (void)
{
  g_autoptr(GError) error = NULL;

  if (!mp_lock_acquire (lock, G_USEC_PER_SEC, NULL, &error))
    {
      torture_violation ("at the end: %s", error->message);
      return;
    }
  torture_check (data->first - data->second <= 1, "at the end: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
                 data->first, data->second);
  torture_check (data->first == data->second || mp_lock_is_abandoned (lock), "at the end: a death is not said");
  mp_lock_release (lock, NULL);
  torture_check (!mp_lock_is_locked (lock), "at the end: locked after it was released");
  g_clear_object (&lock);
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " uses, %" G_GUINT64_FORMAT " by callbacks, %" G_GUINT64_FORMAT
                          " cancelled, %" G_GUINT64_FORMAT " told of a death; ", data->first, data->n_async,
                          data->n_cancelled, data->n_told);
}

static const char *const points[] = { "lock-", "async-", "arena-rung", "arena-bell", "cell-", "!cell-state", NULL };
static const char *const variants[] = { "no-repair", "no-wake", "no-lock", NULL };

const TorturePrimitive torture_lock = {
  "lock", points, variants, setup, begin, step, NULL, finish, figures,
};
