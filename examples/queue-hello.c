/* queue-hello.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process puts something into a queue. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
f (GVariant  *args,
   gpointer   user_data,
   GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpShareable) queue = mp_shareable_from_variant (handle, error);

  if (queue == NULL ||
      !mp_queue_put (MP_QUEUE (queue), g_variant_new ("(imss)", 42, NULL, "hello"), -1, NULL, error))
    return NULL;

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(MpQueue) queue = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) item = NULL;
  g_autoptr(GError) error = NULL;
  const char *nothing, *text;
  int number;

  mp_init ();

  queue = mp_queue_new (0, 0);
  handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
  process = mp_process_new (MP_FUNCTION (f), g_variant_new ("(@h)", handle));
  if (!mp_process_start (process, -1, NULL, &error) ||
      (item = mp_queue_get (queue, -1, NULL, &error)) == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  g_variant_get (item, "(im&s&s)", &number, &nothing, &text);
  printf ("[%d, %s, '%s']\n", number, nothing == NULL ? "None" : nothing, text);

  if (!mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
