/* mp-barrier-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A store and a following load of another word, in that order as others see them, costs a fence each time: the time
 * until all that was stored before has reached the memory. Where one side does this a million times in a second and
 * the other rarely, the rare one can pay for both (membarrier()). */

/* This process takes part: mp_barrier_run() of other processes counts for it. FALSE: it does not (a kernel without,
 * or a filter of system calls); it must keep the order by itself. */
gboolean mp_barrier_join (void);
/* The same while there are no threads, and nothing when there are: then the kernel waits until all processors have been
 * somewhere else, for 10 ms and more, and whoever joins may hold a lock by the time. */
void     mp_barrier_join_early (void);
/* Every thread of every process that takes part has now, at some instant during this call, had no store pending.
 * FALSE: not so. */
gboolean mp_barrier_run  (void);

G_END_DECLS
