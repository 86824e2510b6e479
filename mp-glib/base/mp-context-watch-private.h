/* mp-context-watch-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* A descriptor that a main context looks at. All those of a context are in one epoll set, which is what it polls: a
 * turn of a context with a thousand of them costs what is ready, not what is there.
 *
 * The functions run in a thread that has the context, without any lock, and never one in itself: not for what is ready
 * while a function of the same watch iterates the context. Descriptors that are always ready do not keep others from
 * their turn, nor other sources of the context from theirs.
 *
 * All may be called in any thread, and under locks: the lock in here is the last one that is taken. A forked copy of the
 * process has the watches, too, and a set of its own. */
typedef struct _MpContextWatch MpContextWatch;

typedef void (* MpContextWatchFunc) (gpointer      object,
                                     GMainContext *context);

/* @context must live as long as the watch. @object is referenced only while @func runs with it. mp_hub_watch_forks()
 * must have been called. */
MpContextWatch *mp_context_watch_new  (GMainContext       *context,
                                       GObject            *object,
                                       MpContextWatchFunc  func);

/* What is waited for; with @condition 0 not even the end of the stream. @fd: always the same, or -1 with @condition 0:
 * it is going to be closed. @now: the function has something to do anyway. It may also be called for nothing. */
void            mp_context_watch_set  (MpContextWatch     *self,
                                       int                 fd,
                                       GIOCondition        condition,
                                       gboolean            now);

/* Before the descriptor is closed. The function may be running in another thread. */
void            mp_context_watch_free (MpContextWatch     *self);

/* For the hub's handlers of fork(). */
void            mp_context_watch_before_fork (void);
void            mp_context_watch_after_fork  (gboolean     is_copy);

G_END_DECLS
