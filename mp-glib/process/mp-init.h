/* mp-init.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/process/mp-function.h"

G_BEGIN_DECLS

/**
 * MpForkFunc:
 * @user_data: data given beside the function
 *
 * Forks the calling process, as fork() does, for languages whose runtime must know of it.
 *
 * Returns: 0 in the child, its pid in the parent, -1 with `errno` set on failure
 *
 * Since: 0.1
 */
typedef int (* MpForkFunc) (gpointer user_data);

/**
 * MpExitFunc:
 * @status: the exit status that the process is about to end with
 * @user_data: data given beside the function
 *
 * Does what a language's runtime does at the end of a process.
 *
 * Since: 0.1
 */
typedef void (* MpExitFunc) (int      status,
                             gpointer user_data);

MP_AVAILABLE_IN_ALL
void      mp_init                   (void);
/* For bindings: the same, but in a worker it returns the exit status when the worker's work is over, instead of ending
 * the process; -1 in the program itself. */
MP_AVAILABLE_IN_ALL
int       mp_init_returning         (void);
MP_AVAILABLE_IN_ALL
gboolean  mp_is_worker              (void);
MP_AVAILABLE_IN_ALL
GVariant *mp_worker_dup_boot_data   (void);
MP_AVAILABLE_IN_ALL
void      mp_set_fork_func          (MpForkFunc      func,
                                     gpointer        user_data,
                                     GDestroyNotify  notify);
MP_AVAILABLE_IN_ALL
void      mp_retire_worker          (void);
MP_AVAILABLE_IN_ALL
void      mp_set_worker_boot_func   (MpFunc          func,
                                     gpointer        user_data,
                                     GDestroyNotify  notify);
MP_AVAILABLE_IN_ALL
void      mp_set_worker_exit_func   (MpExitFunc      func,
                                     gpointer        user_data,
                                     GDestroyNotify  notify);
MP_AVAILABLE_IN_ALL
guint     mp_get_n_cpus             (void);
MP_AVAILABLE_IN_ALL
guint     mp_get_n_usable_cpus      (void);

G_END_DECLS
