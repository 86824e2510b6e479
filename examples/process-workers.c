/* process-workers.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Five processes at once. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_PROCESSES 5

static GVariant *
worker (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  int number;

  g_variant_get (args, "(i)", &number);
  printf ("Worker: %d\n", number);

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GError) error = NULL;

  mp_init ();

  for (int i = 0; i < N_PROCESSES; i++)
    {
      MpProcess *process = mp_process_new (MP_FUNCTION (worker), g_variant_new ("(i)", i));

      g_ptr_array_add (processes, process);
      if (!mp_process_start (process, -1, NULL, &error))
        break;
    }

  for (guint i = 0; error == NULL && i < processes->len; i++)
    mp_process_join (processes->pdata[i], -1, NULL, &error);

  if (error != NULL)
    fprintf (stderr, "%s\n", error->message);

  return error == NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}
