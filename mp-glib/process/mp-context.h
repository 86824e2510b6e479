/* mp-context.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/**
 * MpStartMethod:
 * @MP_START_METHOD_AUTO: the fork server where that is safe, else spawn
 * @MP_START_METHOD_SPAWN: the program's command line is run again; works everywhere
 * @MP_START_METHOD_FORKSERVER: a copy of the program that came as far as [func@Mp.init] with one thread forks each
 * @MP_START_METHOD_FORK: this process is forked, which must have one thread
 *
 * How a process is started.
 *
 * Since: 0.1
 */
typedef enum
{
  MP_START_METHOD_AUTO,
  MP_START_METHOD_SPAWN,
  MP_START_METHOD_FORKSERVER,
  MP_START_METHOD_FORK,
} MpStartMethod;

/**
 * MpStderr:
 * @MP_STDERR_INHERIT: it is the owner's
 * @MP_STDERR_CAPTURE: its lines go to the owner, which does not write them
 * @MP_STDERR_TEE: its lines go to the owner, which also writes them to its own standard error
 *
 * What becomes of a worker's standard error once it is ready; before that it is always kept for messages.
 *
 * Since: 0.1
 */
typedef enum
{
  MP_STDERR_INHERIT,
  MP_STDERR_CAPTURE,
  MP_STDERR_TEE,
} MpStderr;

#define MP_TYPE_CONTEXT (mp_context_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpContext, mp_context, MP, CONTEXT, GObject)

/* Properties: start-method (MpStartMethod, construct), worker-argv (strv, nullable), preload (strv: paths of GModules,
 * or module names for bindings), stderr (MpStderr), boot-timeout (gint64 µs, default 30 s; -1 none), boot-data
 * (variant, nullable: for bindings, handed to the worker before it is ready). */
MP_AVAILABLE_IN_ALL
MpContext          *mp_context_new                (MpStartMethod        start_method);
MP_AVAILABLE_IN_ALL
MpContext          *mp_context_get_default        (void);
MP_AVAILABLE_IN_ALL
MpStartMethod       mp_context_get_start_method   (MpContext           *self);
MP_AVAILABLE_IN_ALL
const char * const *mp_context_get_worker_argv    (MpContext           *self);
MP_AVAILABLE_IN_ALL
void                mp_context_set_worker_argv    (MpContext           *self,
                                                   const char * const  *argv);
MP_AVAILABLE_IN_ALL
const char * const *mp_context_get_preload        (MpContext           *self);
MP_AVAILABLE_IN_ALL
void                mp_context_set_preload        (MpContext           *self,
                                                   const char * const  *modules);
MP_AVAILABLE_IN_ALL
char              **mp_context_dup_preloaded      (MpContext           *self);
MP_AVAILABLE_IN_ALL
MpStderr            mp_context_get_stderr         (MpContext           *self);
MP_AVAILABLE_IN_ALL
void                mp_context_set_stderr         (MpContext           *self,
                                                   MpStderr             mode);
MP_AVAILABLE_IN_ALL
gint64              mp_context_get_boot_timeout   (MpContext           *self);
MP_AVAILABLE_IN_ALL
void                mp_context_set_boot_timeout   (MpContext           *self,
                                                   gint64               timeout_us);
MP_AVAILABLE_IN_ALL
GVariant           *mp_context_dup_boot_data      (MpContext           *self);
MP_AVAILABLE_IN_ALL
void                mp_context_set_boot_data      (MpContext           *self,
                                                   GVariant            *boot_data);
MP_AVAILABLE_IN_ALL
MpStartMethod      *mp_context_list_start_methods (gsize               *n_methods);

G_END_DECLS
