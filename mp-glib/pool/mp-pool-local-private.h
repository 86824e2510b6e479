/* mp-pool-local-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-worker-private.h"
#include "mp-glib/process/mp-invocation-private.h"

G_BEGIN_DECLS

/* Workers that are no processes: a task is run in this one, by a thread or by the caller. Values go as they are, and are
 * checked as those that travel (mp_value_hold()). */

/* A task on its way. Made and freed with the hub's lock held. */
typedef struct
{
  MpTaskLead  lead;
  MpJob      *job;             /* (owned) */
  const char *function;        /* its name; the core's */
  GVariant   *value;           /* (owned): the arguments, or the items of which … */
  gsize       first, n_items;  /* … these are the chunk */
} MpLocalTask;

MpLocalTask *mp_local_task_new   (MpPoolCore       *core,
                                  const MpUnit     *unit,
                                  const MpTaskLead *lead);
void         mp_local_task_free  (MpLocalTask      *self);
/* Whether its function answers later (unlocked). */
gboolean     mp_local_task_is_async (MpLocalTask   *self);

/* What runs tasks one after another, in one thread. Without the lock. */
typedef struct _MpLocalRun MpLocalRun;
typedef void (* MpLocalDone) (const MpResultLead *lead,
                              MpAnswer           *answer,   /* to be stolen from */
                              gpointer            data);

/* How far it is, told in the thread of the run. @value: (nullable). */
typedef void (* MpLocalReport) (double              fraction,
                                GVariant           *value,
                                gpointer            data);

/* @host: lives as long as this. */
MpLocalRun  *mp_local_run_new    (const MpInvocationHost *host);
void         mp_local_run_unref  (MpLocalRun       *self);
/* In a thread that ends, maybe in a task, which then has no other end. */
void         mp_local_run_abort  (MpLocalRun       *self);
/* @done is called once: before this returns, or, after an asynchronous function, when the host's context turns. @task lives
 * until then. */
void         mp_local_run_task   (MpLocalRun       *self,
                                  MpLocalTask      *task,
                                  MpLocalDone       done,
                                  MpLocalReport     report,
                                  gpointer          data);

/* As a process does it: the number of the task goes to the board, unless its owner has taken the rest back. */
gboolean     mp_local_begin      (MpBoard          *board,
                                  guint64           seq);

/* What has been answered, told to the worker. With the lock held. Takes @task, and what @answer has. */
void         mp_local_answered   (MpPoolWorker       *worker,   /* (nullable): gone */
                                  MpLocalTask        *task,
                                  const MpResultLead *lead,
                                  MpAnswer           *answer);

/* What a function reports, as it may be kept and freed anywhere (full) (nullable). */
GVariant    *mp_local_copy_report (GVariant          *value);   /* (nullable) */

/* mp-pool-thread.c */
extern const MpPoolWorkerOps mp_pool_thread_ops;

/* mp-pool-inline.c */
MpInline    *mp_inline_new       (MpPoolCore         *core,
                                  guint64             seed,
                                  double              death_rate,
                                  guint64             max_delay_us);
void         mp_inline_free      (MpInline           *self);
extern const MpPoolWorkerOps mp_pool_inline_ops;

G_END_DECLS
