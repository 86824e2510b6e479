/* pool-futures.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Calls whose results are taken as they come to their end, which need not be the order in which they were made. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
heavy_computation (GVariant  *args,
                   gpointer   user_data,
                   GError   **error)
{
  gint64 n = g_variant_get_int64 (args), sum = 0;

  if (n < 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "nothing to add up");
      return NULL;
    }
  for (gint64 i = 0; i < n; i++)
    sum += i * i;
  return g_variant_new_int64 (sum);
}

int
main (void)
{
  static const gint64 inputs[] = { 100000, 200000, -1, 300000, 400000 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(MpFutureList) futures = NULL;
  g_autoptr(GHashTable) input_of = g_hash_table_new (NULL, NULL);
  MpFuture *future;

  mp_init ();

  pool = mp_pool_new (4);
  futures = mp_future_list_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (inputs); i++)
    {
      g_autoptr(MpFuture) call = mp_pool_submit (pool, MP_FUNCTION (heavy_computation), g_variant_new_int64 (inputs[i]),
                                                 NULL);

      mp_future_list_add (futures, call);
      g_hash_table_insert (input_of, call, (gpointer) &inputs[i]);
    }

  while ((future = mp_future_list_next_done (futures, -1, NULL, NULL)) != NULL)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) result = mp_future_get (future, -1, NULL, &error);
      gint64 n = *(const gint64 *) g_hash_table_lookup (input_of, future);

      if (result != NULL)
        printf ("Input %" G_GINT64_FORMAT ": result = %" G_GINT64_FORMAT "\n", n, g_variant_get_int64 (result));
      else
        printf ("Input %" G_GINT64_FORMAT " failed: %s\n", n, error->message);
      g_object_unref (future);
    }

  return EXIT_SUCCESS;
}
