/* mp-bounded-semaphore.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/sync/mp-semaphore.h"

G_BEGIN_DECLS

#define MP_TYPE_BOUNDED_SEMAPHORE (mp_bounded_semaphore_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpBoundedSemaphore, mp_bounded_semaphore, MP, BOUNDED_SEMAPHORE, MpSemaphore)

MP_AVAILABLE_IN_ALL
MpBoundedSemaphore *mp_bounded_semaphore_new         (guint               value) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
guint               mp_bounded_semaphore_get_maximum (MpBoundedSemaphore *self);

G_END_DECLS
