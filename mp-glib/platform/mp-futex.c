/* mp-futex.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-futex-private.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Younger than the oldest kernel headers that this is built with. */
#ifndef SYS_futex_waitv
# define SYS_futex_waitv 449
#endif
#define WAITV_32BIT   2u
#define WAITV_PRIVATE 128u

/* Where both exist, this one takes the times below. */
#ifdef SYS_futex_time64
# define FUTEX_NUMBER SYS_futex_time64
#else
# define FUTEX_NUMBER SYS_futex
#endif

/* As the kernel has them, whatever the size of the C library's. */
typedef struct
{
  gint64 sec;
  gint64 nsec;
} KernelTime;

typedef struct
{
  guint64 expected;
  guint64 address;
  guint32 flags;
  guint32 reserved;
} KernelWait;

enum { MANY_UNKNOWN, MANY_THERE, MANY_MISSING };
static gint many;   /* atomic */

static MpFutexResult
result_of (long returned)
{
  if (returned >= 0)
    return MP_FUTEX_AWAKE;
  if (errno == ETIMEDOUT)
    return MP_FUTEX_TIMED_OUT;
  if (errno == EINTR)
    return MP_FUTEX_INTERRUPTED;
  return MP_FUTEX_AWAKE;
}

static MpFutexResult
wait_one (guint32  *word,
          guint32   expected,
          gint64    timeout_us,
          gboolean  is_private)
{
  KernelTime time = { timeout_us / G_USEC_PER_SEC, timeout_us % G_USEC_PER_SEC * 1000 };
  int op = is_private ? FUTEX_WAIT_PRIVATE : FUTEX_WAIT;

  return result_of (syscall (FUTEX_NUMBER, word, op, expected, timeout_us >= 0 ? &time : NULL, NULL, 0));
}

MpFutexResult
mp_futex_wait (guint32 *word,
               guint32  expected,
               gint64   timeout_us)
{
  return wait_one (word, expected, timeout_us, FALSE);
}

static gboolean
is_missing (void)
{
  return errno == ENOSYS || errno == EPERM || errno == EACCES;
}

gboolean
mp_futex_has_many (void)
{
  gint known = g_atomic_int_get (&many);

  if (known == MANY_UNKNOWN)
    {
      int saved_errno = errno;

      /* None to wait for: invalid, where the call exists. */
      known = syscall (SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) < 0 && is_missing ()
              ? MANY_MISSING : MANY_THERE;
      errno = saved_errno;
      g_atomic_int_set (&many, known);
    }
  return known == MANY_THERE;
}

/* For want of the call. What happens on the other words is seen late. */
static MpFutexResult
wait_blindly (const MpFutexWait *waits,
              guint              n_waits,
              gint64             timeout_us)
{
  gboolean is_cut = n_waits > 1 && (timeout_us < 0 || timeout_us > MP_FUTEX_BLIND_US);
  MpFutexResult result;
  guint i;

  for (i = 1; i < n_waits; i++)
    if (__atomic_load_n (waits[i].word, __ATOMIC_ACQUIRE) != waits[i].expected)
      return MP_FUTEX_AWAKE;

  result = wait_one (waits[0].word, waits[0].expected, is_cut ? MP_FUTEX_BLIND_US : timeout_us,
                     waits[0].is_private);
  return is_cut && result == MP_FUTEX_TIMED_OUT ? MP_FUTEX_AWAKE : result;
}

/* The call knows points in time only. */
static gboolean
deadline_of (gint64      timeout_us,
             KernelTime *deadline)
{
  struct timespec now;

  if (timeout_us < 0 || clock_gettime (CLOCK_MONOTONIC, &now) < 0)
    return FALSE;

  timeout_us = MIN (timeout_us, G_MAXINT64 / 4);
  deadline->sec = now.tv_sec + timeout_us / G_USEC_PER_SEC;
  deadline->nsec = now.tv_nsec + timeout_us % G_USEC_PER_SEC * 1000;
  if (deadline->nsec >= 1000000000)
    {
      deadline->sec++;
      deadline->nsec -= 1000000000;
    }
  return TRUE;
}

MpFutexResult
mp_futex_wait_many (const MpFutexWait *waits,
                    guint              n_waits,
                    gint64             timeout_us)
{
  KernelWait list[MP_FUTEX_MAX_MANY];
  KernelTime deadline;
  gboolean is_cut = FALSE, has_deadline;
  MpFutexResult result;
  guint i;

  g_assert (n_waits > 0);

  if (n_waits == 1)
    return wait_one (waits[0].word, waits[0].expected, timeout_us, waits[0].is_private);
  if (!mp_futex_has_many ())
    return wait_blindly (waits, n_waits, timeout_us);

  /* Too many for one call: those beyond are seen late. */
  if (n_waits > MP_FUTEX_MAX_MANY)
    {
      is_cut = timeout_us < 0 || timeout_us > MP_FUTEX_BLIND_US;
      timeout_us = is_cut ? MP_FUTEX_BLIND_US : timeout_us;
      n_waits = MP_FUTEX_MAX_MANY;
    }
  for (i = 0; i < n_waits; i++)
    list[i] = (KernelWait) { waits[i].expected, (guintptr) waits[i].word,
                             WAITV_32BIT | (waits[i].is_private ? WAITV_PRIVATE : 0), 0 };

  has_deadline = deadline_of (timeout_us, &deadline);
  result = MP_FUTEX_AWAKE;
  if (syscall (SYS_futex_waitv, list, n_waits, 0, has_deadline ? &deadline : NULL, CLOCK_MONOTONIC) < 0)
    {
      /* A program may put a filter on itself at any time. */
      if (is_missing ())
        {
          g_atomic_int_set (&many, MANY_MISSING);
          return wait_blindly (waits, n_waits, timeout_us);
        }
      result = result_of (-1);
    }
  return is_cut && result == MP_FUTEX_TIMED_OUT ? MP_FUTEX_AWAKE : result;
}

guint
mp_futex_wake (guint32  *word,
               int       n,
               gboolean  is_private)
{
  long n_woken = syscall (FUTEX_NUMBER, word, is_private ? FUTEX_WAKE_PRIVATE : FUTEX_WAKE, n, NULL, NULL, 0);

  return n_woken > 0 ? (guint) n_woken : 0;
}
