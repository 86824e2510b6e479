/* queue-squares.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A worker's results come through a queue as it finds them; the end of the worker is the end of the queue. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
square_worker (GVariant  *args,
               gpointer   user_data,
               GError   **error)
{
  g_autoptr(GVariantIter) numbers = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpShareable) queue = NULL;
  int n;

  g_variant_get (args, "(ai@h)", &numbers, &handle);
  queue = mp_shareable_from_variant (handle, error);
  if (queue == NULL)
    return NULL;
  while (g_variant_iter_next (numbers, "i", &n))
    if (!mp_queue_put (MP_QUEUE (queue), g_variant_new ("(ii)", n, n * n), -1, NULL, error))
      return NULL;

  return g_variant_new ("()");
}

int
main (void)
{
  static const int numbers[] = { 1, 2, 3, 4, 5 };
  g_autoptr(MpQueue) queue = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *array, *item;

  mp_init ();

  queue = mp_queue_new (0, 0);
  handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
  array = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  process = mp_process_new (MP_FUNCTION (square_worker), g_variant_new ("(@ai@h)", array, handle));
  if (!mp_process_start (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  while ((item = mp_queue_get (queue, -1, NULL, &error)) != NULL)
    {
      int n, square;

      g_variant_get (item, "(ii)", &n, &square);
      g_variant_unref (item);
      printf ("%d squared is %d\n", n, square);
    }
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    g_clear_error (&error);
  if (error != NULL || !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("Done reading from queue\n");

  return EXIT_SUCCESS;
}
