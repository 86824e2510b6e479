/* mp-pool-control-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-private.h"
#include "mp-glib/pool/mp-task-options.h"

G_BEGIN_DECLS

/* How long a task that is not wanted any more may go on when it has been told so; and how long when its worker has got
 * SIGTERM. What MpPool:cancel-grace-us and MpPool:terminate-grace-us are at first. */
#define MP_POOL_CANCEL_GRACE_US    (500 * 1000)
#define MP_POOL_TERMINATE_GRACE_US G_USEC_PER_SEC

/* Why such a worker ended. */
#define MP_POOL_STOPPED "stopped"

/* What a call was told of how to carry it out, and what follows from that. Most jobs have none (job->control is NULL): they
 * have priority 0, no deadlines, one attempt. Under the hub's lock but for what is marked (unlocked). */
struct _MpJobControl
{
  gint64        queue_timeout_us, run_timeout_us;   /* -1: none */
  guint         max_attempts;      /* 1 where the task is not idempotent */
  gboolean      begun;             /* some unit of it has come to nothing, and begins anew */
  char         *name;              /* (owned) (nullable) what lists and messages call it */
  MpTimer      *queue_timer;       /* it is to have begun by then */
  GCancellable *cancellable;       /* (owned) (nullable): until the job is done */
  gulong        handler;           /* on it; 0: not connected, or just connecting */

  /* What it tells of how far it is. */
  double        fraction;          /* that of a call */
  GVariant     *report;            /* (owned) (nullable): not told yet */
  gboolean      untold;            /* there is something to tell */
  gboolean      posted;            /* … and it is on its way, … */
  MpTimer      *report_timer;      /* … or will be */
  gint64        told_us;           /* when something was told last */
};

/* mp-pool-control.c. @options: (nullable). Before the job is submitted, with the name that it is going to be submitted
 * with. */
void          mp_job_set_options        (MpJob          *self,
                                         const char     *function,
                                         MpTaskOptions  *options);                /* (unlocked) */
/* Around its submission: listens to its cancellable, which may call the job off at once, before it was submitted. */
void          mp_job_listen             (MpJob          *self);                   /* (unlocked) */
void          mp_job_listen_no_more     (MpJob          *self);                   /* (unlocked) it was refused */
/* It stands in the queue. */
void          mp_job_control_begin      (MpJob          *self);
/* It is done. */
void          mp_job_control_end        (MpJob          *self);
void          mp_job_control_free       (MpJobControl   *self);                   /* (unlocked) */

/* Ends a job that has not ended yet with @error, which is taken (NULL: G_IO_ERROR_CANCELLED). What waits is dropped, what
 * runs is stopped. TRUE: this decided its end. */
gboolean      mp_job_cancel             (MpJob          *self,
                                         GError         *error);

/* A unit of a job with control has ended so. TRUE: it is to begin anew, and @answer is empty. FALSE: that is its end. */
gboolean      mp_pool_core_retry        (MpPoolCore     *core,
                                         const MpUnit   *unit,
                                         MpAnswer       *answer);

/* What it is called in lists and messages. */
const char   *mp_job_get_name           (MpJob          *self);

/* mp-pool-stop.c. The job is done, but its units are still at workers: takes back what has not begun, and stops the rest. */
void          mp_pool_core_stop_job     (MpPoolCore     *core,
                                         MpJob          *job);
/* Whether some unit of it has begun. If not, none is at a worker any more. */
gboolean      mp_pool_core_has_begun    (MpPoolCore     *core,
                                         MpJob          *job);
/* A unit of the job has been put into the worker's flight. */
void          mp_pool_worker_limit      (MpPoolWorker   *self,
                                         MpJob          *job);
/* What was to be stopped has been answered. */
void          mp_pool_worker_stopped    (MpPoolWorker   *self);
void          mp_pool_worker_drop_timers (MpPoolWorker  *self);

/* mp-pool-progress.c. A part of a map has ended. */
void          mp_job_progressed         (MpJob          *self);
/* A function of it has told how far it is. @value: (nullable), without objects. */
void          mp_job_report             (MpJob          *self,
                                         double          fraction,
                                         GVariant       *value);
/* Tells what there is to tell, if anything, in its context. */
void          mp_job_tell_progress      (MpJob          *self,
                                         MpFuture       *future);                 /* (unlocked) */

/* Properties of MpPool that are installed, got and set here. FALSE: it is none of these. */
#define MP_POOL_CONTROL_FIRST_PROPERTY 1024

void          mp_pool_control_install   (GObjectClass   *object_class);           /* (unlocked) */
gboolean      mp_pool_control_get_property (MpPool      *pool,
                                         guint           prop_id,
                                         GValue         *value);                  /* (unlocked) */
gboolean      mp_pool_control_set_property (MpPool      *pool,
                                         guint           prop_id,
                                         const GValue   *value);                  /* (unlocked) */

G_END_DECLS
