/* pool-chunk-sums.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Larger pieces of work for each call: ranges of numbers, given as tuples. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mp-glib/mp-glib.h>

static GVariant *
sum_of_squares (GVariant  *args,
                gpointer   user_data,
                GError   **error)
{
  gint64 first, end, sum = 0;

  g_variant_get (args, "(xx)", &first, &end);
  for (gint64 x = first; x < end; x++)
    sum += x * x;

  return g_variant_new ("(xi)", sum, getpid ());
}

int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) results = NULL;
  g_autoptr(GHashTable) pids = g_hash_table_new (NULL, NULL);
  g_autoptr(GError) error = NULL;
  GVariantBuilder ranges;
  GVariantIter iter;
  gint64 sum;
  int pid;

  mp_init ();

  g_variant_builder_init (&ranges, G_VARIANT_TYPE ("a(xx)"));
  for (gint64 first = 0; first < 10000; first += 1000)
    g_variant_builder_add (&ranges, "(xx)", first, first + 1000);

  pool = mp_pool_new (4);
  results = mp_pool_map (pool, MP_FUNCTION (sum_of_squares), g_variant_builder_end (&ranges), 0, -1, NULL, &error);
  if (results == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  g_variant_iter_init (&iter, results);
  while (g_variant_iter_next (&iter, "(xi)", &sum, &pid))
    {
      g_hash_table_add (pids, GINT_TO_POINTER (pid));
      printf ("sum: %" G_GINT64_FORMAT "\n", sum);
    }
  printf ("by other processes: %s\n",
          !g_hash_table_contains (pids, GINT_TO_POINTER (getpid ())) && g_hash_table_size (pids) <= 4 ? "yes" : "no");

  return EXIT_SUCCESS;
}
