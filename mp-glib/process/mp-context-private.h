/* mp-context-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/process/mp-child-private.h"

#include <sys/types.h>

G_BEGIN_DECLS

/* What a context says about its processes. Immutable: a change of a property makes new settings, and a fork server or
 * a proof that the program works belongs to the settings it was started with. */
typedef struct _MpSettings MpSettings;

typedef struct _MpForkClient MpForkClient;

struct _MpSettings
{
  gatomicrefcount  ref_count;
  pid_t            pid;             /* whose they are: what was learnt means nothing in a forked child */
  MpStartMethod    start_method;
  char           **worker_argv;     /* (owned) (nullable) */
  char           **preload;         /* (owned) (nullable) */
  MpStderr         stderr_mode;
  gint64           boot_timeout;    /* µs; -1 none */
  GVariant        *boot_data;       /* (owned) (nullable) */

  /* Under the hub's lock: what has been learnt about the program. */
  gboolean         proven;          /* a spawned worker has become ready */
  MpChild         *prover;          /* (nullable) borrowed: the first one, which boots alone */
  GQueue           waiting;         /* (element-type MpChild) borrowed: those that wait for it */
  gboolean         no_fork_server;  /* it has threads at mp_init(): with AUTO processes are spawned */
  MpForkClient    *fork_client;     /* (owned) (nullable) */
  char           **preloaded;       /* (owned) (nullable): what the last ready worker had loaded */
};

/* Any thread, with or without the lock; the last reference is dropped without it. */
MpSettings *mp_settings_ref             (MpSettings   *self);
void        mp_settings_unref           (MpSettings   *self);
/* The same values, with nothing learnt. */
MpSettings *mp_settings_copy            (MpSettings   *self);

/* The settings of @context (NULL: of the default one) as they are now: (transfer full). With the lock held. */
MpSettings *mp_context_dup_settings     (MpContext    *context);

/* In a forked child: the default context begins anew, without the owner's fork server. */
void        mp_context_reset_after_fork (void);

G_END_DECLS
