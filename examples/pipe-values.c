/* pipe-values.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process sends values of several kinds through a pipe. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define VALUES_TYPE "(imss)"   /* a number, perhaps a text, a text */

static GVariant *
f (GVariant  *args,
   gpointer   user_data,
   GError   **error)
{
  g_autoptr(MpShareable) connection = mp_shareable_from_variant (args, error);

  if (connection == NULL ||
      !mp_connection_send (MP_CONNECTION (connection), g_variant_new (VALUES_TYPE, 42, NULL, "hello"), -1, NULL, error))
    return NULL;

  return g_variant_new ("()");
}

static void
print_values (GVariant *values)
{
  const char *perhaps = NULL, *text = NULL;
  int number = 0;

  /* The pipe comes from a process of this program, so its messages are what was agreed on. */
  g_variant_get (values, "(im&s&s)", &number, &perhaps, &text);
  printf ("[%d, %s, '%s']\n", number, perhaps != NULL ? perhaps : "None", text);
}

int
main (void)
{
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) values = NULL;
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
      (values = mp_connection_recv (ours, -1, NULL, &error)) == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  print_values (values);

  if (!mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  return EXIT_SUCCESS;
}
