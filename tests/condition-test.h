/* condition-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of conditions have in common. */
#pragma once

#include "lock-test.h"

static MpCondition *condition;   /* of the test that runs: children made by fork() have it as well */

static inline void
lock (void)
{
  g_autoptr(GError) error = NULL;

  mp_condition_acquire (condition, LONG, NULL, &error);
  g_assert_no_error (error);
}

static inline void
unlock (void)
{
  g_autoptr(GError) error = NULL;

  mp_condition_release (condition, &error);
  g_assert_no_error (error);
}

static inline void
notify (guint n)
{
  g_autoptr(GError) error = NULL;

  lock ();
  mp_condition_notify (condition, n, &error);
  g_assert_no_error (error);
  unlock ();
}

static inline void
await_waiting (guint n)
{
  while (mp_condition_get_n_waiting (condition) != n)
    g_thread_yield ();
}
