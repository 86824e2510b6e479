/* mp-hub-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The hub: one per process. One epoll descriptor holds everything that the owner's side waits for (workers' sockets,
 * pidfds, stderr pipes, one timerfd); one lock guards all owner-side state of the process and pool floors.
 *
 * Who turns it: a GSource on each GMainContext that has live objects (mp_hub_ref_context()), and every thread that sits
 * in a blocking call (mp_hub_wait()). There is no thread of its own.
 *
 * Rules. Watch and timer functions run with the lock held; they are the library's own, never block, never call user
 * code, never emit a signal, never drop what might be the last reference to a user-visible object or a value made by
 * the user: that is what mp_hub_post() and mp_hub_run_unlocked() are for. In particular: no g_object_ref() or
 * g_object_unref() of a public GObject under the lock, because a binding's toggle reference takes the interpreter's
 * lock there; keep the state in plain reference-counted structs that the GObjects point to. User code runs from posted calls only,
 * without the lock, in a thread that owns the context it was posted to. */

/* Makes now what would be made at first use, and end the program when there are no descriptors for it. */
void      mp_hub_prepare          (void);

/* The same for who can tell of it: FALSE with an error of the system, its message "@what: …". */
gboolean  mp_hub_try_prepare      (const char     *what,
                                   GError        **error);

/* Handlers of pthread_atfork() that wait for somebody who may want the hub's lock have to be installed after the hub's:
 * to be called before that is done. Makes no descriptors. */
void      mp_hub_watch_forks      (void);

void      mp_hub_lock             (void);
void      mp_hub_unlock           (void);   /* then runs, unlocked, what mp_hub_run_unlocked() gathered */

/* With the lock held: calls @func (@data) in this thread right after it has released the lock (at its outermost
 * mp_hub_unlock(), or when the hub is done turning). For frees that may run foreign code, and for fork(). @func may lock. */
void      mp_hub_run_unlocked     (GDestroyNotify  func,
                                   gpointer        data);

/* Watches: with the lock held. The descriptor stays the caller's. A watch may be removed from its own function. With
 * @condition 0 it sleeps: not even the end of the stream is told. A function may be called once for nothing, when two
 * threads were told of one event: it must not block. */
typedef struct _MpWatch MpWatch;
typedef void (* MpWatchFunc) (MpWatch      *watch,
                              GIOCondition  condition,
                              gpointer      data);

MpWatch  *mp_hub_add_watch        (int             fd,
                                   GIOCondition    condition,
                                   MpWatchFunc     func,
                                   gpointer        data);
void      mp_hub_modify_watch     (MpWatch        *watch,
                                   GIOCondition    condition);
/* FALSE with errno: all is as before; for descriptors of which the system may not be able to tell, those of other epoll
 * sets. */
gboolean  mp_hub_try_modify_watch (MpWatch        *watch,
                                   GIOCondition    condition);
void      mp_hub_remove_watch     (MpWatch        *watch);   /* before the descriptor is closed */

/* One-shot timers: with the lock held. @due is in g_get_monotonic_time() terms. A timer is gone once it has fired. */
typedef struct _MpTimer MpTimer;
typedef void (* MpTimerFunc) (gpointer data);

MpTimer  *mp_hub_add_timer        (gint64          due,
                                   MpTimerFunc     func,
                                   gpointer        data);
void      mp_hub_remove_timer     (MpTimer        *timer);

/* Contexts. @context NULL means the thread-default of the caller. A reference attaches the hub's source to it. Result:
 * (transfer full) the context itself; give it back with mp_hub_unref_context(). Both without the lock. */
GMainContext *mp_hub_ref_context  (GMainContext   *context);
void          mp_hub_unref_context (GMainContext  *context);   /* from any thread, with or without the lock held by nobody else */

/* Calls @func (@data) soon, once, without the lock, in a thread that owns @context: by the context's hub source, or by
 * a blocking call of @owner in a thread that can acquire the context. @destroy always runs right after, in the same
 * place. @owner is a plain key (the pool, the process …), not referenced. With the lock held. Order of posts of one
 * owner and context is kept. */
typedef void (* MpPostFunc) (gpointer data);

void      mp_hub_post             (GMainContext   *context,
                                   gconstpointer   owner,
                                   MpPostFunc      func,
                                   gpointer        data,
                                   GDestroyNotify  destroy);

/* Completes @task, which was created without callback (g_task_new (self, cancellable, NULL, NULL)): posts a call of
 * @callback (source object, task, user_data) to the task's context. Because GTask does not schedule it, a blocking call
 * of @owner can run it. The result must have been returned to the task before. Takes the reference to @task. Lock held.
 */
void      mp_hub_post_task        (GTask               *task,
                                   gconstpointer        owner,
                                   GAsyncReadyCallback  callback,
                                   gpointer             user_data);

/* For who completes a task, in a thread that owns its context, by a post of its own: after the result has been returned, so
 * that the task can go at once. Without the lock. */
void      mp_hub_complete_task    (GTask               *task);

/* Blocks until @done (@data), called with the lock held, is TRUE; turns the hub and runs the due posts of @owner
 * meanwhile (and once more before it returns, so that callbacks due are run). Called WITHOUT the lock; @done may be
 * called many times. @timeout_us: -1 for ever, 0 looks once (turning the hub once). FALSE with G_IO_ERROR_TIMED_OUT,
 * G_IO_ERROR_CANCELLED, MP_ERROR_INTERRUPTED or, when a post forked, in the copy with G_IO_ERROR_BUSY; that @done is TRUE
 * there comes first. The message is "@what: …" ("pool map", "process join").
 * May be called from callbacks (re-entrant): posts already being run by an outer frame are not run twice. */
typedef gboolean (* MpHubDone) (gpointer data);

gboolean  mp_hub_wait             (gconstpointer   owner,
                                   MpHubDone       done,
                                   gpointer        data,
                                   const char     *what,
                                   gint64          timeout_us,
                                   GCancellable   *cancellable,
                                   GError        **error);

/* The same for what belongs to several. */
gboolean  mp_hub_wait_for_owners  (const gconstpointer *owners,
                                   guint           n_owners,
                                   MpHubDone       done,
                                   gpointer        data,
                                   const char     *what,
                                   gint64          timeout_us,
                                   GCancellable   *cancellable,
                                   GError        **error);

/* The same, which ends also when there is something at one of @fds, whose revents say it then. The first
 * MP_HUB_N_OWN_FDS of them are left to the hub. */
#define MP_HUB_N_OWN_FDS 3

gboolean  mp_hub_wait_for_fds     (const gconstpointer *owners,
                                   guint           n_owners,
                                   GPollFD        *fds,
                                   guint           n_fds,
                                   MpHubDone       done,
                                   gpointer        data,
                                   const char     *what,
                                   gint64          timeout_us,
                                   GCancellable   *cancellable,
                                   GError        **error);

/* Changes in a forked copy. Without the lock. */
guint     mp_hub_get_epoch        (void);
#define MP_HUB_COPIED "%s: a callback forked this process, and the call goes on in the other one"

/* Whether this thread is in one: then a post that it runs has been called from there. */
gboolean  mp_hub_is_waiting       (void);

/* For a blocking call of @owner that waits by other means than mp_hub_wait(): runs the posts that are due, as that does.
 * Without the lock. How many that were. */
guint     mp_hub_run_due          (gconstpointer   owner);

/* Takes what the kernel has to tell, without waiting. With the lock held, and not from a watch or timer function. FALSE:
 * nothing. */
gboolean  mp_hub_turn             (void);

/* Whether there is anything to be told of. With or without the lock. */
gboolean  mp_hub_is_watching      (void);

/* This thread's, see mp_set_interrupt_fd(); -1: none. */
int       mp_hub_get_interrupt_fd (void);

/* State changed that another thread may wait for: re-evaluates its @done. With the lock held. (The hub does this
 * itself after watch and timer functions have run.) */
void      mp_hub_changed          (void);

/* Forked child, single-threaded, before anything else of the library: forgets everything, closes the hub's own
 * descriptors, does not touch the watched ones. The lock is free afterwards. */
void      mp_hub_reset_after_fork (void);

/* A program that forks by itself: its copy does the same of its own accord when it first takes the lock, and then calls
 * this, with the lock held, for the floors above. */
typedef void (* MpForkedFunc) (void);

void      mp_hub_set_forked_func  (MpForkedFunc     func);

G_END_DECLS
