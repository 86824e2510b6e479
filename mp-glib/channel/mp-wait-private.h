/* mp-wait-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/channel/mp-wait.h"

G_BEGIN_DECLS

/* What is waited for in one wait. It looks at everything once, with one system call for all descriptors. Only if nothing
 * is ready then, these go into an epoll set, and from there on only what was told of is looked at again. Objects that
 * tell by themselves write to the one eventfd that the set has. The set itself is one more descriptor of the hub's, so
 * that the threads that wait, and the main contexts, do meanwhile what is to be done for workers.
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
/* After a look that found nothing: makes the descriptor, which is readable when collect() is to be called. Looks again. To
 * be followed by disarm(), also when it fails. */
gboolean    mp_wait_set_arm        (MpWaitSet          *self,
                                    GError            **error);
int         mp_wait_set_get_fd     (MpWaitSet          *self);
/* Looks at what was told of. */
gboolean    mp_wait_set_collect    (MpWaitSet          *self,
                                    GError            **error);
void        mp_wait_set_disarm     (MpWaitSet          *self);

gboolean    mp_wait_set_is_ready   (MpWaitSet          *self);      /* something is */
/* In the order given, each as often as given. */
GPtrArray  *mp_wait_set_list       (MpWaitSet          *self);      /* of objects: with references */
GArray     *mp_wait_set_list_positions (MpWaitSet      *self);      /* of guint: descriptors come after the objects */

G_END_DECLS
