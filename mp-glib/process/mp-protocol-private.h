/* mp-protocol-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"

G_BEGIN_DECLS

/* What owner, fork server and workers say to each other over a wire (mp-wire-private.h): frame kinds and their
 * payloads. Owner and worker must agree on the version: LOADED and HELLO carry it. */
#define MP_PROTOCOL_VERSION 4

/* Longest payload: of a process at work, and of one that has still to prove itself. */
#define MP_MAX_FRAME      (G_GUINT64_CONSTANT (1) << 33)
#define MP_MAX_BOOT_FRAME (G_GUINT64_CONSTANT (1) << 20)

typedef enum
{
  /* worker → owner, boot */
  MP_FRAME_LOADED = 1,    /* tag: protocol version; payload: guint32 pid, guint32 0. From the library's constructor */
  MP_FRAME_HELLO,         /* value a{sv}: "pid" i, "version" u, "threads" as (names, empty when single-threaded) */
  MP_FRAME_BOOT_ERROR,    /* value (sisa{sv}): the worker refuses; it exits */
  MP_FRAME_READY,         /* value a{sv}: "preloaded" as */

  /* owner → worker */
  MP_FRAME_SETUP,         /* value a{sv}, see mp-child-private.h; descriptors as it names them */
  MP_FRAME_RUN,           /* value a{sv}: "function" s, "args" v; or "type" s, "properties" a{sv} */
  MP_FRAME_DEFINE,        /* tag: number; payload: name of a function (not NUL-terminated) */
  MP_FRAME_TASK,          /* MpTaskLead, then a value */
  MP_FRAME_END,           /* no more will come: exit when all is answered */

  /* worker → owner, at work */
  MP_FRAME_RESULT,        /* MpResultLead, then a value */
  MP_FRAME_LOG,           /* value a{ss}: fields of one log record: "PRIORITY", "GLIB_DOMAIN", "MESSAGE", … */
  MP_FRAME_ERROR,         /* value (sisa{sv}): what a Process ended with */
  MP_FRAME_PROGRESS,      /* MpProgressLead, then a value without objects, or nothing; of the task that runs */

  /* owner ↔ fork server */
  MP_FRAME_FORK,          /* tag: request; MpForkLead; descriptors: the worker's socket, and as the lead says */
  MP_FRAME_FORKED,        /* tag: request; payload: gint32 pid, guint32 0; 1 descriptor: pidfd, where there is one */
  MP_FRAME_FORK_FAILED,   /* tag: request; value (sisa{sv}) */
  MP_FRAME_EXITED,        /* tag: 0; payload: gint32 pid, gint32 exit status as in mp_process_get_exit_status() */
} MpFrameKind;

typedef enum
{
  MP_FORK_LIFELINE  = 1 << 0,   /* a descriptor: the read end of its life-line */
  MP_FORK_STDERR    = 1 << 1,   /* a descriptor: its stderr */
  MP_FORK_STDOUT    = 1 << 2,   /* a descriptor: its stdout */
  MP_FORK_OWN_GROUP = 1 << 3,   /* a process group of its own, else the owner's */
} MpForkFlags;

typedef struct
{
  guint32 flags;      /* MpForkFlags; the descriptors follow in this order */
  guint32 reserved;
} MpForkLead;

typedef enum
{
  MP_TASK_CHUNK    = 1 << 0,   /* the value is an array: one call for each item (or one for all: chunk functions) */
  MP_TASK_PER_ITEM = 1 << 1,   /* go on after an item that failed; each has its own outcome */
  MP_TASK_INITIALIZER = 1 << 2, /* a function that need not return anything */
} MpTaskFlags;

typedef struct
{
  guint64 seq;        /* 1, 2, 3 … on each wire */
  guint32 function;   /* number given by MP_FRAME_DEFINE */
  guint32 flags;      /* MpTaskFlags */
  gint64  limit_us;   /* for how long it may run; -1: for ever. The owner sees to it; the function may ask */
} MpTaskLead;

typedef enum
{
  MP_RESULT_VALUE,      /* the result; for a chunk an array of results, in order; @index is 1 when they are of different
                         * types, each wrapped in a variant (av), else 0 */
  MP_RESULT_ERROR,      /* (sisa{sv}); for a chunk that of the item at @index, the rest was not called */
  MP_RESULT_PER_ITEM,   /* a(bv), of a chunk with MP_TASK_PER_ITEM of which an item failed: TRUE and the result, or FALSE
                         * and the error as above */
  MP_RESULT_NOT_RUN,    /* no value: the task was taken back before it began (MP_BOARD_STOP) */
} MpResultStatus;

typedef struct
{
  guint64 seq;
  guint32 status;     /* MpResultStatus */
  guint32 index;
  gint64  started_us; /* when it began, in g_get_monotonic_time() terms, which are one machine's; not with NOT_RUN */
  gint64  run_us;     /* how long it ran. Both are the worker's word, and only told to people */
} MpResultLead;

typedef struct
{
  guint64 seq;
  double  fraction;   /* any bits: the worker's word */
} MpProgressLead;

/* A page of memory shared by owner and one worker (descriptor "board" of SETUP). The worker stores the number of the
 * task it is about to call before it calls; its result is in the ring or the socket before the next store. So after a death:
 * drained results first, then: started == the oldest unanswered task → that one was running, else none was.
 *
 * The worker's store is a compare-and-swap that fails while the owner has set MP_BOARD_STOP: so at the instant of
 * setting it the owner knows which task is the last to run, and may give the others to another worker. The worker
 * answers each of those with MP_RESULT_NOT_RUN; when all have come the owner takes the bit back. */
typedef struct
{
  guint64 state;      /* atomic: number of the task << 1 | MP_BOARD_STOP; the owner copies it and bounds it by what it has sent */
  gint64  started_us; /* atomic: when that task began; stored before @state */
  guint32 n_cpus;     /* atomic: the CPUs that the worker's own pools may count on, when that has changed; 0: it has not */
  guint32 stop_word;  /* a futex: counts how often … */
  guint64 stopped;    /* … this was stored, atomic: number of a task that had begun and that the owner does not want any more */
  guint64 wake_at;    /* atomic: by the owner: when this task is done it wants to be woken, if it sleeps, and when nothing is
                       * left to be done, and by whatever else comes, but not by the tasks before */
  guint64 reserved[3];
} MpBoard;

#define MP_BOARD_STOP G_GUINT64_CONSTANT (1)

G_END_DECLS
