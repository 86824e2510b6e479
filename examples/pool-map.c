/* pool-map.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One function over many values, on four processes. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
square (GVariant  *item,
        gpointer   user_data,
        GError   **error)
{
  int x = g_variant_get_int32 (item);

  return g_variant_new_int32 (x * x);
}

int
main (void)
{
  static const int numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) squares = NULL;
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *items;

  mp_init ();

  pool = mp_pool_new (4);
  items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  squares = mp_pool_map (pool, MP_FUNCTION (square), items, 0, -1, NULL, &error);
  if (squares == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  text = g_variant_print (squares, FALSE);
  printf ("%s\n", text);

  return EXIT_SUCCESS;
}
