/* test-host.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "instrument-test.h"

#include <sys/wait.h>

/* No surprise for the host program. Each habit in a process of its own: see helper-host. */

static void
test_habit (const char *habit, MpStartMethod method)
{
  g_autofree char *program = g_test_build_filename (G_TEST_BUILT, "helper-host", NULL);
  g_autofree char *number = g_strdup_printf ("%d", method);
  const char *argv[] = { program, habit, number, NULL };
  g_autoptr(GError) error = NULL;
  g_autofree char *out = NULL;
  int status = -1;

  g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, &out, NULL, &status, &error);
  g_assert_no_error (error);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 77)
    {
      g_test_skip ("this kernel has no such filters");
      return;
    }
  g_assert_cmpstr (out, ==, "");
  g_assert_cmpint (status, ==, 0);
}

static void
test_outside_valgrind (const char *habit, MpStartMethod method)
{
  if (is_under_valgrind ())
    g_test_skip ("valgrind has descriptors of its own, and does not survive filters");
  else
    test_habit (habit, method);
}

static void
test_particular (gconstpointer data)
{
  test_habit ("particular", GPOINTER_TO_INT (data));
}

static void
test_greedy (gconstpointer data)
{
  test_habit ("greedy", GPOINTER_TO_INT (data));
}

static void
test_ignore (gconstpointer data)
{
  test_habit ("ignore", GPOINTER_TO_INT (data));
}

static void
test_children (gconstpointer data)
{
  test_habit ("children", GPOINTER_TO_INT (data));
}

static void
test_no_stdio (gconstpointer data)
{
  test_outside_valgrind ("no-stdio", GPOINTER_TO_INT (data));
}

static void
test_old_kernel (gconstpointer data)
{
  test_outside_valgrind ("old-kernel", GPOINTER_TO_INT (data));
}

static void
test_strict_filter (gconstpointer data)
{
  test_outside_valgrind ("strict-filter", GPOINTER_TO_INT (data));
}

static void
add_for_methods (const char *name, GTestDataFunc func)
{
  static const char * const names[] = { "auto", "spawn", "forkserver", "fork" };

  for (int method = MP_START_METHOD_SPAWN; method <= MP_START_METHOD_FORK; method++)
    {
      g_autofree char *path = g_strdup_printf ("/host/%s/%s", name, names[method]);

      g_test_add_data_func (path, GINT_TO_POINTER (method), func);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_for_methods ("particular", test_particular);
  add_for_methods ("greedy", test_greedy);
  add_for_methods ("ignore", test_ignore);
  add_for_methods ("children", test_children);
  add_for_methods ("no-stdio", test_no_stdio);
  add_for_methods ("old-kernel", test_old_kernel);
  add_for_methods ("strict-filter", test_strict_filter);
  return g_test_run ();
}
