/* mp-pool-process-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-worker-private.h"
#include "mp-glib/process/mp-child-private.h"

G_BEGIN_DECLS

/* A worker that is a process. */
typedef struct
{
  MpPoolWorker  worker;
  MpChild      *child;      /* (owned) */
  int           board_fd;
  GByteArray   *defined;    /* by function number: 1 when DEFINE has been sent */
} MpProcessWorker;

/* Of a worker of any kind: NULL when it is no process. */
MpProcessWorker *mp_pool_worker_get_process (MpPoolWorker *self);

/* mp-pool-busy.c: the only unit in flight goes out now: the worker need not ring when it has its answer, if its caller is
 * going to look for it. */
void             mp_pool_busy_prepare       (MpProcessWorker *process,
                                             MpJob           *job);

G_END_DECLS
