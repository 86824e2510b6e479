/* mp-pool-inline.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-local-private.h"

#include <signal.h>

#include "mp-glib/process/mp-process.h"

/* Workers that are made up: their tasks run in the caller, one at a time, by posts to the pool's context, and so in its
 * blocking calls and its main loop. What may happen in a pool happens here in an order that a seed decides: who is ready
 * when, whose task begins first and how late, and who dies. Time is counted, not looked at: an event has its place by that
 * count, and waits for the clock only when it was delayed. */

/* How often a blocking call turns the main context for asynchronous functions that have not answered. */
#define TURN_US 1000

/* Of the counted time in a microsecond. Within one the order is decided by chance. */
#define TICKS 1000

typedef enum
{
  EVENT_NONE,
  EVENT_START,
  EVENT_TASK,
  EVENT_END,
} EventKind;

typedef enum
{
  DEATH_NONE,
  DEATH_BEFORE,   /* before the call */
  DEATH_AFTER,    /* after it: nobody hears of its result */
} Death;

/* What is behind a worker; lives on while a call of it does. All under the hub's lock but for the call itself. */
typedef struct
{
  int               ref_count;  /* one is its worker's, one that of a call */
  MpPoolWorker     *worker;     /* (nullable): NULL when it is not told of anything any more */
  MpInline         *owner;      /* (nullable): likewise */
  MpPoolCore       *core;       /* (owned) while a call lasts, else not */
  char             *name;       /* (owned) */
  MpInvocationHost  host;
  MpBoard           board;
  MpLocalRun       *run;        /* (owned) */
  MpLocalTask      *task;       /* (owned) (nullable) */
  Death             death;      /* of the task */
  gboolean          busy;       /* in the call */
  gboolean          later;      /* … which has returned, and will answer */
  gboolean          dead;       /* … of which it died */
  gboolean          end;        /* told to end when it has answered all */

  /* What is going to happen to it. */
  EventKind         event;
  guint64           due;        /* in counted time */
  gint64            clock_due;  /* in g_get_monotonic_time() terms; 0: at once */
  GSequenceIter    *place;
} Seat;

struct _MpInline
{
  MpPoolCore *core;
  guint64     random;
  double      death_rate;
  guint64     max_delay_us;
  guint64     now;          /* counted */
  GSequence  *events;       /* (element-type Seat) by due */
  MpTimer    *timer;
  guint       n_later;      /* calls that will answer */
  MpTimer    *turn_timer;   /* while there are some */
  gboolean    posted;       /* a step is under way */
  gboolean    yields;       /* it lets others go first: callbacks that are due come before another task runs */
};

typedef struct
{
  MpPoolWorker  worker;
  Seat         *seat;       /* (owned) */
} MpInlineWorker;

static Seat *
seat_of (MpPoolWorker *worker)
{
  return ((MpInlineWorker *) worker)->seat;
}

static void
seat_unref (Seat *self)
{
  if (--self->ref_count > 0)
    return;
  mp_local_run_unref (self->run);
  g_free (self->name);
  g_free (self);
}

/* SplitMix64 (Steele, Lea and Flood 2014): the same numbers wherever it runs. */
static guint64
next_random (MpInline *self)
{
  guint64 z = self->random += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* 0 to 1, without 1. */
static double
next_fraction (MpInline *self)
{
  return (next_random (self) >> 11) * 0x1p-53;
}

/* Events. */

static int
compare_seats (gconstpointer a,
               gconstpointer b,
               gpointer      user_data)
{
  const Seat *first = a, *second = b;

  return first->due < second->due ? -1 : first->due > second->due;
}

static void step (gpointer data);

static void
release_core (gpointer data)
{
  mp_pool_core_unref (data);
}

static void
post (MpInline *self,
      gboolean  yields)
{
  self->posted = TRUE;
  self->yields = yields;
  mp_hub_post (self->core->context, self->core, step, mp_pool_core_ref (self->core), release_core);
}

static void
timer_cb (gpointer data)
{
  MpInline *self = data;

  self->timer = NULL;
  if (!self->posted)
    post (self, TRUE);
}

/* Sees to it that the first event comes when it is due. */
static void
arrange (MpInline *self)
{
  GSequenceIter *first = g_sequence_get_begin_iter (self->events);
  Seat *seat = NULL;

  g_clear_pointer (&self->timer, mp_hub_remove_timer);
  if (self->posted || g_sequence_iter_is_end (first))
    return;
  seat = g_sequence_get (first);
  if (seat->clock_due > g_get_monotonic_time ())
    self->timer = mp_hub_add_timer (seat->clock_due, timer_cb, self);
  else
    post (self, TRUE);
}

static void
remove_event (Seat *seat)
{
  if (seat->event == EVENT_NONE)
    return;
  seat->event = EVENT_NONE;
  g_sequence_remove (g_steal_pointer (&seat->place));
}

static void
add_event (Seat      *seat,
           EventKind  kind,
           guint64    delay_us)
{
  MpInline *self = seat->owner;

  remove_event (seat);
  seat->event = kind;
  seat->due = self->now + delay_us * TICKS + next_random (self) % TICKS;
  seat->clock_due = delay_us > 0 ? g_get_monotonic_time () + (gint64) delay_us : 0;
  seat->place = g_sequence_insert_sorted (self->events, seat, compare_seats, NULL);
  arrange (self);
}

static void
die (Seat *seat)
{
  seat->dead = TRUE;
  add_event (seat, EVENT_END, 0);
}

static void forget_later (Seat *seat);

static void
done_cb (const MpResultLead *lead,
         MpAnswer           *answer,
         gpointer            data)
{
  Seat *seat = data;
  MpPoolCore *core = g_steal_pointer (&seat->core);
  MpLocalTask *task = NULL;

  mp_hub_lock ();
  seat->busy = FALSE;
  forget_later (seat);
  task = g_steal_pointer (&seat->task);
  if (seat->worker != NULL && seat->death == DEATH_AFTER)
    {
      die (seat);
      mp_local_answered (NULL, task, lead, answer);
    }
  else
    {
      mp_local_answered (seat->worker, task, lead, answer);
      if (seat->worker != NULL && seat->end && seat->task == NULL && !seat->dead)
        add_event (seat, EVENT_END, 0);
    }
  seat_unref (seat);
  mp_hub_changed ();
  mp_hub_unlock ();
  mp_pool_core_unref (core);
}

static void
report_cb (double    fraction,
           GVariant *value,
           gpointer  data)
{
  Seat *seat = data;
  g_autoptr(GVariant) copy = mp_local_copy_report (value);

  mp_hub_lock ();
  if (seat->worker != NULL && seat->task != NULL)
    {
      MpProgressLead lead = { seat->task->lead.seq, fraction };

      mp_pool_worker_report (seat->worker, &lead, copy);
      mp_hub_changed ();
    }
  mp_hub_unlock ();
}

static void turn_later (MpInline *self);

/* Unlocked. What is needed for an answer may be on the context that nobody else turns while a call blocks. */
static void
turn (gpointer data)
{
  MpPoolCore *core = data;

  if (mp_hub_is_waiting ())
    while (g_main_context_iteration (core->context, FALSE))
      ;
  mp_hub_lock ();
  turn_later (core->inline_state);
  mp_hub_unlock ();
}

static void
turn_timer_cb (gpointer data)
{
  MpInline *self = data;

  self->turn_timer = NULL;
  mp_hub_post (self->core->context, self->core, turn, mp_pool_core_ref (self->core), release_core);
}

static void
turn_later (MpInline *self)
{
  if (self->turn_timer == NULL && self->n_later > 0)
    self->turn_timer = mp_hub_add_timer (g_get_monotonic_time () + TURN_US, turn_timer_cb, self);
}

/* It is told to nobody any more, or has answered. */
static void
forget_later (Seat *seat)
{
  MpInline *self = seat->owner;

  if (!seat->later)
    return;
  seat->later = FALSE;
  self->n_later--;
  if (self->n_later == 0)
    g_clear_pointer (&self->turn_timer, mp_hub_remove_timer);
}

/* A task's turn. With the lock, which is released for the call. */
static void
run_task (MpInline *self,
          Seat     *seat)
{
  MpResultLead lead = { seat->task->lead.seq, MP_RESULT_NOT_RUN };
  MpAnswer answer = { NULL };

  if (!mp_local_begin (&seat->board, lead.seq))
    {
      mp_local_answered (seat->worker, g_steal_pointer (&seat->task), &lead, &answer);
      return;
    }
  if (seat->death == DEATH_BEFORE)
    {
      mp_local_task_free (g_steal_pointer (&seat->task));
      die (seat);
      return;
    }

  seat->busy = TRUE;
  seat->core = mp_pool_core_ref (self->core);
  seat->ref_count += 2;
  /* A blocking call within the function may wait for others. */
  arrange (self);
  mp_hub_unlock ();

  mp_local_run_task (seat->run, seat->task, done_cb, report_cb, seat);

  mp_hub_lock ();
  if (seat->busy && seat->owner != NULL)
    {
      seat->later = TRUE;
      self->n_later++;
      turn_later (self);
    }
  seat_unref (seat);
}

static void
take_event (MpInline *self,
            Seat     *seat)
{
  EventKind kind = seat->event;

  self->now = MAX (self->now, seat->due);
  remove_event (seat);
  switch (kind)
    {
    case EVENT_START:
      mp_pool_worker_started (seat->worker, 0);
      mp_pool_worker_ready (seat->worker);
      break;
    case EVENT_END:
      mp_pool_worker_ended (seat->worker, NULL);
      break;
    default:
      run_task (self, seat);
    }
}

/* Unlocked. */
static void
step (gpointer data)
{
  MpPoolCore *core = data;
  MpInline *self = core->inline_state;
  GSequenceIter *first = NULL;
  Seat *seat = NULL;

  mp_hub_lock ();
  first = g_sequence_get_begin_iter (self->events);
  if (!g_sequence_iter_is_end (first))
    seat = g_sequence_get (first);
  if (seat != NULL && self->yields)
    {
      post (self, FALSE);
      mp_hub_unlock ();
      return;
    }

  self->posted = FALSE;
  if (seat != NULL && seat->clock_due <= g_get_monotonic_time ())
    take_event (self, seat);
  arrange (self);
  mp_hub_changed ();
  mp_hub_unlock ();
  /* A blocking call that this was waited for in returns when its callbacks have been called. */
  if (mp_hub_is_waiting ())
    mp_hub_run_due (core);
}

/* The worker. */

static MpPoolWorker *
inline_start (MpPoolCore  *core,
              guint        number,
              GError     **error)
{
  MpInlineWorker *self = g_new0 (MpInlineWorker, 1);
  Seat *seat = self->seat = g_new0 (Seat, 1);

  mp_pool_worker_init (&self->worker, &mp_pool_inline_ops, core, number);
  self->worker.window = 1;
  self->worker.board = &seat->board;
  seat->ref_count = 1;
  seat->worker = &self->worker;
  seat->owner = core->inline_state;
  seat->name = g_strdup_printf ("Worker-%u", self->worker.serial);
  seat->host = (MpInvocationHost) { (int) number, seat->name, &seat->board, core->context };
  seat->run = mp_local_run_new (&seat->host);
  add_event (seat, EVENT_START, 0);

  return &self->worker;
}

static gboolean
inline_send (MpPoolWorker      *worker,
             const MpUnit      *unit,
             const MpTaskLead  *lead,
             GError           **error)
{
  Seat *seat = seat_of (worker);
  MpInline *self = seat->owner;
  guint64 delay_us = 0;

  g_assert (seat->task == NULL);
  seat->task = mp_local_task_new (worker->core, unit, lead);
  if (self->max_delay_us > 0)
    delay_us = next_fraction (self) * (self->max_delay_us + 1.0);
  seat->death = DEATH_NONE;
  if ((lead->flags & MP_TASK_INITIALIZER) == 0 && self->death_rate > 0 && next_fraction (self) < self->death_rate)
    seat->death = next_random (self) % 2 == 0 ? DEATH_BEFORE : DEATH_AFTER;
  add_event (seat, EVENT_TASK, delay_us);

  return TRUE;
}

static void
inline_flush (MpPoolWorker *worker)
{
}

static void
inline_tell_end (MpPoolWorker *worker)
{
  Seat *seat = seat_of (worker);

  seat->end = TRUE;
  if (seat->task == NULL)
    add_event (seat, EVENT_END, 0);
}

static void
drop_task (Seat *seat)
{
  if (seat->task != NULL && !seat->busy)
    mp_local_task_free (g_steal_pointer (&seat->task));
}

/* A call that runs cannot be ended: nobody hears of what it gives. */
static void
inline_end (MpPoolWorker *worker,
            gint64        grace_us)
{
  Seat *seat = seat_of (worker);

  if (seat->worker == NULL)
    return;
  drop_task (seat);
  seat->end = TRUE;
  add_event (seat, EVENT_END, 0);
}

static void
inline_drop_unsent (MpPoolWorker *worker)
{
}

static void
inline_forget (MpPoolWorker *worker)
{
  Seat *seat = seat_of (worker);

  if (seat->worker == NULL)
    return;
  remove_event (seat);
  arrange (seat->owner);
  drop_task (seat);
  forget_later (seat);
  seat->worker = NULL;
  seat->owner = NULL;
}

static void
inline_free (MpPoolWorker *worker)
{
  seat_unref (seat_of (worker));
  g_free (worker);
}

static int
inline_get_exit_status (MpPoolWorker *worker)
{
  return seat_of (worker)->dead ? -SIGKILL : 0;
}

static char *
inline_describe_end (MpPoolWorker *worker)
{
  Seat *seat = seat_of (worker);

  if (!seat->dead)
    return g_strdup ("ended");
  return g_strdup_printf ("was killed %s the call, as inline-death-rate asks for,",
                          seat->death == DEATH_BEFORE ? "before" : "after");
}

static GVariant *
inline_dup_details (MpPoolWorker *worker)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "worker", "s", seat_of (worker)->name);
  if (seat_of (worker)->dead)
    {
      g_variant_dict_insert (&dict, "exit-status", "i", -SIGKILL);
      g_variant_dict_insert (&dict, "signal", "i", SIGKILL);
    }

  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

const MpPoolWorkerOps mp_pool_inline_ops =
{
  .start = inline_start,
  .send = inline_send,
  .flush = inline_flush,
  .tell_end = inline_tell_end,
  .end = inline_end,
  .drop_unsent = inline_drop_unsent,
  .forget = inline_forget,
  .free = inline_free,
  .get_exit_status = inline_get_exit_status,
  .describe_end = inline_describe_end,
  .dup_details = inline_dup_details,
};

MpInline *
mp_inline_new (MpPoolCore *core,
               guint64     seed,
               double      death_rate,
               guint64     max_delay_us)
{
  MpInline *self = g_new0 (MpInline, 1);

  self->core = core;
  self->random = seed;
  self->death_rate = death_rate;
  self->max_delay_us = max_delay_us;
  self->events = g_sequence_new (NULL);

  return self;
}

void
mp_inline_free (MpInline *self)
{
  g_assert (self->timer == NULL);
  g_sequence_free (self->events);
  g_free (self);
}
