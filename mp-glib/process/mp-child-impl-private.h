/* mp-child-impl-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/process/mp-child-private.h"
#include "mp-glib/process/mp-context-private.h"

G_BEGIN_DECLS

/* What the files mp-child*.c, mp-launch.c and mp-fork-client.c share. All with the hub's lock held. */

/* How far its boot has come, as told by its frames. */
typedef enum
{
  MP_STAGE_NONE,
  MP_STAGE_LOADED,    /* the library is loaded */
  MP_STAGE_HELLO,     /* mp_init() is reached; a forked process begins here */
  MP_STAGE_READY,
} MpStage;

/* A stream of output that comes by a pipe. */
typedef struct
{
  MpChild    *child;
  const char *name;       /* "stderr", "stdout" */
  int         fd;         /* -1: none, or at its end */
  MpWatch    *watch;      /* (nullable) */
  gboolean    to_lines;   /* hand over line by line */
  gboolean    to_owner;   /* pass on to this process's own stderr as it comes */
  GByteArray *held;       /* (owned) (nullable): not passed on yet, bounded */
  GString    *partial;    /* (owned) (nullable): a line without its end */
  GQueue      last;       /* (element-type utf8) (owned): the last lines */
} MpStream;

/* The child's ends of what connects it, until it has them. -1: none. */
typedef struct
{
  int socket;
  int lifeline;
  int stderr_fd;
  int stdout_fd;
} MpChildEnds;

struct _MpChild
{
  int            ref_count;
  GList          link;            /* in the list of all children, from the start to the end */

  MpSettings    *settings;        /* (owned) */
  MpStartMethod  method;          /* never AUTO */
  MpRole         role;
  char          *name;            /* (owned) */
  gboolean       own_group;
  GMainContext  *context;         /* (owned) (nullable) the hub's reference */
  gconstpointer  owner;           /* (nullable) key for posts; NULL: a fork server, nobody's */
  MpChildFuncs   funcs;
  gpointer       data;

  MpChildState   state;
  MpStage        stage;
  int            pid;             /* 0: not known */
  int            pidfd;           /* -1: none */
  int            exit_status;
  gboolean       process_ended;   /* its status, or that it is unknown, is known */
  gboolean       ended_by_us;     /* on purpose: no error of a start */
  gboolean       announced;       /* started() has been called */
  gboolean       late_boot;       /* its time to boot was prolonged once */
  GError        *error;           /* (owned) (nullable): why it is being ended */
  guint64        pending_signals; /* to be sent when there is a pid */

  MpWire        *wire;            /* (owned) (nullable) */
  MpWatch       *wire_watch;      /* (nullable) */
  gboolean       has_rings;       /* its wire has */
  gboolean       wire_broken;     /* nothing can be written any more */
  gboolean       wire_ended;      /* nothing can be read any more */
  MpTimer       *wire_timer;      /* (nullable): more is there than is read at once */
  MpChildEnds    ends;
  int            lifeline;        /* write end; -1: detached */
  MpStream       out;
  MpStream       err;

  MpWatch       *pid_watch;       /* (nullable) */
  MpTimer       *later_timer;     /* (nullable): callbacks that must not come from within a call */
  MpTimer       *boot_timer;      /* (nullable) */
  gint64         boot_due;
  MpTimer       *kill_timer;      /* (nullable) */
  MpTimer       *reap_timer;      /* (nullable) */
  guint          reap_delay;      /* ms */

  GArray        *sentinels;       /* (owned) (nullable) (element-type int): write ends that close with the child */
  GQueue         logs;            /* (element-type utf8) (owned): the last records */
  MpForkClient  *fork_client;     /* (owned) (nullable): who reaps it */
  guint32        request;         /* its number there */
};

/* mp-child.c */
MpChild    *mp_child_new             (MpSettings           *settings,
                                      MpStartMethod         method,
                                      const MpChildConfig  *config,
                                      const MpChildFuncs   *funcs,
                                      gpointer              data,
                                      GError              **error);
/* Sends it on its way: at once, or when it is its turn. */
void        mp_child_dispatch        (MpChild              *self);
/* There is a process. Takes @pidfd. */
void        mp_child_launched        (MpChild              *self,
                                      int                   pid,
                                      int                   pidfd);
/* There will be none. Takes @error. ended() comes, but not from within. */
void        mp_child_launch_failed   (MpChild              *self,
                                      GError               *error);
/* The same for any reason, also that it was called off. */
void        mp_child_end_unstarted   (MpChild              *self,
                                      int                   exit_status);
/* Takes what has come. TRUE: something has. */
gboolean    mp_child_read_wire       (MpChild              *self);
/* Cuts it off: no more of its frames are read, it is killed. Takes @error. */
void        mp_child_cut_off         (MpChild              *self,
                                      GError               *error);
/* Gives back what belongs to a child that has a process or is to get one. */
void        mp_child_release         (MpChild              *self);
void        mp_child_close_ends      (MpChild              *self);
/* Calls started(), once, if there is a process. */
void        mp_child_announce        (MpChild              *self);
/* In a forked child: closes what belongs to the owner of all of them, without touching their state. */
void        mp_child_close_all_after_fork (void);

/* mp-child-end.c */
/* Looks out for the end of its process. */
void        mp_child_watch_pid       (MpChild              *self);
/* It has become ready: the others of its program need not wait any more. */
void        mp_child_proven          (MpChild              *self);
/* Its process is known to have ended: takes what it left, then calls ended(). */
void        mp_child_process_ended   (MpChild              *self,
                                      int                   exit_status);
void        mp_child_kill_after      (MpChild              *self,
                                      gint64                delay);
/* Nothing can tell its status any more: it is watched by what is left. */
void        mp_child_lost_reaper     (MpChild              *self);

/* mp-child-boot.c */
gboolean    mp_child_queue_setup     (MpChild              *self,
                                      const MpChildConfig  *config,
                                      GError              **error);
void        mp_child_start_boot_timer (MpChild             *self);
/* One frame of a process that is alive or was. FALSE: it has been cut off. */
gboolean    mp_child_handle_frame    (MpChild              *self,
                                      MpFrame              *frame);
/* Why it never became ready: (transfer full). */
GError     *mp_child_make_boot_error (MpChild              *self);
/* The error of a child that has ended, with all that is known of it. */
void        mp_child_complete_error  (MpChild              *self,
                                      GError              **error);

/* mp-child-ring.c: two rings for its wire. The descriptors to be sent go to @fds: to the worker, to the owner. */
gboolean    mp_child_make_rings      (MpChild              *self,
                                      gsize                 size,
                                      int                   fds[2],
                                      GError              **error);

/* mp-child-output.c */
/* Makes the pipe; the child's end goes to @write_end. */
gboolean    mp_stream_open           (MpStream             *self,
                                      int                  *write_end,
                                      GError              **error);
/* When there is a process: what it writes is not handed over before it is announced. */
void        mp_stream_watch          (MpStream             *self);
void        mp_stream_read           (MpStream             *self,
                                      gboolean              to_end);
/* The process is ready: what was held back goes on, and what comes later as it comes. */
void        mp_stream_release        (MpStream             *self);
void        mp_stream_close          (MpStream             *self);   /* the pipe only */
void        mp_stream_clear          (MpStream             *self);

/* mp-child-log.c */
void        mp_child_handle_log      (MpChild              *self,
                                      GVariant             *fields);

/* mp-launch.c */
void        mp_child_launch_spawn    (MpChild              *self);
void        mp_child_launch_fork     (MpChild              *self);
/* NULL, or MP_ERROR_UNSAFE_FORK with the names of the threads that are in the way, or what keeps it from knowing them.
 * @who: (nullable) */
GError     *mp_launch_check_threads  (const char           *who);

G_END_DECLS
