/* instrument-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <poll.h>
#include <string.h>

/* What tests have to know of the instrument under which they run: valgrind or the thread sanitizer. That it is slow, the
 * environment says, MP_TESTS_SLOW; for valgrind that is most true of large messages, of which it checks for each system
 * call all that is left. */

#if defined (__SANITIZE_THREAD__)
# define UNDER_THREAD_SANITIZER TRUE
#elif defined (__has_feature)
# if __has_feature (thread_sanitizer)
#  define UNDER_THREAD_SANITIZER TRUE
# endif
#endif
#ifndef UNDER_THREAD_SANITIZER
# define UNDER_THREAD_SANITIZER FALSE
#endif

/* It keeps what was freed for a while, to see who still uses it. */
#if defined (__SANITIZE_ADDRESS__)
# define UNDER_ADDRESS_SANITIZER TRUE
#elif defined (__has_feature)
# if __has_feature (address_sanitizer)
#  define UNDER_ADDRESS_SANITIZER TRUE
# endif
#endif
#ifndef UNDER_ADDRESS_SANITIZER
# define UNDER_ADDRESS_SANITIZER FALSE
#endif

static inline gboolean
is_slow (void)
{
  return g_getenv ("MP_TESTS_SLOW") != NULL;
}

static inline gboolean
is_under_valgrind (void)
{
  const char *preload = g_getenv ("LD_PRELOAD");

  return preload != NULL && strstr (preload, "vgpreload") != NULL;
}

/* Why this process cannot be forked as the start method fork does it, or NULL. */
static inline const char *
get_reason_not_to_fork (void)
{
  if (UNDER_THREAD_SANITIZER)
    return "the thread sanitizer has a thread of its own, so that fork is refused";
  if (is_under_valgrind ())
    return "valgrind finds lost what a forked copy of the tests has no use for any more";
  return NULL;
}

/* Whether a process, that need not be our child, ends within the time. @pidfd is -1 under valgrind, which has no
 * pidfd_open(): there is nothing but to look again and again. */
static inline gboolean
ends_within (int pid, int pidfd, int timeout_ms)
{
  struct pollfd fd = { .fd = pidfd, .events = POLLIN };
  gint64 due = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", pid);

  if (pidfd >= 0)
    return poll (&fd, 1, timeout_ms) == 1;
  while (TRUE)
    {
      g_autofree char *stat = NULL;

      if (!g_file_get_contents (path, &stat, NULL, NULL) || strstr (stat, ") Z ") != NULL)
        return TRUE;
      if (g_get_monotonic_time () > due)
        return FALSE;
    }
}

/* Whether the kernel keeps to a limit of descriptors that a test sets; skips the test otherwise. */
static inline gboolean
limit_is_real (void)
{
  if (!is_under_valgrind ())
    return TRUE;

  g_test_skip ("valgrind keeps the limit of descriptors to itself, and does not survive it either");
  return FALSE;
}

/* Stands for a test that cannot run: @reason is its data. */
static inline void
skip_test (gconstpointer reason)
{
  g_test_skip (reason);
}
