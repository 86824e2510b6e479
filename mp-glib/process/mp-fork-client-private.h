/* mp-fork-client-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/process/mp-context-private.h"

G_BEGIN_DECLS

/* The owner's side of a fork server: a spawned copy of the program that forks its processes. Plain C; all with the
 * hub's lock held. Made with the first process that needs it; gone when it dies, and another is made for the next
 * process. */

MpForkClient *mp_fork_client_ref      (MpForkClient  *self);
void          mp_fork_client_unref    (MpForkClient  *self);
/* Has @child forked, or fails it, by the server of its settings. */
void          mp_fork_client_request  (MpChild       *child);
/* @child is not to be forked any more. FALSE: it may have been. */
gboolean      mp_fork_client_cancel   (MpForkClient  *self,
                                       MpChild       *child);
/* @child has ended or is given up: no word of it is expected. */
void          mp_fork_client_drop     (MpForkClient  *self,
                                       MpChild       *child);
/* Whether there is still somebody who can tell how a child ended. */
gboolean      mp_fork_client_is_alive (MpForkClient  *self);
/* Nobody will need it: it ends when its children have. Takes the reference. */
void          mp_fork_client_retire   (MpForkClient  *self);

G_END_DECLS
