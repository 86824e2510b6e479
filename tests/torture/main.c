/* main.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture-private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each primitive has a conductor of its own, in a process of its own: this process runs them one after the
 * other. */

static const TorturePrimitive *const primitives[] = {
  &torture_self,
  &torture_arena,
  &torture_cell,
  &torture_lock,
  &torture_semaphore,
  &torture_event,
  &torture_rlock,
  &torture_condition,
  &torture_barrier,
  &torture_joinable_queue,
  &torture_memory,
  &torture_queue,
  &torture_value,
  &torture_ring,
  &torture_transport,
  &torture_connection,
  &torture_connection_waits,
  &torture_listener,
};

#define LONG_FORM 5000   /* from so many kills on, every point must have been reached */

static gint64  seed = -1;
static int     n_kills = 200;
static double  limit = 1;
static gboolean broken;
static gboolean list;
static char  **names;

static const GOptionEntry entries[] = {
  { "kills", 'k', 0, G_OPTION_ARG_INT, &n_kills, "How many, for each primitive (200)", "N" },
  { "seed", 's', 0, G_OPTION_ARG_INT64, &seed, "What chance begins with (it is only part of what happens)", "N" },
  { "limit", 0, 0, G_OPTION_ARG_DOUBLE, &limit, "How long a survivor may be without progress (1)", "SECONDS" },
  { "broken", 'b', 0, G_OPTION_ARG_NONE, &broken, "Run variants with a fault instead, which must be caught", NULL },
  { "list", 'l', 0, G_OPTION_ARG_NONE, &list, "List primitives and points", NULL },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &names, NULL, "[PRIMITIVE…]" },
  { NULL }
};

static int
run_one (const TorturePrimitive *primitive,
         guint                   variant)
{
  TortureOptions options = { seed, n_kills, variant, limit * G_USEC_PER_SEC,
                             variant == 0 && n_kills >= LONG_FORM };
  pid_t pid = fork ();
  int status;

  if (pid == 0)
    {
      int result;

      prctl (PR_SET_PDEATHSIG, SIGKILL);
      /* A conductor that hangs itself: nothing it does takes long. */
      alarm (120 + n_kills / 20);
      result = torture_conduct (primitive, &options);
      fflush (stdout);
      _exit (result);
    }
  if (pid < 0)
    g_error ("torture: fork: %s", g_strerror (errno));
  while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  if (primitive->sweep != NULL)
    primitive->sweep (pid);
  if (WIFEXITED (status))
    return WEXITSTATUS (status);
  g_printerr ("%s: the conductor died by signal %d\n", primitive->name, WTERMSIG (status));
  return 1;
}

static int
run_broken (const TorturePrimitive *primitive)
{
  int result = 0;

  for (guint i = 0; primitive->broken != NULL && primitive->broken[i] != NULL; i++)
    result |= run_one (primitive, i + 1);
  return result;
}

static gboolean
is_wanted (const TorturePrimitive *primitive)
{
  return names == NULL || g_strv_contains ((const char *const *) names, primitive->name);
}

static void
print_list (void)
{
  guint n_points = torture_number_points ();

  for (gsize i = 0; i < G_N_ELEMENTS (primitives); i++)
    g_print ("%s\n", primitives[i]->name);
  for (guint i = 0; i < n_points; i++)
    g_print ("  %s\n", torture_get_point_name (i));
}

int
main (int    argc,
      char **argv)
{
  g_autoptr(GOptionContext) context = g_option_context_new (NULL);
  g_autoptr(GError) error = NULL;
  guint n_run = 0;
  int result = 0;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    {
      g_printerr ("%s\n", error->message);
      return 2;
    }
  if (seed < 0)
    seed = g_get_real_time () % 1000000;
  if (list)
    {
      print_list ();
      return 0;
    }

  for (gsize i = 0; i < G_N_ELEMENTS (primitives); i++)
    if (is_wanted (primitives[i]))
      {
        n_run++;
        result |= broken ? run_broken (primitives[i]) : run_one (primitives[i], 0);
      }
  if (names != NULL && n_run < g_strv_length (names))
    {
      g_printerr ("torture: no such primitive; --list names them\n");
      return 2;
    }
  return result;
}
