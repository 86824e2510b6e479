/* helper-process-owner.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An owner for tests that end it, or look at it from outside: starts processes, prints "pid PID" for each and then
 * "ready", and does as it is told by its arguments. */

#define LONG (60 * G_USEC_PER_SEC)

static GVariant *
busy (GVariant *args, gpointer user_data, GError **error)
{
  gint64 due = g_get_monotonic_time () + 2 * LONG;
  sigset_t all;

  sigfillset (&all);
  sigprocmask (SIG_BLOCK, &all, NULL);
  /* Not for ever: the test may have been killed itself. */
  while (g_get_monotonic_time () < due)
    continue;
  return NULL;
}

static GVariant *
idle (GVariant *args, gpointer user_data, GError **error)
{
  alarm (120);
  while (TRUE)
    pause ();
  return NULL;
}

/* Outlives its parent, and says so. */
static GVariant *
wait_for_parent (GVariant *args, gpointer user_data, GError **error)
{
  MpProcess *parent = mp_process_get_parent ();

  if (!mp_process_join (parent, LONG, NULL, error))
    return NULL;
  printf ("orphan %d %d\n", mp_process_get_pid (parent),
          !mp_process_is_alive (parent) && mp_process_get_exit_status (parent) == MP_EXIT_STATUS_UNKNOWN);
  fflush (stdout);
  return g_variant_new_tuple (NULL, 0);
}

static MpProcess *
start (const char *function, MpStartMethod method, gboolean daemon, gboolean detached)
{
  g_autoptr(MpContext) context = mp_context_new (method);
  MpProcess *process = g_object_new (MP_TYPE_PROCESS, "function", function, "context", context,
                                     "daemon", daemon, "detached", detached, NULL);
  g_autoptr(GError) error = NULL;

  if (!mp_process_start (process, LONG, NULL, &error))
    g_error ("%s", error->message);
  printf ("pid %d\n", mp_process_get_pid (process));
  return process;
}

/* A child in a child: it prints its pid by itself. */
static GVariant *
parent_of_busy (GVariant *args, gpointer user_data, GError **error)
{
  start (MP_FUNCTION (busy), (MpStartMethod) g_variant_get_uint32 (args), FALSE, FALSE);
  printf ("ready\n");
  fflush (stdout);
  return idle (NULL, NULL, NULL);
}

int
main (int argc, char **argv)
{
  MpStartMethod method = MP_START_METHOD_SPAWN;
  const char *what = argc > 2 ? argv[2] : "";

  mp_init ();

  if (argc > 1 && strcmp (argv[1], "forkserver") == 0)
    method = MP_START_METHOD_FORKSERVER;
  else if (argc > 1 && strcmp (argv[1], "fork") == 0)
    method = MP_START_METHOD_FORK;

  if (strcmp (what, "nested") == 0)
    {
      g_autoptr(MpContext) context = mp_context_new (method);
      MpProcess *process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (parent_of_busy),
                                         "args", g_variant_new_uint32 (method), "context", context, NULL);

      if (!mp_process_start (process, LONG, NULL, NULL))
        return 1;
      printf ("pid %d\n", mp_process_get_pid (process));
      fflush (stdout);
      return mp_process_join (process, LONG, NULL, NULL) ? 0 : 1;
    }

  if (strcmp (what, "orphan") == 0)
    start (MP_FUNCTION (wait_for_parent), method, FALSE, TRUE);
  else
    start (MP_FUNCTION (busy), method, FALSE, strcmp (what, "detached") == 0);
  start (MP_FUNCTION (idle), method, TRUE, strcmp (what, "detached") == 0);
  printf ("ready\n");
  fflush (stdout);
  /* Until the test closes its end, or has none any more. */
  getchar ();

  return 0;
}
