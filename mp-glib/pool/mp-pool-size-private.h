/* mp-pool-size-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-home-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/pool/mp-pool.h"

G_BEGIN_DECLS

/* How many workers a pool keeps, for how long each, and how fast they follow each other. With the hub's lock held, but for
 * what is marked (unlocked). */

#define MP_POOL_MAX_WORKERS 65536

struct _MpPoolCore;
struct _MpPoolWorker;

typedef struct
{
  guint     n_workers;        /* atomic: how many it is to have; the core has as many places or more */
  guint     min_workers;
  gint64    idle_timeout_us;  /* -1: none */
  gint64    max_age_us;       /* -1: none */
  guint64   max_growth;       /* bytes; 0: no bound */
  double    max_start_rate;   /* starts for each second; 0: no bound */
  gint64    next_start;       /* what has been started counts as if the next were due then */
  gboolean  watches;          /* some bound has to be looked at after an answer */
  gboolean  running;          /* the properties have been given, the workers may start */
  MpHome    home;             /* where the pool was made: what changes there is told there at once */
  MpTimer  *look_timer;       /* the next worker whose time may be over */
  gint64    look_at;
  MpTimer  *grow_timer;       /* units wait for a worker that does not exist */
  MpTimer  *start_timer;      /* workers wait for their start */
} MpPoolSize;

/* What of a worker belongs to that. */
typedef struct
{
  const char *leaving;        /* (nullable) static: why it gets nothing more, and ends after what it runs */
  gboolean    surplus;        /* its place is not taken again */
  gint64      told_us;        /* when it was told to end; 0: it was not, or is asked no more */
  guint64     first_task;     /* the number of the first that it may be given */
  gint64      idle_since;     /* when it last had nothing to do; 0: not known */
  guint64     memory;         /* when it was ready; 0: not known */
  gint64      memory_due;     /* not to be looked at before */
  gboolean    memory_missed;  /* it has answered since it was looked at */
} MpWorkerSize;

void      mp_pool_size_init        (MpPoolSize             *self);               /* (unlocked) */
void      mp_pool_size_clear       (MpPoolSize             *self);               /* (unlocked) */
void      mp_pool_size_drop_timers (struct _MpPoolCore     *core);
/* The properties have been given: makes the places. */
void      mp_pool_size_begin       (struct _MpPoolCore     *core);
guint     mp_pool_size_get         (struct _MpPoolCore     *core);               /* with or without the lock, ≥ 1 */

/* How many workers are to be started now. */
guint     mp_pool_size_n_missing   (struct _MpPoolCore     *core);
/* FALSE: a timer has been set that tries again. */
gboolean  mp_pool_size_may_start   (struct _MpPoolCore     *core);
guint     mp_pool_size_cpu_budget  (struct _MpPoolCore     *core);               /* of each worker */

/* What happens. After the units have been given out: */
void      mp_pool_size_consider    (struct _MpPoolCore     *core);
void      mp_pool_size_ready       (struct _MpPoolWorker   *worker);
void      mp_pool_size_told        (struct _MpPoolWorker   *worker);
void      mp_pool_size_answered    (struct _MpPoolWorker   *worker);

/* Properties of MpPool that are installed, got and set here. FALSE: it is none of these. */
#define MP_POOL_SIZE_FIRST_PROPERTY 512

void      mp_pool_size_install     (GObjectClass           *object_class);       /* (unlocked) */
gboolean  mp_pool_size_get_property (MpPool                *pool,
                                    guint                   prop_id,
                                    GValue                 *value);              /* (unlocked) */
gboolean  mp_pool_size_set_property (MpPool                *pool,
                                    guint                   prop_id,
                                    const GValue           *value);              /* (unlocked) */

G_END_DECLS
