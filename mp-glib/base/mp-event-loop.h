/* mp-event-loop.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/* For event loops other than GMainContext (asyncio): a descriptor that becomes readable when there is something to do
 * for the thread-default main context of the caller, and the function that does it. */
MP_AVAILABLE_IN_ALL
int      mp_loop_get_fd              (void);
MP_AVAILABLE_IN_ALL
void     mp_loop_dispatch            (void);

/* For bindings whose signal handlers run outside of C: while set (per thread, -1 to unset), a blocking call of this
 * thread ends with MP_ERROR_INTERRUPTED as soon as @fd is readable; it reads nothing from it. */
MP_AVAILABLE_IN_ALL
int      mp_set_interrupt_fd         (int fd);

G_END_DECLS
