/* mp-pool-control-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-private.h"
#include "mp-glib/pool/mp-task-options.h"

G_BEGIN_DECLS

/* What a call was told of how to carry it out, and what follows from that. Most jobs have none (job->control is NULL): they
 * have priority 0, no deadlines, one attempt. Under the hub's lock but for what is marked (unlocked). */
struct _MpJobControl
{
  gint64        queue_timeout_us, run_timeout_us;   /* -1: none */
  guint         max_attempts;      /* 1 where the task is not idempotent */
  char         *name;              /* (owned) (nullable) what lists and messages call it */
  GCancellable *cancellable;       /* (owned) (nullable): until the job is done */
  gulong        handler;           /* on it; 0: not connected, or just connecting */
};

/* @options: (nullable). Before the job is submitted, with the name that it is going to be submitted with. */
void          mp_job_set_options        (MpJob          *self,
                                         const char     *function,
                                         MpTaskOptions  *options);                /* (unlocked) */
/* Around its submission: listens to its cancellable, which may call the job off at once, before it was submitted. */
void          mp_job_listen             (MpJob          *self);                   /* (unlocked) */
void          mp_job_listen_no_more     (MpJob          *self);                   /* (unlocked) it was refused */
/* It is done. */
void          mp_job_control_end        (MpJob          *self);
void          mp_job_control_free       (MpJobControl   *self);                   /* (unlocked) */

/* Ends a job that has not ended yet with @error, which is taken (NULL: G_IO_ERROR_CANCELLED). What waits is dropped, what
 * runs is stopped. TRUE: this decided its end. */
gboolean      mp_job_cancel             (MpJob          *self,
                                         GError         *error);

/* What it is called in lists and messages. */
const char   *mp_job_get_name           (MpJob          *self);

G_END_DECLS
