/* mp-async-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"

G_BEGIN_DECLS

/* Asynchronous waits on slots: one thread for the process, from the first such wait on, that runs no user code and
 * touches no object of the user's. It sleeps on this process's doorbells, one for each arena; whoever changes a slot
 * rings the participants that it finds in `watchers`. Waits for one slot are served in their order; a wait costs
 * neither a thread nor a descriptor. A slice of MP_CELL_SLICE_US bounds every sleep while there are waits, for owners
 * that die.
 *
 * The thread is stopped before a fork() and started again after it in the parent; the child has no waits.
 * It blocks all signals. */

typedef struct _MpAsyncWait MpAsyncWait;

/* Looks whether it is this wait's turn, and takes what there is to take. In any thread, with no lock of the library's
 * held; never sleeps. */
typedef gboolean (* MpAsyncTry)  (const MpSlotRef *ref,
                                  gpointer         data);
/* Called with the hub's lock held, once, after try was TRUE: @data is the caller's again. To post, not to do. */
typedef void     (* MpAsyncDone) (gpointer         data);

/* @ref must stay valid until done() or a successful mp_async_cancel(). With or without the hub's lock; with it, done()
 * is not called before the caller has what is returned. NULL sets errno: there is no thread to be had. */
MpAsyncWait *mp_async_add    (const MpSlotRef *ref,
                              MpAsyncTry       try_func,
                              MpAsyncDone      done_func,
                              gpointer         data);
/* The same where nobody has to wait for those before: all waits for such a slot are tried. */
MpAsyncWait *mp_async_add_beside (const MpSlotRef *ref,
                              MpAsyncTry       try_func,
                              MpAsyncDone      done_func,
                              gpointer         data);
/* With the hub's lock held, and only before done() has been called: the wait is freed by either. TRUE: it is gone,
 * done() is not called any more. FALSE: done() is about to be called; or, in a forked child, the wait is the parent's. */
gboolean     mp_async_cancel (MpAsyncWait     *wait);
/* To be called before the arena's own handlers around a fork are installed: those of this file belong to every fork
 * that has them, also when the first wait begins in the midst of it. */
void         mp_async_watch_forks (void);
/* How many wait: for tests. */
guint        mp_async_count  (void);
gboolean     mp_async_thread_runs (void);

/* A thread that sleeps in a blocking call on a slot: beside the slot's own word it sleeps on @word, which changes when
 * there is something else for it to do. Lies on the thread's stack. */
typedef struct _MpAsyncBlocked MpAsyncBlocked;
struct _MpAsyncBlocked
{
  MpAsyncBlocked *next;
  MpAsyncBlocked *previous;
  gconstpointer   owner;
  guint           epoch;
  guint32         word;     /* atomic */
};

void         mp_async_begin_blocking (MpAsyncBlocked *blocked,
                                      gconstpointer   owner);
void         mp_async_end_blocking   (MpAsyncBlocked *blocked);
/* This one. Takes no lock: for the handlers of cancellables. */
void         mp_async_unblock        (MpAsyncBlocked *blocked);
/* All that block on behalf of @owner: after mp_hub_post() for it. With or without the hub's lock. */
void         mp_async_wake_blocked   (gconstpointer   owner);

G_END_DECLS
