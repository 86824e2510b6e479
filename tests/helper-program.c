/* helper-program.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Another program that makes workers: `helper-program [chatty] [noisy] [threads]`. Before mp_init() it says something,
 * or starts a thread that stays. */

static GVariant *
introduce (GVariant *args, gpointer user_data, GError **error)
{
  printf ("this is the helper\n");
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

static gpointer
stay (gpointer data)
{
  g_async_queue_push (data, (gpointer) "here");   /* by now it has its name */
  while (TRUE)
    pause ();
  return NULL;
}

int
main (int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    {
      if (strcmp (argv[i], "chatty") == 0)
        fprintf (stderr, "the helper begins\n");
      else if (strcmp (argv[i], "noisy") == 0)
        for (int line = 0; line < 20000; line++)
          fprintf (stderr, "line %d\n", line);
      else if (strcmp (argv[i], "threads") == 0)
        {
          GAsyncQueue *queue = g_async_queue_new ();

          g_thread_unref (g_thread_new ("stays", stay, queue));
          g_async_queue_pop (queue);
        }
    }
  mp_function_register ("introduce", introduce, NULL, NULL);
  mp_function_register ("nothing", nothing, NULL, NULL);
  mp_init ();
  return 0;
}
