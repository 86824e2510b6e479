/* mp-worker-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/process/mp-child-private.h"
#include "mp-glib/process/mp-invocation-control-private.h"

G_BEGIN_DECLS

/* This process as a worker: what its SETUP said. One per process; NULL in one that is no worker. Main thread only. */
typedef struct
{
  MpWire       *wire;
  gboolean      has_rings;      /* the wire has */
  MpRole        role;
  char         *name;
  guint         number;
  MpBoard      *board;          /* (nullable) mapped */
  GVariant     *setup;
  char        **preloaded;      /* what was loaded before READY */
  GMainContext *context;        /* what async functions run on: the default one in a spawned worker, a new one, pushed as
                                 * thread default, in a forked one */
  gboolean      forked;
  const MpInvocationTask *task; /* (nullable) of a pool's: what it is at */
} MpWorker;

MpWorker *mp_worker_get          (void);

/* From mp_init(), or in a forked child: talks to the owner until the work is over; returns the exit status. */
int       mp_worker_run          (MpWire      *wire,
                                  gboolean     forked);

/* What a forked child is given: numbers that it owns. */
typedef struct
{
  int socket;
  int lifeline;      /* -1: none */
  int stdout_fd;     /* -1: inherited */
  int stderr_fd;
  int group;         /* process group to be in; 0: one of its own; -1: as it is */
} MpForkedEnds;

/* In a forked child that has closed what is not its own: begins anew as a worker. */
G_NORETURN
void      mp_worker_run_forked   (const MpForkedEnds *ends);

/* In the copy of a program that forks by itself: the processes of the one that it is a copy of are none of its own. The
 * hub calls it, with its lock held. */
void      mp_worker_forked_by_host (void);

/* mp-worker-log.c: log records go to the owner. Those of other threads are sent by the main one: with its own next
 * record, and here. Called before the worker waits. */
void      mp_worker_log_install  (MpWorker    *self);
void      mp_worker_log_flush    (MpWorker    *self);

/* mp-preload.c. What was loaded (full), or NULL with the error of what was not. */
char    **mp_worker_preload      (GVariant    *setup,
                                  GError     **error);

/* mp-serve.c: serves TASK frames until END or the end of the stream. Returns the exit status. */
int       mp_worker_serve_tasks  (MpWorker    *self);
/* mp-process.c's part: one RUN. Returns the exit status. */
int       mp_worker_run_process  (MpWorker    *self);
/* mp-fork-server.c. Returns only in the server itself; a forked child goes on in mp_worker_run() and exits. */
int       mp_worker_serve_forks  (MpWorker    *self);

G_END_DECLS
