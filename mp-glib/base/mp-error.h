/* mp-error.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_ERROR (mp_error_quark ())

typedef enum
{
  MP_ERROR_FAILED,
  MP_ERROR_EMPTY,
  MP_ERROR_FULL,
  MP_ERROR_WORKER_DIED,
  MP_ERROR_WORKER_START,
  MP_ERROR_REMOTE,
  MP_ERROR_NOT_INITIALIZED,
  MP_ERROR_NO_SUCH_FUNCTION,
  MP_ERROR_AUTHENTICATION,
  MP_ERROR_BUFFER_TOO_SHORT,
  MP_ERROR_TOO_LARGE,
  MP_ERROR_BROKEN_BARRIER,
  MP_ERROR_NOT_OWNER,
  MP_ERROR_NO_RESULT,
  MP_ERROR_INVALID_TYPE,
  MP_ERROR_PROTOCOL,
  MP_ERROR_UNSAFE_FORK,
  MP_ERROR_INTERRUPTED,
} MpError;

MP_AVAILABLE_IN_ALL
GQuark    mp_error_quark       (void);
MP_AVAILABLE_IN_ALL
GVariant *mp_error_dup_details (const GError *error);
MP_AVAILABLE_IN_ALL
void      mp_error_set_details (const GError *error,
                                GVariant     *details);
MP_AVAILABLE_IN_ALL
GBytes   *mp_error_dup_message_bytes (const GError *error);

G_END_DECLS
