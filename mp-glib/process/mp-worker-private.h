/* mp-worker-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/process/mp-child-private.h"

G_BEGIN_DECLS

/* This process as a worker: what its SETUP said. One per process; NULL in one that is no worker. Main thread only. */
typedef struct
{
  MpWire       *wire;
  MpRole        role;
  char         *name;
  guint         number;
  MpBoard      *board;          /* (nullable) mapped */
  GVariant     *setup;
  GMainContext *context;        /* what async functions run on: the default one in a spawned worker, a new one, pushed as
                                 * thread default, in a forked one */
  gboolean      forked;
} MpWorker;

MpWorker *mp_worker_get          (void);

/* From mp_init(), or in a forked child: talks to the owner until the work is over; returns the exit status. */
int       mp_worker_run          (MpWire      *wire,
                                  gboolean     forked);

/* mp-serve.c: serves TASK frames until END or the end of the stream. Returns the exit status. */
int       mp_worker_serve_tasks  (MpWorker    *self);
/* mp-process.c's part: one RUN. Returns the exit status. */
int       mp_worker_run_process  (MpWorker    *self);
/* mp-fork-server.c. Returns only in the server itself; a forked child goes on in mp_worker_run() and exits. */
int       mp_worker_serve_forks  (MpWorker    *self);

G_END_DECLS
