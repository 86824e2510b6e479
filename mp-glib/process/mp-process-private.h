/* mp-process-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/process/mp-child-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-process.h"

G_BEGIN_DECLS

/* An MpProcess without its GObject: what changes when the hub turns. The object points to it and it points to the
 * object, but holds a reference to that only from a start to the delivery of `exited`: so a process that nobody keeps
 * runs on, is reaped, and still tells those who listen. */

typedef enum
{
  MP_PROCESS_CHILD,    /* made here, started from here */
  MP_PROCESS_SELF,     /* mp_process_get_current() */
  MP_PROCESS_PARENT,   /* mp_process_get_parent() */
} MpProcessKind;

typedef enum
{
  MP_PROCESS_NEW,
  MP_PROCESS_STARTING,   /* mp_child_start() has been called */
  MP_PROCESS_RUNNING,    /* it has reached mp_init(): its function is about to run, or does */
  MP_PROCESS_ENDED,
  MP_PROCESS_FAILED,     /* ended before there was a process */
} MpProcessState;

typedef struct _MpProcessCore MpProcessCore;

struct _MpProcessCore
{
  gatomicrefcount ref_count;

  /* Set once, before a second thread can know of it. */
  MpProcessKind   kind;
  int             owner_pid;    /* who made it: nobody else may use the child */
  GMainContext   *context;      /* (owned) thread-default at construction: where its signals run */
  GArray         *identity;     /* (owned) (element-type guint): numbers from the program down to this one */

  /* Under the hub's lock. */
  MpProcessState  state;
  gboolean        closed;
  gboolean        attached;     /* the hub has a source on @context for us */
  MpChild        *child;        /* (owned) (nullable): from the start to the end */
  gboolean        ready;        /* it has been RUNNING */
  int             pid;          /* 0: not known */
  int             exit_status;
  int             sentinel;     /* -1: nobody asked yet */
  GError         *error;        /* (owned) (nullable): why it did not start, or what its function failed with */
  GQueue          start_waiters, join_waiters;   /* (element-type MpProcessWaiter) */
  GSList         *spots;        /* (element-type MpWaitSpot): of those who wait for several objects */
  GQueue          lines;        /* (element-type MpProcessLine): captured, not emitted yet */

  /* The strong reference to the object, shared by those who need the object for a while; 0: there is none. */
  MpProcess      *object;
  guint           n_holds;
  GList           link;         /* in the list of running processes, from started to ended */
};

typedef struct
{
  MpProcessCore *core;            /* (owned) */

  /* Settings: whoever sets the object up, before the start. */
  char          *name;            /* (owned) */
  char          *function;        /* (owned) (nullable) */
  GVariant      *args;            /* (owned) (nullable) */
  GPtrArray     *objects;         /* (owned) (nullable): those in @args, until the start */
  MpContext     *context;         /* (owned) (nullable): NULL is the default one */
  GBytes        *authkey;         /* (owned) (nullable): NULL is the one of this process, until the start */
  gboolean       daemon;
  gboolean       detached;
  gboolean       capture_output;
} MpProcessPrivate;

MpProcessPrivate *mp_process_get_private (MpProcess            *self);
/* Settings are read once, at the start. */
gboolean       mp_process_is_new         (MpProcess             *self);
/* Whether its class overrides run. */
gboolean       mp_process_has_own_run    (MpProcess             *self);
/* The core of an object; lives at least as long. */
MpProcessCore *mp_process_get_core       (MpProcess             *self);
/* For the core's posts: public properties and signals of the object. In the process's context, without the lock. */
void           mp_process_emit_started   (MpProcess             *self);
void           mp_process_emit_line      (MpProcess             *self,
                                          const char            *stream,
                                          const char            *text);
void           mp_process_emit_exited    (MpProcess             *self,
                                          int                    exit_status);

MpProcessCore *mp_process_core_new       (MpProcessKind          kind);
MpProcessCore *mp_process_core_ref       (MpProcessCore         *self);
void           mp_process_core_unref     (MpProcessCore         *self);   /* never with the lock held */

/* Begins the start; more follows through the hub. Without the lock. @run: what RUN holds, sunk. */
gboolean       mp_process_core_launch    (MpProcessCore         *self,
                                          MpProcess             *object,
                                          MpContext             *context,
                                          const MpChildConfig   *config,
                                          GVariant              *run,
                                          GError               **error);
/* Complete @task (transfer full; made without callback) when the start has come to something, at the end, or at once
 * with @error (transfer full). Without the lock. */
void           mp_process_core_await_start (MpProcessCore       *self,
                                          GTask                 *task,
                                          GAsyncReadyCallback    callback,
                                          gpointer               user_data);
void           mp_process_core_await_end (MpProcessCore         *self,
                                          GTask                 *task,
                                          GAsyncReadyCallback    callback,
                                          gpointer               user_data);
void           mp_process_core_fail      (MpProcessCore         *self,
                                          GTask                 *task,
                                          GError                *error,
                                          GAsyncReadyCallback    callback,
                                          gpointer               user_data);
/* What the start failed with, NULL when it did not. With the lock held. */
GError        *mp_process_core_copy_start_error (MpProcessCore  *self);
/* Turns the hub once without running anybody's callbacks, so that what a getter says is what is. Without the lock. */
void           mp_process_core_refresh   (void);
/* Made at first use, the core's own; -1 with error. With the lock held. */
int            mp_process_core_get_sentinel (MpProcessCore      *self,
                                          GError               **error);
/* Makes @self the core of mp_process_get_parent(). @sentinel: taken. Without the lock. */
void           mp_process_core_watch_parent (MpProcessCore      *self,
                                          MpProcess             *object,
                                          int                    pid,
                                          int                    sentinel);
void           mp_process_core_reset_after_fork (void);

/* Those that run, in the order of their start: (transfer container) of references. Without the lock. */
GPtrArray     *mp_process_list_running   (void);

/* mp-active-children.c: the list of running processes has changed because of @owner. With the lock held. */
void           mp_active_children_changed (gconstpointer         owner);
void           mp_active_children_reset_after_fork (void);

/* mp-process-settings.c: packs what the worker is told, and begins the start. */
gboolean       mp_process_launch         (MpProcess             *self,
                                          GError               **error);
/* Makes a fresh object stand for a process that runs: this one or its parent. @identity: (transfer full) (nullable). */
void           mp_process_set_up         (MpProcess             *self,
                                          const char            *name,
                                          gboolean               daemon,
                                          GArray                *identity,
                                          const char            *function,
                                          GVariant              *args);

/* mp-process-worker.c. Of what kind the object is that is being made in this thread. */
MpProcessKind  mp_process_kind_being_made (void);
/* The number that the next process of this one gets, after those that lead to this one. */
GArray        *mp_process_next_identity  (void);
gboolean       mp_process_current_is_daemon (void);
/* Calls @function as the process's; FALSE with error, which has the details of mp_invocation_set_error_details(). */
gboolean       mp_process_call           (const MpFunction      *function,
                                          GVariant              *args,
                                          GError               **error);
/* In a forked child, after mp_hub_reset_after_fork(): its parent's children are not its own. */
void           mp_process_reset_after_fork (void);

/* mp-process-wait.c */
void           mp_process_waitable_init  (MpWaitableInterface   *iface);
/* It has ended. With the lock held. */
void           mp_process_core_tell_spots (MpProcessCore        *self);

/* mp-process-values.c: a{sv} (floating) of the properties that a subclass adds and that can travel; and the object made
 * of one. */
GVariant      *mp_process_pack_properties (MpProcess            *self,
                                          GError               **error);
MpProcess     *mp_process_make           (const char            *type_name,
                                          GVariant              *properties,
                                          GError               **error);

G_END_DECLS
