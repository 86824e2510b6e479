/* process-exit-codes.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is left of a process that returned, failed, called exit(), or was killed. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
end_somehow (GVariant  *args,
             gpointer   user_data,
             GError   **error)
{
  const char *how;

  g_variant_get (args, "(&s)", &how);
  if (g_str_equal (how, "fail"))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "this does not work");
      return NULL;
    }
  if (g_str_equal (how, "exit"))
    exit (3);
  if (g_str_equal (how, "kill"))
    raise (SIGKILL);

  return g_variant_new ("()");
}

int
main (void)
{
  static const char * const hows[] = { "return", "fail", "exit", "kill" };
  g_autoptr(MpContext) context = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  /* What the failing process writes about its error is not wanted here. */
  context = mp_context_new (MP_START_METHOD_AUTO);
  mp_context_set_stderr (context, MP_STDERR_CAPTURE);

  for (guint i = 0; i < G_N_ELEMENTS (hows); i++)
    {
      g_autoptr(MpProcess) process = NULL;

      process = g_object_new (MP_TYPE_PROCESS,
                              "function", MP_FUNCTION (end_somehow),
                              "args", g_variant_new ("(s)", hows[i]),
                              "context", context,
                              NULL);
      if (!mp_process_start (process, -1, NULL, &error) || !mp_process_join (process, -1, NULL, &error))
        {
          fprintf (stderr, "%s\n", error->message);
          return EXIT_FAILURE;
        }
      printf ("%s: %d\n", hows[i], mp_process_get_exit_status (process));
    }

  return EXIT_SUCCESS;
}
