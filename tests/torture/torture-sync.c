/* torture-sync.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/sync/mp-event.h"
#include "mp-glib/sync/mp-rlock.h"
#include "mp-glib/sync/mp-semaphore.h"

/* MpSemaphore, MpEvent and MpRLock, by those who wait in a call and those who wait for a callback. */

#define N_UNITS     2
#define MAX_PENDING 3
#define N_SETTERS   2   /* who meet each other in the cell */

enum { BROKEN_NOTHING, BROKEN_FIRST, BROKEN_SECOND };

typedef enum { BLOCKING, ASYNC, BOTH } Kind;

/* In shared memory, of whichever of them runs. */
typedef struct
{
  TortureWitness seats[N_UNITS];  /* who has a unit */
  TortureWitness witness;         /* who has the lock */
  guint64        first;
  guint64        second;
  guint64        n_set_begun[N_SETTERS];   /* of the event */
  guint64        n_set_done[N_SETTERS];
  guint64        n_uses;
  guint64        n_async;
  guint64        n_cancelled;
  guint64        n_told;
} Data;

static Data        *data;
static MpSemaphore *semaphore;
static MpEvent     *event;
static MpRLock     *rlock;

/* A child's own. */
static GMainContext *context;
static guint         n_pending;
static guint64       n_completed;
static Kind          kind;

static void
begin (void)
{
  kind = (torture_get_child () + (torture_random (4) == 0)) % 3;
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
}

/* After an asynchronous call that has failed. */
static void
check_cancelled (const char   *what,
                 GCancellable *cancellable,
                 const GError *error)
{
  torture_check (cancellable != NULL && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED), "%s: %s", what,
                 error->message);
  torture_count (&data->n_cancelled);
}

/* (transfer full) (nullable): to be cancelled at once, or soon. */
static GCancellable *
make_cancellable (void)
{
  return torture_random (8) == 0 ? g_cancellable_new () : NULL;
}

static void
cancel (GCancellable *cancellable)
{
  if (cancellable == NULL)
    return;
  if (torture_random (2) == 0)
    g_usleep (torture_random (200));
  g_cancellable_cancel (cancellable);
}

/* What has been acquired for a callback is had through a pause. */
static void
pause_alone (void)
{
  if (n_pending == 0)
    torture_pause ();
}

/* One use, blocking, asynchronous, or both at once: the blocking call runs what is due for the object meanwhile. */
static void
step_by (void (* block)      (void),
         void (* begin_async) (void))
{
  guint64 before = n_completed;

  if (kind != BLOCKING && torture_broken == BROKEN_NOTHING && n_pending == 0)
    while (n_pending < (kind == ASYNC ? MAX_PENDING : torture_random (MAX_PENDING + 1)))
      begin_async ();
  if (kind != ASYNC || torture_broken != BROKEN_NOTHING)
    block ();
  else
    while (n_completed == before)
      g_main_context_iteration (context, TRUE);
  while (kind == BOTH && g_main_context_iteration (context, FALSE))
    ;
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " uses, %" G_GUINT64_FORMAT " by callbacks, %" G_GUINT64_FORMAT
                          " cancelled; ", data->n_uses, data->n_async, data->n_cancelled);
}

/* What is acquired, used and released by its use. */
typedef struct
{
  const char  *name;
  gpointer    *object;
  guint        without;   /* the variant that uses it without having acquired it */
  void      (* use)            (void);
  gboolean  (* try_acquire)    (gpointer              object);
  gboolean  (* acquire)        (gpointer              object,
                                gint64                timeout_us,
                                GCancellable         *cancellable,
                                GError              **error);
  void      (* acquire_async)  (gpointer              object,
                                GCancellable         *cancellable,
                                GAsyncReadyCallback   callback,
                                gpointer              user_data);
  gboolean  (* acquire_finish) (gpointer              object,
                                GAsyncResult         *result,
                                GError              **error);
} Acquirable;

static const Acquirable *acquirable;   /* of this step */

static void
acquired_cb (GObject      *source_object,
             GAsyncResult *result,
             gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GCancellable) cancellable = user_data;

  n_pending--;
  n_completed++;
  if (acquirable->acquire_finish (*acquirable->object, result, &error))
    {
      torture_count (&data->n_async);
      acquirable->use ();
    }
  else
    {
      check_cancelled (acquirable->name, cancellable, error);
    }
}

static void
acquire_begin_async (void)
{
  g_autoptr(GCancellable) cancellable = make_cancellable ();

  n_pending++;
  acquirable->acquire_async (*acquirable->object, cancellable, acquired_cb,
                             cancellable != NULL ? g_object_ref (cancellable) : NULL);
  cancel (cancellable);
}

static void
acquire_block (void)
{
  g_autoptr(GError) error = NULL;
  gpointer object = *acquirable->object;
  guint how = torture_random (8);

  if (torture_broken == acquirable->without)
    acquirable->use ();
  else if (how == 0)
    {
      if (acquirable->try_acquire (object))
        acquirable->use ();
    }
  else if (acquirable->acquire (object, how == 1 ? (gint64) torture_random (300) : -1, NULL, &error))
    acquirable->use ();
  else if (how != 1 || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    torture_violation ("%s acquire: %s", acquirable->name, error->message);
}

static void
step_acquirable (const Acquirable *what)
{
  acquirable = what;
  step_by (acquire_block, acquire_begin_async);
}

/* Semaphore: as many at a time as there are units, and at the end there are as many as at first. */

static void
semaphore_setup (void)
{
  data = torture_alloc (sizeof *data);
  semaphore = mp_semaphore_new_full (N_UNITS, torture_broken != BROKEN_FIRST, FALSE);
}

static void
semaphore_use (void)
{
  g_autoptr(GError) error = NULL;
  guint seat = 0;

  while (seat < N_UNITS && !torture_try_enter (&data->seats[seat]))
    seat++;
  torture_check (seat < N_UNITS, "semaphore: more than %u have a unit", N_UNITS);
  torture_check (mp_semaphore_get_value (semaphore) < N_UNITS || torture_broken != BROKEN_NOTHING,
                 "semaphore: has all of its units, and one is out");
  torture_count (&data->n_uses);
  torture_linger ();
  if (seat < N_UNITS)
    torture_try_leave (&data->seats[seat]);
  if (torture_broken != BROKEN_SECOND && !mp_semaphore_release (semaphore, &error))
    torture_violation ("semaphore release: %s", error->message);
  pause_alone ();
}

static const Acquirable semaphore_calls = {
  "semaphore", (gpointer *) &semaphore, BROKEN_SECOND, semaphore_use, (gpointer) mp_semaphore_try_acquire,
  (gpointer) mp_semaphore_acquire, (gpointer) mp_semaphore_acquire_async, (gpointer) mp_semaphore_acquire_finish,
};

static void
semaphore_step (void)
{
  step_acquirable (&semaphore_calls);
}

static void
semaphore_check (void)
{
  guint value = mp_semaphore_get_value (semaphore);

  torture_check (value <= N_UNITS, "semaphore: has %u units, of %u", value, N_UNITS);
}

static void
semaphore_finish (void)
{
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < N_UNITS; i++)
    if (!mp_semaphore_acquire (semaphore, G_USEC_PER_SEC, NULL, &error))
      {
        torture_violation ("semaphore: at the end there are %u units: %s", i, error->message);
        return;
      }
  torture_check (!mp_semaphore_try_acquire (semaphore), "semaphore: a unit too many at the end");
  for (guint i = 0; i < N_UNITS; i++)
    mp_semaphore_release (semaphore, NULL);
  torture_check (mp_semaphore_get_returns_units (semaphore), "semaphore: it is a signal at the end");
  g_clear_object (&semaphore);
}

static const char *const semaphore_points[] = {
  "sync-", "!sync-hint", "!sync-noticed", "holdings-", "!holdings-marked", "!holdings-unmarked", "cell-", NULL
};
static const char *const semaphore_variants[] = { "no-return", "no-unit", NULL };

const TorturePrimitive torture_semaphore = {
  "semaphore", semaphore_points, semaphore_variants, semaphore_setup, begin, semaphore_step, semaphore_check,
  semaphore_finish, figures,
};

/* Event: two set it and clear it, the others wait, without end. None is released without it. */

static void
event_setup (void)
{
  data = torture_alloc (sizeof *data);
  event = mp_event_new ();
}

static void
event_begin (void)
{
  int self = torture_get_child ();

  begin ();
  /* What the one before had begun is done, or will never be. */
  if (self < N_SETTERS)
    __atomic_store_n (&data->n_set_done[self], torture_look_at (&data->n_set_begun[self]), __ATOMIC_SEQ_CST);
}

static void
event_set (void)
{
  int self = torture_get_child ();
  g_autoptr(GError) error = NULL;

  torture_count (&data->n_set_begun[self]);
  if (torture_broken != BROKEN_FIRST && !mp_event_set (event, &error))
    torture_violation ("event set: %s", error->message);
  torture_count (&data->n_set_done[self]);
  torture_linger ();
  if (!mp_event_clear (event, NULL))
    torture_violation ("event clear: fails");
  /* No longer pause: the others have nothing but this to wake them. */
  torture_linger ();
}

static guint64
sum_sets (guint64 numbers[N_SETTERS])
{
  guint64 sum = 0;

  for (guint i = 0; i < N_SETTERS; i++)
    sum += torture_look_at (&numbers[i]);
  return sum;
}

/* How often it has been set, if it is not set, and nobody is about to; else G_MAXUINT64. */
static guint64
see_unset (void)
{
  guint64 done = sum_sets (data->n_set_done);

  if (sum_sets (data->n_set_begun) != done || mp_event_is_set (event) || torture_is_anybody_dying ())
    return G_MAXUINT64;
  return sum_sets (data->n_set_begun) == done ? done : G_MAXUINT64;
}

static void
event_released (guint64 before)
{
  torture_check (before == G_MAXUINT64 || sum_sets (data->n_set_begun) != before, "event: released, and nobody set it");
  torture_count (&data->n_uses);
}

typedef struct
{
  guint64       before;
  GCancellable *cancellable;   /* (owned) (nullable) */
} EventWait;

static void
event_waited_cb (GObject      *source_object,
                 GAsyncResult *result,
                 gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  EventWait *wait = user_data;

  n_pending--;
  n_completed++;
  if (mp_event_wait_finish (event, result, &error))
    {
      torture_count (&data->n_async);
      event_released (wait->before);
    }
  else
    {
      check_cancelled ("event wait_async", wait->cancellable, error);
    }
  g_clear_object (&wait->cancellable);
  g_free (wait);
}

static void
event_begin_async (void)
{
  g_autoptr(GCancellable) cancellable = make_cancellable ();
  EventWait *wait = g_new0 (EventWait, 1);

  n_pending++;
  wait->cancellable = cancellable != NULL ? g_object_ref (cancellable) : NULL;
  wait->before = see_unset ();
  mp_event_wait_async (event, cancellable, event_waited_cb, wait);
  cancel (cancellable);
}

static void
event_block (void)
{
  g_autoptr(GError) error = NULL;
  guint64 before = see_unset ();
  gint64 timeout_us = torture_random (8) == 0 ? (gint64) torture_random (300) : -1;

  if (mp_event_wait (event, timeout_us, NULL, &error))
    event_released (before);
  else if (timeout_us < 0 || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    torture_violation ("event wait: %s", error->message);
}

static void
event_step (void)
{
  if (torture_get_child () < N_SETTERS)
    event_set ();
  else
    step_by (event_block, event_begin_async);
}

static void
event_finish (void)
{
  g_autoptr(GError) error = NULL;

  torture_check (mp_event_set (event, NULL) && mp_event_is_set (event), "event: cannot be set at the end");
  torture_check (mp_event_wait (event, 0, NULL, &error), "event: set, and does not release");
  g_clear_object (&event);
}

static const char *const event_points[] = { "event-", "sync-", "!sync-hint", "!sync-noticed", NULL };
static const char *const event_variants[] = { "no-set", NULL };

const TorturePrimitive torture_event = {
  "event", event_points, event_variants, event_setup, event_begin, event_step, NULL, event_finish, figures,
  N_SETTERS,
};

/* RLock: two counters under it, which differ only when somebody died between them; had more than once by one. */

static void
rlock_setup (void)
{
  data = torture_alloc (sizeof *data);
  rlock = mp_rlock_new ();
}

static void
rlock_release (void)
{
  g_autoptr(GError) error = NULL;

  if (!mp_rlock_release (rlock, &error))
    torture_violation ("rlock release: %s", error->message);
}

static void
rlock_acquire_again (void)
{
  g_autoptr(GError) error = NULL;
  guint depth = mp_rlock_get_depth (rlock);

  if (!mp_rlock_acquire (rlock, 0, NULL, &error))
    torture_violation ("rlock acquire again: %s", error->message);
  torture_check (mp_rlock_get_depth (rlock) == depth + 1, "rlock: had %u times after %u", mp_rlock_get_depth (rlock),
                 depth);
}

static void
rlock_use (void)
{
  guint n = torture_random (3);
  TortureFound found = torture_enter (&data->witness, "rlock");

  for (guint i = 0; i < n && torture_broken == BROKEN_NOTHING; i++)
    rlock_acquire_again ();
  if (mp_rlock_is_abandoned (rlock))
    {
      data->n_told++;
      data->second = data->first;
      torture_check (torture_broken != BROKEN_NOTHING || mp_rlock_mark_consistent (rlock, NULL),
                     "rlock mark_consistent: fails");
    }
  else
    {
      torture_check (found != TORTURE_FOUND_DEAD, "rlock: its owner died, and this is not said");
    }
  torture_check (data->first == data->second, "rlock: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT, data->first,
                 data->second);
  data->first++;
  MP_TORTURE_POINT ("rlock-used-by-half");
  data->second++;
  torture_count (&data->n_uses);
  for (guint i = 0; i < n && torture_broken == BROKEN_NOTHING; i++)
    rlock_release ();
  torture_linger ();
  torture_leave (&data->witness, "rlock");
  if (torture_broken == BROKEN_NOTHING)
    rlock_release ();
  pause_alone ();
}

static const Acquirable rlock_calls = {
  "rlock", (gpointer *) &rlock, BROKEN_FIRST, rlock_use, (gpointer) mp_rlock_try_acquire,
  (gpointer) mp_rlock_acquire, (gpointer) mp_rlock_acquire_async, (gpointer) mp_rlock_acquire_finish,
};

static void
rlock_step (void)
{
  step_acquirable (&rlock_calls);
}

static void
rlock_finish (void)
{
  g_autoptr(GError) error = NULL;

  if (!mp_rlock_acquire (rlock, G_USEC_PER_SEC, NULL, &error))
    {
      torture_violation ("rlock: at the end: %s", error->message);
      return;
    }
  torture_check (data->first == data->second || mp_rlock_is_abandoned (rlock), "rlock: at the end a death is not said");
  torture_check (mp_rlock_get_depth (rlock) == 1, "rlock: at the end had %u times", mp_rlock_get_depth (rlock));
  rlock_release ();
  torture_check (!mp_rlock_is_locked (rlock), "rlock: locked after it was released");
  g_clear_object (&rlock);
}

static const char *const rlock_points[] = { "rlock-", "cell-", NULL };
static const char *const rlock_variants[] = { "no-lock", NULL };

const TorturePrimitive torture_rlock = {
  "rlock", rlock_points, rlock_variants, rlock_setup, begin, rlock_step, NULL, rlock_finish, figures,
};
