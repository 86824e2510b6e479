/* mp-invocation-control-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "mp-glib/process/mp-protocol-private.h"

G_BEGIN_DECLS

/* The task that a call belongs to, as far as the function may ask about it. */
typedef struct
{
  guint64   seq;        /* as the board counts; 0: none */
  gint64    deadline;   /* in g_get_monotonic_time() terms; -1: none */
  /* (nullable) Tells its owner how far it is. @value: (nullable), not floating. */
  void   (* report) (double    fraction,
                     GVariant *value,
                     gpointer  data);
  gpointer  data;
} MpInvocationTask;

static inline gint64
mp_task_deadline (const MpTaskLead *lead,
                  gint64            started_us)
{
  return lead->limit_us >= 0 && lead->limit_us < G_MAXINT64 - started_us ? started_us + lead->limit_us : -1;
}

/* Cancels @cancellable when the task is stopped: on @context, or, when that is NULL, in a thread of the library's. */
void      mp_invocation_watch           (const MpInvocationTask *task,
                                         MpBoard                *board,
                                         GCancellable           *cancellable,
                                         GMainContext           *context);
/* The call is over, and the board may go. */
void      mp_invocation_unwatch         (GCancellable           *cancellable);
gboolean  mp_invocation_task_is_stopped (const MpInvocationTask *task,
                                         MpBoard                *board);   /* (nullable) */

G_END_DECLS
