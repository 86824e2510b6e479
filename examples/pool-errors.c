/* pool-errors.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An error in a worker is an error of the call. With a result iterator it is that of one item, and the others go on. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
risky_function (GVariant  *item,
                gpointer   user_data,
                GError   **error)
{
  int x = g_variant_get_int32 (item);

  if (x == 3)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "Cannot process value %d", x);
      return NULL;
    }

  return g_variant_new_int32 (x * 10);
}

int
main (void)
{
  static const int numbers[] = { 1, 2, 3, 4 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) items = NULL;
  g_autoptr(GVariant) results = NULL;
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  pool = mp_pool_new (2);
  items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  g_variant_ref_sink (items);

  results = mp_pool_map (pool, MP_FUNCTION (risky_function), items, 0, -1, NULL, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT))
    printf ("Caught worker exception: %s\n", error->message);
  g_clear_error (&error);

  iter = mp_pool_imap (pool, MP_FUNCTION (risky_function), items, 1, &error);
  for (gsize i = 0; iter != NULL && i < mp_result_iter_get_n_items (iter); i++)
    {
      g_autoptr(GVariant) result = mp_result_iter_next (iter, -1, NULL, &error);

      if (result != NULL)
        printf ("%d: %d\n", numbers[i], g_variant_get_int32 (result));
      else if (error != NULL)
        printf ("%d: %s\n", numbers[i], error->message);
      else
        break;  /* the pool has given up; the last error says why */
      g_clear_error (&error);
    }

  return EXIT_SUCCESS;
}
