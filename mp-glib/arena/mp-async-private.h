/* mp-async-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"

G_BEGIN_DECLS

/* Asynchronous waits on slots: one thread for the process, from the first such wait on, that runs no user code and touches no
 * object of the user's. It sleeps on this process's doorbells, one for each arena; whoever changes a slot rings the
 * participants that it finds in `watchers`. Waits for one slot are served in their order; a wait costs neither a thread nor a
 * descriptor. A slice of MP_CELL_SLICE_US bounds every sleep while there are waits, for owners that die.
 *
 * The thread is stopped before a fork() and started again after it in the parent; the child has no waits.
 * It blocks all signals. */

typedef struct _MpAsyncWait MpAsyncWait;

/* Looks whether it is this wait's turn, and takes what there is to take; no lock of the library's is held, any thread. */
typedef gboolean (* MpAsyncTry)  (const MpSlotRef *ref,
                                  gpointer         data);
/* Called with the hub's lock held, once, after try was TRUE: @data is the caller's again. To post, not to do. */
typedef void     (* MpAsyncDone) (gpointer         data);

/* @ref must stay valid until done() or a successful mp_async_cancel(). */
MpAsyncWait *mp_async_add    (const MpSlotRef *ref,
                              MpAsyncTry       try_func,
                              MpAsyncDone      done_func,
                              gpointer         data);
/* TRUE: the wait is gone, done() is not called any more. FALSE: done() has been called or is about to be. */
gboolean     mp_async_cancel (MpAsyncWait     *wait);
/* How many wait: for tests. */
guint        mp_async_count  (void);
gboolean     mp_async_thread_runs (void);

/* Words on which threads of this process sleep in a blocking call on a slot: woken for posts and cancellations. */
void         mp_async_wake_blocked (gconstpointer owner);

G_END_DECLS
