/* process-square.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process and its exit status. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
compute_square (GVariant  *args,
                gpointer   user_data,
                GError   **error)
{
  int n;

  g_variant_get (args, "(i)", &n);
  printf ("Square of %d is %d\n", n, n * n);

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  process = mp_process_new (MP_FUNCTION (compute_square), g_variant_new ("(i)", 7));
  if (!mp_process_start (process, -1, NULL, &error) || !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("Process exit code: %d\n", mp_process_get_exit_status (process));

  return EXIT_SUCCESS;
}
