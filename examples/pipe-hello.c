/* pipe-hello.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process sends a text through a pipe. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
f (GVariant  *args,
   gpointer   user_data,
   GError   **error)
{
  g_autoptr(MpShareable) connection = mp_shareable_from_variant (args, error);

  if (connection == NULL ||
      !mp_connection_send (MP_CONNECTION (connection), g_variant_new_string ("hello"), -1, NULL, error))
    return NULL;

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) text = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (!mp_pipe_new (TRUE, &ours, &theirs, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  handle = mp_shareable_to_variant (MP_SHAREABLE (theirs));
  process = mp_process_new (MP_FUNCTION (f), handle);
  if (!mp_process_start (process, -1, NULL, &error) ||
      (text = mp_connection_recv (ours, -1, NULL, &error)) == NULL ||
      !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("%s\n", g_variant_get_string (text, NULL));

  return EXIT_SUCCESS;
}
