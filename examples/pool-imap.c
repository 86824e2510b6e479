/* pool-imap.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results one by one while the rest is still being computed: in the order of the items, and as they come. */

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

static void
print_all (MpResultIter *iter,
           const char   *title)
{
  g_autoptr(GError) error = NULL;
  GVariant *value;

  while ((value = mp_result_iter_next (iter, G_USEC_PER_SEC * 60, NULL, &error)) != NULL)
    {
      printf ("%s: %d\n", title, g_variant_get_int32 (value));
      g_variant_unref (value);
    }
  if (error != NULL)
    printf ("%s: %s\n", title, error->message);
}

int
main (void)
{
  static const int numbers[] = { 0, 1, 2, 3, 4 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) items = NULL;
  g_autoptr(MpResultIter) ordered = NULL;
  g_autoptr(MpResultIter) unordered = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  pool = mp_pool_new (2);
  items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  g_variant_ref_sink (items);

  ordered = mp_pool_imap (pool, MP_FUNCTION (square), items, 1, &error);
  if (ordered != NULL)
    unordered = mp_pool_imap_unordered (pool, MP_FUNCTION (square), items, 1, &error);
  if (unordered == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  print_all (ordered, "next");
  print_all (unordered, "got");

  return EXIT_SUCCESS;
}
