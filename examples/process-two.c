/* process-two.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Two named processes that work side by side. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
worker (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  const char *name = mp_process_get_name (mp_process_get_current ());
  double delay;

  g_variant_get (args, "(d)", &delay);
  printf ("[%s] starting work\n", name);
  g_usleep (delay * G_USEC_PER_SEC);
  printf ("[%s] finished after %g seconds\n", name, delay);

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(MpProcess) first = NULL;
  g_autoptr(MpProcess) second = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  first = mp_process_new (MP_FUNCTION (worker), g_variant_new ("(d)", 0.2));
  second = mp_process_new (MP_FUNCTION (worker), g_variant_new ("(d)", 0.3));
  mp_process_set_name (first, "First");
  mp_process_set_name (second, "Second");

  if (!mp_process_start (first, -1, NULL, &error) ||
      !mp_process_start (second, -1, NULL, &error) ||
      !mp_process_join (first, -1, NULL, &error) ||
      !mp_process_join (second, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("All processes completed\n");

  return EXIT_SUCCESS;
}
