/* torture-condition.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/sync/mp-condition.h"
#include "mp-glib/sync/mp-lock.h"
#include "mp-glib/sync/mp-rlock.h"

/* MpCondition: two put things where there is room for few, the others wait for them and take one each. One notification
 * that is lost is one too many: nobody puts anything more when there is no room, and those who wait sleep on. */

#define N_MOVERS    2
#define ROOM        2
#define MAX_PENDING 2

enum { BROKEN_NOTHING, BROKEN_NO_NOTIFY, BROKEN_NO_LOCK };

typedef enum { BLOCKING, ASYNC, BOTH } Kind;

typedef struct
{
  TortureWitness witness;     /* who has the lock */
  guint64        n_items;
  guint64        n_put;
  guint64        n_taken;
  guint64        n_async;
  guint64        n_spurious;
  guint64        n_ended;     /* by a time or a cancellable */
  guint64        n_told;      /* abandoned locks */
} Data;

static Data        *data;
static MpCondition *condition;
static gboolean     has_rlock;

/* A child's own. */
static GMainContext *context;
static guint         n_pending;
static guint64       n_used;
static Kind          kind;

static void
condition_setup (void)
{
  g_autoptr(MpShareable) lock = NULL;

  has_rlock = torture_random (2) == 0;
  if (!has_rlock)
    lock = MP_SHAREABLE (mp_lock_new ());
  data = torture_alloc (sizeof *data);
  condition = mp_condition_new (lock);
}

static void
condition_begin (void)
{
  kind = (torture_get_child () + (torture_random (4) == 0)) % 3;
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
}

static gboolean
is_abandoned (void)
{
  MpShareable *lock = mp_condition_get_lock (condition);

  return has_rlock ? mp_rlock_is_abandoned ((MpRLock *) lock) : mp_lock_is_abandoned (MP_LOCK (lock));
}

static void
mark_consistent (void)
{
  MpShareable *lock = mp_condition_get_lock (condition);

  if (has_rlock ? mp_rlock_mark_consistent ((MpRLock *) lock, NULL) :
      mp_lock_mark_consistent (MP_LOCK (lock), NULL))
    return;
  torture_violation ("condition: its lock cannot be marked consistent");
}

/* After the lock was had, in any way. */
static void
enter (void)
{
  TortureFound found = torture_enter (&data->witness, "condition");
  g_autoptr(GError) error = NULL;

  if (!is_abandoned ())
    {
      torture_check (found != TORTURE_FOUND_DEAD || torture_broken != BROKEN_NOTHING,
                     "condition: the owner of its lock died, and this is not said");
      return;
    }
  torture_count (&data->n_told);
  if (torture_broken == BROKEN_NO_LOCK)
    return;
  if (!mp_condition_notify_all (condition, &error))
    torture_violation ("condition notify_all: %s", error->message);
  mark_consistent ();
}

static void
leave (void)
{
  torture_leave (&data->witness, "condition");
}

static void
release (void)
{
  g_autoptr(GError) error = NULL;

  leave ();
  if (torture_broken != BROKEN_NO_LOCK && !mp_condition_release (condition, &error))
    torture_violation ("condition release: %s", error->message);
}

static void
acquire (void)
{
  g_autoptr(GError) error = NULL;

  if (torture_broken != BROKEN_NO_LOCK && !mp_condition_acquire (condition, -1, NULL, &error))
    torture_violation ("condition acquire: %s", error->message);
  enter ();
}

static void
put (void)
{
  g_autoptr(GError) error = NULL;
  gboolean had_room = FALSE;

  acquire ();
  had_room = data->n_items < ROOM;
  if (had_room)
    {
      data->n_items++;
      MP_TORTURE_POINT ("condition-put");
      torture_count (&data->n_put);
      if (torture_broken == BROKEN_NOTHING &&
          !(torture_random (8) == 0 ? mp_condition_notify_all (condition, &error) :
            mp_condition_notify (condition, 1, &error)))
        torture_violation ("condition notify: %s", error->message);
    }
  torture_linger ();
  release ();
  if (had_room)
    torture_pause ();
  else
    g_usleep (50);
}

/* With the lock. */
static gboolean
take (void)
{
  if (data->n_items == 0)
    return FALSE;

  torture_check (data->n_items <= ROOM, "condition: %" G_GUINT64_FORMAT " items", data->n_items);
  data->n_items--;
  MP_TORTURE_POINT ("condition-taken");
  torture_count (&data->n_taken);
  n_used++;
  return TRUE;
}

static void
check_ended (const char   *what,
             gboolean      may_time_out,
             GCancellable *cancellable,
             const GError *error)
{
  torture_check ((may_time_out && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) ||
                 (cancellable != NULL && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)), "%s: %s", what,
                 error->message);
  torture_count (&data->n_ended);
}

static void
waited_cb (GObject      *source_object,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr(GCancellable) cancellable = user_data;
  g_autoptr(GError) error = NULL;
  gboolean released = mp_condition_wait_finish (condition, result, &error);

  enter ();
  n_pending--;
  if (!released)
    check_ended ("condition wait_async", FALSE, cancellable, error);
  else if (take ())
    torture_count (&data->n_async);
  else
    torture_count (&data->n_spurious);
  release ();
}

/* With the lock, which is given up. */
static void
begin_async (void)
{
  g_autoptr(GCancellable) cancellable = torture_random (8) == 0 ? g_cancellable_new () : NULL;

  n_pending++;
  leave ();
  mp_condition_wait_async (condition, cancellable, waited_cb, cancellable != NULL ? g_object_ref (cancellable) : NULL);
  if (cancellable == NULL)
    return;
  if (torture_random (2) == 0)
    g_usleep (torture_random (200));
  g_cancellable_cancel (cancellable);
}

static void
block (void)
{
  gint64 timeout_us = torture_random (8) == 0 ? (gint64) torture_random (300) : -1;
  g_autoptr(GError) error = NULL;
  gboolean released = FALSE;

  leave ();
  released = mp_condition_wait (condition, timeout_us, NULL, &error);
  enter ();
  if (!released)
    check_ended ("condition wait", timeout_us >= 0, NULL, error);
}

static void
take_one (void)
{
  guint64 before = n_used;

  acquire ();
  while (n_used == before && !take ())
    {
      if (kind == ASYNC || (kind == BOTH && n_pending < MAX_PENDING))
        {
          begin_async ();
          while (kind == ASYNC && n_pending > 0)
            g_main_context_iteration (context, TRUE);
          acquire ();
        }
      if (kind != ASYNC && n_used == before && data->n_items == 0)
        block ();
    }
  torture_linger ();
  release ();
  while (kind == BOTH && g_main_context_iteration (context, FALSE))
    ;
  if (n_pending == 0)
    torture_pause ();
}

static void
condition_step (void)
{
  if (torture_broken == BROKEN_NO_LOCK || torture_get_child () < N_MOVERS)
    put ();
  else
    take_one ();
}

static void
condition_finish (void)
{
  g_autoptr(GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  if (!mp_condition_acquire (condition, G_USEC_PER_SEC, NULL, &error))
    {
      torture_violation ("condition: at the end: %s", error->message);
      return;
    }
  torture_check (data->n_items <= ROOM, "condition: at the end %" G_GUINT64_FORMAT " items", data->n_items);
  torture_check (!mp_condition_wait (condition, 0, NULL, &error) || torture_count_deaths () > 0,
                 "condition: at the end a notification is there");
  torture_check (mp_condition_get_n_waiting (condition) == 0, "condition: at the end %u wait",
                 mp_condition_get_n_waiting (condition));
  torture_check (mp_condition_notify_all (condition, NULL) && mp_condition_release (condition, NULL) &&
                 !mp_condition_release (condition, NULL), "condition: its lock is not as it was");
  torture_check (g_get_monotonic_time () - begin < G_USEC_PER_SEC, "condition: at the end nobody is there, and it waits");
  g_clear_object (&condition);
}

static void
condition_figures (GString *line)
{
  g_string_append_printf (line, "%s, %" G_GUINT64_FORMAT " put, %" G_GUINT64_FORMAT " taken, %" G_GUINT64_FORMAT
                          " by callbacks, %" G_GUINT64_FORMAT " in vain, %" G_GUINT64_FORMAT " ended; ",
                          has_rlock ? "rlock" : "lock", data->n_put, data->n_taken, data->n_async, data->n_spurious, data->n_ended);
}

static const char *const condition_points[] = {
  "condition-", "sync-", "!sync-hint", "!sync-noticed", "holdings-", "!holdings-marked", "!holdings-unmarked", "cell-",
  NULL
};
static const char *const condition_variants[] = { "no-notify", "no-lock", NULL };

const TorturePrimitive torture_condition = {
  "condition", condition_points, condition_variants, condition_setup, condition_begin, condition_step, NULL,
  condition_finish, condition_figures, N_MOVERS,
};
