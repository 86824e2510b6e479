/* mp-hub-state-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-poll-private.h"

G_BEGIN_DECLS

/* What the files of the hub share: mp-hub.c (the lock, watches, timers, turning), mp-hub-post.c (contexts and posts),
 * mp-hub-wait.c (blocking). Everything here is guarded by the hub's lock, and every function is called with it held. */

/* Events taken from the kernel at once. */
#define MP_HUB_BATCH 64

/* A main context that has live objects, or posts to be run. */
typedef struct _MpHubContext MpHubContext;
struct _MpHubContext
{
  GMainContext *context;      /* (owned) */
  GSource      *source;       /* (owned) */
  guint         n_refs;       /* objects, pending posts, and frames that are using the record */
  guint         n_held;       /* of these: by mp_hub_ref_context() */
  GQueue        posts;        /* in order of their numbers */
  GHashTable   *owners;       /* (owned): owner → its posts among these */
  gboolean      woken;        /* its thread has been told of the posts, and has not yet come */
  gboolean      dirty;        /* in the list of those to be told */
  MpHubContext *next_dirty;
  int           event_fd;     /* -1, or for another kind of event loop: readable while there are posts, … */
  int           poll_fd;      /* … and an epoll descriptor with this and the hub's own in it */
  gboolean      signalled;
  guint         epoch;
};

/* A blocking call that is asleep. Lies on the stack of its thread. */
typedef struct
{
  GList         link;
  const gconstpointer *owners;   /* (array length=n_owners) */
  guint         n_owners;
  MpHubDone     done;
  gpointer      data;
  int           event_fd;     /* wakes it, unless it is the leader; -1: it looks again by itself */
  gboolean      wanted;       /* there is a new post of one of its owners */
  gboolean      kicked;       /* it has been woken */
} MpHubSleeper;

typedef struct
{
  guint         depth;        /* how often the thread that has the lock has taken it */
  guint         epoch;        /* counts forks: what was made before one belongs to the parent */
  int           epfd;         /* -1: the hub is not there yet */
  int           timer_fd;
  int           kick_fd;      /* in the epoll set: wakes the leader, who alone clears it */

  GHashTable   *contexts;     /* (nullable): GMainContext → MpHubContext */
  MpHubContext *dirty;
  guint64       last_post;    /* number of the post made last */
  guint         n_posts;      /* atomic: who finds none does without the lock */

  GQueue        sleepers;
  MpHubSleeper *leader;       /* the one of them that waits for the kernel's events */
} MpHub;

extern MpHub mp_hub;

/* mp-hub.c */
void          mp_hub_ensure           (void);
gboolean      mp_hub_try_ensure       (void);   /* FALSE with errno: there are no descriptors for it */
/* Lets go of the lock to sleep, without the duties of mp_hub_unlock(). */
void          mp_hub_release          (void);
gboolean      mp_hub_has_deferred     (void);
gboolean      mp_hub_dispatch_events  (const MpPollEvent *events,
                                       int                n_events);

/* mp-hub-post.c */
void          mp_hub_wake_contexts    (void);
/* Runs, without the lock, the posts of @owner whose context this thread has or can acquire. How many that were. */
guint         mp_hub_run_posts        (gconstpointer      owner);
void          mp_hub_forget_contexts  (void);

/* mp-hub-wait.c */
void          mp_hub_wake_sleepers    (void);
void          mp_hub_forget_sleepers  (void);

/* For mp-event-loop.c; these take the lock themselves. */
int           mp_hub_get_external_fd   (GMainContext     *context);
void          mp_hub_dispatch_external (GMainContext     *context);
int           mp_hub_set_interrupt_fd  (int               fd);

G_END_DECLS
