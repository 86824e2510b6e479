/* process-hello.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A function runs in another process. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
hello (GVariant  *args,
       gpointer   user_data,
       GError   **error)
{
  const char *name;

  g_variant_get (args, "(&s)", &name);
  printf ("hello %s\n", name);

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  process = mp_process_new (MP_FUNCTION (hello), g_variant_new ("(s)", "bob"));
  if (!mp_process_start (process, -1, NULL, &error) || !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
