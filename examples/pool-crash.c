/* pool-crash.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A worker that crashes fails the one item that it was at; another worker takes its place. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
crash_at_three (GVariant  *item,
                gpointer   user_data,
                GError   **error)
{
  int x = g_variant_get_int32 (item);

  if (x == 3)
    raise (SIGKILL);

  return g_variant_new_int32 (x * 10);
}

int
main (void)
{
  static const int numbers[] = { 1, 2, 3, 4, 5 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *items;

  mp_init ();

  pool = mp_pool_new (2);
  items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  iter = mp_pool_imap (pool, MP_FUNCTION (crash_at_three), items, 1, &error);
  if (iter == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autoptr(GVariant) result = mp_result_iter_next (iter, -1, NULL, &error);

      if (result != NULL)
        printf ("%d: %d\n", numbers[i], g_variant_get_int32 (result));
      else if (g_error_matches (error, MP_ERROR, MP_ERROR_WORKER_DIED))
        printf ("%d: its worker died\n", numbers[i]);
      else if (error != NULL)
        printf ("%d: %s\n", numbers[i], error->message);
      else
        break;  /* the pool has given up; the last error says why */
      g_clear_error (&error);
    }

  return EXIT_SUCCESS;
}
