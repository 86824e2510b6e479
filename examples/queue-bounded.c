/* queue-bounded.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A producer that waits when the consumer is slow. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_ITEMS 20

static MpQueue *
get_queue (GVariant  *args,
           GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);

  return (MpQueue *) mp_shareable_from_variant (handle, error);
}

static GVariant *
producer (GVariant  *args,
          gpointer   user_data,
          GError   **error)
{
  g_autoptr(MpQueue) queue = get_queue (args, error);

  if (queue == NULL)
    return NULL;
  for (int i = 0; i < N_ITEMS; i++)
    {
      if (!mp_queue_put (queue, g_variant_new ("mi", TRUE, i), -1, NULL, error))
        return NULL;
      printf ("[Producer] Enqueued: %d\n", i);
      g_usleep (10000);
    }
  if (!mp_queue_put (queue, g_variant_new ("mi", FALSE, 0), -1, NULL, error))
    return NULL;

  return g_variant_new ("()");
}

static GVariant *
consumer (GVariant  *args,
          gpointer   user_data,
          GError   **error)
{
  g_autoptr(MpQueue) queue = get_queue (args, error);

  if (queue == NULL)
    return NULL;
  for (;;)
    {
      g_autoptr(GVariant) item = mp_queue_get (queue, -1, NULL, error);
      gboolean is_there;
      int number;

      if (item == NULL)
        return NULL;
      g_variant_get (item, "mi", &is_there, &number);
      if (!is_there)
        break;
      printf ("[Consumer] Processing: %d\n", number);
    }
  printf ("[Consumer] Received sentinel, shutting down.\n");

  return g_variant_new ("()");
}

int
main (void)
{
  const char *functions[] = { MP_FUNCTION (producer), MP_FUNCTION (consumer) };
  g_autoptr(MpQueue) queue = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GError) error = NULL;

  mp_init ();

  queue = mp_queue_new (10, 0);
  handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
  for (guint i = 0; i < G_N_ELEMENTS (functions) && error == NULL; i++)
    {
      g_ptr_array_add (processes, mp_process_new (functions[i], g_variant_new ("(@h)", handle)));
      mp_process_start (processes->pdata[i], -1, NULL, &error);
    }
  for (guint i = 0; i < processes->len && error == NULL; i++)
    mp_process_join (processes->pdata[i], -1, NULL, &error);

  if (error != NULL)
    fprintf (stderr, "%s\n", error->message);

  return error == NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}
