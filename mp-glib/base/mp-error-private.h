/* mp-error-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-error.h"

G_BEGIN_DECLS

/* Errors as they travel between processes, and the details that go with them.
 *
 * Details are an a{sv}. Keys in use: "type" (s: remote type name), "traceback" (s), "worker" (s: name),
 * "pid" (i), "exit-status" (i: as in mp_process_get_exit_status()), "signal" (i), "stderr" (as: last lines),
 * "log" (as: last log records), "function" (s), "blob" (ay: the exception itself, for bindings); of a message that was
 * too long: "length" (t). */

/* Remembers @details (sinks a floating one) for this very error text, for mp_error_dup_details(). */
void      mp_error_attach_details (const GError *error,
                                   GVariant     *details);

/* @details: (nullable) a{sv}, sunk if floating; NULL stands for those remembered for this error. Result: (sisa{sv})
 * domain, code, message, details; (transfer full), not floating. */
GVariant *mp_error_to_variant     (const GError *error,
                                   GVariant     *details);

/* A value from another process (decoded, so in normal form): checks type and bounds texts. Never fails: a bad one
 * becomes MP_ERROR_PROTOCOL. A domain unknown in this process is registered if it looks like a quark of a program
 * (bounded in number), else MP_ERROR_REMOTE. Attaches the details to the error. @details: (out) (optional) (nullable)
 * (transfer full). */
GError   *mp_error_from_variant   (GVariant     *variant,
                                   GVariant    **details);

/* @error: of MP_ERROR. Takes @bytes, for mp_error_dup_message_bytes(). */
void      mp_error_take_bytes     (GError       *error,
                                   GBytes       *bytes);

/* For the hub: nobody is at what this file keeps while the process is forked. */
void         mp_error_before_fork      (void);
void         mp_error_after_fork       (void);

G_END_DECLS
