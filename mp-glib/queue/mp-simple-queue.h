/* mp-simple-queue.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/queue/mp-queue.h"

G_BEGIN_DECLS

#define MP_TYPE_SIMPLE_QUEUE (mp_simple_queue_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpSimpleQueue, mp_simple_queue, MP, SIMPLE_QUEUE, MpQueue)

MP_AVAILABLE_IN_ALL
MpSimpleQueue *mp_simple_queue_new      (void) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
