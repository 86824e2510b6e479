/* pool-primes.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Heavy work for each value, on all usable CPUs. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
is_prime (GVariant  *item,
          gpointer   user_data,
          GError   **error)
{
  gint64 n = g_variant_get_int64 (item);

  if (n < 2 || (n % 2 == 0 && n != 2))
    return g_variant_new_boolean (FALSE);
  for (gint64 i = 3; i * i <= n; i += 2)
    if (n % i == 0)
      return g_variant_new_boolean (FALSE);

  return g_variant_new_boolean (TRUE);
}

int
main (void)
{
  static const gint64 numbers[] = { 10000019, 10000033, 10000079, 10000081 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) results = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *items;

  mp_init ();

  pool = mp_pool_new (0);
  items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT64, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  results = mp_pool_map (pool, MP_FUNCTION (is_prime), items, 1, -1, NULL, &error);
  if (results == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      gboolean prime;

      g_variant_get_child (results, i, "b", &prime);
      printf ("%" G_GINT64_FORMAT " prime? %s\n", numbers[i], prime ? "yes" : "no");
    }

  return EXIT_SUCCESS;
}
