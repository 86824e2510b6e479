/* mp-semaphore-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/sync/mp-semaphore.h"
#include "mp-glib/sync/mp-sync-object-private.h"

G_BEGIN_DECLS

struct _MpSemaphore
{
  MpSyncObject parent_instance;

  guint        initial;         /* as asked for */
  gboolean     returns_units;   /* as asked for */
};

/* In the flags of the slot: `initial` is its maximum. */
#define MP_SEMAPHORE_BOUNDED (1u << 0)

/* The most that a semaphore can have, as SEM_VALUE_MAX of POSIX systems. */
#define MP_SEMAPHORE_MAX ((guint) G_MAXINT32)

/* The state's word: the value in the lower half; above it the maximum, which is MP_SEMAPHORE_MAX when there is none; the
 * highest bit says that it is a signal. */
#define MP_SEMAPHORE_IS_SIGNAL       (G_GUINT64_CONSTANT (1) << 63)
#define MP_SEMAPHORE_VALUE(word)     ((guint32) (word))
#define MP_SEMAPHORE_MAXIMUM(word)   ((guint32) ((word) >> 32) & MP_SEMAPHORE_MAX)

guint64 mp_semaphore_read (MpSemaphore *self);   /* without the cell */

G_END_DECLS
