/* mp-future-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/pool/mp-pool-private.h"

G_BEGIN_DECLS

/* What is marked (unlocked) is called without the hub's lock, everything else with it. */

/* mp-future.c */
/* Takes @job, which has not been submitted yet. The job keeps the future until that has told of the end: whoever
 * listens to its signals need not keep it. */
MpFuture   *mp_future_new            (MpJob               *job);                  /* (unlocked) */
/* Of a job that has been submitted: that of its caller where there is one, and it can be had. In the pool's main context. */
MpFuture   *mp_future_find           (MpJob               *job);                  /* (unlocked) (full) */
/* The job was not accepted. Takes the reference that mp_future_new() gave. */
void        mp_future_withdraw       (MpFuture            *self);                 /* (unlocked) */
MpJob      *mp_future_get_job        (MpFuture            *self);
void        mp_future_emit_done      (MpFuture            *self);                 /* (unlocked) */
void        mp_future_emit_progress  (MpFuture            *self,
                                      double               fraction,
                                      GVariant            *value);                /* (unlocked) */

/* mp-future-waitable.c */
void        mp_future_waitable_init  (MpWaitableInterface *iface);                /* (unlocked) */

/* mp-future-state.c */
MpFutureState mp_job_get_state       (MpJob               *job);
/* The job of the unit that it has begun and not answered; NULL: none. */
MpJob      *mp_pool_worker_get_running (MpPoolWorker      *worker);
/* Of what it has to do; 1 when it has ended. */
double      mp_job_get_fraction      (MpJob               *job);
/* The job has just been finished. */
void        mp_job_tell_end          (MpJob               *job);
/* Its future, which was withheld, has been given: now it tells. */
void        mp_job_tell_withheld     (MpJob               *job);
/* Tells now, if this is the thread for it and something has to be told. */
void        mp_job_tell_due          (MpJob               *job);                  /* (unlocked) */
void        mp_tellers_free          (MpTeller            *tellers);              /* (unlocked) */

/* One who is told of the end of a job, once. Lies in a struct of his. */
struct _MpJobWatch
{
  MpJobWatch *next, **place;   /* place NULL: it is in no job's list */
  void     (* func)       (MpJobWatch *watch);
  void     (* progressed) (MpJobWatch *watch);   /* (nullable) some of it has been done; often */
};

/* FALSE: it has ended already, and @watch is not used. */
gboolean    mp_job_watch             (MpJob               *job,
                                      MpJobWatch          *watch);
void        mp_job_unwatch           (MpJobWatch          *watch);   /* may be in no list */

/* mp-future-wait.c. @task: (transfer full), made without callback; gets a boolean, or for @any the future that has ended. */
void        mp_future_gather         (GTask               *task,
                                      MpFuture           **futures,
                                      gsize                n_futures,
                                      gboolean             any,
                                      GAsyncReadyCallback  callback,
                                      gpointer             user_data);            /* (unlocked) */

/* mp-pool-reply.c: an asynchronous call that waits for something else than one job's end. */
typedef struct _MpReply MpReply;

typedef struct
{
  void     (* withdraw) (MpReply *reply);   /* (nullable) it was cancelled while it waited: it is in no list any more */
  void     (* give)     (MpReply *reply);   /* (unlocked) gives the task its result */
  void     (* clear)    (MpReply *reply);   /* (unlocked) (nullable) frees the data */
} MpReplyFuncs;

struct _MpReply
{
  int                  ref_count;    /* atomic */
  gboolean             begun;        /* under the lock: mp_reply_wait() has been called, … */
  gboolean             waiting;      /* … and it has not been posted */
  gboolean             called_off;   /* under the lock: its cancellable was faster */
  gconstpointer        owner;        /* a key: whose blocking calls may answer it */
  GTask               *task;         /* (owned) */
  GAsyncReadyCallback  callback;
  gpointer             user_data;
  const MpReplyFuncs  *funcs;
  gpointer             data;
  GMainContext        *context;      /* (owned) the hub's reference to the task's */
  gulong               handler;      /* on the task's cancellable */
};

/* @task: (transfer full), made without callback. The one reference goes with mp_reply_post(). */
MpReply    *mp_reply_new             (gconstpointer        owner,
                                      GTask               *task,
                                      GAsyncReadyCallback  callback,
                                      gpointer             user_data,
                                      const MpReplyFuncs  *funcs,
                                      gpointer             data);                 /* (unlocked) */
/* From here on it may be withdrawn. FALSE: it was cancelled before, and has been posted. */
gboolean    mp_reply_wait            (MpReply             *self);
void        mp_reply_post            (MpReply             *self);

G_END_DECLS
