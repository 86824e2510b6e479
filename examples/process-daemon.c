/* process-daemon.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process that would work for ever ends with the program. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
background_worker (GVariant  *args,
                   gpointer   user_data,
                   GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpShareable) connection = mp_shareable_from_variant (handle, error);

  if (connection == NULL)
    return NULL;

  while (mp_connection_send (MP_CONNECTION (connection), g_variant_new_string ("Working..."), -1, NULL, error))
    g_usleep (5 * G_USEC_PER_SEC);

  return NULL;
}

int
main (void)
{
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (!mp_pipe_new (TRUE, &ours, &theirs, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  handle = mp_shareable_to_variant (MP_SHAREABLE (theirs));
  process = mp_process_new (MP_FUNCTION (background_worker), g_variant_new ("(@h)", handle));
  mp_process_set_daemon (process, TRUE);
  if (!mp_process_start (process, -1, NULL, &error) ||
      (message = mp_connection_recv (ours, -1, NULL, &error)) == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("%s\n", g_variant_get_string (message, NULL));
  printf ("Main process ends\n");

  return EXIT_SUCCESS;
}
