/* module-greeter.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mp-glib/mp-glib.h"

#include <gmodule.h>
#include <stdio.h>

/* A module to be preloaded. It fails where MP_TEST_MODULE_FAILS is set. */

G_MODULE_EXPORT gboolean mp_module_init (GError **error);

static GVariant *
greet (GVariant *args, gpointer user_data, GError **error)
{
  printf ("hello from the module\n");
  return g_variant_new_tuple (NULL, 0);
}

gboolean
mp_module_init (GError **error)
{
  if (g_getenv ("MP_TEST_MODULE_FAILS") != NULL)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the module is not in the mood");
      return FALSE;
    }
  return mp_function_register ("greet", greet, NULL, NULL);
}
