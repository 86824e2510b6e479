/* pool-fetch.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A map over texts. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
fetch_url (GVariant  *url,
           gpointer   user_data,
           GError   **error)
{
  return g_variant_new_printf ("fetched: %s", g_variant_get_string (url, NULL));
}

int
main (void)
{
  static const char *const urls[] = { "a.com", "b.com", "c.com", "d.com", NULL };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) results = NULL;
  g_autofree const char **texts = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  pool = mp_pool_new (4);
  results = mp_pool_map (pool, MP_FUNCTION (fetch_url), g_variant_new_strv (urls, -1), 0, -1, NULL, &error);
  if (results == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  texts = g_variant_get_strv (results, NULL);
  for (int i = 0; texts[i] != NULL; i++)
    printf ("%s\n", texts[i]);

  return EXIT_SUCCESS;
}
