/* pool-flatten.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Data cut into chunks, mapped chunk by chunk, and the results put together again. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_ITEMS 10000
#define CHUNK   100

static GVariant *
square (GVariant  *item,
        gpointer   user_data,
        GError   **error)
{
  gint32 x = g_variant_get_int32 (item);

  return g_variant_new_int32 (x * x);
}

static GVariant *
process_chunk (GVariant  *chunk,
               gpointer   user_data,
               GError   **error)
{
  gsize n = 0;
  const gint32 *numbers = g_variant_get_fixed_array (chunk, &n, sizeof (gint32));
  g_autofree gint32 *squares = g_new (gint32, n);

  for (gsize i = 0; i < n; i++)
    squares[i] = numbers[i] * numbers[i];
  return g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, squares, n, sizeof (gint32));
}

int
main (void)
{
  static gint32 data[N_ITEMS], flattened[N_ITEMS];
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) results = NULL, same = NULL;
  g_autoptr(GError) error = NULL;
  GVariantBuilder chunks;
  GVariant *flat;
  gsize n_items = 0;

  mp_init ();

  for (int i = 0; i < N_ITEMS; i++)
    data[i] = i;
  g_variant_builder_init (&chunks, G_VARIANT_TYPE ("aai"));
  for (int i = 0; i < N_ITEMS; i += CHUNK)
    g_variant_builder_add_value (&chunks, g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, data + i, CHUNK, sizeof data[0]));

  pool = mp_pool_new (4);
  results = mp_pool_map (pool, MP_FUNCTION (process_chunk), g_variant_builder_end (&chunks), 0, -1, NULL, &error);
  if (results == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  for (gsize i = 0; i < g_variant_n_children (results); i++)
    {
      g_autoptr(GVariant) chunk = g_variant_get_child_value (results, i);
      gsize n = 0;
      const gint32 *squares = g_variant_get_fixed_array (chunk, &n, sizeof (gint32));

      for (gsize j = 0; j < n; j++)
        flattened[n_items++] = squares[j];
    }
  printf ("%d chunks, %d items, the last is %d\n", (int) g_variant_n_children (results), (int) n_items,
          flattened[n_items - 1]);

  /* The pool does both by itself. */
  flat = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, data, N_ITEMS, sizeof data[0]);
  same = mp_pool_map (pool, MP_FUNCTION (square), flat, CHUNK, -1, NULL, &error);
  flat = g_variant_ref_sink (g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, flattened, N_ITEMS, sizeof data[0]));
  printf ("the same by a map with chunks: %s\n", same != NULL && g_variant_equal (same, flat) ? "yes" : "no");
  g_variant_unref (flat);

  return EXIT_SUCCESS;
}
