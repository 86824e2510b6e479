/* mp-process.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/process/mp-context.h"

G_BEGIN_DECLS

/* mp_process_get_exit_status(): 0 and positive as given to exit(), minus the number of the signal, or one of these. */
#define MP_EXIT_STATUS_RUNNING (-2147483647 - 1)   /* not started, or not ended */
#define MP_EXIT_STATUS_UNKNOWN (-2147483647)       /* ended, but somebody else took the status */

#define MP_TYPE_PROCESS (mp_process_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_DERIVABLE_TYPE (MpProcess, mp_process, MP, PROCESS, GObject)

/**
 * MpProcessClass:
 * @parent_class: the parent class
 * @run: what the process does, called in the worker: TRUE on success, FALSE with an error set; the default calls
 *   [property@Mp.Process:function]
 *
 * Since: 0.1
 */
struct _MpProcessClass
{
  GObjectClass parent_class;

  gboolean (* run) (MpProcess  *self,
                    GError    **error);

  /*< private >*/
  gpointer padding[8];
};

MP_AVAILABLE_IN_ALL
MpProcess  *mp_process_new                (const char *function,
                                           GVariant   *args);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_start              (MpProcess     *self,
                                           gint64         timeout_us,
                                           GCancellable  *cancellable,
                                           GError       **error);
MP_AVAILABLE_IN_ALL
void        mp_process_start_async        (MpProcess           *self,
                                           GCancellable        *cancellable,
                                           GAsyncReadyCallback  callback,
                                           gpointer             user_data);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_start_finish       (MpProcess     *self,
                                           GAsyncResult  *result,
                                           GError       **error);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_join               (MpProcess     *self,
                                           gint64         timeout_us,
                                           GCancellable  *cancellable,
                                           GError       **error);
MP_AVAILABLE_IN_ALL
void        mp_process_join_async         (MpProcess           *self,
                                           GCancellable        *cancellable,
                                           GAsyncReadyCallback  callback,
                                           gpointer             user_data);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_join_finish        (MpProcess     *self,
                                           GAsyncResult  *result,
                                           GError       **error);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_run                (MpProcess  *self,
                                           GError    **error);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_is_alive           (MpProcess *self);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_terminate          (MpProcess  *self,
                                           GError    **error);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_kill               (MpProcess  *self,
                                           GError    **error);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_interrupt          (MpProcess  *self,
                                           GError    **error);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_close              (MpProcess  *self,
                                           GError    **error);
MP_AVAILABLE_IN_ALL
int         mp_process_get_pid            (MpProcess *self);
MP_AVAILABLE_IN_ALL
int         mp_process_get_exit_status    (MpProcess *self);
MP_AVAILABLE_IN_ALL
int         mp_process_get_sentinel       (MpProcess  *self,
                                           GError    **error);
MP_AVAILABLE_IN_ALL
const char *mp_process_get_name           (MpProcess *self);
MP_AVAILABLE_IN_ALL
void        mp_process_set_name           (MpProcess  *self,
                                           const char *name);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_get_daemon         (MpProcess *self);
MP_AVAILABLE_IN_ALL
void        mp_process_set_daemon         (MpProcess *self,
                                           gboolean   daemon);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_get_detached       (MpProcess *self);
MP_AVAILABLE_IN_ALL
void        mp_process_set_detached       (MpProcess *self,
                                           gboolean   detached);
MP_AVAILABLE_IN_ALL
gboolean    mp_process_get_capture_output (MpProcess *self);
MP_AVAILABLE_IN_ALL
void        mp_process_set_capture_output (MpProcess *self,
                                           gboolean   capture);
MP_AVAILABLE_IN_ALL
GBytes     *mp_process_dup_authkey        (MpProcess *self);
MP_AVAILABLE_IN_ALL
void        mp_process_set_authkey        (MpProcess *self,
                                           GBytes    *authkey);
MP_AVAILABLE_IN_ALL
GError     *mp_process_dup_error          (MpProcess *self);
MP_AVAILABLE_IN_ALL
const char *mp_process_get_function       (MpProcess *self);
MP_AVAILABLE_IN_ALL
GVariant   *mp_process_dup_args           (MpProcess *self);
MP_AVAILABLE_IN_ALL
MpContext  *mp_process_get_context        (MpProcess *self);
MP_AVAILABLE_IN_ALL
MpProcess  *mp_process_get_current        (void);
MP_AVAILABLE_IN_ALL
MpProcess  *mp_process_get_parent         (void);
MP_AVAILABLE_IN_ALL
GListModel *mp_get_active_children        (void);

G_END_DECLS
