/* process-terminate.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process of a context's own start method, from its start to its end by a signal. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
sleep_long (GVariant  *args,
            gpointer   user_data,
            GError   **error)
{
  int seconds;

  g_variant_get (args, "(i)", &seconds);
  g_usleep (seconds * G_USEC_PER_SEC);

  return g_variant_new ("()");
}

static const char *
yes_or_no (gboolean value)
{
  return value ? "yes" : "no";
}

int
main (void)
{
  g_autoptr(MpContext) context = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) args = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  args = g_variant_ref_sink (g_variant_new ("(i)", 1000));
  context = mp_context_new (MP_START_METHOD_SPAWN);
  process = g_object_new (MP_TYPE_PROCESS,
                          "function", MP_FUNCTION (sleep_long),
                          "args", args,
                          "context", context,
                          NULL);
  printf ("new: alive %s\n", yes_or_no (mp_process_is_alive (process)));

  if (!mp_process_start (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("started: alive %s\n", yes_or_no (mp_process_is_alive (process)));

  if (!mp_process_terminate (process, &error) || !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("joined: alive %s\n", yes_or_no (mp_process_is_alive (process)));
  printf ("ended by SIGTERM: %s\n", yes_or_no (mp_process_get_exit_status (process) == -SIGTERM));

  return EXIT_SUCCESS;
}
