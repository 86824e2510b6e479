/* mp-pool-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-home-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-spin-private.h"
#include "mp-glib/pool/mp-items.h"
#include "mp-glib/pool/mp-pool-room-private.h"
#include "mp-glib/pool/mp-pool-backend-private.h"
#include "mp-glib/pool/mp-pool.h"
#include "mp-glib/pool/mp-pool-size-private.h"
#include "mp-glib/process/mp-protocol-private.h"

G_BEGIN_DECLS

/* A pool without its GObject: plain structs under the hub's lock.
 *
 * MpPoolCore has jobs and workers. A job is one call of the user's: apply, map, imap. It is sent in units, one for an
 * apply, one for each chunk of a map; units of a map are cut when they are sent, so that a million tasks cost nothing
 * while they wait. A unit sits in the flight of the worker that has it, and goes to the core's `returned` when that
 * worker turns out not to have begun it.
 *
 * What is marked (unlocked) below is called without the hub's lock, everything else with it. */

typedef struct _MpPoolCore MpPoolCore;
typedef struct _MpPoolWorker MpPoolWorker;
typedef struct _MpPoolWorkerOps MpPoolWorkerOps;   /* mp-pool-worker-private.h */
typedef struct _MpJob MpJob;
typedef struct _MpMap MpMap;
typedef struct _MpImap MpImap;
typedef struct _MpFeed MpFeed;
typedef struct _MpInline MpInline;
typedef struct _MpJobControl MpJobControl;
typedef struct _MpTally MpTally;
typedef struct _MpJobWatch MpJobWatch;
typedef struct _MpTeller MpTeller;

/* In flight to one worker: enough to keep it busy while its owner sleeps, little enough to give fair shares. */
#define MP_POOL_WINDOW        512
#define MP_POOL_RING_SIZE     (128 * 1024)
#define MP_POOL_WINDOW_BYTES  (64 * 1024)
/* One unit behind the running one may be larger, so that a worker with large chunks need not wait for its owner. */
#define MP_POOL_AHEAD_BYTES   (1024 * 1024)
/* After SIGTERM. */
#define MP_POOL_GRACE_US      (200 * 1000)

typedef struct
{
  MpJob   *job;     /* counted in job->n_out; NULL: was taken back */
  guint64  chunk;
  guint64  size;    /* bytes, about */
  gint64   sent_us; /* when it went to the worker that has it, in g_get_monotonic_time() terms */
  gint64   cost_ns; /* what it will take, about */
  guint16  attempt; /* how often it has begun and come to nothing, … */
  guint16  killed;  /* … and how many workers died of that */
} MpUnit;

/* How a unit ended. Everything is owned. */
typedef struct
{
  GVariant *value;      /* (nullable) */
  GError   *error;      /* (nullable) */
  GVariant *details;    /* (nullable) */
  gboolean  wrapped;    /* each item of value is in a variant because their types differ */
  gboolean  per_item;   /* value is a(bv): MP_RESULT_PER_ITEM */
  gboolean  died;       /* its worker did, while it ran */
  gboolean  plain;      /* it is known that no objects came in value */
} MpAnswer;

typedef enum
{
  MP_JOB_CALL,
  MP_JOB_MAP,
  MP_JOB_IMAP,
  MP_JOB_IMAP_UNORDERED,
} MpJobKind;

struct _MpJob
{
  int          ref_count;    /* atomic; the core holds one until the job is done and none of its units is out */
  guint8       kind;         /* MpJobKind */
  guint8       done;         /* its end is decided; result, error and details are never changed again */
  guint8       active;       /* in the core's list */
  guint8       queued;       /* in the core's queue: some unit of it may be sent */
  guint8       submitting;   /* its caller is just handing it over, and has not begun to wait */
  guint8       counted;      /* some unit of it has been, mp-pool-tally-private.h */
  guint8       brief;        /* its caller sits in a blocking call, and frees the arguments when that is over */
  gint32       priority;     /* higher ones first */
  guint32      function;     /* number in the core's table */
  guint32      n_out;        /* units at workers, in `returned` or being decoded */
  guint64      n_left;       /* units that have not ended, as mp-pool-tally-private.h counts them */
  guint64      n_expected;   /* those that it is going to be asked for, as far as that is known */
  double       reported;     /* by a call, how much of it is done */
  guint64      list_number;  /* in the list of tasks; 0: was never listed */
  gsize        n_ready;      /* units that may be sent now */
  guint64      size;         /* bytes of a unit, about */
  MpPoolCore  *core;         /* (owned) */
  MpHome       home;         /* where the call was made: what it was given is freed there */
  gint64       submitted_us; /* in g_get_monotonic_time() terms */
  MpJob       *prev, *next;  /* in the core's list, in order of submission */
  MpJob       *queue_prev, *queue_next;
  GVariant    *value;        /* (owned) (nullable): arguments or items; until the job is released */
  MpEncoded   *encoded;      /* (owned) (nullable): a call whose arguments hold objects */
  MpMap       *map;          /* (owned) (nullable) */
  MpImap      *imap;         /* (owned) (nullable) */
  MpFeed      *feed;         /* (nullable) the map's: its items come one by one */
  MpJobControl *control;     /* (owned) (nullable): what it was told, see mp-pool-control-private.h */
  GVariant    *result;       /* (owned) (nullable) */
  GError      *error;        /* (owned) (nullable) */
  GVariant    *details;      /* (owned) (nullable) */
  GSList      *waiters;      /* (element-type MpWaiter) */
  MpFuture    *future;       /* (owned) (nullable): until it has told of the end; here it is only kept */
  MpJob       *next_ended;   /* of those whose futures have to tell */
  gboolean     withheld;     /* nobody was given its future yet, so nobody could listen to it */
  gboolean     untold;       /* it has ended meanwhile */
  MpJobWatch  *watches;      /* who else is told of the end, see mp-future-private.h */
  gint64       busy_until;   /* of a call at a time: its caller looks for an answer in the ring … */
  guint        busy_worker;  /* … of this worker, … */
  guint        busy_serial;  /* … if it is still this one; 0: it does not */
};

/* Somebody who has called an asynchronous function: kept in the list that he waits in, then in the post. */
typedef struct _MpWaiter MpWaiter;
typedef void (* MpWaiterReturn) (MpWaiter *waiter);   /* (unlocked) gives the task its result */

struct _MpWaiter
{
  int                  ref_count;   /* atomic */
  gboolean             waiting;     /* under the lock: in a list */
  gboolean             called_off;  /* under the lock: its cancellable was faster than the result */
  gboolean             abandons;    /* to call the wait off is to call the job off */
  MpPoolCore          *core;        /* (owned) */
  MpJob               *job;         /* (owned) (nullable): NULL waits for the core's end */
  GTask               *task;        /* (owned) */
  GAsyncReadyCallback  callback;
  gpointer             user_data;
  MpWaiterReturn       give;
  MpAnswer             answer;      /* (owned) an iterator's item, taken for this waiter */
  GMainContext        *context;     /* (owned) the hub's reference to the task's */
  gulong               handler;     /* on the task's cancellable */
};

/* Some or all of a chunk's results, between the workers and the iterator. */
typedef struct
{
  MpAnswer answer;     /* (owned) */
  guint64  first;      /* number of the item that the chunk begins with */
  gsize    n_items;
  gsize    position;   /* the next in it */
} MpOutcome;

/* Results for an iterator's reader, many at once. */
typedef struct
{
  gsize      max_items;
  gsize      n_items;
  GPtrArray *outcomes;   /* (owned) (element-type MpOutcome) those from position to n_items */
  MpAnswer   end;        /* (owned) when there are no items: why */
} MpBatch;

typedef enum
{
  MP_WORKER_STARTING,
  MP_WORKER_INITIALIZING,
  MP_WORKER_READY,
  MP_WORKER_ENDING,      /* told to end, or cut off: gets nothing more */
} MpPoolWorkerState;

struct _MpPoolWorker
{
  const MpPoolWorkerOps *ops;   /* what kind it is */
  MpPoolCore    *core;          /* (not owned): the core drops its workers before it goes */
  guint          number;
  guint          serial;
  int            pid;           /* 0: not known yet, or it is none */
  MpPoolWorkerState state;
  const char    *reason;        /* (nullable) static: why it will end */
  GError        *cut_off;       /* (owned) (nullable): what it did to be cut off */
  GError        *start_error;   /* (owned) (nullable): why it never was ready for work */
  GVariant      *start_details; /* (owned) (nullable) */
  gboolean       announced;     /* worker-started has been emitted, or will be */
  gboolean       initializing;  /* the one unit in flight is the initializer */
  MpBoard       *board;
  MpUnit         flight[MP_POOL_WINDOW];   /* a ring */
  guint          first, n_flight;
  guint          window;        /* most of them */
  guint          n_revoked;     /* of those in flight, taken back and not yet answered */
  guint64        first_seq;     /* number of the first in flight; first_seq + n_flight is the next to be given */
  gsize          flight_bytes;
  guint64        stopping;      /* number of the one that runs and is not wanted any more (its job is NULL); 0: none */
  MpTimer       *stop_timer;    /* how long that may go on */
  MpTimer       *run_timer;     /* the next look at whether what runs has had its time, … */
  gint64         run_look;      /* … and when that is due */
  guint          n_left;        /* tasks until it is replaced; G_MAXUINT: no bound */
  guint64        n_answered;
  guint64        n_seen;        /* n_answered when the balance timer last looked */
  gint64         ready_time;
  gint64         start_time;    /* in g_get_monotonic_time() terms */
  guint64        busy_us;       /* for which it ran tasks that have ended */
  MpWorkerSize   size;
  gint64         flight_ns;     /* what the flight takes, about */
  guint64        n_relieved;    /* n_answered when it was last looked at by those who have tasks that wait */
  guint64        n_heard;       /* n_answered when the pace timer last looked */
  gboolean       quiet;         /* it need not tell of each answer */
  gboolean       dirty;         /* frames are queued and not flushed */
};

typedef enum
{
  MP_POOL_OPEN,
  MP_POOL_CLOSED,
  MP_POOL_TERMINATED,
} MpPoolState;

typedef struct
{
  GArray   *functions;     /* (owned) (element-type gint64) ns of an item, by number of the function; 0: not known */
  MpTimer  *timer;         /* (nullable) while workers are quiet */
  gint64    relieve_due;
  guint     n_submitted;
} MpPoolPace;

struct _MpPoolCore
{
  int            ref_count;       /* atomic */
  guint          generation;      /* of forks: whose pool this is */
  GMainContext  *context;         /* (owned) the hub's reference: where signals are emitted */
  GWeakRef       pool;            /* (unlocked) */
  guint          n_workers;       /* places: as many as there ever were to be */
  MpPoolSize     size;
  guint          tasks_per_worker;
  const MpPoolWorkerOps *worker_ops;   /* what its workers are */
  gboolean       is_local;        /* they are in this process: values need not be encoded */
  MpPoolBackend  backend;
  MpInline      *inline_state;    /* (owned) (nullable) mp-pool-inline.c */
  MpContext     *mp_context;      /* borrowed from the pool, NULL once that is gone */
  MpPoolState    state;
  GError        *failure;         /* (owned) (nullable): why this pool can do nothing any more */
  GVariant      *failure_details; /* (owned) (nullable) */
  gboolean       ever_ready;
  MpPoolWorker **workers;         /* n_workers of them, NULL where there is none */
  guint          n_live;
  guint          serial;          /* of the next worker's name */
  MpJob         *first_job, *last_job;
  MpJob         *first_queued;    /* the most urgent one */
  GArray        *levels;          /* (owned) of the queue, see mp-pool-queue.c */
  gboolean       has_priorities;  /* not all jobs have had the same */
  gint64         cancel_grace_us, terminate_grace_us;   /* see mp-pool-control-private.h */
  GQueue         returned;        /* (element-type MpUnit), g_slice: to be sent before anything else */
  gsize          n_pending;       /* units that may be sent now, those returned included */
  GHashTable    *functions;       /* name → number */
  GPtrArray     *function_names;
  guint32        last_function;   /* number of the one called last */
  MpJob         *init;            /* (owned) (nullable): the initializer's arguments */
  guint          n_hard;          /* starts that failed one after another: on their own, … */
  guint          n_soft;          /* … or killed from outside, or died idle before they did anything */
  guint          n_tried;         /* times without descriptors or memory, one after another */
  MpTimer       *balance_timer, *restart_timer;
  MpPoolPace     pace;
  MpSpin         spin;            /* of those who make one call at a time */
  gint64         looked_around;   /* when one of them saw to the rest */
  GSList        *join_waiters;    /* (element-type MpWaiter) */
  MpTally       *tally;           /* (owned) */
  MpPoolRoom     room;
  MpTeller      *tellers;         /* (owned) (nullable): who tells futures of their ends, for each context one */
};

/* mp-pool-calls.c: a call that has not been submitted; takes @args. */
MpJob      *mp_pool_make_call        (MpPoolCore          *core,
                                      const char          *function,
                                      GVariant            *args,
                                      GError             **error);                /* (unlocked) */

/* mp-pool-core.c */
MpPoolCore *mp_pool_core_new         (MpPool              *pool);                 /* (unlocked) */
void        mp_pool_core_start       (MpPoolCore          *self,
                                      guint                tasks_per_worker,
                                      MpContext           *context,
                                      const char          *initializer,
                                      GVariant            *args);                 /* (unlocked) */
void        mp_pool_core_orphan      (MpPoolCore          *self);                 /* (unlocked) the pool is gone */
MpPoolCore *mp_pool_core_ref         (MpPoolCore          *self);
void        mp_pool_core_unref       (MpPoolCore          *self);                 /* (unlocked) */
gboolean    mp_pool_core_is_ours     (MpPoolCore          *self,
                                      GError             **error);
/* The job goes into the queue. FALSE with the reason when the pool takes nothing any more. */
gboolean    mp_pool_core_submit      (MpPoolCore          *self,
                                      MpJob               *job,
                                      const char          *function,
                                      GError             **error);
void        mp_pool_core_close       (MpPoolCore          *self);
void        mp_pool_core_terminate   (MpPoolCore          *self);
gboolean    mp_pool_core_is_over     (gpointer             data);
guint32     mp_pool_core_number_function (MpPoolCore      *self,
                                      const char          *name);
const char *mp_pool_core_name_of     (MpPoolCore          *self,
                                      guint32              function);             /* for messages */

/* mp-pool-queue.c: what waits to be sent, the more urgent first, those of one priority as they came: jobs, of which units are
 * cut when their turn comes, and units that came back. */
GArray     *mp_pool_levels_new       (void);
void        mp_pool_core_enqueue     (MpPoolCore          *self,
                                      MpJob               *job,
                                      gsize                n_units);
void        mp_pool_core_dequeue     (MpPoolCore          *self,
                                      MpJob               *job);
/* A unit that was sent and has not begun, or is to begin anew: before the others of its priority. */
void        mp_pool_core_give_back   (MpPoolCore          *self,
                                      const MpUnit        *unit);
/* The units of @job that came back are not wanted any more. */
void        mp_pool_core_drop_returned (MpPoolCore        *self,
                                      MpJob               *job);
/* The unit that is next, not yet cut; FALSE: there is none. */
gboolean    mp_pool_core_peek_unit   (MpPoolCore          *self,
                                      MpUnit              *unit);
void        mp_pool_core_take_unit   (MpPoolCore          *self,
                                      MpUnit              *unit);
/* Takes back what was sent ahead and is less urgent than @job, from as many workers as that can use. */
void        mp_pool_core_make_way    (MpPoolCore          *self,
                                      MpJob               *job);

/* mp-pool-dispatch.c: which worker gets what, and when. */
void        mp_pool_core_dispatch    (MpPoolCore          *self);
void        mp_pool_core_refill      (MpPoolCore          *self,
                                      MpPoolWorker        *worker);
gboolean    mp_pool_core_has_idle_worker (MpPoolCore      *self);

/* mp-pool-pace.c: how long tasks take, about, and what follows from it. */
/* Of the next unit of @job; of one that is not known, long. */
gint64      mp_pool_pace_estimate    (MpPoolCore          *self,
                                      MpJob               *job);
void        mp_pool_pace_measure     (MpPoolWorker        *worker,
                                      const MpUnit        *unit,
                                      gint64               run_us);
/* How many units of such a cost are in flight to one worker at most. */
guint       mp_pool_pace_window      (gint64               cost_ns);
gboolean    mp_pool_pace_has_room    (MpPoolWorker        *worker,
                                      gint64               cost_ns);
/* The worker's answers have been read: until the next ones come nobody looks for them. */
void        mp_pool_pace_drained     (MpPoolWorker        *worker);
/* Somebody hands over many tasks one by one: answers are read now and then, and more is sent. */
void        mp_pool_pace_submitting  (MpPoolCore          *self);

/* For the other files of the pool. */
void        mp_pool_core_remove_job  (MpPoolCore          *self,
                                      MpJob               *job);
void        mp_pool_core_unit_ended  (MpPoolCore          *self,
                                      const MpUnit        *unit,
                                      MpAnswer            *answer);
void        mp_pool_core_fail        (MpPoolCore          *self,
                                      const GError        *error,
                                      GVariant            *details);
void        mp_pool_core_check_end   (MpPoolCore          *self);

/* mp-pool-start.c */
gboolean    mp_pool_core_wants_workers (MpPoolCore        *self);
void        mp_pool_core_ensure_workers (MpPoolCore       *self);
void        mp_pool_core_worker_ended (MpPoolCore         *self,
                                      MpPoolWorker        *worker,
                                      const GError        *start_error,
                                      GVariant            *details);

/* mp-pool.c. Signals are posted to the pool's context. */
MpPoolCore *mp_pool_get_core         (MpPool              *self);
void        mp_pool_post_started     (MpPoolCore          *core,
                                      guint                number,
                                      int                  pid);
void        mp_pool_post_exited      (MpPoolCore          *core,
                                      guint                number,
                                      int                  pid,
                                      int                  exit_status,
                                      const char          *reason);
void        mp_pool_post_failed      (MpPoolCore          *core,
                                      const char          *function,
                                      const GError        *error,
                                      GVariant            *details);

/* mp-pool-worker.c */
MpPoolWorker *mp_pool_worker_start   (MpPoolCore          *core,
                                      guint                number,
                                      GError             **error);
void        mp_pool_worker_free      (MpPoolWorker        *self);                 /* nothing is told of it any more */
gboolean    mp_pool_worker_has_room  (MpPoolWorker        *self,
                                      const MpUnit        *unit);
gboolean    mp_pool_worker_is_idle   (MpPoolWorker        *self);
/* Whether it was sent ahead of its time what is less urgent, and can give it back. */
gboolean    mp_pool_worker_is_ahead  (MpPoolWorker        *self,
                                      gint32               priority);
/* The unit is in the worker's flight, or has ended because it cannot be sent. */
void        mp_pool_worker_send      (MpPoolWorker        *self,
                                      const MpUnit        *unit);
void        mp_pool_worker_flush     (MpPoolWorker        *self);
void        mp_pool_worker_tell_end  (MpPoolWorker        *self,
                                      const char          *reason);
/* It ends now: asked to, and after @grace_us forced to; 0: forced at once. */
void        mp_pool_worker_end       (MpPoolWorker        *self,
                                      const char          *reason,
                                      gint64               grace_us);
/* Likewise, and frees it. */
void        mp_pool_worker_abandon   (MpPoolWorker        *self,
                                      gint64               grace_us);
int         mp_pool_worker_get_exit_status (MpPoolWorker  *self);
/* "worker 3 (pid 4711) was killed by signal 9 (SIGKILL)" (full) */
char       *mp_pool_worker_describe_with_end (MpPoolWorker *self);
gboolean    mp_pool_queue_encoded    (MpJob               *job,
                                      MpWire              *wire,
                                      const MpTaskLead    *lead,
                                      MpEncoded           *encoded,
                                      GError             **error);
/* Takes back what the worker has not begun; it goes to the front of the queue. */
void        mp_pool_worker_take_back (MpPoolWorker        *self);
/* The two halves of it. Between them nothing begins: the number of the last that has. */
guint64     mp_pool_worker_revoke    (MpPoolWorker        *self);
void        mp_pool_worker_let_begin (MpPoolWorker        *self);
static inline MpUnit *
mp_pool_worker_unit_at (MpPoolWorker *self,
                        guint         index)
{
  return &self->flight[(self->first + index) % MP_POOL_WINDOW];
}

/* mp-pool-busy.c: one call at a time. */
/* For some microseconds at most, or not at all; to be called in any case. */
void        mp_pool_busy_wait        (MpJob               *job,
                                      gboolean             may_wait,
                                      GCancellable        *cancellable);          /* (unlocked) */

/* mp-pool-task.c */
MpJob      *mp_job_new               (MpPoolCore          *core,
                                      MpJobKind            kind);
MpJob      *mp_job_new_call          (MpPoolCore          *core,
                                      GVariant            *args,
                                      GError             **error);                /* (unlocked) */
MpJob      *mp_job_ref               (MpJob               *self);
void        mp_job_unref             (MpJob               *self);                 /* (unlocked) */
void        mp_job_unref_locked      (MpJob               *self);
/* Decides its end; takes @value, @error, @details. Nothing of it is sent any more. */
void        mp_job_finish            (MpJob               *self,
                                      GVariant            *value,
                                      GError              *error,
                                      GVariant            *details);
void        mp_job_unit_gone         (MpJob               *self);                 /* one of n_out */
void        mp_job_release_if_over   (MpJob               *self);
gboolean    mp_job_is_done           (gpointer             data);
/* Nobody will ask for its results: what has begun goes on, the rest is dropped. */
void        mp_job_abandon           (MpJob               *self);                 /* (unlocked) */
GVariant   *mp_job_dup_result        (MpJob               *self,
                                      GError             **error);                /* (unlocked) once it is done */
/* Blocks for the end of the job. @abandon: a wait that ends early calls it off. */
gboolean    mp_job_wait              (MpJob               *self,
                                      const char          *what,
                                      gint64               timeout_us,
                                      GCancellable        *cancellable,
                                      gboolean             abandon,
                                      GError             **error);                /* (unlocked) */
void        mp_answer_clear          (MpAnswer            *answer);

/* @task: (transfer full), made without callback. @job: (nullable). */
void        mp_waiter_add            (MpPoolCore          *core,
                                      MpJob               *job,
                                      GTask               *task,
                                      GAsyncReadyCallback  callback,
                                      gpointer             user_data,
                                      MpWaiterReturn       give,
                                      gboolean             abandons);             /* (unlocked) */
void        mp_waiter_post           (MpWaiter            *waiter);
void        mp_waiter_give_result    (MpWaiter            *waiter);               /* (unlocked) that of its job */
void        mp_waiter_return_failed  (GTask               *task,
                                      GError              *error,
                                      MpPoolCore          *core,
                                      GAsyncReadyCallback  callback,
                                      gpointer             user_data);            /* (unlocked) */

/* Frees of what may run foreign code wait for the lock to be released: those of the job's arguments and of results that
 * its caller may know go to where the call was made, … */
void        mp_job_drop              (MpJob               *self,
                                      GDestroyNotify       func,
                                      gpointer             data);
/* … those of what nobody has seen yet do not. */
void        mp_pool_drop_variant     (GVariant            *value);                /* (nullable) */
/* What a wire is to send from where it lies goes home, too, when that has let go of it: around the queueing. */
void        mp_job_lend              (MpJob               *self,
                                      MpPiece             *pieces,
                                      guint                n_pieces);
void        mp_job_lent              (MpPiece             *pieces,
                                      guint                n_pieces);

/* mp-future-state.c: some of it has been done. */
void        mp_job_tell_watches      (MpJob               *self);

/* mp-pool-map.c: what a map has of chunks and results. */
MpJob      *mp_job_new_map           (MpPoolCore          *core,
                                      MpJobKind            kind,
                                      const char          *function,
                                      GVariant            *items,
                                      guint                chunk_size,
                                      GError             **error);                /* (unlocked) */
/* Takes @feed. */
MpJob      *mp_job_new_fed_map       (MpPoolCore          *core,
                                      MpJobKind            kind,
                                      const char          *function,
                                      MpFeed              *feed,
                                      gsize                chunk_size);           /* (unlocked) */
void        mp_map_free              (MpMap               *self);                 /* (unlocked) */
/* A chunk more, of a fed map. */
void        mp_map_add_chunk         (MpMap               *self,
                                      gsize                n_items);
/* Of a fed map: nothing more comes, and all that came has ended. Takes @error (nullable). */
void        mp_map_input_ended       (MpJob               *job,
                                      GError              *error);
void        mp_map_drop_items        (MpJob               *job);
gsize       mp_map_get_n_items       (MpMap               *self);
gsize       mp_map_get_chunk_size    (MpMap               *self);
gsize       mp_map_get_n_chunks      (MpMap               *self);
gsize       mp_map_get_n_ended       (MpMap               *self);
void        mp_map_count_ended       (MpMap               *self);                  /* of an imap */
gsize       mp_map_get_chunk_length  (MpMap               *self,
                                      guint64              chunk);
guint64     mp_map_take_chunk        (MpMap               *self);
/* The array that a chunk is a part of (full), and its place there. */
GVariant   *mp_map_ref_items         (MpMap               *self,
                                      guint64              chunk,
                                      gsize               *first,
                                      gsize               *n_items);
gboolean    mp_map_queue_chunk       (MpJob               *job,
                                      guint64              chunk,
                                      MpWire              *wire,
                                      MpTaskLead          *lead,
                                      GError             **error);
/* The short way of a chunk's results into their place: FALSE when it must go the long one. */
gboolean    mp_map_store_raw         (MpMap               *self,
                                      guint64              chunk,
                                      const guint8        *data,
                                      gsize                size);
/* Whether it is a chunk's results; else it has an error. */
gboolean    mp_map_check_answer      (MpMap               *self,
                                      guint64              chunk,
                                      MpAnswer            *answer);
void        mp_map_unit_ended        (MpJob               *job,
                                      guint64              chunk,
                                      MpAnswer            *answer);

/* mp-pool-imap.c: results that wait for their iterator. */
MpJob      *mp_job_new_imap          (MpPoolCore          *core,
                                      gboolean             ordered,
                                      const char          *function,
                                      GVariant            *items,
                                      guint                chunk_size,
                                      GError             **error);                /* (unlocked) */
void        mp_imap_free             (MpJob               *job);                  /* (unlocked) */
/* Of one that is made with a map that has been made. */
void        mp_job_make_imap         (MpJob               *job,
                                      gboolean             ordered);              /* (unlocked) */
gsize       mp_imap_get_first_units  (MpJob               *job);
/* How many chunks may be between input and reader, and how many there are. */
gsize       mp_imap_get_ahead        (MpJob               *job,
                                      gsize               *n_held);
/* @n chunks more are handed to the queue. */
void        mp_imap_allow            (MpJob               *job,
                                      gsize                n);
void        mp_imap_input_ended      (MpJob               *job,
                                      GError              *error);                /* as mp_map_input_ended() */
void        mp_imap_unit_ended       (MpJob               *job,
                                      guint64              chunk,
                                      MpAnswer            *answer);
/* Gives what there is to those who wait. */
void        mp_imap_serve            (MpJob               *job);
/* Somebody waits for the end of all: what is not read yet is computed all the same. */
void        mp_imap_lift_bounds      (MpPoolCore          *core);
/* TRUE: @answer is the next item, or empty at the end. FALSE: nothing is there yet; more is asked for. */
gboolean    mp_imap_take             (MpJob               *job,
                                      MpAnswer            *answer);
/* Nobody wants any more of it: calls it off, and whoever waits gets the end. */
void        mp_imap_close            (MpJob               *job);
gboolean    mp_imap_take_batch       (MpJob               *job,
                                      MpBatch             *batch);
void        mp_outcome_free          (MpOutcome           *outcome);              /* (unlocked) or without values */

/* mp-pool-feed.c: items that come one by one. */
MpJob      *mp_job_new_fed           (MpPoolCore          *core,
                                      MpJobKind            kind,
                                      const char          *function,
                                      MpItems             *items,
                                      guint                chunk_size,
                                      GError             **error);                /* (unlocked) */
void        mp_feed_free             (MpFeed              *self);                 /* (unlocked) */
/* Asks for items if there is room. */
void        mp_feed_look             (MpJob               *job);
gboolean    mp_feed_is_open          (MpFeed              *self);                 /* more may come */
/* The input is just being asked in this thread. */
gboolean    mp_feed_is_read_by       (MpFeed              *self,
                                      GThread             *thread);
GVariant   *mp_feed_get_chunk        (MpFeed              *self,
                                      guint64              chunk);                /* (none) */
MpEncoded  *mp_feed_get_encoded      (MpFeed              *self,
                                      guint64              chunk);                /* (none) (nullable) with objects */
void        mp_feed_chunk_ended      (MpJob               *job,
                                      guint64              chunk);
/* Nothing more is asked: the items are let go of, … */
void        mp_feed_stop             (MpJob               *job);
/* … and no chunk is out any more: what was read is, too. */
void        mp_feed_drop             (MpJob               *job);

/* mp-pool-calls.c */
MpJob      *mp_pool_hand_over        (MpPoolCore          *core,
                                      MpJob               *job,
                                      const char          *function,
                                      GError             **error);                /* (unlocked) takes @job (nullable) */
/* The future is there before the job can end. */
MpFuture   *mp_pool_hand_over_future (MpPoolCore          *core,
                                      MpJob               *job,
                                      const char          *function,
                                      GError             **error);                /* (unlocked) takes @job (nullable) */
GVariant   *mp_pool_run              (MpPool              *self,
                                      MpJob               *job,
                                      const char          *function,
                                      const char          *what,
                                      gint64               timeout_us,
                                      GCancellable        *cancellable,
                                      GError             **error);                /* (unlocked) takes @job (nullable) */
void        mp_pool_run_async        (MpPool              *self,
                                      MpJob               *job,
                                      GError              *error,
                                      const char          *function,
                                      gpointer             source_tag,
                                      GCancellable        *cancellable,
                                      GAsyncReadyCallback  callback,
                                      gpointer             user_data);            /* (unlocked) takes @job or @error */

/* mp-pool-batch.c */
MpBatch    *mp_batch_new             (gsize                max_items);
void        mp_batch_free            (MpBatch             *self);                 /* (unlocked) */
GVariant   *mp_batch_pack            (MpBatch             *self);                 /* (unlocked) a(tbv), not floating */

/* mp-result-iter.c */
MpBatch    *mp_batch_of              (MpWaiter            *waiter);               /* NULL: it waits for one item */

/* Made by the pool's calls. Takes @job. */
MpResultIter *mp_result_iter_new     (MpJob               *job);

G_END_DECLS
