/* mp-memory-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/platform/mp-memory-file-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* Memory files of users' data, with errors: who is refused memory is told here, not by a SIGBUS or by the kernel's killer
 * later. MP_ERROR_TOO_LARGE, with the numbers: there is not so much. MP_ERROR_FAILED: something else. The messages tell
 * the cause only; put the operation in front. */

/* A memory file of @size bytes, not 0, all zeros, that cannot shrink; add MP_MEMORY_SEAL_GROW | MP_MEMORY_SEAL_SEAL when
 * nobody is to make it larger. @name: for those who look into /proc, "mp-array". @reserve: all of it has memory; else its
 * parts are to be reserved before they are touched. -1: @error. */
int      mp_memory_create     (const char  *name,
                               gsize        size,
                               gboolean     reserve,
                               GError     **error);
/* Whether there is memory for as much more. Nothing is taken; for some kilobytes nothing is asked. */
gboolean mp_memory_check_room (guint64      more,
                               GError     **error);
/* Gives memory to a part of a file, which may lie beyond its end, if there is that much. The size stays. What has memory
 * already keeps what is in it. After an error a part of the part may have memory. */
gboolean mp_memory_reserve    (int          fd,
                               guint64      offset,
                               guint64      length,
                               GError     **error);
/* Makes it larger, at once for all who have it, with memory; never smaller, also when somebody else does the same. */
gboolean mp_memory_grow       (int          fd,
                               guint64      size,
                               GError     **error);
/* @seals: MpMemorySeals. G_IO_ERROR_BUSY: it is to be sealed against writing, and somebody has it mapped for writing. */
gboolean mp_memory_seal       (int          fd,
                               guint        seals,
                               GError     **error);
/* Sees to it that all of a file has memory. What came from a stranger (@foreign) must have it already: a number would be
 * enough else to make this process take all memory that there is. MP_ERROR_PROTOCOL then. */
gboolean mp_memory_complete   (int          fd,
                               guint64      size,
                               gboolean     foreign,
                               GError     **error);
/* What came from another process: whether it is a memory file that can never shrink, of @least to @most bytes; and, with
 * @reserve, all of it has memory from now on, though its maker did not see to it, unless that was a stranger.
 * MP_ERROR_PROTOCOL when not. The file is not taken. @size: (out) (optional). */
gboolean mp_memory_adopt      (int          fd,
                               guint64      least,
                               guint64      most,
                               gboolean     reserve,
                               guint64     *size,
                               GError     **error);
/* All of a file that nobody may have made smaller meanwhile; mp_fd_unmap() ends it. @writable: (out) (optional). */
gpointer mp_memory_map        (int          fd,
                               gsize        size,
                               gboolean    *writable,
                               GError     **error);

/* Where proc/ and the control groups are looked for; "/" again for NULL. */
void     mp_memory_set_root_for_testing (const char *root);

G_END_DECLS
