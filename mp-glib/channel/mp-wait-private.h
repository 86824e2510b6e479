/* mp-wait-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/channel/mp-wait.h"

G_BEGIN_DECLS

/* What is waited for in one wait. It looks at everything once, with one system call for all descriptors. Only if
 * nothing is ready then, the objects are told to tell of what does not show at their descriptors: they write to the
 * one eventfd that the set has.
 *
 * One that blocks polls all the descriptors, which takes a fifth of the time that an epoll set takes to be filled and
 * emptied. One that is woken for nothing again and again, and one that does not block, make the epoll set, which is one
 * more descriptor of the hub's; from there on only what was told of is looked at.
 *
 * Not thread-safe but for what tells. */
typedef struct _MpWaitSet MpWaitSet;

/* Takes references. */
MpWaitSet  *mp_wait_set_new        (MpWaitable * const *objects,
                                    gsize               n_objects,
                                    const int          *fds,
                                    gsize               n_fds);
void        mp_wait_set_free       (MpWaitSet          *self);      /* disarmed */
/* The owners of the objects' posts, each once. */
gpointer   *mp_wait_set_get_owners (MpWaitSet          *self,
                                    guint              *n_owners);

/* FALSE with error: something cannot be waited for. */
gboolean    mp_wait_set_look       (MpWaitSet          *self,
                                    GError            **error);
/* After a look that found nothing. Looks again. To be followed by disarm(), also when it fails. */
gboolean    mp_wait_set_arm        (MpWaitSet          *self,
                                    GError            **error);
void        mp_wait_set_disarm     (MpWaitSet          *self);

/* What is to be polled, behind @n_own places for the caller; until the next call. */
GPollFD    *mp_wait_set_get_polled (MpWaitSet          *self,
                                    guint               n_own,
                                    guint              *n_fds);
/* Looks at what was found there, and what was told of. */
gboolean    mp_wait_set_take_polled (MpWaitSet         *self,
                                    GError            **error);

/* Or: makes a descriptor that is readable when collect() is to be called. Looks again. */
gboolean    mp_wait_set_use_epoll  (MpWaitSet          *self,
                                    GError            **error);
int         mp_wait_set_get_fd     (MpWaitSet          *self);      /* -1: not used */
gboolean    mp_wait_set_collect    (MpWaitSet          *self,
                                    GError            **error);

gboolean    mp_wait_set_is_ready   (MpWaitSet          *self);      /* something is */
/* In the order given, each as often as given. */
GPtrArray  *mp_wait_set_list       (MpWaitSet          *self);      /* of objects: with references */
GArray     *mp_wait_set_list_positions (MpWaitSet      *self);      /* of guint: descriptors come after the objects */

G_END_DECLS
