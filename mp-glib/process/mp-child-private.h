/* mp-child-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/process/mp-context.h"
#include "mp-glib/process/mp-protocol-private.h"

G_BEGIN_DECLS

/* A process that this one starts, as the owner sees it: what MpProcess and a pool's worker have in common. Plain C, not
 * a GObject (no toggle reference may be touched under the hub's lock). Everything here is called with the hub's lock
 * held, and calls back with it held.
 *
 * A child goes through: QUEUED (waits for the first worker of its context to prove that the program works, or for the
 * fork server) → BOOTING (a pid is on its way or known) → READY → ENDED. Every child reaches ENDED exactly once. */

typedef enum
{
  MP_CHILD_QUEUED,
  MP_CHILD_BOOTING,
  MP_CHILD_READY,
  MP_CHILD_ENDED,
} MpChildState;

typedef enum
{
  MP_ROLE_PROCESS,
  MP_ROLE_POOL_WORKER,
  MP_ROLE_FORK_SERVER,
} MpRole;

typedef struct _MpChild MpChild;

typedef struct
{
  void (* started) (MpChild *child, gpointer data);   /* the pid is known */
  void (* ready)   (MpChild *child, gpointer data);   /* SETUP done; of a pool's: before its initializer */
  void (* frame)   (MpChild *child, MpFrame *frame, gpointer data);   /* kinds RESULT, ERROR and PROGRESS; may steal from it */
  /* captured output: @stream is "stdout" or "stderr" (static); @line: UTF-8 made valid, without its end */
  void (* line)    (MpChild *child, const char *stream, const char *line, gpointer data);
  /* Once, last. @error: (nullable) why it never became ready: MP_ERROR_WORKER_START with the cause (never loaded,
   * exited, crashed, hangs: exit status, last lines of stderr), MP_ERROR_NOT_INITIALIZED, MP_ERROR_UNSAFE_FORK, …; NULL
   * when it had been ready (mp_child_get_exit_status() then tells) or was killed by us on purpose. All its frames and
   * lines have been handed over before. */
  void (* ended)   (MpChild *child, const GError *error, gpointer data);
  /* (nullable) The ring has been read, and this process is about to sleep. */
  void (* drained) (MpChild *child, gpointer data);
} MpChildFuncs;

typedef struct
{
  MpRole        role;
  const char   *name;             /* "Process-1", "Worker-3" */
  gboolean      daemon;
  gboolean      detached;         /* no life-line */
  gboolean      capture_output;   /* stdout by a pipe too, stderr as with MP_STDERR_CAPTURE: both come by line() */
  gboolean      own_group;        /* a process group of its own: the terminal's Ctrl-C does not reach it */
  GBytes       *authkey;          /* (nullable): its key; NULL for that of this process */
  guint         number;           /* of the worker in its pool, from 0 */
  guint         cpu_budget;       /* 0: what the owner has */
  gsize         ring_size;        /* of each of the two rings of its wire; 0: it has none */
  int           board;            /* memory file for MpBoard or -1; a duplicate is sent, the caller keeps its own */
  GMainContext *context;          /* where its log records are written; a reference is taken */
  gconstpointer owner;            /* the key under which they are posted: that of the pool's or process's other posts */
} MpChildConfig;

/* Starts asynchronously: a failure comes by ended(). Only what is certain at once is returned as an error (NULL): not
 * initialized, set-uid, tainted process, a fork asked for with threads running. @context: the MpContext's settings are
 * copied at this moment (no reference is kept). The first frames may be queued at once on its wire. */
MpChild     *mp_child_start           (MpContext            *context,
                                       const MpChildConfig  *config,
                                       const MpChildFuncs   *funcs,
                                       gpointer              data,
                                       GError              **error);
MpChild     *mp_child_ref             (MpChild              *self);
void         mp_child_unref           (MpChild              *self);
/* No more callbacks; a child that lives goes on (is reaped quietly). */
void         mp_child_forget          (MpChild              *self);

MpWire      *mp_child_get_wire        (MpChild              *self);
/* After queueing frames: writes what goes, watches for the rest. A peer that is gone is not an error here: ended()
 * comes. */
void         mp_child_flush           (MpChild              *self);

/* For who does not sleep: takes and handles what has come through the ring. FALSE: nothing will, there is no use in looking
 * again. */
gboolean     mp_child_look            (MpChild              *self);
/* To follow: from now on the hub tells of what comes. */
void         mp_child_stop_looking    (MpChild              *self);

MpChildState mp_child_get_state       (MpChild              *self);
int          mp_child_get_pid         (MpChild              *self);   /* 0: not known yet */
int          mp_child_get_exit_status (MpChild              *self);   /* MP_EXIT_STATUS_RUNNING before ENDED */
/* A new descriptor (caller owns, CLOEXEC) that polls readable when the process has ended; -1 with error. */
int          mp_child_dup_sentinel    (MpChild              *self,
                                       GError              **error);
/* FALSE with error when it has ended or the system refuses. While QUEUED/BOOTING without pid, @signum is remembered and
 * sent as soon as there is a pid; SIGKILL and SIGTERM of a QUEUED child end it without a start. */
gboolean     mp_child_signal          (MpChild              *self,
                                       int                   signum,
                                       GError              **error);
/* SIGTERM now, SIGKILL @grace_us later if it still lives (0: SIGKILL at once). Works on after forget(). */
void         mp_child_end             (MpChild              *self,
                                       gint64                grace_us);
/* For messages and details: a{sv} with "worker", "pid", "exit-status", "signal", "stderr", "log" (full). */
GVariant    *mp_child_dup_details     (MpChild              *self);
/* "was killed by signal 9 (SIGKILL)", "exited with status 3", "ended, status unknown" (full). */
char        *mp_child_describe_end    (MpChild              *self);

/* How many children live. A worker that has any must turn the hub now and then, or they stay zombies. */
guint        mp_child_count           (void);

/* SETUP, as the worker gets it: a{sv}:
 *   "role" u, "name" s, "number" u, "cpus" u, "daemon" b, "parent-pid" i, "parent-name" s, "cwd" ay (bytestring),
 *   "preload" as, "boot-data" v, "stderr" u (MpStderr), "argv" as (the context's worker-argv, inherited by nested
 *   ones), "start-method" u, "authkey" ay (mp_get_authkey() there); descriptors in order as named by "fds" as: "board", "to-worker" and "to-owner" (rings), "stderr"
 *   (the owner's own stderr, to be put at 2 once ready when "stderr" says inherit). */

G_END_DECLS
