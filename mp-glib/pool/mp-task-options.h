/* mp-task-options.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_TASK_OPTIONS (mp_task_options_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpTaskOptions, mp_task_options, MP, TASK_OPTIONS, GObject)

/* Properties, all readable and writable: priority (int), queue-timeout-us and run-timeout-us (int64, -1: none),
 * max-attempts (uint), idempotent (boolean), cancellable (GCancellable, nullable), name (string, nullable). */
MP_AVAILABLE_IN_ALL
MpTaskOptions *mp_task_options_new                   (void);
MP_AVAILABLE_IN_ALL
int            mp_task_options_get_priority          (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_priority          (MpTaskOptions *self,
                                                      int            priority);
MP_AVAILABLE_IN_ALL
gint64         mp_task_options_get_queue_timeout_us  (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_queue_timeout_us  (MpTaskOptions *self,
                                                      gint64         timeout_us);
MP_AVAILABLE_IN_ALL
gint64         mp_task_options_get_run_timeout_us    (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_run_timeout_us    (MpTaskOptions *self,
                                                      gint64         timeout_us);
MP_AVAILABLE_IN_ALL
guint          mp_task_options_get_max_attempts      (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_max_attempts      (MpTaskOptions *self,
                                                      guint          max_attempts);
MP_AVAILABLE_IN_ALL
gboolean       mp_task_options_get_idempotent        (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_idempotent        (MpTaskOptions *self,
                                                      gboolean       idempotent);
MP_AVAILABLE_IN_ALL
GCancellable  *mp_task_options_get_cancellable       (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_cancellable       (MpTaskOptions *self,
                                                      GCancellable  *cancellable);
MP_AVAILABLE_IN_ALL
const char    *mp_task_options_get_name              (MpTaskOptions *self);
MP_AVAILABLE_IN_ALL
void           mp_task_options_set_name              (MpTaskOptions *self,
                                                      const char    *name);

G_END_DECLS
