/* mp-backend.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <glib.h>

G_BEGIN_DECLS

/**
 * MpBackend:
 * @MP_BACKEND_PROCESSES: a process each: nothing that a task does harms the program
 * @MP_BACKEND_THREADS: a thread each of this process: for functions in C that release what they compute to nobody else, and
 *   for Python's while they wait or compute without the interpreter's lock
 * @MP_BACKEND_INLINE: none: tasks run in the caller, in an order and with failures that a seed decides, for tests
 *
 * What the workers of a pool are.
 *
 * See [class@Mp.Pool].
 *
 * Since: 0.1
 */
typedef enum
{
  MP_BACKEND_PROCESSES,
  MP_BACKEND_THREADS,
  MP_BACKEND_INLINE,
} MpBackend;

G_END_DECLS
