/* mp-worker-info-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-private.h"
#include "mp-glib/pool/mp-worker-info.h"

G_BEGIN_DECLS

/* What is known of a worker at one instant. */
typedef struct
{
  guint         number, serial;
  int           pid;
  MpWorkerState state;
  char         *task;            /* (owned) (nullable) */
  guint64       n_done;
  gint64        start_time, task_start_time, busy_time;
} MpWorkerFacts;

void          mp_worker_facts_clear   (MpWorkerFacts *self);

/* Both take what is in @facts. Without the hub's lock. */
MpWorkerInfo *mp_worker_info_new      (MpWorkerFacts *facts);
void          mp_worker_info_update   (MpWorkerInfo  *self,
                                       MpWorkerFacts *facts);
/* It is not there any more. */
void          mp_worker_info_end      (MpWorkerInfo  *self);
guint         mp_worker_info_get_serial (MpWorkerInfo *self);

G_END_DECLS
