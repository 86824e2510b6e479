/* mp-futex-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Sleeping on words of memory, shared with other processes or not. All may return early for nothing: look again. */

#define MP_FUTEX_MAX_MANY 128   /* as FUTEX_WAITV_MAX */

typedef struct
{
  guint32  *word;
  guint32   expected;   /* sleeps only while *word has this value */
  gboolean  is_private; /* nobody outside of this process sees the word */
} MpFutexWait;

typedef enum
{
  MP_FUTEX_AWAKE,         /* woken, or some word has another value, or for nothing */
  MP_FUTEX_TIMED_OUT,
  MP_FUTEX_INTERRUPTED,   /* a signal handler has run in this thread */
} MpFutexResult;

/* @timeout_us: relative, -1 for ever. */
MpFutexResult mp_futex_wait      (guint32           *word,
                                  guint32            expected,
                                  gint64             timeout_us);
/* Several words at once, by futex_waitv(). Where the kernel has none (ENOSYS, EPERM), sleeps on the first word alone, and
 * no longer than MP_FUTEX_BLIND_US when there are others: who calls it looks at all of them each time anyway. */
#define MP_FUTEX_BLIND_US 5000
MpFutexResult mp_futex_wait_many (const MpFutexWait *waits,
                                  guint              n_waits,
                                  gint64             timeout_us);
/* How many were woken, of at most @n. */
guint         mp_futex_wake      (guint32           *word,
                                  int                n,
                                  gboolean           is_private);
gboolean      mp_futex_has_many  (void);

G_END_DECLS
