/* pipe-cubes.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Two processes exchange values over a pipe. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
worker (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpShareable) connection = mp_shareable_from_variant (handle, error);
  g_autoptr(GVariant) data = NULL;
  GVariantBuilder cubes;

  if (connection == NULL ||
      (data = mp_connection_recv (MP_CONNECTION (connection), -1, NULL, error)) == NULL)
    return NULL;

  g_variant_builder_init (&cubes, G_VARIANT_TYPE ("ai"));
  for (gsize i = 0; i < g_variant_n_children (data); i++)
    {
      int x;

      g_variant_get_child (data, i, "i", &x);
      g_variant_builder_add (&cubes, "i", x * x * x);
    }
  if (!mp_connection_send (MP_CONNECTION (connection), g_variant_builder_end (&cubes), -1, NULL, error))
    return NULL;

  return g_variant_new ("()");
}

int
main (void)
{
  static const int data[] = { 1, 2, 3, 4, 5 };
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) cubes = NULL;
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *numbers;

  mp_init ();

  if (!mp_pipe_new (TRUE, &ours, &theirs, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  handle = mp_shareable_to_variant (MP_SHAREABLE (theirs));
  process = mp_process_new (MP_FUNCTION (worker), g_variant_new ("(@h)", handle));
  numbers = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, data, G_N_ELEMENTS (data), sizeof data[0]);
  if (!mp_process_start (process, -1, NULL, &error) ||
      !mp_connection_send (ours, numbers, -1, NULL, &error) ||
      (cubes = mp_connection_recv (ours, -1, NULL, &error)) == NULL ||
      !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  text = g_variant_print (cubes, FALSE);
  printf ("Cubed values: %s\n", text);

  return EXIT_SUCCESS;
}
