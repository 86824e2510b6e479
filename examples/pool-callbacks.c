/* pool-callbacks.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each result is handed to a callback as it comes. No main loop is needed: waiting for the pool runs its callbacks. */

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
square_ready_cb (GObject      *pool,
                 GAsyncResult *result,
                 gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (pool), result, &error);

  if (value != NULL)
    printf ("Task result: %d\n", g_variant_get_int32 (value));
  else
    printf ("Task failed: %s\n", error->message);
}

int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  pool = mp_pool_new (4);
  for (int i = 0; i < 10; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (i), NULL, square_ready_cb, NULL);

  mp_pool_close (pool);
  if (!mp_pool_join (pool, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
