/* pool-initializer.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each worker is prepared once, before its first task. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

/* Set in each worker; stays unset in the program itself. */
static char *scheme;

static GVariant *
set_scheme (GVariant  *args,
            gpointer   user_data,
            GError   **error)
{
  g_variant_get (args, "(s)", &scheme);

  return g_variant_new ("()");
}

static GVariant *
fetch_url (GVariant  *item,
           gpointer   user_data,
           GError   **error)
{
  return g_variant_new_take_string (g_strdup_printf ("fetched: %s://%s", scheme, g_variant_get_string (item, NULL)));
}

int
main (void)
{
  static const char * const urls[] = { "a.com", "b.com", "c.com", "d.com", NULL };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) results = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  pool = mp_pool_new_full (4, MP_FUNCTION (set_scheme), g_variant_new ("(s)", "https"), 0, NULL);
  results = mp_pool_map (pool, MP_FUNCTION (fetch_url), g_variant_new_strv (urls, -1), 0, -1, NULL, &error);
  if (results == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  for (gsize i = 0; i < g_variant_n_children (results); i++)
    {
      const char *result;

      g_variant_get_child (results, i, "&s", &result);
      printf ("%s\n", result);
    }
  printf ("in the program itself: %s\n", scheme == NULL ? "not set" : scheme);

  return EXIT_SUCCESS;
}
