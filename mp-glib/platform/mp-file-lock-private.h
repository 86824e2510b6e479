/* mp-file-lock-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Open-file-description locks on bytes of a memory file: the kernel drops them when the last descriptor of the open file
 * description is closed, by whatever death of its process, in whatever pid namespace; also when that descriptor was on
 * its way in a socket. Descriptors that were dup()ed, inherited by fork() or sent are one description, and share a lock:
 * mp_file_lock_reopen() gives one of its own. The bytes need not exist in the file. */

/* A new open file description of the same file (by /proc/self/fd), CLOEXEC, ≥ 3. Never waits. -1 sets errno. */
int      mp_file_lock_reopen (int      fd);
/* Never waits. FALSE sets errno: EAGAIN when another description has it. */
gboolean mp_file_lock_take   (int      fd,
                              guint64  byte,
                              gboolean exclusive);
void     mp_file_lock_drop   (int      fd,
                              guint64  byte);
/* Whether another description than that of @fd has a lock on any of these bytes. */
gboolean mp_file_lock_is_taken (int      fd,
                                guint64  first,
                                guint64  n_bytes);

G_END_DECLS
