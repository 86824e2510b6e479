/* mp-init-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-init.h"

G_BEGIN_DECLS

/* What bindings have asked for. */

/* fork(), by the function of the binding where there is one. All stdio is flushed before. */
int       mp_init_fork             (void);
/* Whether it is this fork() from which a process comes that calls the library before mp_init_fork() has returned. */
gboolean  mp_init_is_forking       (void);
gboolean  mp_init_has_boot_func    (void);
/* The binding's part of the boot: imports what is to be preloaded. Result: names of it (full), or NULL with error. */
char    **mp_init_call_boot_func   (GVariant            *boot_data,
                                    const char * const  *preload,
                                    GError             **error);
/* Ends a forked worker: neither atexit handlers nor stdio of the process that it was forked from are its own. */
G_NORETURN
void      mp_init_exit_forked      (int                  status);

/* The share of the CPUs that the owner gave this worker; 0: all. */
/* @shared: (nullable) where the owner writes what it is later, 0: not yet. */
void      mp_init_set_cpu_budget   (guint                n_cpus,
                                    const guint32       *shared);
guint     mp_init_get_cpu_budget   (void);

G_END_DECLS
